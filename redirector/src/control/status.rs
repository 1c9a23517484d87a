//! What `status` tells: the same for the table, for `--json` and for whoever else asks.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use redirector_common::Traffic;
use serde::{Deserialize, Serialize};

use super::Answer;

use crate::{
    agent::{GroupState, Order, Overrides, ServerState, Steering},
    config::{Group, Route, Service},
    dataplane::Dataplane,
    health::State,
    topology::{Operator, Role, Standing},
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    pub pid: u32,
    pub uptime_s: u64,
    pub interfaces: Vec<InterfaceStatus>,
    pub groups: Vec<GroupStatus>,
    pub services: Vec<ServiceStatus>,
    /// Packets by what became of them, since the maps were made.
    pub counters: BTreeMap<String, u64>,
    /// Sentences about the agent itself, such as a state file that could not be used.
    #[serde(default)]
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceStatus {
    pub name: String,
    pub hook: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupStatus {
    pub name: String,
    pub master: Option<String>,
    /// Why this master, or why none.
    pub why: String,
    /// Servers that claim to be master beside it.
    pub conflict: Vec<String>,
    pub servers: Vec<ServerStatus>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerStatus {
    pub name: String,
    pub address: String,
    /// `up`, `down` or `unknown`.
    pub health: String,
    /// In that health for so long.
    pub for_s: u64,
    /// What it last said it is.
    pub role: Option<String>,
    pub link_up: Option<bool>,
    pub offset: Option<u64>,
    /// 0–256, with the operator's override.
    pub weight: u16,
    pub configured_weight: u16,
    /// The operator's: `ready`, `drain` or `maint`.
    pub state: String,
    pub latency_us: Option<u64>,
    /// Why the last probe failed.
    pub failure: Option<String>,
    /// What the operator has ordered instead of what is configured.
    #[serde(default)]
    pub overrides: Vec<OverrideStatus>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverrideStatus {
    /// `weight` or `state`.
    pub setting: String,
    pub configured: String,
    pub ordered: String,
    /// Unix time in seconds.
    pub since: u64,
    /// Ordered so long ago.
    pub for_s: u64,
    /// The user who gave the order, and the process, by the admin socket's credentials.
    pub uid: u32,
    pub pid: Option<i32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceStatus {
    pub name: String,
    pub listen: String,
    pub group: String,
    pub route: String,
    pub master: Option<String>,
    /// Grows with every change of the answer.
    pub epoch: u64,
    /// Connections refused since the service is there.
    #[serde(default)]
    pub refused: u64,
    pub members: Vec<MemberStatus>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberStatus {
    pub server: String,
    /// `serving`, `draining` or `out`.
    pub standing: String,
    /// Weight among those that serve; zero for the others.
    pub weight: u16,
    /// Why it is left out, or what else there is to know.
    pub reason: Option<String>,
    /// That are there now.
    #[serde(default)]
    pub connections: u64,
    /// Since the server is in the service.
    #[serde(default)]
    pub traffic: TrafficStatus,
    /// Which backend of the datapath it is.
    #[serde(skip)]
    backend: Option<u32>,
}

/// What has gone through a server in a service. Bytes are those of whole frames.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrafficStatus {
    pub connections: u64,
    pub packets_to_server: u64,
    pub bytes_to_server: u64,
    pub packets_to_client: u64,
    pub bytes_to_client: u64,
}

impl From<Traffic> for TrafficStatus {
    fn from(traffic: Traffic) -> Self {
        Self {
            connections: traffic.flows,
            packets_to_server: traffic.packets_to_server,
            bytes_to_server: traffic.bytes_to_server,
            packets_to_client: traffic.packets_to_client,
            bytes_to_client: traffic.bytes_to_client,
        }
    }
}

impl Status {
    pub fn gather(
        steering: &Steering,
        dataplane: &Dataplane,
        warnings: Vec<String>,
        uptime: Duration,
    ) -> Self {
        let config = steering.config();
        let interfaces = config.gateway.interfaces.iter().zip(dataplane.hooks());
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_s: uptime.as_secs(),
            interfaces: interfaces
                .map(|(name, hook)| InterfaceStatus { name: name.clone(), hook: hook.name().to_owned() })
                .collect(),
            groups: config
                .groups
                .iter()
                .zip(steering.groups())
                .map(|(group, state)| group_status(group, state))
                .collect(),
            services: config
                .services
                .iter()
                .enumerate()
                .map(|(at, service)| service_status(at, service, steering, dataplane))
                .collect(),
            counters: dataplane
                .counters()
                .unwrap_or_default()
                .into_iter()
                .map(|(counter, count)| (counter.name().to_owned(), count))
                .collect(),
            warnings,
        }
    }

    /// Fills in how many connections there are, by backend.
    pub fn count(&mut self, connections: &BTreeMap<u32, u64>) {
        for member in self.services.iter_mut().flat_map(|service| &mut service.members) {
            let count = member.backend.and_then(|backend| connections.get(&backend));
            member.connections = count.copied().unwrap_or(0);
        }
    }

    /// In one line, as the admin socket says it.
    pub fn to_json(&self) -> Answer {
        serde_json::to_string(self).map_err(|error| format!("the status cannot be written: {error}"))
    }
}

fn group_status(group: &Group, state: &GroupState) -> GroupStatus {
    let name = |server: usize| group.servers[server].name.clone();
    let conflict = state.election.conflict.as_ref();
    GroupStatus {
        name: group.name.clone(),
        master: state.election.master.map(name),
        why: state.election.why.to_string(),
        conflict: conflict
            .map(|conflict| conflict.claimants.iter().map(|&server| name(server)).collect())
            .unwrap_or_default(),
        servers: group
            .servers
            .iter()
            .zip(&state.servers)
            .map(|(server, state)| {
                server_status(&server.name, server.address.to_string(), server.weight, state)
            })
            .collect(),
    }
}

fn server_status(name: &str, address: String, configured_weight: u16, state: &ServerState) -> ServerStatus {
    let said = state.replication.as_ref();
    let health = match state.health.state {
        State::Unknown => "unknown",
        State::Up => "up",
        State::Down => "down",
    };
    let role = said.map(|said| match said.role {
        Role::Master => "master",
        Role::Replica => "replica",
        Role::ActiveReplica => "active-replica",
    });
    let now = SystemTime::now();
    let since = now.duration_since(state.health.since).unwrap_or_default();
    ServerStatus {
        name: name.to_owned(),
        address,
        health: health.to_owned(),
        for_s: since.as_secs(),
        role: role.map(str::to_owned),
        link_up: said.filter(|said| said.role != Role::Master).map(|said| said.link_up),
        offset: said.map(|said| said.offset),
        weight: state.weight,
        configured_weight,
        state: state.operator.word().to_owned(),
        latency_us: state.latency.map(|latency| u64::try_from(latency.as_micros()).unwrap_or(u64::MAX)),
        failure: state.health.failure.as_ref().map(ToString::to_string),
        overrides: overrides(&state.overrides, configured_weight, now),
    }
}

fn overrides(overrides: &Overrides, configured_weight: u16, now: SystemTime) -> Vec<OverrideStatus> {
    let Overrides { weight, state } = overrides;
    let weight = weight
        .map(|Order { value, origin }| ("weight", configured_weight.to_string(), value.to_string(), origin));
    let state = state.map(|Order { value, origin }| {
        ("state", Operator::Ready.word().to_owned(), value.word().to_owned(), origin)
    });
    let all = weight.into_iter().chain(state);
    all.map(|(setting, configured, ordered, origin)| OverrideStatus {
        setting: setting.to_owned(),
        configured,
        ordered,
        since: origin.since,
        for_s: origin.age(now).as_secs(),
        uid: origin.uid,
        pid: origin.pid,
    })
    .collect()
}

fn service_status(at: usize, service: &Service, steering: &Steering, dataplane: &Dataplane) -> ServiceStatus {
    let group = &steering.config().groups[service.group];
    let route = match service.route {
        Route::Master => "master",
        Route::Replicas => "replicas",
        Route::Any => "any",
    };
    let members = group.servers.iter().zip(steering.standings(at)).map(|(server, standing)| {
        let (word, weight, reason) = match standing {
            Standing::Serving { weight, note } => ("serving", *weight, note.as_ref()),
            Standing::Draining(reason) => ("draining", 0, Some(reason)),
            Standing::Out(reason) => ("out", 0, Some(reason)),
        };
        MemberStatus {
            server: server.name.clone(),
            standing: word.to_owned(),
            weight,
            reason: reason.map(ToString::to_string),
            connections: 0,
            traffic: dataplane.traffic(service.listen, server.address).unwrap_or_default().into(),
            backend: dataplane.backend(service.listen, server.address),
        }
    });
    ServiceStatus {
        name: service.name.clone(),
        listen: service.listen.to_string(),
        group: group.name.clone(),
        route: route.to_owned(),
        master: steering.groups()[service.group]
            .election
            .master
            .map(|server| group.servers[server].name.clone()),
        epoch: dataplane.epoch(service.listen).unwrap_or(0),
        refused: dataplane.refusals(service.listen).unwrap_or(0),
        members: members.collect(),
    }
}
