use proptest::prelude::*;

use super::{
    super::{Replication, elect, testing::*},
    *,
};
use crate::{config::Balance, health::Failure};

fn service(route: Route, fallback: Fallback) -> Service {
    Service {
        name: "svc".into(),
        listen: ([10, 9, 9, 9], 6379).into(),
        group: 0,
        route,
        fallback,
        balance: Balance::RoundRobin,
    }
}

/// A standing in a few characters: `100` serves, `100 note` serves with a note, `- reason` drains, `x reason` is out.
fn short(standing: &Standing) -> String {
    match standing {
        Standing::Serving { weight, note: None } => weight.to_string(),
        Standing::Serving { weight, note: Some(note) } => format!("{weight} {note}"),
        Standing::Draining(reason) => format!("- {reason}"),
        Standing::Out(reason) => format!("x {reason}"),
    }
}

struct Case {
    views: Vec<ServerView>,
    incumbent: Option<usize>,
    backups: &'static [usize],
    previous: Vec<Standing>,
}

impl Case {
    fn of(views: Vec<ServerView>) -> Self {
        Self { views, incumbent: None, backups: &[], previous: vec![] }
    }

    fn incumbent(self, server: usize) -> Self {
        Self { incumbent: Some(server), ..self }
    }

    fn backups(self, backups: &'static [usize]) -> Self {
        Self { backups, ..self }
    }

    fn previous(self, previous: Vec<Standing>) -> Self {
        Self { previous, ..self }
    }

    fn standings(&self, service: &Service) -> Vec<Standing> {
        let mut group = group(self.views.len());
        for &backup in self.backups {
            group.servers[backup].backup = true;
        }
        let election = elect(&group, &self.views, self.incumbent);
        members(service, &group, &self.views, &election, &self.previous)
            .into_iter()
            .enumerate()
            .map(|(place, member)| {
                assert_eq!(member.server, place);
                member.standing
            })
            .collect()
    }

    fn check(&self, what: &str, service: &Service, expected: &[&str]) {
        let got: Vec<String> = self.standings(service).iter().map(short).collect();
        assert_eq!(got, expected, "{what}");
    }
}

fn weight(weight: u16, view: ServerView) -> ServerView {
    ServerView { weight, ..view }
}

fn drained(view: ServerView) -> ServerView {
    ServerView { operator: Operator::Drain, ..view }
}

fn in_maintenance(view: ServerView) -> ServerView {
    ServerView { operator: Operator::Maint, ..view }
}

fn link_down(view: ServerView) -> ServerView {
    with(view, |said| said.link_up = false)
}

fn syncing(view: ServerView) -> ServerView {
    with(view, |said: &mut Replication| {
        said.link_up = false;
        said.syncing = true;
    })
}

#[test]
fn route_master() {
    let service = service(Route::Master, Fallback::Master);
    #[rustfmt::skip]
    let table: [(&str, Case, &[&str]); 10] = [
        ("one master", Case::of(vec![master(), replica_of(1)]), &["100", "x is a replica"]),
        ("a rival", Case::of(vec![master(), master()]).incumbent(0), &["100", "x claims to be master beside r1"]),
        ("nobody knows", Case::of(vec![master(), master()]), &["x claims to be master", "x claims to be master"]),
        ("too early", Case::of(vec![master(), unheard()]), &["x says it is master; the other servers are not heard yet", "x not heard yet"]),
        ("the agent restarted", Case::of(vec![unheard(), unheard()]).incumbent(0), &["100 not heard yet", "x not heard yet"]),
        ("the master is down", Case::of(vec![down(master()), replica_of(1)]).incumbent(0), &["x down: connection refused", "x is a replica"]),
        ("the master is drained", Case::of(vec![drained(master()), replica_of(1)]).incumbent(0), &["- drained by the operator", "x is a replica"]),
        ("the master has weight 0", Case::of(vec![weight(0, master()), replica_of(1)]), &["- weight 0", "x is a replica"]),
        ("the master is in maintenance", Case::of(vec![in_maintenance(master()), replica_of(1)]).incumbent(0), &["x in maintenance", "x is a replica"]),
        ("a former member that is not heard", Case::of(vec![master(), unheard()]).incumbent(0).previous(vec![Standing::Out(Reason::IsReplica), Standing::Serving { weight: 1, note: None }]), &["100", "x not heard yet"]),
    ];
    for (what, case, expected) in table {
        case.check(what, &service, expected);
    }
}

