//! Passes over the flow table, beside the agent: a table of a million flows must not hold up the next answer.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError, TryLockError},
};

use aya::maps::{HashMap, MapData, MapError};
use redirector_common::{Flow, FlowKey, names};

use super::{
    banks::Settling,
    error::{DataplaneError, Result},
    maps::{fd_of, wait_for_readers},
    reset::Sender,
    sweep::{self, Sweep, Timeouts},
};

/// The flow table and the socket for resets; one pass at a time.
#[derive(Debug)]
pub(super) struct Sweeper {
    flows: HashMap<MapData, FlowKey, Flow>,
    sender: Sender,
}

/// Fences of all backends in use, by id.
pub(super) type Fences = BTreeMap<u32, u64>;

impl Sweeper {
    pub(super) fn new(flows: HashMap<MapData, FlowKey, Flow>) -> Result<Self> {
        let sender = Sender::new()
            .map_err(|source| DataplaneError::Os { what: "cannot open a raw socket", source })?;
        Ok(Self { flows, sender })
    }

    /// Ends every flow that is older than its backend's fence.
    fn cut(&mut self, fences: &Fences) -> Result<()> {
        let flows = self.snapshot()?;
        let sweep =
            sweep::cut(&flows, |flow| fences.get(&flow.backend).is_some_and(|&fence| flow.epoch < fence));
        self.carry_out(&sweep)
    }

    fn collect(&mut self, fences: &Fences, timeouts: &Timeouts) -> Result<BTreeSet<u32>> {
        // Also those that are fenced and were not reached when they should have been.
        self.cut(fences)?;
        let flows = self.snapshot()?;
        let sweep = sweep::collect(&flows, monotonic_ns(), timeouts);
        self.carry_out(&sweep)?;
        Ok(sweep.in_use)
    }

    fn snapshot(&self) -> Result<sweep::Snapshot> {
        sweep::snapshot(fd_of(&self.flows))
            .map_err(|source| DataplaneError::Os { what: "cannot read the flow table", source })
    }

    fn carry_out(&mut self, sweep: &Sweep) -> Result<()> {
        for rst in &sweep.resets {
            // An end that cannot be reached now learns it from its next packet.
            if let Err(error) = self.sender.send(rst) {
                tracing::debug!(?rst, %error, "RST not sent");
            }
        }
        for key in &sweep.remove {
            match self.flows.remove(key) {
                Ok(()) | Err(MapError::KeyNotFound) => {}
                Err(source) => {
                    return Err(DataplaneError::Map { what: "remove from", name: names::FLOWS, source });
                }
            }
        }
        Ok(())
    }
}

/// What is left to do after a switch.
#[derive(Debug)]
pub struct Aftermath {
    pub(super) sweeper: Arc<Mutex<Sweeper>>,
    pub(super) fences: Fences,
    pub(super) settling: Settling,
}

impl Aftermath {
    /// Cuts the flows that the switch has fenced; then, when nobody makes flows from the old answer any more, those that
    /// had slipped in. Blocks for some ten milliseconds.
    pub fn run(self) -> (Settling, Result<()>) {
        let cut = || self.sweeper.lock().unwrap_or_else(PoisonError::into_inner).cut(&self.fences);
        let first = cut();
        wait_for_readers();
        let second = cut();
        (self.settling, first.and(second))
    }
}

/// A collection of flows that are over.
#[derive(Debug)]
pub struct Collection {
    pub(super) sweeper: Arc<Mutex<Sweeper>>,
    pub(super) fences: Fences,
    /// Backends that had no part in any answer when this began.
    pub(super) closed: BTreeSet<u32>,
}

impl Collection {
    /// Collects, and gives the backends that may be freed: closed all the while, and named by no flow. Blocks.
    pub fn run(self, timeouts: &Timeouts) -> Result<BTreeSet<u32>> {
        // While another pass is under way there is no hurry: the next time will do.
        let mut sweeper = match self.sweeper.try_lock() {
            Ok(sweeper) => sweeper,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(BTreeSet::new()),
        };
        let in_use = sweeper.collect(&self.fences, timeouts)?;
        Ok(self.closed.difference(&in_use).copied().collect())
    }
}

/// A count of the connections that are there.
#[derive(Debug)]
pub struct Census {
    pub(super) sweeper: Arc<Mutex<Sweeper>>,
}

impl Census {
    /// Connections by backend, half-open ones included, closed ones not. Reads the whole table: blocks.
    pub fn run(self) -> Result<BTreeMap<u32, u64>> {
        let sweeper = self.sweeper.lock().unwrap_or_else(PoisonError::into_inner);
        let mut connections = BTreeMap::new();
        for flow in sweeper.snapshot()?.values() {
            if flow.is_forward() && !flow.state().is_closed() {
                *connections.entry(flow.backend).or_default() += 1;
            }
        }
        Ok(connections)
    }
}

/// The clock of the flow entries: `bpf_ktime_get_coarse_ns` is `CLOCK_MONOTONIC_COARSE`.
fn monotonic_ns() -> u64 {
    use nix::time::{ClockId, clock_gettime};
    clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE)
        .map_or(0, |time| time.tv_sec().unsigned_abs() * 1_000_000_000 + time.tv_nsec().unsigned_abs())
}
