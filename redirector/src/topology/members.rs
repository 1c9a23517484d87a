//! Which servers serve a service, and why the others do not.

use super::{Election, Operator, Reason, Role, ServerView, election::names};
use crate::{
    config::{Fallback, Group, Route, Service},
    health::State,
};

/// One server of the group, as one service sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Index into [`Group::servers`].
    pub server: usize,
    pub standing: Standing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Takes new flows.
    Serving {
        /// 1–256.
        weight: u16,
        /// What the operator should know all the same.
        note: Option<Reason>,
    },
    /// Takes no new flows; old ones go on.
    Draining(Reason),
    /// Takes no new flows; old ones are reset.
    Out(Reason),
}

impl Standing {
    fn serving(view: &ServerView, note: Option<Reason>) -> Self {
        Self::Serving { weight: view.weight, note }
    }
}

/// Gives every server of `group` its standing in `service`, in the order of [`Group::servers`].
///
/// `previous` is the last answer for the same service, or what the datapath was found doing at the
/// start; it may be shorter. A server that has not been heard keeps what it had, for unknown changes
/// nothing.
pub fn members(
    service: &Service,
    group: &Group,
    views: &[ServerView],
    election: &Election,
    previous: &[Standing],
) -> Vec<Member> {
    let pool = Pool { service, group, views, election, previous };
    let mut standings: Vec<Standing> =
        (0..views.len().min(group.servers.len())).map(|server| pool.own_merit(server)).collect();
    match service.route {
        Route::Master => {}
        Route::Any => pool.hold_backups(&mut standings),
        Route::Replicas => {
            pool.hold_backups(&mut standings);
            pool.hold_master(&mut standings);
        }
    }
    standings.into_iter().enumerate().map(|(server, standing)| Member { server, standing }).collect()
}

struct Pool<'a> {
    service: &'a Service,
    group: &'a Group,
    views: &'a [ServerView],
    election: &'a Election,
    previous: &'a [Standing],
}

impl Pool<'_> {
    fn is_master(&self, server: usize) -> bool {
        self.election.master == Some(server)
    }

    /// The standing of a server that depends on no other server but the master.
    fn own_merit(&self, server: usize) -> Standing {
        let view = &self.views[server];
        if view.operator == Operator::Maint {
            return Standing::Out(Reason::Maintenance);
        }
        match view.health {
            State::Down => Standing::Out(Reason::Down(view.failure.clone())),
            State::Unknown => self.unheard(server),
            State::Up => match self.role_fits(server) {
                Ok(note) => willing(view, note),
                Err(standing) => standing,
            },
        }
    }

    fn unheard(&self, server: usize) -> Standing {
        let view = &self.views[server];
        // An incumbent is elected by what it was; all else in a master service is out, old flows too.
        if self.is_master(server) {
            return willing(view, Some(Reason::NotHeard));
        }
        match (self.service.route, self.previous.get(server)) {
            (Route::Replicas | Route::Any, Some(Standing::Serving { .. })) => {
                willing(view, Some(Reason::NotHeard))
            }
            (Route::Replicas | Route::Any, Some(Standing::Draining(reason))) => {
                Standing::Draining(reason.clone())
            }
            (Route::Master, _) | (Route::Replicas | Route::Any, Some(Standing::Out(_)) | None) => {
                Standing::Out(Reason::NotHeard)
            }
        }
    }

    /// Whether what the server says makes it fit for the route; with a note if it does.
    fn role_fits(&self, server: usize) -> Result<Option<Reason>, Standing> {
        if self.is_master(server) {
            return Ok(None);
        }
        let Some(said) = &self.views[server].replication else {
            return Err(Standing::Out(Reason::NotHeard));
        };
        match said.role {
            Role::Master => return Err(Standing::Out(self.claim(server))),
            Role::Replica | Role::ActiveReplica => {}
        }
        if self.service.route == Route::Master {
            return Err(Standing::Out(Reason::IsReplica));
        }
        if said.syncing {
            return Err(Standing::Out(Reason::Syncing));
        }
        if let Some(rival) =
            self.rivals().iter().find(|&&rival| names(said, self.group.servers[rival].address))
        {
            return Err(Standing::Out(Reason::FollowsRival(self.group.servers[*rival].name.clone())));
        }
        match (self.election.master, said.link_up) {
            (Some(_), true) => Ok(None),
            (Some(_), false) => Err(Standing::Draining(Reason::LinkDown)),
            // Without a master no link can be up: not the replica's fault.
            (None, _) => Ok(Some(Reason::Stale)),
        }
    }

    /// Servers that claim to be master beside an elected one.
    fn rivals(&self) -> &[usize] {
        match (&self.election.master, &self.election.conflict) {
            (Some(_), Some(conflict)) => &conflict.claimants,
            (None, _) | (_, None) => &[],
        }
    }

    /// Why a server that says it is master, and is not elected, gets nothing.
    fn claim(&self, server: usize) -> Reason {
        match &self.election.conflict {
            Some(conflict) if conflict.claimants.contains(&server) => {
                let elected = self.election.master.and_then(|master| self.group.servers.get(master));
                Reason::Rival(elected.map(|master| master.name.clone()))
            }
            Some(_) | None => Reason::Unconfirmed,
        }
    }

    /// A backup serves only while no other server of the route does.
    fn hold_backups(&self, standings: &mut [Standing]) {
        let in_pool = |server: usize| self.service.route == Route::Any || !self.is_master(server);
        let serves = |server: usize, standing: &Standing| {
            in_pool(server) && matches!(standing, Standing::Serving { .. })
        };
        let others_serve = standings
            .iter()
            .enumerate()
            .any(|(server, standing)| serves(server, standing) && !self.group.servers[server].backup);
        if !others_serve {
            return;
        }
        for (server, standing) in standings.iter_mut().enumerate() {
            if serves(server, standing) && self.group.servers[server].backup {
                *standing = Standing::Draining(Reason::Backup);
            }
        }
    }

    /// The master serves reads only while no replica does. Flows it took meanwhile, or had as a replica,
    /// go on.
    fn hold_master(&self, standings: &mut [Standing]) {
        let replica_serves = standings.iter().enumerate().any(|(server, standing)| {
            !self.is_master(server) && matches!(standing, Standing::Serving { .. })
        });
        let Some(standing) = self.election.master.and_then(|master| standings.get_mut(master)) else {
            return;
        };
        match (self.service.fallback, &mut *standing) {
            (Fallback::None | Fallback::Master, Standing::Out(_))
            | (Fallback::Master, Standing::Draining(_)) => {}
            (Fallback::None, Standing::Serving { .. } | Standing::Draining(_)) => {
                *standing = Standing::Out(Reason::IsMaster);
            }
            (Fallback::Master, Standing::Serving { note, .. }) => {
                if replica_serves {
                    *standing = Standing::Draining(Reason::ReplicasServe);
                } else if note.is_none() {
                    *note = Some(Reason::NoReplicaLeft);
                }
            }
        }
    }
}

/// A server that could serve does so unless its operator or its weight says otherwise.
fn willing(view: &ServerView, note: Option<Reason>) -> Standing {
    match view.operator {
        Operator::Maint => Standing::Out(Reason::Maintenance),
        Operator::Drain => Standing::Draining(Reason::Drained),
        Operator::Ready if view.weight == 0 => Standing::Draining(Reason::WeightZero),
        Operator::Ready => Standing::serving(view, note),
    }
}

#[cfg(test)]
#[path = "members_tests.rs"]
mod tests;