#[test]
fn route_replicas() {
    let service = service(Route::Replicas, Fallback::Master);
    let served = || Standing::Serving { weight: 30, note: None };
    #[rustfmt::skip]
    let table: [(&str, Case, &[&str]); 20] = [
        ("replicas serve", Case::of(vec![master(), weight(70, replica_of(1)), weight(30, replica_of(1))]), &["- is the master; replicas serve", "70", "30"]),
        ("none left", Case::of(vec![master(), down(replica_of(1))]), &["100 is the master; no replica is left", "x down: connection refused"]),
        ("none left but a drained one", Case::of(vec![master(), drained(replica_of(1))]), &["100 is the master; no replica is left", "- drained by the operator"]),
        ("none left, the master is drained", Case::of(vec![drained(master()), down(replica_of(1))]).incumbent(0), &["- drained by the operator", "x down: connection refused"]),
        ("none left, the master has weight 0", Case::of(vec![weight(0, master()), down(replica_of(1))]), &["- weight 0", "x down: connection refused"]),
        ("none left, the incumbent is not heard", Case::of(vec![unheard(), down(replica_of(1))]).incumbent(0), &["100 not heard yet", "x down: connection refused"]),
        ("link down", Case::of(vec![master(), link_down(replica_of(1)), replica_of(1)]), &["- is the master; replicas serve", "- link to its master is down", "100"]),
        ("syncing", Case::of(vec![master(), syncing(replica_of(1)), replica_of(1)]), &["- is the master; replicas serve", "x receives a full copy from its master", "100"]),
        ("weight 0", Case::of(vec![master(), weight(0, replica_of(1)), replica_of(1)]), &["- is the master; replicas serve", "- weight 0", "100"]),
        ("maintenance", Case::of(vec![master(), in_maintenance(replica_of(1)), replica_of(1)]), &["- is the master; replicas serve", "x in maintenance", "100"]),
        ("no master, links down", Case::of(vec![down(master()), link_down(replica_of(1))]).incumbent(0), &["x down: connection refused", "100 stale: the group has no master"]),
        ("a backup waits", Case::of(vec![master(), replica_of(1), replica_of(1)]).backups(&[2]), &["- is the master; replicas serve", "100", "- backup"]),
        ("a backup steps in before the master", Case::of(vec![master(), down(replica_of(1)), replica_of(1)]).backups(&[2]), &["- is the master; replicas serve", "x down: connection refused", "100"]),
        ("a master that is a backup does not hold it back", Case::of(vec![master(), replica_of(1)]).backups(&[1]), &["- is the master; replicas serve", "100"]),
        ("a rival gets no reads", Case::of(vec![master(), master(), replica_of(1)]).incumbent(0), &["- is the master; replicas serve", "x claims to be master beside r1", "100"]),
        ("nor does who follows it", Case::of(vec![master(), master(), replica_of(2), replica_of(1)]).incumbent(0), &["- is the master; replicas serve", "x claims to be master beside r1", "x replicates from r2, which is not the master", "100"]),
        ("a chain is as good", Case::of(vec![master(), replica_of(1), replica_of(2)]), &["- is the master; replicas serve", "100", "100"]),
        ("unheard: it keeps what it had", Case::of(vec![master(), weight(30, unheard()), unheard(), unheard()]).incumbent(0).previous(vec![served(), served(), Standing::Draining(Reason::WeightZero), Standing::Out(Reason::LinkDown)]), &["- is the master; replicas serve", "30 not heard yet", "- weight 0", "x not heard yet"]),
        ("unheard and new", Case::of(vec![master(), unheard()]).incumbent(0), &["100 is the master; no replica is left", "x not heard yet"]),
        ("active replicas", Case::of(vec![active_replica_of(2), active_replica_of(1)]), &["- is the master; replicas serve", "100"]),
    ];
    for (what, case, expected) in table {
        case.check(what, &service, expected);
    }
}

