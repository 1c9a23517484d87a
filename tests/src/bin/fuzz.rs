//! Random packets through the loaded bytecode and a plain model: what `cargo xtask fuzz` runs, as root.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it talks to a person at a terminal")]

use std::{process::ExitCode, thread, time::SystemTime};

use clap::{Parser, ValueEnum};
use redirector_common::Counter;
use redirector_tests::{
    golden::{
        Hook,
        fuzz::{self, Difference, Options, Tally},
    },
    lab::check_host,
};

/// Sends random packets through the loaded programs and compares verdicts, bytes, counters and flows with a model.
///
/// The same seed makes the same packets. The first difference is printed as a golden case, and the exit code is 1.
#[derive(Debug, Parser)]
struct Arguments {
    /// Seed of the first sequence; without it, one is chosen and printed
    #[arg(long)]
    seed: Option<u64>,
    /// Packets through each hook
    #[arg(long, default_value_t = 10_000_000)]
    packets: u64,
    /// Which programs; both run at the same time
    #[arg(long, value_enum, default_value_t = Hooks::Both)]
    hook: Hooks,
    /// Entries of the flow table
    #[arg(long, default_value_t = fuzz::TABLE, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    table: u32,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Hooks {
    Xdp,
    Tc,
    Both,
}

impl Hooks {
    const fn all(self) -> &'static [Hook] {
        match self {
            Self::Xdp => &[Hook::Xdp],
            Self::Tc => &[Hook::Tc],
            Self::Both => &[Hook::Xdp, Hook::Tc],
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Err(error) = check_host() {
        eprintln!("{error:#}");
        return ExitCode::FAILURE;
    }
    let seed = arguments.seed.unwrap_or_else(any_seed);
    println!("seed {seed}, {} packets through each hook", arguments.packets);
    let arguments = &arguments;
    let outcomes: Vec<_> = thread::scope(|scope| {
        let runs: Vec<_> = arguments
            .hook
            .all()
            .iter()
            .map(|&hook| (hook, scope.spawn(move || one(arguments, hook, seed))))
            .collect();
        runs.into_iter().map(|(hook, run)| (hook, run.join())).collect()
    });
    let mut code = ExitCode::SUCCESS;
    for (hook, outcome) in outcomes {
        match outcome {
            Ok(Ok(tally)) => report(hook, &tally),
            Ok(Err(difference)) => {
                println!("\n{difference}");
                code = ExitCode::FAILURE;
            }
            // The thread has said why.
            Err(_) => code = ExitCode::FAILURE,
        }
    }
    code
}

fn one(arguments: &Arguments, hook: Hook, seed: u64) -> Result<Tally, Box<Difference>> {
    let options = Options { hook, seed, packets: arguments.packets, table: arguments.table };
    fuzz::run(&options, |tally| eprintln!("{hook:?}: {tally}"))
}

fn report(hook: Hook, tally: &Tally) {
    println!("\n{hook:?}: no difference; {tally}");
    for (counter, count) in Counter::ALL.iter().zip(&tally.counters) {
        println!("  {:<20} {count:>12}", counter.name());
    }
}

/// Another one with each start.
fn any_seed() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    fuzz::Random::new(now.as_secs() << 30 | u64::from(now.subsec_nanos())).next() >> 16
}
