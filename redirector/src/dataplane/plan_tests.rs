//! What is planned, and that every prefix of a plan is safe.

use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;

const PORTS: Ports = Ports { first: 1024, count: 1000 };

fn listen(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 100), port)
}

fn path(ifindex: u32) -> Path {
    Path { source: Ipv4Addr::new(10, 0, 1, 1), hop: Hop { ifindex, dst_mac: [2; 6], src_mac: [4; 6] } }
}

fn member(last: u8, weight: u16, open: bool) -> DesiredMember {
    let address = SocketAddrV4::new(Ipv4Addr::new(10, 0, 1, last), 6379);
    DesiredMember { address, weight, open, path: Some(path(3)) }
}

fn service(port: u16, members: Vec<DesiredMember>) -> DesiredService {
    DesiredService { listen: listen(port), members }
}

/// The server that serves: r11, r12 … of whom only `master` is in.
fn master_is(master: u8) -> Vec<DesiredService> {
    let members = (11..=13).map(|last| member(last, 100, last == master)).collect();
    vec![service(6379, members)]
}

fn must(desired: &[DesiredService], applied: &Applied) -> (Vec<Op>, Applied) {
    plan(desired, applied, PORTS).expect("it fits")
}

fn names(ops: &[Op]) -> Vec<&'static str> {
    ops.iter()
        .map(|op| match op {
            Op::WriteBackend { .. } => "backend",
            Op::WriteSlots { .. } => "slots",
            Op::Switch { .. } => "switch",
            Op::RemoveService { .. } => "remove",
            Op::Reset { .. } => "reset",
        })
        .collect()
}

#[test]
fn from_nothing_backends_come_before_slots_and_slots_before_the_switch() {
    let (ops, applied) = must(&master_is(11), &Applied::default());
    assert_eq!(names(&ops), ["backend", "backend", "backend", "slots", "switch"]);
    assert_eq!(must(&master_is(11), &applied).0, [], "what is applied needs nothing");
}

#[test]
fn the_old_master_is_fenced_before_the_new_one_is_switched_to() {
    let (_, applied) = must(&master_is(11), &Applied::default());
    let (ops, next) = must(&master_is(12), &applied);
    assert_eq!(names(&ops), ["backend", "slots", "backend", "switch", "reset"]);
    let Op::WriteBackend { backend: old, .. } = ops[2] else { panic!("not a fence") };
    let Op::Switch { service, .. } = ops[3] else { panic!("not a switch") };
    assert_eq!(old.addr, Ipv4Addr::new(10, 0, 1, 11).into());
    assert_eq!((old.fence, service.epoch), (2, 2), "flows of the first epoch are over");
    let serving = next.services.values().next().map(|entry| entry.slots.clone()).expect("one service");
    assert!(serving.iter().all(|id| next.backends[id].addr == Ipv4Addr::new(10, 0, 1, 12).into()));
    assert_eq!(must(&master_is(12), &next).0, []);
}

#[test]
fn weight_zero_takes_the_slots_and_leaves_the_flows() {
    let both = |weight| vec![service(6380, vec![member(12, weight, true), member(13, 30, true)])];
    let (_, applied) = must(&both(70), &Applied::default());
    let (ops, _) = must(&both(0), &applied);
    assert_eq!(names(&ops), ["slots", "switch"]);
}

#[test]
fn nobody_left_means_no_slots_and_a_fence() {
    let (_, applied) = must(&master_is(11), &Applied::default());
    let (ops, next) = must(&master_is(0), &applied);
    assert_eq!(names(&ops), ["backend", "switch", "reset"]);
    assert_eq!(next.services.values().next().map(|entry| entry.service.slots), Some(0));
}

#[test]
fn a_fence_stays_when_its_server_comes_back() {
    let (_, applied) = must(&master_is(11), &Applied::default());
    let (_, applied) = must(&master_is(12), &applied);
    let (_, applied) = must(&master_is(11), &applied);
    let first = applied.backends.values().find(|backend| backend.addr == Ipv4Addr::new(10, 0, 1, 11).into());
    let first = first.expect("it is known");
    assert!(first.is_open() && first.fences(1) && !first.fences(3));
}

