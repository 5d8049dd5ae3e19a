//! What travels on the streams of a client that does not keep to the rules, and what a host makes of it.

use p2p_provider::{P2PConnection, P2PProvider, SendStream, UNREAD_CHUNKS_MAX};
use tokio::time::{Duration, sleep, timeout};
use tunnel_core::FailureKind;

use super::{
    patience::{soon, waits},
    raw::{
        Answer, BULK, CONTROL, CREDIT, DATA, END, HEAD, HTTP, MOVED, PONG, ROLE_BULK, ROLE_MAIN, RawStream, Scene,
        Size, TUNNEL_HEAD, WEBSOCKET, WS_TEXT, encode, end, frame, head, request,
    },
};
use crate::backend::PeerBackend;

const PROTOCOL: Answer = Answer::Reset(FailureKind::Protocol);
const TOO_LARGE: Answer = Answer::Reset(FailureKind::TooLarge);
const MALFORMED: Answer = Answer::Failed(FailureKind::Protocol);

pub async fn streams_that_begin_wrongly_are_reset<B: PeerBackend>(backend: B) {
    let scene = Scene::new(&backend).await;
    let of_kind = |kind: u8, bytes: Vec<u8>| [vec![kind], bytes].concat();
    let get = || head("GET", "/", Size::None);
    ends(
        &scene,
        [
            ("garbage", vec![9; 100], PROTOCOL),
            ("a second control stream", of_kind(CONTROL, scene.hello(ROLE_MAIN, 5)), PROTOCOL),
            ("a bulk stream with two directions", of_kind(BULK, get()), PROTOCOL),
            ("an unknown frame", of_kind(HTTP, frame(0x7f, [])), PROTOCOL),
            ("data without a head", of_kind(HTTP, frame(DATA, b"x")), PROTOCOL),
            ("an end without a head", of_kind(HTTP, end()), MALFORMED),
            ("a hello", of_kind(HTTP, scene.hello(ROLE_MAIN, 5)), MALFORMED),
            ("a WebSocket that begins with data", of_kind(WEBSOCKET, frame(DATA, b"x")), PROTOCOL),
            ("a WebSocket that begins with a message", of_kind(WEBSOCKET, frame(WS_TEXT, b"x")), PROTOCOL),
            ("nothing but a kind", of_kind(HTTP, Vec::new()), PROTOCOL),
            ("a head cut short", of_kind(HTTP, get()[..9].to_vec()), PROTOCOL),
        ],
    )
    .await;
}

pub async fn heads_that_make_no_sense_are_refused<B: PeerBackend>(backend: B) {
    let scene = Scene::new(&backend).await;
    let headers = |name: &str, count: usize| {
        let list = vec![(name.to_owned(), b"value".to_vec()); count];
        frame(HEAD, encode(("GET", "/", list, Size::None)))
    };
    let of_kind = |frame: Vec<u8>| [vec![HTTP], frame].concat();
    ends(
        &scene,
        [
            ("garbage", of_kind(frame(HEAD, [0xff; 50])), MALFORMED),
            ("nothing", of_kind(frame(HEAD, [])), MALFORMED),
            ("an absolute target", of_kind(head("GET", "http://example.org/", Size::None)), MALFORMED),
            ("a target with a line break", of_kind(head("GET", "/a\r\nb: c", Size::None)), MALFORMED),
            ("a method of two words", of_kind(head("GET IT", "/", Size::None)), MALFORMED),
            ("a header with a colon", of_kind(headers("a:b", 1)), MALFORMED),
            ("more fields than allowed", of_kind(headers("a", 1025)), MALFORMED),
            ("no JSON where JSON is due", of_kind(frame(TUNNEL_HEAD, b"{")), MALFORMED),
            ("longer than allowed", of_kind(frame(HEAD, vec![0; (128 << 10) + 1])), TOO_LARGE),
            ("gigabytes", [&[HTTP, HEAD][..], &u32::MAX.to_be_bytes()].concat(), TOO_LARGE),
            ("as many fields as allowed", of_kind(headers("a", 1024)), ok("ok")),
        ],
    )
    .await;
}

