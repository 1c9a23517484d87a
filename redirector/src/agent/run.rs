//! The agent's one task: it owns all state; everything else sends to it.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{Notify, mpsc, oneshot, watch},
    time::{MissedTickBehavior, interval},
};
use tracing::{error, info, warn};

use super::{
    AgentError, Origin, Overrides, Steering, addresses,
    keeper::Keeper,
    overrides::{Merged, merge},
    preflight, require_privilege,
    state_file::StateFile,
};
use crate::{
    config::Config,
    control::{self, Answer, Effect, Request, Status},
    dataplane::{Dataplane, DataplaneError, Netlink, Settling, Timeouts, plan::Op},
    health::{Controls, Observation, Pace, Target, probe},
};

/// How often routes and neighbours are read again.
const PATHS_INTERVAL: Duration = Duration::from_secs(1);
/// While a server's path is missing, and so at the start.
const MISSING_PATHS_INTERVAL: Duration = Duration::from_millis(20);
/// How often flows that are over are collected.
const COLLECT_INTERVAL: Duration = Duration::from_secs(5);
/// Observations and requests that may wait.
const QUEUE: usize = 1024;

/// Runs until SIGINT or SIGTERM. The datapath is left as it is: flows and new connections go on without the agent.
pub async fn run(config: Config) -> Result<(), AgentError> {
    let mut agent = Agent::start(config).await?;
    agent.serve().await
}

/// The steering of one group's probes.
struct Probes {
    pace: watch::Sender<Pace>,
    nudges: Vec<Arc<Notify>>,
}

/// A pass over the flow table that has ended.
enum Chore {
    Settled(Settling, Result<(), DataplaneError>),
    /// With the backends that may be freed.
    Collected(Result<BTreeSet<u32>, DataplaneError>),
}

struct Agent {
    steering: Steering,
    dataplane: Dataplane,
    netlink: Netlink,
    probes: Vec<Probes>,
    observations: mpsc::Receiver<Observation>,
    requests: mpsc::Receiver<Request>,
    chores: mpsc::UnboundedReceiver<Chore>,
    chore_done: mpsc::UnboundedSender<Chore>,
    keeper: Keeper,
    started: Instant,
    _socket: control::Socket,
}

impl Agent {
    async fn start(config: Config) -> Result<Self, AgentError> {
        require_privilege()?;
        for warning in config.warnings() {
            warn!("{warning}");
        }
        let netlink = Netlink::open()?;
        let present = netlink.interfaces().await?;
        let interfaces = preflight::interfaces(&config, &present)?;
        let placements = preflight::placements(&config, &interfaces, &present, &netlink.addresses().await?)?;

        let (request_sender, requests) = mpsc::channel(QUEUE);
        // What may be refused comes before what would have to be undone.
        let socket = control::Socket::listen(&config.gateway.admin_socket, request_sender)?;
        let dataplane = Dataplane::start(&config.gateway, &interfaces)?;
        if let Err(error) = addresses::place(&netlink, &placements).await {
            dataplane.undo()?;
            return Err(error);
        }
        dataplane.keep()?;
        for (interface, hook) in interfaces.iter().zip(dataplane.hooks()) {
            info!(interface = interface.name, hook = hook.name(), "attached");
        }
        if dataplane.adopted() {
            info!("adopted the flows and the answer of an earlier agent");
        }

        let (chore_done, chores) = mpsc::unbounded_channel();
        let (observation_sender, observations) = mpsc::channel(QUEUE);
        let probes = config
            .groups
            .iter()
            .enumerate()
            .map(|(at, _)| probe_group(&config, at, &observation_sender))
            .collect();
        let (keeper, orders) = recall(&config);
        let steering = Steering::new(config, &orders, dataplane.applied(), SystemTime::now());
        let mut agent = Self {
            steering,
            dataplane,
            netlink,
            probes,
            observations,
            requests,
            chores,
            chore_done,
            keeper,
            started: Instant::now(),
            _socket: socket,
        };
        agent.find_paths().await;
        agent.apply();
        Ok(agent)
    }

    async fn serve(&mut self) -> Result<(), AgentError> {
        let mut terminate = signal(SignalKind::terminate()).map_err(AgentError::Signals)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(AgentError::Signals)?;
        let mut paths = interval(MISSING_PATHS_INTERVAL);
        let mut collect = interval(COLLECT_INTERVAL);
        paths.set_missed_tick_behavior(MissedTickBehavior::Delay);
        collect.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut paths_read = Instant::now();
        loop {
            tokio::select! {
                biased;
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                Some(observation) = self.observations.recv() => self.observe(observation),
                Some(request) = self.requests.recv() => self.answer(request),
                Some(chore) = self.chores.recv() => self.chore_done(chore),
                _ = paths.tick() => {
                    if paths_read.elapsed() >= PATHS_INTERVAL || self.steering.misses_path() {
                        paths_read = Instant::now();
                        self.find_paths().await;
                        self.apply();
                    }
                }
                _ = collect.tick() => self.collect(),
            }
        }
        self.keeper.finish().await;
        info!("stopped; the datapath goes on with the last answer");
        Ok(())
    }

    fn observe(&mut self, observation: Observation) {
        let now = SystemTime::now();
        let mut group = observation.group;
        self.steering.observe(observation, now);
        // What has queued up meanwhile belongs to the same answer.
        while let Ok(observation) = self.observations.try_recv() {
            self.pace(group);
            group = observation.group;
            self.steering.observe(observation, now);
        }
        // Who may be next is asked before the maps are written.
        self.pace(group);
        self.apply();
    }

