//! The real binary, run as a user runs it.

mod compat;
mod config;
mod simulate;
mod starting;
mod support;
mod tunnel;
