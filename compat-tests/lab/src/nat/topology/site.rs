//! A machine and the routers before it.

use anyhow::{Context, Result};
use patchbay::{Device, IpSupport, Lab, Nat, NatConfig, NatFiltering, NatMapping, Router, RouterBuilder, RouterPreset};

use super::{Network, Placement, Shared, firewall};

/// A machine and the routers between it and the internet, the nearest first.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) device: Device,
    pub(crate) routers: Vec<Router>,
}

impl Site {
    /// Host and gateway where they are to be.
    pub(crate) async fn both(lab: &Lab, placement: Placement) -> Result<(Self, Self)> {
        match placement {
            Placement::Apart { host, gateway } => {
                let host = Self::alone(lab, "host", host).await?;
                Ok((host, Self::alone(lab, "gateway", gateway).await?))
            }
            Placement::Together(shared) => Self::together(lab, shared).await,
        }
    }

    async fn alone(lab: &Lab, name: &str, network: Network) -> Result<Self> {
        let routers = routers(lab, &format!("{name}-net"), network).await?;
        let nearest = routers.first().context("a network has a router")?;
        let device = lab.add_device(name).uplink(nearest.id()).build().await?;
        Ok(Self { device, routers })
    }

    async fn together(lab: &Lab, shared: Shared) -> Result<(Self, Self)> {
        let router = lab.add_router("net").ip_support(IpSupport::V4Only);
        let router = match shared {
            Shared::Lan | Shared::Isolated | Shared::Offline => router.nat(Nat::Moderate),
            Shared::IsolatedHairpin => router.nat(
                NatConfig::builder()
                    .mapping(NatMapping::EndpointIndependent)
                    .filtering(NatFiltering::AddressAndPortDependent)
                    .hairpin(true)
                    .build()?,
            ),
        };
        let router = router.build().await?;
        let host = lab.add_device("host").uplink(router.id()).build().await?;
        let gateway = lab.add_device("gateway").uplink(router.id()).build().await?;
        match shared {
            Shared::Lan => {}
            Shared::Isolated | Shared::IsolatedHairpin => {
                firewall::isolate(&host, &gateway)?;
                firewall::isolate(&gateway, &host)?;
            }
            Shared::Offline => firewall::cut_off(&router)?,
        }
        let site = |device| Self { device, routers: vec![router.clone()] };
        Ok((site(host), site(gateway)))
    }

    /// The router that has the address which others see.
    pub(crate) fn outermost(&self) -> Result<&Router> {
        self.routers.last().context("a site has a router")
    }

    /// The machine gets another address in the same network.
    pub(crate) async fn renew_address(&self) -> Result<()> {
        self.device.iface("eth0").context("a device has an interface")?.renew_ip().await?;
        // The kernel has taken the routes with the address.
        self.device.set_default_route("eth0").await
    }

    /// Unplugs the machine and plugs it in somewhere else, as a phone does that leaves the house.
    pub(crate) async fn move_to(&mut self, routers: Vec<Router>) -> Result<()> {
        let nearest = routers.first().context("a network has a router")?;
        let interface = self.device.iface("eth0").context("a device has an interface")?;
        interface.replug(nearest.id()).await?;
        self.routers = routers;
        Ok(())
    }
}

/// The routers of a network of this kind, the nearest first.
pub(crate) async fn routers(lab: &Lab, name: &str, network: Network) -> Result<Vec<Router>> {
    let router = |name: &str| lab.add_router(name).ip_support(IpSupport::V4Only);
    // After the preset, which sets this too.
    let usual_home = |router: RouterBuilder| router.preset(RouterPreset::Home).ip_support(IpSupport::V4Only);
    let behind = async |isp: RouterPreset| {
        let isp = lab.add_router(&format!("{name}-isp")).preset(isp).ip_support(IpSupport::V4Only).build().await?;
        let home = usual_home(router(name)).upstream(isp.id()).build().await?;
        anyhow::Ok(vec![home, isp])
    };
    let one = match network {
        Network::Cgnat => return behind(RouterPreset::IspCgnat).await,
        Network::SymmetricCgnat => return behind(RouterPreset::IspCgnatSymmetric).await,
        Network::Public => router(name).preset(RouterPreset::PublicV4),
        Network::Home => router(name).nat(Nat::Open),
        Network::Restricted => usual_home(router(name)),
        Network::Symmetric => router(name).nat(Nat::Strict),
        Network::NoUdp => router(name).preset(RouterPreset::Corporate).ip_support(IpSupport::V4Only),
        Network::Dual => router(name).preset(RouterPreset::Home),
        Network::Ipv6 => router(name)
            .preset(RouterPreset::Public)
            .ip_support(IpSupport::V6Only)
            .firewall(patchbay::Firewall::BlockInbound),
    };
    Ok(vec![one.build().await?])
}
