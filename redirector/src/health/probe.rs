//! The probe of one server: a persistent connection, one question each round, one observation each.
//!
//! Between rounds it waits for whatever comes first: the interval, a nudge, a change of pace, the end of
//! the idle connection, or the watch's notice of a demotion. So a crash is seen in milliseconds, however
//! long the interval.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, mpsc, watch},
    time::{Instant, sleep_until},
};
use tracing::debug;

use super::{
    Failure, Outcome,
    session::Session,
    watch::{Ended, Watch},
};
use crate::{
    config::{Auth, Check},
    topology::{Replication, Role},
};

/// A master that cannot be watched is asked again whether it can after this long.
const WATCH_RETRY: Duration = Duration::from_secs(30);

/// Whom to probe, and how.
#[derive(Debug, Clone)]
pub struct Target {
    /// Index into [`crate::config::Config::groups`]; comes back in each observation.
    pub group: usize,
    /// Index into [`crate::config::Group::servers`]; comes back in each observation.
    pub server: usize,
    pub address: SocketAddr,
    pub auth: Option<Auth>,
    pub check: Check,
}

/// What the agent steers a running probe with.
#[derive(Debug, Clone)]
pub struct Controls {
    /// Asks for a round now.
    pub nudge: Arc<Notify>,
    pub pace: watch::Receiver<Pace>,
}

/// How long a probe rests between rounds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pace {
    /// [`Check::interval`].
    #[default]
    Normal,
    /// [`Check::fast_interval`]: the group has no master, or a verdict may change.
    Fast,
}

/// One round of one probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    pub group: usize,
    pub server: usize,
    /// When the round ended.
    pub at: std::time::Instant,
    /// From the question to the answer, without connecting. `None` if the round failed.
    pub latency: Option<Duration>,
    pub outcome: Outcome,
}

/// Probes `target` until the agent drops the receiver of `observations` or the sender of the pace.
///
/// The first round starts at once.
pub async fn run(target: Target, mut controls: Controls, observations: mpsc::Sender<Observation>) {
    let mut probe = Probe { target, session: None, hung_up: false, watching: Watching::Off };
    loop {
        let began = Instant::now();
        let (outcome, latency) = probe.round().await;
        probe.tend_watch(&outcome);
        let observation = Observation {
            group: probe.target.group,
            server: probe.target.server,
            at: std::time::Instant::now(),
            latency,
            outcome,
        };
        if observations.send(observation).await.is_err() {
            return;
        }
        tokio::select! {
            () = observations.closed() => return,
            rested = probe.rest(began, &mut controls) => if rested.is_err() { return },
        }
    }
}

struct Probe {
    target: Target,
    session: Option<OpenSession>,
    /// The peer has ended a connection that worked, and nothing has been heard since.
    hung_up: bool,
    watching: Watching,
}

struct OpenSession {
    session: Session,
    since: Instant,
}

/// Whether a demotion would be noticed without asking.
enum Watching {
    /// Not a master, as far as known.
    Off,
    On(Watch),
    /// It cannot be watched, so it is polled. To be tried again at this time.
    Refused(Instant),
}

/// The agent has let go of this probe.
struct Released;

impl Probe {
    async fn round(&mut self) -> (Outcome, Option<Duration>) {
        let deadline = Instant::now() + self.target.check.timeout;
        if let Some(open) = self.session.take() {
            match self.question(open, deadline).await {
                Err(failure) if failure.is_hang_up() || failure == Failure::Truncated => {
                    self.hung_up = true;
                }
                Err(failure) => return (Outcome::failed(failure, false), None),
                Ok((said, latency)) => return (Outcome::Well(said), Some(latency)),
            }
        }
        let hung_up = std::mem::take(&mut self.hung_up);
        let mut answer = self.introduction(deadline).await;
        if hung_up && matches!(answer, Err(Failure::Reset | Failure::Closed)) {
            // A dying process may close its listener last. Once more, for a clear answer.
            answer = self.introduction(deadline).await;
        }
        match answer {
            Ok((said, latency)) => (Outcome::Well(said), Some(latency)),
            Err(failure) => (Outcome::failed(failure, hung_up), None),
        }
    }

