//! The peer of this process.

use std::net::{IpAddr, SocketAddr};

use p2p_provider::{
    P2PError, SecretKey,
    iroh::{CongestionControl, IrohConfig, IrohP2P, Relays},
};

use crate::error::CliError;

/// Reads the values of `--relay`.
pub(crate) fn relays(values: &[String]) -> Result<Relays, CliError> {
    let wrong = |message: String| {
        CliError::usage(message)
            .next("give `none`, `n0`, or the URLs of your own relays: --relay https://relay.example.org")
    };
    match values.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] | ["none"] => Ok(Relays::None),
        ["n0"] => Ok(Relays::N0),
        _ => match values.iter().find(|value| !value.starts_with("https://") && !value.starts_with("http://")) {
            Some(value) => Err(wrong(format!("--relay: {value:?} is not the URL of a relay"))),
            None => Ok(Relays::Custom(values.to_vec())),
        },
    }
}

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

/// The settings of a peer on one address, or on all.
pub(crate) fn config(
    key: SecretKey,
    bind: Option<IpAddr>,
    port: u16,
    relay: &[String],
    congestion: CongestionControl,
) -> Result<IrohConfig, CliError> {
    let mut config = IrohConfig::new(key).port(port).relays(relays(relay)?).congestion_control(congestion);
    if let Some(address) = bind {
        config.bind = vec![SocketAddr::new(address, port)];
        // No router can forward a port to a loopback address.
        config.port_mapping = !address.is_loopback();
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relays_are_none_n0_or_urls() {
        let read = |values: &[&str]| relays(&values.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(read(&[]).unwrap(), Relays::None);
        assert_eq!(read(&["none"]).unwrap(), Relays::None);
        assert_eq!(read(&["n0"]).unwrap(), Relays::N0);
        let url = "https://relay.example.org".to_owned();
        assert_eq!(read(&[&url]).unwrap(), Relays::Custom(vec![url.clone()]));
        assert!(read(&["n0", &url]).is_err());
        assert!(read(&["relay.example.org"]).is_err());
    }
}
