//! Desired against applied, as an ordered list of map operations. Pure.
//!
//! The order is what keeps the promise that there are never two masters, not even for one packet: first everything the
//! new answer needs (backends, the idle bank of slots), then the fences, which stop the flows of the old answer, then the
//! one atomic switch, which admits those of the new one, then the resets. A SYN that falls between fence and switch is
//! refused, as it is when nobody serves.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{SocketAddr, SocketAddrV4},
};

use redirector_common::{Addr, Backend, Hop, Service, ServiceKey, limits};

use super::slots;

/// The answer for one service, as the topology gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredService {
    pub listen: SocketAddrV4,
    pub members: Vec<DesiredMember>,
}

/// A server in a service. Servers that are not named are not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredMember {
    pub address: SocketAddrV4,
    /// New flows by this weight; zero: none.
    pub weight: u16,
    /// May flows it already has go on?
    pub open: bool,
    /// Unknown until the neighbour is resolved.
    pub path: Option<Path>,
}

/// How packets reach a server from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path {
    pub source: std::net::Ipv4Addr,
    pub hop: Hop,
}

/// What the maps hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    pub services: BTreeMap<ServiceKey, AppliedService>,
    /// In use, by id.
    pub backends: BTreeMap<u32, Backend>,
}

impl Applied {
    pub fn service(&self, listen: SocketAddr) -> Option<&AppliedService> {
        let SocketAddr::V4(listen) = listen else { return None };
        self.services.get(&service_key(listen))
    }

    /// The backend that a server is in the service at `listen`, and its id.
    pub fn backend(&self, listen: SocketAddr, server: SocketAddr) -> Option<(u32, &Backend)> {
        let owner = self.service(listen)?.service.id + 1;
        let (addr, port) = (Addr::from(server.ip()), server.port().to_be());
        let found =
            |backend: &Backend| backend.owner == owner && backend.addr == addr && backend.port == port;
        self.backends.iter().find(|(_, backend)| found(backend)).map(|(id, backend)| (*id, backend))
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppliedService {
    pub service: Service,
    pub slots: Vec<u32>,
}

/// One step. Carrying them out in order, and stopping anywhere, leaves the datapath in a safe state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    WriteBackend {
        id: u32,
        backend: Backend,
    },
    /// Into a bank that no packet reads.
    WriteSlots {
        service: u32,
        bank: u32,
        slots: Vec<u32>,
    },
    /// The atomic switch.
    Switch {
        key: ServiceKey,
        service: Service,
    },
    RemoveService {
        key: ServiceKey,
    },
    /// Flows of these backends that are older than their fence are to be reset at both ends.
    Reset {
        backends: Vec<u32>,
    },
}

/// The source ports that every backend hands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    pub first: u16,
    pub count: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("more than {} services: remove some", limits::SERVICES)]
    TooManyServices,
    #[error("more than {} servers in all services together: remove some", limits::BACKENDS)]
    TooManyBackends,
}

/// The operations that lead from `applied` to `desired`, and the state they lead to.
pub fn plan(
    desired: &[DesiredService],
    applied: &Applied,
    ports: Ports,
) -> Result<(Vec<Op>, Applied), PlanError> {
    let mut planner = Planner {
        next: applied.clone(),
        ports,
        prepare: vec![],
        switch: vec![],
        fence: vec![],
        reset: vec![],
    };
    let keys: Vec<ServiceKey> = desired.iter().map(|service| service_key(service.listen)).collect();
    for gone in applied.services.keys().filter(|key| !keys.contains(key)) {
        planner.remove(gone);
    }
    for (service, key) in desired.iter().zip(keys) {
        planner.service(service, key)?;
    }
    let Planner { next, mut prepare, switch, fence, reset, .. } = planner;
    prepare.extend(fence);
    prepare.extend(switch);
    if !reset.is_empty() {
        prepare.push(Op::Reset { backends: reset });
    }
    Ok((prepare, next))
}

/// Frees those of the `idle` backends (named by no flow) that are fenced and no member of any service.
pub fn retire(desired: &[DesiredService], applied: &Applied, idle: &BTreeSet<u32>) -> (Vec<Op>, Applied) {
    let of_service = |service: &DesiredService| {
        let listen = service.listen.into();
        let ids = service.members.iter().filter_map(|member| applied.backend(listen, member.address.into()));
        ids.map(|(id, _)| id).collect::<Vec<_>>()
    };
    let members: BTreeSet<u32> = desired.iter().flat_map(of_service).collect();
    let mut next = applied.clone();
    next.backends.retain(|id, backend| backend.is_open() || !idle.contains(id) || members.contains(id));
    let freed = applied.backends.keys().filter(|id| !next.backends.contains_key(id));
    let ops = freed.map(|&id| Op::WriteBackend { id, backend: Backend::default() }).collect();
    (ops, next)
}

