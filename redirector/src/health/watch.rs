//! Notice of a demotion without polling.
//!
//! A master that becomes a replica wakes every client blocked in a write command with `-UNBLOCKED` and
//! hangs up. So one connection blocks in `BLMOVE key key` (`BRPOPLPUSH` before 6.2) on a key that nobody
//! uses. Should somebody push to that key all the same, the element is moved to where it was: nothing
//! is lost, and the probe polls instead.
//!
//! The probe's user needs the right to that key (`~redirector:watch +blmove`).

use std::{fmt, time::Duration};

use redis::{Cmd, Value, cmd};
use tokio::{task::JoinHandle, time::Instant};

use super::{
    Failure, Target,
    reply::{is_denied, misfit},
    session::Session,
};

/// The key to block on.
const KEY: &str = "redirector:watch";

/// How long to block at a time: an idle connection through a firewall must not be forgotten.
const BLOCK: Duration = Duration::from_secs(30);

/// How a watch ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// Something happened to this master: ask it now.
    Noticed,
    /// The server cannot be watched: poll it.
    Refused(Failure),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Noticed => f.write_str("something happened"),
            Self::Refused(failure) => write!(f, "cannot watch: {failure}"),
        }
    }
}

/// A running watch. Ends when dropped.
#[derive(Debug)]
pub(super) struct Watch {
    task: JoinHandle<Ended>,
    pub(super) since: Instant,
}

impl Watch {
    pub(super) fn start(target: &Target) -> Self {
        let target = target.clone();
        let task = tokio::spawn(async move { block(&target).await });
        Self { task, since: Instant::now() }
    }

    /// Waits for the end. May be cancelled; not to be called again once it has answered.
    pub(super) async fn ended(&mut self) -> Ended {
        // A task that was aborted or panicked has nothing to tell; the next round will.
        (&mut self.task).await.unwrap_or(Ended::Noticed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn block(target: &Target) -> Ended {
    let deadline = Instant::now() + target.check.timeout;
    let mut session = match Session::open(target, deadline).await {
        Ok(session) => session,
        Err(failure) => return Ended::Refused(failure),
    };
    let mut refused = Failure::NoPerm;
    for command in [blmove(), brpoplpush()] {
        match block_in(&mut session, &command, target).await {
            Blocked::Ended(ended) => return ended,
            Blocked::Denied(failure) => refused = failure,
        }
    }
    Ended::Refused(refused)
}

enum Blocked {
    Ended(Ended),
    /// The command is missing or forbidden.
    Denied(Failure),
}

async fn block_in(session: &mut Session, command: &Cmd, target: &Target) -> Blocked {
    loop {
        let began = Instant::now();
        let reply = session.connection.ask([command.clone()], began + BLOCK + target.check.timeout).await;
        return match reply {
            // Nothing for so long: all is well.
            Ok([Value::Nil]) if began.elapsed() > BLOCK / 2 => continue,
            Ok([Value::ServerError(error)]) => match error.code() {
                "UNBLOCKED" | "READONLY" => Blocked::Ended(Ended::Noticed),
                _ if is_denied(&error) => Blocked::Denied((&error).into()),
                _ => Blocked::Ended(Ended::Refused((&error).into())),
            },
            // An element of somebody else's, or a server that does not block at all.
            Ok([other]) => Blocked::Ended(Ended::Refused(misfit(&other))),
            Err(_) => Blocked::Ended(Ended::Noticed),
        };
    }
}

fn blmove() -> Cmd {
    let mut command = cmd("BLMOVE");
    command.arg(KEY).arg(KEY).arg("LEFT").arg("LEFT").arg(BLOCK.as_secs());
    command
}

fn brpoplpush() -> Cmd {
    let mut command = cmd("BRPOPLPUSH");
    command.arg(KEY).arg(KEY).arg(BLOCK.as_secs());
    command
}
