//! How addresses of peers are found that nobody has told, and what others may find.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use iroh::{
    TransportAddr,
    address_lookup::{
        AddrFilter, DnsAddressLookup, N0_DNS_ENDPOINT_ORIGIN_PROD, N0_DNS_PKARR_RELAY_PROD, PkarrPublisher,
        PkarrResolver,
    },
    endpoint::Builder,
};
use iroh_mdns_address_lookup::MdnsAddressLookup;
use url::Url;

use crate::P2PError;

/// The name under which peers find each other on a LAN: `_tunnel-p2p._udp.local`.
const MDNS_SERVICE: &str = "tunnel-p2p";

/// One way to find the addresses of a peer whose id is known. Any number may be combined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Multicast DNS (RFC 6762): peers on the same LAN, without any server and without internet.
    Mdns,
    /// The server and the DNS zone of n0, which are public: whoever knows a peer's id can see what it publishes.
    N0,
    /// A server for signed records, `https://lookup.example.org/pkarr` (such as `iroh-dns-server`): publishes and asks
    /// over HTTP.
    Pkarr(String),
    /// The DNS zone of such a server, `lookup.example.org`: only asks.
    Dns(String),
}

/// What a peer says about where it is: in tickets, to those who ask it through a tunnel server, and in [lookups](Lookup).
///
/// Peers with whom it has a connection learn all its addresses in any case: that is how they find a direct path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Publish {
    /// Its relays and all its addresses.
    #[default]
    All,
    /// Its relays and its public addresses: none of the private ranges, which tell how the network at home is built.
    Public,
    /// Its relays only.
    Relays,
}

impl Publish {
    /// Whether an address may be told.
    #[must_use]
    pub fn allows(self, address: &SocketAddr) -> bool {
        match self {
            Self::All => true,
            Self::Public => is_public(address.ip()),
            Self::Relays => false,
        }
    }

    pub(in crate::iroh) fn filter(self) -> AddrFilter {
        AddrFilter::new(move |addresses| {
            let allowed = |address: &&TransportAddr| match address {
                TransportAddr::Ip(address) => self.allows(address),
                _ => true,
            };
            Cow::Owned(addresses.iter().filter(allowed).cloned().collect::<Vec<_>>())
        })
    }
}

/// Whether an address could be reached from anywhere: not private (RFC 1918, RFC 4193), shared (RFC 6598), link-local or
/// loopback.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b);
            !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || shared)
        }
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_public(v4.into()),
            None => {
                !(v6.is_unique_local()
                    || v6.is_unicast_link_local()
                    || v6 == Ipv6Addr::LOCALHOST
                    || v6.is_unspecified())
            }
        },
    }
}

impl Lookup {
    /// Adds this way to an endpoint. `publish`: whether it also makes the endpoint itself known.
    pub(in crate::iroh) fn add_to(&self, builder: Builder, publish: bool) -> Result<Builder, P2PError> {
        Ok(match self {
            Self::Mdns => {
                // What may be published is filtered once for all lookups.
                builder.address_lookup(MdnsAddressLookup::builder().advertise(publish).service_name(MDNS_SERVICE))
            }
            Self::N0 => {
                let builder = pkarr(builder, pkarr_url(N0_DNS_PKARR_RELAY_PROD)?, publish);
                builder.address_lookup(DnsAddressLookup::builder(N0_DNS_ENDPOINT_ORIGIN_PROD.to_owned()))
            }
            Self::Pkarr(url) => pkarr(builder, pkarr_url(url)?, publish),
            Self::Dns(origin) => builder.address_lookup(DnsAddressLookup::builder(dns_origin(origin)?)),
        })
    }
}

fn pkarr(builder: Builder, url: Url, publish: bool) -> Builder {
    let builder = builder.address_lookup(PkarrResolver::builder(url.clone()));
    if !publish {
        return builder;
    }
    // Iroh's own filter would let relays through only; ours is set for the whole endpoint.
    builder.address_lookup(PkarrPublisher::builder(url).addr_filter(AddrFilter::unfiltered()))
}

fn pkarr_url(text: &str) -> Result<Url, P2PError> {
    let wrong = |why: String| P2PError::Config {
        field: "lookup",
        message: format!(
            "'{text}' is not the URL of a lookup server ({why}); write it like https://lookup.example.org/pkarr"
        ),
    };
    let url: Url = text.parse().map_err(|error| wrong(format!("{error}")))?;
    if url.has_host() && matches!(url.scheme(), "https" | "http") {
        Ok(url)
    } else {
        Err(wrong("it is not http".to_owned()))
    }
}

/// A zone as DNS writes it, with a dot at its end.
fn dns_origin(text: &str) -> Result<String, P2PError> {
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.len() <= 200 && name.split('.').all(label) {
        return Ok(format!("{name}."));
    }
    let message = format!("'{text}' is not a DNS name; write it like lookup.example.org");
    Err(P2PError::Config { field: "lookup", message })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn private_addresses_are_told_from_public_ones() {
        for private in [
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.1",
            "192.168.1.4",
            "100.64.0.1",
            "100.127.9.9",
            "127.0.0.1",
            "169.254.1.1",
            "0.0.0.0",
            "::1",
            "::",
            "fe80::1",
            "fd12::1",
            "::ffff:192.168.1.4",
        ] {
            assert!(!is_public(ip(private)), "{private}");
        }
        for public in ["203.0.113.9", "172.32.0.1", "100.128.0.1", "8.8.8.8", "2001:db8::1", "::ffff:203.0.113.9"] {
            assert!(is_public(ip(public)), "{public}");
        }
    }

    #[test]
    fn what_is_published_can_be_limited() {
        let (home, world) = ("192.168.1.4:1".parse().unwrap(), "203.0.113.9:1".parse().unwrap());
        assert!(Publish::All.allows(&home) && Publish::All.allows(&world));
        assert!(!Publish::Public.allows(&home) && Publish::Public.allows(&world));
        assert!(!Publish::Relays.allows(&home) && !Publish::Relays.allows(&world));
        let relay = TransportAddr::Relay("https://relay.example.org".parse().unwrap());
        let all = vec![TransportAddr::Ip(home), TransportAddr::Ip(world), relay.clone()];
        assert_eq!(Publish::All.filter().apply(&all).len(), 3);
        assert_eq!(*Publish::Public.filter().apply(&all), [TransportAddr::Ip(world), relay.clone()]);
        assert_eq!(*Publish::Relays.filter().apply(&all), [relay]);
    }

    #[test]
    fn names_that_are_none_are_refused_with_an_example() {
        assert_eq!(dns_origin("lookup.example.org").unwrap(), "lookup.example.org.");
        assert_eq!(dns_origin("lookup.example.org.").unwrap(), "lookup.example.org.");
        for wrong in ["", ".", "a..b", "https://x", "a b", &"a.".repeat(150)] {
            assert!(dns_origin(wrong).expect_err(wrong).to_string().contains("lookup.example.org"), "{wrong}");
        }
        for wrong in ["", "lookup.example.org", "ftp://lookup.example.org"] {
            assert!(pkarr_url(wrong).expect_err(wrong).to_string().contains("/pkarr"), "{wrong}");
        }
    }
}
