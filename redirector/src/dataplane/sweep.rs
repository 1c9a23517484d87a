//! Passes over the flow table: resets for fenced flows, and the collection of those that are over.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    time::Duration,
};

use redirector_common::{Flow, FlowKey, FlowState};

use super::reset::{Rst, resets};

/// How long a connection may be silent before its entries are collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// From the SYN to the client's first ACK.
    pub half_open: Duration,
    /// After a RST or both FINs; late retransmissions still find their way.
    pub closed: Duration,
    /// Redis clients are idle for hours; servers send a keepalive every 300 s by default.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            half_open: Duration::from_secs(60),
            closed: Duration::from_secs(5),
            idle: Duration::from_secs(6 * 3600),
        }
    }
}

/// What a pass is to do, decided from a snapshot of the table.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sweep {
    /// To be sent first…
    pub resets: Vec<Rst>,
    /// …then to be removed.
    pub remove: Vec<FlowKey>,
    /// Backends that some flow still names.
    pub in_use: BTreeSet<u32>,
}

/// Every flow of the table, both directions.
pub(super) type Snapshot = HashMap<FlowKey, Flow>;

/// Ends the flows that `fenced` says are over: a RST to both ends, then the entries go. What is still on its way then
/// meets a service that knows no such flow, which answers with a RST, too.
pub(super) fn cut(flows: &Snapshot, fenced: impl Fn(&Flow) -> bool) -> Sweep {
    let mut sweep = Sweep::default();
    let fenced = flows.iter().filter(|(_, flow)| flow.is_forward() && fenced(flow));
    // Those that live come first. One that has seen a RST may still live, if its other end did not believe it.
    let (closed, live): (Vec<_>, Vec<_>) = fenced.partition(|(_, flow)| flow.state().is_closed());
    for (key, forward) in live.into_iter().chain(closed) {
        let peer = forward.peer_key();
        // Both ends have closed it themselves: there is nobody to tell.
        if !forward.state().has(FlowState::CLIENT_FIN | FlowState::SERVER_FIN) {
            sweep.resets.extend(resets(key, forward, flows.get(&peer)));
        }
        sweep.remove.extend([*key, peer]);
    }
    sweep
}

/// Collects what is over or was left half done. `now_ns` is the clock of the entries.
pub(super) fn collect(flows: &Snapshot, now_ns: u64, timeouts: &Timeouts) -> Sweep {
    let mut sweep = Sweep::default();
    for (key, flow) in flows {
        sweep.in_use.insert(flow.backend);
        let peer = flows.get(&flow.peer_key());
        let seen_ns = peer.map_or(flow.seen_ns, |peer| peer.seen_ns.max(flow.seen_ns));
        let silent = Duration::from_nanos(now_ns.saturating_sub(seen_ns));
        // A lone entry is one whose other half was being made or removed during the snapshot, or forgotten.
        let allowed = if flow.state().is_closed() {
            timeouts.closed
        } else if peer.is_none() || !flow.state().has(FlowState::ESTABLISHED) {
            timeouts.half_open
        } else {
            timeouts.idle
        };
        if silent > allowed {
            sweep.remove.push(*key);
        }
    }
    sweep
}

/// Reads the whole table.
pub(super) fn snapshot(map: std::os::fd::BorrowedFd<'_>) -> io::Result<Snapshot> {
    let mut flows = Snapshot::new();
    super::batch::for_each(map, |key: &FlowKey, flow: &Flow| {
        flows.insert(*key, *flow);
    })?;
    Ok(flows)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// A connection last heard of at `seen`, in state `state`.
    fn connection(port: u16, seen: u64, state: u32) -> [(FlowKey, Flow); 2] {
        let ip = |last| Ipv4Addr::new(10, 0, 0, last).into();
        let key = FlowKey::tcp(ip(10), port, ip(100), 6379);
        let flow = Flow { seen_ns: seen, state, backend: 3, epoch: 1, seq: 10, ack: 20, ..Flow::default() };
        let forward = Flow { src: ip(1), src_port: port, dst: ip(11), dst_port: 6379, ..flow };
        let reverse = Flow {
            src: key.dst,
            src_port: key.dst_port,
            dst: key.src,
            dst_port: key.src_port,
            direction: Flow::REVERSE,
            ..flow
        };
        [(key, forward), (forward.peer_key(), reverse)]
    }

    #[test]
    fn what_is_over_goes_and_what_lives_stays() {
        const OPEN: u32 = FlowState::REPLIED | FlowState::ESTABLISHED;
        const CLOSED: u32 = OPEN | FlowState::CLIENT_FIN | FlowState::SERVER_FIN;
        for (state, silent_s, goes) in [
            (OPEN, 3600, false),
            (OPEN, 7 * 3600, true),
            (CLOSED, 1, false),
            (CLOSED, 6, true),
            (OPEN | FlowState::RESET, 6, true),
            (FlowState::REPLIED, 30, false),
            (FlowState::REPLIED, 61, true),
            (0, 61, true),
        ] {
            let flows = Snapshot::from(connection(1, SECOND, state));
            let sweep = collect(&flows, SECOND + silent_s * SECOND, &Timeouts::default());
            assert_eq!(sweep.remove.len(), if goes { 2 } else { 0 }, "state {state:#b} after {silent_s} s");
            assert_eq!(sweep.in_use, BTreeSet::from([3]));
        }
    }

    #[test]
    fn a_packet_in_either_direction_keeps_a_connection() {
        let mut flows = Snapshot::from(connection(1, 0, FlowState::REPLIED | FlowState::ESTABLISHED));
        let now = 7 * 3600 * SECOND;
        for flow in flows.values_mut().filter(|flow| !flow.is_forward()) {
            flow.seen_ns = now;
        }
        assert!(collect(&flows, now, &Timeouts::default()).remove.is_empty());
    }

    #[test]
    fn only_fenced_flows_are_cut_and_both_entries_go() {
        let mut flows = Snapshot::from(connection(1, 0, FlowState::ESTABLISHED));
        flows.extend(
            connection(2, 0, FlowState::ESTABLISHED).map(|(key, flow)| (key, Flow { epoch: 2, ..flow })),
        );
        let sweep = cut(&flows, |flow| flow.epoch < 2);
        assert_eq!(sweep.remove.len(), 2);
        assert!(sweep.remove.iter().all(|key| flows[key].epoch == 1));
        assert!(sweep.resets.iter().any(|rst| rst.to.ip() == &Ipv4Addr::new(10, 0, 0, 10)), "the client");
        assert!(sweep.resets.iter().any(|rst| rst.to.ip() == &Ipv4Addr::new(10, 0, 0, 11)), "the server");
    }
}
