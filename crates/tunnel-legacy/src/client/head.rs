//! What may go to the tunnel server, and the head with which it goes: pure.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Uri, header, request::Parts};
use http_body::Body as _;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tunnel_core::{
    Failure, FailureKind, Request, RequestHead, WsOpen,
    convert::{LegacyLoss, LossPolicy, PAYLOAD_BYTES_MAX, to_http, to_tunnel},
};
use tunnel_http::{fields, query};

use super::{LegacyConfig, if_range};
use crate::TunnelUrl;

/// Everything but the unreserved characters (RFC 3986 §2.3).
const QUERY_ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const IDENTITY: HeaderValue = HeaderValue::from_static("identity");
/// What the tunnel server reads of a WebSocket's query; it drops all else.
const WS_QUERY_KEYS: [&str; 3] = ["clientId", "signature", "moosicboxProfile"];
/// The longest WebSocket message that the published tunnel server takes, in bytes; a longer one ends the connection.
pub(super) const WS_MESSAGE_BYTES_MAX: usize = 65_536;

/// The largest head, in bytes, and the most fields, that the tunnel server is asked to take. The published one refuses
/// heads past 128 KiB and 96 fields, some of which are added on the way.
const HEAD_BYTES_MAX: usize = 120 * 1024;
const FIELDS_MAX: usize = 85;

/// What every request is measured by.
pub(super) struct Rules {
    url: TunnelUrl,
    client_id: Option<String>,
    authorization: Option<HeaderValue>,
    signature: Option<String>,
    losses: LossPolicy,
}

/// A request for the tunnel server.
pub(super) struct Prepared {
    pub(super) parts: Parts,
    pub(super) body: Bytes,
    /// Whether the tunnel server looks for a signature, not for a bearer.
    pub(super) signed: bool,
}

/// A request as HTTP, its body in memory unless it is still to be collected.
struct Form<'a> {
    parts: Cow<'a, Parts>,
    body: Option<Bytes>,
}

impl Rules {
    pub(super) fn new(config: &LegacyConfig) -> Self {
        let authorization =
            config.token.as_ref().and_then(|token| HeaderValue::try_from(format!("Bearer {token}")).ok());
        Self {
            url: config.url.clone(),
            client_id: config.client_id.clone(),
            authorization: authorization.map(sensitive),
            signature: config.signature.clone(),
            losses: config.losses.clone(),
        }
    }

    /// Whether the request may go, as far as can be said before its body is collected.
    pub(super) fn check(&self, request: &Request) -> Result<(), Failure> {
        self.allow(&form(request)?)
    }

    /// The request for the tunnel server. Its body must be in memory.
    pub(super) fn prepare(&self, request: &Request) -> Result<Prepared, Failure> {
        let form = form(request)?;
        self.allow(&form)?;
        let signed = wants_signature(form.parts.uri.path());
        let uri = self.uri(&form.parts.uri, signed)?;
        let mut parts = form.parts.into_owned();
        parts.uri = uri;
        parts.extensions.clear();
        self.credentials(&mut parts.headers);
        // The tunnel server passes it on to nobody and compresses by it, audio too: the length is lost then.
        parts.headers.insert(header::ACCEPT_ENCODING, IDENTITY);
        // The length is framed anew.
        parts.headers.remove(header::CONTENT_LENGTH);
        Ok(Prepared { parts, body: form.body.unwrap_or_default(), signed })
    }

