//! From observations and commands to the desired state, and back from the maps after a restart.

use std::{path::Path as FilePath, time::Instant};

use redirector_common::Hop;

use super::*;
use crate::{
    config::{self, Host, HostPasswords},
    dataplane::plan::{Ports, plan},
    health::Failure,
    topology::Role,
};

const CONFIG: &str = r#"
[gateway]
interfaces = ["eth0"]
[[group]]
name = "cache"
server = [
  { name = "r1", address = "10.0.1.11:6379" },
  { name = "r2", address = "10.0.1.12:6379", weight = 70 },
  { name = "r3", address = "10.0.1.13:6379", weight = 30 },
]
[[service]]
name = "rw"
listen = "10.0.0.100:6379"
group = "cache"
route = "master"
[[service]]
name = "ro"
listen = "10.0.0.100:6380"
group = "cache"
route = "replicas"
"#;

const NOW: SystemTime = SystemTime::UNIX_EPOCH;
const ORIGIN: Origin = Origin { since: 0, uid: 0, pid: None };

fn steering(applied: &Applied) -> Steering {
    ordered(&[], applied)
}

fn ordered(orders: &[Vec<Overrides>], applied: &Applied) -> Steering {
    let host = Host { ephemeral_ports: 32768..=60999 };
    let config = config::parse(CONFIG, FilePath::new("test.toml"), &host, &HostPasswords).expect("good");
    Steering::new(config, orders, applied, NOW)
}

fn says(steering: &mut Steering, server: usize, master: Option<usize>) {
    let replication = Replication {
        role: if master.is_none() { Role::Master } else { Role::Replica },
        master: master.map(|master| (format!("10.0.1.{}", 11 + master), 6379)),
        link_up: master.is_some(),
        syncing: false,
        offset: 1,
        replid: "a".repeat(40),
        previous: None,
        connected_replicas: 0,
        read_only: None,
    };
    observe(steering, server, Outcome::Well(replication));
}

fn fails(steering: &mut Steering, server: usize) {
    observe(steering, server, Outcome::Failed { failure: Failure::Refused, conclusive: true });
}

fn observe(steering: &mut Steering, server: usize, outcome: Outcome) {
    let observation = Observation { group: 0, server, at: Instant::now(), latency: None, outcome };
    steering.observe(observation, NOW);
}

/// r1 is the master, r2 and r3 follow it, and everybody has said so.
fn settled() -> Steering {
    let mut steering = steering(&Applied::default());
    says(&mut steering, 0, None);
    says(&mut steering, 1, Some(0));
    says(&mut steering, 2, Some(0));
    steering
}

/// Weight and whether old flows may go on, by service and server.
fn desired(steering: &Steering) -> [Vec<(u16, bool)>; 2] {
    let services = steering.desired();
    let members =
        |at: usize| services[at].members.iter().map(|member| (member.weight, member.open)).collect();
    [members(0), members(1)]
}

const OUT: (u16, bool) = (0, false);
const DRAINING: (u16, bool) = (0, true);

#[test]
fn nobody_serves_until_somebody_is_heard() {
    assert_eq!(desired(&steering(&Applied::default())), [vec![OUT; 3], vec![OUT; 3]]);
}

#[test]
fn the_master_serves_writes_and_the_replicas_reads() {
    assert_eq!(desired(&settled()), [vec![(100, true), OUT, OUT], vec![DRAINING, (70, true), (30, true)]]);
}

#[test]
fn a_dead_master_serves_nobody_at_once() {
    let mut steering = settled();
    fails(&mut steering, 0);
    assert_eq!(desired(&steering)[0], [OUT; 3]);
    assert_eq!(steering.pace(0), Pace::Fast, "its successor is to be seen soon");
    says(&mut steering, 1, None);
    assert_eq!(desired(&steering)[0], [OUT, (70, true), OUT]);
}

#[test]
fn a_second_claim_changes_nothing_until_the_first_is_withdrawn() {
    let mut steering = settled();
    let before = desired(&steering);
    says(&mut steering, 1, None);
    assert_eq!(desired(&steering)[0], before[0]);
    assert_eq!(desired(&steering)[1][1], OUT, "and it serves no reads either");
    says(&mut steering, 0, Some(1));
    assert_eq!(desired(&steering)[0], [OUT, (70, true), OUT]);
}

