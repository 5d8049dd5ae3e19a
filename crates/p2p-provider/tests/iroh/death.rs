//! Peers that go without a word.

use std::{sync::mpsc, thread, time::Duration};

use p2p_provider::{
    CloseReason, P2PConnection, P2PListener, P2PProvider, PeerAddr, SecretKey,
    iroh::{IrohConfig, IrohP2P},
};
use tokio::{runtime, sync::oneshot};

use crate::support::{PROTOCOL, dial, soon};

/// How a peer goes.
enum Death {
    /// Its process stands still: the sockets stay, nothing answers.
    Freeze,
    /// Its process is gone, and its sockets with it.
    Kill,
}

#[tokio::test]
async fn a_peer_that_freezes_is_noticed() {
    notices(Death::Freeze).await;
}

#[tokio::test]
async fn a_peer_that_is_killed_is_noticed() {
    notices(Death::Kill).await;
}

/// The death of a peer is a `TimedOut` within the idle timeout (here 2 s) and a generous margin.
async fn notices(death: Death) {
    let (address_sender, address) = oneshot::channel();
    let (order, orders) = mpsc::channel::<Death>();
    let (done, until_done) = mpsc::channel::<()>();
    let thread = thread::spawn(move || mortal(address_sender, &orders, &until_done));

    let client = soon(IrohP2P::bind(short_lived())).await.expect("loopback can be bound");
    let address = soon(address).await.expect("the mortal peer lives");
    let connection = soon(client.connect(&address, &dial())).await.expect("the mortal peer listens");
    assert_eq!(connection.close_reason(), None);

    order.send(death).expect("the mortal peer lives");
    assert_eq!(soon(connection.closed()).await, CloseReason::TimedOut);
    assert_eq!(soon(connection.open_bi()).await.err(), Some(CloseReason::TimedOut));
    assert!(client.connections().is_empty());
    drop(done);
    thread.join().expect("the mortal peer ends in order");
}

/// A peer on its own runtime, which dies on order.
fn mortal(address: oneshot::Sender<PeerAddr>, orders: &mpsc::Receiver<Death>, until_done: &mpsc::Receiver<()>) {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let alive = runtime.block_on(async {
        let peer = soon(IrohP2P::bind(short_lived())).await.expect("loopback can be bound");
        let mut listener = peer.listen(&[PROTOCOL]).await.expect("nobody listens yet");
        address.send(peer.local_addr()).expect("the test waits");
        let connection = soon(listener.accept()).await.expect("somebody dials");
        // The dialler has the last word of the handshake and may still lack our answer to it.
        tokio::time::sleep(Duration::from_millis(300)).await;
        (peer, listener, connection)
    });
    let death = orders.recv().expect("the test gives an order");
    if matches!(death, Death::Kill) {
        // First the runtime and its tasks, so that nobody is left to say goodbye.
        drop(runtime);
        drop(alive);
        until_done.recv().ok();
    } else {
        until_done.recv().ok();
        drop(alive);
    }
}

fn short_lived() -> IrohConfig {
    let mut config = IrohConfig::loopback(SecretKey::generate());
    config.idle_timeout = Duration::from_secs(2);
    config.keep_alive_interval = Duration::from_millis(400);
    config
}
