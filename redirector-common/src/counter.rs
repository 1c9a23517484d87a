/// One counter for every way a packet can end, and a few totals.
macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// What became of a packet. Each variant is an index into the counter map.
        #[repr(u32)]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Counter { $($(#[doc = $doc])+ $variant,)+ }

        impl Counter {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name under which status and metrics show it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

counters! {
    /// Passed: not IPv4.
    PassNotIp = "pass_not_ip",
    /// Passed: the frame ends before the headers do, or the lengths contradict each other.
    PassTruncated = "pass_truncated",
    /// Passed: IPv4 options.
    PassIpOptions = "pass_ip_options",
    /// Passed: a fragment.
    PassFragment = "pass_fragment",
    /// Passed: not TCP.
    PassNotTcp = "pass_not_tcp",
    /// Passed: neither a flow nor a service.
    PassNotOurs = "pass_not_ours",
    /// Sent to a server.
    ToServer = "to_server",
    /// Sent to a client.
    ToClient = "to_client",
    /// An ICMP error about a flow, sent on to the sender of the packet that it quotes.
    IcmpError = "icmp_error",
    /// A new flow was made (counted beside `to_server`).
    FlowCreated = "flow_created",
    /// Reset: the flow's server has lost its place in the service.
    ResetFenced = "reset_fenced",
    /// Reset: a packet to a service that belongs to no flow and opens none.
    ResetNoFlow = "reset_no_flow",
    /// Refused: no server may serve.
    RefusedNoServer = "refused_no_server",
    /// Refused: no source port was free.
    RefusedNoPort = "refused_no_port",
    /// Refused: the flow table is full.
    RefusedTableFull = "refused_table_full",
    /// Dropped: a RST that belongs to no flow, or to a fenced one; it is never answered.
    DropReset = "drop_reset",
    /// Dropped: an ICMP error about a fenced flow.
    DropFencedError = "drop_fenced_error",
    /// Dropped: a copy of a SYN whose flow another processor was just making.
    DropDuplicate = "drop_duplicate",
    /// Dropped: time to live ran out.
    DropTtl = "drop_ttl",
    /// Dropped: the next hop's Ethernet address is not known yet.
    DropNoNeighbour = "drop_no_neighbour",
    /// Dropped: the tables contradict each other, or the packet could not be changed.
    DropInternal = "drop_internal",
}

impl Counter {
    /// How many there are.
    #[expect(clippy::cast_possible_truncation, reason = "a few dozen at most")]
    pub const COUNT: u32 = Self::ALL.len() as u32;

    #[inline(always)]
    pub const fn index(self) -> u32 {
        self as u32
    }
}
