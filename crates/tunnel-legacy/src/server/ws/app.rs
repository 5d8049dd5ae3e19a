//! The WebSocket of an app: its messages go to the host, the host's come back.

use std::sync::Arc;

use futures::StreamExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::Message;

use super::{
    host,
    socket::{self, End, Heard, Reader},
};
use crate::server::{Defect, Shared, hub::App};

/// RFC 6455 §7.4.1 and its registry.
const SERVICE_RESTART: u16 = 1012;

/// Carries messages until either side closes or fails. Dropping the future cuts the connection.
pub(super) async fn run<S>(shared: &Arc<Shared>, app: Arc<App>, io: S)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut writer, mut reader) = socket::split(shared, io, shared.config.limits.app_message_bytes_max).await;
    let heard = Heard::new();
    let end = tokio::select! {
        biased;
        () = shared.closing.cancelled() => End::close(SERVICE_RESTART, "the tunnel server is stopping"),
        close = app.outbox.closed() => End::Close(close),
        // Before reading, so that a peer that never pauses cannot keep it from being done.
        end = socket::write(shared, &mut writer, &app.outbox) => end,
        end = read(shared, &app, &mut reader, &heard) => end,
        // After reading, so that what has come counts even if this task was held up.
        end = socket::silence(shared, &heard) => end,
    };
    socket::close(end, &mut writer, &mut reader).await;
}

async fn read<S>(shared: &Arc<Shared>, app: &App, reader: &mut Reader<S>, heard: &Heard) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let message = match reader.next().await {
            Some(Ok(message)) => message,
            Some(Err(error)) => return End::after(&error),
            None => return End::Closed,
        };
        heard.now();
        match message {
            Message::Text(text) => match serde_json::from_str(&text) {
                Ok(body) => {
                    shared.hub.ask(app, shared.next_id(), body).await;
                    // While the host had no room, nothing could be heard.
                    heard.now();
                }
                Err(error) => {
                    tracing::debug!(%error, "a WebSocket message of an app is not JSON");
                    shared.hub.statistics().malformed_message();
                }
            },
            Message::Binary(bytes) => {
                if shared.config.behaviour.has(Defect::AnySocketAnswers) {
                    host::forged(shared, bytes);
                } else {
                    tracing::debug!("an app has sent a binary WebSocket message, which nobody reads");
                    shared.hub.statistics().malformed_message();
                }
            }
            Message::Close(_) => return End::Closed,
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
}
