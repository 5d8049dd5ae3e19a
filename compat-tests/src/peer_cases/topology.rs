//! More than two peers, and more than one connection.

use std::collections::BTreeSet;

use futures::future::join_all;
use p2p_provider::{CloseReason, Direction, P2PConnection, P2PListener, P2PProvider, SendStream};

use super::{
    pair::{Pair, connect, dial, echo, listening, read_to_end},
    patience::{soon, until},
};
use crate::backend::PeerBackend;

/// A peer of a topology.
struct Node<P: P2PProvider> {
    peer: P,
    listener: P::Listener,
}

/// A connection of a topology, with both its ends.
struct Edge<C> {
    from: usize,
    to: usize,
    dialled: C,
    accepted: C,
}

pub async fn a_star_of_ten_dials_at_once<B: PeerBackend>(backend: B) {
    let (server, mut listener) = listening(&backend).await;
    let address = server.local_addr();
    let clients = join_all((0..10).map(|_| backend.peer())).await;

    let accept = async {
        let mut accepted = Vec::new();
        for _ in 0..10 {
            accepted.push(listener.accept().await.unwrap());
        }
        accepted
    };
    let config = dial();
    let dials = join_all(clients.iter().map(|client| client.connect(&address, &config)));
    let (accepted, dialled) = soon(async { tokio::join!(accept, dials) }).await;

    let dialled: Vec<_> = dialled.into_iter().map(|dialled| dialled.unwrap()).collect();
    assert_eq!(server.connections().len(), 10);
    // Each answer reaches the one who asked.
    for (client, connection) in clients.iter().zip(&dialled) {
        let other = accepted.iter().find(|other| other.peer_info().id == client.local_peer_id()).unwrap();
        echo(connection, other).await;
    }
}

/// Everybody passes on, with their own mark, what the one before them says: three times round.
pub async fn a_word_goes_round_a_ring<B: PeerBackend>(backend: B) {
    let mut nodes = nodes(&backend, 5).await;
    let mut edges = Vec::new();
    for from in 0..5 {
        edges.push(edge(&mut nodes, from, (from + 1) % 5).await);
    }
    let mut places = Vec::new();
    for place in 0..5 {
        let (mut from_last, mut to_next) =
            (edges[(place + 4) % 5].accepted.messages(), edges[place].dialled.messages());
        places.push(async move {
            if place == 0 {
                to_next.send("0".into()).await.unwrap();
            }
            let mut word = String::new();
            for round in 0..3 {
                word = String::from_utf8(from_last.recv().await.unwrap().unwrap().to_vec()).unwrap();
                if place != 0 || round < 2 {
                    to_next.send(format!("{word}{place}").into()).await.unwrap();
                }
            }
            // Both ends stay until the last word has gone all the way.
            (word, from_last, to_next)
        });
    }
    let words: Vec<_> = soon(join_all(places)).await.into_iter().map(|(word, ..)| word).collect();
    assert_eq!(words[0], "012340123401234");
    assert_eq!(words[4], "01234012340123");
}

pub async fn five_peers_form_a_full_mesh<B: PeerBackend>(backend: B) {
    let (nodes, edges) = mesh(&backend).await;
    for (place, node) in nodes.iter().enumerate() {
        let list = node.peer.connections();
        let others: BTreeSet<_> = list.iter().map(|info| info.peer.id).collect();
        let expected: BTreeSet<_> = nodes.iter().map(|node| node.peer.local_peer_id()).collect();
        assert_eq!(list.len(), 4);
        assert_eq!(others.len(), 4);
        assert!(others.is_subset(&expected) && !others.contains(&node.peer.local_peer_id()));
        // Everybody dialled those after them.
        assert_eq!(list.iter().filter(|info| info.direction == Direction::Outgoing).count(), 4 - place);
    }
    // All at once, in both directions.
    let there = join_all(edges.iter().map(|edge| echo(&edge.dialled, &edge.accepted)));
    let back = join_all(edges.iter().map(|edge| echo(&edge.accepted, &edge.dialled)));
    soon(async { tokio::join!(there, back) }).await;
}

pub async fn a_peer_that_leaves_a_mesh_is_missed_by_all_and_hurts_none<B: PeerBackend>(backend: B) {
    let (nodes, edges) = mesh(&backend).await;
    soon(nodes[2].peer.close()).await;
    for edge in &edges {
        match (edge.from, edge.to) {
            (2, _) => assert!(matches!(soon(edge.accepted.closed()).await, CloseReason::Peer { .. })),
            (_, 2) => assert!(matches!(soon(edge.dialled.closed()).await, CloseReason::Peer { .. })),
            _ => echo(&edge.dialled, &edge.accepted).await,
        }
    }
    for (place, node) in nodes.iter().enumerate() {
        assert_eq!(node.peer.connections().len(), if place == 2 { 0 } else { 3 });
    }
}

