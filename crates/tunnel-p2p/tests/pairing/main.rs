//! Pairing, with hosts and clients in a simulated network and their files on the disk.

mod admission;
mod asking;
mod finding;
mod support;
