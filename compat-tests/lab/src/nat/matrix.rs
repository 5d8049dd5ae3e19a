//! Every kind of network against every other: what must come of it, and whether it does.

mod expectation;
mod run;

use crate::nat::topology::{
    Network::{Cgnat, Dual, Home, Ipv6, NoUdp, Public, Restricted, Symmetric, SymmetricCgnat},
    Placement::{self, Apart, Together},
    Shared,
};

pub(crate) use self::{
    expectation::{Path, expected},
    run::run,
};

/// The pairs, host first.
pub(crate) const PAIRS: &[Placement] = &[
    Apart { host: Public, gateway: Public },
    Apart { host: Home, gateway: Home },
    Apart { host: Restricted, gateway: Restricted },
    Apart { host: Home, gateway: Symmetric },
    Apart { host: Public, gateway: Symmetric },
    Apart { host: Symmetric, gateway: Public },
    Apart { host: Restricted, gateway: Symmetric },
    Apart { host: Symmetric, gateway: Restricted },
    Apart { host: Symmetric, gateway: Symmetric },
    Apart { host: Cgnat, gateway: Restricted },
    Apart { host: Cgnat, gateway: Cgnat },
    Apart { host: Restricted, gateway: SymmetricCgnat },
    Apart { host: Dual, gateway: Dual },
    Apart { host: Ipv6, gateway: Ipv6 },
    Apart { host: Public, gateway: Ipv6 },
    Apart { host: Ipv6, gateway: Restricted },
    Apart { host: Restricted, gateway: NoUdp },
    Apart { host: NoUdp, gateway: Public },
    Apart { host: NoUdp, gateway: NoUdp },
    Together(Shared::Lan),
    Together(Shared::IsolatedHairpin),
    Together(Shared::Isolated),
    Together(Shared::Offline),
];
