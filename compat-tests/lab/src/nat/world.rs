//! A lab with everything in it: networks, relays, a tunnel server, the service, and the product's processes.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use anyhow::{Context, Result};
use patchbay::{Device, Lab, Router, RouterPreset};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    http::GATEWAY,
    nat::{
        certificate::{Certificates, private},
        topology::{Network, Placement, Site, site_routers},
    },
    process::{Process, Product},
    service,
};

/// Where the service listens in the host's namespace.
const SERVICE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8000);

/// The client id of the host at the tunnel server.
const CLIENT_ID: &str = "home";

/// Relays are known by names, so that both versions of IP find them.
const RELAY_NAMES: [&str; 2] = ["relay1.test", "relay2.test"];

/// A lab. Nothing in it can reach anything outside.
pub(crate) struct World {
    pub(crate) host: Site,
    pub(crate) gateway: Site,
    pub(crate) product: Product,
    backbone: Router,
    relays: Vec<Device>,
    relay_token: PathBuf,
    certificates: Certificates,
    _service: AbortOnDropHandle<Result<std::convert::Infallible>>,
    /// Goes last: it ends the namespaces.
    lab: Lab,
}

impl World {
    /// Builds the networks and starts the service. `relays` says how many relays there may be; none runs yet.
    pub(crate) async fn build(product: Product, placement: Placement, relays: usize) -> Result<Self> {
        let lab = Lab::builder().build().await.context("no lab")?;
        let backbone = lab.add_router("backbone").preset(RouterPreset::Public).build().await?;
        let names = lab.dns_server()?;
        let mut devices = Vec::new();
        let mut certified = Vec::new();
        for name in RELAY_NAMES.into_iter().take(relays) {
            let device = lab.add_device(name.trim_end_matches(".test")).uplink(backbone.id()).build().await?;
            let addresses = [device.ip().map(IpAddr::V4), device.ip6().map(IpAddr::V6)];
            certified.push(name.to_owned());
            for address in addresses.into_iter().flatten() {
                names.set_host(name, address)?;
                certified.push(address.to_string());
            }
            devices.push(device);
        }
        let certificates = Certificates::create(&product, &certified)?;
        let relay_token = secret(&product, "relay.token", "let-me-through")?;
        let (host, gateway) = Site::both(&lab, placement).await?;
        let service = host.device.spawn(async |_| service::serve(SERVICE).await)?;
        Ok(Self {
            host,
            gateway,
            product,
            backbone,
            relays: devices,
            relay_token,
            certificates,
            _service: AbortOnDropHandle::new(service),
            lab,
        })
    }

    /// Another network to move to.
    pub(crate) async fn network(&self, name: &str, network: Network) -> Result<Vec<Router>> {
        site_routers(&self.lab, name, network).await
    }

    /// Starts relay number `index` and waits until it is ready.
    pub(crate) async fn relay(&self, index: usize) -> Result<Process> {
        let device = self.relays.get(index).context("no such relay")?;
        let name = RELAY_NAMES.get(index).copied().context("no such relay")?;
        let (certificate, key) = (text(&self.certificates.certificate), text(&self.certificates.key));
        let token = text(&self.relay_token);
        let listen = ["relay", "--host", name, "--https", "[::]:443", "--http", "[::]:80"];
        let secrets = ["--tls-cert", &certificate, "--tls-key", &key, "--access-token-file", &token];
        let arguments = [&listen[..], &secrets].concat();
        let mut relay = self.product.start(device, &format!("relay{}", index + 1), &arguments)?;
        relay.event("ready").await?;
        Ok(relay)
    }

    /// The IPv4 address of a relay.
    pub(crate) fn relay_address(&self, index: usize) -> Result<Ipv4Addr> {
        self.relays.get(index).and_then(Device::ip).context("no such relay")
    }

    /// All relays.
    pub(crate) async fn all_relays(&self) -> Result<Vec<Process>> {
        let mut relays = Vec::new();
        for index in 0..self.relays.len() {
            relays.push(self.relay(index).await?);
        }
        Ok(relays)
    }

