//! The lab with the agent and its peers, and who has which role at the moment.

use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use redis::cmd;

use super::door::{Door, Keeper};
use crate::{
    bench::{
        haproxy::{self, HaProxy},
        interrupt,
    },
    lab::{Agent, AgentOptions, Attach, Lab, Options, RedisServer},
};

/// For a keeper to have seen every role.
const SETTLING: Duration = Duration::from_secs(20);

/// Roles are swapped between r1 and r2; r3 is always a replica.
pub(super) struct Stage {
    // Dropped first.
    agent: Agent,
    pub(super) peers: Vec<HaProxy>,
    pub(super) lab: Lab,
    /// Index of the master: 0 or 1.
    master: usize,
}

/// The order of the two commands of a planned switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    PromoteFirst,
    DemoteFirst,
}

impl Stage {
    pub(super) fn build(attach: Attach, with_peers: bool) -> Result<Self> {
        let lab = Lab::new(&Options::default())?;
        let mut agent = Agent::start(&lab, &AgentOptions { attach, ..AgentOptions::default() })?;
        agent.wait_ready()?;
        let settings = if with_peers { &[haproxy::PLAIN, haproxy::TUNED][..] } else { &[] };
        let peers = settings.iter().map(|&settings| HaProxy::start(&lab, settings)).collect::<Result<_>>()?;
        Ok(Self { agent, peers, lab, master: 0 })
    }

    /// The present master.
    pub(super) fn master(&self) -> &RedisServer {
        &self.lab.servers[self.master]
    }

    /// The replica that is to take over.
    pub(super) fn heir(&self) -> &RedisServer {
        &self.lab.servers[1 - self.master]
    }

    /// Waits until the door leads to the master, and its keeper knows every server's role.
    pub(super) fn settle(&self, door: &Door) -> Result<()> {
        for replica in [self.heir(), &self.lab.servers[2]] {
            replica.wait_link_up()?;
        }
        let master = self.master().name();
        let settled = interrupt::wait_until(SETTLING, || match door.keeper {
            Keeper::Redirector => self.agent_has_settled_on(master),
            Keeper::HaProxy(index) => self.peers[index].has_settled_on(master),
        })?;
        ensure!(settled, "{} does not lead to {master}, which is the master.", door.address);
        Ok(())
    }

    fn agent_has_settled_on(&self, master: &str) -> bool {
        self.agent.status().is_ok_and(|status| {
            let group = &status["groups"][0];
            let servers = group["servers"].as_array();
            group["master"] == master
                && servers.is_some_and(|servers| {
                    servers.iter().all(|server| {
                        let is_right = server["name"] == master || server["link_up"] == true;
                        server["health"] == "up" && is_right
                    })
                })
        })
    }

    /// Swaps the roles of r1 and r2. The time when the second reply came: from then on the servers
    /// themselves say that there is one master, the new one.
    pub(super) fn switch(&mut self, order: Order) -> Result<SystemTime> {
        let address = self.heir().address();
        // Connections first: they are no part of what is measured.
        let (mut demoted, mut promoted) = (self.master().connect()?, self.heir().connect()?);
        let mut demote =
            || cmd("REPLICAOF").arg(address.ip().to_string()).arg(address.port()).exec(&mut demoted);
        let mut promote = || cmd("REPLICAOF").arg("NO").arg("ONE").exec(&mut promoted);
        match order {
            Order::PromoteFirst => promote().and_then(|()| demote()),
            Order::DemoteFirst => demote().and_then(|()| promote()),
        }?;
        let visible = SystemTime::now();
        self.master = 1 - self.master;
        Ok(visible)
    }

    /// `kill -9` of the master. When the signal was sent, and when the process was gone.
    pub(super) fn crash(&mut self) -> (SystemTime, SystemTime) {
        let sent = SystemTime::now();
        self.lab.servers[self.master].kill();
        (sent, SystemTime::now())
    }

    /// After a crash: the replica takes over, and the dead server comes back as its replica.
    pub(super) fn recover(&mut self) -> Result<()> {
        self.heir().promote()?;
        let address = self.heir().address();
        self.lab.servers[self.master].restart(Some(address))?;
        self.master = 1 - self.master;
        self.regroup()
    }

    /// r3 follows the present master.
    pub(super) fn regroup(&self) -> Result<()> {
        self.lab.servers[2].follow(self.master().address())
    }
}
