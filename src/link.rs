//! The network as the kernel has it: which link leads to an address now, and when that may have changed.
//!
//! The kernel's own routing answers (netlink, what `ip route get` asks): rules, metrics and VPNs count as they do for
//! real traffic, no packet is sent and no right is needed. Inside a VPN the answer is the VPN's interface: what lies
//! beneath it is not told. Whether a link is metered only NetworkManager knows; where there is none, nobody says so.
//!
//! Nothing here is kept: dying anywhere leaves nothing behind.

mod message;
mod metered;
mod netlink;

pub use metered::metered;
pub use netlink::Changes;

use crate::error::Result;
use crate::uplink::link::{Link, Metered};
use message::{Address, Route};
use netlink::Asker;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

/// Gateways and networks of one interface that are kept: more than any machine has, and a bound.
const MOST: usize = 64;

/// Addresses of a server, now. Asks the machine's resolver and takes as long as that takes. Empty: the name has none,
/// or nobody answers.
pub fn addresses_of(host: &str, port: u16) -> Vec<IpAddr> {
    let found = (host, port).to_socket_addrs().into_iter().flatten();
    let mut addresses: Vec<IpAddr> = found.take(MOST).map(|a: SocketAddr| a.ip().to_canonical()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

/// The links that traffic to these addresses takes now, each once. An address no way leads to has none. What is metered
/// is not asked here.
pub fn links_to(addresses: &[IpAddr]) -> Result<Vec<Link>> {
    let mut asker = Asker::new()?;
    let mut ways: Vec<Route> = Vec::new();
    for address in addresses {
        if let Some(way) = asker.way_to(*address)?
            && !ways.iter().any(|w| w.interface == way.interface)
        {
            ways.push(way);
        }
    }
    if ways.is_empty() {
        return Ok(Vec::new());
    }
    let (routes, own) = (asker.ways_out()?, asker.own_addresses()?);
    ways.into_iter().map(|way| link(&mut asker, &way, &routes, &own)).collect()
}

fn link(asker: &mut Asker, way: &Route, routes: &[Route], own: &[Address]) -> Result<Link> {
    let here = |interface: u32| interface == way.interface;
    let mut gateways: Vec<IpAddr> = Vec::new();
    for gateway in
        way.gateway.into_iter().chain(routes.iter().filter(|r| here(r.interface)).filter_map(|r| r.gateway)).take(MOST)
    {
        if !gateways.contains(&gateway) {
            gateways.push(gateway);
        }
    }
    let networks = own.iter().filter(|a| here(a.interface)).map(|a| a.network).take(MOST).collect();
    Ok(Link { interface: asker.name_of(way.interface)?, gateways, networks, metered: Metered::Unknown })
}
