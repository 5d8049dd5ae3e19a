//! What a peer does to stay reachable when relays fail, and when its endpoint seems to be wedged.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use iroh_relay::server::{Access, AccessControl, ClientRequest, RelayConfig, Server, ServerConfig};
use p2p_provider::{
    ConnectionConfig, P2PConnection, P2PError, P2PListener, P2PProvider, PathKind, PeerAddr, SecretKey,
    iroh::{IrohConfig, IrohP2P, Relay, Relays},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time::sleep,
};

use crate::support::{PROTOCOL, connect, dial, echo, peer, soon};

/// Iroh by itself stays with a lost relay for 42 to 51 s; whatever takes over 30 s fails here.
#[tokio::test]
async fn when_its_relay_is_gone_a_peer_is_reached_through_the_other_one() {
    let (mut doors, urls) = two_doors().await;
    let server = at_relays(&urls).await;
    let mut listener = server.listen(&[PROTOCOL]).await.unwrap();
    let client = of_peers(None).await;
    let address = only_at_relays(&server);
    assert_eq!(address.relays.len(), 2, "both are worth a try");
    let (dialled, accepted) = connect(&client, &address, &mut listener).await;
    echo(&dialled, &accepted).await;

    let home = server.home_relay().expect("it has one").url;
    let lost = doors.iter().position(|door| door.url == home).expect("one of them");
    doors.remove(lost).shut().await;
    let moved = async {
        while !server.home_relay().is_some_and(|relay| relay.connected && relay.url != home) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    soon(moved).await;
    assert!(server.care().relay_moves >= 1);
    // A stranger, who knows nothing of all that.
    let other = of_peers(None).await;
    let (dialled, accepted) = connect(&other, &address, &mut listener).await;
    echo(&dialled, &accepted).await;
}

/// The idle timeout is a minute here; whatever takes over 30 s fails.
#[tokio::test]
async fn a_connection_over_a_lost_relay_is_given_up_before_it_times_out_if_there_is_another() {
    if std::net::UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        return;
    }
    let (mut doors, urls) = two_doors().await;
    // No direct path between them: one has IPv4 only, the other IPv6 only.
    let patient = |address: IpAddr| {
        let relays = urls.iter().map(Relay::new).collect();
        let mut config = IrohConfig::loopback(SecretKey::generate()).relays(Relays::Custom(relays));
        config.bind = vec![(address, 0).into()];
        config.idle_timeout = Duration::from_mins(1);
        IrohP2P::bind(config)
    };
    let server = soon(patient(Ipv6Addr::LOCALHOST.into())).await.unwrap();
    soon(server.online()).await;
    let mut listener = server.listen(&[PROTOCOL]).await.unwrap();
    let client = soon(patient(Ipv4Addr::LOCALHOST.into())).await.unwrap();
    soon(client.online()).await;
    let home = client.home_relay().expect("it has one").url;
    // The path goes by the home of the one who is asked.
    let at_home = PeerAddr { relays: server.local_addr().relays, ..only_at_relays(&server) };
    let (dialled, accepted) = connect(&client, &at_home, &mut listener).await;
    echo(&dialled, &accepted).await;
    let path = dialled.path();
    assert_eq!(path.kind, PathKind::Relayed);
    let by = path.remote.expect("a relay");

    let lost = doors.iter().position(|door| door.url == by).expect("one of them");
    doors.remove(lost).shut().await;
    if by == home {
        soon(dialled.closed()).await;
    }
    let again = async {
        loop {
            // The old connection's path is in the way of a new one as long as it lasts.
            dialled.close(0, "");
            if let Ok(again) = client.connect(&at_home, &dial()).await {
                break again;
            }
        }
    };
    let (dialled, accepted) = soon(async { tokio::join!(again, listener.accept()) }).await;
    let accepted = accepted.expect("it listens");
    echo(&dialled, &accepted).await;
}

