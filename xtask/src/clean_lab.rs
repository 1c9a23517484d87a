//! `cargo xtask clean-lab`: the lab knows what it leaves behind when it is killed.

use anyhow::Result;

use crate::{build, host::Host, process};

pub(crate) fn command(host: &Host) -> Result<()> {
    build::programs(host, true)?;
    let mut command = host.as_root(host.target.join("release/lab"), &[])?;
    command.arg("--clean");
    Err(process::become_command(command))
}
