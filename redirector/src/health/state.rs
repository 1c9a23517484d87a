//! The health of one server as a pure state machine: outcomes of probes in, verdict out.

use std::time::SystemTime;

use super::Failure;
use crate::{config::Check, topology::Replication};

/// The verdict on one server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum State {
    /// Not heard enough of since the agent started. Unknown is not down.
    #[default]
    Unknown,
    Up,
    Down,
}

/// How one round of a probe ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The server is well, and this is its part in replication.
    Well(Replication),
    Failed {
        failure: Failure,
        /// One such failure is enough: no second opinion would change it.
        conclusive: bool,
    },
}

impl Outcome {
    /// `hung_up`: the peer has just ended a connection that had worked, and this failure is what came of
    /// connecting again at once.
    ///
    /// Conclusive is a process that is gone (it ended the connection, and now nobody listens) and one
    /// that loads its data set: it lives, but says itself that it cannot serve.
    pub fn failed(failure: Failure, hung_up: bool) -> Self {
        let conclusive = failure == Failure::Loading || hung_up && failure.is_hang_up();
        Self::Failed { failure, conclusive }
    }
}

/// The verdict on one server, and how it came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    pub state: State,
    /// Good rounds in a row.
    pub successes: u32,
    /// Failed rounds in a row.
    pub failures: u32,
    /// When `state` last changed.
    pub since: SystemTime,
    /// What failed last. Gone once the server is up and answers.
    pub failure: Option<Failure>,
}

impl Health {
    /// A server nobody has asked yet.
    pub fn new(now: SystemTime) -> Self {
        Self { state: State::Unknown, successes: 0, failures: 0, since: now, failure: None }
    }

    /// Counts one more outcome.
    ///
    /// The first success ever makes a server up at once; after that it takes `rise` in a row. It is down
    /// after `fall` failures in a row, or after a single conclusive one.
    #[must_use]
    pub fn fold(&self, outcome: &Outcome, check: &Check, now: SystemTime) -> Self {
        let next = match outcome {
            Outcome::Well(_) => {
                let successes = self.successes.saturating_add(1);
                let state = match self.state {
                    State::Unknown | State::Up => State::Up,
                    State::Down if successes >= check.rise => State::Up,
                    State::Down => State::Down,
                };
                let failure = match state {
                    State::Up => None,
                    State::Unknown | State::Down => self.failure.clone(),
                };
                Self { state, successes, failures: 0, since: self.since, failure }
            }
            Outcome::Failed { failure, conclusive } => {
                let failures = self.failures.saturating_add(1);
                let state = if *conclusive || failures >= check.fall { State::Down } else { self.state };
                Self { state, successes: 0, failures, since: self.since, failure: Some(failure.clone()) }
            }
        };
        let since = if next.state == self.state { self.since } else { now };
        Self { since, ..next }
    }

    /// Whether the verdict may change with the next outcomes, so that it pays to ask fast.
    pub fn is_changing(&self) -> bool {
        match self.state {
            State::Unknown => true,
            State::Up => self.failures > 0,
            State::Down => self.successes > 0,
        }
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
