//! The golden vectors: bytes that must never change.

use bytes::{Bytes, BytesMut};
use data_encoding::HEXLOWER;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use serde_json::{Value, json};
use tunnel_core::{Failure, FailureKind};

use super::{frame, payload};
use crate::wire::{
    SPREAD_BODIES,
    continuation::Continuation,
    control::{self, Credit, GoAway, Hello, Ping, Role, Welcome},
    frame::FrameType,
    head::{self, BodySize},
};

#[test]
fn writes_and_reads_every_vector_byte_for_byte() {
    let vectors: Value = serde_json::from_str(include_str!("../../../../../spec/vectors/wire.json")).unwrap();
    let frames = written().into_iter().map(|(name, bytes)| vector(name, &bytes));
    let now: Value = frames.chain(CONTINUATIONS.map(continuation)).collect();
    assert_eq!(now, vectors, "the wire format changed; it would be:\n{now:#}");
}

fn vector(name: &str, bytes: &Bytes) -> Value {
    let (kind, payload) = payload(bytes.clone());
    json!({"name": name, "frame": kind.name(), "hex": HEXLOWER.encode(bytes), "fields": read(name, kind, &payload)})
}

/// The first bytes of streams that continue a body.
const CONTINUATIONS: [(&str, Continuation); 2] = [
    ("bulk", Continuation { exchange: 0x0102_0304_0506_0708, index: 0, count: 1 }),
    ("bulk part", Continuation { exchange: 4, index: 2, count: 3 }),
];

fn continuation((name, continuation): (&str, Continuation)) -> Value {
    let bytes = continuation.preface();
    let Continuation { exchange, index, count } = Continuation::parse(&bytes[1..]).unwrap();
    let fields = json!({"exchange": exchange, "index": index, "count": count});
    json!({"name": name, "stream": bytes[0], "hex": HEXLOWER.encode(&bytes), "fields": fields})
}

fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.append("accept", HeaderValue::from_static("*/*"));
    headers.append("set-cookie", HeaderValue::from_static("a=1"));
    headers.append("set-cookie", HeaderValue::from_static("b=2"));
    headers.append("x-bytes", HeaderValue::from_bytes(b"\xe9\xff").unwrap());
    headers.append("x-empty", HeaderValue::from_static(""));
    headers
}

fn put(write: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut buffer = BytesMut::new();
    write(&mut buffer);
    buffer.freeze()
}

