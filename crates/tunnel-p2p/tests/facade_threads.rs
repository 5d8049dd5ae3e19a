//! A sender on many threads, with clients that choose the same ids, leave at any time, and a loop that hears no abort.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, sync::Arc};

use http_body_util::BodyExt;
use serde_json::json;
use tokio::{
    sync::mpsc,
    task::{JoinSet, yield_now},
};
use tunnel_core::{
    Handler, Request,
    moosicbox_tunnel::{TunnelHttpRequest, TunnelRequest, TunnelResponse},
    packet::encode,
};
use tunnel_p2p::sender::{P2PTunnelSender, SenderConfig, TunnelMessage};

/// The packets of each answer, all of which say whose it is.
const PACKETS: u32 = 6;
const CLIENTS: u64 = 8;
const REQUESTS: u64 = 2000;

fn request(id: u64, secret: u64) -> Request {
    Request::tunnel(TunnelHttpRequest {
        request_id: id,
        method: serde_json::from_value(json!("POST")).unwrap(),
        path: "x".to_owned(),
        query: json!({}),
        payload: Some(json!(secret)),
        headers: None,
        encoding: serde_json::from_value(json!("BINARY")).unwrap(),
        profile: None,
    })
}

/// Answers everything to its end, whether anybody listens or not.
async fn serve(sender: P2PTunnelSender, mut messages: mpsc::Receiver<TunnelMessage>) {
    let mut answering = JoinSet::new();
    while let Some(TunnelMessage::Text(text)) = messages.recv().await {
        while answering.try_join_next().is_some() {}
        let TunnelRequest::Http(request) = serde_json::from_str(&text).unwrap() else { continue };
        let sender = sender.clone();
        answering.spawn(async move {
            let (request_id, secret) = (request.request_id, request.payload.unwrap().to_string());
            for packet_id in 1..=PACKETS {
                let (status, headers) = (packet_id == 1).then(|| (200, BTreeMap::new())).unzip();
                let (last, bytes) = (packet_id == PACKETS, format!("{secret};").into());
                let packet = TunnelResponse { request_id, packet_id, last, bytes, status, headers };
                sender.send_bytes_paced(request_id, packet_id, encode(&packet).unwrap()).await.ok();
                yield_now().await;
            }
        });
    }
}

/// Sends one request, and leaves after so many pieces of its answer; 0 is before its head.
async fn ask(handler: &Arc<dyn Handler>, id: u64, secret: u64, pieces: u32) {
    let asking = handler.http(request(id, secret));
    if pieces == 0 {
        tokio::select! {
            biased;
            _ = asking => {}
            () = async { for _ in 0..secret % 7 { yield_now().await } } => {}
        }
        return;
    }
    let mut body = asking.await.unwrap().body;
    let mut read = String::new();
    for _ in 0..pieces {
        let Some(frame) = body.frame().await else { break };
        read.push_str(std::str::from_utf8(&frame.unwrap().into_data().unwrap()).unwrap());
    }
    let expected = format!("{secret};").repeat(PACKETS as usize);
    assert!(expected.starts_with(&read), "{read:?} is not the answer to {secret}");
    if pieces > PACKETS {
        assert_eq!(read, expected);
    }
}

#[test]
fn no_answer_reaches_anybody_else() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
    runtime.block_on(async {
        let mut config = SenderConfig::default();
        config.seed = Some(1);
        let (sender, _handle) = P2PTunnelSender::detached(config);
        let messages = sender.start();
        let mut tasks = JoinSet::new();
        for client in 0..CLIENTS {
            let handler = sender.handler();
            tasks.spawn(async move {
                for number in 0..REQUESTS {
                    // Whoever is next chooses the id of one that has just ended, or is about to.
                    let secret = client * REQUESTS + number;
                    let pieces = u32::try_from(secret * 7 % 11).unwrap();
                    ask(&handler, number / 2, secret, pieces).await;
                }
            });
        }
        let mut serving = JoinSet::new();
        serving.spawn(serve(sender, messages));
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        assert_eq!(serving.len(), 1);
        assert!(serving.try_join_next().is_none(), "the loop has ended");
    });
}
