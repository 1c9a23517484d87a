//! Child processes that never outlive us.

use std::{
    fs::{self, File},
    io,
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{LazyLock, mpsc},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::wait_for;

/// A running child, killed on drop.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
}

impl Process {
    /// Starts a command of [`super::Namespace::command`] in its own process group: Ctrl-C in the
    /// terminal reaches us, and we stop our children in order.
    pub fn spawn(name: &str, mut command: Command) -> Result<Self> {
        command.stdin(Stdio::null()).process_group(0);
        let child = spawn_from_lasting_thread(command).with_context(|| format!("Cannot start {name}"))?;
        Ok(Self { name: name.to_owned(), child })
    }

    /// As [`Self::spawn`], with both outputs appended to a file.
    pub fn spawn_logged(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let file = File::options().create(true).append(true).open(log)?;
        command.stdout(file.try_clone()?).stderr(file);
        Self::spawn(name, command)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `None` while it runs.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(self.pid().try_into()?);
        kill(pid, signal).with_context(|| format!("Cannot send {signal} to {} (process {pid})", self.name))
    }

    /// SIGKILL; returns when it is gone.
    pub fn kill(&mut self) {
        // Both fail only for a child that has been waited for already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, and SIGKILL when `patience` is over.
    pub fn stop(&mut self, patience: Duration) -> Option<ExitStatus> {
        if self.exit_status().is_none() {
            let _ = self.signal(Signal::SIGTERM);
        }
        let status = wait_for(&format!("{} to end", self.name), patience, || self.exit_status());
        self.kill();
        status.ok()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

type Order = (Command, mpsc::Sender<io::Result<Child>>);

/// The death signal is sent when the *thread* that forked ends, so one that lasts as long as the
/// process does all the forking.
fn spawn_from_lasting_thread(command: Command) -> Result<Child> {
    static SPAWNER: LazyLock<mpsc::Sender<Order>> = LazyLock::new(|| {
        let (orders, inbox) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, reply) in inbox {
                // A caller that is gone needs no answer, and dropping a `Child` is harmless.
                let _ = reply.send(command.spawn());
            }
        });
        orders
    });
    let (reply, answer) = mpsc::channel();
    SPAWNER.send((command, reply)).map_err(|_| anyhow::anyhow!("the spawning thread is gone"))?;
    Ok(answer.recv()??)
}

/// Runs a command to its end and returns what it printed; a failure carries what it complained
/// about.
pub fn run(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("Cannot run `{program}`; is it installed?"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
    let how = match (output.status.code(), output.status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, signal) => format!("signal {}", signal.unwrap_or_default()),
    };
    bail!(
        "`{program} {}` failed ({how}): {}{text}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Shows the end of a log, for a test that has failed.
#[expect(clippy::print_stderr, reason = "belongs to the report of a failed test")]
pub(super) fn print_tail(log: &Path) {
    const LINES: usize = 20;
    let text = fs::read_to_string(log).unwrap_or_default();
    let skip = text.lines().count().saturating_sub(LINES);
    eprintln!("--- the end of {}", log.display());
    for line in text.lines().skip(skip) {
        eprintln!("{line}");
    }
}
