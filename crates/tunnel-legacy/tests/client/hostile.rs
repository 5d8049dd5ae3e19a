//! Answers that nobody wrote on purpose.

use std::time::Duration;

use http_body_util::BodyExt;
use tokio::{
    io::AsyncWriteExt,
    time::{sleep, timeout},
};
use tunnel_core::Transport;

use crate::support::{client, connector, get, read_request};

const ANSWERS: [&str; 6] = [
    "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-a: b\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n3\r\nyou\r\n0\r\nx-sum: 1\r\n\r\n",
    "HTTP/1.1 401 Unauthorized\r\ncontent-type: text/plain\r\ncontent-length: 12\r\n\r\nUnauthorized",
    "HTTP/1.1 424 Failed Dependency\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n\
     1f\r\nClient with ID is not connected\r\n0\r\n\r\n",
    "HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/plain\r\nx-tunnel-reason: service-failed\r\n\
     content-length: 2\r\n\r\nno",
    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\njunk",
];

/// The answer with bytes changed, taken out, doubled, or the end cut off.
fn spoil(answer: &str, random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = answer.as_bytes().to_vec();
    for _ in 0..random.usize(0..6) {
        if bytes.is_empty() {
            break;
        }
        let at = random.usize(0..bytes.len());
        match random.u8(0..5) {
            0 => bytes[at] = random.u8(..),
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, bytes[at]),
            3 => bytes.truncate(at.max(1)),
            _ => bytes.extend_from_slice(&answer.as_bytes()[at.min(answer.len() - 1)..]),
        }
    }
    bytes
}

#[tokio::test(start_paused = true)]
async fn spoiled_answers_end_in_an_answer_or_an_error() {
    let mut endings = [0; 3];
    for seed in 0..2000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let answer = spoil(ANSWERS[random.usize(0..ANSWERS.len())], &mut random);
        let (stays, cut) = (random.bool(), random.usize(0..=answer.len()));
        let shown = answer.clone();
        let client = client(connector(move |mut stream| {
            let answer = answer.clone();
            async move {
                read_request(&mut stream).await;
                stream.write_all(&answer[..cut]).await.ok();
                sleep(Duration::from_millis(1)).await;
                stream.write_all(&answer[cut..]).await.ok();
                if stays {
                    sleep(Duration::from_hours(1)).await;
                }
            }
        }));
        let ending = timeout(Duration::from_mins(11), async {
            match client.send(get("/a")).await {
                Ok(response) => usize::from(response.body.collect().await.is_ok()),
                Err(_) => 2,
            }
        });
        let ending = ending.await.unwrap_or_else(|_| panic!("seed {seed} hangs: {}", shown.escape_ascii()));
        endings[ending] += 1;
    }
    assert!(endings.iter().all(|count| *count > 50), "each way to end is taken: {endings:?}");
}
