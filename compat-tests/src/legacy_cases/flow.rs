//! Readers that do not read, of responses that do not end: what they cost, and whom they delay.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::StatusCode;
use http_body_util::BodyExt;
use tokio::time::{Instant, sleep};
use tunnel_core::{Failure, Response};

use crate::{
    backend::{
        ClientSettings, RunningClient,
        legacy::{LegacyBackend, LegacyRunningClient},
        world::World,
    },
    body::{body_error, bytes, declared, piece, pieces, text},
    pair::Pair,
    patience::{A_WHILE, soon},
    request::{get, path},
    script::{ScriptedHost, packet},
    service::{Guard, Once, Service, ok},
};

/// What all hops together may hold of one response, in bytes: windows and queues, and what the sockets of the simulator hold.
const HELD_BYTES_MAX: u64 = 6 << 20;

/// What the two byte streams on the way may hold besides, if they are sockets of a system: Linux lets them grow to 4 MiB on
/// the side of the sender and to 32 MiB on that of the reader.
const SYSTEM_BYTES_MAX: u64 = 72 << 20;

/// A gigabyte, of which nobody has a copy.
const GIGABYTE: u64 = 1 << 30;

/// A gigabyte in pieces of this size; `pulled` counts.
fn gigabyte(
    piece_bytes: usize,
    pulled: Arc<AtomicU64>,
    guard: Guard,
) -> impl futures::Stream<Item = Result<Bytes, Failure>> + Send + 'static {
    let bytes = Bytes::from(vec![7; piece_bytes]);
    stream::iter(0..GIGABYTE / piece_bytes as u64).map(move |_| {
        let _kept = &guard;
        pulled.fetch_add(bytes.len() as u64, Relaxed);
        Ok(bytes.clone())
    })
}

/// Waits until nothing more is pulled.
async fn stands_still(pulled: &AtomicU64) -> u64 {
    soon("standing still", async {
        let mut before = u64::MAX;
        while before != pulled.load(Relaxed) {
            before = pulled.load(Relaxed);
            sleep(A_WHILE).await;
        }
        before
    })
    .await
}

/// A service with a gigabyte at `/`, in pieces of this size.
fn service(piece_bytes: usize) -> (Service, Arc<AtomicU64>, tokio::sync::oneshot::Receiver<()>) {
    let (pulled, (guard, gone)) = (Arc::new(AtomicU64::new(0)), Guard::new());
    let (counter, guard) = (Arc::clone(&pulled), Once::new(guard));
    let service = Service::http(move |request| {
        let all = path(&request).is_empty().then(|| gigabyte(piece_bytes, Arc::clone(&counter), guard.take()));
        async move {
            let Some(all) = all else { return Ok(ok("ok")) };
            Ok(Response::new(StatusCode::OK, declared(GIGABYTE, pieces(all))))
        }
    });
    (service, pulled, gone)
}

/// Read a little, wait, read a little: what was made and not read stays below the limit at every stop.
async fn costs_little<W: World>(world: W, piece_bytes: usize, stops: u64, step: u64) {
    let (service, pulled, gone) = service(piece_bytes);
    let backend = LegacyBackend::new(world);
    let pair = Pair::start(&backend, service).await;
    let mut response = pair.answer(get("/")).await;
    let mut read = 0;
    for stop in 1..=stops {
        while read < stop * step {
            read += piece(&mut response.body).await.len() as u64;
        }
        let made = stands_still(&pulled).await;
        let held_max = if W::TIME_IS_VIRTUAL { HELD_BYTES_MAX } else { HELD_BYTES_MAX + SYSTEM_BYTES_MAX };
        assert!(made - read < held_max, "{made} bytes were made, {read} read");
        assert!(made < GIGABYTE);
    }
    drop(response);
    soon("the end of the body", gone).await.unwrap();
    assert_eq!(text(pair.answer(get("/ok")).await.body).await.unwrap(), "ok");
}

/// In pieces of the usual size.
pub async fn an_unread_gigabyte_costs_little_memory<W: World>(world: W) {
    costs_little(world, 64 << 10, 4, 3 << 20).await;
}

/// Each with a cost of its own.
pub async fn small_pieces_cost_little_memory_as_well<W: World>(world: W) {
    costs_little(world, 16, 4, 30_000).await;
}

/// Two responses on one tunnel: whoever reads gets everything, as if the other were not there.
pub async fn an_unread_response_delays_no_other<W: World>(world: W) {
    const OTHER_BYTES: usize = 16 << 20;
    let (guard, _gone) = Guard::new();
    let guard = Once::new(guard);
    let service = Service::http(move |request| {
        let all = path(&request).is_empty().then(|| gigabyte(64 << 10, Arc::default(), guard.take()));
        async move {
            Ok(match all {
                Some(all) => Response::new(StatusCode::OK, pieces(all)),
                None => Response::new(StatusCode::OK, pieces(crate::body::pattern(OTHER_BYTES, 50_000))),
            })
        }
    });
    let backend = LegacyBackend::new(world);
    let pair = Pair::start(&backend, service).await;
    let mut unread = pair.answer(get("/")).await;
    piece(&mut unread.body).await;
    sleep(A_WHILE).await;
    let began = Instant::now();
    let read = crate::body::digest(pair.answer(get("/other")).await.body).await.unwrap();
    assert_eq!(read.hash, crate::body::pattern_hash(OTHER_BYTES));
    if W::TIME_IS_VIRTUAL {
        // Without flow control the server would have waited 5 s for the reader of the other one.
        assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
    }
    // And the other one is still there.
    for _ in 0..100 {
        soon("the next piece", unread.body.frame()).await.expect("it goes on").expect("no failure");
    }
}

/// A host of the published crates cannot be slowed down: after a while its response is cut, and others go on.
pub async fn an_unread_response_of_a_host_without_flow_control_is_cut<W: World>(world: W) {
    let backend = LegacyBackend::new(world.clone());
    let server = backend.server().await.clone();
    let account = server.register("home").await;
    let mut host = ScriptedHost::connect(&world, server.address(), "home", &account.signature, false).await;
    let client = LegacyRunningClient::<W>::start(&world, server.address(), &account, ClientSettings::default());
    let transport = client.transport();
    let (response, id) = tokio::join!(soon("a head", transport.send(get("/"))), async {
        let id = host.request().await.request_id;
        host.send(&packet(id, 1, false, "begin")).await;
        id
    });
    let mut unread = response.unwrap();
    piece(&mut unread.body).await;
    // Far more than anybody holds. The server stops reading, so the host does not get rid of it at once.
    for number in 2..300 {
        host.send(&packet(id, number, false, vec![7; 60_000])).await;
    }
    let abort = host.message("ABORT").await;
    assert_eq!(abort["request_id"].as_u64(), Some(id));
    body_error(unread.body).await;
    let (response, ()) = tokio::join!(soon("a head", transport.send(get("/other"))), async {
        let id = host.request().await.request_id;
        host.send(&packet(id, 1, true, "ok")).await;
    });
    assert_eq!(bytes(response.unwrap().body).await.unwrap(), "ok");
}
