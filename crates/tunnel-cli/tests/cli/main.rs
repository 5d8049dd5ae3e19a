//! The real binary, run as a user runs it.

mod admin;
mod compat;
mod config;
mod doctor;
mod dual;
mod mode;
mod pairing;
mod ping;
mod relay;
mod routing;
mod simulate;
mod starting;
mod support;
mod tunnel;
