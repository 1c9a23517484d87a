//! The project's own commands: `cargo xtask <command>`.
//!
//! Each command is a small file. What a machine lacks is found out and installed by [`setup`], which the other
//! commands call first; a machine that has everything is recognised in a few milliseconds.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks to its user")]

mod artifacts;
mod bench;
mod bpf;
mod build;
mod clean_lab;
mod fuzz;
mod host;
mod lint;
mod process;
mod run;
mod setup;
mod summary;
mod test;
mod verifier;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::host::Host;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Redirector's own commands", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what building and testing need; says first what and why
    Setup(setup::Args),
    /// Build the eBPF object, then the agent, the lab and the benchmarks
    Build(build::Args),
    /// Build and start: the lab, or with `-- --config FILE` the agent on this host
    Run(run::Args),
    /// Run every test; those that need root get it, the rest run as you
    Test(test::Args),
    /// Check formatting, clippy, spelling, licences and sources
    Lint(lint::Args),
    /// Build and run a benchmark
    Bench(bench::Args),
    /// Send random packets through the loaded programs and a plain model, and compare
    Fuzz(fuzz::Args),
    /// Compare what the programs cost the kernel with the figures in the repository
    Verifier(verifier::Args),
    /// Remove what a killed lab left behind: namespaces, processes, pins
    CleanLab,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = Host::detect().and_then(|host| {
        host.hand_back_target();
        let outcome = match cli.command {
            Command::Setup(args) => setup::command(&host, &args),
            Command::Build(args) => build::command(&host, &args),
            Command::Run(args) => run::command(&host, args),
            Command::Test(args) => test::command(&host, &args),
            Command::Lint(args) => lint::command(&host, &args),
            Command::Bench(args) => bench::command(&host, args),
            Command::Fuzz(args) => fuzz::command(&host, args),
            Command::Verifier(args) => verifier::command(&host, &args),
            Command::CleanLab => clean_lab::command(&host),
        };
        host.hand_back_target();
        outcome
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
