//! The pipeline as it is, over a vector and hash maps.

use std::{
    cell::{Cell, RefCell, UnsafeCell},
    collections::{BTreeMap, HashMap},
    ptr::NonNull,
};

use redirector_common::{Backend, Counter, Flow, FlowKey, Service, ServiceKey, Traffic, limits};
use redirector_ebpf::{
    FlowRef, Packet, Tables,
    checksum::Delta,
    packet::{OutOfBounds, Wire},
    pipeline,
    tables::InsertError,
    verdict::Action,
};

use super::{Accounts, Class, Executor, World, world::INGRESS};

/// A packet in memory, with a complete checksum.
#[derive(Debug, Clone)]
pub struct HostPacket(pub Vec<u8>);

impl Packet for HostPacket {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn ingress(&self) -> u32 {
        INGRESS
    }

    fn read<T: Wire>(&self, offset: usize) -> Result<T, OutOfBounds> {
        let bytes = self.0.get(offset..).and_then(|rest| rest.get(..size_of::<T>())).ok_or(OutOfBounds)?;
        // SAFETY: as many bytes as a `T` has, and any bytes are a `T`.
        Ok(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
    }

    fn write<T: Wire>(&mut self, offset: usize, value: T) -> Result<(), OutOfBounds> {
        let bytes =
            self.0.get_mut(offset..).and_then(|rest| rest.get_mut(..size_of::<T>())).ok_or(OutOfBounds)?;
        // SAFETY: room for a `T`, which has no padding.
        unsafe { bytes.as_mut_ptr().cast::<T>().write_unaligned(value) };
        Ok(())
    }

    fn update_tcp_checksum(&mut self, offset: usize, pseudo: Delta, body: Delta) -> Result<(), OutOfBounds> {
        let check = self.read(offset)?;
        self.write(offset, pseudo.and(body).apply(check))
    }

    fn truncate(&mut self, len: usize) -> Result<(), OutOfBounds> {
        if len > self.0.len() {
            return Err(OutOfBounds);
        }
        self.0.truncate(len);
        Ok(())
    }
}

/// The maps of the datapath, in memory.
#[derive(Debug, Default)]
pub struct HostTables {
    flows: RefCell<HashMap<FlowKey, Box<UnsafeCell<Flow>>>>,
    /// What was removed while somebody may still look at it, as the kernel keeps it until the program has ended.
    #[expect(clippy::vec_box, reason = "somebody holds a pointer to what is in the box")]
    removed: RefCell<Vec<Box<UnsafeCell<Flow>>>>,
    services: HashMap<ServiceKey, Service>,
    slots: HashMap<u32, u32>,
    backends: Vec<Backend>,
    tickets: RefCell<HashMap<u32, u64>>,
    counters: RefCell<Vec<u64>>,
    traffic: RefCell<BTreeMap<u32, Traffic>>,
    refusals: RefCell<BTreeMap<u32, u64>>,
    capacity: Cell<usize>,
}

impl Tables for HostTables {
    fn flow(&self, key: &FlowKey) -> Option<FlowRef<'_>> {
        let pointer = NonNull::new(self.flows.borrow().get(key)?.get())?;
        // SAFETY: boxed, and kept among the removed until the packet is done.
        Some(unsafe { FlowRef::new(pointer) })
    }

    fn insert_flow(&self, key: &FlowKey, flow: &Flow) -> Result<(), InsertError> {
        let mut flows = self.flows.borrow_mut();
        if flows.contains_key(key) {
            return Err(InsertError::Exists);
        }
        if flows.len() >= self.capacity.get() {
            return Err(InsertError::Full);
        }
        flows.insert(*key, Box::new(UnsafeCell::new(*flow)));
        Ok(())
    }

    fn remove_flow(&self, key: &FlowKey) {
        self.removed.borrow_mut().extend(self.flows.borrow_mut().remove(key));
    }

    fn service(&self, key: &ServiceKey) -> Option<&Service> {
        self.services.get(key)
    }

    fn backend(&self, id: u32) -> Option<&Backend> {
        self.backends.get(id as usize)
    }

    fn slot(&self, index: u32) -> Option<u32> {
        Some(self.slots.get(&index).copied().unwrap_or(0))
    }

    fn ticket(&self, service: u32) -> Option<u64> {
        let mut tickets = self.tickets.borrow_mut();
        let ticket = tickets.entry(service).or_default();
        *ticket += 1;
        Some(*ticket - 1)
    }

    fn count(&self, counter: Counter) {
        self.counters.borrow_mut()[counter.index() as usize] += 1;
    }

    fn account(&self, backend: u32, direction: u32, bytes: u64) {
        let mut traffic = self.traffic.borrow_mut();
        let traffic = traffic.entry(backend).or_default();
        let (packets, sum) = if direction == Flow::FORWARD {
            (&mut traffic.packets_to_server, &mut traffic.bytes_to_server)
        } else {
            (&mut traffic.packets_to_client, &mut traffic.bytes_to_client)
        };
        *packets += 1;
        *sum += bytes;
    }

    fn account_flow(&self, backend: u32) {
        self.traffic.borrow_mut().entry(backend).or_default().flows += 1;
    }

    fn account_refusal(&self, service: u32) {
        *self.refusals.borrow_mut().entry(service).or_default() += 1;
    }
}

/// The pure executor.
#[derive(Debug, Default)]
pub struct Host {
    pub tables: HostTables,
    now: u64,
}

impl Executor for Host {
    fn reset(&mut self, world: &World) {
        self.tables =
            HostTables { counters: RefCell::new(vec![0; Counter::COUNT as usize]), ..HostTables::default() };
        self.update(world);
    }

    fn update(&mut self, world: &World) {
        self.tables.services = world.services.iter().copied().collect();
        self.tables.backends.clone_from(&world.backends);
        self.tables.capacity.set(world.capacity);
        for (service, slots) in (0..).zip(&world.slots) {
            let entry = world.services.iter().find(|(_, entry)| entry.id == service);
            let bank = entry.map_or(0, |(_, entry)| entry.bank);
            for (slot, id) in (0..).zip(slots) {
                self.tables.slots.insert(limits::slot_index(service, bank, slot), *id);
            }
        }
    }

    fn run(&mut self, frame: &[u8]) -> Option<(Class, Vec<u8>)> {
        self.now += 1;
        let mut packet = HostPacket(frame.to_vec());
        let class = match pipeline::run(&mut packet, &self.tables, self.now).action {
            Action::Pass => Class::Pass,
            Action::Drop => Class::Drop,
            Action::Transmit { .. } => Class::Transmit,
        };
        self.tables.removed.borrow_mut().clear();
        Some((class, packet.0))
    }

    fn counters(&self) -> Vec<u64> {
        self.tables.counters.borrow().clone()
    }

    fn accounts(&self) -> Accounts {
        Accounts {
            traffic: self.tables.traffic.borrow().clone(),
            refusals: self.tables.refusals.borrow().clone(),
        }
    }

    fn flows(&self) -> BTreeMap<FlowKey, Flow> {
        let flows = self.tables.flows.borrow();
        flows
            .iter()
            // SAFETY: no packet is under way.
            .map(|(key, flow)| (*key, Flow { created_ns: 0, seen_ns: 0, ..unsafe { *flow.get() } }))
            .collect()
    }
}
