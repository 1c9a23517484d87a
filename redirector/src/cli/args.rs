use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// One address for a Redis deployment that is always right.
#[derive(Debug, Parser)]
#[command(
    version,
    about,
    after_help = "Exit codes: 0 done, 1 refused or failed, 2 bad usage or configuration, 3 agent not reachable."
)]
pub struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Steer this host's datapath, until interrupted; the datapath itself goes on.
    Run {
        #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
        config: PathBuf,
    },
    /// Say whether a configuration is good, and what is wrong with it; touches nothing.
    Check {
        #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
        config: PathBuf,
    },
    /// Show services, servers and why each stands where it stands.
    Status {
        /// One line of JSON instead of a table.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Give a server another weight while it runs; new connections follow at once.
    Weight {
        /// GROUP/SERVER or SERVICE/SERVER.
        server: String,
        /// 0–256, or a percentage of the configured weight.
        weight: String,
        #[command(flatten)]
        place: Place,
    },
    /// Put a server into a state.
    State {
        /// GROUP/SERVER or SERVICE/SERVER.
        server: String,
        state: StateArg,
        #[command(flatten)]
        place: Place,
    },
    /// Remove everything that an agent with this configuration has attached, pinned or put on an interface.
    Detach {
        #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
        config: PathBuf,
    },
}

const DEFAULT_CONFIG: &str = "/etc/redirector/redirector.toml";

/// Where the agent listens.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// The agent's admin socket.
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// The agent's configuration, which names the socket.
    #[arg(long, value_name = "FILE", conflicts_with = "socket")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum, PartialEq, Eq)]
pub(super) enum StateArg {
    /// Takes connections.
    Ready,
    /// New connections go elsewhere, old ones finish.
    Drain,
    /// New connections go elsewhere, old ones are reset.
    Maint,
}

impl std::fmt::Display for StateArg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Maint => "maint",
        })
    }
}
