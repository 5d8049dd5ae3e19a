//! What a user of the simulator may rely on, beyond what every backend does: conditions, faults, and that runs repeat.

mod conditions;
mod faults;
mod properties;
mod repeats;
mod support;
mod tcp;
