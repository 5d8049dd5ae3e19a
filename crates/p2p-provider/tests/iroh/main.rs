//! What a user of the Iroh backend may rely on, over real endpoints on loopback.

mod death;
mod lifecycle;
mod messages;
mod paths;
mod pressure;
mod refusal;
mod relayed;
mod streams;
mod support;