#[tokio::test]
async fn a_relay_that_wants_a_token_admits_those_who_have_it_and_says_so_to_others() {
    let relay = relay_for("swordfish").await;
    let url = format!("http://{}/", relay.http_addr().expect("it serves HTTP"));
    let custom = |token: Option<&str>| Relays::Custom(vec![Relay::new(&*url).token(token.map(str::to_owned))]);
    let config = |relays| IrohConfig::loopback(SecretKey::generate()).relays(relays);
    let server = soon(IrohP2P::bind(config(custom(Some("swordfish"))))).await.unwrap();
    soon(server.online()).await;
    let mut listener = server.listen(&[PROTOCOL]).await.unwrap();

    let client = of_peers(Some("swordfish")).await;
    let (dialled, accepted) = connect(&client, &only_at_relays(&server), &mut listener).await;
    echo(&dialled, &accepted).await;

    let stranger = soon(IrohP2P::bind(config(custom(None)))).await.unwrap();
    let denied = async {
        loop {
            match stranger.home_relay().and_then(|relay| relay.denied) {
                Some(reason) => break reason,
                None => sleep(Duration::from_millis(10)).await,
            }
        }
    };
    assert_eq!(soon(denied).await, "this relay wants a token");
}

#[tokio::test]
async fn an_endpoint_that_gets_no_answer_to_anything_is_made_anew_on_the_same_port() {
    let mut config = IrohConfig::loopback(SecretKey::generate());
    config.stuck_after = Duration::from_millis(300);
    let restless = soon(IrohP2P::bind(config)).await.unwrap();
    let (address, sockets) = (restless.local_addr(), restless.bound_sockets());
    let mut listener = restless.listen(&[PROTOCOL]).await.unwrap();
    let mut changes = restless.network_changes();

    // A socket that never answers.
    let silent = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let nobody = PeerAddr {
        direct: vec![silent.local_addr().unwrap()],
        ..PeerAddr::new(p2p_provider::iroh::peer_id(&SecretKey::generate()))
    };
    let impatient = ConnectionConfig::new(PROTOCOL).connect_timeout(Duration::from_millis(50));
    let rebuilt = async {
        while restless.care().rebuilds == 0 {
            let result = restless.connect(&nobody, &impatient).await;
            assert!(matches!(result, Err(P2PError::ConnectTimeout { .. })), "{result:?}");
        }
        changes.next().await;
    };
    soon(rebuilt).await;

    assert_eq!((restless.local_addr(), restless.bound_sockets()), (address.clone(), sockets));
    let client = peer().await;
    let (dialled, accepted) = connect(&client, &address, &mut listener).await;
    echo(&dialled, &accepted).await;
    let mut own = client.listen(&[PROTOCOL]).await.unwrap();
    let (dialled, accepted) = connect(&restless, &client.local_addr(), &mut own).await;
    echo(&dialled, &accepted).await;
    soon(restless.close()).await;
    assert!(matches!(soon(restless.connect(&client.local_addr(), &dial())).await, Err(P2PError::Closed)));
}

/// A peer that waited for its relay would see it hang up a few times: Iroh dials it again after 10 ms, 20 ms, ...
#[tokio::test]
async fn a_relay_that_does_not_serve_delays_nothing() {
    let (url, mut hung_up, _serving) = hanging_up().await;
    let config = |url: &str| IrohConfig::loopback(SecretKey::generate()).relays(Relays::Custom(vec![url.into()]));
    let bound = async {
        let server = IrohP2P::bind(config(&url)).await.unwrap();
        let address = server.local_addr();
        assert!(!address.direct.is_empty(), "a ticket of it names its addresses");
        assert_eq!(address.relays, [url.as_str()], "and the relay, for later");
        (server, IrohP2P::bind(config(&url)).await.unwrap())
    };
    let (server, client) = tokio::select! {
        biased;
        peers = soon(bound) => peers,
        () = async { for _ in 0..6 { hung_up.recv().await; } } => panic!("it waits for its relay"),
    };
    let mut listener = server.listen(&[PROTOCOL]).await.unwrap();
    let (dialled, accepted) = connect(&client, &server.local_addr(), &mut listener).await;
    echo(&dialled, &accepted).await;
    assert_eq!(dialled.path_kind(), PathKind::Direct);
}

#[tokio::test]
async fn a_relay_that_comes_up_later_is_taken_up() {
    let inside = relay().await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback can be bound");
    let address = listener.local_addr().expect("it is bound");
    drop(listener);
    let url = format!("http://{address}/");
    let config = IrohConfig::loopback(SecretKey::generate()).relays(Relays::Custom(vec![(*url).into()]));
    let server = soon(IrohP2P::bind(config)).await.unwrap();
    assert!(!server.home_relay().is_some_and(|relay| relay.connected));
    let _door = Door::open_at(address, inside).await;
    soon(server.online()).await;
    let mut accepting = server.listen(&[PROTOCOL]).await.unwrap();
    let client = of_peers(None).await;
    let (dialled, accepted) = connect(&client, &only_at_relays(&server), &mut accepting).await;
    echo(&dialled, &accepted).await;
}

