//! What the agent may do to the tables between two packets.

use std::fmt;

use super::random::Random;
use crate::golden::{World, world::FIRST_PORT};

/// One change of the world. Displayed, it is the body of a golden case's `Step::Change`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The flows of `from` are over; `instead` serve, which belong to that service from now on.
    FailOver {
        service: usize,
        from: usize,
        instead: Vec<u32>,
    },
    /// Other weights, in the other bank.
    Slots {
        service: usize,
        slots: Vec<u32>,
    },
    Ports {
        backend: usize,
        first: u16,
        count: u16,
    },
    /// Zero: the neighbour is lost.
    Neighbour {
        backend: usize,
        ifindex: u32,
        mac: [u8; 6],
    },
    /// A backend given to another service, or to none.
    Owner {
        backend: usize,
        owner: u32,
    },
}

impl Change {
    /// For a world with the services and backends of the default one.
    pub fn random(random: &mut Random) -> Self {
        let (service, backend) = (random.below(5), random.below(4));
        match random.below(12) {
            0 | 1 => Self::FailOver { service, from: backend, instead: backends(random) },
            2 => Self::Slots { service, slots: backends(random) },
            3..=8 => Self::Ports {
                backend,
                first: FIRST_PORT + random.pick(&[0, 0, 1, 3, 40_000]),
                count: random.pick(&[0, 1, 2, 3, 7, 40, 40, 5000, 5000]),
            },
            9 | 10 => Self::Neighbour {
                backend,
                ifindex: random.pick(&[0, 1, 1, 7]),
                mac: [2, 0, 0, 0, 1, random.byte()],
            },
            _ => Self::Owner { backend, owner: u32::try_from(random.below(6)).expect("few") },
        }
    }

    pub fn apply(&self, world: &mut World) {
        match self {
            Self::FailOver { service, from, instead } => {
                for &id in instead {
                    world.backends[id as usize].owner = world.services[*service].1.id + 1;
                }
                world.fail_over(*service, *from, instead.clone());
            }
            Self::Slots { service, slots } => {
                let entry = &mut world.services[*service].1;
                entry.slots = u32::try_from(slots.len()).expect("few");
                entry.bank ^= 1;
                world.slots[*service].clone_from(slots);
            }
            Self::Ports { backend, first, count } => {
                world.backends[*backend].first_port = *first;
                world.backends[*backend].ports = *count;
            }
            Self::Neighbour { backend, ifindex, mac } => {
                world.backends[*backend].hop.ifindex = *ifindex;
                world.backends[*backend].hop.dst_mac = *mac;
            }
            Self::Owner { backend, owner } => world.backends[*backend].owner = *owner,
        }
    }
}

/// A few turns, sometimes none.
fn backends(random: &mut Random) -> Vec<u32> {
    let count = random.pick(&[0, 1, 1, 2, 3, 5]);
    (0..count).map(|_| random.pick(&[0, 1, 2, 3])).collect()
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FailOver { service, from, instead } => {
                for id in instead {
                    write!(f, "world.backends[{id}].owner = world.services[{service}].1.id + 1; ")?;
                }
                write!(f, "world.fail_over({service}, {from}, vec!{instead:?});")
            }
            Self::Slots { service, slots } => write!(
                f,
                "world.services[{service}].1.slots = {}; world.services[{service}].1.bank ^= 1; world.slots[{service}] = vec!{slots:?};",
                slots.len()
            ),
            Self::Ports { backend, first, count } => write!(
                f,
                "world.backends[{backend}].first_port = {first}; world.backends[{backend}].ports = {count};"
            ),
            Self::Neighbour { backend, ifindex, mac } => write!(
                f,
                "world.backends[{backend}].hop.ifindex = {ifindex}; world.backends[{backend}].hop.dst_mac = {mac:?};"
            ),
            Self::Owner { backend, owner } => write!(f, "world.backends[{backend}].owner = {owner};"),
        }
    }
}
