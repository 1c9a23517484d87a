//! The tables that the packets of the table meet.

use std::net::Ipv4Addr;

use redirector_common::{Backend, Hop, Service, ServiceKey};

use super::{
    Class,
    frame::{INNER_MAC, R1, R2, R3, SERVER_MAC, SOURCE, VIRTUAL},
};
use redirector_common::Counter;

/// Services, slots and backends. The first source port of each backend is also its only one, unless said otherwise.
#[derive(Debug, Clone)]
pub struct World {
    pub services: Vec<(ServiceKey, Service)>,
    /// Slots of bank 0, by service id.
    pub slots: Vec<Vec<u32>>,
    pub backends: Vec<Backend>,
    /// Entries that the flow table takes.
    pub capacity: usize,
}

/// The interface that everything in a test run comes in on: loopback.
pub const INGRESS: u32 = 1;
/// The interface towards the servers; no packet leaves in a test run.
pub const INNER: u32 = 1;
/// Source ports start here.
pub const FIRST_PORT: u16 = 20_000;

/// Port of the service that leads to r1 alone.
pub const MASTER: u16 = 6379;
/// Leads to r2, r3, r2 in turn.
pub const REPLICAS: u16 = 6380;
/// Nobody serves.
pub const EMPTY: u16 = 6381;
/// Leads to a server whose neighbour is not resolved.
pub const UNRESOLVED: u16 = 6382;
/// Its slot names a backend of another service.
pub const CONFUSED: u16 = 6383;

impl Default for World {
    fn default() -> Self {
        let service = |port: u16, id, slots| {
            let service = Service { epoch: 1, id, bank: 0, slots, reserved: 0 };
            (ServiceKey::tcp(VIRTUAL.into(), port.to_be()), service)
        };
        let mut unresolved = backend(R3, 3);
        unresolved.hop = Hop::default();
        Self {
            services: vec![
                service(MASTER, 0, 1),
                service(REPLICAS, 1, 3),
                service(EMPTY, 2, 0),
                service(UNRESOLVED, 3, 1),
                service(CONFUSED, 4, 1),
            ],
            slots: vec![vec![0], vec![1, 2, 1], vec![], vec![3], vec![0]],
            backends: vec![backend(R1, 0), backend(R2, 1), backend(R3, 1), unresolved],
            capacity: 1024,
        }
    }
}

impl World {
    /// Ends the flows of a backend that were made so far, and gives its service to `instead`.
    pub fn fail_over(&mut self, service: usize, from: usize, instead: Vec<u32>) {
        let entry = &mut self.services[service].1;
        entry.epoch += 1;
        entry.slots = u32::try_from(instead.len()).expect("few");
        let epoch = entry.epoch;
        self.slots[service] = instead;
        self.backends[from].close(epoch);
    }
}

fn backend(addr: Ipv4Addr, service: u32) -> Backend {
    let mut backend = Backend {
        addr: addr.into(),
        source: SOURCE.into(),
        fence: 0,
        hop: Hop { ifindex: INNER, dst_mac: SERVER_MAC, src_mac: INNER_MAC },
        port: 6379u16.to_be(),
        first_port: FIRST_PORT,
        ports: 1,
        owner: service + 1,
        ..Backend::default()
    };
    backend.open();
    backend
}

/// A row of the table.
#[derive(Debug)]
pub struct Case {
    pub name: &'static str,
    pub steps: Vec<Step>,
    /// Flow entries at the end.
    pub entries: usize,
}

#[derive(Debug)]
pub enum Step {
    Change(fn(&mut World)),
    Send(Vec<u8>, Expect),
}

#[derive(Debug)]
pub struct Expect {
    pub class: Class,
    /// Those that move, in their order.
    pub counters: Vec<Counter>,
    pub out: Out,
}

#[derive(Debug)]
pub enum Out {
    Unchanged,
    Frame(Vec<u8>),
    /// Dropped: nobody sees it.
    Any,
}