/// The service behind the host gets an error in place of an end that is not one.
pub async fn bodies_that_break_the_rules_end_in_an_error<B: PeerBackend>(backend: B) {
    let scene = Scene::new(&backend).await;
    let post = |size: Size, frames: &[Vec<u8>]| [request("POST", "/", size), frames.concat()].concat();
    let data = |bytes: &[u8]| frame(DATA, bytes);
    let (exact, unknown) = (Size::Exact(3), Size::Unknown);
    ends(
        &scene,
        [
            ("longer than declared", post(exact, &[data(b"abcd"), end()]), PROTOCOL),
            ("longer than declared, in pieces", post(exact, &[data(b"ab"), data(b"cd"), end()]), PROTOCOL),
            ("shorter than declared", post(exact, &[data(b"ab"), end()]), PROTOCOL),
            ("the end of the stream before the end of the body", post(exact, &[data(b"abc")]), PROTOCOL),
            ("the same, of unknown length", post(unknown, &[data(b"abc")]), PROTOCOL),
            ("the end of the stream inside a frame", post(unknown, &[data(b"abcd")[..7].to_vec()]), PROTOCOL),
            ("the end of the stream inside a header", post(unknown, &[data(b"abc"), vec![DATA, 0]]), PROTOCOL),
            ("an empty piece", post(unknown, &[data(b"")]), PROTOCOL),
            ("a piece over the limit", post(unknown, &[vec![DATA, 0, 0x10, 0, 1]]), TOO_LARGE),
            ("a second head", post(unknown, &[head("GET", "/", Size::None)]), PROTOCOL),
            ("a message of a WebSocket", post(unknown, &[frame(WS_TEXT, b"x")]), PROTOCOL),
            ("an unknown frame", post(unknown, &[frame(0x7f, b"x")]), PROTOCOL),
            ("trailers that are garbage", post(unknown, &[frame(END, [0xff; 20])]), PROTOCOL),
            ("announced twice as moved", post(unknown, &[frame(MOVED, []), frame(MOVED, [])]), PROTOCOL),
            ("moved, with a payload", post(unknown, &[frame(MOVED, b"x")]), TOO_LARGE),
            ("as declared", post(exact, &[data(b"ab"), data(b"c"), end()]), ok("abc")),
        ],
    )
    .await;
}

/// What a later minor version may add to what this one knows.
pub async fn unknown_optional_frames_and_appended_fields_are_ignored<B: PeerBackend>(backend: B) {
    let scene = Scene::new(&backend).await;
    let fields = ("POST", "/", Vec::<(String, Vec<u8>)>::new(), Size::Unknown);
    let head = frame(HEAD, [encode(fields), encode((1_u64, "appended"))].concat());
    let end = frame(END, [encode(Vec::<(String, Vec<u8>)>::new()), encode("appended")].concat());
    let optional = |bytes: usize| frame(0x80, vec![1; bytes]);
    let frames = [
        optional(16 << 10),
        head.clone(),
        optional(0),
        frame(DATA, b"ab"),
        frame(0xff, b"x"),
        frame(DATA, b"c"),
        optional(3),
        end,
        optional(3),
    ];
    ends(
        &scene,
        [
            ("optional frames everywhere", [vec![HTTP], frames.concat()].concat(), ok("abc")),
            ("a long optional frame", [vec![HTTP], optional((16 << 10) + 1)].concat(), TOO_LARGE),
            ("the same in a body", [vec![HTTP], head, optional((16 << 10) + 1)].concat(), TOO_LARGE),
        ],
    )
    .await;
}

