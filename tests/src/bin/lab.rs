//! The lab for a person: what `cargo xtask run` starts when it is given no configuration.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it talks to a person at a terminal")]

use std::{
    env,
    io::{self, Write as _},
    process::ExitCode,
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use clap::{Parser, ValueEnum};
use nix::sys::signal::{SigSet, Signal};
use redirector_tests::lab::{
    Agent, AgentLog, AgentOptions, Attach, Lab, MASTER_SERVICE, Options, USER_LAB, agent_binary,
};

/// After this long we say what to type in any case.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client, a gateway and three redis-servers in network namespaces of this host, with the agent
/// in the foreground.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where the programs attach
    #[arg(long, value_enum, default_value_t = Hook::Xdp)]
    attach: Hook,
    /// Only remove what a killed lab has left
    #[arg(long)]
    clean: bool,
    /// The prefix of every name
    #[arg(long, hide = true, default_value = USER_LAB)]
    id: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Hook {
    Xdp,
    Tc,
    Auto,
}

impl From<Hook> for Attach {
    fn from(hook: Hook) -> Self {
        match hook {
            Hook::Xdp => Self::Xdp,
            Hook::Tc => Self::Tc,
            Hook::Auto => Self::Auto,
        }
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    if arguments.clean {
        redirector_tests::lab::check_host()?;
        return Lab::clean_leftovers();
    }
    agent_binary()?;
    // Before anything exists that a signal could leave behind.
    let signals = stop_signals()?;

    println!("Bringing up the lab: a client, a gateway, three redis-servers …");
    let lab = Lab::new(&Options { id: Some(arguments.id.clone()), ..Options::default() })?;
    let options =
        AgentOptions { attach: arguments.attach.into(), log: AgentLog::Terminal, ..AgentOptions::default() };
    let mut agent = Agent::start(&lab, &options)?;
    let end = watch(&lab, &mut agent, &signals);
    // The terminal may be gone, and the lab must go all the same.
    let _ = writeln!(io::stdout(), "\nRemoving the lab …");
    end
}

/// Until a signal comes (fine) or the agent ends by itself (not fine).
fn watch(lab: &Lab, agent: &mut Agent, signals: &Receiver<Signal>) -> Result<()> {
    let start = Instant::now();
    let mut told = false;
    loop {
        match signals.recv_timeout(Duration::from_millis(100)) {
            Ok(_) => return Ok(()),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                bail!("The thread that waits for signals is gone.")
            }
        }
        if let Some(status) = agent.exit_status() {
            bail!("The agent ended by itself ({status}); its last lines are above.");
        }
        if told {
            continue;
        }
        let ready = agent.is_ready();
        if ready || start.elapsed() > PATIENCE {
            told = true;
            println!("{}", what_to_type(lab, agent)?);
            if !ready {
                println!("Not every service has a master yet: see the agent's lines above.");
            }
        }
    }
}

/// Takes over the signals that end a program. Children do not inherit the mask: see
/// `Namespace::command`.
fn stop_signals() -> Result<Receiver<Signal>> {
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
    // Threads inherit the mask, and this is the only one so far.
    signals.thread_block()?;
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        while let Ok(signal) = signals.wait() {
            if sender.send(signal).is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}

fn what_to_type(lab: &Lab, agent: &Agent) -> Result<String> {
    let sudo = if env::var_os("SUDO_USER").is_some() { "sudo " } else { "" };
    let within = |namespace: &str| format!("{sudo}ip netns exec {namespace}");
    let binary = agent_binary()?;
    let here = env::current_dir()?;
    let redirector = format!("{sudo}{}", binary.strip_prefix(&here).unwrap_or(&binary).display());
    let socket = agent.socket().display();
    let client = within(lab.client.name());
    let [r1, r2, _] = &lab.servers;
    let new_master = r2.address();
    let (promote, demote) = (within(r2.namespace.name()), within(r1.namespace.name()));
    Ok(format!(
        "
The lab is up. In another terminal:

  a call through the virtual address
    {client} redis-cli -h {address} SET greeting hello
  fewer new connections to r2
    {redirector} weight cache/r2 10 --socket {socket}
  a promotion: r2 becomes the master, r1 its replica
    {promote} redis-cli REPLICAOF NO ONE; {demote} redis-cli REPLICAOF {ip} {port}
  who serves what
    {redirector} status --socket {socket}

Ctrl-C removes everything.
",
        address = MASTER_SERVICE.ip(),
        ip = new_master.ip(),
        port = new_master.port(),
    ))
}
