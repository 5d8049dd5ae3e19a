//! Every structure survives the wire.

use bytes::BytesMut;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use proptest::{collection::vec, option, prelude::*};
use tunnel_core::{Failure, FailureKind};

use super::payload;
use crate::wire::{
    control::{self, Credit, GoAway, Hello, Ping, Role, Welcome},
    frame::FrameType,
    head::{self, BodySize},
};

fn methods() -> impl Strategy<Value = Method> {
    prop_oneof![
        prop::sample::select(vec![Method::GET, Method::HEAD, Method::POST, Method::OPTIONS, Method::PATCH]),
        "[A-Za-z!#$%&'*+.^_`|~-]{1,40}".prop_map(|name| Method::from_bytes(name.as_bytes()).unwrap()),
    ]
}

fn targets() -> impl Strategy<Value = Uri> {
    prop_oneof![
        Just(Uri::from_static("*")),
        r"/[a-zA-Z0-9/._~!$&'()*+,;=:@%-]{0,80}(\?[a-zA-Z0-9/?._~&=+%-]{0,80})?".prop_map(|t| t.parse().unwrap()),
    ]
}

/// Repeated names, and any byte that a field value may have.
fn fields() -> impl Strategy<Value = HeaderMap> {
    let name = prop_oneof![Just("set-cookie".to_owned()), Just("x-a".to_owned()), "[a-z][a-z0-9-]{0,20}"];
    let byte = any::<u8>().prop_filter("not in a field value", |b| *b == b'\t' || (*b >= 32 && *b != 127));
    vec((name, vec(byte, 0..60)), 0..20).prop_map(|fields| {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(&value).unwrap());
        }
        map
    })
}

fn sizes() -> impl Strategy<Value = BodySize> {
    prop_oneof![Just(BodySize::None), any::<u64>().prop_map(BodySize::Exact), Just(BodySize::Unknown)]
}

proptest! {
    #[test]
    fn a_request_head_survives(method in methods(), uri in targets(), headers in fields(), body in sizes()) {
        let mut buffer = BytesMut::new();
        head::put_request(&mut buffer, &method, &uri, &headers, body).unwrap();
        let (kind, payload) = payload(buffer);
        prop_assert_eq!(kind, FrameType::Head);
        let (parts, size) = head::parse_request(&payload).unwrap();
        prop_assert_eq!((parts.method, parts.uri, parts.headers, size), (method, uri, headers, body));
    }

    #[test]
    fn a_response_head_survives(status in 100u16..1000, headers in fields(), body in sizes()) {
        let status = StatusCode::from_u16(status).unwrap();
        let mut buffer = BytesMut::new();
        head::put_response(&mut buffer, status, &headers, body).unwrap();
        prop_assert_eq!(head::parse_response(&payload(buffer).1), Ok((status, headers, body)));
    }

    #[test]
    fn trailers_survive(trailers in fields()) {
        let mut buffer = BytesMut::new();
        head::put_end(&mut buffer, &trailers).unwrap();
        let (kind, payload) = payload(buffer);
        prop_assert_eq!(kind, FrameType::End);
        prop_assert_eq!(head::parse_end(&payload), Ok(trailers));
    }

    #[test]
    fn hello_survives_also_with_fields_of_a_later_version(
        (minor, capabilities, bulk, session) in any::<(u16, u64, bool, u128)>(),
        credential in vec(any::<u8>(), 0..64),
        client_id in option::of(".{0,40}"),
        software in ".{0,40}",
        later in vec(any::<u8>(), 0..20),
    ) {
        let role = if bulk { Role::Bulk } else { Role::Main };
        let (credential, client_id, software) = (&credential[..], client_id.as_deref(), &software[..]);
        let hello = Hello { minor, capabilities, role, session, credential, client_id, software };
        let mut buffer = BytesMut::new();
        control::put(&mut buffer, FrameType::Hello, &hello);
        let (kind, payload) = payload(buffer);
        let payload = [&payload[..], &later].concat();
        prop_assert_eq!(control::parse::<Hello<'_>>(kind, &payload), Ok(hello));
    }

    #[test]
    fn welcome_survives(
        (minor, capabilities, max_requests, max_websockets) in any::<(u16, u64, u32, u32)>(),
        client_id in option::of(".{0,40}"),
        software in ".{0,40}",
    ) {
        let (client_id, software) = (client_id.as_deref(), &software[..]);
        let welcome = Welcome { minor, capabilities, max_requests, max_websockets, client_id, software };
        let mut buffer = BytesMut::new();
        control::put(&mut buffer, FrameType::Welcome, &welcome);
        let (kind, payload) = payload(buffer);
        prop_assert_eq!(control::parse::<Welcome<'_>>(kind, &payload), Ok(welcome));
    }

    #[test]
    fn the_other_control_messages_survive(number: u64, stream: u64, frames: u32, reason in ".{0,80}") {
        for kind in [FrameType::Ping, FrameType::Pong] {
            let mut buffer = BytesMut::new();
            control::put(&mut buffer, kind, &Ping { number });
            let (read, payload) = payload(buffer);
            prop_assert_eq!((read, control::parse::<Ping>(read, &payload)), (kind, Ok(Ping { number })));
        }
        let mut buffer = BytesMut::new();
        control::put(&mut buffer, FrameType::Credit, &Credit { stream, frames });
        let (kind, credit) = payload(buffer);
        prop_assert_eq!(control::parse::<Credit>(kind, &credit), Ok(Credit { stream, frames }));
        let mut buffer = BytesMut::new();
        control::put(&mut buffer, FrameType::GoAway, &GoAway { reason: &reason });
        let (kind, goaway) = payload(buffer);
        prop_assert_eq!(control::parse::<GoAway<'_>>(kind, &goaway), Ok(GoAway { reason: &reason }));
    }

    #[test]
    fn a_failure_survives_up_to_a_kilobyte_of_message(
        kind in prop::sample::select(FailureKind::ALL.to_vec()),
        message in ".{0,600}",
    ) {
        let mut buffer = BytesMut::new();
        control::put_fail(&mut buffer, &Failure::new(kind, message.clone()));
        let read = control::parse_fail(&payload(buffer).1).unwrap();
        prop_assert_eq!(read.kind(), kind);
        prop_assert!(message.starts_with(read.message()));
        prop_assert!(read.message() == message || (1021..=1024).contains(&read.message().len()));
    }

    #[test]
    fn arbitrary_payloads_never_panic(bytes in vec(any::<u8>(), 0..400)) {
        for kind in [1, 3, 4, 6, 0x20, 0x21, 0x22, 0x24, 0x25] {
            let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
            crate::fuzzing::decode_frames(&[&[0, 1, kind], &length[..], &bytes].concat());
        }
    }
}

#[test]
fn a_failure_of_a_later_version_is_an_internal_one() {
    let mut buffer = BytesMut::new();
    control::put(&mut buffer, FrameType::Fail, &control::Fail { code: 999, message: "new" });
    let read = control::parse_fail(&payload(buffer).1).unwrap();
    assert_eq!((read.kind(), read.message()), (FailureKind::Internal, "new"));
}