pub async fn a_request_that_is_reset_ends_in_an_error<B: PeerBackend>(backend: B) {
    let scene = Scene::new(&backend).await;
    let (connection, _control) = scene.welcomed(ROLE_MAIN, 5).await;
    let bytes = [request("POST", "/", Size::Unknown), frame(DATA, b"ab")].concat();
    let mut stream = RawStream::open(&connection, bytes).await;
    stream.expect(HEAD).await;
    assert_eq!(stream.expect(DATA).await, "ab");
    stream.send.reset(FailureKind::Timeout.code().into());
    assert_eq!(stream.answer().await, Answer::Reset(FailureKind::Timeout));
    scene.others_still_work().await;
}

pub async fn a_body_goes_on_where_it_was_moved<B: PeerBackend>(backend: B) {
    let scene = Scene::new(&backend).await;
    let (main, _main_control) = scene.welcomed(ROLE_MAIN, 5).await;
    let (bulk, _bulk_control) = scene.welcomed(ROLE_BULK, 5).await;
    let bytes = [request("POST", "/", Size::Exact(5)), frame(DATA, b"ab"), frame(MOVED, [])].concat();
    let mut stream = RawStream::open(&main, bytes).await;
    let rest = continuation(&bulk, stream.send.id(), [frame(DATA, b"cde"), end()].concat()).await;
    assert_eq!(stream.answer().await, Answer::Response(200, b"abcde".to_vec()));
    drop(rest);
    scene.others_still_work().await;
}

/// The continuation comes on another connection, which may be the faster one.
pub async fn a_continuation_may_be_faster_than_its_exchange<B: PeerBackend>(backend: B) {
    let scene = Scene::new(&backend).await;
    let (main, _main_control) = scene.welcomed(ROLE_MAIN, 5).await;
    let (bulk, mut bulk_control) = scene.welcomed(ROLE_BULK, 5).await;
    let mut stream = RawStream::unwritten(&main).await;
    let rest = continuation(&bulk, stream.send.id(), [frame(DATA, b"cde"), end()].concat()).await;
    // What was sent before this is there now.
    bulk_control.ping(1).await;
    stream.write([request("POST", "/", Size::Unknown), frame(DATA, b"ab"), frame(MOVED, [])].concat()).await;
    assert_eq!(stream.answer().await, Answer::Response(200, b"abcde".to_vec()));
    drop(rest);
    scene.others_still_work().await;
}

