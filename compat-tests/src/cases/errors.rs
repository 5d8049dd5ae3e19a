//! A failure says what went wrong, and whether the request may be sent again.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::StatusCode;
use tokio::sync::{Notify, oneshot};
use tunnel_core::{Body, Failure, FailureKind, Response};

use crate::{
    backend::Backend,
    body::{arrives, body_error, declared, endless, pattern, pattern_piece, pieces, text},
    pair::{Pair, handshake},
    patience::soon,
    request::{get, number, path, post},
    service::{Once, Service, ok},
};

fn kind(request: &tunnel_core::Request) -> FailureKind {
    FailureKind::from_code(number(request) as u64).expect("the path is a code")
}

/// Whether a failure of this kind says that the service has not seen the request.
const fn is_not_executed(kind: FailureKind) -> bool {
    matches!(
        kind,
        FailureKind::Refused
            | FailureKind::Overloaded
            | FailureKind::Unauthorized
            | FailureKind::ServiceUnreachable
            | FailureKind::BadRequest
    )
}

/// A service that fails as the path says.
fn fails() -> Service {
    Service::http(|request| async move { Err(Failure::new(kind(&request), format!("why {}", path(&request)))) })
}

/// Kind and words, of every kind that a handler can return.
pub async fn every_kind_arrives_as_such<B: Backend>(backend: B) {
    let pair = Pair::start(&backend, fails()).await;
    for kind in FailureKind::ALL {
        let error = pair.send(get(&format!("/{}", kind.code()))).await.unwrap_err();
        assert_eq!(error.failure().kind(), kind);
        assert_eq!(error.failure().message(), format!("why {}", kind.code()));
    }
}

/// The same in the middle of a body, for those that make sense there.
pub async fn every_kind_in_mid_body_arrives_as_such<B: Backend>(backend: B) {
    let arrived = Arc::new(Notify::new());
    let told = Arc::clone(&arrived);
    let service = Service::http(move |request| {
        let told = Arc::clone(&told);
        async move {
            let failing = stream::once(async move {
                told.notified().await;
                Err(Failure::new(kind(&request), "made to fail"))
            });
            Ok(Response::new(StatusCode::OK, pieces(pattern(100, 100).chain(failing))))
        }
    });
    let pair = Pair::start(&backend, service).await;
    for kind in FailureKind::ALL {
        let mut response = pair.answer(get(&format!("/{}", kind.code()))).await;
        arrives(&mut response.body, pattern_piece(0, 100)).await;
        arrived.notify_one();
        // Nobody can say in the middle of a response that its request was not executed.
        let expected = if is_not_executed(kind) { FailureKind::Aborted } else { kind };
        assert_eq!(body_error(response.body).await.kind(), expected);
    }
}

/// As every kind that can happen instead of a WebSocket.
pub async fn every_kind_of_a_websocket_arrives_as_such<B: Backend>(backend: B) {
    let service = Service::ws(|open| async move {
        let code = open.uri.path()[1..].parse().expect("the path is a code");
        Err(Failure::new(FailureKind::from_code(code).expect("a code"), format!("why {code}")))
    });
    let pair = Pair::start(&backend, service).await;
    for kind in FailureKind::ALL {
        let failure = pair.open_ws(handshake(&format!("/{}", kind.code()))).await.unwrap_err();
        assert_eq!((failure.kind(), failure.message()), (kind, &*format!("why {}", kind.code())));
    }
}

/// Only if the service provably has not seen it. Anything else may have been done, and a second POST would do it twice.
pub async fn only_what_was_not_executed_comes_back<B: Backend>(backend: B) {
    let pair = Pair::start(&backend, fails()).await;
    for kind in FailureKind::ALL {
        let not_executed = is_not_executed(kind);
        // On both sides of what goes along with a head.
        for size in [0, 1000, 250_000] {
            let body = if size == 0 { Bytes::new() } else { Bytes::from(format!("\"{}\"", "x".repeat(size))) };
            let error = pair.send(post(&format!("/{}", kind.code()), Body::full(body.clone()))).await.unwrap_err();
            assert_eq!(error.may_have_been_delivered(), !not_executed, "{kind:?}");
            let request = error.into_request();
            assert_eq!(request.is_some(), not_executed, "{kind:?} with {size} bytes");
            if let Some(request) = request {
                assert_eq!(number(&request), usize::from(kind.code()));
                assert_eq!(request.body.as_bytes(), Some(&body));
            }
        }
    }
}

/// A service that has begun to answer has seen the request, whatever its body then fails with, and however early.
pub async fn what_was_answered_does_not_come_back<B: Backend>(backend: B) {
    let service = Service::http(|request| async move {
        Ok(Response::new(StatusCode::OK, pieces(crate::body::failing(kind(&request)))))
    });
    let pair = Pair::start(&backend, service).await;
    for kind in FailureKind::ALL {
        match pair.send(post(&format!("/{}", kind.code()), Body::full("\"once\""))).await {
            Ok(response) => drop(body_error(response.body).await),
            Err(error) => {
                assert!(error.may_have_been_delivered(), "{kind:?}");
                assert!(error.into_request().is_none(), "{kind:?}");
            }
        }
    }
}

