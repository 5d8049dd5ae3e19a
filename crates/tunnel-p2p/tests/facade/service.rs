//! A real HTTP service on loopback.

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::Request,
    routing::{any, get},
};
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::support::spawn;

/// Its port; it ends with the test's runtime.
pub(crate) struct HttpService {
    pub(crate) port: u16,
    serving: AbortOnDropHandle<std::io::Result<()>>,
}

impl HttpService {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let routes = Router::new()
            .route("/mirror", any(mirror))
            .route("/long", get(long))
            .route("/endless", get(endless))
            .route("/silent", get(std::future::pending::<()>));
        let serving = spawn(async move { axum::serve(listener, routes).await });
        Self { port, serving }
    }

    pub(crate) fn stop(&self) {
        self.serving.abort();
    }
}

/// What it was asked.
async fn mirror(request: Request) -> Json<Value> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let headers: Vec<_> = parts.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    Json(json!({
        "method": parts.method.as_str(),
        "target": parts.uri.to_string(),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    }))
}

/// 8 MiB.
async fn long() -> Vec<u8> {
    (0..8 << 20).map(|index: u32| index.to_le_bytes()[index as usize % 4]).collect()
}

async fn endless() -> Body {
    Body::from_stream(futures::stream::repeat(Bytes::from_static(&[7; 8192])).map(Ok::<_, std::io::Error>))
}
