//! The ways from a client to the master that are compared. Each hook has a lab of its own, so that the
//! ways can be used in turn, and that no program is in the way of the direct one.

use std::{net::SocketAddrV4, time::Duration};

use anyhow::Result;

use super::cpu;
use crate::{
    bench::haproxy::{HaProxy, PLAIN},
    lab::{Agent, AgentOptions, Attach, Lab, MASTER_SERVICE, Namespace, Options},
};

/// The name of the way that the others are set in proportion to.
pub(super) const DIRECT: &str = "direct";

#[derive(Debug)]
pub(super) struct Way {
    pub(super) name: &'static str,
    pub(super) client: Namespace,
    pub(super) address: SocketAddrV4,
    /// The process on the gateway that is responsible: the agent, or `HAProxy`.
    keeper: Option<u32>,
}

impl Way {
    /// What its process on the gateway has used so far.
    pub(super) fn keeper_cpu(&self) -> Result<Duration> {
        self.keeper.map_or(Ok(Duration::ZERO), cpu::of_process)
    }
}

/// The ways, and what keeps them alive.
#[derive(Debug)]
pub(super) struct Ways {
    all: Vec<Way>,
    // Dropped before the labs.
    _agents: Vec<Agent>,
    _haproxy: Option<HaProxy>,
    _labs: Vec<Lab>,
}

impl Ways {
    pub(super) fn build(with_haproxy: bool) -> Result<Self> {
        let plain = lab()?;
        let haproxy = with_haproxy.then(|| HaProxy::start(&plain, PLAIN)).transpose()?;
        let way =
            |name, client: &Namespace, address, keeper| Way { name, client: client.clone(), address, keeper };
        // Routed by the gateway's kernel.
        let mut all = vec![way(DIRECT, &plain.client, plain.servers[0].address(), None)];
        if let Some(haproxy) = &haproxy {
            all.push(way("haproxy", &plain.client, haproxy.address(), Some(haproxy.pid())));
        }
        let (mut labs, mut agents) = (vec![plain], Vec::new());
        for (name, attach) in [("redirector, TC", Attach::Tc), ("redirector, XDP", Attach::Xdp)] {
            let lab = lab()?;
            let mut agent = Agent::start(&lab, &AgentOptions { attach, ..AgentOptions::default() })?;
            agent.wait_ready()?;
            all.push(way(name, &lab.client, MASTER_SERVICE, agent.pid()));
            agents.push(agent);
            labs.push(lab);
        }
        Ok(Self { all, _agents: agents, _haproxy: haproxy, _labs: labs })
    }

    pub(super) fn all(&self) -> &[Way] {
        &self.all
    }
}

fn lab() -> Result<Lab> {
    let lab = Lab::new(&Options::default())?;
    // For a connection per request: ports rest for a minute after use, at whoever opened the connection.
    for namespace in [&lab.client, &lab.gateway] {
        namespace.sysctl("net/ipv4/tcp_tw_reuse", "1")?;
    }
    Ok(lab)
}