fn written() -> Vec<(&'static str, Bytes)> {
    let request = |method: Method, target: &'static str, headers: &HeaderMap, body| {
        put(|buffer| head::put_request(buffer, &method, &Uri::from_static(target), headers, body).unwrap())
    };
    let response =
        |status, headers: &HeaderMap, body| put(|buffer| head::put_response(buffer, status, headers, body).unwrap());
    let hello = Hello {
        minor: 0,
        capabilities: SPREAD_BODIES,
        role: Role::Main,
        session: 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef,
        credential: &[0xa5; 32],
        client_id: Some("home"),
        software: "tunnel-p2p/0.1.0",
    };
    let bulk = Hello { minor: 300, capabilities: 1 << 40, role: Role::Bulk, client_id: None, ..hello };
    let welcome = Welcome {
        minor: 0,
        capabilities: SPREAD_BODIES,
        max_requests: 256,
        max_websockets: 64,
        client_id: Some("home"),
        software: "tunnel-p2p/0.1.0",
    };
    let (none, long) = (HeaderMap::new(), u64::MAX);
    vec![
        ("hello main", put(|buffer| control::put(buffer, FrameType::Hello, &hello))),
        ("hello bulk", put(|buffer| control::put(buffer, FrameType::Hello, &bulk))),
        ("welcome", put(|buffer| control::put(buffer, FrameType::Welcome, &welcome))),
        ("ping", put(|buffer| control::put(buffer, FrameType::Ping, &Ping { number: 250 }))),
        ("pong", put(|buffer| control::put(buffer, FrameType::Pong, &Ping { number: long }))),
        ("goaway", put(|buffer| control::put(buffer, FrameType::GoAway, &GoAway { reason: "shutting down" }))),
        ("credit", put(|buffer| control::put(buffer, FrameType::Credit, &Credit { stream: 251, frames: 128 }))),
        ("request", request(Method::GET, "/a%2Fb?q=1&q=2", &headers(), BodySize::None)),
        ("request to the server", request(Method::OPTIONS, "*", &none, BodySize::Unknown)),
        ("response", response(StatusCode::OK, &headers(), BodySize::Exact(70_000))),
        ("response of unknown length", response(StatusCode::NOT_FOUND, &none, BodySize::Unknown)),
        ("data", frame(FrameType::Data, b"hello")),
        ("end", put(|buffer| head::put_end(buffer, &none).unwrap())),
        ("end with trailers", put(|buffer| head::put_end(buffer, &headers()).unwrap())),
        ("fail", put(|buffer| control::put_fail(buffer, &Failure::new(FailureKind::Overloaded, "too many requests")))),
        ("moved", frame(FrameType::Moved, b"")),
        ("tunnel head", frame(FrameType::TunnelHead, br#"{"request_id":1}"#)),
        ("ws text", frame(FrameType::WsText, "grüße".as_bytes())),
        ("ws binary", frame(FrameType::WsBinary, &[0, 255])),
        ("ws ping", frame(FrameType::WsPing, b"1")),
        ("ws pong", frame(FrameType::WsPong, b"1")),
        ("ws close", frame(FrameType::WsClose, b"\x03\xe8bye")),
        ("ws close without code", frame(FrameType::WsClose, b"")),
    ]
}

/// The fields as they are decoded.
fn read(name: &str, kind: FrameType, payload: &Bytes) -> Value {
    match kind {
        FrameType::Head if name.starts_with("request") => {
            let (parts, body) = head::parse_request(payload).unwrap();
            json!({
                "method": parts.method.as_str(),
                "target": parts.uri.to_string(),
                "headers": list(&parts.headers),
                "body": size(body),
            })
        }
        FrameType::Head => {
            let (status, headers, body) = head::parse_response(payload).unwrap();
            json!({"status": status.as_u16(), "headers": list(&headers), "body": size(body)})
        }
        FrameType::End => json!({"trailers": list(&head::parse_end(payload).unwrap())}),
        FrameType::Fail => {
            let failure = control::parse_fail(payload).unwrap();
            json!({"code": failure.kind().code(), "message": failure.message()})
        }
        FrameType::Hello => {
            let hello: Hello<'_> = control::parse(kind, payload).unwrap();
            json!({
                "minor": hello.minor,
                "capabilities": hello.capabilities,
                "role": if hello.role == Role::Main { "main" } else { "bulk" },
                "session": format!("{:032x}", hello.session),
                "credential": HEXLOWER.encode(hello.credential),
                "client_id": hello.client_id,
                "software": hello.software,
            })
        }
        FrameType::Welcome => {
            let welcome: Welcome<'_> = control::parse(kind, payload).unwrap();
            json!({
                "minor": welcome.minor,
                "capabilities": welcome.capabilities,
                "max_requests": welcome.max_requests,
                "max_websockets": welcome.max_websockets,
                "client_id": welcome.client_id,
                "software": welcome.software,
            })
        }
        FrameType::Ping | FrameType::Pong => json!({"number": control::parse::<Ping>(kind, payload).unwrap().number}),
        FrameType::GoAway => json!({"reason": control::parse::<GoAway<'_>>(kind, payload).unwrap().reason}),
        FrameType::Credit => {
            let credit: Credit = control::parse(kind, payload).unwrap();
            json!({"stream": credit.stream, "frames": credit.frames})
        }
        _ => json!({"payload": HEXLOWER.encode(payload)}),
    }
}

fn list(headers: &HeaderMap) -> Value {
    headers.iter().map(|(name, value)| json!([name.as_str(), HEXLOWER.encode(value.as_bytes())])).collect()
}

fn size(body: BodySize) -> Value {
    match body {
        BodySize::None => json!("none"),
        BodySize::Exact(bytes) => json!(bytes),
        BodySize::Unknown => json!("unknown"),
    }
}