pub fn service_key(listen: SocketAddrV4) -> ServiceKey {
    ServiceKey::tcp(Addr::from(*listen.ip()), listen.port().to_be())
}

struct Planner {
    next: Applied,
    ports: Ports,
    prepare: Vec<Op>,
    switch: Vec<Op>,
    fence: Vec<Op>,
    reset: Vec<u32>,
}

impl Planner {
    fn service(&mut self, desired: &DesiredService, key: ServiceKey) -> Result<(), PlanError> {
        let known = self.next.services.contains_key(&key);
        let mut entry = match self.next.services.get(&key) {
            Some(entry) => entry.clone(),
            None => AppliedService {
                service: Service { id: self.free_service()?, ..Service::default() },
                slots: vec![],
            },
        };
        let owner = entry.service.id + 1;
        let epoch = entry.service.epoch + 1;

        let mut weights = Vec::new();
        let mut open = Vec::new();
        for member in &desired.members {
            let id = self.backend(owner, member)?;
            if member.open {
                open.push(id);
            }
            if member.open && member.weight > 0 {
                weights.push((id, member.weight));
            }
        }
        let closing: Vec<u32> = self
            .next
            .backends
            .iter()
            .filter(|(id, backend)| backend.owner == owner && backend.is_open() && !open.contains(id))
            .map(|(id, _)| *id)
            .collect();
        let slots = slots::interleave(&weights);
        if known && slots == entry.slots && closing.is_empty() {
            return Ok(());
        }

        let length = u32::try_from(slots.len()).unwrap_or(limits::SLOTS).min(limits::SLOTS);
        // No slots need no bank: the other one stays free for whoever serves next, which may be in a moment.
        let bank =
            if slots.is_empty() { entry.service.bank } else { (entry.service.bank + 1) % limits::BANKS };
        if !slots.is_empty() {
            self.prepare.push(Op::WriteSlots { service: entry.service.id, bank, slots: slots.clone() });
        }
        entry.service = Service { epoch, bank, slots: length, ..entry.service };
        entry.slots = slots;
        self.switch.push(Op::Switch { key, service: entry.service });
        self.next.services.insert(key, entry);
        for id in closing {
            self.close(id, epoch);
        }
        Ok(())
    }

    /// The id of a member's backend, whose entry is written if it is new or has changed.
    fn backend(&mut self, owner: u32, member: &DesiredMember) -> Result<u32, PlanError> {
        let addr = Addr::from(*member.address.ip());
        let port = member.address.port().to_be();
        let known = self
            .next
            .backends
            .iter()
            .find(|(_, backend)| backend.owner == owner && backend.addr == addr && backend.port == port)
            .map(|(id, backend)| (*id, *backend));
        let (id, old) = match known {
            Some((id, backend)) => (id, backend),
            None => (self.free_backend()?, Backend { addr, port, owner, ..Backend::default() }),
        };
        let mut backend = Backend { first_port: self.ports.first, ports: self.ports.count, ..old };
        // A path once known is better than none: a neighbour that is silent for a moment has not moved.
        if let Some(path) = member.path {
            backend.source = path.source.into();
            backend.hop = path.hop;
        }
        if member.open {
            backend.open();
        }
        if known.is_none() || backend != old {
            self.next.backends.insert(id, backend);
            self.prepare.push(Op::WriteBackend { id, backend });
        }
        Ok(id)
    }

    /// Fences a backend: flows made before `epoch` are over.
    fn close(&mut self, id: u32, epoch: u64) {
        if let Some(backend) = self.next.backends.get_mut(&id) {
            backend.close(epoch);
            self.fence.push(Op::WriteBackend { id, backend: *backend });
            self.reset.push(id);
        }
    }

    fn remove(&mut self, key: &ServiceKey) {
        let Some(entry) = self.next.services.remove(key) else { return };
        self.switch.push(Op::RemoveService { key: *key });
        let owner = entry.service.id + 1;
        let ids: Vec<u32> = self
            .next
            .backends
            .iter()
            .filter(|(_, backend)| backend.owner == owner)
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            self.close(id, u64::MAX);
        }
    }

    /// An id that no service uses, and that no retired backend still remembers.
    fn free_service(&self) -> Result<u32, PlanError> {
        let taken = |id: u32| {
            self.next.services.values().any(|entry| entry.service.id == id)
                || self.next.backends.values().any(|backend| backend.owner == id + 1)
        };
        (0..limits::SERVICES).find(|&id| !taken(id)).ok_or(PlanError::TooManyServices)
    }

    fn free_backend(&self) -> Result<u32, PlanError> {
        (0..limits::BACKENDS)
            .find(|id| !self.next.backends.contains_key(id))
            .ok_or(PlanError::TooManyBackends)
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
#[expect(clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]
mod tests;
