use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::topology::Role;

const CHECK: Check = Check {
    interval: Duration::from_secs(1),
    fast_interval: Duration::from_millis(20),
    timeout: Duration::from_millis(500),
    rise: 2,
    fall: 3,
};

fn well() -> Outcome {
    Outcome::Well(Replication {
        role: Role::Master,
        master: None,
        link_up: false,
        syncing: false,
        offset: 0,
        replid: String::new(),
        previous: None,
        connected_replicas: 0,
        read_only: None,
    })
}

/// One round a second after the epoch: `+` well, `-` refused, `!` refused after a hang-up, `L` loading.
fn after(rounds: &str) -> Health {
    let mut now = UNIX_EPOCH;
    rounds.chars().fold(Health::new(now), |health, round| {
        now += Duration::from_secs(1);
        let outcome = match round {
            '+' => well(),
            '-' => Outcome::failed(Failure::Refused, false),
            '!' => Outcome::failed(Failure::Refused, true),
            'L' => Outcome::failed(Failure::Loading, false),
            other => unreachable!("no round is called {other}"),
        };
        health.fold(&outcome, &CHECK, now)
    })
}

#[test]
fn rounds_make_a_verdict() {
    // rounds, state, round of its last change, still changing
    let table = [
        ("", State::Unknown, 0, true),
        ("+", State::Up, 1, false),
        ("-", State::Unknown, 0, true),
        ("--", State::Unknown, 0, true),
        ("---", State::Down, 3, false),
        ("--+", State::Up, 3, false),
        ("!", State::Down, 1, false),
        ("L", State::Down, 1, false),
        ("+++--", State::Up, 1, true),
        ("+++--+--", State::Up, 1, true),
        ("+---", State::Down, 4, false),
        ("+!", State::Down, 2, false),
        ("+L", State::Down, 2, false),
        ("+!+", State::Down, 2, true),
        ("+!+-+", State::Down, 2, true),
        ("+!++", State::Up, 4, false),
        ("+!----", State::Down, 2, false),
    ];
    for (rounds, state, changed, changing) in table {
        let health = after(rounds);
        assert_eq!(health.state, state, "{rounds}");
        assert_eq!(health.since, UNIX_EPOCH + Duration::from_secs(changed), "{rounds}");
        assert_eq!(health.is_changing(), changing, "{rounds}");
    }
}

#[test]
fn the_last_failure_is_told_until_the_server_is_well() {
    assert_eq!(after("+").failure, None);
    assert_eq!(after("+-").failure, Some(Failure::Refused));
    assert_eq!(after("+L").failure, Some(Failure::Loading));
    assert_eq!(after("+L+").failure, Some(Failure::Loading));
    assert_eq!(after("+L++").failure, None);
    assert_eq!(after("+-+").failure, None);
}

#[test]
fn what_is_conclusive() {
    let conclusive = |failure, hung_up| match Outcome::failed(failure, hung_up) {
        Outcome::Failed { conclusive, .. } => conclusive,
        Outcome::Well(_) => unreachable!("a failure is not well"),
    };
    for failure in [Failure::Refused, Failure::Reset, Failure::Closed] {
        assert!(conclusive(failure.clone(), true), "{failure} after a hang-up");
        assert!(!conclusive(failure.clone(), false), "{failure} on its own");
    }
    assert!(conclusive(Failure::Loading, false));
    // The process is there: it speaks.
    for failure in [Failure::NoAuth, Failure::Busy, Failure::Truncated, Failure::Unreachable] {
        assert!(!conclusive(failure.clone(), true), "{failure}");
    }
}

#[test]
fn counters_never_overflow() {
    let worn = Health { successes: u32::MAX, failures: u32::MAX, ..Health::new(UNIX_EPOCH) };
    assert_eq!(worn.fold(&well(), &CHECK, UNIX_EPOCH).successes, u32::MAX);
    let refused = Outcome::failed(Failure::Refused, false);
    assert_eq!(worn.fold(&refused, &CHECK, UNIX_EPOCH).failures, u32::MAX);
}
