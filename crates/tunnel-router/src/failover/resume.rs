//! The request for the rest.

use http::{
    HeaderValue, Method,
    header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE},
};
use tunnel_core::{RequestHead, moosicbox_tunnel::TunnelHttpRequest};

use super::Origin;

/// The head that asks for what follows after so many bytes: the same, but for the range and without other conditions, which
/// were met when the response began. `None` if this is no GET.
///
/// Without `conditional` it has no `if-range`: for a transport that would drop it. The answer is compared in any case.
pub(crate) fn resume_head(
    head: &RequestHead,
    origin: &Origin,
    delivered: u64,
    conditional: bool,
) -> Option<RequestHead> {
    let range = origin.range(delivered);
    let if_range = origin.if_range().filter(|_| conditional);
    match head {
        RequestHead::Http(parts) if parts.method == Method::GET => {
            let mut parts = parts.clone();
            for name in [IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE] {
                parts.headers.remove(name);
            }
            parts.headers.insert(RANGE, HeaderValue::try_from(range).ok()?);
            if let Some(value) = if_range {
                parts.headers.insert(IF_RANGE, value.clone());
            }
            Some(RequestHead::Http(parts))
        }
        RequestHead::Tunnel(request) if request.method.to_string() == "GET" => {
            let mut request: TunnelHttpRequest = (**request).clone();
            let fields = request.headers.get_or_insert_with(|| serde_json::Value::Object(serde_json::Map::new()));
            let fields = fields.as_object_mut()?;
            fields.retain(|name, _| {
                let dropped = [IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE];
                !dropped.iter().any(|dropped| name.eq_ignore_ascii_case(dropped.as_str()))
            });
            fields.insert(RANGE.to_string(), range.into());
            if let Some(value) = if_range {
                fields.insert(IF_RANGE.to_string(), value.to_str().ok()?.into());
            }
            Some(RequestHead::Tunnel(Box::new(request)))
        }
        _ => None,
    }
}
