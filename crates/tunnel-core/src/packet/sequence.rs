//! The order of packets.

use std::collections::BTreeMap;

use moosicbox_tunnel::TunnelResponse;

use crate::{Failure, FailureKind};

/// The most packets that wait for one before them.
///
/// In-order links need none. The published sender sorts its queue by size, so a short last packet can overtake any
/// number of full ones: the limit counts packets that are held, not how far ahead they are.
pub const SEQUENCE_PACKETS_MAX: usize = 256;

/// The most body bytes that wait for a packet before them: as many as [`SEQUENCE_PACKETS_MAX`] full packets have.
pub const SEQUENCE_BYTES_MAX: usize = SEQUENCE_PACKETS_MAX * super::PACKET_BYTES_MAX;

/// Puts the packets of one response into order: a state machine that neither waits nor reads.
///
/// Repeated packets, packet 0 and packets behind the last one are ignored, as the published stream does; unlike it, a
/// second packet 1 is never delivered again.
#[derive(Debug)]
pub struct Sequence {
    request_id: u64,
    /// The packet to deliver next; beyond the range of ids after packet `u32::MAX`.
    next: u64,
    waiting: BTreeMap<u32, TunnelResponse>,
    waiting_bytes: usize,
    complete: bool,
}

impl Sequence {
    /// Expects the packets of this request, from 1 on.
    #[must_use]
    pub const fn new(request_id: u64) -> Self {
        Self { request_id, next: 1, waiting: BTreeMap::new(), waiting_bytes: 0, complete: false }
    }

    /// Takes a packet in. Call [`pop`](Self::pop) until it has nothing more before the next one.
    ///
    /// A packet of another request is a [`FailureKind::Protocol`]; more waiting packets or bytes than the limits allow
    /// are a [`FailureKind::TooLarge`].
    pub fn push(&mut self, packet: TunnelResponse) -> Result<(), Failure> {
        if packet.request_id != self.request_id {
            return Err(Failure::new(
                FailureKind::Protocol,
                format!("a packet of request {} came with the response to {}", packet.request_id, self.request_id),
            ));
        }
        let id = packet.packet_id;
        if self.complete || u64::from(id) < self.next || self.waiting.contains_key(&id) {
            return Ok(());
        }
        self.waiting_bytes = self.waiting_bytes.saturating_add(packet.bytes.len());
        self.waiting.insert(id, packet);
        // The packet that is due waits for nobody.
        if u64::from(id) != self.next
            && (self.waiting.len() > SEQUENCE_PACKETS_MAX || self.waiting_bytes > SEQUENCE_BYTES_MAX)
        {
            return Err(Failure::new(
                FailureKind::TooLarge,
                format!(
                    "{} packets of {} bytes wait for packet {} of the response to {}",
                    self.waiting.len(),
                    self.waiting_bytes,
                    self.next,
                    self.request_id
                ),
            ));
        }
        Ok(())
    }

    /// The packet that is due, if it has come.
    pub fn pop(&mut self) -> Option<TunnelResponse> {
        let packet = self.waiting.remove(&u32::try_from(self.next).ok()?)?;
        self.waiting_bytes -= packet.bytes.len();
        self.next += 1;
        if packet.last {
            self.complete = true;
            self.waiting = BTreeMap::new();
            self.waiting_bytes = 0;
        }
        Some(packet)
    }

    /// The packets that wait for one before them.
    #[must_use]
    pub fn waiting_packets(&self) -> usize {
        self.waiting.len()
    }

    /// The body bytes of the packets that wait for one before them.
    #[must_use]
    pub const fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Whether the last packet has been popped.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.complete
    }

    /// The verdict when no more packets come: fine after the last packet, else what is missing.
    pub fn finish(&self) -> Result<(), Failure> {
        if self.complete {
            return Ok(());
        }
        let (request, due) = (self.request_id, self.next);
        Err(if self.waiting.values().any(|packet| packet.last) {
            Failure::new(FailureKind::Protocol, format!("packet {due} of the response to {request} never came"))
        } else {
            Failure::new(
                FailureKind::ConnectionLost,
                format!("the response to {request} broke off before packet {due}, without a last packet"),
            )
        })
    }
}
