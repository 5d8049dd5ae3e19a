//! The client id that a request names.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use tunnel_core::moosicbox_tunnel::TunnelHttpRequest;

/// The key in the query, as the tunnel server and the gateway read it: decoded, in exactly this spelling.
const KEY: &str = "clientId";

/// The first client id in a raw query.
pub(crate) fn in_query(query: &str) -> Option<Cow<'_, str>> {
    query.split('&').find_map(|segment| {
        let (key, value) = segment.split_once('=').unwrap_or((segment, ""));
        (decode(key) == KEY).then(|| decode(value))
    })
}

/// The client id of a request in the tunnel's own form.
pub(crate) fn in_value(request: &TunnelHttpRequest) -> Option<Cow<'_, str>> {
    request.query.get(KEY)?.as_str().map(Cow::Borrowed)
}

fn decode(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}
