//! Ranges on condition that the file is the same.

use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tunnel_core::{Body, Request, Transport};

use crate::support::{Seen, bytes, client, connector, read_request};

/// A file of six bytes with this tag; the tunnel has dropped the condition, so the range is always served.
fn file(tag: &'static str) -> (Seen, impl Fn() -> std::future::Ready<std::io::Result<tokio::io::DuplexStream>>) {
    let seen = Seen::default();
    let noted = Arc::clone(&seen);
    let connect = connector(move |mut stream| {
        let noted = Arc::clone(&noted);
        async move {
            while let Some(request) = read_request(&mut stream).await {
                let answer = if request.contains("range: bytes=2-") {
                    format!(
                        "HTTP/1.1 206 Partial Content\r\netag: {tag}\r\ncontent-range: bytes 2-5/6\r\ncontent-length: \
                         4\r\n\r\ncdef"
                    )
                } else {
                    format!("HTTP/1.1 200 OK\r\netag: {tag}\r\ncontent-length: 6\r\n\r\nabcdef")
                };
                noted.lock().unwrap().push(request);
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    });
    (seen, connect)
}

fn conditional(tag: &str) -> Request {
    let request = http::Request::get("/file").header("range", "bytes=2-").header("if-range", tag);
    Request::http(1, request.body(()).unwrap().into_parts().0, Body::empty())
}

#[tokio::test(start_paused = true)]
async fn a_part_of_the_same_file_comes_with_one_request() {
    let (seen, connect) = file("\"v1\"");
    let response = client(connect).send(conditional("\"v1\"")).await.unwrap();
    assert_eq!((response.status.as_u16(), bytes(response.body).await), (206, b"cdef".to_vec()));
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 1);
    assert!(!seen[0].contains("if-range"), "{}", seen[0]);
}

#[tokio::test(start_paused = true)]
async fn a_part_of_another_file_is_never_passed_on() {
    let (seen, connect) = file("\"v2\"");
    let response = client(connect).send(conditional("\"v1\"")).await.unwrap();
    assert_eq!((response.status.as_u16(), bytes(response.body).await), (200, b"abcdef".to_vec()));
    assert_eq!(seen.lock().unwrap().len(), 2);
}
