//! Virtual addresses onto the interfaces, and off again.

use std::net::Ipv4Addr;

use super::{
    AgentError,
    preflight::{Placement, virtual_addresses},
};
use crate::{
    config::Config,
    dataplane::{Netlink, announce},
};

/// Puts the addresses that are missing on their interfaces, and tells the neighbours about all of them.
pub(super) async fn place(netlink: &Netlink, placements: &[Placement]) -> Result<(), AgentError> {
    for placement in placements {
        let address = placement.address;
        if !placement.present {
            netlink.add_address(address, placement.interface.index).await?;
        }
        announce(&placement.interface, address).map_err(|source| AgentError::Announce {
            address,
            interface: placement.interface.name.clone(),
            source,
        })?;
    }
    Ok(())
}

/// Takes away the addresses of the configuration's services that redirector has placed; what somebody else has placed
/// stays.
pub(super) async fn remove(config: &Config) -> Result<Vec<Ipv4Addr>, AgentError> {
    let netlink = Netlink::open()?;
    let ours = virtual_addresses(config);
    let mut removed = Vec::new();
    for held in netlink.addresses().await? {
        if held.ours && ours.contains(&held.address) {
            netlink.remove_address(&held).await?;
            removed.push(held.address);
        }
    }
    Ok(removed)
}
