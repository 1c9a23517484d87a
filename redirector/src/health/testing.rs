//! Servers to probe: the real redis-server on loopback, and stubs for what no real server would do.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test panics where it fails")]

use std::{
    future::Future,
    net::{SocketAddr, TcpListener as StdListener},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, mpsc, watch},
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{Controls, Failure, Observation, Outcome, Pace, Target, probe};
use crate::{
    config::{Auth, Check, Secret},
    topology::Replication,
};

/// Longer than any wait of a test that passes, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(10);

/// A redis-server with a folder of its own. Killed when dropped.
pub(super) struct RedisServer {
    child: Child,
    pub(super) address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl RedisServer {
    /// Starts the server on a free port and waits until it answers.
    pub(super) async fn start(arguments: &[&str]) -> Self {
        let free = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        Self::start_at(free, arguments).await
    }

    pub(super) async fn start_at(address: SocketAddr, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let child = Command::new("redis-server")
            .args(["--port", &address.port().to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0"])
            .arg("--dir")
            .arg(folder.path())
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("these tests need redis-server (Debian: redis-server): {error}"));
        let server = Self { child, address, _folder: folder };
        timeout(PATIENCE, async {
            while TcpStream::connect(address).await.is_err() {
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .unwrap();
        server
    }

    /// SIGKILL.
    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// Runs one command on a connection of its own, and returns the raw reply.
    pub(super) async fn command(&self, line: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
        let mut reply = [0; 4096];
        let length = stream.read(&mut reply).await.unwrap();
        String::from_utf8_lossy(&reply[..length]).into_owned()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // Both fail only if the process is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Accepts connections on loopback and lets `serve` speak on each. This is a stub, not a server.
pub(super) async fn stub<F>(
    mut serve: impl FnMut(TcpStream) -> F + Send + 'static,
) -> (SocketAddr, JoinHandle<()>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    (address, task)
}

/// Reads whatever comes first, and answers `reply`.
pub(super) async fn answer(stream: &mut TcpStream, reply: &[u8]) {
    let mut request = [0; 1024];
    // A client that has gone is the client's business.
    let _ = stream.read(&mut request).await;
    let _ = stream.write_all(reply).await;
}

/// An interval so long that nothing in a test happens because of it.
pub(super) fn patient(address: SocketAddr) -> Target {
    Target {
        group: 3,
        server: 5,
        address,
        auth: None,
        check: Check {
            interval: Duration::from_secs(3600),
            fast_interval: Duration::from_millis(10),
            timeout: Duration::from_secs(2),
            rise: 2,
            fall: 3,
        },
    }
}

pub(super) fn auth(username: Option<&str>, password: &str) -> Auth {
    Auth { username: username.map(Into::into), password: Secret::new(password) }
}

/// A running probe, and both ends of what goes in and out.
pub(super) struct Running {
    pub(super) nudge: Arc<Notify>,
    pub(super) pace: watch::Sender<Pace>,
    pub(super) observations: mpsc::Receiver<Observation>,
    pub(super) task: JoinHandle<()>,
}

pub(super) fn start(target: Target) -> Running {
    let (pace, paced) = watch::channel(Pace::Normal);
    let (sender, observations) = mpsc::channel(16);
    let nudge = Arc::new(Notify::new());
    let controls = Controls { nudge: nudge.clone(), pace: paced };
    let task = tokio::spawn(probe::run(target, controls, sender));
    Running { nudge, pace, observations, task }
}

impl Running {
    pub(super) async fn next(&mut self) -> Observation {
        timeout(PATIENCE, self.observations.recv()).await.unwrap().unwrap()
    }

    pub(super) async fn well(&mut self) -> Replication {
        match self.next().await.outcome {
            Outcome::Well(said) => said,
            Outcome::Failed { failure, .. } => panic!("the server is not well: {failure}"),
        }
    }

    /// The failure of the next round, and whether it is conclusive.
    pub(super) async fn failed(&mut self) -> (Failure, bool) {
        match self.next().await.outcome {
            Outcome::Failed { failure, conclusive } => (failure, conclusive),
            Outcome::Well(said) => panic!("the server is well: {said:?}"),
        }
    }

    /// Nothing is observed for a while.
    pub(super) async fn is_quiet(&mut self) {
        let observed = timeout(Duration::from_millis(200), self.observations.recv()).await;
        assert!(observed.is_err(), "{observed:?}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}
