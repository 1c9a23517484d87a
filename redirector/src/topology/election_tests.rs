use proptest::prelude::*;

use super::{super::testing::*, *};

/// `replica_of`, but promoted from the history `id`.
fn promoted_from(id: &str) -> ServerView {
    with(master(), |said| {
        said.replid = "new".into();
        said.previous = Some((id.into(), 100));
    })
}

fn operator(operator: Operator, view: ServerView) -> ServerView {
    ServerView { operator, ..view }
}

#[test]
fn elections() {
    use MasterReason::*;
    type Case = (&'static str, Vec<ServerView>, Option<usize>, Option<usize>, Vec<usize>, MasterReason);
    let none = vec![];
    #[rustfmt::skip]
    let table: Vec<Case> = vec![
        // what, views, incumbent → master, rivals, why
        ("an ordinary start", vec![master(), replica_of(1)], None, Some(0), none.clone(), OnlyClaim),
        ("nobody has been heard", vec![unheard(), unheard()], None, None, none.clone(), NoClaim),
        ("one claims, another is silent", vec![master(), unheard()], None, None, none.clone(), Waiting),
        ("one claims, the silent one is in maintenance", vec![master(), operator(Operator::Maint, unheard())], None, Some(0), none.clone(), OnlyClaim),
        ("one claims, another never answered", vec![master(), down(unheard())], None, Some(0), none.clone(), OnlyClaim),
        ("two claim at the start, one has replicas", vec![master(), master(), replica_of(2)], None, Some(1), vec![0], MostReplicas),
        ("two claim, as many replicas each", vec![master(), master(), replica_of(1), replica_of(2)], None, None, vec![0, 1], Undecided),
        ("two claim, nobody follows", vec![master(), master()], None, None, vec![0, 1], Undecided),
        ("a replica whose link is down is no evidence", vec![master(), master(), with(replica_of(2), |r| r.link_up = false)], None, None, vec![0, 1], Undecided),
        ("all are replicas", vec![replica_of(2), replica_of(1)], None, None, none.clone(), NoClaim),

        ("the incumbent stays", vec![replica_of(2), master()], Some(1), Some(1), none.clone(), Incumbent),
        ("the incumbent stays beside a rival with all the replicas", vec![master(), promoted_from("history"), replica_of(2)], Some(0), Some(0), vec![1], Incumbent),
        ("the agent restarted", vec![unheard(), unheard()], Some(0), Some(0), none.clone(), IncumbentUnheard),
        ("the agent restarted, a rival is heard first", vec![unheard(), master()], Some(0), Some(0), vec![1], IncumbentUnheard),
        ("the incumbent is drained", vec![operator(Operator::Drain, master()), replica_of(1)], Some(0), Some(0), none.clone(), Incumbent),

        ("the incumbent is down, nobody promoted", vec![down(master()), replica_of(1)], Some(0), None, none.clone(), NoClaim),
        ("the incumbent is down, one promoted", vec![down(master()), promoted_from("history")], Some(0), Some(1), none.clone(), Lineage),
        ("the incumbent was demoted", vec![replica_of(2), master()], Some(0), Some(1), none.clone(), Lineage),
        ("the incumbent was demoted, its heir tells no history", vec![replica_of(2), with(master(), |r| r.replid.clear())], Some(0), Some(1), none.clone(), OnlyClaim),
        ("the incumbent is put into maintenance", vec![operator(Operator::Maint, master()), master()], Some(0), Some(1), none.clone(), OnlyClaim),
        ("lineage beats numbers", vec![down(master()), promoted_from("history"), master(), replica_of(3)], Some(0), Some(1), vec![2], Lineage),
        ("lineage needs no quorum of voices", vec![down(master()), promoted_from("history"), unheard()], Some(0), Some(1), none.clone(), Lineage),
        ("a foreign lineage has to wait", vec![down(master()), promoted_from("other"), unheard()], Some(0), None, none.clone(), Waiting),
        ("two heirs, one is followed", vec![down(master()), promoted_from("history"), promoted_from("history"), replica_of(3)], Some(0), Some(2), vec![1], MostReplicas),
        ("two heirs, nobody follows", vec![down(master()), promoted_from("history"), promoted_from("history")], Some(0), None, vec![1, 2], Undecided),
        ("siblings are no heirs", vec![down(promoted_from("old")), promoted_from("old"), master()], Some(0), None, vec![1, 2], Undecided),
        ("the demoted incumbent has synchronised with its heir", vec![replica_of(2), master(), with(master(), |r| r.replid = "x".into())], Some(0), Some(1), vec![2], Lineage),
        ("an incumbent that does not exist", vec![master()], Some(7), Some(0), none.clone(), OnlyClaim),

        ("active replicas of one another", vec![active_replica_of(2), active_replica_of(1)], None, Some(0), none.clone(), FirstActiveReplica),
        ("the incumbent active replica stays", vec![active_replica_of(2), active_replica_of(1)], Some(1), Some(1), none.clone(), Incumbent),
        ("no server", vec![], None, None, none.clone(), NoClaim),
    ];
    for (what, views, incumbent, master, rivals, why) in table {
        let expected = Election {
            master,
            conflict: (!rivals.is_empty()).then_some(Conflict { claimants: rivals }),
            why,
        };
        assert_eq!(elect(&group(views.len()), &views, incumbent), expected, "{what}");
    }
}

#[test]
fn a_mapped_address_is_the_same_address() {
    let mut views = vec![master(), master(), replica_of(2)];
    views[2] = with(views[2].clone(), |said| {
        said.master = Some(("::ffff:10.0.0.2".into(), 6379));
    });
    assert_eq!(elect(&group(3), &views, None).master, Some(1));
    views[2] = with(views[2].clone(), |said| {
        said.master = Some(("r2".into(), 6379));
    });
    assert_eq!(elect(&group(3), &views, None).master, None);
}

proptest! {
    #[test]
    fn no_master_without_its_word((views, incumbent) in any_situation()) {
        let election = elect(&group(views.len()), &views, incumbent);
        if let Some(master) = election.master {
            let view = &views[master];
            let role = view.replication.as_ref().map(|said| said.role);
            prop_assert_ne!(view.health, State::Down);
            prop_assert_ne!(view.operator, Operator::Maint);
            prop_assert_ne!(role, Some(Role::Replica));
            if incumbent != Some(master) {
                prop_assert_eq!(view.health, State::Up);
                prop_assert!(role.is_some());
            }
            if let Some(conflict) = &election.conflict {
                prop_assert!(!conflict.claimants.contains(&master));
            }
        }
    }

    #[test]
    fn an_incumbent_that_may_stay_stays((views, incumbent) in any_situation()) {
        let election = elect(&group(views.len()), &views, incumbent);
        let stays = incumbent.and_then(|server| views.get(server)).is_some_and(|view| {
            let replica = view.replication.as_ref().is_some_and(|said| said.role == Role::Replica);
            view.health != State::Down && view.operator != Operator::Maint && !replica
        });
        if stays {
            prop_assert_eq!(election.master, incumbent);
        }
    }

    #[test]
    fn an_election_repeated_is_the_same((views, incumbent) in any_situation()) {
        let group = group(views.len());
        let first = elect(&group, &views, incumbent);
        let second = elect(&group, &views, first.master.or(incumbent));
        prop_assert_eq!(first.master, second.master);
        prop_assert_eq!(first.conflict, second.conflict);
    }
}
