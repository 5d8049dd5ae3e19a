//! What is particular to the Iroh backend, over real endpoints on loopback. What it shares with every other backend is
//! in `compat-tests`.

mod care;
mod checks;
mod lookup;
mod paths;
mod refusal;
mod relayed;
mod support;
