//! `bench failover`: how long clients are without the right master, when it changes and when it dies.

mod caller;
mod door;
mod flows;
mod sheet;
mod stage;

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use anyhow::Result;
use serde_json::{Value, json};

use self::{
    caller::{Attempt, Caller, first_served, first_turned_away, last_served},
    door::{Door, Keeper},
    flows::OldFlows,
    sheet::{Quantity, Scenario, Sheet, Subject},
    stage::{Order, Stage},
};
use super::{haproxy, host::Host, interrupt};
use crate::lab::{Attach, Direction, MASTER_SERVICE, Segment, Sniffer};

/// So long after the last answer of the old master we take it that there will be no other.
const QUIET: Duration = Duration::from_millis(300);
/// For the slowest keeper to come to the end of a scenario.
const PATIENCE: Duration = Duration::from_secs(20);

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    pub runs: u32,
    pub attach: Attach,
}

/// What was measured, and where.
#[derive(Debug)]
pub struct Report {
    host: Host,
    attach: Attach,
    runs: u32,
    /// `None`: not installed, so not compared.
    haproxy: Option<String>,
    sheet: Sheet,
}

/// Runs every scenario `runs` times, ours and the peers in turn.
pub fn measure(options: &Options, progress: impl Fn(&str)) -> Result<Report> {
    let Options { runs, attach } = *options;
    let host = Host::look();
    let haproxy = haproxy::version();
    let mut stage = Stage::build(attach, haproxy.is_some())?;
    let peers = stage.peers.iter().enumerate();
    let doors: Vec<Door> = std::iter::once(Door::REDIRECTOR)
        .chain(peers.map(|(index, peer)| Door::of_peer(index, peer)))
        .collect();
    let mut sheet = Sheet::default();
    for run in 0..runs {
        for door in &doors {
            progress(&format!("run {} of {runs}: planned switch, {}", run + 1, stage.subject(door).name()));
            planned_switch(&mut stage, door, Order::PromoteFirst, run, &mut sheet)?;
        }
        progress(&format!("run {} of {runs}: planned switch, demotion first", run + 1));
        planned_switch(&mut stage, &Door::REDIRECTOR, Order::DemoteFirst, run, &mut sheet)?;
        for door in &doors {
            progress(&format!("run {} of {runs}: crash, {}", run + 1, stage.subject(door).name()));
            crash(&mut stage, door, run, &mut sheet)?;
        }
    }
    Ok(Report { host, attach, runs, haproxy, sheet })
}

/// Another moment of the keepers' intervals in each run.
fn wait_for_another_moment(run: u32) -> Result<()> {
    interrupt::pause(Duration::from_millis(200 + u64::from(run) * 137 % 1000))
}

fn planned_switch(stage: &mut Stage, door: &Door, order: Order, run: u32, sheet: &mut Sheet) -> Result<()> {
    let scenario = match order {
        Order::PromoteFirst => Scenario::PromoteFirst,
        Order::DemoteFirst => Scenario::DemoteFirst,
    };
    stage.settle(door)?;
    let subject = stage.subject(door);
    let (old, new) = (stage.master().address(), stage.heir().address());
    // Flows through the peer are not compared: it leaves them to the old master, unless told not to.
    let flows = match door.keeper {
        Keeper::Redirector => Some(Watched::open(stage)?),
        Keeper::HaProxy(_) => None,
    };
    let caller = Caller::start(&stage.lab.client, door);
    wait_for_another_moment(run)?;
    let visible = stage.switch(order)?;

    caller.wait_until(PATIENCE, |attempts| {
        let last = last_served(attempts, old, visible).unwrap_or(visible);
        first_served(attempts, new).is_some() && last.elapsed().is_ok_and(|quiet| quiet > QUIET)
    })?;
    let attempts = caller.stop()?;
    sheet.add(scenario, Quantity::FirstServed, subject, visible, first_served(&attempts, new));
    let last_stray = last_served(&attempts, old, visible).unwrap_or(visible);
    sheet.add(scenario, Quantity::LastStray, subject, visible, Some(last_stray));
    if let Some(flows) = flows {
        let ends = flows.flows.ends(&flows.at_client, &flows.at_server);
        sheet.add(scenario, Quantity::ClientEnds, subject, visible, ends.client);
        sheet.add(scenario, Quantity::ServerEnds, subject, visible, ends.server);
    }
    stage.regroup()
}

/// Old flows, with ears at both ends.
struct Watched {
    flows: OldFlows,
    at_client: Sniffer,
    at_server: Sniffer,
}

impl Watched {
    fn open(stage: &Stage) -> Result<Self> {
        let flows = OldFlows::open(&stage.lab)?;
        let at_client = Sniffer::start(&stage.lab.client, "eth0")?;
        let at_server = Sniffer::start(&stage.master().namespace, "eth0")?;
        Ok(Self { flows, at_client, at_server })
    }
}

fn crash(stage: &mut Stage, door: &Door, run: u32, sheet: &mut Sheet) -> Result<()> {
    stage.settle(door)?;
    let at_client = Sniffer::start(&stage.lab.client, "eth0")?;
    let caller = Caller::start(&stage.lab.client, door);
    wait_for_another_moment(run)?;
    at_client.clear();
    let (killed, gone) = stage.crash();
    let refusal = |attempts: &[Attempt]| match door.keeper {
        Keeper::Redirector => refusal_of_gateway(&at_client.segments(), killed),
        Keeper::HaProxy(_) => first_turned_away(attempts, gone),
    };
    caller.wait_until(PATIENCE, |attempts| refusal(attempts).is_some())?;
    let noticed = refusal(&caller.stop()?);
    sheet.add(Scenario::Crash, Quantity::Noticed, stage.subject(door), killed, noticed);
    stage.recover()
}

/// The host of the dead process refuses connections, too. That RST has passed the gateway, which has
/// taken one off its TTL.
fn refusal_of_gateway(segments: &[Segment], killed: SystemTime) -> Option<SystemTime> {
    const INITIAL_TTL: u8 = 64;
    let is_refusal = |segment: &&Segment| {
        segment.direction == Direction::In
            && segment.source == MASTER_SERVICE
            && segment.has(Segment::RST)
            && segment.ttl == INITIAL_TTL
            && segment.at >= killed
    };
    segments.iter().find(is_refusal).map(|segment| segment.at)
}

impl Stage {
    fn subject(&self, door: &Door) -> Subject {
        match door.keeper {
            Keeper::Redirector => Subject::Redirector,
            Keeper::HaProxy(index) => Subject::Peer(self.peers[index].name()),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, attach, runs, haproxy, sheet } = self;
        writeln!(f, "Failover, {attach}, medians of {runs} runs; {host}")?;
        match haproxy {
            Some(version) => {
                for settings in [haproxy::PLAIN, haproxy::TUNED] {
                    writeln!(f, "{}: HAProxy {version}, {}", settings.name, settings.check)?;
                }
            }
            None => writeln!(f, "HAProxy is not installed, so there is no peer: apt-get install haproxy")?,
        }
        write!(f, "\n{}", sheet.table())
    }
}

impl Report {
    pub fn json(&self) -> Value {
        let Self { host, attach, runs, haproxy, sheet } = self;
        json!({
            "benchmark": "failover",
            "kernel": host.kernel, "cores": host.cores, "load": host.load,
            "attach": attach.to_string(), "runs": runs, "haproxy": haproxy,
            "figures": sheet.json(),
        })
    }
}