/// A body that was read cannot be read again, so the request does not come back, although nothing was done.
pub async fn a_streamed_body_does_not_come_back<B: Backend>(backend: B) {
    let pair = Pair::start(&backend, fails()).await;
    let target = format!("/{}", FailureKind::ServiceUnreachable.code());
    let error = pair.send(post(&target, pieces(pattern(1000, 100)))).await.unwrap_err();
    assert_eq!(error.failure().kind(), FailureKind::ServiceUnreachable);
    assert!(!error.may_have_been_delivered());
    assert!(error.into_request().is_none());
}

/// The one that comes back is good for another attempt.
pub async fn what_comes_back_can_be_sent_again<B: Backend>(backend: B) {
    let up = Arc::new(AtomicBool::new(false));
    let service_up = Arc::clone(&up);
    let service = Service::http(move |request| {
        let up = service_up.load(Relaxed);
        async move {
            if up {
                return Ok(Response::new(StatusCode::OK, request.body));
            }
            Err(Failure::new(FailureKind::ServiceUnreachable, "not yet"))
        }
    });
    let pair = Pair::start(&backend, service).await;
    let error = pair.send(post("/", Body::full("\"payload\""))).await.unwrap_err();
    up.store(true, Relaxed);
    let response = pair.answer(error.into_request().expect("it comes back")).await;
    assert_eq!(text(response.body).await.unwrap(), "\"payload\"");
}

/// It must not wait until the upload is through, which may be never.
pub async fn a_failure_arrives_while_the_upload_runs<B: Backend>(backend: B) {
    let pair = Pair::start(&backend, fails()).await;
    for body in [pieces(endless(30_000, Arc::default(), None)), declared(50 << 20, pieces(pattern(50 << 20, 65_536)))] {
        let target = format!("/{}", FailureKind::TooLarge.code());
        let error = pair.send(post(&target, body)).await.unwrap_err();
        assert_eq!(error.failure().kind(), FailureKind::TooLarge);
    }
}

/// Its own request fails; one that is under way meanwhile does not notice.
pub async fn a_handler_that_panics_harms_only_its_request<B: Backend>(backend: B) {
    let (finish, finished) = oneshot::channel::<()>();
    let finished = Once::new(finished);
    let service = Service::http(move |request| {
        let finished = (path(&request) == "other").then(|| finished.take());
        async move {
            assert_ne!(path(&request), "panic", "the panic that the case wants");
            if let Some(finished) = finished {
                let rest = stream::once(async {
                    finished.await.ok();
                    Ok(Bytes::from_static(b"end"))
                });
                let body = stream::iter([Ok(Bytes::from_static(b"begin "))]).chain(rest);
                return Ok(Response::new(StatusCode::OK, pieces(body)));
            }
            Ok(ok("ok"))
        }
    });
    let pair = Pair::start(&backend, service).await;
    let mut other = pair.answer(get("/other")).await;
    arrives(&mut other.body, "begin ").await;
    for _ in 0..3 {
        let error = pair.send(get("/panic")).await.unwrap_err();
        assert!(error.may_have_been_delivered());
    }
    assert_eq!(text(pair.answer(get("/ok")).await.body).await.unwrap(), "ok");
    finish.send(()).unwrap();
    assert_eq!(text(other.body).await.unwrap(), "end");
}

/// Half a body must not look like a whole one.
pub async fn a_body_that_panics_is_an_error_of_the_body<B: Backend>(backend: B) {
    let arrived = Arc::new(Notify::new());
    let told = Arc::clone(&arrived);
    let service = Service::http(move |request| {
        let told = Arc::clone(&told);
        async move {
            let panics = stream::once(async move {
                told.notified().await;
                panic!("the panic that the case wants")
            });
            Ok(match path(&request) {
                "ok" => ok("ok"),
                _ => Response::new(StatusCode::OK, pieces(pattern(number(&request), 10_000).chain(panics))),
            })
        }
    });
    let pair = Pair::start(&backend, service).await;
    for size in [10, 400_000] {
        let mut response = pair.answer(get(&format!("/{size}"))).await;
        arrives(&mut response.body, pattern_piece(0, size)).await;
        arrived.notify_one();
        body_error(response.body).await;
    }
    assert_eq!(text(pair.answer(get("/ok")).await.body).await.unwrap(), "ok");
}

/// A panic while a WebSocket opens, or in one that is open.
pub async fn a_websocket_that_panics_harms_only_itself<B: Backend>(backend: B) {
    let (panic, told) = oneshot::channel::<()>();
    let told = Once::new(told);
    let service = Service::ws(move |open| {
        assert_ne!(open.uri.path(), "/panic", "the panic that the case wants");
        let told = told.take();
        let mut upgrade = crate::service::ws_echo();
        if let tunnel_core::WsUpgrade::Accepted { session, .. } = &mut upgrade {
            session.stream = Box::pin(stream::once(async {
                told.await.ok();
                panic!("the panic that the case wants")
            }));
        }
        async { Ok(upgrade) }
    });
    let pair = Pair::start(&backend, service).await;
    assert!(pair.open_ws(handshake("/panic")).await.is_err());
    let mut session = crate::pair::accepted(pair.open_ws(handshake("/later")).await).1;
    panic.send(()).unwrap();
    assert!(soon("an error", session.stream.next()).await.unwrap().is_err());
    assert_eq!(text(pair.answer(get("/ok")).await.body).await.unwrap(), "ok");
}
