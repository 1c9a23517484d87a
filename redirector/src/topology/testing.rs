//! Groups and views for the tests of this folder.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::time::Duration;

use proptest::{collection::vec, option, prelude::*};

use super::{Operator, Replication, Role, ServerView};
use crate::{
    config::{Check, Failover, Group, Server},
    health::{Failure, State},
};

/// Servers `r1`, `r2`… at 10.0.0.1:6379 and on.
pub(super) fn group(servers: usize) -> Group {
    Group {
        name: "cache".into(),
        failover: Failover::Observe,
        check: Check {
            interval: Duration::from_secs(1),
            fast_interval: Duration::from_millis(20),
            timeout: Duration::from_millis(500),
            rise: 2,
            fall: 3,
        },
        auth: None,
        servers: (1..=servers)
            .map(|n| Server {
                name: format!("r{n}"),
                address: format!("10.0.0.{n}:6379").parse().unwrap(),
                weight: 100,
                backup: false,
            })
            .collect(),
    }
}

fn says(role: Role, master: Option<u16>) -> ServerView {
    ServerView {
        health: State::Up,
        replication: Some(Replication {
            role,
            master: master.map(|n| (format!("10.0.0.{n}"), 6379)),
            link_up: master.is_some(),
            syncing: false,
            offset: 0,
            replid: "history".into(),
            previous: None,
            connected_replicas: 0,
            read_only: None,
        }),
        failure: None,
        operator: Operator::Ready,
        weight: 100,
    }
}

pub(super) fn master() -> ServerView {
    says(Role::Master, None)
}

/// Follows server `rN` with its link up.
pub(super) fn replica_of(n: u16) -> ServerView {
    says(Role::Replica, Some(n))
}

pub(super) fn active_replica_of(n: u16) -> ServerView {
    says(Role::ActiveReplica, Some(n))
}

pub(super) fn unheard() -> ServerView {
    ServerView { health: State::Unknown, replication: None, ..master() }
}

/// Refused connections after it last said what `view` says.
pub(super) fn down(view: ServerView) -> ServerView {
    ServerView { health: State::Down, failure: Some(Failure::Refused), ..view }
}

pub(super) fn with(mut view: ServerView, change: impl FnOnce(&mut Replication)) -> ServerView {
    change(view.replication.as_mut().unwrap());
    view
}

prop_compose! {
    fn any_replication()(
        role in prop_oneof![Just(Role::Master), Just(Role::Replica), Just(Role::ActiveReplica)],
        master in option::of(1u16..7),
        link_up: bool,
        syncing: bool,
        replid in 0u8..3,
        previous in option::of(0u8..3),
    ) -> Replication {
        Replication {
            role,
            master: master.map(|n| (format!("10.0.0.{n}"), 6379)),
            link_up,
            syncing,
            offset: 0,
            replid: replid.to_string(),
            previous: previous.map(|id| (id.to_string(), 1)),
            connected_replicas: 0,
            read_only: None,
        }
    }
}

prop_compose! {
    fn any_view()(
        health in prop_oneof![Just(State::Unknown), Just(State::Up), Just(State::Down)],
        replication in option::of(any_replication()),
        operator in prop_oneof![4 => Just(Operator::Ready), 1 => Just(Operator::Drain), 1 => Just(Operator::Maint)],
        weight in prop_oneof![Just(0u16), 1u16..=256],
    ) -> ServerView {
        ServerView { health, replication, failure: None, operator, weight }
    }
}

/// Whatever up to six servers may say, with any incumbent (one that does not exist, too).
pub(super) fn any_situation() -> impl Strategy<Value = (Vec<ServerView>, Option<usize>)> {
    (vec(any_view(), 0..6), option::of(0usize..7))
}
