//! One request: who may ask, what the gateway answers itself, and what it hands to the transport.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use http::{HeaderName, HeaderValue, StatusCode, header, request::Parts};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tunnel_core::{Body, Failure, FailureKind, Request, Response, TransportKind};
use tunnel_http::{IdleBody, fields, handshake};

use super::{
    Shared, access, coalesce::Coalesce, connection::Connection, cors, moosicbox, refusal, upload::Upload, websocket,
};
use crate::Profile;

/// The body of every response.
pub(super) type ReplyBody = Coalesce<IdleBody<Body>>;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_TUNNEL_TRANSPORT: HeaderName = HeaderName::from_static("x-tunnel-transport");
const X_TUNNEL_PATH: HeaderName = HeaderName::from_static("x-tunnel-path");
/// For how many seconds it has been this path, like `age` (RFC 9111).
const X_TUNNEL_PATH_AGE: HeaderName = HeaderName::from_static("x-tunnel-path-age");
/// Its round-trip time, as `3.2ms`.
const X_TUNNEL_RTT: HeaderName = HeaderName::from_static("x-tunnel-rtt");

/// Answers one request. The HTTP library drops the future, or the body, as soon as the app has gone.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    connection: &Connection,
    request: http::Request<Incoming>,
) -> http::Response<ReplyBody> {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let response = match respond(shared, connection, request).await {
        Ok(mut response) => {
            if shared.config.tunnel_headers {
                // From elsewhere they would be taken for ours.
                response.headers.remove(refusal::X_TUNNEL_REASON);
                response.headers.remove(refusal::X_TUNNEL_OUTCOME);
            }
            response
        }
        Err(refused) => refused_by_us(*refused, shared.config.tunnel_headers),
    };
    finish(shared, origin.as_ref(), response)
}

/// An answer of the gateway's own: what it refuses was not carried out, unless it says otherwise.
fn refused_by_us(mut response: Response, tunnel_headers: bool) -> Response {
    let headers = &mut response.headers;
    if tunnel_headers {
        headers
            .entry(refusal::X_TUNNEL_OUTCOME)
            .or_insert(HeaderValue::from_static(refusal::Outcome::NotExecuted.name()));
    } else {
        headers.remove(refusal::X_TUNNEL_REASON);
        headers.remove(refusal::X_TUNNEL_OUTCOME);
    }
    response
}

async fn respond(
    shared: &Arc<Shared>,
    connection: &Connection,
    request: http::Request<Incoming>,
) -> Result<Response, Box<Response>> {
    let (mut parts, incoming) = request.into_parts();
    let incoming = Upload::new(incoming, parts.version, &connection.unread);
    let (access, config) = (&shared.access, &shared.config);
    access::normalise(&mut parts)?;
    access.check_names(&parts)?;
    if config.profile == Profile::Moosicbox {
        // Neither carries credentials.
        if let Some(response) =
            cors::preflight(&parts).or_else(|| moosicbox::health(&parts, &shared.transport.health()))
        {
            return Ok(response);
        }
    }
    if config.profile == Profile::Moosicbox && moosicbox::is_auth(&parts) {
        if let Some(auth) = &config.auth {
            access.check_token_only(&mut parts)?;
            let request = outgoing(shared, parts, incoming);
            return auth.pass(request).await.map_err(|error| Box::new(refusal::unanswered(&error)));
        }
        if let Some(response) = moosicbox::no_tunnel_server(&parts) {
            return Err(Box::new(response));
        }
    }
    access.check_token(&mut parts)?;
    if config.profile == Profile::Moosicbox {
        moosicbox::check_client_id(&parts, config.client_id.as_deref(), &shared.transport.health())?;
        note_the_app(&mut parts, connection);
    }
    if handshake::is_asked_for(&parts) {
        let id = shared.next_id.fetch_add(1, Ordering::Relaxed);
        return websocket::open(shared, connection, id, parts).await;
    }
    let request = outgoing(shared, parts, incoming);
    let response = shared.transport.send(request).await.map_err(|error| Box::new(refusal::unanswered(&error)))?;
    if response.status.is_informational() {
        let message = format!("the host answered with {}, which ends no request", response.status);
        let failure = Failure::new(FailureKind::Protocol, message);
        return Err(Box::new(refusal::failure(&failure, refusal::Outcome::Unknown)));
    }
    Ok(response)
}

/// The request as it goes on.
fn outgoing(shared: &Shared, mut parts: Parts, incoming: Upload) -> Request {
    parts.extensions.clear();
    fields::strip_hop_by_hop(&mut parts.headers);
    // The HTTP library answers 100 (Continue) when the body is asked for.
    parts.headers.remove(header::EXPECT);
    let id = shared.next_id.fetch_add(1, Ordering::Relaxed);
    Request::http(id, parts, request_body(shared, incoming))
}

fn request_body(shared: &Shared, incoming: Upload) -> Body {
    if incoming.is_end_stream() {
        return Body::empty();
    }
    let body = incoming.map_err(|_| Failure::new(FailureKind::Aborted, "the app broke off its request body"));
    let timeout = shared.config.body_idle_timeout;
    let silent =
        Failure::new(FailureKind::Timeout, format!("the app sent nothing of its request body for {timeout:?}"));
    Body::stream(IdleBody::new(body, timeout, silent))
}

fn note_the_app(parts: &mut Parts, connection: &Connection) {
    let headers = &mut parts.headers;
    fields::append_to_list(headers, &X_FORWARDED_FOR, connection.peer.ip().to_canonical().to_string().as_bytes());
    headers.entry(X_FORWARDED_PROTO).or_insert(HeaderValue::from_static("http"));
    if let Some(host) = headers.get(header::HOST).cloned() {
        headers.entry(X_FORWARDED_HOST).or_insert(host);
    }
}

/// As `3.2ms`.
fn milliseconds(time: Duration) -> HeaderValue {
    let tenths = time.as_micros() / 100;
    HeaderValue::from_str(&format!("{}.{}ms", tenths / 10, tenths % 10)).expect("digits")
}

fn finish(shared: &Shared, origin: Option<&HeaderValue>, response: Response) -> http::Response<ReplyBody> {
    let config = &shared.config;
    let Response { status, mut headers, body, via } = response;
    if status != StatusCode::SWITCHING_PROTOCOLS {
        fields::strip_hop_by_hop(&mut headers);
    }
    if let Some(via) = via
        && config.tunnel_headers
    {
        headers.insert(X_TUNNEL_TRANSPORT, HeaderValue::from_static(via.transport.name()));
        headers.insert(X_TUNNEL_PATH, HeaderValue::from_static(via.path.name()));
        if via.transport == TransportKind::P2p
            && let Some(path) = shared.transport.path()
        {
            headers.insert(X_TUNNEL_PATH_AGE, HeaderValue::from(path.age.as_secs()));
            if let Some(rtt) = path.rtt {
                headers.insert(X_TUNNEL_RTT, milliseconds(rtt));
            }
        }
        if let Some(reason) = via.reason {
            headers.insert(refusal::X_TUNNEL_REASON, HeaderValue::from_static(reason));
        }
    }
    if config.profile == Profile::Moosicbox {
        cors::expose(&mut headers, origin, &shared.access);
    }
    let timeout = config.body_idle_timeout;
    let silent = Failure::new(FailureKind::Timeout, format!("nothing more of the response came for {timeout:?}"));
    let mut reply = http::Response::new(Coalesce::new(IdleBody::new(body, timeout, silent)));
    *reply.status_mut() = status;
    *reply.headers_mut() = headers;
    reply
}
