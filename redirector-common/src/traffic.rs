/// What has gone through one backend, summed up by each processor on its own.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    pub packets_to_server: u64,
    /// Whole frames, Ethernet header included.
    pub bytes_to_server: u64,
    pub packets_to_client: u64,
    pub bytes_to_client: u64,
    /// Flows made.
    pub flows: u64,
}

impl Traffic {
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            packets_to_server: self.packets_to_server + other.packets_to_server,
            bytes_to_server: self.bytes_to_server + other.bytes_to_server,
            packets_to_client: self.packets_to_client + other.packets_to_client,
            bytes_to_client: self.bytes_to_client + other.bytes_to_client,
            flows: self.flows + other.flows,
        }
    }
}
