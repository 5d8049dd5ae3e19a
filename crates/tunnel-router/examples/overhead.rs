//! What the router costs a request over a p2p that works: `cargo run --release -p tunnel-router --example overhead`.
//!
//! The transport below answers at once, from memory, so that nothing else is measured.
#![expect(clippy::print_stdout, reason = "it is what the example is for")]

use std::{future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::time::Instant;
use tunnel_core::{
    Body, Failure, FailureKind, Health, PathKind, Request, Response, SendError, Transport, WsOpen, WsUpgrade,
};
use tunnel_router::{Router, RouterConfig};

const ROUNDS: u32 = 200_000;

struct Instantly {
    frames: usize,
}

#[async_trait]
impl Transport for Instantly {
    async fn send(&self, _: Request) -> Result<Response, SendError> {
        static PIECE: [u8; 64 << 10] = [7; 64 << 10];
        let piece = || Ok(Frame::data(Bytes::from_static(&PIECE)));
        let body = match self.frames {
            0 => Body::full("ok"),
            frames => Body::stream(StreamBody::new(futures::stream::iter((0..frames).map(move |_| piece())))),
        };
        Ok(Response::new(StatusCode::OK, body))
    }

    async fn open_ws(&self, _: WsOpen) -> Result<WsUpgrade, Failure> {
        Err(Failure::new(FailureKind::Unsupported, "no WebSockets here"))
    }

    fn health(&self) -> Health {
        Health::Healthy { path: PathKind::Direct, client_id: Some("home".to_owned()) }
    }

    async fn probe(&self) -> Result<(), Failure> {
        Ok(())
    }
}

fn request(method: Method) -> Request {
    let request = http::Request::builder()
        .method(method)
        .uri("/files/track?trackId=1&clientId=home")
        .header("host", "localhost:8016")
        .header("user-agent", "app")
        .header("accept", "*/*")
        .header("authorization", "secret")
        .header("accept-encoding", "gzip, br");
    Request::http(1, request.body(()).expect("a valid request").into_parts().0, Body::empty())
}

async fn measure<F: Future<Output = ()>>(name: &str, rounds: u32, round: impl Fn() -> F) {
    for _ in 0..rounds / 10 {
        round().await;
    }
    let begun = Instant::now();
    for _ in 0..rounds {
        round().await;
    }
    let each: Duration = begun.elapsed() / rounds;
    println!("{name:<48} {each:>10.0?}");
}

async fn once(transport: &dyn Transport, method: Method) {
    let Ok(response) = transport.send(request(method)).await else { return };
    let mut body = response.body;
    while let Some(Ok(_)) = body.frame().await {}
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    for (name, frames, rounds) in [
        ("answer in memory", 0, ROUNDS),
        ("streamed, 1 frame", 1, ROUNDS),
        ("streamed, 1,000 frames", 1_000, ROUNDS / 500),
    ] {
        let p2p: Arc<dyn Transport> = Arc::new(Instantly { frames });
        let legacy: Arc<dyn Transport> = Arc::new(Instantly { frames });
        let router = Router::start(Some(Arc::clone(&p2p)), Some(legacy), RouterConfig::default());
        let router = router.expect("the settings are right");
        tokio::task::yield_now().await;
        for method in [Method::GET, Method::POST] {
            let direct = format!("{method}, {name}, without a router");
            measure(&direct, rounds, || once(p2p.as_ref(), method.clone())).await;
            measure(&format!("{method}, {name}, routed"), rounds, || once(&router, method.clone())).await;
        }
    }
}
