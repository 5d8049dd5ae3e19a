//! The text form: `TUNNEL_RESPONSE:id|packet|L[status{headers}]base64`.

use std::{collections::BTreeMap, fmt::Write as _, num::ParseIntError};

use bytes::Bytes;
use data_encoding::BASE64;
use moosicbox_tunnel::TunnelResponse;

const PREFIX: &str = "TUNNEL_RESPONSE:";

/// Reads one packet in the text form, as strictly and as leniently as the published decoder.
///
/// `L` is 1 on the last packet, else 0. Status (three characters) and headers (a JSON object of strings) are there on
/// packet 1 only; a `|` may stand after each of them, and white space before the headers. The published *sender* writes
/// another form, without prefix and flag, which the published decoder refuses; so does this one.
pub fn decode_text(text: &str) -> Result<TunnelResponse, TextError> {
    let text = text.strip_prefix(PREFIX).ok_or(TextError::Prefix)?;
    let (request_id, text) = text.split_once('|').ok_or(TextError::Missing("request id"))?;
    let request_id = number(request_id, "request id")?;
    let (packet_id, text) = text.split_once('|').ok_or(TextError::Missing("packet id"))?;
    let packet_id = number(packet_id, "packet id")?;
    let (last, text) = match (text.strip_prefix('0'), text.strip_prefix('1')) {
        (Some(text), _) => (false, text),
        (_, Some(text)) => (true, text),
        _ => return Err(TextError::LastFlag),
    };
    let (status, headers, body) = if packet_id == 1 {
        let (status, text) = text.split_at_checked(3).ok_or(TextError::Missing("status"))?;
        let status = number(status, "status")?;
        let (headers, body) = split_headers(text.strip_prefix('|').unwrap_or(text))?;
        (Some(status), Some(headers), body.strip_prefix('|').unwrap_or(body))
    } else {
        (None, None, text)
    };
    let bytes = Bytes::from(BASE64.decode(body.as_bytes()).map_err(TextError::Body)?);
    Ok(TunnelResponse { request_id, packet_id, last, bytes, status, headers })
}

/// Writes one packet in the text form.
///
/// The form has three characters for the status, so a status above 999 is an error.
pub fn encode_text(packet: &TunnelResponse) -> Result<String, TextError> {
    let mut text =
        format!("{PREFIX}{}|{}|{}", packet.request_id, packet.packet_id, if packet.last { '1' } else { '0' });
    match (packet.packet_id, packet.status, &packet.headers) {
        (1, Some(status), Some(headers)) => {
            if status > 999 {
                return Err(TextError::StatusRange { status });
            }
            let headers = serde_json::to_string(headers).map_err(TextError::Headers)?;
            // Writing to a string cannot fail.
            let _ = write!(text, "{status:03}{headers}");
        }
        (1, _, _) => return Err(TextError::Missing("status or headers")),
        (_, None, None) => {}
        (packet_id, _, _) => return Err(TextError::HeadMisplaced { packet_id }),
    }
    BASE64.encode_append(&packet.bytes, &mut text);
    Ok(text)
}

fn number<N: std::str::FromStr<Err = ParseIntError>>(text: &str, field: &'static str) -> Result<N, TextError> {
    text.parse().map_err(|source| TextError::Number { field, source })
}

/// Splits the JSON object off the front.
fn split_headers(text: &str) -> Result<(BTreeMap<String, String>, &str), TextError> {
    let text = text.trim_start();
    let mut values = serde_json::Deserializer::from_str(text).into_iter();
    let headers = values.next().ok_or(TextError::Missing("headers"))?.map_err(TextError::Headers)?;
    // The offset is the end of an object, hence a character boundary.
    Ok((headers, text.get(values.byte_offset()..).unwrap_or_default()))
}

/// Why a text is not a packet, or a packet cannot be written as text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// Sender: the text does not begin with `TUNNEL_RESPONSE:`.
    #[error("the text does not begin with {PREFIX}")]
    Prefix,
    /// Sender, or local when writing: a field is not there.
    #[error("the packet has no {0}")]
    Missing(&'static str),
    /// Sender: a field is not a number, or too large.
    #[error("the {field} of the packet is not a number in its range")]
    Number {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        source: ParseIntError,
    },
    /// Sender: the last flag is neither 0 nor 1.
    #[error("the last flag of the packet is neither 0 nor 1")]
    LastFlag,
    /// Sender: the headers of packet 1 are not a JSON object of strings.
    #[error("the headers of the packet are not a JSON object of strings")]
    Headers(#[source] serde_json::Error),
    /// Sender: the body is not padded standard Base64 (RFC 4648 §4).
    #[error("the body of the packet is not padded standard Base64")]
    Body(#[source] data_encoding::DecodeError),
    /// Local: the status does not fit into three characters.
    #[error("the status {status} does not fit into three characters")]
    StatusRange {
        /// The status.
        status: u16,
    },
    /// Local: only packet 1 can carry a status and headers.
    #[error("packet {packet_id} has a status or headers, which only packet 1 can carry")]
    HeadMisplaced {
        /// The id of the packet.
        packet_id: u32,
    },
}