    /// Connects and asks.
    async fn introduction(&mut self, deadline: Instant) -> Result<(Replication, Duration), Failure> {
        let session = Session::open(&self.target, deadline).await?;
        self.question(OpenSession { session, since: Instant::now() }, deadline).await
    }

    /// Asks, and keeps the session if it is good for another question.
    async fn question(
        &mut self,
        mut open: OpenSession,
        deadline: Instant,
    ) -> Result<(Replication, Duration), Failure> {
        let asked = Instant::now();
        let answer = open.session.replication(deadline).await;
        if answer.as_ref().err().is_none_or(Failure::keeps_connection) {
            self.session = Some(open);
        }
        answer.map(|said| (said, asked.elapsed()))
    }

    /// A master is watched, others are not.
    fn tend_watch(&mut self, outcome: &Outcome) {
        let said = match outcome {
            Outcome::Well(said) => said,
            // The watch has ended with the process, and would only say so.
            Outcome::Failed { conclusive: true, .. } => return self.watching = Watching::Off,
            // It may still be of use.
            Outcome::Failed { conclusive: false, .. } => return,
        };
        match (said.role, &self.watching) {
            // An active replica takes writes whatever happens, so it would notice nothing.
            (Role::Replica | Role::ActiveReplica, _) => self.watching = Watching::Off,
            (Role::Master, Watching::On(_)) => {}
            (Role::Master, Watching::Refused(until)) if Instant::now() < *until => {}
            (Role::Master, Watching::Off | Watching::Refused(_)) => {
                self.watching = Watching::On(Watch::start(&self.target));
            }
        }
    }

    /// Waits until another round is due.
    async fn rest(&mut self, began: Instant, controls: &mut Controls) -> Result<(), Released> {
        let fast_interval = self.target.check.fast_interval;
        // What happens more often than this is no news, and must not make the probe spin.
        let mut hasty = false;
        loop {
            let polled = matches!(self.watching, Watching::Refused(_));
            let interval = match *controls.pace.borrow_and_update() {
                Pace::Normal if !polled && !hasty => self.target.check.interval,
                Pace::Normal | Pace::Fast => fast_interval,
            };
            let opened = self.session.as_ref().map(|open| open.since);
            let watched = match &self.watching {
                Watching::On(watch) => Some(watch.since),
                Watching::Off | Watching::Refused(_) => None,
            };
            let is_news =
                |since: Option<Instant>| since.is_some_and(|since| since.elapsed() >= fast_interval);
            tokio::select! {
                () = controls.nudge.notified() => return Ok(()),
                changed = controls.pace.changed() => changed.map_err(|_| Released)?,
                () = sleep_until(began + interval) => return Ok(()),
                failure = hang_up(&mut self.session) => {
                    debug!(address = %self.target.address, %failure, "idle probe connection ended");
                    self.session = None;
                    self.hung_up = failure.is_hang_up();
                    if is_news(opened) { return Ok(()) }
                    hasty = true;
                }
                ended = notice(&mut self.watching) => {
                    debug!(address = %self.target.address, %ended, "watch ended");
                    match ended {
                        Ended::Noticed if is_news(watched) => {
                            self.watching = Watching::Off;
                            return Ok(());
                        }
                        Ended::Noticed | Ended::Refused(_) => {
                            self.watching = Watching::Refused(Instant::now() + WATCH_RETRY);
                        }
                    }
                }
            }
        }
    }
}

async fn hang_up(session: &mut Option<OpenSession>) -> Failure {
    match session {
        Some(open) => open.session.connection.hang_up().await,
        None => std::future::pending().await,
    }
}

async fn notice(watching: &mut Watching) -> Ended {
    match watching {
        Watching::On(watch) => watch.ended().await,
        Watching::Off | Watching::Refused(_) => std::future::pending().await,
    }
}

#[cfg(test)]
#[path = "probe_tests.rs"]
mod tests;
