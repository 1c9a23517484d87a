use crate::Addr;

/// A virtual address and port.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceKey {
    pub addr: Addr,
    /// Big-endian.
    pub port: u16,
    /// IP protocol number; TCP is 6.
    pub protocol: u16,
}

impl ServiceKey {
    #[inline(always)]
    pub const fn tcp(addr: Addr, port: u16) -> Self {
        Self { addr, port, protocol: 6 }
    }
}

/// The agent's answer for a service. Replaced as a whole: this is the atomic switch.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Service {
    /// Grows with every change; new flows carry it.
    pub epoch: u64,
    /// Which rows of the slot table and which round-robin ticket are this service's.
    pub id: u32,
    /// The bank of slots in use, 0 or 1; the other one is free to be written.
    pub bank: u32,
    /// Slots in use in that bank; zero means that nobody may serve and connections are refused.
    pub slots: u32,
    pub reserved: u32,
}
