//! What the agent knows, and what follows from it. No I/O: observations and commands in, desired state out.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    time::{Duration, SystemTime},
};

use redirector_common::ServiceKey;

use super::overrides::{Document, Order, Origin, Overrides};
use crate::{
    config::{Config, Route},
    dataplane::plan::{Applied, DesiredMember, DesiredService, Path, service_key},
    health::{Health, Observation, Outcome, Pace, State},
    topology::{self, Election, Member, Operator, Replication, ServerView, Standing},
};

/// One server of a group, as the agent sees it.
#[derive(Debug, Clone)]
pub struct ServerState {
    pub health: Health,
    pub replication: Option<Replication>,
    pub latency: Option<Duration>,
    pub operator: Operator,
    /// 0–256, with the operator's override applied.
    pub weight: u16,
    /// Where `operator` and `weight` differ from the configuration, since when and by whom.
    pub overrides: Overrides,
}

/// One group: its servers in the order of the configuration, and who is the master.
#[derive(Debug, Clone)]
pub struct GroupState {
    pub servers: Vec<ServerState>,
    pub election: Election,
    /// The master elected last, also while there is none.
    incumbent: Option<usize>,
}

/// Everything the agent's answer is made of.
#[derive(Debug)]
pub struct Steering {
    config: Config,
    groups: Vec<GroupState>,
    /// By service, the standing of every server of its group.
    standings: Vec<Vec<Standing>>,
    paths: BTreeMap<Ipv4Addr, Path>,
}

/// A server's place: group and index within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerId {
    pub group: usize,
    pub server: usize,
}

