//! Responses cut into packets, and joined again.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use futures::{FutureExt as _, Stream, StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use proptest::{collection, prelude::*};
use tunnel_core::{
    Body, Failure, FailureKind, Response,
    packet::{
        PACKET_BYTES_MAX, Packets, SEQUENCE_BYTES_MAX, SEQUENCE_PACKETS_MAX, Sequence, TunnelResponse, encode,
        response_from_packets,
    },
};

use super::vectors;

fn packet(packet_id: u32, last: bool, body: impl Into<Bytes>) -> TunnelResponse {
    let first = packet_id == 1;
    TunnelResponse {
        request_id: 7,
        packet_id,
        last,
        bytes: body.into(),
        status: first.then_some(200),
        headers: first.then(BTreeMap::new),
    }
}

fn body(pieces: Vec<Result<Bytes, Failure>>) -> Body {
    Body::stream(StreamBody::new(stream::iter(pieces).map(|piece| piece.map(Frame::data))))
}

/// These pieces, said to be so many bytes.
fn declared(bytes: u64, pieces: &[&'static str]) -> Body {
    struct Declared(Body, u64);

    impl http_body::Body for Declared {
        type Data = Bytes;
        type Error = Failure;

        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<Frame<Bytes>, Failure>>> {
            std::pin::Pin::new(&mut self.0).poll_frame(cx)
        }

        fn size_hint(&self) -> http_body::SizeHint {
            http_body::SizeHint::with_exact(self.1)
        }
    }

    Body::stream(Declared(body(pieces.iter().map(|piece| Ok(Bytes::from_static(piece.as_bytes()))).collect()), bytes))
}

fn lost() -> Failure {
    Failure::new(FailureKind::ConnectionLost, "gone")
}

/// The packets of a response whose body never keeps anybody waiting.
fn cut(response: Response) -> Vec<Result<TunnelResponse, Failure>> {
    Packets::new(7, response).unwrap().collect::<Vec<_>>().now_or_never().unwrap()
}

/// What a reader sees of packets: the pieces, then how they end, or `None` if it would wait.
fn read(
    packets: impl Stream<Item = Result<TunnelResponse, Failure>> + Send + 'static,
) -> (Vec<Bytes>, Option<Result<(), FailureKind>>) {
    let mut pieces = Vec::new();
    let mut body = match response_from_packets(7, packets).now_or_never() {
        None => return (pieces, None),
        Some(Err(failure)) => return (pieces, Some(Err(failure.kind()))),
        Some(Ok(response)) => response.body,
    };
    loop {
        match body.frame().now_or_never() {
            None => return (pieces, None),
            Some(None) => return (pieces, Some(Ok(()))),
            Some(Some(Ok(frame))) => pieces.push(frame.into_data().unwrap()),
            Some(Some(Err(failure))) => {
                assert!(body.frame().now_or_never().unwrap().is_none(), "something follows the failure");
                return (pieces, Some(Err(failure.kind())));
            }
        }
    }
}

#[test]
fn orders_packets_as_the_published_stream_does_and_reports_every_cut() {
    for vector in vectors(include_str!("../../../../spec/vectors/tunnel_stream.json")) {
        if !vector["cancel_before_poll"].is_null() {
            // Cancelling is dropping the body, which then cannot be polled.
            continue;
        }
        let name = vector["name"].as_str().unwrap();
        let arrivals: Vec<_> = vector["arrivals"]
            .as_array()
            .unwrap()
            .iter()
            .map(|arrival| {
                let arrival = arrival.as_str().unwrap();
                let id = arrival.trim_end_matches('L');
                Ok(packet(id.parse().unwrap(), arrival.ends_with('L'), format!("<{id}>")))
            })
            .collect();
        let closed = vector["channel_closed_after"].as_bool().unwrap();
        let (pieces, end) =
            if closed { read(stream::iter(arrivals)) } else { read(stream::iter(arrivals).chain(stream::pending())) };
        let polls: Vec<_> = vector["polls"].as_array().unwrap().iter().map(|poll| poll.as_str().unwrap()).collect();
        let mut delivered: Vec<_> =
            polls.iter().filter_map(|poll| poll.strip_prefix("Ok(")?.strip_suffix(')')).collect();
        let expected_end = match name {
            // Upstream delivers packet 1 again and ends there, though the last packet was another's.
            "1 then 1L" | "1,2,1L" => {
                delivered.pop();
                None
            }
            // Upstream has both: packet 3 never came, and nor did a packet that says `last`.
            "gap, channel closed" => Some(Err(FailureKind::Protocol)),
            // Upstream reports an error behind a complete body.
            "reverse then closed" => Some(Ok(())),
            // Upstream ends without an error first, so that a cut body looks complete.
            _ if closed => Some(Err(FailureKind::ConnectionLost)),
            _ if polls.contains(&"Pending") => None,
            _ => Some(Ok(())),
        };
        assert_eq!(pieces, delivered, "{name}");
        assert_eq!(end, expected_end, "{name}");
    }
}

#[test]
fn a_small_response_is_one_packet() {
    let mut response = Response::new(StatusCode::NOT_FOUND, Body::full("gone"));
    response.headers.append("set-cookie", HeaderValue::from_static("a=1"));
    response.headers.append("set-cookie", HeaderValue::from_static("b=2"));
    response.headers.append("x-latin-1", HeaderValue::from_bytes(b"caf\xe9").unwrap());
    let [Ok(packet)] = &cut(response)[..] else { panic!("more than one packet") };
    assert_eq!((packet.packet_id, packet.last, packet.status), (1, true, Some(404)));
    assert_eq!(packet.bytes, "gone");
    assert_eq!(packet.headers, Some([("set-cookie".to_owned(), "b=2".to_owned())].into()));
    assert_eq!(cut(Response::new(StatusCode::NO_CONTENT, Body::empty())).len(), 1);
}

#[test]
fn the_head_waits_for_no_body() {
    let pending = StreamBody::new(stream::pending::<Result<Frame<Bytes>, Failure>>());
    let mut packets = Packets::new(7, Response::new(StatusCode::OK, Body::stream(pending))).unwrap();
    let first = packets.next().now_or_never().unwrap().unwrap().unwrap();
    assert_eq!((first.packet_id, first.last, first.bytes.len()), (1, false, 0));
    assert!(packets.next().now_or_never().is_none());
}

#[test]
fn long_pieces_fill_packets_to_the_brim_without_a_copy() {
    let piece = Bytes::from(vec![1; 200_000]);
    let packets = cut(Response::new(StatusCode::OK, Body::full(piece.clone())));
    let lengths: Vec<_> = packets.iter().map(|packet| encode(packet.as_ref().unwrap()).unwrap().len()).collect();
    assert_eq!(lengths[..3], [PACKET_BYTES_MAX; 3]);
    assert_eq!(packets.len(), 4);
    assert_eq!(packets[0].as_ref().unwrap().bytes.as_ptr(), piece.as_ptr());
}

#[test]
fn headers_that_fill_the_packet_leave_the_body_to_the_next_one() {
    let response = |value_bytes| {
        let mut response = Response::new(StatusCode::OK, Body::full("body"));
        response.headers.insert("x", HeaderValue::from_bytes(&vec![b'v'; value_bytes]).unwrap());
        response
    };
    // {"x":"..."} and the 19 bytes before it.
    let fits = PACKET_BYTES_MAX - 19 - 8;
    let packets = cut(response(fits));
    assert_eq!(encode(packets[0].as_ref().unwrap()).unwrap().len(), PACKET_BYTES_MAX);
    assert_eq!(packets[1].as_ref().unwrap().bytes, "body");
    assert!(packets[1].as_ref().unwrap().last);
    assert_eq!(Packets::new(7, response(fits + 1)).unwrap_err().kind(), FailureKind::TooLarge);
}

#[test]
fn a_failing_body_never_says_last() {
    let packets = cut(Response::new(StatusCode::OK, body(vec![Ok("a".into()), Err(lost())])));
    assert!(!packets[0].as_ref().unwrap().last);
    assert_eq!(packets[1].as_ref().unwrap_err(), &lost());
    assert_eq!(packets.len(), 2);
}

#[test]
fn a_failing_source_fails_the_body() {
    let (pieces, end) = read(stream::iter([Ok(packet(1, false, "a")), Err(lost())]));
    assert_eq!((pieces, end), (vec![Bytes::from("a")], Some(Err(FailureKind::ConnectionLost))));
}

#[test]
fn an_impossible_head_is_a_broken_protocol() {
    for (status, name, value) in [(0, "a", "b"), (100, "a", "b"), (1000, "a", "b"), (200, "a b", "b"), (200, "a", "\n")]
    {
        let mut first = packet(1, true, "");
        first.status = Some(status);
        first.headers = Some([(name.to_owned(), value.to_owned())].into());
        assert_eq!(read(stream::iter([Ok(first)])).1, Some(Err(FailureKind::Protocol)), "{status} {name:?} {value:?}");
    }
    let other = TunnelResponse { request_id: 8, ..packet(1, true, "") };
    assert_eq!(read(stream::iter([Ok(other)])).1, Some(Err(FailureKind::Protocol)));
}

#[test]
fn a_last_packet_may_be_any_distance_ahead() {
    let mut sequence = Sequence::new(7);
    sequence.push(packet(u32::MAX, true, "")).unwrap();
    sequence.push(packet(1, false, "")).unwrap();
    assert_eq!(sequence.pop().unwrap().packet_id, 1);
    assert!(sequence.pop().is_none());
    assert_eq!(sequence.finish().unwrap_err().kind(), FailureKind::Protocol);
}

#[test]
fn waiting_packets_are_bounded_in_number_and_bytes() {
    let mut sequence = Sequence::new(7);
    for id in 2..2 + u32::try_from(SEQUENCE_PACKETS_MAX).unwrap() {
        sequence.push(packet(id, false, "x")).unwrap();
        sequence.push(packet(id, false, "again")).unwrap();
    }
    assert_eq!(sequence.push(packet(1000, false, "x")).unwrap_err().kind(), FailureKind::TooLarge);

    let mut sequence = Sequence::new(7);
    let half = Bytes::from(vec![0; SEQUENCE_BYTES_MAX / 2]);
    sequence.push(packet(2, false, half.clone())).unwrap();
    sequence.push(packet(3, false, half)).unwrap();
    sequence.push(packet(1, false, "due packets always get in")).unwrap();
    assert_eq!(sequence.push(packet(4, false, "x")).unwrap_err().kind(), FailureKind::TooLarge);
}

#[test]
fn repeated_packets_change_nothing_and_cost_nothing() {
    let full = Bytes::from(vec![0; SEQUENCE_BYTES_MAX]);
    let mut sequence = Sequence::new(7);
    sequence.push(packet(1, false, "1")).unwrap();
    assert_eq!(sequence.pop().unwrap().bytes, "1");
    sequence.push(packet(3, false, "first")).unwrap();
    for repeated in [0, 1, 3] {
        sequence.push(packet(repeated, true, full.clone())).unwrap();
    }
    sequence.push(packet(2, false, "2")).unwrap();
    assert_eq!(sequence.pop().unwrap().bytes, "2");
    assert_eq!(sequence.pop().unwrap().bytes, "first");
    assert!(!sequence.is_complete());
}

#[test]
fn packets_that_have_left_no_longer_count() {
    let half = Bytes::from(vec![0; SEQUENCE_BYTES_MAX / 2 + 1]);
    let mut sequence = Sequence::new(7);
    for id in (1..20).step_by(2) {
        sequence.push(packet(id + 1, false, half.clone())).unwrap();
        sequence.push(packet(id, false, "")).unwrap();
        assert!(sequence.pop().is_some() && sequence.pop().is_some());
    }
}

#[test]
fn a_body_of_another_length_than_declared_has_no_last_packet() {
    for (bytes, pieces, fits) in [
        (4, &["ab", "cd"][..], true),
        (0, &[], true),
        (5, &["ab", "cd"], false),
        (3, &["ab", "cd"], false),
        (1, &[], false),
    ] {
        let packets = cut(Response::new(StatusCode::OK, declared(bytes, pieces)));
        let last = packets.last().unwrap();
        if fits {
            assert!(last.as_ref().is_ok_and(|packet| packet.last), "{bytes} {pieces:?}");
        } else {
            assert_eq!(last.as_ref().unwrap_err().kind(), FailureKind::Protocol, "{bytes} {pieces:?}");
            assert!(!packets.iter().flatten().any(|packet| packet.last));
        }
    }
}

proptest! {
    #[test]
    fn what_is_cut_is_joined_again_in_any_order(
        pieces in collection::vec(prop_oneof![0usize..200, Just(70_000), Just(140_000)], 0..20),
        (reversed, repeated) in (any::<bool>(), any::<bool>()),
        swaps in collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..10),
    ) {
        let pieces: Vec<_> = (0u8..).zip(pieces).map(|(byte, length)| Bytes::from(vec![byte; length])).collect();
        let whole = pieces.concat();
        let mut response = Response::new(StatusCode::IM_A_TEAPOT, body(pieces.into_iter().map(Ok).collect()));
        response.headers.insert("x-a", HeaderValue::from_static("b"));
        let mut packets: VecDeque<_> = cut(response).into_iter().map(Result::unwrap).collect();
        prop_assert!(packets.iter().zip(1..).all(|(packet, id)| packet.packet_id == id));
        prop_assert!(packets.iter().all(|packet| encode(packet).unwrap().len() <= PACKET_BYTES_MAX));
        prop_assert!(packets.iter().rev().enumerate().all(|(index, packet)| packet.last == (index == 0)));
        for (a, b) in swaps {
            packets.swap(a.index(packets.len()), b.index(packets.len()));
        }
        if reversed {
            packets = packets.into_iter().rev().collect();
        }
        let mut arrivals = Vec::new();
        for packet in packets {
            if repeated {
                arrivals.push(Ok(TunnelResponse { bytes: packet.bytes.clone(), headers: packet.headers.clone(), ..packet }));
            }
            arrivals.push(Ok(packet));
        }
        let joined = response_from_packets(7, stream::iter(arrivals)).now_or_never().unwrap().unwrap();
        prop_assert_eq!(joined.status, StatusCode::IM_A_TEAPOT);
        prop_assert_eq!(&joined.headers, &HeaderMap::from_iter([("x-a".parse().unwrap(), HeaderValue::from_static("b"))]));
        prop_assert_eq!(joined.body.collect().now_or_never().unwrap().unwrap().to_bytes(), whole);
    }
}
