//! The validated configuration: what the rest of the agent may rely on without asking again.

use std::{fmt, net::SocketAddr, ops::RangeInclusive, path::PathBuf, time::Duration};

/// One configuration file, checked as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub gateway: Gateway,
    pub groups: Vec<Group>,
    pub services: Vec<Service>,
}

/// Where and how the programs attach on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// Interfaces that carry the programs: those of the clients and those of the servers.
    pub interfaces: Vec<String>,
    pub attach: Attach,
    pub forward: Forward,
    /// Directory on a bpf file system that holds the pinned maps and links.
    pub pins: PathBuf,
    pub admin_socket: PathBuf,
    /// Keeps the operator's weights and states over a restart. `None`: they end with the agent.
    pub state_file: Option<PathBuf>,
    /// Source ports that `snat` hands out, outside the host's own ephemeral range.
    pub source_ports: RangeInclusive<u16>,
    /// Connections that fit into the flow table.
    pub max_flows: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attach {
    /// Native XDP where the driver has it, TC on veth, loopback and everywhere else.
    Auto,
    Xdp,
    XdpGeneric,
    Tc,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forward {
    /// Destination and source are rewritten.
    Snat,
}

/// Servers that replicate each other. At most one of them is the master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub name: String,
    pub failover: Failover,
    pub check: Check,
    pub auth: Option<Auth>,
    pub servers: Vec<Server>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failover {
    /// Somebody else promotes; the agent watches and follows.
    Observe,
}

/// How often a server is asked, and how many answers make a verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub interval: Duration,
    /// Between probes while a group has no master or a server changes its state.
    pub fast_interval: Duration,
    pub timeout: Duration,
    pub rise: u32,
    pub fall: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    pub username: Option<String>,
    pub password: Secret,
}

/// A password that never reaches a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    pub name: String,
    pub address: SocketAddr,
    /// 0–256, as configured; the operator may override it at run time.
    pub weight: u16,
    /// Serves only while no other server of the pool can.
    pub backup: bool,
}

/// A virtual address and port, and the group it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    pub name: String,
    pub listen: SocketAddr,
    /// Index into [`Config::groups`].
    pub group: usize,
    pub route: Route,
    pub fallback: Fallback,
    pub balance: Balance,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    Master,
    Replicas,
    Any,
}

/// Where a `replicas` service leads when no replica is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    Master,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    RoundRobin,
}
