//! Byte streams, as HTTP and WebSocket libraries use them.

use std::{io, time::Duration};

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use p2p_provider::simulator::{Conditions, Nat, SimNetwork, SimNode, SimTcpStream, run};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

use crate::support::soon;

async fn pair(network: &SimNetwork) -> (SimNode, SimNode, SimTcpStream, SimTcpStream) {
    let (server, client) = (network.node("server"), network.node("client"));
    let mut listener = server.listen_tcp(80).expect("free");
    let address = server.address(80);
    let (near, far) = soon(async { tokio::join!(client.connect_tcp(address), listener.accept()) }).await;
    let (far, from) = far.expect("somebody dials");
    assert_eq!(from.ip(), client.address(0).ip());
    (server, client, near.expect("somebody listens"), far)
}

#[test]
fn bytes_arrive_in_order_and_so_does_the_end() {
    run(1, async |network| {
        network.set_conditions(Conditions::preset("home-wifi").expect("a preset"));
        let (_server, _client, mut near, mut far) = pair(&network).await;
        let sent: Vec<u8> = (0..500_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut received = Vec::new();
        let writing = async {
            near.write_all(&sent).await.expect("open");
            near.shutdown().await.expect("open");
        };
        soon(async { tokio::join!(writing, far.read_to_end(&mut received)).1 }).await.expect("a clean end");
        assert!(received == sent);
        far.write_all(b"and back").await.expect("half open");
        drop(far);
        let mut back = Vec::new();
        soon(near.read_to_end(&mut back)).await.expect("a clean end");
        assert_eq!(back, b"and back");
    });
}

#[test]
fn a_port_without_a_listener_refuses_and_a_node_behind_nat_is_silent() {
    run(1, async |network| {
        let (server, client) = (network.node("server"), network.node("client"));
        let refused = soon(client.connect_tcp(server.address(81))).await.expect_err("nobody listens");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        server.set_nat(Nat::Relayed);
        let _listener = server.listen_tcp(81).expect("free");
        assert_eq!(server.listen_tcp(81).expect_err("taken").kind(), io::ErrorKind::AddrInUse);
        assert!(timeout(Duration::from_secs(100), client.connect_tcp(server.address(81))).await.is_err());
    });
}

#[test]
fn a_listener_from_before_a_crash_has_no_hold_on_the_port() {
    run(1, async |network| {
        let (server, client) = (network.node("server"), network.node("client"));
        let mut before = server.listen_tcp(80).expect("free");
        server.crash();
        server.start();
        let mut after = server.listen_tcp(80).expect("free again");
        assert!(soon(before.accept()).await.is_err());
        drop(before);
        let dialling = client.connect_tcp(server.address(80));
        let (near, far) = soon(async { tokio::join!(dialling, after.accept()) }).await;
        near.expect("somebody listens");
        far.expect("somebody dials");
    });
}

#[test]
fn a_crash_resets_and_a_partition_waits() {
    run(1, async |network| {
        let (server, client, mut near, mut far) = pair(&network).await;
        let partition = network.partition(&[&server], &[&client]);
        near.write_all(b"late").await.expect("the buffer has room");
        sleep(Duration::from_mins(10)).await;
        partition.heal();
        let mut late = [0; 4];
        soon(far.read_exact(&mut late)).await.expect("still open");
        assert_eq!(&late, b"late");

        server.crash();
        let error = soon(near.read(&mut late)).await.expect_err("reset");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert!(far.read(&mut late).await.is_err());
    });
}

#[test]
fn a_socket_that_is_closed_with_something_unread_resets_whoever_waits_for_its_window() {
    run(1, async |network| {
        let (_server, _client, mut near, far) = pair(&network).await;
        let writing = async { while near.write_all(&[7; 1000]).await.is_ok() {} };
        let leaving = async {
            // Until the buffers are full.
            sleep(Duration::from_secs(10)).await;
            drop(far);
        };
        soon(async { tokio::join!(writing, leaving) }).await;
    });
}

#[test]
fn whoever_sends_to_a_closed_socket_is_reset() {
    run(1, async |network| {
        let (_server, _client, mut near, far) = pair(&network).await;
        drop(far);
        let broken = async {
            while near.write_all(b"anybody there?").await.is_ok() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        soon(broken).await;
    });
}

#[test]
fn a_slow_reader_slows_its_writer() {
    run(1, async |network| {
        let (_server, _client, mut near, mut far) = pair(&network).await;
        let body = vec![1; 10 << 20];
        let mut writing = Box::pin(near.write_all(&body));
        assert!(timeout(Duration::from_secs(10), &mut writing).await.is_err(), "10 MiB do not fit a buffer");
        let mut received = vec![0; 10 << 20];
        let (written, read) = soon(async { tokio::join!(writing, far.read_exact(&mut received)) }).await;
        written.expect("open");
        assert_eq!(read.expect("open"), 10 << 20);
    });
}

#[test]
fn http_runs_over_it() {
    let status = run(1, async |network| {
        network.set_conditions(Conditions::preset("lte").expect("a preset"));
        let (_server, _client, near, far) = pair(&network).await;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let echo = service_fn(|request: Request<Incoming>| async move {
                let body = request.into_body().collect().await?.to_bytes();
                Ok::<_, hyper::Error>(Response::new(Full::new(body)))
            });
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(far), echo).await.ok();
        });
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(near)).await.expect("open");
        tasks.spawn(async move {
            connection.await.ok();
        });
        for size in [0, 10, 1 << 20] {
            let body = Full::new(Bytes::from(vec![3; size]));
            let response = soon(sender.send_request(Request::post("/").body(body).expect("a request"))).await;
            let body = soon(response.expect("a response").into_body().collect()).await.expect("a body").to_bytes();
            assert_eq!(body.len(), size);
        }
        network.trace().events
    });
    assert!(status > 0);
}

#[test]
fn web_sockets_run_over_it() {
    run(1, async |network| {
        let (_server, _client, near, far) = pair(&network).await;
        let mut near = WebSocketStream::from_raw_socket(near, Role::Client, None).await;
        let mut far = WebSocketStream::from_raw_socket(far, Role::Server, None).await;
        for message in [Message::text("hello"), Message::binary(vec![9; 300_000])] {
            let (sent, received) = soon(async { tokio::join!(near.send(message.clone()), far.next()) }).await;
            sent.expect("open");
            assert_eq!(received.expect("open").expect("a message"), message);
        }
        let (closed, last) = soon(async { tokio::join!(near.close(None), far.next()) }).await;
        closed.expect("open");
        assert!(matches!(last, Some(Ok(Message::Close(_)))));
    });
}
