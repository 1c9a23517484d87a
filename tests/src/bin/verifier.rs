//! What the programs cost the kernel: what `cargo xtask verifier` runs, as root.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it talks to a person at a terminal")]

use std::{fs, process::ExitCode};

use anyhow::{Context as _, Result, anyhow};
use clap::Parser;
use redirector_tests::{
    golden::verifier::{Sheet, path},
    lab::check_host,
};

/// Loads both programs and compares their size, the verifier's work and the stack with redirector-ebpf/verifier.txt.
///
/// The exit code is 1 when something has grown by more than 2 %.
#[derive(Debug, Parser)]
struct Arguments {
    /// Prints the file anew instead, for `cargo xtask verifier --update`
    #[arg(long)]
    print: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool> {
    check_host()?;
    let now = Sheet::measure();
    print!("{now}");
    if arguments.print {
        return Ok(true);
    }
    let path = path();
    let text = fs::read_to_string(path).with_context(|| {
        format!("cannot read {}; `cargo xtask verifier --update` writes it", path.display())
    })?;
    let held = Sheet::parse(&text).map_err(|error| anyhow!(error))?;
    if held.kernel != now.kernel {
        println!("the figures are of kernel {}: only bytecode and stack are compared", held.kernel);
    }
    let grown = now.grown_since(&held);
    for sentence in &grown {
        eprintln!("{sentence}");
    }
    Ok(grown.is_empty())
}
