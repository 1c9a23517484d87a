//! `cargo xtask build`: the eBPF object first, because the agent embeds it.

use anyhow::Result;

use crate::{bpf, host::Host, process, setup};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Optimised, as `run`, `test` and `bench` use it
    #[arg(long)]
    release: bool,
}

pub(crate) fn command(host: &Host, args: &Args) -> Result<()> {
    programs(host, args.release)
}

/// Builds everything that runs: programs, agent, lab, benchmarks.
pub(crate) fn programs(host: &Host, release: bool) -> Result<()> {
    let route = setup::ensure(host)?;
    bpf::build(host, route)?;
    let mut cargo = host.cargo();
    cargo.args(["build", "--package", "redirector", "--package", "redirector-tests"]);
    if release {
        cargo.arg("--release");
    }
    process::run("building the agent and the lab", &mut cargo)
}
