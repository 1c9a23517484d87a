//! Interfaces, addresses, routes and neighbours of this host.

use std::net::{IpAddr, Ipv4Addr};

use futures::TryStreamExt;
use redirector_common::Hop;
use rtnetlink::{
    Handle, RouteMessageBuilder, new_connection,
    packet_route::{
        address::{AddressAttribute, AddressMessage, AddressProtocol},
        link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage},
        neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState},
        route::{RouteAddress, RouteAttribute},
    },
};

use super::{
    error::{DataplaneError, Result},
    plan::Path,
};

/// Marks the addresses that the agent has put on an interface (`IFA_PROTO`), so that it takes away only those.
const OURS: AddressProtocol = AddressProtocol::Other(0x52);

/// A network interface, as far as the datapath cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    pub name: String,
    pub index: u32,
    pub mac: [u8; 6],
    pub is_veth: bool,
    pub is_loopback: bool,
}

/// An IPv4 address on an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostAddress {
    pub address: Ipv4Addr,
    pub prefix: u8,
    pub interface: u32,
    /// Put there by redirector.
    pub ours: bool,
}

/// The kernel's routing sockets.
#[derive(Debug, Clone)]
pub struct Netlink(Handle);

impl Netlink {
    /// Opens a connection, served by a task of the current runtime.
    pub fn open() -> Result<Self> {
        let (connection, handle, _) = new_connection()
            .map_err(|source| DataplaneError::Os { what: "cannot open a netlink socket", source })?;
        tokio::spawn(connection);
        Ok(Self(handle))
    }

    pub async fn interfaces(&self) -> Result<Vec<Interface>> {
        let links: Vec<LinkMessage> = self
            .0
            .link()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(failed("cannot list the interfaces"))?;
        Ok(links.iter().filter_map(interface).collect())
    }

    pub async fn addresses(&self) -> Result<Vec<HostAddress>> {
        let addresses: Vec<AddressMessage> = self
            .0
            .address()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(failed("cannot list the addresses"))?;
        Ok(addresses.iter().filter_map(host_address).collect())
    }

    /// Puts `address` on an interface, as a host address of ours.
    pub async fn add_address(&self, address: Ipv4Addr, interface: u32) -> Result<()> {
        let mut request = self.0.address().add(interface, IpAddr::V4(address), 32);
        request.message_mut().attributes.push(AddressAttribute::Protocol(OURS));
        request.execute().await.map_err(failed(&format!("cannot put {address} on the interface")))
    }

    /// Takes away an address that [`Self::add_address`] has put there.
    pub async fn remove_address(&self, address: &HostAddress) -> Result<()> {
        let message = rtnetlink::AddressMessageBuilder::<Ipv4Addr>::new()
            .index(address.interface)
            .address(address.address, address.prefix)
            .build();
        self.0
            .address()
            .del(message)
            .execute()
            .await
            .map_err(failed(&format!("cannot take {} off the interface", address.address)))
    }

    /// How packets reach each of `servers`; `None` while a route or a neighbour is missing.
    pub async fn paths(&self, servers: &[Ipv4Addr]) -> Result<Vec<Option<Path>>> {
        let interfaces = self.interfaces().await?;
        let neighbours: Vec<NeighbourMessage> = self
            .0
            .neighbours()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(failed("cannot list the neighbours"))?;
        let mut paths = Vec::with_capacity(servers.len());
        for &server in servers {
            let path = self.route(server).await.and_then(|route| {
                let interface = interfaces.iter().find(|interface| interface.index == route.interface)?;
                let dst_mac = neighbours.iter().find_map(|neighbour| resolved(neighbour, &route))?;
                let hop = Hop { ifindex: interface.index, dst_mac, src_mac: interface.mac };
                Some(Path { source: route.source, hop })
            });
            paths.push(path);
        }
        Ok(paths)
    }

    /// The kernel's own choice of route.
    async fn route(&self, to: Ipv4Addr) -> Option<Route> {
        let message = RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(to, 32).build();
        // No route is an answer, not a failure: the server is left out until there is one.
        let route = self.0.route().get(message).execute().try_next().await.ok()??;
        let mut found = Route { interface: 0, source: Ipv4Addr::UNSPECIFIED, next_hop: to };
        for attribute in &route.attributes {
            if let RouteAttribute::Oif(index) = attribute {
                found.interface = *index;
            } else if let RouteAttribute::PrefSource(RouteAddress::Inet(source)) = attribute {
                found.source = *source;
            } else if let RouteAttribute::Gateway(RouteAddress::Inet(gateway)) = attribute {
                found.next_hop = *gateway;
            }
        }
        (found.interface != 0 && !found.source.is_unspecified()).then_some(found)
    }
}

struct Route {
    interface: u32,
    source: Ipv4Addr,
    next_hop: Ipv4Addr,
}

fn interface(link: &LinkMessage) -> Option<Interface> {
    let mut found = Interface {
        name: String::new(),
        index: link.header.index,
        mac: [0; 6],
        is_veth: false,
        is_loopback: link.header.flags.contains(LinkFlags::Loopback),
    };
    for attribute in &link.attributes {
        if let LinkAttribute::IfName(name) = attribute {
            found.name.clone_from(name);
        } else if let LinkAttribute::Address(mac) = attribute {
            found.mac = mac.as_slice().try_into().unwrap_or_default();
        } else if let LinkAttribute::LinkInfo(infos) = attribute {
            found.is_veth = infos.iter().any(|info| matches!(info, LinkInfo::Kind(InfoKind::Veth)));
        }
    }
    (!found.name.is_empty()).then_some(found)
}

fn host_address(message: &AddressMessage) -> Option<HostAddress> {
    let mut address = None;
    let mut ours = false;
    for attribute in &message.attributes {
        // IFA_LOCAL is the address itself; IFA_ADDRESS is the peer's on a point-to-point link.
        if let AddressAttribute::Local(IpAddr::V4(local)) = attribute {
            address = Some(*local);
        } else if let AddressAttribute::Protocol(protocol) = attribute {
            ours = *protocol == OURS;
        }
    }
    Some(HostAddress {
        address: address?,
        prefix: message.header.prefix_len,
        interface: message.header.index,
        ours,
    })
}

/// The Ethernet address of a route's next hop, if this entry has it.
fn resolved(neighbour: &NeighbourMessage, route: &Route) -> Option<[u8; 6]> {
    let dead = matches!(
        neighbour.header.state,
        NeighbourState::Failed | NeighbourState::Incomplete | NeighbourState::None
    );
    if neighbour.header.ifindex != route.interface || dead {
        return None;
    }
    let is_next_hop = neighbour.attributes.iter().any(|attribute| {
        matches!(attribute, NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)) if *ip == route.next_hop)
    });
    if !is_next_hop {
        return None;
    }
    neighbour.attributes.iter().find_map(|attribute| {
        if let NeighbourAttribute::LinkLayerAddress(mac) = attribute {
            mac.as_slice().try_into().ok()
        } else {
            None
        }
    })
}

fn failed(what: &str) -> impl FnOnce(rtnetlink::Error) -> DataplaneError {
    let what = what.to_owned();
    move |source| DataplaneError::Netlink { what, source }
}
