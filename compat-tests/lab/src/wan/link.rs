//! A wide-area link in user space, for kernels without netem: two TUN devices, one per namespace, and a thread between them.
//! Each direction delays, loses, limits and queues packets by itself.

mod chance;
mod conditions;
mod counters;
mod direction;
mod loss;
mod prompt;
mod schedule;
mod wire;

pub(crate) use self::{
    chance::Chance,
    conditions::{Conditions, Jitter},
    counters::Counters,
    loss::Loss,
    prompt::PromptThreads,
    schedule::Change,
    wire::{Both, Link, tun},
};
