//! The agent under test: its configuration, its process in the gateway's namespace, and its CLI.

use std::{
    env,
    fmt::{self, Write as _},
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::{
    Claim, GATEWAY_INTERFACES, Lab, MASTER_SERVICE, Namespace, Process, REDIS_PORT, REPLICA_SERVICE,
    SERVER_NAMES, SERVERS, process, wait_for,
};

/// From the start to a master for every service.
const READY: Duration = Duration::from_secs(15);
/// Between SIGTERM and SIGKILL.
const PATIENCE: Duration = Duration::from_secs(2);

/// The hook, as the configuration calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attach {
    Auto,
    Xdp,
    XdpGeneric,
    Tc,
}

impl fmt::Display for Attach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Xdp => "xdp",
            Self::XdpGeneric => "xdp-generic",
            Self::Tc => "tc",
        })
    }
}

/// Where the agent's output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentLog {
    /// `<name>.log` in the lab's folder.
    File,
    Terminal,
}

/// What differs from one agent to the next.
#[derive(Debug, Clone)]
pub struct AgentOptions {
    /// Names its files. A second agent of a lab needs another name; it gets the same pins.
    pub name: String,
    pub attach: Attach,
    /// The inside of `check = { … }`.
    pub check: String,
    /// Of r1, r2, r3.
    pub weights: [u16; 3],
    /// Replaces the whole configuration file; start from [`AgentOptions::config_text`].
    pub config: Option<String>,
    pub log: AgentLog,
    /// Instead of [`binary`]: another version, or a stand-in.
    pub binary: Option<PathBuf>,
}

impl Default for AgentOptions {
    fn default() -> Self {
        Self {
            name: "agent".to_owned(),
            attach: Attach::Xdp,
            check: r#"interval = "1s", timeout = "500ms", rise = 2, fall = 3"#.to_owned(),
            weights: [100, 70, 30],
            config: None,
            log: AgentLog::File,
            binary: None,
        }
    }
}

impl AgentOptions {
    /// The configuration that steers this lab's gateway.
    pub fn config_text(&self, lab: &Lab) -> Result<String> {
        let claim = lab.claim();
        let mut text = String::new();
        writeln!(text, "[gateway]")?;
        writeln!(text, "interfaces = {GATEWAY_INTERFACES:?}")?;
        writeln!(text, "attach = \"{}\"", self.attach)?;
        writeln!(text, "pins = \"{}\"", claim.pins().display())?;
        writeln!(text, "admin_socket = \"{}\"", self.socket(claim).display())?;
        writeln!(text, "state_file = \"{}\"\n", claim.path("state.json").display())?;

        writeln!(text, "[[group]]\nname = \"cache\"\ncheck = {{ {} }}", self.check)?;
        if let Some(password) = lab.servers[0].password() {
            let file = claim.path("password");
            fs::write(&file, password)?;
            writeln!(text, "auth = {{ password_file = \"{}\" }}", file.display())?;
        }
        writeln!(text, "server = [")?;
        for ((name, address), weight) in SERVER_NAMES.iter().zip(SERVERS).zip(self.weights) {
            writeln!(
                text,
                "  {{ name = \"{name}\", address = \"{address}:{REDIS_PORT}\", weight = {weight} }},"
            )?;
        }
        writeln!(text, "]")?;

        for (name, listen, route) in
            [("cache-rw", MASTER_SERVICE, "master"), ("cache-ro", REPLICA_SERVICE, "replicas")]
        {
            writeln!(text, "\n[[service]]\nname = \"{name}\"\nlisten = \"{listen}\"")?;
            writeln!(text, "group = \"cache\"\nroute = \"{route}\"")?;
        }
        Ok(text)
    }

    fn socket(&self, claim: &Claim) -> PathBuf {
        claim.path(&format!("{}.sock", self.name))
    }
}

/// A running (or killed) agent. Dropping it takes its programs off the gateway too.
#[derive(Debug)]
pub struct Agent {
    namespace: Namespace,
    binary: PathBuf,
    config: PathBuf,
    socket: PathBuf,
    log: Option<PathBuf>,
    process: Option<Process>,
    claim: Arc<Claim>,
}

impl Agent {
    /// Writes the configuration and starts the agent; does not wait until it serves.
    pub fn start(lab: &Lab, options: &AgentOptions) -> Result<Self> {
        let claim = Arc::clone(lab.claim());
        let config = claim.path(&format!("{}.toml", options.name));
        let text = match &options.config {
            Some(text) => text.clone(),
            None => options.config_text(lab)?,
        };
        fs::write(&config, text)?;
        let log = match options.log {
            AgentLog::File => Some(claim.path(&format!("{}.log", options.name))),
            AgentLog::Terminal => None,
        };
        let mut agent = Self {
            namespace: lab.gateway.clone(),
            binary: options.binary.clone().map_or_else(binary, Ok)?,
            config,
            socket: options.socket(&claim),
            log,
            process: None,
            claim,
        };
        agent.restart()?;
        Ok(agent)
    }

