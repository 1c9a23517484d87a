//! Figures from the lab: what `cargo xtask bench` runs, as root.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it talks to a person at a terminal")]

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use redirector_tests::{
    bench::{failover, interrupt, load},
    lab::{Attach, agent_binary, check_host},
};

/// Measures the gateway and its peers side by side, in network namespaces of this host.
///
/// Figures are not tests: a mark that is missed is printed, and the exit code is 0 all the same.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    benchmark: Benchmark,
}

#[derive(Debug, Subcommand)]
enum Benchmark {
    /// How long clients are without the right master, when it changes and when it dies
    Failover {
        /// How often each scenario is run
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
        runs: u32,
        /// Where the programs attach
        #[arg(long, value_enum, default_value_t = Hook::Xdp)]
        attach: Hook,
        /// Every sample, for programs
        #[arg(long)]
        json: bool,
    },
    /// What the way through the gateway costs, by redis-benchmark
    Load {
        /// How often each load is run on each way
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
        runs: u32,
        /// Every sample, for programs
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Hook {
    Xdp,
    Tc,
}

impl From<Hook> for Attach {
    fn from(hook: Hook) -> Self {
        match hook {
            Hook::Xdp => Self::Xdp,
            Hook::Tc => Self::Tc,
        }
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse().benchmark) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(benchmark: &Benchmark) -> Result<()> {
    check_host()?;
    agent_binary()?;
    // Before anything exists that a signal could leave behind.
    interrupt::listen()?;
    let progress = |line: &str| eprintln!("{line}");
    match *benchmark {
        Benchmark::Failover { runs, attach, json } => {
            let report = failover::measure(&failover::Options { runs, attach: attach.into() }, progress)?;
            if json { println!("{:#}", report.json()) } else { println!("{report}") }
        }
        Benchmark::Load { runs, json } => {
            let report = load::measure(runs, progress)?;
            if json { println!("{:#}", report.json()) } else { println!("{report}") }
        }
    }
    Ok(())
}