#[test]
fn route_replicas_without_fallback() {
    let service = service(Route::Replicas, Fallback::None);
    let nobody = Case::of(vec![master(), down(replica_of(1))]);
    nobody.check("none left", &service, &["x is the master", "x down: connection refused"]);
    let demoted = Case::of(vec![in_maintenance(master()), replica_of(1)]);
    demoted.check(
        "a better reason stays",
        &service,
        &["x in maintenance", "100 stale: the group has no master"],
    );
}

#[test]
fn route_any() {
    let service = service(Route::Any, Fallback::Master);
    #[rustfmt::skip]
    let table: [(&str, Case, &[&str]); 4] = [
        ("all serve", Case::of(vec![weight(10, master()), weight(70, replica_of(1))]), &["10", "70"]),
        ("a rival does not", Case::of(vec![master(), master(), replica_of(1)]).incumbent(0), &["100", "x claims to be master beside r1", "100"]),
        ("the master holds a backup back", Case::of(vec![master(), replica_of(1)]).backups(&[1]), &["100", "- backup"]),
        ("the backup steps in", Case::of(vec![down(master()), replica_of(1)]).backups(&[1]).incumbent(0), &["x down: connection refused", "100 stale: the group has no master"]),
    ];
    for (what, case, expected) in table {
        case.check(what, &service, expected);
    }
}

#[test]
fn a_reason_may_be_unknown() {
    assert_eq!(Reason::Down(None).to_string(), "down");
    assert_eq!(Reason::Down(Some(Failure::Loading)).to_string(), "down: loading its data set");
}

fn any_previous() -> impl Strategy<Value = Vec<Standing>> {
    let standing = prop_oneof![
        (1u16..=256).prop_map(|weight| Standing::Serving { weight, note: None }),
        Just(Standing::Draining(Reason::Drained)),
        Just(Standing::Out(Reason::IsReplica)),
    ];
    proptest::collection::vec(standing, 0..7)
}

proptest! {
    #[test]
    fn a_master_service_has_one_member_at_most((views, incumbent) in any_situation(), previous in any_previous()) {
        let case = Case { incumbent, previous, ..Case::of(views) };
        let elected = elect(&group(case.views.len()), &case.views, incumbent).master;
        for (server, standing) in case.standings(&service(Route::Master, Fallback::Master)).iter().enumerate() {
            prop_assert!(matches!(standing, Standing::Out(_)) || elected == Some(server));
        }
    }

    #[test]
    fn who_serves_is_able_and_wanted(
        (views, incumbent) in any_situation(),
        previous in any_previous(),
        route in prop_oneof![Just(Route::Master), Just(Route::Replicas), Just(Route::Any)],
        fallback in prop_oneof![Just(Fallback::Master), Just(Fallback::None)],
    ) {
        let case = Case { incumbent, previous, ..Case::of(views) };
        let election = elect(&group(case.views.len()), &case.views, incumbent);
        for (server, standing) in case.standings(&service(route, fallback)).iter().enumerate() {
            let view = &case.views[server];
            if let Standing::Serving { weight, .. } = standing {
                prop_assert!((1..=256).contains(weight));
                prop_assert_eq!(view.operator, Operator::Ready);
                prop_assert_ne!(view.health, State::Down);
            }
            let rival = election.conflict.as_ref().is_some_and(|conflict| conflict.claimants.contains(&server));
            if rival || view.health == State::Down || view.operator == Operator::Maint {
                prop_assert!(matches!(standing, Standing::Out(_)));
            }
        }
    }

    #[test]
    fn the_master_and_replicas_do_not_share_reads((views, incumbent) in any_situation()) {
        let case = Case { incumbent, ..Case::of(views) };
        let elected = elect(&group(case.views.len()), &case.views, incumbent).master;
        let serving: Vec<usize> = case
            .standings(&service(Route::Replicas, Fallback::Master))
            .iter()
            .enumerate()
            .filter_map(|(server, standing)| matches!(standing, Standing::Serving { .. }).then_some(server))
            .collect();
        prop_assert!(serving.len() <= 1 || serving.iter().all(|&server| elected != Some(server)));
    }
}
