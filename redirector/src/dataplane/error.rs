use std::{io, path::PathBuf};

use aya::{EbpfError, maps::MapError, pin::PinError, programs::ProgramError};

/// What can go wrong between the agent and the kernel; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum DataplaneError {
    #[error("this binary was built without its eBPF programs: build it with `cargo xtask build`")]
    NoPrograms,
    #[error("Linux {found} is too old: redirector needs {needed} or newer")]
    KernelTooOld { found: String, needed: &'static str },
    #[error("{path} is not on a bpf file system: mount one with `mount -t bpf bpf /sys/fs/bpf`")]
    NoBpfFs { path: PathBuf },
    #[error(
        "another redirector already steers the maps in {path}: stop it, or give this one `pins` of its own"
    )]
    PinsInUse { path: PathBuf },
    #[error(
        "{path} holds the maps of another version ({found}): run `redirector detach` first; established flows will be cut"
    )]
    OtherLayout { path: PathBuf, found: String },
    #[error("interface {name} does not exist: `ip link` lists those that do")]
    NoInterface { name: String },
    #[error(
        "interface {name} cannot run native XDP: write attach = \"tc\", or \"auto\" to let redirector choose"
    )]
    NoXdp { name: String, source: ProgramError },
    #[error(
        "interface {name} already carries another XDP program: `ip link show dev {name}` names it; remove it, or write attach = \"tc\""
    )]
    XdpTaken { name: String },
    #[error(
        "the MTU of interface {name} is too large for native XDP: lower it (`ip link set {name} mtu 3500`), or write \
         attach = \"tc\""
    )]
    XdpMtu { name: String },
    #[error("cannot attach to interface {name}")]
    Attach { name: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the programs do not hold {what} {name}: rebuild with `cargo xtask build`")]
    Missing { what: &'static str, name: &'static str },
    #[error("the kernel refuses the programs")]
    Load(#[from] EbpfError),
    #[error("the kernel refuses program {name}")]
    Program { name: &'static str, source: ProgramError },
    #[error("cannot {what} map {name}")]
    Map { what: &'static str, name: &'static str, source: MapError },
    #[error("cannot pin to {path}")]
    Pin { path: PathBuf, source: PinError },
    #[error("{path}")]
    Path { path: PathBuf, source: io::Error },
    #[error("{what}")]
    Os { what: &'static str, source: io::Error },
    #[error("netlink: {what}")]
    Netlink { what: String, source: rtnetlink::Error },
    #[error(transparent)]
    Plan(#[from] super::plan::PlanError),
}

pub(super) type Result<T, E = DataplaneError> = std::result::Result<T, E>;
