//! `cargo xtask verifier`: what the programs cost the kernel, beside the figures in the repository.

use std::{fs, process::Stdio};

use anyhow::{Context as _, Result};

use crate::{build, host::Host, process};

/// Where the figures are, from the checkout.
const FIGURES: &str = "redirector-ebpf/verifier.txt";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write the figures of this kernel to redirector-ebpf/verifier.txt
    #[arg(long)]
    update: bool,
}

pub(crate) fn command(host: &Host, args: &Args) -> Result<()> {
    build::programs(host, true)?;
    let mut command = host.as_root(host.target.join("release/verifier"), &[])?;
    if !args.update {
        return Err(process::become_command(command));
    }
    // Root loads the programs; the file is written by who runs this.
    let output = command.arg("--print").stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot start `{}`", process::describe(&command)))?;
    process::check(&command, output.status)?;
    let path = host.root.join(FIGURES);
    fs::write(&path, output.stdout).with_context(|| format!("cannot write {}", path.display()))?;
    println!("{FIGURES} is written");
    Ok(())
}
