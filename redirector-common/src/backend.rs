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
    /// [`Backend::OPEN`] or zero. For the agent; the datapath goes by the fence.
    pub state: u16,
    /// The service's id, plus one: zero is an unused entry.
    pub owner: u32,
    pub reserved: u32,
}

impl Backend {
    /// Flows it has may go on.
    const OPEN: u16 = 1;

    pub const fn is_open(&self) -> bool {
        self.state == Self::OPEN
    }

    /// From now on it may have flows. Those that were fenced before stay so.
    pub const fn open(&mut self) {
        self.state = Self::OPEN;
    }

    /// Ends every flow made before `epoch`.
    pub const fn close(&mut self, epoch: u64) {
        self.state = 0;
        self.fence = epoch;
    }

    /// Does a flow made in `epoch` no longer belong here?
    #[inline(always)]
    pub const fn fences(&self, epoch: u64) -> bool {
        epoch < self.fence
    }
}
