//! The datapath as the agent holds it: programs loaded and attached, maps open.

use std::{
    collections::BTreeSet,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use aya::{Ebpf, EbpfLoader, util::KernelVersion};
use redirector_common::{Counter, Traffic, names};

use super::{
    attach::{Attached, Hook},
    banks::{Banks, Settling},
    error::{DataplaneError, Result},
    kernel_log,
    maps::{self, Maps, wait_for_readers},
    netlink::Interface,
    pins::Pins,
    plan::{self, Applied, DesiredService, Op, Ports},
    sweeper::{Aftermath, Census, Collection, Fences, Sweeper},
};
use crate::config::Gateway;

/// What the build has compiled for the kernel; empty where it has not.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/redirector.bpf.o"));

/// Atomic read-modify-write in BPF came with 5.12, links for XDP with 5.9; 6.1 is the oldest whose hooks were tried.
const OLDEST_KERNEL: (KernelVersion, &str) = (KernelVersion::new(6, 1, 0), "6.1");

/// Programs and maps of one agent.
#[derive(Debug)]
pub struct Dataplane {
    maps: Maps,
    applied: Applied,
    banks: Banks,
    ports: Ports,
    attached: Attached,
    adopted: bool,
    sweeper: Arc<Mutex<Sweeper>>,
    /// Held, not used: the programs live as long as their handles, or their pins.
    _ebpf: Ebpf,
    /// With the lock that keeps other agents out.
    pins: Pins,
}

/// What a start has loaded.
struct Loaded {
    ebpf: Ebpf,
    maps: Maps,
    applied: Applied,
    attached: Attached,
    sweeper: Sweeper,
}

impl Dataplane {
    /// Loads the programs, adopts the maps of an earlier agent or makes new ones, and attaches. [`Self::undo`] or
    /// [`Self::keep`] is next.
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
        match Self::load(gateway, interfaces, &pins) {
            Ok(Loaded { ebpf, maps, applied, attached, sweeper }) => {
                let (first, last) = (*gateway.source_ports.start(), *gateway.source_ports.end());
                Ok(Self {
                    maps,
                    applied,
                    banks: Banks::default(),
                    ports: Ports { first, count: last.saturating_sub(first).saturating_add(1) },
                    attached,
                    adopted,
                    sweeper: Arc::new(Mutex::new(sweeper)),
                    _ebpf: ebpf,
                    pins,
                })
            }
            Err(error) => {
                if !adopted {
                    pins.remove()?;
                }
                Err(error)
            }
        }
    }

    fn load(gateway: &Gateway, interfaces: &[Interface], pins: &Pins) -> Result<Loaded> {
        let mut ebpf = EbpfLoader::new()
            .default_map_pin_directory(pins.maps())
            .map_max_entries(names::FLOWS, gateway.max_flows * 2)
            .load(OBJECT)?;
        let attached = Attached::new(&mut ebpf, pins, interfaces, gateway.attach)?;
        kernel_log::follow(&mut ebpf);
        match open_maps(&mut ebpf) {
            Ok((maps, applied, sweeper)) => Ok(Loaded { ebpf, maps, applied, attached, sweeper }),
            Err(error) => {
                attached.undo();
                Err(error)
            }
        }
    }

    /// Takes everything away again that [`Self::start`] has made, but not what it has adopted.
    pub fn undo(self) -> Result<()> {
        self.attached.undo();
        if self.adopted { Ok(()) } else { self.pins.remove() }
    }

    /// Now that the agent has started: removes links of interfaces and hooks that are no longer wanted.
    pub fn keep(&self) -> Result<()> {
        self.attached.prune(&self.pins)
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
        Some(self.applied.service(listen)?.service.epoch)
    }

    /// Which backend a server is in the service at `listen`.
    pub fn backend(&self, listen: SocketAddr, server: SocketAddr) -> Option<u32> {
        self.applied.backend(listen, server).map(|(id, _)| id)
    }

    /// What has gone through a server in the service at `listen`; nothing is known of a server that never was in it.
    pub fn traffic(&self, listen: SocketAddr, server: SocketAddr) -> Option<Traffic> {
        let (id, _) = self.applied.backend(listen, server)?;
        self.maps.traffic(id).ok()
    }

    /// Connections that the service at `listen` has refused.
    pub fn refusals(&self, listen: SocketAddr) -> Option<u64> {
        self.maps.refusals(self.applied.service(listen)?.service.id).ok()
    }

    /// The hook of each interface, in the order of the configuration.
    pub fn hooks(&self) -> &[Hook] {
        &self.attached.hooks
    }

    pub fn counters(&self) -> Result<Vec<(Counter, u64)>> {
        self.maps.counters()
    }

    /// Makes the maps say what is desired. Gives the operations carried out; if there are any,
    /// [`Self::aftermath`] is next.
    pub fn apply(&mut self, desired: &[DesiredService]) -> Result<Vec<Op>> {
        let (ops, next) = plan::plan(desired, &self.applied, self.ports)?;
        if self.banks.in_the_way_of(&ops) {
            let settling = self.banks.settling();
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
        Ok(ops)
    }

    /// What is to be run beside the agent after a switch; its result goes to [`Self::settled`].
    pub fn aftermath(&self) -> Aftermath {
        let settling = self.banks.settling();
        Aftermath { sweeper: Arc::clone(&self.sweeper), fences: self.fences(), settling }
    }

    /// Nobody reads the banks of earlier answers any more.
    pub fn settled(&mut self, settling: &Settling) {
        self.banks.settled(settling);
    }

    /// What is to be run beside the agent from time to time; its result goes to [`Self::retire`].
    pub fn collection(&self) -> Collection {
        let closed = self.applied.backends.iter().filter(|(_, backend)| !backend.is_open());
        let closed = closed.map(|(id, _)| *id).collect();
        Collection { sweeper: Arc::clone(&self.sweeper), fences: self.fences(), closed }
    }

    /// What counts the connections; to be run beside the agent.
    pub fn census(&self) -> Census {
        Census { sweeper: Arc::clone(&self.sweeper) }
    }

    /// Frees those of `idle` that are no member of any service.
    pub fn retire(&mut self, desired: &[DesiredService], idle: &BTreeSet<u32>) -> Result<()> {
        let (ops, next) = plan::retire(desired, &self.applied, idle);
        ops.iter().try_for_each(|op| self.maps.apply(op))?;
        self.applied = next;
        Ok(())
    }

    fn fences(&self) -> Fences {
        self.applied.backends.iter().map(|(id, backend)| (*id, backend.fence)).collect()
    }
}

/// The maps, and what an earlier agent has left in them.
fn open_maps(ebpf: &mut Ebpf) -> Result<(Maps, Applied, Sweeper)> {
    let maps = Maps::take(ebpf)?;
    let sweeper = Sweeper::new(maps::flows(ebpf)?)?;
    // An earlier agent may have switched a moment ago.
    wait_for_readers();
    let applied = maps.applied()?;
    Ok((maps, applied, sweeper))
}