    /// The handshake of a WebSocket for the tunnel server.
    pub(super) fn prepare_ws(&self, open: &WsOpen) -> Result<Parts, Failure> {
        if open.uri.path() != "/ws" {
            let message = format!("the tunnel carries no WebSocket but /ws, not {}", open.uri.path());
            return Err(Failure::new(FailureKind::Unsupported, message));
        }
        if open.headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL) {
            return Err(Failure::new(FailureKind::Unsupported, "the tunnel carries no WebSocket subprotocols"));
        }
        if let Some(key) = query::keys(&open.uri).find(|key| !WS_QUERY_KEYS.contains(&&**key)) {
            let message = format!("the tunnel drops the query key {key:?} of a WebSocket");
            return Err(Failure::new(FailureKind::Unsupported, message));
        }
        let lost: Vec<LegacyLoss> =
            open.headers.keys().filter(|name| !is_handshake(name)).cloned().map(LegacyLoss::Header).collect();
        self.losses.check(&Method::GET, &lost)?;
        let (mut parts, ()) = http::Request::new(()).into_parts();
        parts.uri = self.uri(&open.uri, true)?;
        parts.headers = open.headers.clone();
        self.credentials(&mut parts.headers);
        Ok(parts)
    }

    fn allow(&self, form: &Form<'_>) -> Result<(), Failure> {
        let Parts { method, uri, headers, .. } = &*form.parts;
        check_head(uri, headers)?;
        check_client_id(uri, self.client_id.as_deref())?;
        if is_answered_by_the_server(method, uri.path()) {
            let message = format!("the tunnel server answers {method} {} by itself", uri.path());
            return Err(Failure::new(FailureKind::Unsupported, message));
        }
        let (_, mut losses) = to_tunnel(&form.parts, form.body.as_ref(), 0);
        // It is not sent as a stream: it is collected first.
        losses.retain(|loss| *loss != LegacyLoss::BodyStreamed && !if_range::makes_good(loss, &form.parts));
        self.losses.check(method, &losses)
    }

    /// The target on the tunnel server, with the client id and, where it is `signed`, the signature.
    fn uri(&self, uri: &Uri, signed: bool) -> Result<Uri, Failure> {
        let unusable = || Failure::new(FailureKind::BadRequest, "the target of the request is not valid, or too long");
        let mut uri = Cow::Borrowed(uri);
        let mut added: Vec<(&str, &str)> = Vec::new();
        if let Some(client_id) = &self.client_id
            && query::values(&uri, "clientId").next().is_none()
        {
            added.push(("clientId", client_id));
        }
        if let Some(signature) = &self.signature
            && signed
        {
            uri = Cow::Owned(query::without(&uri, &["signature"]).map_err(|_| unusable())?);
            added.push(("signature", signature));
        }
        let mut target = uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
        for (key, value) in added {
            target.push(if target.contains('?') { '&' } else { '?' });
            target.push_str(key);
            target.push('=');
            target.extend(utf8_percent_encode(value, QUERY_ESCAPED));
        }
        self.url.target(&target).ok_or_else(unusable)
    }

    fn credentials(&self, headers: &mut http::HeaderMap) {
        fields::strip_hop_by_hop(headers);
        headers.remove(header::EXPECT);
        headers.insert(header::HOST, self.url.authority());
        let own = headers.get(header::AUTHORIZATION).and_then(with_scheme);
        if let Some(authorization) = self.authorization.clone().or(own) {
            headers.insert(header::AUTHORIZATION, authorization);
        }
    }
}

/// The routes for media elements, which can send no header: the tunnel server wants a signature in the query, not a
/// bearer. It compares them case-sensitively.
fn wants_signature(path: &str) -> bool {
    let segments: Vec<&str> = path.split('/').collect();
    match segments[..] {
        ["", "files", "track"] => true,
        ["", "files", "albums" | "artists", id, size] => !id.is_empty() && !size.is_empty(),
        _ => false,
    }
}

fn form(request: &Request) -> Result<Form<'_>, Failure> {
    match &request.head {
        RequestHead::Http(parts) => {
            let body = request.body.as_bytes().cloned();
            let least = usize::try_from(request.body.size_hint().lower()).unwrap_or(usize::MAX);
            if body.is_none() && least > PAYLOAD_BYTES_MAX {
                return Err(body_too_long(least));
            }
            Ok(Form { parts: Cow::Borrowed(parts), body })
        }
        RequestHead::Tunnel(head) => {
            let (parts, body) = to_http((**head).clone())?;
            Ok(Form { parts: Cow::Owned(parts), body: body.as_bytes().cloned() })
        }
    }
}

pub(super) fn body_too_long(bytes: usize) -> Failure {
    Failure::new(FailureKind::TooLarge, LegacyLoss::BodyTooLong { bytes }.to_string())
}

/// A head that the tunnel server would refuse in words that say nothing, or by closing the connection.
fn check_head(uri: &Uri, headers: &http::HeaderMap) -> Result<(), Failure> {
    let refuse = |message| Err(Failure::new(FailureKind::TooLarge, message));
    if headers.len() > FIELDS_MAX {
        return refuse(format!("the tunnel carries heads of up to {FIELDS_MAX} fields, not {}", headers.len()));
    }
    let target = uri.path_and_query().map_or(0, |target| target.as_str().len());
    // With ": " and the end of the line.
    let fields: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if target + fields > HEAD_BYTES_MAX {
        let bytes = target + fields;
        return refuse(format!("the tunnel carries request heads of up to {HEAD_BYTES_MAX} bytes, not {bytes}"));
    }
    Ok(())
}

