//! Requests of a receiver, to a sender and to any other host.

use futures::StreamExt;
use tunnel_core::{FailureKind, moosicbox_tunnel::TunnelRequest};
use tunnel_p2p::receiver::P2PTunnelReceiver;

use crate::support::{packet_bytes, soon, spawn, started, tunnel_request};

#[tokio::test]
async fn a_response_is_its_head_and_its_packets() {
    let mut tunnel = started();
    let peers = tunnel.peers().await;
    let (receiver, _events) = P2PTunnelReceiver::new(std::sync::Arc::new(peers.client.clone()));
    let asking = spawn({
        let receiver = receiver.clone();
        async move { receiver.send(TunnelRequest::Http(tunnel_request(7))).await }
    });
    tunnel.http().await;
    tunnel.sender.send_bytes(7, 1, packet_bytes(7, 1, false, b"a")).unwrap();
    let mut response = soon("a head", asking).await.unwrap().unwrap().unwrap();
    assert_eq!((response.request_id, response.status), (7, 200));
    assert_eq!(response.headers["content-type"], "audio/flac");
    tunnel.sender.send_bytes(7, 2, packet_bytes(7, 2, true, b"b")).unwrap();
    let mut packets = Vec::new();
    while let Some(packet) = soon("a packet", response.packets.next()).await {
        packets.push(packet.unwrap());
    }
    assert_eq!(packets[0].status, Some(200));
    assert_eq!(packets[0].headers.as_ref(), Some(&response.headers));
    assert!(packets.iter().enumerate().all(|(index, packet)| packet.packet_id as usize == index + 1));
    assert!(packets.iter().all(|packet| packet.request_id == 7));
    assert!(packets.iter().rev().skip(1).all(|packet| !packet.last));
    assert!(packets.last().unwrap().last);
    let body: Vec<u8> = packets.iter().flat_map(|packet| packet.bytes.to_vec()).collect();
    assert_eq!(body, b"ab");
}

#[tokio::test]
async fn an_abort_reaches_the_loop_before_the_head_and_in_the_body() {
    let mut tunnel = started();
    let peers = tunnel.peers().await;
    let (receiver, _events) = P2PTunnelReceiver::new(std::sync::Arc::new(peers.client.clone()));
    let ask = |id| {
        let receiver = receiver.clone();
        spawn(async move { receiver.http(tunnel_request(id)).await })
    };
    let abort =
        |id| serde_json::from_value::<TunnelRequest>(serde_json::json!({"type": "ABORT", "request_id": id})).unwrap();

    let asking = ask(7);
    tunnel.http().await;
    assert!(receiver.send(abort(7)).await.unwrap().is_none());
    assert_eq!(asking.await.unwrap().unwrap_err().failure().kind(), FailureKind::Aborted);
    assert_eq!(tunnel.abort().await, 7);

    let asking = ask(8);
    tunnel.http().await;
    tunnel.sender.send_bytes(8, 1, packet_bytes(8, 1, false, b"a")).unwrap();
    let mut response = asking.await.unwrap().unwrap();
    soon("a packet", response.packets.next()).await.unwrap().unwrap();
    receiver.send(abort(8)).await.unwrap();
    let failure = soon("the end", response.packets.next()).await.unwrap().unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Aborted);
    assert!(response.packets.next().await.is_none());
    assert_eq!(tunnel.abort().await, 8);
}

#[tokio::test]
async fn an_id_that_is_in_flight_is_refused_and_free_again_afterwards() {
    let mut tunnel = started();
    let peers = tunnel.peers().await;
    let (receiver, _events) = P2PTunnelReceiver::new(std::sync::Arc::new(peers.client.clone()));
    let asking = spawn({
        let receiver = receiver.clone();
        async move { receiver.http(tunnel_request(7)).await }
    });
    tunnel.http().await;
    let refused = receiver.http(tunnel_request(7)).await.unwrap_err();
    assert!(refused.failure().message().contains("request_id 7 is in flight"), "{refused}");
    assert!(refused.into_request().is_some(), "it comes back");
    asking.abort();
    asking.await.unwrap_err();
    assert_eq!(tunnel.abort().await, 7);
    let asking = spawn(async move { receiver.http(tunnel_request(7)).await });
    // To the loop it is another one: what it may still say to the first must not reach the second.
    let id = tunnel.http().await.request_id;
    assert_ne!(id, 7);
    tunnel.sender.send_bytes(id, 1, packet_bytes(id, 1, true, b"")).unwrap();
    assert_eq!(asking.await.unwrap().unwrap().status, 200);
}
