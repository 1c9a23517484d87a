//! The datapath as the agent holds it: programs loaded and attached, maps open.

use std::{io, net::SocketAddr};

use aya::{Ebpf, EbpfLoader, maps::MapError, util::KernelVersion};
use redirector_common::{Counter, names};

use super::{
    attach::{self, Hook},
    banks::{Banks, Settling},
    error::{DataplaneError, Result},
    kernel_log,
    maps::{Maps, wait_for_readers},
    netlink::Interface,
    pins::Pins,
    plan::{self, Applied, DesiredService, Op, Ports},
    reset::Sender,
    sweep::{self, Sweep, Timeouts},
};
use crate::config::Gateway;

/// What the build has compiled for the kernel; empty where it has not.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/redirector.bpf.o"));

/// Atomic read-modify-write in BPF came with 5.12, links for XDP with 5.9; 6.1 is the oldest kernel that is tested.
const OLDEST_KERNEL: (KernelVersion, &str) = (KernelVersion::new(6, 1, 0), "6.1");

/// Programs and maps of one agent.
#[derive(Debug)]
pub struct Dataplane {
    maps: Maps,
    applied: Applied,
    banks: Banks,
    ports: Ports,
    hooks: Vec<Hook>,
    adopted: bool,
    sender: Sender,
    // Held, not used: the programs' handles, and the lock on the pins.
    _ebpf: Ebpf,
    _pins: Pins,
}

/// What a pass over the flow table has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    pub removed: usize,
    pub resets: usize,
}

impl Dataplane {
    /// Loads the programs, adopts the maps of an earlier agent or makes new ones, and attaches.
    pub fn start(gateway: &Gateway, interfaces: &[Interface]) -> Result<Self> {
        if OBJECT.is_empty() {
            return Err(DataplaneError::NoPrograms);
        }
        let kernel = KernelVersion::current().map_err(|error| DataplaneError::Os {
            what: "cannot tell the kernel's version",
            source: io::Error::other(error),
        })?;
        if kernel < OLDEST_KERNEL.0 {
            return Err(DataplaneError::KernelTooOld { found: kernel.to_string(), needed: OLDEST_KERNEL.1 });
        }
        let pins = Pins::open(&gateway.pins)?;
        let adopted = pins.adopted();
        let mut ebpf = EbpfLoader::new()
            .default_map_pin_directory(pins.maps())
            .map_max_entries(names::FLOWS, gateway.max_flows * 2)
            .load(OBJECT)?;
        let hooks = attach::attach(&mut ebpf, &pins, interfaces, gateway.attach)?;
        kernel_log::follow(&mut ebpf);
        let maps = Maps::take(&mut ebpf)?;
        let applied = maps.applied()?;
        let sender = Sender::new()
            .map_err(|source| DataplaneError::Os { what: "cannot open a raw socket", source })?;
        let (first, last) = (*gateway.source_ports.start(), *gateway.source_ports.end());
        let ports = Ports { first, count: last.saturating_sub(first).saturating_add(1) };
        // An earlier agent may have switched a moment ago.
        wait_for_readers();
        Ok(Self {
            maps,
            applied,
            banks: Banks::default(),
            ports,
            hooks,
            adopted,
            sender,
            _ebpf: ebpf,
            _pins: pins,
        })
    }

    /// Whether an earlier agent's answer was found in the maps.
    pub fn adopted(&self) -> bool {
        self.adopted
    }

    pub fn applied(&self) -> &Applied {
        &self.applied
    }

    /// How often the answer for the service at `listen` has changed.
    pub fn epoch(&self, listen: SocketAddr) -> Option<u64> {
        let SocketAddr::V4(listen) = listen else { return None };
        Some(self.applied.services.get(&plan::service_key(listen))?.service.epoch)
    }

    /// The hook of each interface, in the order of the configuration.
    pub fn hooks(&self) -> &[Hook] {
        &self.hooks
    }

    pub fn counters(&self) -> Result<Vec<(Counter, u64)>> {
        self.maps.counters()
    }

    /// Makes the maps say what is desired. Gives the operations carried out; if there are any, [`Self::settling`] is next.
    pub fn apply(&mut self, desired: &[DesiredService]) -> Result<Vec<Op>> {
        let (ops, next) = plan::plan(desired, &self.applied, self.ports)?;
        if self.banks.in_the_way_of(&ops) {
            let settling = self.settling();
            wait_for_readers();
            self.banks.settled(&settling);
        }
        if let Err(error) = ops.iter().try_for_each(|op| self.maps.apply(op)) {
            // Some of it is done: go on from what the maps say now.
            self.applied = self.maps.applied()?;
            return Err(error);
        }
        self.banks.retire(&ops, &self.applied);
        self.applied = next;
        if ops.iter().any(|op| matches!(op, Op::Reset { .. })) {
            self.cut()?;
        }
        Ok(ops)
    }

    /// What [`Self::settled`] is to be told once a [`wait_for_readers`] that begins now has ended.
    pub fn settling(&self) -> Settling {
        self.banks.settling()
    }

    /// Nobody reads the banks of earlier answers any more, and nobody makes flows from them: those that slipped in during
    /// a switch are fenced, and are cut here.
    pub fn settled(&mut self, settling: &Settling) -> Result<()> {
        self.banks.settled(settling);
        self.cut().map(drop)
    }

    /// Ends every flow that is older than its backend's fence.
    fn cut(&mut self) -> Result<Swept> {
        let backends = &self.applied.backends;
        let flows = self.snapshot()?;
        let sweep = sweep::cut(&flows, |flow| {
            backends.get(&flow.backend).is_none_or(|backend| backend.fences(flow.epoch))
        });
        self.carry_out(&sweep)
    }

    /// Collects flows that are over, and frees the backends that nothing names any more.
    pub fn collect(&mut self, desired: &[DesiredService], timeouts: &Timeouts) -> Result<Swept> {
        // Also those that are fenced and were not reached when they should have been.
        self.cut()?;
        let flows = self.snapshot()?;
        let sweep = sweep::collect(&flows, monotonic_ns(), timeouts);
        let swept = self.carry_out(&sweep)?;
        let (ops, next) = plan::retire(desired, &self.applied, &sweep.in_use);
        for op in &ops {
            self.maps.apply(op)?;
        }
        self.applied = next;
        Ok(swept)
    }

    fn snapshot(&self) -> Result<sweep::Snapshot> {
        sweep::snapshot(self.maps.flows_fd())
            .map_err(|source| DataplaneError::Os { what: "cannot read the flow table", source })
    }

    fn carry_out(&mut self, sweep: &Sweep) -> Result<Swept> {
        for rst in &sweep.resets {
            // An end that cannot be reached now learns it from its next packet.
            if let Err(error) = self.sender.send(rst) {
                tracing::debug!(?rst, %error, "RST not sent");
            }
        }
        let mut removed = 0;
        for key in &sweep.remove {
            match self.maps.flows.remove(key) {
                Ok(()) => removed += 1,
                Err(MapError::KeyNotFound) => {}
                Err(source) => {
                    return Err(DataplaneError::Map { what: "remove from", name: names::FLOWS, source });
                }
            }
        }
        Ok(Swept { removed, resets: sweep.resets.len() })
    }
}

/// The clock of the flow entries: `bpf_ktime_get_coarse_ns` is `CLOCK_MONOTONIC_COARSE`.
fn monotonic_ns() -> u64 {
    use nix::time::{ClockId, clock_gettime};
    clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE)
        .map_or(0, |time| time.tv_sec().unsigned_abs() * 1_000_000_000 + time.tv_nsec().unsigned_abs())
}
