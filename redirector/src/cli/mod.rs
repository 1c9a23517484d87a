//! The command line. Every command but `run`, `check` and `detach` is a request to the agent.

mod args;
mod table;

use std::{
    error::Error as _,
    io::{self, IsTerminal, Write},
    path::Path,
    process::ExitCode,
};

pub use args::Cli;
use args::{Command, Place};
use tracing_subscriber::EnvFilter;

use crate::{
    agent,
    config::{self, Config},
    control::{self, ClientError, Status},
};

/// What a command ends with. The numbers are a promise to scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Done = 0,
    /// Refused, or failed.
    Failed = 1,
    /// Bad usage or configuration.
    Usage = 2,
    /// No agent answers.
    Unreachable = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do what was asked: a sentence, and the exit code.
struct Failure(Exit, String);

type Result<T = ()> = std::result::Result<T, Failure>;

pub fn run(cli: Cli) -> ExitCode {
    match execute(cli.command) {
        Ok(()) => Exit::Done.into(),
        Err(Failure(exit, sentence)) => {
            // Where even that cannot be written, the exit code has to do.
            let _ = writeln!(io::stderr(), "{sentence}");
            exit.into()
        }
    }
}

fn execute(command: Command) -> Result {
    match command {
        Command::Run { config } => steer(&config),
        Command::Check { config } => check(&config),
        Command::Status { json, place } => status(json, &place),
        Command::Weight { server, weight, place } => {
            request(&place, &format!("set weight {server} {weight}"))
        }
        Command::State { server, state, place } => {
            request(&place, &format!("set server {server} state {state}"))
        }
        Command::Detach { config } => detach(&config),
    }
}

fn steer(path: &Path) -> Result {
    let config = load(path)?;
    let filter = EnvFilter::try_from_env("REDIRECTOR_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();
    runtime()?.block_on(agent::run(config)).map_err(|error| Failure(Exit::Failed, sentence(&error)))
}

fn check(path: &Path) -> Result {
    let config = load(path)?;
    for warning in config.warnings() {
        say(&format!("{}: {warning}", path.display()))?;
    }
    let servers: usize = config.groups.iter().map(|group| group.servers.len()).sum();
    let services = config.services.len();
    say(&format!("{} is a good configuration: services {services}, servers {servers}", path.display()))
}

fn status(json: bool, place: &Place) -> Result {
    let text = ask(place, "show status")?;
    if json {
        return say(&text);
    }
    let status: Status = serde_json::from_str(&text).map_err(|error| {
        Failure(Exit::Failed, format!("the agent is of another version than this command: {error}"))
    })?;
    say(&table::render(&status))
}

fn request(place: &Place, line: &str) -> Result {
    let text = ask(place, line)?;
    if text.is_empty() { Ok(()) } else { say(&text) }
}

fn detach(path: &Path) -> Result {
    let config = load(path)?;
    let removed = runtime()?
        .block_on(agent::detach(&config))
        .map_err(|error| Failure(Exit::Failed, sentence(&error)))?;
    for what in &removed {
        say(&format!("removed {what}"))?;
    }
    if removed.is_empty() {
        say("nothing was attached")?;
    }
    Ok(())
}

fn load(path: &Path) -> Result<Config> {
    config::load(path).map_err(|errors| Failure(Exit::Usage, errors.to_string()))
}

fn ask(place: &Place, line: &str) -> Result<String> {
    let socket = match (&place.socket, &place.config) {
        (Some(socket), _) => socket.clone(),
        (None, Some(config)) => load(config)?.gateway.admin_socket,
        (None, None) => config::limits::DEFAULT_ADMIN_SOCKET.into(),
    };
    control::ask(&socket, line).map_err(|error| match error {
        ClientError::Unreachable { .. } => Failure(Exit::Unreachable, error.to_string()),
        ClientError::Refused(sentence) => Failure(Exit::Failed, sentence),
    })
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure(Exit::Failed, format!("the runtime cannot start: {error}")))
}

fn say(text: &str) -> Result {
    // A reader that has gone, such as `head`, is no failure of ours.
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure(Exit::Failed, format!("cannot write: {error}")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// An error with its causes, as one line.
fn sentence(error: &agent::AgentError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}
