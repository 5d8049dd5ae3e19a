//! The kinds of network that a host or a gateway may be in.

/// Whether the outside sees the same address and port whoever is spoken to (RFC 4787, section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mapping {
    /// No translation.
    None,
    /// One for all.
    EndpointIndependent,
    /// Another for each.
    EndpointDependent,
}

/// Who may send to an address and port that has been used (RFC 4787, section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filtering {
    /// Everybody.
    EndpointIndependent,
    /// Only who has been sent to, from the port that has been sent to.
    AddressAndPortDependent,
}

/// Which versions of IP there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
    Both,
}

impl Family {
    const fn has_v4(self) -> bool {
        matches!(self, Self::V4 | Self::Both)
    }

    const fn has_v6(self) -> bool {
        matches!(self, Self::V6 | Self::Both)
    }

    /// Whether packets can go from one to the other.
    pub(crate) const fn meets(self, other: Self) -> bool {
        (self.has_v4() && other.has_v4()) || self.meets_over_v6(other)
    }

    /// Whether they can over IPv6, which nobody translates.
    pub(crate) const fn meets_over_v6(self, other: Self) -> bool {
        self.has_v6() && other.has_v6()
    }
}

/// What decides whether two networks can speak to each other directly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Traits {
    pub(crate) family: Family,
    pub(crate) mapping: Mapping,
    pub(crate) filtering: Filtering,
    /// Whether UDP leaves the network.
    pub(crate) udp: bool,
}

/// A kind of network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    /// A machine with a public IPv4 address.
    Public,
    /// A home router whose ports are open to everybody once they are used ("full cone").
    Home,
    /// The usual home router ("port-restricted cone").
    Restricted,
    /// A firm's NAT: another port for each destination ("symmetric").
    Symmetric,
    /// A usual home router behind a provider's NAT.
    Cgnat,
    /// A mobile provider's NAT, symmetric, before a usual home router.
    SymmetricCgnat,
    /// A firm that lets out nothing but the web: TCP ports 80 and 443, and names.
    NoUdp,
    /// A usual home with both versions of IP; the IPv6 addresses are behind a firewall.
    Dual,
    /// IPv6 only, behind a firewall.
    Ipv6,
}

impl Network {
    /// In reports.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Home => "home",
            Self::Restricted => "restricted",
            Self::Symmetric => "symmetric",
            Self::Cgnat => "cgnat",
            Self::SymmetricCgnat => "mobile",
            Self::NoUdp => "no-udp",
            Self::Dual => "dual",
            Self::Ipv6 => "ipv6",
        }
    }

    /// What decides.
    pub(crate) const fn traits(self) -> Traits {
        use Filtering::{AddressAndPortDependent, EndpointIndependent as Open};
        use Mapping::{EndpointDependent, EndpointIndependent, None};
        let (family, mapping, filtering, udp) = match self {
            Self::Public => (Family::V4, None, Open, true),
            Self::Home => (Family::V4, EndpointIndependent, Open, true),
            Self::Restricted | Self::Cgnat => (Family::V4, EndpointIndependent, AddressAndPortDependent, true),
            Self::Symmetric | Self::SymmetricCgnat => (Family::V4, EndpointDependent, AddressAndPortDependent, true),
            Self::NoUdp => (Family::V4, EndpointDependent, AddressAndPortDependent, false),
            Self::Dual => (Family::Both, EndpointIndependent, AddressAndPortDependent, true),
            Self::Ipv6 => (Family::V6, None, AddressAndPortDependent, true),
        };
        Traits { family, mapping, filtering, udp }
    }
}
