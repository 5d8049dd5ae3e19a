//! Bodies on streams.

mod receive;
mod send;
mod spread;

pub(crate) use receive::{Incoming, IncomingParts};
pub(crate) use send::{SendBodyError, send_message};
pub use spread::body_streams;
