use crate::{Addr, Hop};

/// One direction of a TCP connection, as its packets arrive at the gateway.
///
/// Ports are the two bytes of the TCP header in memory order, that is big-endian.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FlowKey {
    pub src: Addr,
    pub dst: Addr,
    pub src_port: u16,
    pub dst_port: u16,
    /// IP protocol number; TCP is 6.
    pub protocol: u32,
}

impl FlowKey {
    pub const TCP: u32 = 6;

    #[inline(always)]
    pub const fn tcp(src: Addr, src_port: u16, dst: Addr, dst_port: u16) -> Self {
        Self { src, dst, src_port, dst_port, protocol: Self::TCP }
    }
}

/// What becomes of the packets of one direction, and what has been seen of them.
///
/// A connection has two entries: *forward* under (client → virtual address) and *reverse* under
/// (server → source address). Each names the other: the translated tuple, turned round, is the other's key.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flow {
    /// Source and destination after translation.
    pub src: Addr,
    pub dst: Addr,
    pub src_port: u16,
    pub dst_port: u16,
    /// Index into the backends, which also say whether the flow is fenced.
    pub backend: u32,
    /// The service's epoch when the flow was made; older than the backend's fence means fenced.
    pub epoch: u64,
    /// Monotonic coarse clock, nanoseconds.
    pub created_ns: u64,
    pub seen_ns: u64,
    /// One past the highest sequence number this side has sent (host order).
    pub seq: u32,
    /// The last acknowledgement this side has sent (host order).
    pub ack: u32,
    /// Where packets of the reverse direction leave; zero in the forward one, which follows the backend.
    pub hop: Hop,
    /// [`FlowState`] bits, the same in both entries; but a fence that has been met is noted only in the entry that met it.
    pub state: u32,
    /// [`Flow::FORWARD`] or [`Flow::REVERSE`].
    pub direction: u32,
}

impl Flow {
    pub const FORWARD: u32 = 0;
    pub const REVERSE: u32 = 1;

    /// The key of the other entry of this connection.
    #[inline(always)]
    pub const fn peer_key(&self) -> FlowKey {
        FlowKey::tcp(self.dst, self.dst_port, self.src, self.src_port)
    }

    pub const fn is_forward(&self) -> bool {
        self.direction == Self::FORWARD
    }

    pub const fn state(&self) -> FlowState {
        FlowState(self.state)
    }
}

/// What a connection has been through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FlowState(pub u32);

impl FlowState {
    /// The server has answered the SYN.
    pub const REPLIED: u32 = 1;
    /// The client has acknowledged the answer.
    pub const ESTABLISHED: u32 = 1 << 1;
    pub const CLIENT_FIN: u32 = 1 << 2;
    pub const SERVER_FIN: u32 = 1 << 3;
    pub const RESET: u32 = 1 << 4;

    /// Nothing more will be said: a new SYN may take the entry's place.
    #[inline(always)]
    pub const fn is_closed(self) -> bool {
        const BOTH: u32 = FlowState::CLIENT_FIN | FlowState::SERVER_FIN;
        self.0 & Self::RESET != 0 || self.0 & BOTH == BOTH
    }

    #[inline(always)]
    pub const fn has(self, bits: u32) -> bool {
        self.0 & bits == bits
    }
}
