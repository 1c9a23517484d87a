//! `cargo xtask bench`: the benchmarks run as root, on an optimised build.

use std::ffi::OsString;

use anyhow::Result;

use crate::{build, host::Host, process};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which benchmark; without a name, the binary lists them
    name: Option<OsString>,
    /// For the benchmark
    #[arg(last = true)]
    args: Vec<OsString>,
}

pub(crate) fn command(host: &Host, args: Args) -> Result<()> {
    build::programs(host, true)?;
    let agent = host.target.join("release/redirector");
    let mut command =
        host.as_root(host.target.join("release/bench"), &[("REDIRECTOR_BIN", agent.as_os_str())])?;
    command.args(args.name).args(args.args);
    Err(process::become_command(command))
}