pub async fn two_connections_between_the_same_peers_are_two<B: PeerBackend>(backend: B) {
    let mut pair = Pair::new(&backend).await;
    let (second, second_accepted) = pair.another().await;
    assert_ne!(pair.dialled.id(), second.id());
    assert_ne!(pair.accepted.id(), second_accepted.id());
    // What is said on the one is not heard on the other.
    for (word, from, to) in [("one", &pair.dialled, &pair.accepted), ("two", &second, &second_accepted)] {
        let (mut sender, mut receiver) = (from.messages(), to.messages());
        soon(sender.send(word.into())).await.unwrap();
        soon(sender.finish()).await.unwrap();
        assert_eq!(soon(receiver.recv()).await.unwrap().unwrap(), word);
        assert_eq!(soon(receiver.recv()).await, Ok(None));
    }
    pair.dialled.close(1, "one is enough");
    soon(pair.accepted.closed()).await;
    echo(&second, &second_accepted).await;
    echo(&second_accepted, &second).await;
    assert_eq!(pair.client.connections().len(), 1);
}

pub async fn both_sides_may_dial_at_once<B: PeerBackend>(backend: B) {
    let (a, mut a_listener) = listening(&backend).await;
    let (b, mut b_listener) = listening(&backend).await;
    let (a_address, b_address, config) = (a.local_addr(), b.local_addr(), dial());
    let all = async {
        tokio::join!(
            a.connect(&b_address, &config),
            b.connect(&a_address, &config),
            a_listener.accept(),
            b_listener.accept()
        )
    };
    let (from_a, from_b, at_a, at_b) = soon(all).await;
    let (from_a, from_b, at_a, at_b) = (from_a.unwrap(), from_b.unwrap(), at_a.unwrap(), at_b.unwrap());
    for peer in [&a, &b] {
        let mut directions: Vec<_> = peer.connections().iter().map(|info| info.direction).collect();
        directions.sort_by_key(|direction| *direction == Direction::Incoming);
        assert_eq!(directions, [Direction::Outgoing, Direction::Incoming]);
    }
    echo(&from_a, &at_b).await;
    echo(&from_b, &at_a).await;
    // Neither is the other by another name.
    from_a.close(1, "");
    soon(at_b.closed()).await;
    echo(&at_a, &from_b).await;
}

/// The one in the middle answers and asks at the same time, as a peer between two others does.
pub async fn a_peer_dials_while_it_listens<B: PeerBackend>(backend: B) {
    let mut nodes = nodes(&backend, 3).await;
    let first = edge(&mut nodes, 0, 1).await;
    let second = edge(&mut nodes, 1, 2).await;
    let middle = async {
        let (mut to_first, mut from_first) = first.accepted.accept_bi().await.unwrap();
        let (mut to_last, mut from_last) = second.dialled.open_bi().await.unwrap();
        let question = read_to_end(&mut from_first).await.unwrap();
        to_last.write_chunks(&mut [question.into()]).await.unwrap();
        to_last.finish();
        let answer = read_to_end(&mut from_last).await.unwrap();
        to_first.write_chunks(&mut [answer.into()]).await.unwrap();
        to_first.finish();
        to_first.stopped().await;
    };
    let last = async {
        let (mut send, mut recv) = second.accepted.accept_bi().await.unwrap();
        let question = read_to_end(&mut recv).await.unwrap();
        send.write_chunks(&mut [question.into(), " is heard".into()]).await.unwrap();
        send.finish();
        send.stopped().await;
    };
    let asks = async {
        let (mut send, mut recv) = first.dialled.open_bi().await.unwrap();
        send.write_chunks(&mut ["what was said".into()]).await.unwrap();
        send.finish();
        read_to_end(&mut recv).await.unwrap()
    };
    let (answer, (), ()) = soon(async { tokio::join!(asks, middle, last) }).await;
    assert_eq!(answer, b"what was said is heard");
    let directions: Vec<_> = nodes[1].peer.connections().iter().map(|info| info.direction).collect();
    assert_eq!(directions, [Direction::Incoming, Direction::Outgoing]);
}

pub async fn many_connections_between_two_peers_come_and_go<B: PeerBackend>(backend: B) {
    let mut pair = Pair::new(&backend).await;
    let mut others = Vec::new();
    for _ in 0..20 {
        others.push(pair.another().await);
    }
    soon(join_all(others.iter().map(|(dialled, accepted)| echo(dialled, accepted)))).await;
    assert_eq!(pair.client.connections().len(), 21);
    drop(others);
    until(|| pair.client.connections().len() == 1 && pair.server.connections().len() == 1).await;
    echo(&pair.dialled, &pair.accepted).await;
}

async fn nodes<B: PeerBackend>(backend: &B, count: usize) -> Vec<Node<B::Provider>> {
    let mut nodes = Vec::new();
    for _ in 0..count {
        let (peer, listener) = listening(backend).await;
        nodes.push(Node { peer, listener });
    }
    nodes
}

async fn edge<P: P2PProvider>(nodes: &mut [Node<P>], from: usize, to: usize) -> Edge<P::Connection> {
    let (client, address) = (nodes[from].peer.clone(), nodes[to].peer.local_addr());
    let (dialled, accepted) = connect(&client, &address, &mut nodes[to].listener).await;
    Edge { from, to, dialled, accepted }
}

/// Five peers, every one with a connection to every other.
async fn mesh<B: PeerBackend>(
    backend: &B,
) -> (Vec<Node<B::Provider>>, Vec<Edge<<B::Provider as P2PProvider>::Connection>>) {
    let mut nodes = nodes(backend, 5).await;
    let mut edges = Vec::new();
    for from in 0..5 {
        for to in from + 1..5 {
            edges.push(edge(&mut nodes, from, to).await);
        }
    }
    (nodes, edges)
}
