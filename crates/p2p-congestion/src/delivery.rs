//! Delivery rate samples (draft-cheng-iccrg-delivery-rate-estimation), by QUIC packet number.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Packets whose fate may be unknown at once. More are forgotten, the oldest first: at 1,400 bytes a packet this is a
/// gigabit per second at 700 ms.
const PACKETS_MAX: usize = 1 << 16;

/// What was known when a packet was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) at: Instant,
    /// Bytes delivered by then, and when the last of them was.
    pub(crate) delivered: u64,
    delivered_at: Instant,
    /// When the flight began that this packet belongs to.
    first_sent: Instant,
    /// Bytes in flight, this packet among them.
    pub(crate) in_flight: u64,
    bytes: u16,
    app_limited: bool,
    settled: bool,
}

/// What an acknowledgement says about the path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Bytes per second; nothing if the interval is too short to tell.
    pub(crate) rate: Option<f64>,
    pub(crate) rtt: Duration,
    /// Whether the application had nothing to send while the packet was under way.
    pub(crate) app_limited: bool,
    /// Bytes delivered when the packet was sent.
    pub(crate) sent_at_delivered: u64,
    /// When it was sent.
    pub(crate) sent_at: Instant,
    /// Bytes in flight when it was sent.
    pub(crate) in_flight: u64,
    /// Packets acknowledged together.
    pub(crate) packets: u32,
}

/// Follows packets from sending to acknowledgement or loss.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    packets: VecDeque<Sent>,
    /// Packet number of the first of them.
    first: u64,
    pub(crate) delivered: u64,
    delivered_at: Instant,
    first_sent: Instant,
    last_sent: Instant,
    in_flight: u64,
    /// Packets sent until more than this is delivered are limited by the application.
    app_limited_until: Option<u64>,
    newest: Option<Sent>,
    newly_acked: u32,
}

impl Delivery {
    pub(crate) const fn new(now: Instant) -> Self {
        Self {
            packets: VecDeque::new(),
            first: 0,
            delivered: 0,
            delivered_at: now,
            first_sent: now,
            last_sent: now,
            in_flight: 0,
            app_limited_until: None,
            newest: None,
            newly_acked: 0,
        }
    }

    pub(crate) const fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// When the last packet was sent.
    pub(crate) const fn last_sent(&self) -> Instant {
        self.last_sent
    }

    /// The application has, or had, nothing to send.
    pub(crate) const fn set_app_limited(&mut self) {
        self.app_limited_until = Some(self.delivered + self.in_flight);
    }

    pub(crate) fn sent(&mut self, now: Instant, bytes: u16, number: u64) {
        if self.in_flight == 0 {
            self.first_sent = now;
            self.delivered_at = now;
            self.set_app_limited();
        }
        self.last_sent = now;
        self.in_flight += u64::from(bytes);
        let sent = Sent {
            at: now,
            delivered: self.delivered,
            delivered_at: self.delivered_at,
            first_sent: self.first_sent,
            in_flight: self.in_flight,
            bytes,
            app_limited: self.app_limited_until.is_some(),
            settled: false,
        };
        let next = self.first + self.packets.len() as u64;
        // Packet numbers begin anew with each of the handshake's spaces, and skip some against guessed acknowledgements.
        if number < next || number - next > 1024 || self.packets.is_empty() {
            self.packets.clear();
            self.first = number;
        } else {
            self.packets.extend((next..number).map(|_| Sent { settled: true, ..sent }));
        }
        self.packets.push_back(sent);
        if self.packets.len() > PACKETS_MAX {
            self.packets.pop_front();
            self.first += 1;
        }
    }

    /// A packet was acknowledged. What it says is told by [`sample`](Self::sample).
    pub(crate) fn acked(&mut self, now: Instant, sent_at: Instant, bytes: u64, number: u64) {
        self.delivered += bytes;
        self.delivered_at = now;
        self.newly_acked += 1;
        let Some(packet) = self.settle(number) else { return };
        if packet.at == sent_at && self.newest.is_none_or(|newest| newest.at <= packet.at) {
            self.newest = Some(packet);
        }
    }

    /// A packet was lost. What was known when it was sent.
    pub(crate) fn lost(&mut self, number: u64) -> Option<Sent> {
        self.settle(number)
    }