impl Steering {
    /// Starts from the configuration, from the operator's orders, by group and server, and from what an earlier agent has
    /// left in the maps: unknown changes nothing.
    pub fn new(config: Config, orders: &[Vec<Overrides>], applied: &Applied, now: SystemTime) -> Self {
        let standings: Vec<Vec<Standing>> =
            (0..config.services.len()).map(|service| adopted_standings(&config, service, applied)).collect();
        let groups = config
            .groups
            .iter()
            .enumerate()
            .map(|(at, group)| {
                let orders = orders.get(at).map_or(&[][..], Vec::as_slice);
                let servers = group
                    .servers
                    .iter()
                    .enumerate()
                    .map(|(at, server)| {
                        let overrides = orders.get(at).copied().unwrap_or_default();
                        ServerState {
                            health: Health::new(now),
                            replication: None,
                            latency: None,
                            operator: overrides.state.map_or(Operator::Ready, |order| order.value),
                            weight: overrides.weight.map_or(server.weight, |order| order.value),
                            overrides,
                        }
                    })
                    .collect::<Vec<_>>();
                let incumbent = config
                    .services
                    .iter()
                    .zip(&standings)
                    .filter(|(service, _)| service.group == at && service.route == Route::Master)
                    .find_map(|(_, standings)| {
                        standings.iter().position(|standing| !matches!(standing, Standing::Out(_)))
                    });
                let election = topology::elect(group, &views(&servers), incumbent);
                GroupState { servers, election, incumbent }
            })
            .collect();
        let mut steering = Self { config, groups, standings, paths: BTreeMap::new() };
        steering.resolve();
        steering
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    pub fn groups(&self) -> &[GroupState] {
        &self.groups
    }

    /// The standing of every server in a service, in the order of its group.
    pub fn standings(&self, service: usize) -> &[Standing] {
        self.standings.get(service).map_or(&[], Vec::as_slice)
    }

    /// Takes in one round of a probe.
    pub fn observe(&mut self, observation: Observation, now: SystemTime) {
        let Observation { group, server, latency, outcome, .. } = observation;
        let Some(check) = self.config.groups.get(group).map(|group| &group.check) else { return };
        let Some(state) = self.groups.get_mut(group).and_then(|group| group.servers.get_mut(server)) else {
            return;
        };
        state.health = state.health.fold(&outcome, check, now);
        if let Outcome::Well(replication) = outcome {
            state.replication = Some(replication);
            state.latency = latency;
        }
        self.resolve();
    }

    /// The server that `backend/server` names; the backend may be a group or a service.
    pub fn find(&self, backend: &str, server: &str) -> Option<ServerId> {
        let by_service = || Some(self.config.services.iter().find(|service| service.name == backend)?.group);
        let group = self.config.groups.iter().position(|group| group.name == backend).or_else(by_service)?;
        let server = self.config.groups[group].servers.iter().position(|known| known.name == server)?;
        Some(ServerId { group, server })
    }

    /// The weight a server has in the configuration.
    pub fn configured_weight(&self, id: ServerId) -> u16 {
        self.config.groups[id.group].servers[id.server].weight
    }

    pub fn set_weight(&mut self, id: ServerId, weight: u16, origin: Origin) {
        let configured = self.configured_weight(id);
        let server = &mut self.groups[id.group].servers[id.server];
        server.overrides.set_weight(Order { value: weight, origin }, configured);
        server.weight = weight;
        self.resolve();
    }

    pub fn set_operator(&mut self, id: ServerId, operator: Operator, origin: Origin) {
        let server = &mut self.groups[id.group].servers[id.server];
        server.overrides.set_state(Order { value: operator, origin });
        server.operator = operator;
        self.resolve();
    }

    /// The operator's orders, as they are kept.
    pub(super) fn orders(&self) -> Document {
        Document::of(&self.config, &self.groups)
    }

    /// How fast the servers of a group are to be asked: fast while it has no master or a verdict may change.
    pub fn pace(&self, group: usize) -> Pace {
        let Some(group) = self.groups.get(group) else { return Pace::Normal };
        let unsettled = group.election.master.is_none()
            || group
                .servers
                .iter()
                .any(|server| server.health.state != State::Down && server.health.is_changing());
        if unsettled { Pace::Fast } else { Pace::Normal }
    }

    /// Addresses of all servers, once each.
    pub fn servers(&self) -> Vec<Ipv4Addr> {
        let all = self.config.groups.iter().flat_map(|group| &group.servers);
        let mut addresses: Vec<_> =
            all.filter_map(|server| v4(server.address)).map(|address| *address.ip()).collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }

    /// Takes in how servers are reached. A path that is missing leaves the one known before.
    pub fn set_path(&mut self, server: Ipv4Addr, path: Option<Path>) {
        if let Some(path) = path {
            self.paths.insert(server, path);
        }
    }

    /// Is there a server of which nobody knows yet how it is reached?
    pub fn misses_path(&self) -> bool {
        self.paths.len() < self.servers().len()
    }

    /// The name of the service under `key`, for people.
    pub fn service_at(&self, key: &ServiceKey) -> &str {
        let services = self.config.services.iter();
        let found = services.into_iter().find(|service| v4(service.listen).map(service_key) == Some(*key));
        found.map_or("?", |service| &service.name)
    }

    /// What the datapath is to do.
    pub fn desired(&self) -> Vec<DesiredService> {
        self.config
            .services
            .iter()
            .zip(&self.standings)
            .filter_map(|(service, standings)| {
                let servers = &self.config.groups.get(service.group)?.servers;
                let members = servers
                    .iter()
                    .zip(standings)
                    .filter_map(|(server, standing)| {
                        let address = v4(server.address)?;
                        let (weight, open) = match standing {
                            Standing::Serving { weight, .. } => (*weight, true),
                            Standing::Draining(_) => (0, true),
                            Standing::Out(_) => (0, false),
                        };
                        Some(DesiredMember {
                            address,
                            weight,
                            open,
                            path: self.paths.get(address.ip()).copied(),
                        })
                    })
                    .collect();
                Some(DesiredService { listen: v4(service.listen)?, members })
            })
            .collect()
    }

    /// Elections first, then the members of every service.
    fn resolve(&mut self) {
        for (group, state) in self.config.groups.iter().zip(&mut self.groups) {
            state.election = topology::elect(group, &views(&state.servers), state.incumbent);
            state.incumbent = state.election.master.or(state.incumbent);
        }
        for (service, standings) in self.config.services.iter().zip(&mut self.standings) {
            let (Some(group), Some(state)) =
                (self.config.groups.get(service.group), self.groups.get(service.group))
            else {
                continue;
            };
            let members =
                topology::members(service, group, &views(&state.servers), &state.election, standings);
            *standings = members.into_iter().map(|Member { standing, .. }| standing).collect();
        }
    }
}

fn views(servers: &[ServerState]) -> Vec<ServerView> {
    servers
        .iter()
        .map(|server| ServerView {
            health: server.health.state,
            replication: server.replication.clone(),
            failure: server.health.failure.clone(),
            operator: server.operator,
            weight: server.weight,
        })
        .collect()
}

/// What the maps say about the servers of a service.
fn adopted_standings(config: &Config, service: usize, applied: &Applied) -> Vec<Standing> {
    let service = &config.services[service];
    let slots = applied.service(service.listen).map_or(&[][..], |entry| &entry.slots);
    let servers = config.groups.get(service.group).map_or(&[][..], |group| &group.servers);
    servers
        .iter()
        .map(|server| {
            let backend = applied.backend(service.listen, server.address);
            let backend = backend.map(|(id, backend)| (slots.contains(&id), backend.is_open()));
            match backend {
                Some((true, _)) => {
                    Standing::Serving { weight: server.weight, note: Some(topology::Reason::NotHeard) }
                }
                Some((false, true)) => Standing::Draining(topology::Reason::NotHeard),
                Some((false, false)) | None => Standing::Out(topology::Reason::NotHeard),
            }
        })
        .collect()
}

fn v4(address: SocketAddr) -> Option<SocketAddrV4> {
    match address {
        SocketAddr::V4(address) => Some(address),
        SocketAddr::V6(_) => None,
    }
}

#[cfg(test)]
#[path = "steering_tests.rs"]
#[expect(clippy::expect_used, reason = "a test may fail loudly")]
mod tests;
