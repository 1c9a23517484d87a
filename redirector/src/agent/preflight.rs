//! What must be so before anything on the host is touched.

use std::net::{Ipv4Addr, SocketAddr};

use super::AgentError;
use crate::{
    config::Config,
    dataplane::{DataplaneError, HostAddress, Interface},
};

/// The gateway's interfaces, in the order of the configuration.
pub(super) fn interfaces(config: &Config, present: &[Interface]) -> Result<Vec<Interface>, AgentError> {
    config
        .gateway
        .interfaces
        .iter()
        .map(|name| {
            let found = present.iter().find(|interface| interface.name == *name).cloned();
            found.ok_or_else(|| DataplaneError::NoInterface { name: name.clone() }.into())
        })
        .collect()
}

/// A virtual address that is to be put on an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placement {
    pub address: Ipv4Addr,
    pub interface: Interface,
    /// It is there already.
    pub present: bool,
}

/// Where each virtual address belongs: where it is, else on the interface whose network it is in, else on the first.
pub(super) fn placements(
    config: &Config,
    interfaces: &[Interface],
    present: &[Interface],
    addresses: &[HostAddress],
) -> Result<Vec<Placement>, AgentError> {
    let mut placements: Vec<Placement> = Vec::new();
    for address in virtual_addresses(config) {
        let holder = addresses.iter().find(|held| held.address == address);
        if let Some(holder) = holder {
            let Some(interface) = interfaces.iter().find(|interface| interface.index == holder.interface)
            else {
                let name = present.iter().find(|interface| interface.index == holder.interface);
                let interface =
                    name.map_or_else(|| "another interface".to_owned(), |interface| interface.name.clone());
                return Err(AgentError::AddressElsewhere { address, interface });
            };
            placements.push(Placement { address, interface: interface.clone(), present: true });
            continue;
        }
        let home = interfaces.iter().find(|interface| {
            addresses.iter().any(|held| held.interface == interface.index && contains(held, address))
        });
        if let Some(interface) = home.or(interfaces.first()) {
            placements.push(Placement { address, interface: interface.clone(), present: false });
        }
    }
    Ok(placements)
}

/// Every address that a service listens on, once.
pub(super) fn virtual_addresses(config: &Config) -> Vec<Ipv4Addr> {
    let mut addresses: Vec<Ipv4Addr> =
        config.services.iter().filter_map(|service| v4(service.listen)).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

fn v4(address: SocketAddr) -> Option<Ipv4Addr> {
    match address {
        SocketAddr::V4(address) => Some(*address.ip()),
        SocketAddr::V6(_) => None,
    }
}

fn contains(held: &HostAddress, address: Ipv4Addr) -> bool {
    let mask = u32::MAX.checked_shl(32 - u32::from(held.prefix.min(32))).unwrap_or(0);
    held.address.to_bits() & mask == address.to_bits() & mask
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test may fail loudly")]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{self, Host, HostPasswords};

    fn config() -> Config {
        let text = "[gateway]\ninterfaces = [\"eth0\", \"eth1\"]\n\
            [[group]]\nname = \"g\"\nserver = [{ name = \"r1\", address = \"10.0.1.11:6379\" }]\n\
            [[service]]\nname = \"rw\"\nlisten = \"10.0.0.100:6379\"\ngroup = \"g\"\nroute = \"master\"\n\
            [[service]]\nname = \"ro\"\nlisten = \"10.0.0.100:6380\"\ngroup = \"g\"\nroute = \"replicas\"\n";
        let host = Host { ephemeral_ports: 32768..=60999 };
        config::parse(text, Path::new("test.toml"), &host, &HostPasswords).expect("a good configuration")
    }

    fn interface(name: &str, index: u32) -> Interface {
        Interface { name: name.into(), index, mac: [0; 6], is_veth: false, is_loopback: false }
    }

    fn held(address: [u8; 4], prefix: u8, interface: u32) -> HostAddress {
        HostAddress { address: address.into(), prefix, interface, ours: false }
    }

    #[test]
    fn a_missing_interface_is_named() {
        let error = interfaces(&config(), &[interface("eth0", 2)]).expect_err("eth1 is missing");
        assert!(error.to_string().contains("eth1 does not exist"), "{error}");
    }

    #[test]
    fn an_address_goes_to_the_interface_of_its_network() {
        let ours = [interface("eth0", 2), interface("eth1", 3)];
        for (addresses, expected, present) in [
            (vec![held([10, 0, 1, 1], 24, 2), held([10, 0, 0, 1], 24, 3)], "eth1", false),
            (vec![held([192, 168, 0, 1], 24, 3)], "eth0", false),
            (vec![held([10, 0, 0, 1], 24, 2), held([10, 0, 0, 100], 32, 3)], "eth1", true),
        ] {
            let placed = placements(&config(), &ours, &ours, &addresses).expect("a place");
            assert_eq!(placed.len(), 1, "two services, one address");
            assert_eq!((placed[0].interface.name.as_str(), placed[0].present), (expected, present));
        }
    }

    #[test]
    fn an_address_on_a_foreign_interface_is_refused() {
        let ours = [interface("eth0", 2), interface("eth1", 3)];
        let all = [ours.to_vec(), vec![interface("dummy0", 9)]].concat();
        let error =
            placements(&config(), &ours, &all, &[held([10, 0, 0, 100], 32, 9)]).expect_err("it is taken");
        assert!(error.to_string().contains("already on dummy0"), "{error}");
    }
}
