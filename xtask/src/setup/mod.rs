//! `cargo xtask setup`: finds out what is missing, says so, installs it.
//!
//! [`facts`] looks at the machine, [`plan`] decides without touching anything, [`install`] carries it out.

mod apt;
mod facts;
mod install;
mod lint_tools;
mod needs;
mod plan;

use anyhow::Result;

pub(crate) use self::lint_tools::ensure as ensure_lint_tools;
use self::plan::{Compiler, Plan};
use crate::{bpf::Route, host::Host};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Also install what `cargo xtask lint` needs: typos, cargo-deny
    #[arg(long)]
    lint: bool,
}

pub(crate) fn command(host: &Host, args: &Args) -> Result<()> {
    let route = ensure(host)?;
    println!("ready: {}", describe(route));
    if args.lint {
        ensure_lint_tools(host, route)?;
        println!("ready: the lint tools");
    }
    Ok(())
}

/// Makes the machine ready and says which compiler builds the eBPF programs; silent if nothing is missing.
pub(crate) fn ensure(host: &Host) -> Result<Route> {
    let plan = Plan::new(&facts::gather(host));
    match (plan.packages.is_empty(), &plan.compiler) {
        (true, Compiler::Ready(route)) => Ok(*route),
        _ => install::carry_out(host, &plan),
    }
}

fn describe(route: Route) -> &'static str {
    match route {
        Route::Debian => "eBPF programs are built with Debian's rustc-web",
        Route::Nightly => "eBPF programs are built with rustup's nightly",
    }
}
