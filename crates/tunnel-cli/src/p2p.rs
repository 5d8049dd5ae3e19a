//! The peer of this process.

use std::net::{IpAddr, SocketAddr};

use p2p_provider::{
    P2PError, SecretKey,
    iroh::{CongestionControl, IrohConfig, IrohP2P, Lookup, Relay, Relays},
};

use crate::{config::Network, error::CliError, secret::secret};

/// Opens the peer's sockets on the current runtime. Dropping the future opens nothing.
pub(crate) async fn bind(config: IrohConfig) -> Result<IrohP2P, CliError> {
    IrohP2P::bind(config).await.map_err(|error| match error {
        P2PError::Config { .. } => CliError::usage("the peer-to-peer settings are wrong").because(error),
        P2PError::Bind { .. } => CliError::start("the UDP port cannot be opened")
            .because(error)
            .next("another host may be running; stop it, or choose a port: --port 17421, or --port 0 for any"),
        other => CliError::start("the peer did not start").because(other),
    })
}

/// Where a peer listens.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Listen {
    pub(crate) bind: Option<IpAddr>,
    pub(crate) port: u16,
}

/// The settings of a peer that offers a service: it uses the relays that it is told, and makes itself known.
pub(crate) fn host_config(
    key: SecretKey,
    listen: Listen,
    network: Network<'_>,
    congestion: CongestionControl,
) -> Result<IrohConfig, CliError> {
    let token = token(network)?;
    if token.is_some() && network.relay.is_empty() {
        return Err(CliError::usage("a relay token is given, and no relay").next(RELAY_EXAMPLE));
    }
    let relays = relays(network.relay, token.as_deref())?.unwrap_or_default();
    config(key, listen, network, congestion, relays)
}

/// The settings of a peer that reaches another one: without a word on relays it uses those of the other, and tells
/// nobody where it is.
pub(crate) fn client_config(
    key: SecretKey,
    listen: Listen,
    network: Network<'_>,
    congestion: CongestionControl,
) -> Result<IrohConfig, CliError> {
    let token = token(network)?;
    let relays = relays(network.relay, token.as_deref())?.unwrap_or(Relays::OfPeers { token });
    let mut config = config(key, listen, network, congestion, relays)?;
    config.announce = false;
    Ok(config)
}

fn config(
    key: SecretKey,
    listen: Listen,
    network: Network<'_>,
    congestion: CongestionControl,
    relays: Relays,
) -> Result<IrohConfig, CliError> {
    let mut config = IrohConfig::new(key).port(listen.port).relays(relays).congestion_control(congestion);
    config.lookups = lookups(network.lookup)?;
    config.port_mapping = network.port_mapping;
    if let Some(file) = network.relay_ca {
        let wrong = |message: &str| CliError::usage(format!("--relay-ca: {} {message}", file.display()));
        let pem = std::fs::read(file).map_err(|error| wrong("cannot be read").because(error))?;
        config.add_root_certificates(&pem).map_err(|error| {
            wrong("holds no certificates").because(error).next("give the PEM file of the authority, not of the relay")
        })?;
    }
    if let Some(address) = listen.bind {
        config.bind = vec![SocketAddr::new(address, listen.port)];
        // No router can forward a port to a loopback address.
        config.port_mapping &= !address.is_loopback();
    }
    Ok(config)
}

fn token(network: Network<'_>) -> Result<Option<String>, CliError> {
    let token = secret("relay token", network.relay_token, network.relay_token_file.map(AsRef::as_ref))?;
    if let Some(token) = &token
        && !token.chars().all(|c| c.is_ascii_graphic())
    {
        // It travels in a header.
        return Err(CliError::usage("the relay token has characters that no header can carry")
            .next("use letters, digits and punctuation of ASCII"));
    }
    Ok(token)
}

const RELAY_EXAMPLE: &str = "give `none`, `n0`, or the URLs of your own relays: --relay https://relay.example.org";

/// Reads the values of `--relay`; `None` if there are none.
fn relays(values: &[String], token: Option<&str>) -> Result<Option<Relays>, CliError> {
    let wrong = |message: String| CliError::usage(message).next(RELAY_EXAMPLE);
    let of_its_own = |relays| match token {
        None => Ok(Some(relays)),
        Some(_) => Err(wrong("--relay-token is for relays of your own".to_owned())),
    };
    match values.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Ok(None),
        ["none"] => of_its_own(Relays::None),
        ["n0"] => of_its_own(Relays::N0),
        _ => match values.iter().find(|value| !is_http(value)) {
            Some(value) => Err(wrong(format!("--relay: {value:?} is not the URL of a relay"))),
            None => Ok(Some(Relays::Custom(
                values.iter().map(|url| Relay::new(url).token(token.map(str::to_owned))).collect(),
            ))),
        },
    }
}

/// Reads the values of `--lookup`.
fn lookups(values: &[String]) -> Result<Vec<Lookup>, CliError> {
    let wrong = |value: &str| {
        CliError::usage(format!("--lookup: {value:?} is no way to look up peers")).next(
            "give `none`, or any of `mdns`, `n0`, the URL of a server (https://lookup.example.org/pkarr) and a DNS zone \
             (dns:lookup.example.org)",
        )
    };
    match values {
        [one] if one == "none" => Ok(Vec::new()),
        values => values
            .iter()
            .map(|value| match (value.as_str(), value.strip_prefix("dns:")) {
                ("mdns", _) => Ok(Lookup::Mdns),
                ("n0", _) => Ok(Lookup::N0),
                (_, Some(zone)) => Ok(Lookup::Dns(zone.to_owned())),
                (url, None) if is_http(url) => Ok(Lookup::Pkarr(url.to_owned())),
                (other, None) => Err(wrong(other)),
            })
            .collect(),
    }
}

fn is_http(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(values: &[&str]) -> Vec<String> {
        values.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn relays_are_none_n0_or_urls() {
        let read = |values: &[&str], token: Option<&str>| relays(&strings(values), token);
        assert_eq!(read(&[], None).unwrap(), None);
        assert_eq!(read(&["none"], None).unwrap(), Some(Relays::None));
        assert_eq!(read(&["n0"], None).unwrap(), Some(Relays::N0));
        let url = "https://relay.example.org";
        assert_eq!(read(&[url], None).unwrap(), Some(Relays::Custom(vec![Relay::new(url)])));
        let with_token = Relay::new(url).token(Some("t".to_owned()));
        assert_eq!(read(&[url], Some("t")).unwrap(), Some(Relays::Custom(vec![with_token])));
        assert!(read(&["n0", url], None).is_err());
        assert!(read(&["n0"], Some("t")).is_err());
        assert!(read(&["relay.example.org"], None).is_err());
    }

    #[test]
    fn lookups_may_be_combined_and_others_are_named() {
        let read = |values: &[&str]| lookups(&strings(values));
        assert_eq!(read(&[]).unwrap(), []);
        assert_eq!(read(&["none"]).unwrap(), []);
        let url = "https://lookup.example.org/pkarr";
        let all = [Lookup::Mdns, Lookup::N0, Lookup::Pkarr(url.to_owned()), Lookup::Dns("example.org".to_owned())];
        assert_eq!(read(&["mdns", "n0", url, "dns:example.org"]).unwrap(), all);
        for wrong in ["dht", "none", ""] {
            assert!(read(&["mdns", wrong]).expect_err(wrong).to_string().contains("dns:lookup.example.org"));
        }
    }
}
