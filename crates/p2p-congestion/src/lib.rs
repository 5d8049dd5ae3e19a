//! A congestion controller for [noq](noq_proto), Iroh's QUIC: [`BbrConfig`] makes a [`Bbr`] for every path.
//!
//! It belongs to the BBR family (Cardwell et al., "BBR: Congestion-Based Congestion Control", ACM Queue 14(5), 2016;
//! draft-ietf-ccwg-bbr): it measures how fast a path delivers and how long it takes when no queue stands, and sends at
//! that rate. What it does otherwise than the draft, and why:
//!
//! | | draft | here | why |
//! |---|---|---|---|
//! | loss | 2 % of a round bounds the rate | only if the RTT is raised at that time | radio links lose more than that without being full |
//! | start-up ends | at a plateau, or by loss | also when the RTT rises (as in `HyStart++`, RFC 9406) | a plateau is seen after the queue has been flooded |
//! | a probe ends | at a plateau, or by loss | as soon as the RTT rises | deep queues stay empty |
//! | a probe goes on | with a gain of 1.25 | with growing gains while the rate follows | tenfold more capacity is found in five round trips |
//! | a queue of our own | is not looked at | is drained, and the rate is what a whole round delivered | small requests beside a download stay fast |
//! | a queue of another flow | loss bounds the rate | a CUBIC window (RFC 9438) while it stands, for which loss counts only while the queue is long | neither side starves, at one and two bandwidth-delay products of queue; a path that has become longer is no full queue |
//! | minimum RTT | probed every 5 s | probed only if a drained queue has not shown it for 10 s | probing costs throughput |
//!
//! "The RTT rises" means: eight samples in a row above the minimum, by more than round-trip times differ without a queue.
//!
//! Goals: the throughput of kernel TCP's BBR on long links that lose packets, an empty queue when alone, a fair share beside
//! others. Non-goals: ECN, background traffic that gives way (LEDBAT), and queues below half a bandwidth-delay product, beside
//! whose owners it takes most.
//!
//! The controller is a pure state machine: time and packets are arguments, chance is a seed.
//!
//! ```
//! use std::sync::Arc;
//! use p2p_congestion::BbrConfig;
//!
//! let mut transport = noq_proto::TransportConfig::default();
//! transport.congestion_controller_factory(Arc::new(BbrConfig::default()));
//! ```

mod bandwidth;
mod bbr;
mod delivery;
mod min_rtt;
mod queue;
mod round;

pub use bbr::{Bbr, BbrConfig};
