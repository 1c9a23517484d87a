//! The pinned maps, typed.

use std::{
    fmt,
    os::fd::{AsFd, BorrowedFd},
};

use aya::{
    Ebpf, Pod,
    maps::{Array, HashMap, IterableMap, Map, MapData, MapError, PerCpuArray, PerCpuValues},
    util::nr_cpus,
};
use redirector_common::{Backend, Counter, Flow, FlowKey, Service, ServiceKey, Traffic, limits, names};

use super::{
    error::{DataplaneError, Result},
    plan::{Applied, AppliedService, Op},
};

/// Handles to every map that the agent reads or writes.
pub(super) struct Maps {
    services: HashMap<MapData, ServiceKey, Service>,
    backends: Array<MapData, Backend>,
    slots: Array<MapData, u32>,
    counters: PerCpuArray<MapData, u64>,
    traffic: PerCpuArray<MapData, Traffic>,
    refusals: PerCpuArray<MapData, u64>,
}

impl fmt::Debug for Maps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Maps").finish_non_exhaustive()
    }
}

impl Maps {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self> {
        Ok(Self {
            services: take(ebpf, names::SERVICES)?,
            backends: take(ebpf, names::BACKENDS)?,
            slots: take(ebpf, names::SLOTS)?,
            counters: take(ebpf, names::COUNTERS)?,
            traffic: take(ebpf, names::TRAFFIC)?,
            refusals: take(ebpf, names::REFUSALS)?,
        })
    }

    /// What the maps hold now: the answer that an earlier agent has left, or nothing.
    pub(super) fn applied(&self) -> Result<Applied> {
        let mut applied = Applied::default();
        for entry in &self.services {
            let (key, service) = entry.map_err(failed("read", names::SERVICES))?;
            let first = limits::slot_index(service.id, service.bank, 0);
            let slots = (first..first + service.slots)
                .map(|index| self.slots.get(&index, 0))
                .collect::<Result<_, _>>()
                .map_err(failed("read", names::SLOTS))?;
            applied.services.insert(key, AppliedService { service, slots });
        }
        for id in 0..limits::BACKENDS {
            let backend = self.backends.get(&id, 0).map_err(failed("read", names::BACKENDS))?;
            if backend.owner != 0 {
                applied.backends.insert(id, backend);
            }
        }
        Ok(applied)
    }

    /// Carries out one step of a plan. Resets are not a matter of maps: see [`super::reset`].
    pub(super) fn apply(&mut self, op: &Op) -> Result<()> {
        match op {
            Op::WriteBackend { id, backend } => {
                if backend.owner == 0 {
                    // Whoever gets the entry next begins at nothing.
                    clear(&mut self.traffic, *id, names::TRAFFIC)?;
                }
                self.backends.set(*id, backend, 0).map_err(failed("write", names::BACKENDS))
            }
            Op::WriteSlots { service, bank, slots } => {
                for (slot, id) in (0..limits::SLOTS).zip(slots) {
                    let index = limits::slot_index(*service, *bank, slot);
                    self.slots.set(index, id, 0).map_err(failed("write", names::SLOTS))?;
                }
                Ok(())
            }
            Op::Switch { key, service } => {
                if service.epoch == 1 {
                    clear(&mut self.refusals, service.id, names::REFUSALS)?;
                }
                self.services.insert(key, service, 0).map_err(failed("write", names::SERVICES))
            }
            Op::RemoveService { key } => match self.services.remove(key) {
                Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
                Err(error) => Err(failed("write", names::SERVICES)(error)),
            },
            Op::Reset { .. } => Ok(()),
        }
    }

    /// What has gone through a backend, summed over the processors.
    pub(super) fn traffic(&self, backend: u32) -> Result<Traffic> {
        let values = self.traffic.get(&backend, 0).map_err(failed("read", names::TRAFFIC))?;
        Ok(values.iter().fold(Traffic::default(), |sum, value| sum.plus(*value)))
    }

    /// Connections that a service has refused, summed over the processors.
    pub(super) fn refusals(&self, service: u32) -> Result<u64> {
        Ok(self.refusals.get(&service, 0).map_err(failed("read", names::REFUSALS))?.iter().sum())
    }

    /// Every counter, summed over the processors.
    pub(super) fn counters(&self) -> Result<Vec<(Counter, u64)>> {
        Counter::ALL
            .iter()
            .map(|&counter| {
                let values =
                    self.counters.get(&counter.index(), 0).map_err(failed("read", names::COUNTERS))?;
                Ok((counter, values.iter().sum()))
            })
            .collect()
    }
}

/// Sets an entry to nothing, for every processor.
fn clear<V: Pod + Default>(map: &mut PerCpuArray<MapData, V>, index: u32, name: &'static str) -> Result<()> {
    let cpus = nr_cpus()
        .map_err(|(_, source)| DataplaneError::Os { what: "cannot count the processors", source })?;
    let nothing = PerCpuValues::try_from(vec![V::default(); cpus])
        .map_err(|source| DataplaneError::Os { what: "cannot count the processors", source })?;
    map.set(index, nothing, 0).map_err(failed("write", name))
}

/// The flow table; it is swept beside the agent, so it is not one of [`Maps`].
pub(super) fn flows(ebpf: &mut Ebpf) -> Result<HashMap<MapData, FlowKey, Flow>> {
    take(ebpf, names::FLOWS)
}

/// For reading a map in batches.
pub(super) fn fd_of<K: Pod, V: Pod>(map: &HashMap<MapData, K, V>) -> BorrowedFd<'_> {
    map.map().fd().as_fd()
}

/// Waits until every program run that started before has ended: they run under RCU, and this membarrier is
/// `synchronize_rcu` (kernel/sched/membarrier.c). Takes some ten milliseconds, so it belongs behind a switch, not before it.
pub(super) fn wait_for_readers() {
    const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;
    // SAFETY: no pointers. Where the call is not allowed the banks still take turns, which leaves a packet at least the
    // time between two switches to read its slot.
    unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) };
}

fn failed(what: &'static str, name: &'static str) -> impl Fn(MapError) -> DataplaneError {
    move |source| DataplaneError::Map { what, name, source }
}

/// A typed handle to a map of the object.
fn take<T>(ebpf: &mut Ebpf, name: &'static str) -> Result<T>
where
    T: TryFrom<Map, Error = MapError>,
{
    let map = ebpf.take_map(name).ok_or(DataplaneError::Missing { what: "map", name })?;
    T::try_from(map).map_err(failed("use", name))
}
