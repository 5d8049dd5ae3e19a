//! Hosts that go and come back, and clients that go.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::StatusCode;
use tokio::{
    sync::oneshot,
    task::JoinSet,
    time::{Instant, sleep},
};
use tunnel_core::{FailureKind, Health, Response, SendError, Transport};

use crate::{
    backend::{Backend, ClientSettings, HostSettings, RunningClient, RunningHost},
    body::{body_error, by_hand, piece, pieces, text},
    pair::{Pair, connected},
    patience::{PATIENCE, soon, until},
    request::{get, path, post},
    service::{Guard, Once, Service, ok},
};

/// The time in which a request must have failed whose host is dead: twice what the architecture promises.
const BOUND: Duration = Duration::from_secs(20);

/// Asks until the answer comes.
async fn answers_again(transport: &Arc<dyn Transport>) {
    let response = soon("a response", async {
        loop {
            match transport.send(get("/")).await {
                Ok(response) => return response,
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        }
    })
    .await;
    assert_eq!(text(response.body).await.unwrap(), "ok");
}

/// Asks until the answer fails.
async fn fails(transport: &Arc<dyn Transport>) -> SendError {
    soon("a failure", async {
        loop {
            if let Err(error) = transport.send(get("/")).await {
                return error;
            }
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

/// The update of the morning: stopped and started.
pub async fn a_client_finds_a_stopped_host_again<B: Backend>(backend: B) {
    let Pair { host, client, transport } = Pair::start(&backend, Service::hello()).await;
    answers_again(&transport).await;
    let dead = host.stop().await;
    assert!(!fails(&transport).await.failure().message().is_empty());
    let _host = backend.revive(dead, Arc::new(Service::hello())).await;
    answers_again(&transport).await;
    drop(client);
}

/// Power was cut.
pub async fn a_client_finds_a_killed_host_again<B: Backend>(backend: B) {
    let Pair { host, client, transport } = Pair::start(&backend, Service::hello()).await;
    let dead = host.kill().await;
    fails(&transport).await;
    let _host = backend.revive(dead, Arc::new(Service::hello())).await;
    answers_again(&transport).await;
    drop(client);
}

/// It comes back before anybody has noticed that it was gone.
pub async fn a_host_that_is_back_at_once_answers_again<B: Backend>(backend: B) {
    let Pair { host, client, transport } = Pair::start(&backend, Service::hello()).await;
    let dead = host.kill().await;
    let _host = backend.revive(dead, Arc::new(Service::hello())).await;
    answers_again(&transport).await;
    drop(client);
}

/// A service for three kinds of requests in flight: without a head, in the middle of a body, in the middle of an upload.
fn three_kinds() -> Service {
    Service::http(|request| async move {
        match path(&request) {
            "head" => std::future::pending().await,
            "body" => {
                let begin = stream::iter([Ok(Bytes::from_static(b"begin"))]);
                Ok(Response::new(StatusCode::OK, pieces(begin.chain(stream::pending()))))
            }
            "upload" => Ok(Response::new(StatusCode::OK, request.body)),
            _ => Ok(ok("ok")),
        }
    })
}

/// Puts the three kinds in flight, ends the host by `end`, and waits for their failures.
async fn all_in_flight_fail<B: Backend, T>(backend: B, end: impl AsyncFnOnce(B::Host) -> T) {
    let Pair { host, client, transport } = Pair::start(&backend, three_kinds()).await;
    let mut body = soon("a head", transport.send(get("/body"))).await.unwrap().body;
    piece(&mut body).await;
    let (sender, upload) = by_hand();
    sender.send(Ok(Bytes::from_static(b"begin"))).await.unwrap();
    let mut echo = soon("a head", transport.send(post("/upload", upload))).await.unwrap().body;
    piece(&mut echo).await;
    let mut head = JoinSet::new();
    head.spawn(async move { transport.send(get("/head")).await });
    sleep(Duration::from_millis(50)).await;

    let began = Instant::now();
    let ended = end(host).await;
    let error = soon("the failure", head.join_next()).await.unwrap().unwrap().unwrap_err();
    assert!(error.may_have_been_delivered(), "{error}");
    assert!(error.into_request().is_none());
    body_error(body).await;
    body_error(echo).await;
    soon("the end of the upload", sender.closed()).await;
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    drop((ended, client));
}

/// Nobody says so, and still it is noticed.
pub async fn what_is_in_flight_fails_when_the_host_is_killed<B: Backend>(backend: B) {
    all_in_flight_fail::<B, _>(backend, async |host| host.kill().await).await;
}

/// It says so, but it does not wait.
pub async fn what_is_in_flight_fails_when_the_host_stops<B: Backend>(backend: B) {
    all_in_flight_fail::<B, _>(backend, async |host| host.stop().await).await;
}

/// Once everybody knows that there is no host, a request was certainly not executed.
pub async fn requests_to_a_dead_host_fail_and_come_back<B: Backend>(backend: B) {
    let Pair { host, client, transport } = Pair::start(&backend, Service::hello()).await;
    let dead = host.kill().await;
    fails(&transport).await;
    let began = Instant::now();
    let error = soon("certainty", async {
        loop {
            let error = fails(&transport).await;
            if !error.may_have_been_delivered() {
                return error;
            }
        }
    });
    let error = error.await;
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    assert!(error.into_request().is_some());
    drop((dead, client));
}

/// A begin, and an end once the case says so.
fn long_answer() -> (Service, oneshot::Sender<()>) {
    let (finish, finished) = oneshot::channel::<()>();
    let finished = Once::new(finished);
    let service = Service::http(move |_| {
        let finished = finished.take();
        async move {
            let rest = stream::once(async move {
                finished.await.ok();
                Ok(Bytes::from_static(b"end"))
            });
            let first = stream::iter([Ok(Bytes::from_static(b"begin "))]);
            Ok(Response::new(StatusCode::OK, pieces(first.chain(rest))))
        }
    });
    (service, finish)
}

/// What came too late was not executed, and says so.
pub async fn a_drain_lets_responses_end_and_takes_no_new_requests<B: Backend>(backend: B) {
    let (service, finish) = long_answer();
    let Pair { host, client, transport } = Pair::start(&backend, service).await;
    let response = soon("a head", transport.send(get("/"))).await.unwrap();
    let mut draining = JoinSet::new();
    draining.spawn(async move { host.drain(PATIENCE).await.0 });
    sleep(Duration::from_millis(100)).await;
    let error = soon("the refusal", transport.send(get("/"))).await.unwrap_err();
    assert!(!error.may_have_been_delivered(), "{error}");
    assert!(error.into_request().is_some());
    finish.send(()).unwrap();
    assert_eq!(text(response.body).await.unwrap(), "begin end");
    assert!(soon("the drain", draining.join_next()).await.unwrap().unwrap(), "all of them ended");
    drop(client);
}

/// The grace is over, and half a response is an error.
pub async fn a_drain_that_takes_too_long_cuts_what_is_left<B: Backend>(backend: B) {
    let (service, _finish) = long_answer();
    let Pair { host, client, transport } = Pair::start(&backend, service).await;
    let mut response = soon("a head", transport.send(get("/"))).await.unwrap();
    piece(&mut response.body).await;
    let (ended, _dead) = soon("the drain", host.drain(Duration::from_millis(200))).await;
    assert!(!ended);
    body_error(response.body).await;
    drop(client);
}

/// The update as it should be.
pub async fn a_client_finds_a_drained_host_again<B: Backend>(backend: B) {
    let Pair { host, client, transport } = Pair::start(&backend, Service::hello()).await;
    answers_again(&transport).await;
    let began = Instant::now();
    let (ended, dead) = host.drain(PATIENCE).await;
    assert!(ended, "nothing was in flight");
    assert!(began.elapsed() < BOUND, "an idle host drains at once, not within {:?}", began.elapsed());
    let _host = backend.revive(dead, Arc::new(Service::hello())).await;
    answers_again(&transport).await;
    drop(client);
}

/// Nothing was sent, so it comes back.
pub async fn a_closed_client_fails_at_once<B: Backend>(backend: B) {
    let pair = Pair::start(&backend, Service::hello()).await;
    pair.client.close();
    let error = pair.send(get("/")).await.unwrap_err();
    assert_eq!(error.failure().kind(), FailureKind::ShuttingDown);
    assert!(!error.may_have_been_delivered());
    assert!(error.into_request().is_some());
    pair.client.close();
}

/// A service that never answers, and tells when nobody waits any more.
fn waiting() -> (Service, oneshot::Receiver<()>, oneshot::Receiver<()>) {
    let ((guard, gone), (started, begun)) = (Guard::new(), oneshot::channel());
    let parts = Once::new((guard, started));
    let service = Service::http(move |request| {
        if path(&request) == "ok" {
            return futures::future::Either::Left(async { Ok(ok("ok")) });
        }
        let (guard, started) = parts.take();
        futures::future::Either::Right(async move {
            let _kept = guard;
            started.send(()).ok();
            std::future::pending().await
        })
    });
    (service, begun, gone)
}

/// On both sides.
pub async fn closing_a_client_ends_what_it_has_in_flight<B: Backend>(backend: B) {
    let (service, begun, gone) = waiting();
    let pair = Pair::start(&backend, service).await;
    let mut sending = JoinSet::new();
    let transport = Arc::clone(&pair.transport);
    sending.spawn(async move { transport.send(get("/")).await });
    soon("the handler", begun).await.unwrap();
    pair.client.close();
    assert!(soon("the failure", sending.join_next()).await.unwrap().unwrap().is_err());
    soon("the end of the handler's future", gone).await.unwrap();
}

/// The phone is out of the house: its requests do not stay for ever, and others go on.
pub async fn a_client_that_dies_is_noticed_by_the_handler<B: Backend>(backend: B) {
    let (service, begun, gone) = waiting();
    let Pair { host, client, transport } = Pair::start(&backend, service).await;
    let mut sending = JoinSet::new();
    sending.spawn(async move { transport.send(get("/")).await.is_ok() });
    soon("the handler", begun).await.unwrap();
    client.kill().await;
    let other = connected(&backend, &host, ClientSettings::default()).await;
    let response = soon("a response", other.transport().send(get("/ok"))).await.unwrap();
    assert_eq!(text(response.body).await.unwrap(), "ok");
    soon("the end of the handler's future", gone).await.unwrap();
}

/// Whoever shows it wants the truth within seconds.
pub async fn health_follows_the_host<B: Backend>(backend: B) {
    let settings = HostSettings { client_id: Some("home".to_owned()), ..HostSettings::default() };
    let Pair { host, client, transport } =
        Pair::with(&backend, Service::hello(), settings, ClientSettings::default()).await;
    let healthy = Health::Healthy { path: backend.via().path, client_id: Some("home".to_owned()) };
    assert_eq!(transport.health(), healthy);
    let dead = host.stop().await;
    until("the host is gone", || transport.health() != healthy).await;
    let _host = backend.revive(dead, Arc::new(Service::hello())).await;
    until("the host is back", || transport.health() == healthy).await;
    client.close();
    assert!(matches!(transport.health(), Health::Down(_)));
}