#[test]
fn the_operator_has_the_last_word() {
    let mut steering = settled();
    let r2 = steering.find("cache", "r2").expect("by its group");
    assert_eq!(steering.find("ro", "r2"), Some(r2), "or by its service");
    assert_eq!(steering.find("ro", "r9"), None);
    assert_eq!(steering.find("other", "r2"), None);

    steering.set_weight(r2, 10, ORIGIN);
    assert_eq!(desired(&steering)[1], [DRAINING, (10, true), (30, true)]);
    steering.set_operator(r2, Operator::Drain, ORIGIN);
    assert_eq!(desired(&steering)[1], [DRAINING, DRAINING, (30, true)]);
    steering.set_operator(r2, Operator::Maint, ORIGIN);
    assert_eq!(desired(&steering)[1], [DRAINING, OUT, (30, true)]);
    steering.set_operator(r2, Operator::Ready, ORIGIN);
    assert_eq!(desired(&steering)[1], [DRAINING, (10, true), (30, true)]);
}

#[test]
fn a_settled_group_is_asked_at_leisure() {
    let mut steering = settled();
    assert_eq!(steering.pace(0), Pace::Normal);
    observe(&mut steering, 1, Outcome::Failed { failure: Failure::Refused, conclusive: false });
    assert_eq!(steering.pace(0), Pace::Fast);
}

#[test]
fn a_restarted_agent_changes_nothing_until_it_knows_better() {
    let mut before = settled();
    let hop = Hop { ifindex: 2, ..Hop::default() };
    for last in 11..=13 {
        let path = Path { source: Ipv4Addr::new(10, 0, 1, 1), hop };
        before.set_path(Ipv4Addr::new(10, 0, 1, last), Some(path));
    }
    let ports = Ports { first: 1024, count: 100 };
    let (_, applied) = plan(&before.desired(), &Applied::default(), ports).expect("it fits");

    let mut after = steering(&applied);
    assert_eq!(desired(&after), desired(&before));
    assert_eq!(plan(&after.desired(), &applied, ports).expect("it fits").0, [], "no map is written");

    // The first to be heard says what it said before; then the others do.
    says(&mut after, 1, Some(0));
    assert_eq!(desired(&after), desired(&before));
    says(&mut after, 0, None);
    says(&mut after, 2, Some(0));
    assert_eq!(desired(&after), desired(&before));

    // Had the master changed meanwhile, its own word would have told.
    let mut late = steering(&applied);
    says(&mut late, 0, Some(2));
    says(&mut late, 1, Some(2));
    assert_eq!(desired(&late)[0], [OUT; 3]);
    says(&mut late, 2, None);
    assert_eq!(desired(&late)[0], [OUT, OUT, (30, true)]);
}

/// What a master in maintenance must not get back is its service, not even until it is heard.
#[test]
fn orders_of_before_the_restart_count_from_the_first_answer_on() {
    let mut before = settled();
    let hop = Hop { ifindex: 2, ..Hop::default() };
    for last in 11..=13 {
        let path = Path { source: Ipv4Addr::new(10, 0, 1, 1), hop };
        before.set_path(Ipv4Addr::new(10, 0, 1, last), Some(path));
    }
    let ports = Ports { first: 1024, count: 100 };
    let (_, applied) = plan(&before.desired(), &Applied::default(), ports).expect("it fits");
    for server in ["r1", "r2"] {
        let id = before.find("cache", server).expect("known");
        before.set_operator(id, Operator::Maint, ORIGIN);
    }
    let r3 = before.find("cache", "r3").expect("known");
    before.set_weight(r3, 5, ORIGIN);
    let orders: Vec<Vec<Overrides>> =
        before.groups().iter().map(|group| group.servers.iter().map(|s| s.overrides).collect()).collect();

    // The maps are as they were before the orders: the agent died in between.
    let after = ordered(&orders, &applied);
    assert_eq!(desired(&after), [vec![OUT; 3], vec![OUT, OUT, (5, true)]]);
    assert_eq!(after.orders(), before.orders());
}