#[test]
fn a_lost_neighbour_keeps_its_last_path() {
    let (_, applied) = must(&master_is(11), &Applied::default());
    let mut desired = master_is(11);
    desired[0].members[0].path = None;
    assert_eq!(must(&desired, &applied).0, []);
    desired[0].members[0].path = Some(path(9));
    assert_eq!(names(&must(&desired, &applied).0), ["backend"], "a moved neighbour is no new answer");
}

#[test]
fn a_removed_service_is_gone_and_its_backends_are_freed_once_no_flow_names_them() {
    let (_, applied) = must(&master_is(11), &Applied::default());
    let (ops, applied) = must(&[], &applied);
    assert_eq!(names(&ops), ["backend", "backend", "backend", "remove", "reset"]);
    let idle = BTreeSet::from([1, 2]);
    let (freed, applied) = retire(&[], &applied, &idle);
    assert_eq!(freed.len(), 2);
    assert_eq!(applied.backends.keys().copied().collect::<Vec<_>>(), [0]);
}

#[test]
fn too_many_servers_are_refused_as_a_whole() {
    let members: Vec<DesiredMember> = (0..=limits::BACKENDS)
        .map(|at| {
            let address = SocketAddrV4::new(Ipv4Addr::from_bits(0x0b00_0000 + at), 6379);
            DesiredMember { address, weight: 1, open: true, path: None }
        })
        .collect();
    assert_eq!(plan(&[service(6379, members)], &Applied::default(), PORTS), Err(PlanError::TooManyBackends));
}

/// What the datapath would do for a new flow and for one of each earlier epoch.
fn carry_out(applied: &mut Applied, op: &Op) {
    match op {
        Op::WriteBackend { id, backend } => {
            applied.backends.insert(*id, *backend);
        }
        Op::WriteSlots { .. } | Op::Reset { .. } => {}
        Op::Switch { key, service } => {
            applied.services.entry(*key).or_default().service = *service;
        }
        Op::RemoveService { key } => {
            applied.services.remove(key);
        }
    }
}

fn arbitrary_desired() -> impl Strategy<Value = Vec<DesiredService>> {
    let member = (11..15u8, prop_oneof![Just(0u16), 1..=256u16], any::<bool>());
    let members = prop::collection::vec(member, 0..4).prop_map(|members| {
        let mut seen = BTreeSet::new();
        members
            .into_iter()
            .filter(|(last, ..)| seen.insert(*last))
            .map(|(last, weight, open)| self::member(last, weight, open))
            .collect::<Vec<_>>()
    });
    prop::collection::btree_map(6379..6382u16, members, 0..3)
        .prop_map(|services| services.into_iter().map(|(port, members)| service(port, members)).collect())
}

proptest! {
    /// Over any history: the plan leads where it says, a second plan finds nothing to do, epochs only grow, and a
    /// backend that is not open fences every flow made so far.
    #[test]
    fn any_history_ends_where_it_was_to_lead(history in prop::collection::vec(arbitrary_desired(), 1..8)) {
        let mut applied = Applied::default();
        for desired in &history {
            let (ops, next) = must(desired, &applied);
            let mut maps = applied.clone();
            for op in &ops {
                carry_out(&mut maps, op);
            }
            prop_assert_eq!(&maps.backends, &next.backends);
            for (key, entry) in &next.services {
                prop_assert_eq!(maps.services.get(key).map(|found| found.service), Some(entry.service));
                if let Some(before) = applied.services.get(key) {
                    prop_assert!(entry.service.epoch >= before.service.epoch);
                }
                for (id, backend) in &next.backends {
                    if backend.owner == entry.service.id + 1 && !backend.is_open() {
                        prop_assert!(!entry.slots.contains(id));
                        prop_assert!(backend.fence == 0 || backend.fence <= entry.service.epoch);
                    }
                }
                for id in &entry.slots {
                    prop_assert!(!next.backends[id].fences(entry.service.epoch), "new flows are not fenced");
                }
            }
            prop_assert_eq!(must(desired, &next).0, vec![]);
            applied = retire(desired, &next, &next.backends.keys().copied().collect()).1;
        }
    }
}