    /// All packets of an acknowledgement have been told. `in_flight` is what the connection counts: it forgets packets
    /// without a word, such as the handshake's and probes of the MTU.
    pub(crate) fn sample(&mut self, now: Instant, in_flight: u64, min_rtt: Option<Duration>) -> Option<Sample> {
        self.in_flight = in_flight;
        let packets = std::mem::take(&mut self.newly_acked);
        let newest = self.newest.take()?;
        if self.app_limited_until.is_some_and(|until| self.delivered > until) {
            self.app_limited_until = None;
        }
        self.first_sent = newest.at;
        let rtt = now.saturating_duration_since(newest.at);
        self.forget_before(now, rtt);
        let send_elapsed = newest.at.saturating_duration_since(newest.first_sent);
        let ack_elapsed = now.saturating_duration_since(newest.delivered_at);
        let elapsed = send_elapsed.max(ack_elapsed);
        let long_enough = elapsed > Duration::ZERO && min_rtt.is_none_or(|min| elapsed >= min);
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let rate = long_enough.then(|| (self.delivered - newest.delivered) as f64 / elapsed.as_secs_f64());
        Some(Sample {
            rate,
            rtt,
            app_limited: newest.app_limited,
            sent_at_delivered: newest.delivered,
            sent_at: newest.at,
            in_flight: newest.in_flight,
            packets,
        })
    }

    fn settle(&mut self, number: u64) -> Option<Sent> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        let packet = self.packets.get_mut(index).filter(|packet| !packet.settled)?;
        packet.settled = true;
        let packet = *packet;
        self.in_flight = self.in_flight.saturating_sub(packet.bytes.into());
        while self.packets.front().is_some_and(|packet| packet.settled) {
            self.packets.pop_front();
            self.first += 1;
        }
        Some(packet)
    }

    /// Packets that the connection has forgotten must not hold up the others.
    fn forget_before(&mut self, now: Instant, rtt: Duration) {
        let age = 8 * rtt + Duration::from_secs(1);
        while self
            .packets
            .front()
            .is_some_and(|packet| packet.settled || now.saturating_duration_since(packet.at) > age)
        {
            self.packets.pop_front();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[expect(clippy::disallowed_methods, reason = "any beginning")]
    fn start() -> Instant {
        Instant::now()
    }

    /// Sends a packet each millisecond and acknowledges it after `rtt`; the last sample.
    fn play(delivery: &mut Delivery, start: Instant, packets: u32, rtt: u32) -> Sample {
        let mut last = None;
        for time in 0..packets + rtt {
            let now = start + time * MS;
            if let Some(number) = time.checked_sub(rtt) {
                delivery.acked(now, start + number * MS, 1000, number.into());
                last = delivery.sample(now, delivery.in_flight(), Some(rtt * MS));
            }
            if time < packets {
                delivery.sent(now, 1000, time.into());
            }
        }
        last.unwrap()
    }

    #[test]
    fn the_rate_is_that_of_the_packets() {
        let start = start();
        let mut delivery = Delivery::new(start);
        let sample = play(&mut delivery, start, 500, 80);
        assert!((sample.rate.unwrap() - 1e6).abs() < 2e4, "{sample:?}");
        assert_eq!(sample.rtt, 80 * MS);
        assert!(!sample.app_limited);
        assert_eq!(delivery.in_flight(), 0);
        assert!(delivery.packets.is_empty());
    }

    #[test]
    fn a_flight_after_a_pause_is_limited_by_the_application() {
        let start = start();
        let mut delivery = Delivery::new(start);
        play(&mut delivery, start, 500, 80);
        let later = start + Duration::from_secs(60);
        delivery.sent(later, 1000, 500);
        delivery.acked(later + 80 * MS, later, 1000, 500);
        let sample = delivery.sample(later + 80 * MS, 0, Some(80 * MS)).unwrap();
        assert!(sample.app_limited);
    }

    #[test]
    fn bursts_of_acknowledgements_do_not_look_fast() {
        let start = start();
        let mut delivery = Delivery::new(start);
        (0..100).for_each(|number| delivery.sent(start + number * MS, 1000, number.into()));
        // All at once: 100 kB in no time, but it took 100 ms to send them.
        let now = start + 180 * MS;
        (0..100).for_each(|number| delivery.acked(now, start + number * MS, 1000, number.into()));
        let sample = delivery.sample(now, 0, Some(80 * MS)).unwrap();
        assert!(sample.rate.unwrap() < 1.1e6, "{sample:?}");
    }

    #[test]
    fn numbers_that_begin_anew_and_numbers_never_sent_are_harmless() {
        let start = start();
        let mut delivery = Delivery::new(start);
        for number in [0, 1, 0, 5, 4, u64::MAX, 0] {
            delivery.sent(start, 1000, number);
            delivery.lost(number.wrapping_add(1));
            delivery.acked(start, start, 1000, 77);
        }
        delivery.sample(start, 0, None);
    }

    #[test]
    fn forgotten_packets_do_not_stay() {
        let start = start();
        let mut delivery = Delivery::new(start);
        delivery.sent(start, 1000, 0);
        for number in 1..10_000_u32 {
            let now = start + number * MS;
            delivery.sent(now, 1000, number.into());
            delivery.acked(now, now, 1000, number.into());
            delivery.sample(now, 0, None);
        }
        assert!(delivery.packets.len() < 1100, "{}", delivery.packets.len());
    }
}
