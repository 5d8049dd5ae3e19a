//! Networks: what is between a machine and the internet, and who is where.

pub(crate) mod conntrack;
pub(crate) mod firewall;
mod network;
mod placement;
mod site;

pub(crate) use self::{
    network::{Filtering, Mapping, Network, Traits},
    placement::{Placement, Shared},
    site::{Site, routers as site_routers},
};
