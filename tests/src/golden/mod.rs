//! One table of packets, two executors: the pure pipeline on this host, and the loaded bytecode through
//! `BPF_PROG_TEST_RUN` at both hooks. What is tested is what is loaded.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test harness: it panics where it stands, so that the stack trace survives"
)]

pub mod cases;
pub mod frame;
pub mod fuzz;
mod host;
mod kernel;
pub mod model;
pub mod verifier;
pub mod world;

use std::collections::BTreeMap;

use redirector_common::{Counter, Flow, FlowKey, Traffic};

pub use host::{Host, HostPacket, HostTables};
pub use kernel::{Hook, Kernel};
pub use world::{Case, Expect, Out, Step, World};

/// What became of a packet. The interface it leaves by is not visible in a test run; the flow entries tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    Pass,
    Drop,
    Transmit,
}

/// Traffic by backend and refusals by service, as far as there were any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accounts {
    pub traffic: BTreeMap<u32, Traffic>,
    pub refusals: BTreeMap<u32, u64>,
}

/// Something that packets can be sent through.
pub trait Executor {
    /// Forgets everything and takes over this world.
    fn reset(&mut self, world: &World);
    /// Changes the world under the flows that are there.
    fn update(&mut self, world: &World);
    /// `None`: the kernel makes no such packet for a test run of this hook.
    fn run(&mut self, frame: &[u8]) -> Option<(Class, Vec<u8>)>;
    fn counters(&self) -> Vec<u64>;
    /// What was accounted since the last reset.
    fn accounts(&self) -> Accounts;
    /// The flow table; times are set to zero, because a test run has a clock of its own.
    fn flows(&self) -> BTreeMap<FlowKey, Flow>;
}

/// Sends a case through an executor, checks every step, and gives the flow table at the end.
pub fn check(case: &Case, executor: &mut dyn Executor) -> BTreeMap<FlowKey, Flow> {
    let mut world = World::default();
    executor.reset(&world);
    for (at, step) in case.steps.iter().enumerate() {
        let place = format!("{}, step {}", case.name, at + 1);
        match step {
            Step::Change(change) => {
                change(&mut world);
                executor.update(&world);
            }
            Step::Send(frame, expect) => check_packet(&place, frame, expect, executor),
        }
    }
    let flows = executor.flows();
    assert_eq!(flows.len(), case.entries, "{}: flow entries at the end", case.name);
    flows
}

fn check_packet(place: &str, frame: &[u8], expect: &Expect, executor: &mut dyn Executor) {
    let before = executor.counters();
    let Some((class, out)) = executor.run(frame) else { return };
    let after = executor.counters();
    let counted: Vec<Counter> = Counter::ALL
        .iter()
        .copied()
        .filter(|counter| after[counter.index() as usize] != before[counter.index() as usize])
        .collect();
    assert_eq!((class, &counted), (expect.class, &expect.counters), "{place}: verdict and counters");
    match &expect.out {
        Out::Unchanged => assert_eq!(frame::show(&out), frame::show(frame), "{place}: must be untouched"),
        Out::Frame(expected) => assert_eq!(frame::show(&out), frame::show(expected), "{place}: what leaves"),
        Out::Any => {}
    }
}
