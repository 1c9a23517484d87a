//! `cargo xtask run`: the lab, or with `--config` the agent on this host.

use std::ffi::OsString;

use anyhow::Result;

use crate::{build, host::Host, process};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// For `redirector run` if `--config` is among them, else for the lab
    #[arg(last = true)]
    args: Vec<OsString>,
}

pub(crate) fn command(host: &Host, args: Args) -> Result<()> {
    build::programs(host, true)?;
    let (program, args) = program_and_args(args.args);
    let mut command = host.as_root(host.target.join("release").join(program), &[])?;
    command.args(args);
    Err(process::become_command(command))
}

/// Who names a configuration wants the agent on this host.
fn program_and_args(args: Vec<OsString>) -> (&'static str, Vec<OsString>) {
    let has_config = args
        .iter()
        .any(|arg| arg.to_str().is_some_and(|arg| arg == "--config" || arg.starts_with("--config=")));
    if has_config {
        ("redirector", std::iter::once("run".into()).chain(args).collect())
    } else {
        ("lab", args)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_selects_the_agent() {
        let table: [(&[&str], &str, &[&str]); 4] = [
            (&[], "lab", &[]),
            (&["--attach", "tc"], "lab", &["--attach", "tc"]),
            (&["--config", "a.toml"], "redirector", &["run", "--config", "a.toml"]),
            (&["--verbose", "--config=a.toml"], "redirector", &["run", "--verbose", "--config=a.toml"]),
        ];
        for (args, program, expected) in table {
            let args = args.iter().map(Into::into).collect();
            assert_eq!(program_and_args(args), (program, expected.iter().map(Into::into).collect()));
        }
    }
}