pub async fn a_body_that_is_announced_as_moved_but_not_sent_ends_in_an_error<B: PeerBackend>(backend: B) {
    let scene = Scene::new(&backend).await;
    let (main, mut control) = scene.welcomed(ROLE_MAIN, 5).await;
    let (bulk, mut bulk_control) = scene.welcomed(ROLE_BULK, 5).await;
    let bytes = [request("POST", "/", Size::Unknown), frame(DATA, b"ab"), frame(MOVED, [])].concat();
    let mut stream = RawStream::open(&main, bytes).await;
    // That of another exchange is none.
    let _other = continuation(&bulk, stream.send.id() + 400, end()).await;
    // The host waits as long for it as for a sign of life.
    let life = async {
        loop {
            for control in [&mut control, &mut bulk_control] {
                control.write(frame(PONG, encode((0_u64,)))).await;
            }
            sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::select! {
        biased;
        answer = stream.answer() => assert_eq!(answer, PROTOCOL),
        () = life => {}
    }
    scene.others_still_work().await;
}

pub async fn the_second_continuation_of_a_body_is_stopped<B: PeerBackend>(backend: B) {
    let scene = Scene::new(&backend).await;
    let (main, _main_control) = scene.welcomed(ROLE_MAIN, 5).await;
    let (bulk, _bulk_control) = scene.welcomed(ROLE_BULK, 5).await;
    let bytes = [request("POST", "/", Size::Unknown), frame(MOVED, [])].concat();
    let mut stream = RawStream::open(&main, bytes).await;
    let mut first = continuation(&bulk, stream.send.id(), frame(DATA, b"the ")).await;
    stream.expect(HEAD).await;
    assert_eq!(stream.expect(DATA).await, "the ");
    let second = continuation(&bulk, stream.send.id(), [frame(DATA, b"other"), end()].concat()).await;
    assert_eq!(soon(second.stopped()).await, Some(0));
    first.write_chunks(&mut [[frame(DATA, b"same"), end()].concat().into()]).await.unwrap();
    assert_eq!(stream.expect(DATA).await, "same");
    stream.expect(END).await;
    scene.others_still_work().await;
}

pub async fn bulk_streams_that_belong_to_nothing_harm_nobody<B: PeerBackend>(backend: B) {
    let scene = Scene::new(&backend).await;
    let (main, _main_control) = scene.welcomed(ROLE_MAIN, 5).await;
    let (bulk, _bulk_control) = scene.welcomed(ROLE_BULK, 5).await;
    let mut over = RawStream::open(&main, request("GET", "/", Size::None)).await;
    over.send.finish();
    assert_eq!(over.answer().await, ok("ok"));
    // The exchange is over; and what is no continuation at all.
    for bytes in [bulk_preface(over.send.id()), vec![9; 20], vec![HTTP; 20]] {
        let mut stream = soon(bulk.open_uni()).await.unwrap();
        stream.write_chunks(&mut [bytes.into()]).await.ok();
        assert_eq!(soon(stream.stopped()).await, Some(0));
    }
    // Exchanges that may still come, and one that comes twice.
    let mut kept = Vec::new();
    for number in [400, 404, 404, u64::MAX] {
        kept.push(continuation(&bulk, number, vec![1; 50]).await);
    }
    let mut next = RawStream::open(&main, request("GET", "/", Size::None)).await;
    assert_eq!(next.answer().await, ok("ok"));
    scene.others_still_work().await;
}

/// A peer that never grants a credit gets 512 frames, however fast it reads, and then as many as it grants.
pub async fn a_host_sends_no_more_frames_than_it_has_credits_for<B: PeerBackend>(backend: B) {
    let scene = Scene::new(&backend).await;
    let (connection, mut control) = scene.welcomed(ROLE_MAIN, 5).await;
    let mut stream = RawStream::open(&connection, request("GET", "/endless", Size::None)).await;
    stream.expect(HEAD).await;
    for granted in [UNREAD_CHUNKS_MAX, 128, 1] {
        if granted != UNREAD_CHUNKS_MAX {
            control.write(frame(CREDIT, encode((stream.send.id(), granted)))).await;
        }
        for _ in 0..granted {
            stream.expect(DATA).await;
        }
        assert!(waits(&mut Box::pin(stream.frame())).await, "a frame without a credit");
    }
    // More than there can be is as good as all of them.
    control.write(frame(CREDIT, encode((stream.send.id(), u32::MAX)))).await;
    for _ in 0..UNREAD_CHUNKS_MAX {
        stream.expect(DATA).await;
    }
    assert!(waits(&mut Box::pin(stream.frame())).await, "a frame without a credit");
    scene.others_still_work().await;
}

/// A peer that takes no notice of credits and writes into a request that nobody reads: it is held up, or loses its own
/// connection.
pub async fn a_flood_of_frames_that_nobody_reads_harms_only_its_sender<B: PeerBackend>(backend: B) {
    let scene = Scene::new(&backend).await;
    let (connection, _control) = scene.welcomed(ROLE_MAIN, 5).await;
    let mut stream = RawStream::open(&connection, request("POST", "/unread", Size::Unknown)).await;
    let piece = frame(DATA, [1; 200]);
    let mut written = 0;
    loop {
        // Above every window that a stream may have.
        assert!(written < 4 << 20, "the host takes whatever comes");
        let mut chunks = [piece.clone().into()];
        match timeout(Duration::from_millis(300), stream.send.write_chunks(&mut chunks)).await {
            Ok(Ok(())) => written += piece.len(),
            Ok(Err(_)) | Err(_) => break,
        }
    }
    scene.others_still_work().await;
}

pub async fn requests_and_websockets_over_the_limit_are_told_so<B: PeerBackend>(backend: B) {
    let scene = Scene::with(&backend, |config| {
        config.max_requests = 2;
        config.max_websockets = 1;
    })
    .await;
    let (connection, _control) = scene.welcomed(ROLE_MAIN, 5).await;
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut stream = RawStream::open(&connection, request("POST", "/", Size::Unknown)).await;
        stream.write(frame(DATA, b"begun")).await;
        stream.expect(HEAD).await;
        kept.push(stream);
    }
    let mut third = RawStream::open(&connection, request("GET", "/", Size::None)).await;
    assert_eq!(third.answer().await, Answer::Failed(FailureKind::Overloaded));
    let open_websocket = || [vec![WEBSOCKET], head("GET", "/", Size::None)].concat();
    // Which of the two is served is the host's choice.
    let mut websockets =
        [RawStream::open(&connection, open_websocket()).await, RawStream::open(&connection, open_websocket()).await];
    let [one, other] = &mut websockets;
    let refused = soon(async {
        tokio::select! {
            biased;
            answer = one.answer() => answer,
            answer = other.answer() => answer,
        }
    });
    assert_eq!(refused.await, Answer::Failed(FailureKind::Overloaded));
    scene.others_still_work().await;

    // What ends makes room.
    let mut first = kept.remove(0);
    first.write(end()).await;
    first.expect(DATA).await;
    first.expect(END).await;
    let again = async {
        loop {
            let mut stream = RawStream::open(&connection, request("GET", "/", Size::None)).await;
            match stream.answer().await {
                Answer::Failed(FailureKind::Overloaded) => sleep(Duration::from_millis(5)).await,
                answer => return answer,
            }
        }
    };
    assert_eq!(soon(again).await, ok("ok"));
}

/// 100 requests and 32 streams to spare.
pub async fn streams_over_the_limit_are_not_opened<B: PeerBackend>(backend: B) {
    let scene = Scene::with(&backend, |config| {
        config.max_requests = 100;
        config.max_websockets = 0;
    })
    .await;
    let (connection, _control) = scene.welcomed(ROLE_MAIN, 5).await;
    let mut open = Vec::new();
    // One is the control stream.
    for _ in 1..132 {
        open.push(soon(connection.open_bi()).await.unwrap());
    }
    assert!(waits(&mut Box::pin(connection.open_bi())).await, "one more than allowed");
    scene.others_still_work().await;
}

/// Writes each of these on a stream of its own, and looks what comes of it, on the stream and for others.
async fn ends<P: P2PProvider, const COUNT: usize>(scene: &Scene<P>, cases: [(&str, Vec<u8>, Answer); COUNT]) {
    let (connection, _control) = scene.welcomed(ROLE_MAIN, 5).await;
    for (name, bytes, expected) in cases {
        let mut stream = RawStream::open(&connection, bytes).await;
        stream.send.finish();
        assert_eq!(stream.answer().await, expected, "{name}");
        assert_eq!(connection.close_reason(), None, "{name}");
    }
    scene.others_still_work().await;
}

/// A response of the service.
fn ok(body: &str) -> Answer {
    Answer::Response(200, body.as_bytes().to_vec())
}

fn bulk_preface(number: u64) -> Vec<u8> {
    [&[BULK][..], &number.to_be_bytes()].concat()
}

/// The rest of the body of an exchange. It must be kept.
async fn continuation<C: P2PConnection>(bulk: &C, number: u64, frames: Vec<u8>) -> C::SendStream {
    let mut stream = soon(bulk.open_uni()).await.unwrap();
    soon(stream.write_chunks(&mut [bulk_preface(number).into(), frames.into()])).await.unwrap();
    stream
}