    /// Starts a new process with the same configuration; what the last one pinned is still there.
    pub fn restart(&mut self) -> Result<()> {
        self.kill();
        let mut command = self.command(&["run", "--config"]);
        command.arg(&self.config);
        self.process = Some(match &self.log {
            Some(log) => Process::spawn_logged("the agent", command, log)?,
            None => Process::spawn("the agent", command)?,
        });
        Ok(())
    }

    /// `kill -9`: programs and flows stay.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// SIGTERM. `None` when it had to be killed after all, or did not run.
    pub fn stop(&mut self) -> Option<ExitStatus> {
        self.process.take()?.stop(PATIENCE)
    }

    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// `None` while it runs.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.process.as_mut()?.exit_status()
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    pub fn config_path(&self) -> &Path {
        &self.config
    }

    /// What it has logged so far, all its lives together; empty when it logs to the terminal.
    pub fn log(&self) -> String {
        self.log.as_ref().and_then(|log| fs::read_to_string(log).ok()).unwrap_or_default()
    }

    /// Waits until it has ended by itself.
    pub fn wait_exit(&mut self) -> Result<ExitStatus> {
        wait_for("the agent to end", READY, || self.exit_status())
    }

    /// Runs `redirector <words> --socket …`.
    pub fn cli(&self, words: &[&str]) -> Result<CliOutput> {
        CliOutput::of(self.command(words).arg("--socket").arg(&self.socket))
    }

    /// Runs `redirector <words> --config …`.
    pub fn cli_with_config(&self, words: &[&str]) -> Result<CliOutput> {
        CliOutput::of(self.command(words).arg("--config").arg(&self.config))
    }

    /// `redirector status --json`
    pub fn status(&self) -> Result<Value> {
        let output = self.cli(&["status", "--json"])?;
        if output.code != Some(0) {
            bail!("status failed: {}", output.stderr);
        }
        serde_json::from_str(&output.stdout).with_context(|| format!("status is not JSON: {}", output.stdout))
    }

    /// Waits until every service has a master.
    pub fn wait_ready(&mut self) -> Result<()> {
        let ready = wait_for("a master for every service", READY, || {
            if let Some(status) = self.exit_status() {
                return Some(Err(anyhow::anyhow!("The agent ended ({status}).")));
            }
            self.is_ready().then_some(Ok(()))
        });
        ready
            .and_then(|ready| ready)
            .inspect_err(|_| self.log.iter().for_each(|log| process::print_tail(log)))
    }

    /// Whether every service has a master by now.
    pub fn is_ready(&self) -> bool {
        self.status().is_ok_and(|status| every_service_has_a_master(&status))
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.namespace.command(&self.binary);
        command.args(words);
        command
    }

    fn detach(&self) -> Result<()> {
        let output = self.cli_with_config(&["detach"])?;
        ensure!(output.code == Some(0), "detach failed: {}", output.stderr);
        Ok(())
    }
}

impl Drop for Agent {
    #[expect(
        clippy::print_stderr,
        reason = "drop cannot return an error; the claim removes the pins in any case"
    )]
    fn drop(&mut self) {
        self.stop();
        if self.claim.pins().exists()
            && let Err(error) = self.detach()
        {
            eprintln!("{error:#}");
        }
        if let (true, Some(log)) = (std::thread::panicking(), &self.log) {
            process::print_tail(log);
        }
    }
}

/// What a command of the CLI came to.
#[derive(Debug, Clone)]
pub struct CliOutput {
    /// `None` when a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl CliOutput {
    /// Runs a command of the CLI to its end.
    pub fn of(command: &mut Command) -> Result<Self> {
        let output = command.stdin(Stdio::null()).output().context("Cannot run the agent's binary")?;
        Ok(Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout)?,
            stderr: String::from_utf8(output.stderr)?,
        })
    }
}

/// The one place that knows the shape of `status --json`.
fn every_service_has_a_master(status: &Value) -> bool {
    let services = status.get("services").and_then(Value::as_array);
    services.is_some_and(|services| {
        !services.is_empty()
            && services.iter().all(|service| service.get("master").is_some_and(|name| !name.is_null()))
    })
}

/// The agent's binary: `REDIRECTOR_BIN`, or the one built beside the running program, or the other
/// profile's.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = env::var_os("REDIRECTOR_BIN") {
        return Ok(path.into());
    }
    // target/debug/lab or target/debug/deps/e2e-0123456789abcdef
    let program = env::current_exe()?;
    let here = program.ancestors().skip(1).take(2).map(Path::to_path_buf);
    let target = program.ancestors().skip(2).take(2);
    let profiles = target.flat_map(|target| [target.join("release"), target.join("debug")]);
    here.chain(profiles)
        .map(|folder| folder.join("redirector"))
        .find(|file| file.is_file())
        .context("The agent is not built: run `cargo build --package redirector`, or set REDIRECTOR_BIN.")
}
