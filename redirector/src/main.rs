//! One binary: the agent, and the commands that speak to it.

use std::process::ExitCode;

use clap::Parser;
use redirector::cli::{self, Cli};

fn main() -> ExitCode {
    cli::run(Cli::parse())
}
