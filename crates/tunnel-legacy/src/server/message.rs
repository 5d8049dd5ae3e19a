//! The JSON texts of the tunnel.

use serde::Deserialize;
use tunnel_core::{
    Failure, FailureKind,
    moosicbox_tunnel::{TunnelHttpRequest, TunnelRequest, TunnelWsRequest, TunnelWsResponse},
};

/// A request, its keys sorted, as the published server writes it.
pub(super) fn http(request: TunnelHttpRequest) -> Result<String, serde_json::Error> {
    Ok(serde_json::to_value(TunnelRequest::Http(request))?.to_string())
}

/// A message of an app, its keys in the order of the fields, as the published server writes it.
pub(super) fn ws(request: TunnelWsRequest) -> Result<String, serde_json::Error> {
    serde_json::to_string(&TunnelRequest::Ws(request))
}

/// Nobody waits for the response any more.
pub(super) fn abort(request_id: u64) -> String {
    format!(r#"{{"type":"ABORT","request_id":{request_id}}}"#)
}

/// So many packets more may be sent.
pub(super) fn window(request_id: u64, packets: u64) -> String {
    format!(r#"{{"type":"WINDOW","request_id":{request_id},"packets":{packets}}}"#)
}

/// The WebSocket of an app is closed.
pub(super) fn ws_closed(conn_id: u64) -> String {
    format!(r#"{{"type":"WS_CLOSED","conn_id":{conn_id}}}"#)
}

/// What a host says in text.
pub(super) enum FromHost {
    /// To apps.
    Ws(TunnelWsResponse),
    /// The response to this request ends here.
    Reset { request_id: u64, failure: Failure },
}

/// Reads a text of a host, which may use the additions if `flow`.
pub(super) fn read(text: &str, flow: bool) -> Result<FromHost, serde_json::Error> {
    #[derive(Deserialize)]
    #[serde(tag = "type")]
    enum Addition {
        #[serde(rename = "RESET")]
        Reset { request_id: u64, kind: String, message: String },
    }
    let error = match serde_json::from_str::<TunnelWsResponse>(text) {
        Ok(response) => return Ok(FromHost::Ws(response)),
        Err(error) => error,
    };
    if !flow {
        return Err(error);
    }
    let Ok(Addition::Reset { request_id, kind, message }) = serde_json::from_str(text) else { return Err(error) };
    let kind = FailureKind::ALL.into_iter().find(|known| known.name() == kind).unwrap_or(FailureKind::Internal);
    Ok(FromHost::Reset { request_id, failure: Failure::new(kind, message) })
}