/// Exactly one `clientId`, spelled as the tunnel server wants it. Of two, it checks the credentials of the first and asks
/// the second.
fn check_client_id(uri: &Uri, configured: Option<&str>) -> Result<(), Failure> {
    let refuse = |message| Err(Failure::new(FailureKind::BadRequest, message));
    match (query::count_any_case(uri, "clientId"), query::values(uri, "clientId").count()) {
        (0, _) if configured.is_none() => {
            refuse("the request names no home server: add the query parameter clientId, or configure client_id")
        }
        (0, _) | (1, 1) => Ok(()),
        (1, _) => refuse("the query parameter clientId must be spelled exactly so"),
        _ => refuse("the query parameter clientId is there more than once"),
    }
}

/// What never reaches the home server.
fn is_answered_by_the_server(method: &Method, path: &str) -> bool {
    match path {
        "/health" | "/ws" => *method == Method::GET,
        "/auth/register-client" | "/auth/signature-token" | "/auth/validate-signature-token" => *method == Method::POST,
        "/auth/magic-token" => *method == Method::GET || *method == Method::POST,
        _ => false,
    }
}

/// Existing apps send the bare token, which the tunnel server refuses: it wants `Bearer TOKEN`.
fn with_scheme(authorization: &HeaderValue) -> Option<HeaderValue> {
    let token = authorization.as_bytes().trim_ascii();
    if token.is_empty() || token.contains(&b' ') {
        return None;
    }
    HeaderValue::from_bytes(&[b"Bearer ", token].concat()).ok().map(sensitive)
}

