//! HTTP/1.1 and WebSockets over any byte stream: pooled client, WebSocket hop, header and query tools.
