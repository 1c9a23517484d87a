//! The lab's network: five namespaces, four veth pairs, and the addresses on them.

use std::{fs, net::Ipv4Addr, path::Path};

use anyhow::{Result, ensure};

use super::{Claim, Namespace, netns, netns::Veth, process::run};

/// The client's first address.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 10);
/// The gateway's address towards the client.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// The gateway's address towards every server.
pub const GATEWAY_TO_SERVERS: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 1);
/// The address of the services. The agent puts it on the gateway, not the lab.
pub const VIRTUAL: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);
pub const SERVER_NAMES: [&str; 3] = ["r1", "r2", "r3"];
pub const SERVERS: [Ipv4Addr; 3] =
    [Ipv4Addr::new(10, 0, 1, 11), Ipv4Addr::new(10, 0, 1, 12), Ipv4Addr::new(10, 0, 1, 13)];
pub const REDIS_PORT: u16 = 6379;
/// The gateway's interfaces: to the client, and to each server in turn.
pub const GATEWAY_INTERFACES: [&str; 4] = ["eth0", "s1", "s2", "s3"];

/// What the veth ends may leave for a network card to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offload {
    /// `tx off gro on`: every checksum is on the wire, and native XDP may redirect to the end. What
    /// real wires look like.
    Off,
    /// The kernel's default for veth: checksums are left open, segments are up to 64 kB.
    On,
}

/// The namespaces, connected and addressed.
#[derive(Debug)]
pub struct Topology {
    pub client: Namespace,
    pub gateway: Namespace,
    pub servers: [Namespace; 3],
}

impl Topology {
    /// Builds the network under the claim's names; dropping the claim removes it, half built or
    /// whole.
    pub fn build(claim: &Claim, offload: Offload, client_addresses: u8) -> Result<Self> {
        // The client's addresses end where the gateway's virtual address begins.
        ensure!(
            (1..=64).contains(&client_addresses),
            "a client has 1 to 64 addresses, not {client_addresses}"
        );
        let names = ["client", "gw", "r1", "r2", "r3"].map(|role| claim.namespace(role));
        let [client, gateway, servers @ ..] = &names;
        let mut links = vec![Veth([(gateway, "eth0"), (client, "eth0")])];
        for (server, interface) in servers.iter().zip(&GATEWAY_INTERFACES[1..]) {
            links.push(Veth([(gateway, interface), (server, "eth0")]));
        }
        let mut made = netns::create(&names, &links)?.into_iter();
        let mut next = || made.next().ok_or_else(|| anyhow::anyhow!("five namespaces were made"));
        let topology = Self { client: next()?, gateway: next()?, servers: [next()?, next()?, next()?] };

        topology.address(client_addresses)?;
        for Veth(ends) in links {
            for (namespace, interface) in ends {
                set_offload(&Namespace::open(namespace)?, interface, offload)?;
            }
        }
        Ok(topology)
    }

    fn address(&self, client_addresses: u8) -> Result<()> {
        let first = u32::from(CLIENT);
        let mut client: Vec<String> = (0..u32::from(client_addresses))
            .map(|n| format!("addr add {}/24 dev eth0", Ipv4Addr::from(first + n)))
            .collect();
        client.extend(up("eth0"));
        client.push(format!("route add default via {GATEWAY}"));
        plain_ipv4(&self.client)?;
        self.client.ip(&client)?;

        let mut gateway = vec![format!("addr add {GATEWAY}/24 dev eth0")];
        gateway.extend(up("eth0"));
        for (server, interface) in SERVERS.iter().zip(&GATEWAY_INTERFACES[1..]) {
            gateway.push(format!("addr add {GATEWAY_TO_SERVERS}/32 dev {interface}"));
            gateway.extend(up(interface));
            gateway.push(format!("route add {server} dev {interface} src {GATEWAY_TO_SERVERS}"));
        }
        plain_ipv4(&self.gateway)?;
        // Replication between the servers goes through the gateway's kernel.
        self.gateway.sysctl("net/ipv4/ip_forward", "1")?;
        self.gateway.ip(&gateway)?;

        for (namespace, address) in self.servers.iter().zip(SERVERS) {
            let mut lines = vec![format!("addr add {address}/32 dev eth0")];
            lines.extend(up("eth0"));
            lines.push(format!("route add {GATEWAY_TO_SERVERS} dev eth0 scope link"));
            lines.push(format!("route add default via {GATEWAY_TO_SERVERS}"));
            plain_ipv4(namespace)?;
            namespace.ip(&lines)?;
        }
        Ok(())
    }
}

fn up(interface: &str) -> [String; 2] {
    ["link set lo up".to_owned(), format!("link set {interface} up")]
}

/// No IPv6 chatter in captures, and no reverse path filter: the gateway has one address on three
/// interfaces.
fn plain_ipv4(namespace: &Namespace) -> Result<()> {
    namespace.enter(|| {
        // Each interface apart: it has inherited its settings from the host when it was made. IPv6
        // may be compiled out.
        for (family, key, value) in [("ipv4", "rp_filter", "0"), ("ipv6", "disable_ipv6", "1")] {
            let folder = Path::new("/proc/sys/net").join(family).join("conf");
            for interface in netns::entries(&folder)? {
                fs::write(folder.join(interface).join(key), value)?;
            }
        }
        Ok(())
    })
}

fn set_offload(namespace: &Namespace, interface: &str, offload: Offload) -> Result<()> {
    let features = match offload {
        Offload::Off => ["tx", "off", "gro", "on"],
        Offload::On => ["tx", "on", "gro", "off"],
    };
    run(namespace.command("ethtool").args(["-K", interface]).args(features)).map(drop)
}
