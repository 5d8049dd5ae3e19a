//! The real binary, run as a user runs it.

mod compat;
mod config;
mod starting;
mod support;
mod tunnel;
