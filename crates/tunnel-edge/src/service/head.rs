//! The request head as the service is to see it.

use http::{HeaderName, HeaderValue, header, request::Parts};
use tunnel_core::{Failure, FailureKind};
use tunnel_http::{fields, query};

use super::ServiceConfig;
use crate::Profile;

/// The upstream server refuses some routes to this user agent, so requests from outside must carry it.
const USER_AGENT: HeaderValue = HeaderValue::from_static("MOOSICBOX_TUNNEL");
const PROFILE: HeaderName = HeaderName::from_static("moosicbox-profile");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_USER_AGENT: HeaderName = HeaderName::from_static("x-forwarded-user-agent");
const X_TUNNEL_ACCESS_TOKEN: HeaderName = HeaderName::from_static("x-tunnel-access-token");

/// Turns a head that came through the tunnel into one for the service.
pub(super) fn prepare(parts: &mut Parts, config: &ServiceConfig) -> Result<(), Failure> {
    parts.extensions.clear();
    let headers = &mut parts.headers;
    fields::strip_hop_by_hop(headers);
    // Whoever sent it has its 100 (Continue) already: the gateway's HTTP library answers it.
    headers.remove(header::EXPECT);
    if headers.contains_key(header::TE) {
        // RFC 9110 §10.1.4: TE belongs to the hop, so Connection has to name it.
        headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
    }
    if config.profile == Profile::Moosicbox {
        moosicbox(parts, config)?;
    } else if !headers.contains_key(header::HOST) {
        headers.insert(header::HOST, config.target.authority());
    }
    Ok(())
}

fn moosicbox(parts: &mut Parts, config: &ServiceConfig) -> Result<(), Failure> {
    let headers = &mut parts.headers;
    if let Some(host) = headers.insert(header::HOST, config.target.authority()) {
        headers.entry(X_FORWARDED_HOST).or_insert(host);
    }
    headers.entry(X_FORWARDED_PROTO).or_insert(HeaderValue::from_static("http"));
    if let Some(agent) = headers.insert(header::USER_AGENT, USER_AGENT)
        && agent != USER_AGENT
    {
        headers.insert(X_FORWARDED_USER_AGENT, agent);
    }
    // The query wins over the header, as in today's tunnel server.
    if let Some(profile) = query::values(&parts.uri, "moosicboxProfile").last() {
        let profile = HeaderValue::try_from(&*profile)
            .map_err(|_| Failure::new(FailureKind::BadRequest, "moosicboxProfile cannot be sent as a header"))?;
        headers.insert(PROFILE, profile);
    }
    headers.remove(X_TUNNEL_ACCESS_TOKEN);
    if headers.get(header::AUTHORIZATION).is_some_and(is_tunnel_credential) {
        headers.remove(header::AUTHORIZATION);
    }
    parts.uri = query::without(&parts.uri, &["clientId", "signature"])
        .map_err(|_| Failure::new(FailureKind::BadRequest, "the request target is not valid"))?;
    Ok(())
}

/// Tunnel tokens come as `Bearer TOKEN`, and from the existing apps also as the bare token.
fn is_tunnel_credential(value: &HeaderValue) -> bool {
    let mut words = value.as_bytes().split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let first = words.next().unwrap_or_default();
    words.next().is_none() || first.eq_ignore_ascii_case(b"bearer")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(profile: Profile, uri: &str, fields: &[(&'static str, &'static str)]) -> Parts {
        let mut config = ServiceConfig::new("http://127.0.0.1:8000".parse().unwrap());
        config.profile = profile;
        let mut request = http::Request::get(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        prepare(&mut parts, &config).unwrap();
        parts
    }

    #[test]
    fn moosicbox_hides_the_tunnel_and_names_itself() {
        let parts = prepared(
            Profile::Moosicbox,
            "/a?x=%20&clientId=c&signature=s&moosicboxProfile=m%20x",
            &[
                ("host", "tunnel"),
                ("user-agent", "app"),
                ("authorization", "bearer token"),
                ("moosicbox-profile", "other"),
                ("x-tunnel-access-token", "t"),
            ],
        );
        assert_eq!(parts.uri, "/a?x=%20&moosicboxProfile=m%20x");
        let field = |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap());
        assert_eq!(field("host"), Some("127.0.0.1:8000"));
        assert_eq!(field("x-forwarded-host"), Some("tunnel"));
        assert_eq!(field("x-forwarded-proto"), Some("http"));
        assert_eq!(field("user-agent"), Some("MOOSICBOX_TUNNEL"));
        assert_eq!(field("x-forwarded-user-agent"), Some("app"));
        assert_eq!(field("moosicbox-profile"), Some("m x"));
        assert_eq!(field("authorization"), None);
        assert_eq!(field("x-tunnel-access-token"), None);
    }

    #[test]
    fn moosicbox_keeps_credentials_that_are_not_the_tunnels() {
        let parts = prepared(Profile::Moosicbox, "/", &[("authorization", "Basic YTpi")]);
        assert_eq!(parts.headers["authorization"], "Basic YTpi");
        let parts = prepared(Profile::Moosicbox, "/", &[("authorization", "raw-token")]);
        assert!(!parts.headers.contains_key("authorization"));
    }

    #[test]
    fn plain_changes_nothing() {
        let fields = [("host", "h"), ("user-agent", "app"), ("authorization", "bearer token")];
        let parts = prepared(Profile::Plain, "/a?clientId=c&signature=s", &fields);
        assert_eq!(parts.uri, "/a?clientId=c&signature=s");
        let kept: Vec<_> = parts.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(kept, fields);
    }
}