/// What passes for a relay when it is asked how far it is, and hangs up on those who want to use it. Tells of each of them.
async fn hanging_up() -> (String, mpsc::Receiver<()>, JoinSet<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback can be bound");
    let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
    let (told, hung_up) = mpsc::channel(64);
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let length = stream.read(&mut head).await.unwrap_or_default();
            if head[..length].starts_with(b"GET /relay") {
                if told.send(()).await.is_err() {
                    return;
                }
            } else {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await.ok();
            }
        }
    });
    (url, hung_up, serving)
}

/// A relay in this process. What it has let in it goes on serving when it is dropped: see [`Door`].
async fn relay() -> Server {
    let mut config = ServerConfig::default();
    config.relay = Some(RelayConfig::new((Ipv4Addr::LOCALHOST, 0)));
    soon(Server::spawn(config)).await.expect("loopback can be bound")
}

/// A relay that admits only those who show a token.
async fn relay_for(token: &'static str) -> Server {
    #[derive(Debug)]
    struct Asks(&'static str);
    impl AccessControl for Asks {
        async fn on_connect(&self, request: &ClientRequest) -> Access {
            match request.auth_token() {
                Some(token) if token == self.0 => Access::Allow,
                _ => Access::Deny { reason: Some("this relay wants a token".to_owned()) },
            }
        }
    }
    let mut relay = RelayConfig::new((Ipv4Addr::LOCALHOST, 0));
    relay.access = Arc::new(Asks(token));
    let mut config = ServerConfig::default();
    config.relay = Some(relay);
    soon(Server::spawn(config)).await.expect("loopback can be bound")
}

/// The way to a relay, which can be shut as a process that is killed shuts it: at once, for everybody.
struct Door {
    url: String,
    address: SocketAddr,
    passing: JoinSet<()>,
    _relay: Server,
}

impl Door {
    async fn open(relay: Server) -> Self {
        Self::open_at((Ipv4Addr::LOCALHOST, 0).into(), relay).await
    }

    async fn open_at(address: SocketAddr, relay: Server) -> Self {
        let inside = relay.http_addr().expect("it serves HTTP");
        let listener = TcpListener::bind(address).await.expect("loopback can be bound");
        let address = listener.local_addr().expect("it is bound");
        let mut passing = JoinSet::new();
        passing.spawn(async move {
            // Its connections end with it.
            let mut through = JoinSet::new();
            while let Ok((mut outer, _)) = listener.accept().await {
                through.spawn(async move {
                    let Ok(mut inner) = TcpStream::connect(inside).await else { return };
                    tokio::io::copy_bidirectional(&mut outer, &mut inner).await.ok();
                });
            }
        });
        Self { url: format!("http://{address}/"), address, passing, _relay: relay }
    }

    async fn shut(mut self) {
        self.passing.shutdown().await;
        assert!(TcpStream::connect(self.address).await.is_err(), "nobody listens any more");
    }
}

/// Two relays, and the ways to them.
async fn two_doors() -> (Vec<Door>, Vec<String>) {
    let doors = vec![Door::open(relay().await).await, Door::open(relay().await).await];
    let urls = doors.iter().map(|door| door.url.clone()).collect();
    (doors, urls)
}

async fn at_relays(urls: &[String]) -> IrohP2P {
    let relays = urls.iter().map(Relay::new).collect();
    let config = IrohConfig::loopback(SecretKey::generate()).relays(Relays::Custom(relays));
    let peer = soon(IrohP2P::bind(config)).await.expect("loopback can be bound");
    soon(peer.online()).await;
    peer
}

/// A peer that uses the relays of those whom it dials.
async fn of_peers(token: Option<&str>) -> IrohP2P {
    let relays = Relays::OfPeers { token: token.map(str::to_owned) };
    soon(IrohP2P::bind(IrohConfig::loopback(SecretKey::generate()).relays(relays)))
        .await
        .expect("loopback can be bound")
}

/// What a ticket holds of a peer whose own addresses are of no use.
fn only_at_relays(peer: &IrohP2P) -> PeerAddr {
    PeerAddr { direct: Vec::new(), ..peer.local_addr() }
}
