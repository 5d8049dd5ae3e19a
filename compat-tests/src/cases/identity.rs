//! Who may come in, and who is who.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::StatusCode;
use tokio::time::sleep;
use tunnel_core::{FailureKind, Health, Response, Transport};

use crate::{
    backend::{Backend, ClientSettings, Credential, HostSettings, RunningClient},
    body::{body_error, endless, piece, pieces, text},
    pair::{Pair, connected, handshake},
    patience::soon,
    request::{get, path},
    service::{Service, ok},
};

/// Nothing of such a client reaches the handler, and it is told why.
async fn unauthorized<B: Backend>(backend: B, host: HostSettings, client: ClientSettings) {
    let host = backend.host(Arc::new(Service::never()), host).await;
    let client = backend.client(&host, client).await;
    let failure = soon("the refusal", client.connected()).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Unauthorized);
    let transport = client.transport();
    let error = soon("the refusal", transport.send(get("/"))).await.unwrap_err();
    assert_eq!(error.failure().kind(), FailureKind::Unauthorized);
    assert!(!error.may_have_been_delivered());
    let failure = soon("the refusal", transport.open_ws(handshake("/ws"))).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Unauthorized);
    assert!(!matches!(transport.health(), Health::Healthy { .. }));
}

/// Knowing the address is not enough.
pub async fn a_wrong_credential_is_unauthorized<B: Backend>(backend: B) {
    let client = ClientSettings { credential: Credential::Wrong, ..ClientSettings::default() };
    unauthorized(backend, HostSettings::default(), client).await;
}

/// Requests that do not wait for the answer to their credential are not answered, either.
pub async fn requests_of_a_wrong_credential_never_reach_the_handler<B: Backend>(backend: B) {
    let host = backend.host(Arc::new(Service::never()), HostSettings::default()).await;
    let settings = ClientSettings { credential: Credential::Wrong, ..ClientSettings::default() };
    let client = backend.client(&host, settings).await;
    for _ in 0..3 {
        let error = soon("the refusal", client.transport().send(get("/"))).await.unwrap_err();
        assert_eq!(error.failure().kind(), FailureKind::Unauthorized, "{error}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// A client that looks for another home does not end up in this one.
pub async fn a_wrong_client_id_is_unauthorized<B: Backend>(backend: B) {
    let host = HostSettings { client_id: Some("mine".to_owned()), ..HostSettings::default() };
    let client = ClientSettings { client_id: Some("other".to_owned()), ..ClientSettings::default() };
    unauthorized(backend, host, client).await;
}

/// Those who ask for it get it, and those who do not ask get it, too.
pub async fn the_client_id_of_the_host_is_announced<B: Backend>(backend: B) {
    let host = HostSettings { client_id: Some("mine".to_owned()), ..HostSettings::default() };
    let host = backend.host(Arc::new(Service::hello()), host).await;
    for asked in [None, Some("mine".to_owned())] {
        let client = connected(&backend, &host, ClientSettings { client_id: asked, ..ClientSettings::default() }).await;
        let healthy = Health::Healthy { path: backend.via().path, client_id: Some("mine".to_owned()) };
        assert_eq!(client.transport().health(), healthy);
        let response = soon("a response", client.transport().send(get("/"))).await.unwrap();
        assert_eq!(text(response.body).await.unwrap(), "ok");
    }
}

/// Even at the same moment and with the same numbers.
pub async fn two_clients_get_their_own_answers<B: Backend>(backend: B) {
    let service = Service::http(|request| async move {
        sleep(Duration::from_millis(5)).await;
        let answer = format!("for {}", path(&request));
        let pieces_of_it = answer.into_bytes().into_iter().map(|byte| Ok(Bytes::from(vec![byte])));
        Ok(Response::new(StatusCode::OK, pieces(stream::iter(pieces_of_it))))
    });
    let pair = Pair::start(&backend, service).await;
    let other = connected(&backend, &pair.host, ClientSettings::default()).await.transport();
    let ask = async |transport: &Arc<dyn Transport>, name: &str| {
        for number in 0..50 {
            let target = format!("/{name}-{number}");
            let response = soon("a response", transport.send(get(&target))).await.unwrap();
            assert_eq!(text(response.body).await.unwrap(), format!("for {name}-{number}"));
        }
    };
    tokio::join!(ask(&pair.transport, "a"), ask(&other, "b"));
}

/// One leaves in the middle of everything, by `leave`; the other does not notice.
async fn the_other_goes_on<B: Backend>(backend: B, leave: impl AsyncFnOnce(B::Client)) {
    let service = Service::http(|request| async move {
        Ok(match path(&request) {
            "endless" => Response::new(StatusCode::OK, pieces(endless(10_000, Arc::default(), None))),
            "ticks" => {
                let ticks = stream::repeat(()).then(|()| async {
                    sleep(Duration::from_millis(20)).await;
                    Ok(Bytes::from_static(b"tick"))
                });
                Response::new(StatusCode::OK, pieces(ticks))
            }
            _ => ok("ok"),
        })
    });
    let pair = Pair::start(&backend, service).await;
    let mut ticks = pair.answer(get("/ticks")).await;
    let troubled = connected(&backend, &pair.host, ClientSettings::default()).await;
    let mut stalled = Vec::new();
    for _ in 0..20 {
        stalled.push(soon("a response", troubled.transport().send(get("/endless"))).await.unwrap());
    }
    piece(&mut ticks.body).await;
    leave(troubled).await;
    for _ in 0..20 {
        piece(&mut ticks.body).await;
        assert_eq!(text(pair.answer(get("/")).await.body).await.unwrap(), "ok");
    }
    drop(stalled);
}

/// In order.
pub async fn a_client_that_is_closed_does_not_touch_the_other<B: Backend>(backend: B) {
    the_other_goes_on::<B>(backend, async |client| client.close()).await;
}

/// Without a word.
pub async fn a_client_that_dies_does_not_touch_the_other<B: Backend>(backend: B) {
    the_other_goes_on::<B>(backend, async |client| client.kill().await).await;
}

/// Ten attempts to come in.
pub async fn a_client_that_is_refused_does_not_touch_the_other<B: Backend>(backend: B) {
    let pair = Pair::start(&backend, Service::hello()).await;
    for _ in 0..10 {
        let settings = ClientSettings { credential: Credential::Wrong, ..ClientSettings::default() };
        let stranger = backend.client(&pair.host, settings).await;
        assert!(soon("the refusal", stranger.connected()).await.is_err());
        assert_eq!(text(pair.answer(get("/")).await.body).await.unwrap(), "ok");
    }
}

/// A body that ends with its client's connection is an error for that client.
pub async fn closing_a_client_is_an_error_of_its_bodies<B: Backend>(backend: B) {
    let service = Service::http(|_| async {
        let begin = stream::iter([Ok(Bytes::from_static(b"begin"))]);
        Ok(Response::new(StatusCode::OK, pieces(begin.chain(stream::pending()))))
    });
    let pair = Pair::start(&backend, service).await;
    let mut response = pair.answer(get("/")).await;
    piece(&mut response.body).await;
    pair.client.close();
    body_error(response.body).await;
}
