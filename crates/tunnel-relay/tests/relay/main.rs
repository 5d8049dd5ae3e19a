//! Relays on loopback, and real Iroh endpoints that use them.

mod access;
mod config;
mod running;
mod support;
mod tls;
