//! `cargo xtask fuzz`: random packets through the loaded programs, as root, on an optimised build.

use std::ffi::OsString;

use anyhow::Result;

use crate::{build, host::Host, process};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// For the fuzzer, such as --packets 1000000 or --seed 7
    #[arg(last = true)]
    args: Vec<OsString>,
}

pub(crate) fn command(host: &Host, args: Args) -> Result<()> {
    build::programs(host, true)?;
    let mut command = host.as_root(host.target.join("release/fuzz"), &[])?;
    command.args(args.args);
    Err(process::become_command(command))
}
