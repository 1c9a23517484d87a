//! A client that opens one new connection after another, and notes what becomes of each.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddrV4, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, Result, anyhow};
use socket2::SockRef;

use super::door::Door;
use crate::{bench::interrupt, lab::Namespace};

/// A connection that is not served within this long is given up, and the next one is tried: one that
/// hangs must not hide what a later one would have seen.
const PATIENCE: Duration = Duration::from_millis(30);

/// One new connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    pub(super) began: SystemTime,
    pub(super) ended: SystemTime,
    pub(super) outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// This server answered a command.
    Served(SocketAddrV4),
    /// Reset or closed before any answer.
    TurnedAway,
    /// Given up.
    Hung,
}

/// The first answer of `server` to a new connection.
pub(super) fn first_served(attempts: &[Attempt], server: SocketAddrV4) -> Option<SystemTime> {
    with(attempts, Outcome::Served(server)).map(|attempt| attempt.ended).min()
}

/// The last answer of `server` to a connection that was begun after `since`.
pub(super) fn last_served(
    attempts: &[Attempt],
    server: SocketAddrV4,
    since: SystemTime,
) -> Option<SystemTime> {
    with(attempts, Outcome::Served(server))
        .filter(|attempt| attempt.began >= since)
        .map(|attempt| attempt.ended)
        .max()
}

/// The first refusal of a connection that was begun after `since`.
pub(super) fn first_turned_away(attempts: &[Attempt], since: SystemTime) -> Option<SystemTime> {
    with(attempts, Outcome::TurnedAway)
        .filter(|attempt| attempt.began >= since)
        .map(|attempt| attempt.ended)
        .min()
}

fn with(attempts: &[Attempt], outcome: Outcome) -> impl Iterator<Item = &Attempt> {
    attempts.iter().filter(move |one| one.outcome == outcome)
}

/// The client, on a thread of its own until it is dropped.
#[derive(Debug)]
pub(super) struct Caller {
    attempts: Arc<Mutex<Vec<Attempt>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Caller {
    /// Calls at `door` from `namespace`.
    pub(super) fn start(namespace: &Namespace, door: &Door) -> Self {
        let (attempts, stop) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let (attempts, stop) = (Arc::clone(&attempts), Arc::clone(&stop));
            let (namespace, address, rest) = (namespace.clone(), door.address, door.rest);
            move || namespace.enter(|| call_until(&stop, &attempts, address, rest))
        });
        Self { attempts, stop, thread: Some(thread) }
    }

    /// Waits until `enough` has been seen, or `limit` is over.
    pub(super) fn wait_until(
        &self,
        limit: Duration,
        mut enough: impl FnMut(&[Attempt]) -> bool,
    ) -> Result<bool> {
        interrupt::wait_until(limit, || enough(&self.attempts.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Stops calling. Everything it has seen, in order.
    pub(super) fn stop(mut self) -> Result<Vec<Attempt>> {
        self.join()?;
        Ok(std::mem::take(&mut self.attempts.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    fn join(&mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.take() {
            Some(thread) => thread.join().map_err(|_| anyhow!("the client's thread has panicked"))?,
            None => Ok(()),
        }
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        // What led here has a better error to tell.
        let _ = self.join();
    }
}

fn call_until(
    stop: &AtomicBool,
    attempts: &Mutex<Vec<Attempt>>,
    address: SocketAddrV4,
    rest: Duration,
) -> Result<()> {
    while !stop.load(Ordering::Relaxed) {
        let began = SystemTime::now();
        let outcome = call(address)?;
        let attempt = Attempt { began, ended: SystemTime::now(), outcome };
        attempts.lock().unwrap_or_else(PoisonError::into_inner).push(attempt);
        std::thread::sleep(rest);
    }
    Ok(())
}

/// One connection. An error is one of our own side, such as no port left.
fn call(address: SocketAddrV4) -> Result<Outcome> {
    use ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, TimedOut, WouldBlock,
    };
    match ask(address).map_err(|error| (error.kind(), error)) {
        Ok(Some(server)) => Ok(Outcome::Served(server)),
        Ok(None) => Ok(Outcome::TurnedAway),
        Err((TimedOut | WouldBlock, _)) => Ok(Outcome::Hung),
        Err((ConnectionRefused | ConnectionReset | ConnectionAborted | BrokenPipe, _)) => {
            Ok(Outcome::TurnedAway)
        }
        Err((_, error)) => Err(error).with_context(|| format!("Cannot call {address}")),
    }
}

/// Connects and asks the server for its own address. `None`: closed without an answer.
fn ask(address: SocketAddrV4) -> std::io::Result<Option<SocketAddrV4>> {
    let deadline = Instant::now() + PATIENCE;
    let mut stream = TcpStream::connect_timeout(&address.into(), PATIENCE)?;
    // A RST at the end: thousands of connections in TIME_WAIT would use up the ports.
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    // Never zero, which would mean for ever.
    let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    stream.set_read_timeout(Some(left))?;
    stream.write_all(b"CLIENT INFO\r\n")?;
    let mut answer = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let length = stream.read(&mut buffer)?;
        if length == 0 {
            return Ok(None);
        }
        answer.extend_from_slice(&buffer[..length]);
        if let Some(server) = field(&String::from_utf8_lossy(&answer), "laddr") {
            return Ok(Some(server));
        }
    }
}

/// An address in the answer to CLIENT INFO: `addr` is the client's, as the server sees it, `laddr` the
/// server's own. `None` while it has not been received whole.
pub(super) fn field(answer: &str, name: &str) -> Option<SocketAddrV4> {
    let (_, value) = answer.split_once(&format!(" {name}="))?;
    value.split_once(' ')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::{
        net::{Ipv4Addr, SocketAddrV4},
        time::{Duration, SystemTime},
    };

    use super::{Attempt, Outcome, field, first_served, first_turned_away, last_served};

    const OLD: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 1, 11), 6379);
    const NEW: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 1, 12), 6379);

    fn at(ms: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(ms)
    }

    fn attempts() -> Vec<Attempt> {
        [
            (0, 1, Outcome::Served(OLD)),
            (2, 3, Outcome::TurnedAway),
            (4, 5, Outcome::Served(OLD)),
            (6, 7, Outcome::TurnedAway),
            (8, 90, Outcome::Hung),
            (91, 92, Outcome::Served(NEW)),
            (93, 94, Outcome::Served(NEW)),
        ]
        .map(|(began, ended, outcome)| Attempt { began: at(began), ended: at(ended), outcome })
        .into()
    }

    #[test]
    fn times_are_read_off_the_attempts() {
        let attempts = attempts();
        assert_eq!(first_served(&attempts, NEW), Some(at(92)));
        assert_eq!(last_served(&attempts, OLD, at(2)), Some(at(5)));
        assert_eq!(last_served(&attempts, OLD, at(6)), None);
        assert_eq!(first_turned_away(&attempts, at(2)), Some(at(3)));
        assert_eq!(first_turned_away(&attempts, at(3)), Some(at(7)), "what had begun before does not count");
        assert_eq!(first_turned_away(&attempts, at(8)), None);
    }

    #[test]
    fn client_info_names_both_ends() {
        let answer = "$200\r\nid=7 addr=10.0.1.1:20001 laddr=10.0.1.12:6379 fd=9 name= age=0\r\n";
        assert_eq!(field(answer, "laddr"), Some(NEW));
        assert_eq!(field(answer, "addr"), Some(SocketAddrV4::new(Ipv4Addr::new(10, 0, 1, 1), 20001)));
        assert_eq!(field(&answer[..50], "laddr"), None, "cut short");
    }
}
