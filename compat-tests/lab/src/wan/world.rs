//! Two machines, a link between them, and what runs on them.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process::{Command, Stdio},
    sync::{Arc, atomic::AtomicU64},
};

use anyhow::{Context, Result, bail};
use patchbay::{Device, Lab};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::task::AbortOnDropHandle;

use super::link::{Conditions, Link, PromptThreads, tun};
use crate::{requirements, service};

/// The device on either side.
pub(crate) const INTERFACE: &str = "wan0";

/// Packets that a device holds for the link's thread: more than TCP hands over at once at 300 ms and 100 Mbit/s.
const DEVICE_QUEUE: &str = "10000";

/// The host's address.
pub(crate) const HOST: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// The gateway's address.
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

/// Where the service listens in the host's namespace, for the product and for TCP.
pub(crate) const SERVICE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8000);

/// Settings of either namespace. Kernel TCP is the measure of things here, so its buffers must not be what holds it back: at
/// 300 ms and 100 Mbit/s, BBR wants twice 3.75 MB under way, and the kernel counts about twice that. And no connection is to
/// begin with what another one has learned.
const SETTINGS: [(&str, &str); 3] = [
    ("net/ipv4/tcp_rmem", "4096 131072 67108864"),
    ("net/ipv4/tcp_wmem", "4096 65536 67108864"),
    ("net/ipv4/tcp_no_metrics_save", "1"),
];

/// Both machines. What is dropped first comes first.
pub(crate) struct World {
    pub(crate) link: Link,
    pub(crate) host: Device,
    pub(crate) gateway: Device,
    /// Bytes of uploads that have reached the service.
    pub(crate) uploaded: Arc<AtomicU64>,
    servers: Vec<AbortOnDropHandle<Result<std::convert::Infallible>>>,
    /// Goes last: it ends the namespaces.
    _lab: Lab,
}

impl World {
    /// Builds both and starts the service.
    pub(crate) async fn build(threads: &PromptThreads, conditions: Conditions, seed: u64) -> Result<Self> {
        let lab = Lab::builder().build().await.context("no lab")?;
        let host = lab.add_device("host").build().await?;
        let gateway = lab.add_device("gateway").build().await?;
        let (at_host, at_gateway) = (host.run_sync(|| tun(INTERFACE))?, gateway.run_sync(|| tun(INTERFACE))?);
        let link = Link::start(threads, at_host, at_gateway, conditions, seed)?;
        for (device, address) in [(&host, HOST), (&gateway, GATEWAY)] {
            device.run_sync(|| {
                for (setting, value) in SETTINGS {
                    let path = format!("/proc/sys/{setting}");
                    fs::write(&path, value).with_context(|| format!("cannot write {path}"))?;
                }
                Ok(())
            })?;
            ip(device, &["link", "set", "lo", "up"])?;
            // By netlink: the older way asks for rights outside of the namespace of users.
            ip(device, &["link", "set", INTERFACE, "txqueuelen", DEVICE_QUEUE])?;
            ip(device, &["address", "add", &format!("{address}/24"), "dev", INTERFACE])?;
            plug_in(device)?;
        }
        let mut world = Self { link, host, gateway, uploaded: Arc::default(), servers: Vec::new(), _lab: lab };
        world.serve(SERVICE, None).await?;
        Ok(world)
    }

    /// Starts the service at this address of the host, with this congestion controller.
    pub(crate) async fn serve(&mut self, address: SocketAddr, controller: Option<&'static str>) -> Result<()> {
        let uploaded = self.uploaded.clone();
        let (ready, listens) = tokio::sync::oneshot::channel();
        let server = self.host.spawn(async move |_| {
            let socket = TcpSocket::new_v4()?;
            socket.set_reuseaddr(true)?;
            if let Some(controller) = controller {
                SockRef::from(&socket).set_tcp_congestion(controller.as_bytes())?;
            }
            socket.bind(address)?;
            let listener: TcpListener = socket.listen(128)?;
            _ = ready.send(());
            service::serve_on(listener, uploaded).await
        })?;
        let mut server = AbortOnDropHandle::new(server);
        tokio::select! {
            biased;
            Ok(()) = listens => {}
            ended = &mut server => match ended? {
                Ok(never) => match never {},
                Err(error) => return Err(error).with_context(|| format!("no service at {address}")),
            }
        }
        self.servers.push(server);
        Ok(())
    }
}

/// Connects from the calling task's namespace, with this congestion controller.
pub(crate) async fn connect(address: SocketAddr, controller: Option<&str>) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if let Some(controller) = controller {
        SockRef::from(&socket).set_tcp_congestion(controller.as_bytes())?;
    }
    Ok(socket.connect(address).await?)
}

/// Brings the interface up, with a way to everywhere.
pub(crate) fn plug_in(device: &Device) -> Result<()> {
    ip(device, &["link", "set", INTERFACE, "up"])?;
    // The kernel has taken the routes with the interface.
    ip(device, &["route", "replace", "default", "dev", INTERFACE])
}

/// Takes the interface down, which netlink tells.
pub(crate) fn unplug(device: &Device) -> Result<()> {
    ip(device, &["link", "set", INTERFACE, "down"])
}

fn ip(device: &Device, arguments: &[&str]) -> Result<()> {
    let tool = requirements::find("ip").context("there is no `ip`")?;
    let arguments: Vec<String> = arguments.iter().copied().map(str::to_owned).collect();
    device.run_sync(move || {
        let output = Command::new(tool).args(&arguments).stdin(Stdio::null()).output()?;
        if !output.status.success() {
            bail!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    })
}
