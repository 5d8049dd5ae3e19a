//! What the networks allow. Nothing here knows how the product works.

use crate::nat::topology::{Filtering, Mapping, Placement, Shared, Traits};

/// How requests go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    Direct,
    Relayed,
}

impl Path {
    /// As the gateway calls it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Relayed => "relayed",
        }
    }
}

/// What must come of a pair, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) path: Path,
    pub(crate) why: &'static str,
}

const fn direct(why: &'static str) -> Expected {
    Expected { path: Path::Direct, why }
}

const fn relayed(why: &'static str) -> Expected {
    Expected { path: Path::Relayed, why }
}

/// What must come of host and gateway in these places.
pub(crate) fn expected(placement: Placement) -> Expected {
    match placement {
        Placement::Apart { host, gateway } => between(host.traits(), gateway.traits()),
        Placement::Together(Shared::Lan) => direct("they see each other"),
        Placement::Together(Shared::IsolatedHairpin) => direct("the router sends back in what is meant for itself"),
        Placement::Together(Shared::Isolated) => relayed("clients are kept apart, and the router has no hairpin"),
        Placement::Together(Shared::Offline) => direct("found by multicast DNS"),
    }
}

fn between(host: Traits, gateway: Traits) -> Expected {
    if !host.udp || !gateway.udp {
        return relayed("UDP is blocked: over TCP 443");
    }
    if !host.family.meets(gateway.family) {
        return relayed("no version of IP in common");
    }
    if host.family.meets_over_v6(gateway.family) {
        return direct("IPv6 is not translated; each opens its firewall by sending");
    }
    let dependent = |side: Traits| side.mapping == Mapping::EndpointDependent;
    let filters = |side: Traits| side.filtering == Filtering::AddressAndPortDependent;
    match (dependent(host), dependent(gateway)) {
        (true, true) => relayed("both ports depend on the destination: neither can be told"),
        // The other side cannot know the port to open for, so it must be open to all.
        (true, false) if filters(gateway) => {
            relayed("the host's port cannot be told, and the gateway's is open only to it")
        }
        (false, true) if filters(host) => {
            relayed("the gateway's port cannot be told, and the host's is open only to it")
        }
        (true, false) | (false, true) => direct("the open side answers whatever port comes"),
        (false, false) => direct("both ports can be told, and each opens its own by sending"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nat::{matrix::PAIRS, topology::Network};

    fn path(host: Network, gateway: Network) -> Path {
        expected(Placement::Apart { host, gateway }).path
    }

    #[test]
    fn translation_and_filters_decide() {
        use Network::{Cgnat, Home, Public, Restricted, Symmetric, SymmetricCgnat};
        for (host, gateway, wanted) in [
            (Public, Public, Path::Direct),
            (Home, Home, Path::Direct),
            (Restricted, Restricted, Path::Direct),
            (Cgnat, Cgnat, Path::Direct),
            (Home, Symmetric, Path::Direct),
            (Symmetric, Public, Path::Direct),
            (Restricted, Symmetric, Path::Relayed),
            (Cgnat, SymmetricCgnat, Path::Relayed),
            (Symmetric, Symmetric, Path::Relayed),
        ] {
            assert_eq!(path(host, gateway), wanted, "{host:?} and {gateway:?}");
        }
    }

    #[test]
    fn without_udp_or_a_common_version_of_ip_there_is_only_the_relay() {
        use Network::{Dual, Ipv6, NoUdp, Public};
        assert_eq!(path(NoUdp, Public), Path::Relayed);
        assert_eq!(path(Public, NoUdp), Path::Relayed);
        assert_eq!(path(Public, Ipv6), Path::Relayed);
        assert_eq!(path(Ipv6, Ipv6), Path::Direct);
        assert_eq!(path(Dual, Ipv6), Path::Direct);
    }

    #[test]
    fn it_is_the_same_from_either_side() {
        use Network::{Cgnat, Dual, Home, Ipv6, NoUdp, Public, Restricted, Symmetric, SymmetricCgnat};
        let all = [Public, Home, Restricted, Symmetric, Cgnat, SymmetricCgnat, NoUdp, Dual, Ipv6];
        for host in all {
            for gateway in all {
                assert_eq!(path(host, gateway), path(gateway, host), "{host:?} and {gateway:?}");
            }
        }
    }

    #[test]
    fn the_matrix_has_both_outcomes_and_no_pair_twice() {
        let names: std::collections::BTreeSet<_> = PAIRS.iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), PAIRS.len());
        let direct = PAIRS.iter().filter(|&&pair| expected(pair).path == Path::Direct).count();
        assert!(direct >= 8 && PAIRS.len() - direct >= 8, "{direct} of {} are direct", PAIRS.len());
    }
}
