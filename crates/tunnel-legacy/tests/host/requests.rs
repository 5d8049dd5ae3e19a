//! Requests and their packets.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures::stream;
use http::{HeaderValue, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::sync::{Notify, mpsc};
use tunnel_core::{Body, Failure, FailureKind, RequestHead, Response, WsMessage, packet::decode_text};

use crate::support::{Server, ask, connected, echo, endless, http, ok, reason};

fn broken(pieces: Vec<Bytes>) -> Body {
    let failure = Failure::new(FailureKind::ServiceFailed, "it broke off");
    let pieces = pieces.into_iter().map(|piece| Ok(Frame::data(piece))).chain([Err(failure)]);
    Body::stream(StreamBody::new(stream::iter(pieces.collect::<Vec<_>>())))
}

#[tokio::test(start_paused = true)]
async fn a_request_is_answered_in_packets() {
    let handler = http(|request| async move {
        assert_eq!(request.id, u64::MAX);
        let RequestHead::Tunnel(head) = request.head else { panic!("converted too early") };
        assert_eq!((&*head.path, head.profile.as_deref()), ("a/b", Some("p")));
        let mut response = ok(Body::full(vec![7; 200_000]));
        response.headers.insert("x-a", HeaderValue::from_static("1"));
        Ok(response)
    });
    let (mut server, _host) = Server::with_host(false, handler, |_| {});
    let mut end = server.host().await;
    end.ask(u64::MAX, "a/b").await;
    let (response, body) = end.response(u64::MAX).await;
    assert_eq!((response.status, &response.headers["x-a"]), (StatusCode::OK, &HeaderValue::from_static("1")));
    assert_eq!(body, vec![7; 200_000]);
}

#[tokio::test(start_paused = true)]
async fn a_body_goes_out_as_it_comes() {
    let (pieces, receiver) = mpsc::channel::<Result<Frame<Bytes>, Failure>>(1);
    let receiver = Mutex::new(Some(receiver));
    let handler = http(move |_| {
        let mut receiver = receiver.lock().unwrap().take().unwrap();
        async move { Ok(ok(Body::stream(StreamBody::new(stream::poll_fn(move |cx| receiver.poll_recv(cx)))))) }
    });
    let (mut server, _host) = Server::with_host(false, handler, |_| {});
    let mut end = server.host().await;
    end.ask(1, "drip").await;
    let head = end.packet().await;
    assert_eq!((head.status, head.last, head.bytes.len()), (Some(200), false, 0));
    for piece in ["a", "b"] {
        pieces.send(Ok(Frame::data(Bytes::from(piece)))).await.unwrap();
        assert_eq!(end.packet().await.bytes, piece);
    }
    drop(pieces);
    assert!(end.packet().await.last);
}

#[tokio::test(start_paused = true)]
async fn packets_are_written_as_text_if_asked_for() {
    let handler = http(|_| async { Ok(ok(Body::full(vec![7; 100_000]))) });
    let (mut server, _host) = Server::with_host(false, handler, |_| {});
    let mut end = server.host().await;
    end.say(&ask(5, "a").replace("BINARY", "BASE64")).await;
    let mut body = Vec::new();
    loop {
        let text = end.text().await;
        assert!(text.len() <= 65_536);
        let packet = decode_text(&text).unwrap();
        body.extend_from_slice(&packet.bytes);
        if packet.last {
            break;
        }
    }
    assert_eq!(body, vec![7; 100_000]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_before_the_head_becomes_a_response() {
    for extended in [false, true] {
        let handler = http(|request| async move {
            let RequestHead::Tunnel(head) = request.head else { unreachable!() };
            match &*head.path {
                "down" => Err(Failure::new(FailureKind::ServiceUnreachable, "the service is down")),
                "panic" => panic!("on purpose"),
                "early" => Ok(ok(broken(vec![]))),
                "long" => {
                    let mut response = ok(Body::empty());
                    response.headers.insert("x-long", HeaderValue::try_from("x".repeat(70_000)).unwrap());
                    Ok(response)
                }
                _ => Ok(ok(Body::empty())),
            }
        });
        let (mut server, _host) = Server::with_host(extended, handler, |_| {});
        let mut end = server.host().await;
        for (id, path, status, name) in [
            (1, "down", 502, "service-unreachable"),
            (2, "panic", 500, "internal"),
            (3, "early", 502, "service-failed"),
            (4, "long", 502, "service-failed"),
        ] {
            end.ask(id, path).await;
            let (response, body) = end.response(id).await;
            assert_eq!((response.status.as_u16(), reason(&response)), (status, name), "{path}");
            assert_eq!(response.headers["content-type"], "text/plain; charset=utf-8");
            assert!(body.ends_with(b"\n"));
        }
        end.ask(5, "fine").await;
        assert_eq!(end.response(5).await.0.status, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_after_the_head_never_looks_like_an_end() {
    let handler = || {
        http(|request| async move {
            let RequestHead::Tunnel(head) = request.head else { unreachable!() };
            let mut response = ok(broken(vec!["abc".into()]));
            if head.path == "length" {
                response.headers.insert("content-length", HeaderValue::from_static("10"));
            }
            Ok(response)
        })
    };
    let (mut server, _host) = Server::with_host(true, handler(), |_| {});
    let mut end = server.host().await;
    end.ask(7, "length").await;
    assert!(!end.packet().await.last);
    let reset = r#"{"type":"RESET","request_id":7,"kind":"service-failed","message":"it broke off"}"#;
    assert_eq!(end.text().await, reset);

    let (mut server, _host) = Server::with_host(false, handler(), |_| {});
    let mut end = server.host().await;
    end.ask(8, "length").await;
    assert!(!end.packet().await.last);
    let short = end.packet().await;
    assert_eq!((short.packet_id, short.last, short.bytes.len()), (2, true, 0), "3 of 10 bytes, then the end");
    end.ask(9, "chunked").await;
    assert!(!end.packet().await.last);
    assert_eq!(end.hear_within(Duration::from_mins(10)).await, None);
}

#[tokio::test(start_paused = true)]
async fn an_abort_drops_the_handlers_future_and_its_body() {
    /// Tells when it is dropped.
    struct Guard(Arc<Notify>);
    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let dropped = Arc::new(Notify::new());
    let seen = Arc::clone(&dropped);
    let handler = http(move |request| {
        let guard = Guard(Arc::clone(&seen));
        async move {
            let RequestHead::Tunnel(head) = request.head else { unreachable!() };
            if head.path == "never" {
                std::future::pending::<()>().await;
            }
            let pieces = stream::repeat_with(move || {
                let _held = &guard;
                Ok(Frame::data(Bytes::from_static(&[0; 1000])))
            });
            Ok(ok(Body::stream(StreamBody::new(pieces))))
        }
    });
    let (mut server, _host) = Server::with_host(true, handler, |_| {});
    let mut end = server.host().await;
    for (id, path) in [(1, "never"), (2, "endless")] {
        end.ask(id, path).await;
        if path == "endless" {
            end.packet().await;
        } else {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        end.say(&format!(r#"{{"type":"ABORT","request_id":{id}}}"#)).await;
        dropped.notified().await;
    }
    end.say(r#"{"type":"ABORT","request_id":77}"#).await;
    end.ask(1, "endless").await;
    while end.packet().await.request_id != 1 {}
}

#[tokio::test(start_paused = true)]
async fn more_requests_than_allowed_get_503() {
    let handler = http(|request| async move {
        let RequestHead::Tunnel(head) = request.head else { unreachable!() };
        if head.path == "never" {
            std::future::pending::<()>().await;
        }
        Ok(ok(Body::empty()))
    });
    let (mut server, _host) = Server::with_host(false, handler, |config| config.max_requests = 2);
    let mut end = server.host().await;
    end.ask(1, "never").await;
    end.ask(2, "never").await;
    end.ask(3, "a").await;
    let (response, _) = end.response(3).await;
    assert_eq!((response.status.as_u16(), reason(&response)), (503, "overloaded"));
    assert!(response.headers.contains_key("retry-after"));
    end.say(r#"{"type":"ABORT","request_id":1}"#).await;
    end.ask(4, "a").await;
    assert_eq!(end.response(4).await.0.status, 200);
}

#[tokio::test(start_paused = true)]
async fn requests_that_take_too_much_memory_get_503() {
    let handler = http(|_| std::future::pending());
    let (mut server, _host) = Server::with_host(false, handler, |config| {
        config.message_bytes_max = 100_000;
        config.request_bytes_max = 100_000;
    });
    let mut end = server.host().await;
    end.ask(1, &"a".repeat(60_000)).await;
    end.ask(2, &"a".repeat(60_000)).await;
    let (response, _) = end.response(2).await;
    assert_eq!((response.status.as_u16(), reason(&response)), (503, "overloaded"));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_message_is_ignored() {
    let (mut server, host) = Server::with_host(true, echo(), |_| {});
    let mut end = server.host().await;
    let same = ask(1, "a");
    for garbage in [
        "",
        "{",
        "null",
        "[]",
        r#"{"type":"HTTP"}"#,
        r#"{"type":"NEW","request_id":1}"#,
        r#"{"type":"WINDOW","request_id":99,"packets":4294967295}"#,
        r#"{"type":"WS_CLOSED","conn_id":99}"#,
        r#"{"type":"ABORT","request_id":-1}"#,
        &"[".repeat(100_000),
        "TUNNEL_RESPONSE:1|1|1200{}",
        &same.replace("GET", "BREW"),
    ] {
        end.say(garbage).await;
    }
    futures::SinkExt::send(&mut end.socket, WsMessage::Binary(vec![0; 20].into())).await.unwrap();
    end.say(&same).await;
    assert_eq!(end.response(1).await.1, b"a");
    connected(&host).await;
}

#[tokio::test(start_paused = true)]
async fn a_number_given_twice_at_once_is_answered_once() {
    let handler = http(|_| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(ok(Body::full("once")))
    });
    let (mut server, _host) = Server::with_host(false, handler, |_| {});
    let mut end = server.host().await;
    end.ask(1, "a").await;
    end.ask(1, "a").await;
    assert_eq!(end.response(1).await.1, b"once");
    assert_eq!(end.hear_within(Duration::from_mins(1)).await, None);
    end.ask(1, "a").await;
    assert_eq!(end.response(1).await.1, b"once");
}

#[tokio::test(start_paused = true)]
async fn draining_finishes_what_is_under_way_and_takes_nothing_new() {
    let finish = Arc::new(Notify::new());
    let wait = Arc::clone(&finish);
    let handler = http(move |_| {
        let wait = Arc::clone(&wait);
        async move {
            wait.notified().await;
            Ok(ok(Body::full("done")))
        }
    });
    let (mut server, host) = Server::with_host(false, handler, |_| {});
    let mut end = server.host().await;
    end.ask(1, "a").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let draining = tokio::join!(host.drain(Duration::from_mins(1)), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        end.ask(2, "late").await;
        let (response, _) = end.response(2).await;
        assert_eq!((response.status.as_u16(), reason(&response)), (503, "refused"));
        finish.notify_one();
        assert_eq!(end.response(1).await.1, b"done");
        let WsMessage::Close(Some(close)) = end.hear().await else { panic!("not closed") };
        assert_eq!(close.code, 1001);
    });
    assert!(draining.0);
}

#[tokio::test(start_paused = true)]
async fn draining_gives_up_after_its_grace_and_dropping_cuts_at_once() {
    let (mut server, host) =
        Server::with_host(false, http(|_| std::future::pending::<Result<Response, Failure>>()), |_| {});
    let mut end = server.host().await;
    end.ask(1, "a").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!host.drain(Duration::from_secs(5)).await);
    end.cut().await;

    let (mut server, host) = Server::with_host(false, http(|_| async { Ok(ok(endless("x".into()))) }), |_| {});
    let mut end = server.host().await;
    end.ask(1, "a").await;
    end.packet().await;
    drop(host);
    end.cut().await;
}
