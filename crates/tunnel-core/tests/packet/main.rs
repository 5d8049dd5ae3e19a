//! The packet codec against the published crate: its recorded results, and the crate itself on random input.

#![expect(clippy::unwrap_used, reason = "a test stops at its first surprise")]

mod binary;
mod stream;
mod text;

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::{collection, prelude::*};
use serde_json::Value;
use tunnel_core::packet::TunnelResponse;

/// The fields of a packet in a comparable form.
type Fields = (u64, u32, bool, Bytes, Option<u16>, Option<BTreeMap<String, String>>);

fn fields(packet: TunnelResponse) -> Fields {
    (packet.request_id, packet.packet_id, packet.last, packet.bytes, packet.status, packet.headers)
}

fn vectors(json: &str) -> Vec<Value> {
    let document: Value = serde_json::from_str(json).unwrap();
    document["vectors"].as_array().unwrap().clone()
}

/// The fields that a vector says the published crate reads, if it reads the packet at all.
fn expected(vector: &Value) -> Option<Fields> {
    let ok = vector.get("ok")?;
    Some((
        ok["request_id"].as_u64().unwrap(),
        u32::try_from(ok["packet_id"].as_u64().unwrap()).unwrap(),
        ok["last"].as_bool().unwrap(),
        hex(&ok["body_hex"]),
        ok["status"].as_u64().map(|status| u16::try_from(status).unwrap()),
        serde_json::from_value(ok["headers"].clone()).unwrap(),
    ))
}

fn hex(value: &Value) -> Bytes {
    data_encoding::HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap().into()
}

/// Any packet that can be written; every second one is a packet 1.
fn packet(status: std::ops::RangeInclusive<u16>) -> impl Strategy<Value = TunnelResponse> {
    let id = prop_oneof![Just(1), any::<u32>()];
    let headers = collection::btree_map(any::<String>(), any::<String>(), 0..4);
    let body = collection::vec(any::<u8>(), 0..64);
    (any::<u64>(), id, any::<bool>(), body, status, headers).prop_map(
        |(request_id, packet_id, last, body, status, headers)| TunnelResponse {
            request_id,
            packet_id,
            last,
            bytes: body.into(),
            status: (packet_id == 1).then_some(status),
            headers: (packet_id == 1).then_some(headers),
        },
    )
}