    /// Tells a group's probes how fast to ask. When it becomes fast, every server is asked at once.
    fn pace(&self, group: usize) {
        let Some(probes) = self.probes.get(group) else { return };
        let pace = self.steering.pace(group);
        let changed = probes.pace.send_if_modified(|current| std::mem::replace(current, pace) != pace);
        if changed && pace == Pace::Fast {
            for nudge in &probes.nudges {
                nudge.notify_one();
            }
        }
    }

    fn answer(&mut self, request: Request) {
        let Request { command, peer, reply } = request;
        let before = self.steering.desired();
        let origin = Origin::new(SystemTime::now(), peer.uid, peer.pid);
        let answer = match control::execute(&command, origin, &mut self.steering) {
            Effect::Answered(answer) => answer,
            Effect::ShowStatus => return self.show_status(reply),
        };
        if self.steering.desired() != before {
            self.apply();
        }
        if command.is_order() && answer.is_ok() {
            info!(?command, uid = peer.uid, pid = peer.pid, "ordered");
            // Also if it changes nothing: the last one may not be on disk yet, or have failed to get there.
            self.keeper.save(self.steering.orders(), answer, reply);
        } else {
            // The asker may have gone; what was asked is done all the same.
            let _ = reply.send(answer);
        }
    }

    /// The connections are counted elsewhere: that reads the whole flow table.
    fn show_status(&self, reply: oneshot::Sender<Answer>) {
        let uptime = self.started.elapsed();
        let mut status = Status::gather(&self.steering, &self.dataplane, self.keeper.warnings(), uptime);
        let census = self.dataplane.census();
        tokio::task::spawn_blocking(move || {
            match census.run() {
                Ok(connections) => status.count(&connections),
                Err(error) => status.warnings.push(format!("connections were not counted: {error}")),
            }
            // The asker may have gone.
            let _ = reply.send(status.to_json());
        });
    }

    /// Brings the datapath up to date. A failure leaves the last answer in force and is tried again with the next tick.
    fn apply(&mut self) {
        match self.dataplane.apply(&self.steering.desired()) {
            Ok(ops) => {
                for op in &ops {
                    if let Op::Switch { key, service } = op {
                        info!(service = %self.steering.service_at(key), epoch = service.epoch, "switched");
                    }
                }
                if !ops.is_empty() {
                    self.clean_up();
                }
            }
            Err(error) => error!(%error, "the datapath was not brought up to date"),
        }
    }

    /// Cuts fenced flows elsewhere: it takes some ten milliseconds, and the next answer may be due.
    fn clean_up(&self) {
        let aftermath = self.dataplane.aftermath();
        let chores = self.chore_done.clone();
        tokio::task::spawn_blocking(move || {
            let (settling, cut) = aftermath.run();
            // The agent may have stopped meanwhile.
            let _ = chores.send(Chore::Settled(settling, cut));
        });
    }

    fn collect(&self) {
        let collection = self.dataplane.collection();
        let chores = self.chore_done.clone();
        tokio::task::spawn_blocking(move || {
            let _ = chores.send(Chore::Collected(collection.run(&Timeouts::default())));
        });
    }

    fn chore_done(&mut self, chore: Chore) {
        let result = match chore {
            Chore::Settled(settling, cut) => {
                self.dataplane.settled(&settling);
                cut
            }
            Chore::Collected(idle) => {
                idle.and_then(|idle| self.dataplane.retire(&self.steering.desired(), &idle))
            }
        };
        if let Err(error) = result {
            error!(%error, "flows were not cleaned up; the datapath still answers those that are fenced");
        }
    }

    async fn find_paths(&mut self) {
        let servers = self.steering.servers();
        match self.netlink.paths(&servers).await {
            Ok(paths) => {
                for (server, path) in servers.into_iter().zip(paths) {
                    self.steering.set_path(server, path);
                }
            }
            Err(error) => warn!(%error, "routes and neighbours were not read"),
        }
    }
}

/// The operator's orders from before the restart, by group and server, and who keeps them from now on.
fn recall(config: &Config) -> (Keeper, Vec<Vec<Overrides>>) {
    let Some(path) = &config.gateway.state_file else {
        return (Keeper::start(None, None, &[]), Vec::new());
    };
    let (file, found) = StateFile::open(path);
    let Merged { servers, unknown } = merge(&found.document, config);
    (Keeper::start(Some(file), found.warning, &unknown), servers)
}

/// Starts a probe for every server of a group.
fn probe_group(config: &Config, at: usize, observations: &mpsc::Sender<Observation>) -> Probes {
    let group = &config.groups[at];
    let (pace, receiver) = watch::channel(Pace::Fast);
    let nudges = group
        .servers
        .iter()
        .enumerate()
        .map(|(server, target)| {
            let nudge = Arc::new(Notify::new());
            let target = Target {
                group: at,
                server,
                address: target.address,
                auth: group.auth.clone(),
                check: group.check.clone(),
            };
            let controls = Controls { nudge: Arc::clone(&nudge), pace: receiver.clone() };
            tokio::spawn(probe::run(target, controls, observations.clone()));
            nudge
        })
        .collect();
    Probes { pace, nudges }
}