    /// A tunnel server on the backbone, at the port that every firewall lets through.
    pub(crate) async fn tunnel_server(&self) -> Result<TunnelServer> {
        let server = self.lab.add_device("server").uplink(self.backbone.id()).build().await?;
        let address = SocketAddr::new(IpAddr::V4(server.ip().context("a device has an address")?), 80);
        let access = secret(&self.product, "tunnel.access", "open-sesame")?;
        let database = self.product.path("tunnel.db");
        let (listen, access_file) = (address.to_string(), text(&access));
        let arguments =
            ["tunnel-server", "--listen", &listen, "--access-token-file", &access_file, "--database", &database];
        let mut process = self.product.start(&server, "tunnel-server", &arguments)?;
        process.event("ready").await?;
        Ok(TunnelServer { url: format!("http://{address}"), access, _process: process })
    }

    /// The host's command line.
    pub(crate) fn host_arguments(&self, tunnel: Option<&TunnelServer>) -> Vec<String> {
        let service = format!("http://{SERVICE}");
        let state = self.product.path("host");
        let mut arguments = strings(&["host", "--service", &service, "--profile", "plain", "--state-dir", &state]);
        arguments.extend(self.relay_arguments(true));
        if let Some(tunnel) = tunnel {
            arguments.extend(strings(&["--client-id", CLIENT_ID, "--tunnel", &tunnel.url]));
            arguments.extend(strings(&["--tunnel-access-token-file", &text(&tunnel.access)]));
        }
        arguments
    }

    /// The gateway's command line.
    pub(crate) fn gateway_arguments(&self, ticket: Option<&str>, tunnel: Option<&TunnelServer>) -> Vec<String> {
        let listen = GATEWAY.to_string();
        let state = self.product.path("gateway");
        let mut arguments = strings(&["gateway", "--profile", "plain", "--listen", &listen, "--state-dir", &state]);
        arguments.extend(self.relay_arguments(false));
        if let Some(ticket) = ticket {
            arguments.extend(strings(&["--ticket", ticket]));
        }
        if let Some(tunnel) = tunnel {
            let token = self.product.path("host/host.tunnel-token");
            arguments.extend(strings(&["--client-id", CLIENT_ID, "--tunnel", &tunnel.url]));
            arguments.extend(strings(&["--tunnel-token-file", &token]));
        }
        arguments
    }

    /// The host names its relays; the gateway learns them from the ticket. Both need the token and the root.
    fn relay_arguments(&self, named: bool) -> Vec<String> {
        if self.relays.is_empty() {
            return Vec::new();
        }
        let urls = RELAY_NAMES.iter().take(self.relays.len()).map(|name| format!("https://{name}"));
        let mut arguments = Vec::new();
        if named {
            arguments.extend(["--relay".to_owned(), urls.collect::<Vec<_>>().join(",")]);
        }
        arguments.extend(["--relay-token-file".to_owned(), text(&self.relay_token)]);
        arguments.extend(["--relay-ca".to_owned(), text(&self.certificates.root)]);
        arguments
    }

    /// Starts a host and waits for its ticket.
    pub(crate) async fn start_host(&self, arguments: &[String]) -> Result<(Process, String)> {
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let mut host = self.product.start(&self.host.device, "host", &arguments)?;
        let ready = host.event("ready").await?;
        let ticket = ready.value["ticket"].as_str().context("the host's event `ready` has no ticket")?;
        let ticket = ticket.to_owned();
        Ok((host, ticket))
    }

    /// Starts a gateway. It may not listen yet.
    pub(crate) fn start_gateway(&self, arguments: &[String]) -> Result<Process> {
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        self.product.start(&self.gateway.device, "gateway", &arguments)
    }
}

/// A running tunnel server.
#[derive(Debug)]
pub(crate) struct TunnelServer {
    url: String,
    access: PathBuf,
    _process: Process,
}

fn secret(product: &Product, name: &str, secret: &str) -> Result<PathBuf> {
    let path = PathBuf::from(product.path(name));
    fs::write(&path, secret).with_context(|| format!("cannot write {}", path.display()))?;
    private(&path)?;
    Ok(path)
}

fn text(path: &std::path::Path) -> String {
    path.to_string_lossy().into_owned()
}

/// For command lines.
pub(crate) fn strings(parts: &[&str]) -> Vec<String> {
    parts.iter().copied().map(str::to_owned).collect()
}
