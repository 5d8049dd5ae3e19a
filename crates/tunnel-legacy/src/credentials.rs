//! Tokens, and the calls by which a home server gets them.

use std::{io, time::Duration};

use http::{HeaderValue, Method, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tunnel_core::{Body, Failure, FailureKind};
use tunnel_http::{HttpClient, WsLimits};

use crate::{
    LegacyError, TunnelUrl,
    connect::{self, Timeouts},
    peek::{Peeked, peek},
};

/// The longest client id, in characters: a column of the tunnel server's database.
const CLIENT_ID_CHARS_MAX: usize = 64;
/// The longest answer with a token, in bytes. A token has 36 characters.
const ANSWER_BYTES_MAX: usize = 4096;
const QUERY_ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const REGISTER: &str = "/auth/register-client";
const SIGN: &str = "/auth/signature-token";
const TIMEOUTS: Timeouts =
    Timeouts { connect: Duration::from_secs(5), head: Duration::from_secs(30), body_idle: Duration::from_secs(10) };

/// Asks a tunnel server for tokens.
///
/// A home server registers once, with the access token of the tunnel server, and keeps the client access token it gets;
/// with that it fetches the signature token for its WebSocket, which lasts 14 days.
/// [`LegacyHost`](crate::LegacyHost) does the latter by itself.
///
/// Dropping the future of a call breaks it off; the tunnel server may have made the token all the same.
pub struct AuthClient {
    url: TunnelUrl,
    http: HttpClient,
}

impl AuthClient {
    /// Connects only when something is asked.
    pub fn new(url: TunnelUrl) -> Result<Self, LegacyError> {
        let http = connect::http_client(&url, connect::http_config(&url, TIMEOUTS, NO_WEBSOCKETS))?;
        Ok(Self { url, http })
    }

    /// As [`new`](Self::new), over whatever byte streams `connect` opens, which then has to encrypt them if need be.
    pub fn with_connector<F, S>(url: TunnelUrl, connect: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let http = HttpClient::new(connect::http_config(&url, TIMEOUTS, NO_WEBSOCKETS), connect);
        Self { url, http }
    }

    /// Registers a home server, and returns its client access token, which does not expire: store it. Another call makes
    /// another token that is valid beside the first.
    pub async fn register(&self, client_id: &str, tunnel_access_token: &str) -> Result<String, Failure> {
        check_client_id(client_id).map_err(|error| bad_request(&error))?;
        check_token("tunnel_access_token", tunnel_access_token).map_err(|error| bad_request(&error))?;
        let call = Call { path: REGISTER, client_id, token: tunnel_access_token };
        call.make(&self.http, &self.url).await
    }

    /// Fetches a signature token.
    pub async fn signature_token(&self, client_id: &str, access_token: &str) -> Result<String, Failure> {
        check_client_id(client_id).map_err(|error| bad_request(&error))?;
        check_token("access_token", access_token).map_err(|error| bad_request(&error))?;
        signature_token(&self.http, &self.url, client_id, access_token).await
    }
}

/// It opens none.
const NO_WEBSOCKETS: WsLimits =
    WsLimits { message_bytes_max: 1, ping_interval: Duration::ZERO, idle_timeout: Duration::ZERO };

/// Fetches a signature token.
pub(crate) async fn signature_token(
    http: &HttpClient,
    url: &TunnelUrl,
    client_id: &str,
    access_token: &str,
) -> Result<String, Failure> {
    Call { path: SIGN, client_id, token: access_token }.make(http, url).await
}

/// A client id, as a query value.
pub(crate) fn escaped(text: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(text, QUERY_ESCAPED)
}

pub(crate) fn check_client_id(client_id: &str) -> Result<(), LegacyError> {
    if client_id.is_empty() || client_id.chars().count() > CLIENT_ID_CHARS_MAX {
        return Err(LegacyError::config("client_id", "a client id has 1 to 64 characters"));
    }
    Ok(())
}

pub(crate) fn check_token(field: &'static str, token: &str) -> Result<(), LegacyError> {
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(LegacyError::config(field, "give the bare token: one word, without `Bearer`"));
    }
    Ok(())
}

fn bad_request(error: &LegacyError) -> Failure {
    Failure::new(FailureKind::BadRequest, error.to_string())
}

/// `POST path?clientId=..`, whose answer is a token.
struct Call<'a> {
    path: &'static str,
    client_id: &'a str,
    token: &'a str,
}

#[derive(Deserialize)]
struct Token {
    token: String,
}

impl Call<'_> {
    async fn make(&self, http: &HttpClient, url: &TunnelUrl) -> Result<String, Failure> {
        let (mut parts, ()) = http::Request::new(()).into_parts();
        parts.method = Method::POST;
        parts.uri = url
            .target(&format!("{}?clientId={}", self.path, escaped(self.client_id)))
            .ok_or_else(|| Failure::new(FailureKind::BadRequest, "the address of the tunnel server is too long"))?;
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", self.token))
            .map_err(|_| Failure::new(FailureKind::BadRequest, "the token is not a header value"))?;
        bearer.set_sensitive(true);
        parts.headers.insert(header::AUTHORIZATION, bearer);
        parts.headers.insert(header::HOST, url.authority());
        parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        let response = http.send(parts, Body::empty()).await.map_err(|error| {
            let (failure, _) = error.into_parts();
            match failure.kind() {
                FailureKind::ConnectionLost => Failure::new(failure.kind(), format!("{failure}{}", self.panic_hint())),
                _ => failure,
            }
        })?;
        let status = response.status;
        let Peeked::Whole(answer) = peek(response.body, ANSWER_BYTES_MAX).await? else {
            return Err(self.unusable(url, status, b".."));
        };
        match status {
            StatusCode::OK => match serde_json::from_slice::<Token>(&answer) {
                Ok(Token { token }) if check_token("token", &token).is_ok() => Ok(token),
                _ => Err(self.unusable(url, status, &answer)),
            },
            StatusCode::UNAUTHORIZED => Err(self.unauthorized(url)),
            status => Err(self.unusable(url, status, &answer)),
        }
    }

    fn unauthorized(&self, url: &TunnelUrl) -> Failure {
        let next = if self.path == REGISTER {
            "it wants `authorization: Bearer TOKEN` with its own access token (TUNNEL_ACCESS_TOKEN when it was built): \
             check the tunnel access token"
        } else {
            "it wants `authorization: Bearer TOKEN` with the client access token of this client id: check both, or \
             register again"
        };
        let message =
            format!("the tunnel server at {url} refuses the token for client id {:?} (401): {next}", self.client_id);
        Failure::new(FailureKind::Unauthorized, message)
    }

    fn unusable(&self, url: &TunnelUrl, status: StatusCode, answer: &[u8]) -> Failure {
        let shown: String = String::from_utf8_lossy(answer).chars().take(200).collect();
        let message = format!(
            "the tunnel server at {url} answers {status} to POST {}, without a token ({shown:?}): is the address right?",
            self.path
        );
        Failure::new(FailureKind::Protocol, message)
    }

    /// The published server fails so in every call (0.5.0, on Postgres).
    fn panic_hint(&self) -> &'static str {
        if self.path == SIGN {
            ". If it is the published tunnel server 0.5.0: it fails so whenever it is asked for a signature token; patch \
             it, or give the host a signature token from its database"
        } else {
            ""
        }
    }
}
