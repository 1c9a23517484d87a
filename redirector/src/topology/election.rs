//! Which server of a group is the master? At most one, whatever the servers claim.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use super::{Replication, Role};
use crate::{
    config::Group,
    health::{Failure, State},
};

/// What is known about one server, in the order of [`Group::servers`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerView {
    pub health: State,
    /// The last reply, however old. `None` until the first.
    pub replication: Option<Replication>,
    /// Why the last probe failed.
    pub failure: Option<Failure>,
    pub operator: Operator,
    /// 0–256, with the operator's override applied.
    pub weight: u16,
}

/// What the operator wants of a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Operator {
    #[default]
    Ready,
    /// New flows go elsewhere, old ones finish.
    Drain,
    /// Nothing goes there, old flows are reset.
    Maint,
}

/// The answer for one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Election {
    /// Index into [`Group::servers`].
    pub master: Option<usize>,
    pub conflict: Option<Conflict>,
    pub why: MasterReason,
}

/// More servers than one claim to be the master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Those who claim it and were not elected, ascending. They are quarantined.
    pub claimants: Vec<usize>,
}

/// Why this master, or why none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MasterReason {
    /// The incumbent still says so.
    Incumbent,
    /// The incumbent has not been heard yet, and unknown is not down.
    IncumbentUnheard,
    /// Nobody else says so.
    OnlyClaim,
    /// It took over the incumbent's replication history.
    Lineage,
    /// More servers of the group replicate from it than from any other claimant.
    MostReplicas,
    /// All claimants are active replicas of one another: any may be written, the first is taken.
    FirstActiveReplica,
    /// Nobody says so.
    NoClaim,
    /// Servers that have not been heard yet might say so, too.
    Waiting,
    /// Several say so, and nothing tells them apart.
    Undecided,
}

impl fmt::Display for MasterReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Incumbent => "it is still the master",
            Self::IncumbentUnheard => "it was the master and has not been heard yet",
            Self::OnlyClaim => "no other server says it is master",
            Self::Lineage => "it was promoted from the former master",
            Self::MostReplicas => "most servers replicate from it",
            Self::FirstActiveReplica => "it is the first of several active replicas",
            Self::NoClaim => "no server says it is master",
            Self::Waiting => "not every server has been heard yet",
            Self::Undecided => "several servers say they are master, and nothing tells them apart",
        })
    }
}

/// Names the master of `group`.
///
/// `incumbent` is the server elected last, also while the group has had no master since. It stays while
/// it is up and says it is master, and while it has not been heard. Once it is down, demoted or in
/// maintenance, evidence decides among those who say they are master: replication lineage first, then
/// who is replicated from. One claim alone is evidence only if every server has been heard: the one
/// that is still silent might be the real master.
pub fn elect(group: &Group, views: &[ServerView], incumbent: Option<usize>) -> Election {
    let servers = views.len().min(group.servers.len());
    let ballot =
        Ballot { group, views: &views[..servers], incumbent: incumbent.filter(|&server| server < servers) };
    let (master, why) = ballot.decide();
    let claimants: Vec<usize> = ballot
        .candidates()
        .into_iter()
        .filter(|&server| Some(server) != master && ballot.role(server) == Some(Role::Master))
        .collect();
    // A claim that nobody disputes yet is no conflict.
    let disputed = if master.is_some() { !claimants.is_empty() } else { claimants.len() > 1 };
    Election { master, conflict: disputed.then_some(Conflict { claimants }), why }
}

struct Ballot<'a> {
    group: &'a Group,
    views: &'a [ServerView],
    incumbent: Option<usize>,
}

impl Ballot<'_> {
    fn decide(&self) -> (Option<usize>, MasterReason) {
        if let Some(reason) = self.incumbent.and_then(|server| self.incumbent_stays(server)) {
            return (self.incumbent, reason);
        }
        let candidates = self.candidates();
        if candidates.is_empty() {
            return (None, MasterReason::NoClaim);
        }
        if let Some(heir) = only(candidates.iter().copied().filter(|&heir| self.is_heir(heir))) {
            return (Some(heir), MasterReason::Lineage);
        }
        if self.views.iter().any(|view| view.health == State::Unknown && view.operator != Operator::Maint) {
            return (None, MasterReason::Waiting);
        }
        if let [single] = candidates[..] {
            return (Some(single), MasterReason::OnlyClaim);
        }
        if let Some(server) = self.most_replicated(&candidates) {
            return (Some(server), MasterReason::MostReplicas);
        }
        let all_active = candidates.iter().all(|&server| self.role(server) == Some(Role::ActiveReplica));
        match candidates.first() {
            Some(&first) if all_active => (Some(first), MasterReason::FirstActiveReplica),
            _ => (None, MasterReason::Undecided),
        }
    }

    fn role(&self, server: usize) -> Option<Role> {
        Some(self.views[server].replication.as_ref()?.role)
    }

    fn incumbent_stays(&self, server: usize) -> Option<MasterReason> {
        let view = &self.views[server];
        if view.operator == Operator::Maint || self.role(server) == Some(Role::Replica) {
            return None;
        }
        match view.health {
            State::Up => Some(MasterReason::Incumbent),
            State::Unknown => Some(MasterReason::IncumbentUnheard),
            State::Down => None,
        }
    }

    /// Servers that are up, say they take writes, and may be used. Ascending.
    fn candidates(&self) -> Vec<usize> {
        (0..self.views.len())
            .filter(|&server| {
                let view = &self.views[server];
                view.health == State::Up
                    && view.operator != Operator::Maint
                    && matches!(self.role(server), Some(Role::Master | Role::ActiveReplica))
            })
            .collect()
    }

    /// Whether the server was promoted from the incumbent's data set.
    fn is_heir(&self, server: usize) -> bool {
        let incumbent = self.incumbent.and_then(|incumbent| self.views[incumbent].replication.as_ref());
        let (Some(incumbent), Some(heir)) = (incumbent, self.views[server].replication.as_ref()) else {
            return false;
        };
        let took_over = heir.previous.as_ref().is_some_and(|(id, _)| *id == incumbent.replid);
        // A demoted incumbent may have taken on its successor's history by now.
        let handed_over = incumbent.role == Role::Replica
            && !incumbent.replid.is_empty()
            && heir.replid == incumbent.replid;
        took_over || handed_over
    }

    /// The candidate from which strictly more servers replicate than from every other.
    fn most_replicated(&self, candidates: &[usize]) -> Option<usize> {
        let followers = |server: usize| {
            let address = self.group.servers[server].address;
            self.views.iter().filter(|view| follows(view, address)).count()
        };
        let most = candidates.iter().map(|&server| followers(server)).max()?;
        only(candidates.iter().copied().filter(|&server| followers(server) == most))
    }
}

/// Whether a server that is up replicates from `address` and its link is up.
fn follows(view: &ServerView, address: SocketAddr) -> bool {
    view.health == State::Up
        && view.replication.as_ref().is_some_and(|said| said.link_up && names(said, address))
}

/// Whether the reply names `address` as its master. A host name matches nothing: we do not resolve.
pub(super) fn names(said: &Replication, address: SocketAddr) -> bool {
    said.master.as_ref().is_some_and(|(host, port)| {
        *port == address.port()
            && host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical() == address.ip().to_canonical())
    })
}

/// The only item, if there is exactly one.
fn only<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    let first = items.next()?;
    items.next().is_none().then_some(first)
}

#[cfg(test)]
#[path = "election_tests.rs"]
mod tests;
