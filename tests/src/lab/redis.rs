//! Real redis-servers, and connections to them from any namespace.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddrV4},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use redis::{Connection, FromRedisValue};

use super::{Claim, Namespace, Process, process, topology::REDIS_PORT, wait_for};

/// For a connection to open, and for a command to be answered.
const TIMEOUT: Duration = Duration::from_secs(2);
/// For a server to start, and for a replica to catch up.
const PATIENCE: Duration = Duration::from_secs(10);

/// How the lab's servers are configured; all three alike, so that they may swap roles.
#[derive(Debug, Clone, Default)]
pub struct RedisOptions {
    /// Asked of clients and replicas alike (`--requirepass`, `--masterauth`).
    pub password: Option<String>,
    /// The text of an ACL file.
    pub acl: Option<String>,
    /// Further arguments: `["--maxmemory", "1mb"]`.
    pub arguments: Vec<String>,
}

/// One server in its namespace. It has no process while it is killed.
#[derive(Debug)]
pub struct RedisServer {
    pub namespace: Namespace,
    name: String,
    address: SocketAddrV4,
    options: RedisOptions,
    folder: PathBuf,
    log: PathBuf,
    process: Option<Process>,
    /// The folder and the namespace are there as long as this is.
    _claim: Arc<Claim>,
}

impl RedisServer {
    /// Starts a server and waits until it answers.
    pub fn start(
        claim: &Arc<Claim>,
        namespace: Namespace,
        name: &str,
        ip: Ipv4Addr,
        replica_of: Option<SocketAddrV4>,
        options: &RedisOptions,
    ) -> Result<Self> {
        let mut server = Self {
            namespace,
            name: name.to_owned(),
            address: SocketAddrV4::new(ip, REDIS_PORT),
            options: options.clone(),
            folder: claim.path(name),
            log: claim.path(&format!("{name}.log")),
            process: None,
            _claim: Arc::clone(claim),
        };
        fs::create_dir_all(&server.folder)?;
        server.restart(replica_of)?;
        Ok(server)
    }

    /// Starts it afresh, killing what still runs. It comes back empty: as a master, or as a replica
    /// of the server named.
    pub fn restart(&mut self, replica_of: Option<SocketAddrV4>) -> Result<()> {
        self.kill();
        let mut command = self.namespace.command("redis-server");
        command
            .args(["--bind", "0.0.0.0", "--protected-mode", "no", "--port", &REDIS_PORT.to_string()])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(&self.folder)
            // Otherwise a master waits five seconds for more replicas before it feeds the first.
            .args(["--repl-diskless-sync-delay", "0"])
            .args(&self.options.arguments);
        if let Some(master) = replica_of {
            command.args(["--replicaof", &format!("{} {}", master.ip(), master.port())]);
        }
        if let Some(password) = &self.options.password {
            command.args(["--requirepass", password, "--masterauth", password]);
        }
        if let Some(acl) = &self.options.acl {
            let file = self.folder.join("users.acl");
            fs::write(&file, acl)?;
            command.arg("--aclfile").arg(file);
        }
        self.process = Some(Process::spawn_logged(&self.name, command, &self.log)?);
        self.wait_answer()
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn address(&self) -> SocketAddrV4 {
        self.address
    }

    pub fn password(&self) -> Option<&str> {
        self.options.password.as_deref()
    }

    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// Of the running process.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// `kill -9`: the kernel closes its connections at once.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// SIGTERM: it shuts down in its own time.
    pub fn terminate(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.stop(PATIENCE);
        }
    }

    /// SIGSTOP: it hangs, and its kernel still takes connections.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// SIGCONT
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        self.process.as_ref().with_context(|| format!("{} does not run", self.name))?.signal(signal)
    }

    /// A connection from inside the server's own namespace: the gateway sees nothing of it.
    pub fn connect(&self) -> Result<Connection> {
        connect(&self.namespace, self.address, self.password())
    }

    /// One command over a connection of its own: `let n: i64 = r1.call(&["INCR", "n"])?`
    pub fn call<T: FromRedisValue>(&self, words: &[&str]) -> Result<T> {
        let (name, arguments) = words.split_first().context("a command has a name")?;
        redis::cmd(name)
            .arg(arguments)
            .query(&mut self.connect()?)
            .with_context(|| format!("{} refused {}", self.name, words.join(" ")))
    }

    /// A field of `INFO replication`, such as `role`.
    pub fn replication(&self, field: &str) -> Result<String> {
        let text: String = self.call(&["INFO", "replication"])?;
        let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        Ok(value.with_context(|| format!("{} reports no {field}", self.name))?.trim().to_owned())
    }

    /// Makes it a replica of another server.
    pub fn follow(&self, master: SocketAddrV4) -> Result<()> {
        self.call(&["REPLICAOF", &master.ip().to_string(), &master.port().to_string()])
    }

    /// Makes it a master.
    pub fn promote(&self) -> Result<()> {
        self.call(&["REPLICAOF", "NO", "ONE"])
    }

    /// Waits until its replication link is up.
    pub fn wait_link_up(&self) -> Result<()> {
        let what = format!("the replication link of {}; see {}", self.name, self.log.display());
        wait_for(&what, PATIENCE, || {
            self.replication("master_link_status").ok().filter(|status| status == "up")
        })?;
        Ok(())
    }

    fn wait_answer(&self) -> Result<()> {
        let what = format!("{} to answer; see {}", self.name, self.log.display());
        wait_for(&what, PATIENCE, || self.call::<String>(&["PING"]).ok())
            .inspect_err(|_| process::print_tail(&self.log))?;
        Ok(())
    }
}

/// Opens a connection inside `namespace`; it may be used on any thread.
pub fn connect(namespace: &Namespace, address: SocketAddrV4, password: Option<&str>) -> Result<Connection> {
    let mut connection = namespace
        .enter(
            || Ok(redis::Client::open(format!("redis://{address}"))?.get_connection_with_timeout(TIMEOUT)?),
        )
        .with_context(|| format!("Cannot connect to {address} from {}", namespace.name()))?;
    connection.set_read_timeout(Some(TIMEOUT))?;
    connection.set_write_timeout(Some(TIMEOUT))?;
    if let Some(password) = password {
        redis::cmd("AUTH").arg(password).exec(&mut connection)?;
    }
    Ok(connection)
}
