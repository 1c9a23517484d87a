//! A gateway with everything around it, inside one host: a client, three real redis-servers and the
//! virtual network between.
//!
//! ```text
//!  client ──────── gateway ──┬── r1   master
//!  10.0.0.10   10.0.0.1      ├── r2   replica of r1
//!                10.0.1.1    └── r3   replica of r1     10.0.1.11–13
//! ```
//! Everything a lab makes carries its id, and goes when the last value that belongs to the lab is
//! dropped.

mod agent;
mod claim;
mod host;
mod netns;
mod process;
mod redis;
mod sniff;
mod topology;

use std::{
    net::SocketAddrV4,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

pub use self::{
    agent::{Agent, AgentLog, AgentOptions, Attach, CliOutput, binary as agent_binary},
    claim::{Claim, USER_LAB},
    host::check_host,
    netns::Namespace,
    process::{Process, run},
    redis::{RedisOptions, RedisServer, connect},
    sniff::{Checksums, Direction, Frame, Segment, Sniffer, Verdict, verify},
    topology::{
        CLIENT, GATEWAY, GATEWAY_INTERFACES, GATEWAY_TO_SERVERS, Offload, REDIS_PORT, SERVER_NAMES, SERVERS,
        Topology, VIRTUAL,
    },
};

/// Where the agent's service of route `master` listens.
pub const MASTER_SERVICE: SocketAddrV4 = SocketAddrV4::new(VIRTUAL, 6379);
/// Where the agent's service of route `replicas` listens.
pub const REPLICA_SERVICE: SocketAddrV4 = SocketAddrV4::new(VIRTUAL, 6380);

/// How a lab differs from the ordinary one.
#[derive(Debug, Clone)]
pub struct Options {
    /// The prefix of everything the lab makes; `None` takes one that no other lab has.
    pub id: Option<String>,
    pub offload: Offload,
    /// Addresses of the client, counted up from [`CLIENT`]; at least one.
    pub client_addresses: u8,
    pub redis: RedisOptions,
}

impl Default for Options {
    fn default() -> Self {
        Self { id: None, offload: Offload::Off, client_addresses: 1, redis: RedisOptions::default() }
    }
}

/// The network, with r1 as the master and r2, r3 as its replicas. The agent is started apart, by
/// [`Agent::start`].
#[derive(Debug)]
pub struct Lab {
    pub client: Namespace,
    pub gateway: Namespace,
    /// r1, r2, r3.
    pub servers: [RedisServer; 3],
    claim: Arc<Claim>,
}

impl Lab {
    /// Removes what killed labs left, then brings a lab up; it is back when both replicas have
    /// caught up.
    pub fn new(options: &Options) -> Result<Self> {
        check_host()?;
        Self::clean_leftovers()?;
        let claim = Arc::new(match &options.id {
            None => Claim::unique()?,
            Some(id) => match Claim::take(id)? {
                Some(claim) => claim,
                None => bail!(
                    "A lab named `{id}` is already running (process {}). Stop it first: Ctrl-C in its \
                     terminal.",
                    Claim::owner(id).map_or_else(|| "unknown".to_owned(), |pid| pid.to_string()),
                ),
            },
        });
        let Topology { client, gateway, servers: [n1, n2, n3] } =
            Topology::build(&claim, options.offload, options.client_addresses)?;

        let master = SocketAddrV4::new(SERVERS[0], REDIS_PORT);
        let server = |index: usize, namespace, replica_of| {
            RedisServer::start(
                &claim,
                namespace,
                SERVER_NAMES[index],
                SERVERS[index],
                replica_of,
                &options.redis,
            )
        };
        // The master first: a replica that finds nobody tries again only after a second.
        let r1 = server(0, n1, None)?;
        let servers = [r1, server(1, n2, Some(master))?, server(2, n3, Some(master))?];
        for replica in &servers[1..] {
            replica.wait_link_up()?;
        }
        Ok(Self { client, gateway, servers, claim })
    }

    /// Removes namespaces, processes, pins and files of labs whose owner is dead. Labs that live
    /// are left alone.
    pub fn clean_leftovers() -> Result<()> {
        Claim::clean_leftovers()
    }

    pub fn claim(&self) -> &Arc<Claim> {
        &self.claim
    }

    /// A connection from the client's side of the network.
    pub fn connect(&self, address: SocketAddrV4) -> Result<::redis::Connection> {
        connect(&self.client, address, self.servers[0].password())
    }

    /// What redis-cli on the client prints, without the last newline.
    pub fn redis_cli(&self, address: SocketAddrV4, words: &[&str]) -> Result<String> {
        let mut command = self.client.command("redis-cli");
        command.args(["-h", &address.ip().to_string(), "-p", &address.port().to_string(), "-e"]);
        if let Some(password) = self.servers[0].password() {
            command.env("REDISCLI_AUTH", password);
        }
        Ok(run(command.args(words))?.trim_end().to_owned())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for server in &self.servers {
                process::print_tail(server.log_path());
            }
        }
    }
}

/// Asks `probe` every few milliseconds until it has an answer.
///
/// # Errors
/// After `limit`, a sentence with `what` was waited for.
pub fn wait_for<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(answer) = probe() {
            return Ok(answer);
        }
        if start.elapsed() >= limit {
            bail!("Waited {limit:?} in vain for {what}.");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
