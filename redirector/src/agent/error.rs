use std::{io, net::Ipv4Addr, path::PathBuf};

use crate::dataplane::DataplaneError;

/// Why the agent cannot start or go on; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error(transparent)]
    Dataplane(#[from] DataplaneError),
    #[error(
        "virtual address {address} is already on {interface}, which is not one of the gateway's interfaces: remove it \
         there (`ip address del {address} dev {interface}`), or add {interface} to `interfaces`"
    )]
    AddressElsewhere { address: Ipv4Addr, interface: String },
    #[error("steering the datapath takes {}: start it as root, or give it what it lacks", .lacking.join(", "))]
    NoPrivilege { lacking: Vec<&'static str> },
    #[error("another agent answers on {path}: stop it, or give this one an `admin_socket` of its own")]
    SocketInUse { path: PathBuf },
    #[error("cannot listen on {path}")]
    Socket { path: PathBuf, source: io::Error },
    #[error("cannot announce {address} on {interface}")]
    Announce { address: Ipv4Addr, interface: String, source: io::Error },
    #[error("cannot wait for signals")]
    Signals(#[source] io::Error),
}
