//! Rules of our own where the presets do not fit.

use std::{
    io::Write,
    net::Ipv4Addr,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use patchbay::{Device, Router};

/// The table that holds what the lab forbids for a while.
const TABLE: &str = "lab_block";

/// What a router forbids.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Forbidden {
    /// UDP between peers. Names and address discovery at relays go on.
    PeerUdp,
    /// All UDP but names.
    Udp,
}

impl Forbidden {
    const fn rule(self) -> &'static str {
        match self {
            Self::PeerUdp => "meta l4proto udp udp dport != { 53, 7842 } udp sport != { 53, 7842 } drop",
            Self::Udp => "meta l4proto udp udp dport != 53 udp sport != 53 drop",
        }
    }
}

/// The router drops this, in both directions, until [`allow`].
pub(crate) fn forbid(router: &Router, what: Forbidden) -> Result<()> {
    let rule = what.rule();
    let rules = format!(
        "table inet {TABLE} {{
            chain forward {{
                type filter hook forward priority -20; policy accept;
                {rule}
            }}
        }}"
    );
    router.run_sync(move || nft(&rules))
}

/// The router drops what goes to this address, until [`allow`].
pub(crate) fn hide(router: &Router, address: Ipv4Addr) -> Result<()> {
    let rules = format!(
        "table inet {TABLE} {{
            chain forward {{
                type filter hook forward priority -20; policy accept;
                ip daddr {address} drop
            }}
        }}"
    );
    router.run_sync(move || nft(&rules))
}

/// The router's line is dead. What goes from one of its ports to another is not touched: where the kernel shows bridged
/// packets to the rules for routed ones, a rule without an interface would stop those too.
pub(crate) fn cut_off(router: &Router) -> Result<()> {
    let wan = uplink(router)?;
    let rules = format!(
        "table inet {TABLE} {{
            chain forward {{
                type filter hook forward priority -20; policy accept;
                iifname \"{wan}\" drop
                oifname \"{wan}\" drop
            }}
        }}"
    );
    router.run_sync(move || nft(&rules))
}

/// The router forbids no longer what the lab has forbidden.
pub(crate) fn allow(router: &Router) -> Result<()> {
    router.run_sync(|| nft(&format!("delete table inet {TABLE}")))
}

/// The device sends nothing to this one, as if the access point kept them apart.
pub(crate) fn isolate(device: &Device, from: &Device) -> Result<()> {
    let address = from.ip().context("a device without an IPv4 address")?;
    let rules = format!(
        "table inet {TABLE} {{
            chain output {{
                type filter hook output priority 0; policy accept;
                ip daddr {address} drop
            }}
            chain input {{
                type filter hook input priority 0; policy accept;
                ip saddr {address} drop
            }}
        }}"
    );
    device.run_sync(move || nft(&rules))
}

/// The router gives all UDP but names this port from now on. Flows that it knows keep theirs.
pub(crate) fn map_to(router: &Router, port: u16) -> Result<()> {
    let wan = uplink(router)?;
    let address = router.uplink_ip().context("a router without an address")?;
    let rule = format!(
        "insert rule ip nat postrouting oifname \"{wan}\" meta l4proto udp udp dport != 53 snat to {address}:{port}"
    );
    router.run_sync(move || nft(&rule))
}

fn uplink(router: &Router) -> Result<String> {
    let wan = router.interfaces().first().map(|interface| interface.name().to_owned());
    wan.context("a router without an uplink")
}

fn nft(rules: &str) -> Result<()> {
    let mut child =
        Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().context("nft")?;
    child.stdin.take().context("stdin is a pipe")?.write_all(rules.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("nft refuses {rules}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
