//! `cargo xtask lint`: every check runs, also after one has failed; the result is of all of them.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{bpf, host::Host, process, setup};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Also look for known vulnerabilities; fetches the advisory database from the network
    #[arg(long)]
    advisories: bool,
}

pub(crate) fn command(host: &Host, args: &Args) -> Result<()> {
    let route = setup::ensure(host)?;
    setup::ensure_lint_tools(host, route)?;

    let mut checks = Checks::default();
    checks.run("formatting", with_args(host.cargo(), &["fmt", "--all", "--check"]));
    let clippy = ["clippy", "--workspace", "--all-targets", "--release", "--", "--deny", "warnings"];
    checks.run("clippy", with_args(host.cargo(), &clippy));
    match bpf::clippy(host, route) {
        Some(clippy) => checks.run("clippy of the eBPF programs", clippy),
        None => println!("→ clippy of the eBPF programs: skipped, their compiler came without clippy"),
    }
    checks.run("spelling", host.as_user(tool(host, "typos")?));
    let mut kinds = vec!["check", "bans", "licenses", "sources"];
    if args.advisories {
        kinds.push("advisories");
    }
    checks.run("licences and sources", with_args(cargo_deny(host)?, &kinds));
    checks.finish()
}

fn tool(host: &Host, name: &str) -> Result<std::path::PathBuf> {
    host.tool(name).with_context(|| format!("{name} is neither in {} nor in PATH", host.tools.display()))
}

fn cargo_deny(host: &Host) -> Result<Command> {
    let mut command = host.as_user(tool(host, "cargo-deny")?);
    // Errors in full, without the many warnings' dependency graphs.
    command.args(["--log-level", "error"]);
    Ok(command)
}

fn with_args(mut command: Command, args: &[&str]) -> Command {
    command.args(args);
    command
}

/// Which checks failed.
#[derive(Default)]
struct Checks {
    failed: Vec<&'static str>,
}

impl Checks {
    fn run(&mut self, name: &'static str, mut command: Command) {
        if let Err(error) = process::run(name, &mut command) {
            println!("  {error:#}");
            self.failed.push(name);
        }
    }

    fn finish(self) -> Result<()> {
        if !self.failed.is_empty() {
            bail!("lint failed: {}", self.failed.join(", "));
        }
        println!("lint: all checks passed");
        Ok(())
    }
}
