//! What the end-to-end tests share: a lab whose agent is ready, clients that notice how their
//! connection ends, and load.

mod client;
mod crowd;
mod host;
mod load;
mod packets;
mod stub;

use std::{collections::BTreeMap, net::SocketAddrV4};

use anyhow::{Context as _, Result};
use serde_json::Value;

pub use self::{
    client::{Client, End, Ends},
    crowd::{Crowd, Fate, Kind, Resets, ensure_all, forwarded},
    host::{addresses, attached_programs},
    load::{Benchmark, cpu_time},
    packets::{Echo, ping, send_segment},
    stub::{Manners, Stub},
};
use crate::lab::{Agent, AgentOptions, Attach, Lab, MASTER_SERVICE, Options, REPLICA_SERVICE};

/// Connections that meet every replica at the default weights, 70 and 30.
const PERIOD: usize = 10;

/// A lab and its agent. The fields are dropped in this order: the agent first.
#[derive(Debug)]
pub struct Gateway {
    pub agent: Agent,
    pub lab: Lab,
}

impl Gateway {
    /// The ordinary lab, with the programs at one hook.
    pub fn up(attach: Attach) -> Result<Self> {
        Self::with(&Options::default(), &AgentOptions { attach, ..AgentOptions::default() })
    }

    /// Returns when every server of both services has taken a connection.
    pub fn with(lab: &Options, agent: &AgentOptions) -> Result<Self> {
        let lab = Lab::new(lab)?;
        let mut agent = Agent::start(&lab, agent)?;
        agent.wait_ready()?;
        let gateway = Self { agent, lab };
        gateway.server_of(MASTER_SERVICE)?;
        gateway.shares(REPLICA_SERVICE, PERIOD)?;
        Ok(gateway)
    }

    /// A connection from the client through the gateway.
    pub fn client(&self, service: SocketAddrV4) -> Result<Client> {
        let mut client = Client::connect(&self.lab.client, service)
            .with_context(|| format!("{service} was not reached"))?;
        if let Some(password) = self.lab.servers[0].password() {
            client.call::<()>(&["AUTH", password])?;
        }
        Ok(client)
    }

    /// The name of the server that a new connection meets.
    pub fn server_of(&self, service: SocketAddrV4) -> Result<&str> {
        let ends = self.client(service)?.ends()?;
        self.name_of(ends.server)
    }

    /// The name of the server at an address.
    pub fn name_of(&self, server: SocketAddrV4) -> Result<&str> {
        let found = self.lab.servers.iter().find(|known| known.address() == server);
        Ok(found.with_context(|| format!("no server of the lab is at {server}"))?.name())
    }

    /// How many of `connections` new ones each server gets.
    pub fn shares(&self, service: SocketAddrV4, connections: usize) -> Result<BTreeMap<&str, usize>> {
        let mut shares = BTreeMap::new();
        for _ in 0..connections {
            *shares.entry(self.server_of(service)?).or_default() += 1;
        }
        Ok(shares)
    }

    /// Packets that the datapath has counted under a name.
    pub fn counter(&self, name: &str) -> Result<u64> {
        let status = self.agent.status()?;
        status["counters"][name].as_u64().with_context(|| format!("no counter {name} in {status}"))
    }

    /// Packets to services that the datapath itself has answered with a RST, or dropped.
    pub fn refusals(&self) -> Result<u64> {
        let status = self.agent.status()?;
        let counters = status["counters"].as_object().context("no counters")?;
        let refusals = counters
            .iter()
            .filter(|(name, _)| ["reset_", "refused_", "drop_"].iter().any(|kind| name.starts_with(kind)));
        Ok(refusals.filter_map(|(_, count)| count.as_u64()).sum())
    }
}

/// The standing of a server in a service: `serving`, `draining` or `out`, and the reason.
pub fn standing(status: &Value, service: &str, server: &str) -> Option<(String, Option<String>)> {
    let service = named(&status["services"], "name", service)?;
    let member = named(&service["members"], "server", server)?;
    Some((member["standing"].as_str()?.to_owned(), member["reason"].as_str().map(str::to_owned)))
}

/// What `status` says of a server of the lab's only group.
pub fn server<'s>(status: &'s Value, name: &str) -> Option<&'s Value> {
    named(&status["groups"][0]["servers"], "name", name)
}

fn named<'s>(list: &'s Value, key: &str, name: &str) -> Option<&'s Value> {
    list.as_array()?.iter().find(|item| item[key] == name)
}
