//! The way through a tunnel server, as host and gateway set it up.
