//! Bodies on streams.

mod receive;
mod send;

pub(crate) use receive::{Incoming, IncomingParts};
pub(crate) use send::{SendBodyError, send_message};
