use crate::Addr;

/// The way out of the gateway towards a neighbour: an interface and two Ethernet addresses.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hop {
    /// Zero: not resolved yet.
    pub ifindex: u32,
    pub dst_mac: [u8; 6],
    pub src_mac: [u8; 6],
}

/// One server in one service. The same server in two services is two backends, each with its own fence.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backend {
    pub addr: Addr,
    /// The address that flows to this server get as their source.
    pub source: Addr,
    /// Flows of an older epoch are answered with a RST.
    pub fence: u64,
    pub hop: Hop,
    /// Big-endian.
    pub port: u16,
    /// First source port to hand out (host order), and how many follow.
    pub first_port: u16,
    pub ports: u16,
    pub reserved: u16,
    /// The service's id, plus one: zero is an unused entry.
    pub owner: u32,
    pub reserved2: u32,
}

impl Backend {
    /// Does a flow made in `epoch` no longer belong here?
    #[inline(always)]
    pub const fn fences(&self, epoch: u64) -> bool {
        epoch < self.fence
    }
}