fn sensitive(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

/// What belongs to the hop, and is made anew.
fn is_handshake(name: &HeaderName) -> bool {
    [
        header::AUTHORIZATION,
        header::CONNECTION,
        header::HOST,
        header::SEC_WEBSOCKET_EXTENSIONS,
        header::SEC_WEBSOCKET_KEY,
        header::SEC_WEBSOCKET_VERSION,
        header::UPGRADE,
    ]
    .contains(name)
}

#[cfg(test)]
mod tests {
    use tunnel_core::{Body, moosicbox_tunnel::TunnelRequest};

    use super::*;

    fn rules(change: impl FnOnce(&mut LegacyConfig)) -> Rules {
        let mut config = LegacyConfig::new("https://tunnel.example/t".parse().unwrap());
        config.client_id = Some("home 1".to_owned());
        config.token = Some("secret".to_owned());
        config.signature = Some("sig/1".to_owned());
        change(&mut config);
        Rules::new(&config)
    }

    fn request(method: &str, uri: &str, fields: &[(&str, &str)], body: &'static str) -> Request {
        let mut request = http::Request::builder().method(method).uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        Request::http(1, request.body(()).unwrap().into_parts().0, Body::full(body))
    }

    fn refused(rules: &Rules, request: &Request) -> FailureKind {
        let failure = rules.check(request).unwrap_err();
        assert_eq!(rules.prepare(request).err(), Some(failure.clone()));
        failure.kind()
    }

    #[test]
    fn adds_what_is_configured_and_keeps_all_other_bytes() {
        let fields = [
            ("host", "gateway"),
            ("authorization", "Bearer theirs"),
            ("accept-encoding", "br, gzip"),
            ("connection", "keep-alive"),
            ("content-length", "2"),
        ];
        let Prepared { parts, body, .. } =
            rules(|_| {}).prepare(&request("POST", "/a%20b/?x=%2B&y", &fields, "{}")).unwrap();
        assert_eq!(parts.uri, "/t/a%20b/?x=%2B&y&clientId=home%201");
        let mut headers: Vec<_> = parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        headers.sort_unstable();
        assert_eq!(
            headers,
            [("accept-encoding", &b"identity"[..]), ("authorization", b"Bearer secret"), ("host", b"tunnel.example"),]
        );
        assert_eq!(body, "{}");
    }

    #[test]
    fn the_signature_goes_where_it_is_wanted_and_nowhere_else() {
        let rules = rules(|_| {});
        for (path, signed) in [
            ("/files/track", true),
            ("/files/albums/1/300x300", true),
            ("/files/artists/1/300", true),
            ("/Files/track", false),
            ("/files/track/", false),
            ("/files/track/info", false),
            ("/files/albums/1", false),
            ("/albums", false),
        ] {
            let target = format!("{path}?signature=theirs&clientId=c");
            let Prepared { parts, .. } = rules.prepare(&request("GET", &target, &[], "")).unwrap();
            let expected = if signed {
                format!("/t{path}?clientId=c&signature=sig%2F1")
            } else {
                format!("/t{path}?signature=theirs&clientId=c")
            };
            assert_eq!(parts.uri, expected.as_str());
            assert_eq!(parts.headers["authorization"], "Bearer secret");
        }
    }

    #[test]
    fn without_configured_credentials_the_apps_own_pass_with_the_scheme_they_lack() {
        let rules = rules(|config| (config.token, config.signature) = (None, None));
        for (given, sent) in [("raw", "Bearer raw"), ("bearer a", "bearer a"), ("Basic YTpi", "Basic YTpi")] {
            let target = "/files/track?clientId=c&signature=s";
            let Prepared { parts, .. } =
                rules.prepare(&request("GET", target, &[("authorization", given)], "")).unwrap();
            assert_eq!(parts.headers["authorization"], sent);
            assert_eq!(parts.uri, "/t/files/track?clientId=c&signature=s");
        }
        let Prepared { parts, .. } = rules.prepare(&request("GET", "/", &[], "")).unwrap();
        assert!(!parts.headers.contains_key("authorization"));
    }

    #[test]
    fn names_one_home_server() {
        let strict = rules(|config| config.client_id = None);
        for target in ["/a", "/a?clientid=c", "/a?clientId=c&clientId=c", "/a?clientId=c&CLIENTID=d"] {
            assert_eq!(refused(&strict, &request("GET", target, &[], "")), FailureKind::BadRequest, "{target}");
        }
        let Prepared { parts, .. } = strict.prepare(&request("GET", "/a?client%49d=c", &[], "")).unwrap();
        assert_eq!(parts.uri, "/t/a?client%49d=c");
    }

    #[test]
    fn refuses_what_the_tunnel_would_alter() {
        let rules = rules(|_| {});
        for (method, target, body, kind) in [
            ("OPTIONS", "/a", "", FailureKind::Unsupported),
            ("GET", "*", "", FailureKind::Unsupported),
            ("GET", "/a?x=1&x=2", "", FailureKind::Unsupported),
            ("POST", "/a", "not json", FailureKind::Unsupported),
            ("POST", "/a", "null", FailureKind::Unsupported),
            ("GET", "/health", "", FailureKind::Unsupported),
            ("POST", "/auth/signature-token", "", FailureKind::Unsupported),
        ] {
            assert_eq!(refused(&rules, &request(method, target, &[], body)), kind, "{method} {target}");
        }
        assert!(rules.check(&request("POST", "/health", &[], "")).is_ok());
        let long: &'static str = Box::leak("1".repeat(PAYLOAD_BYTES_MAX + 1).into_boxed_str());
        assert_eq!(refused(&rules, &request("POST", "/a", &[], long)), FailureKind::TooLarge);
    }

    #[test]
    fn a_request_in_the_tunnels_form_becomes_http() {
        let json = r#"{"type":"HTTP","request_id":1,"method":"POST","path":"a","query":{"clientId":"c"},
            "payload":{"x":1},"headers":{"range":"bytes=0-1"},"encoding":"BINARY","profile":"p"}"#;
        let TunnelRequest::Http(tunnel) = serde_json::from_str(json).unwrap() else { panic!("not HTTP") };
        let Prepared { parts, body, .. } = rules(|_| {}).prepare(&Request::tunnel(tunnel)).unwrap();
        assert_eq!(parts.uri, "/t/a?clientId=c");
        assert_eq!(parts.headers["range"], "bytes=0-1");
        assert_eq!(parts.headers["moosicbox-profile"], "p");
        assert_eq!(body, r#"{"x":1}"#);
    }

    #[test]
    fn carries_only_the_websocket_that_there_is() {
        let rules = rules(|_| {});
        let open = |uri: &str, protocol: bool| {
            let mut open = WsOpen { id: 1, uri: uri.parse().unwrap(), headers: http::HeaderMap::new() };
            if protocol {
                open.headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("chat"));
            }
            rules.prepare_ws(&open)
        };
        let parts = open("/ws?moosicboxProfile=p&signature=theirs", false).unwrap();
        assert_eq!(parts.uri, "/t/ws?moosicboxProfile=p&clientId=home%201&signature=sig%2F1");
        for (uri, protocol) in [("/other", false), ("/ws", true), ("/ws?sender=true", false), ("/ws/", false)] {
            assert_eq!(open(uri, protocol).unwrap_err().kind(), FailureKind::Unsupported, "{uri}");
        }
    }
}
