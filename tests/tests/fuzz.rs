//! A short run of the fuzzer; `cargo xtask fuzz` is the long one.

#![expect(clippy::print_stdout, clippy::panic, reason = "a test may fail loudly, and says which seed it was")]

use std::time::SystemTime;

use redirector_common::Counter;
use redirector_tests::golden::{
    Hook,
    fuzz::{self, Options, Random},
};

const PACKETS: u64 = 20_000;

/// Runs the seeds and gives the sum of their counters.
fn no_difference(hook: Hook) -> Vec<u64> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    // Short enough to be typed.
    let any = Random::new(u64::from(now.subsec_nanos()) ^ now.as_secs()).next() >> 32;
    let mut counters = vec![0; Counter::COUNT as usize];
    // A table of five entries fills in nearly every sequence.
    for (seed, table) in [(1, fuzz::TABLE), (1_000_000, 5), (any, fuzz::TABLE)] {
        println!("{hook:?}, seed {seed}, table of {table}");
        let options = Options { hook, seed, packets: PACKETS, table };
        match fuzz::run(&options, |_| {}) {
            Ok(tally) => counters.iter_mut().zip(tally.counters).for_each(|(sum, count)| *sum += count),
            Err(difference) => panic!("{difference}"),
        }
    }
    counters
}

/// A fuzzer that no longer reaches a part of the datapath proves nothing about it.
fn everything_was_reached(counters: &[u64]) {
    // The first needs two processors, the second tables that no packet can make.
    // ICMP errors about flows are not made by the fuzzer: the packet table has them.
    let unreachable =
        [Counter::DropDuplicate, Counter::DropInternal, Counter::IcmpError, Counter::DropFencedError];
    for (counter, count) in Counter::ALL.iter().zip(counters) {
        assert_eq!(*count == 0, unreachable.contains(counter), "{}: {count}", counter.name());
    }
}

#[test]
fn xdp_does_what_the_model_does() {
    everything_was_reached(&no_difference(Hook::Xdp));
}

#[test]
fn tc_does_what_the_model_does() {
    everything_was_reached(&no_difference(Hook::Tc));
}

#[test]
fn a_seed_makes_the_same_sequence() {
    assert_eq!(fuzz::generate(7, fuzz::TABLE), fuzz::generate(7, fuzz::TABLE));
    assert_ne!(fuzz::generate(7, fuzz::TABLE), fuzz::generate(8, fuzz::TABLE));
}
