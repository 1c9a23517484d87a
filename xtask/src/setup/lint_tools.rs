//! The tools of `cargo xtask lint` that are built from source: minutes, so only `lint` asks for them.

use std::path::Path;

use anyhow::Result;

use super::apt::Apt;
use crate::{
    bpf::{DEBIAN_CLIPPY, Route},
    host::Host,
    process,
};

/// Fixed versions: a newer dictionary must not fail a change that has nothing to do with it.
const TOOLS: [Tool; 2] = [
    Tool { program: "typos", package: "typos-cli", version: "1.52.0", why: "spelling" },
    Tool { program: "cargo-deny", package: "cargo-deny", version: "0.20.2", why: "licences and sources" },
];

struct Tool {
    program: &'static str,
    package: &'static str,
    version: &'static str,
    why: &'static str,
}

/// Installs what is missing; a tool that is in `PATH` already is taken as it is.
pub(crate) fn ensure(host: &Host, route: Route) -> Result<()> {
    if route == Route::Debian && !Path::new(DEBIAN_CLIPPY).exists() {
        // Not every archive has it; the eBPF programs are then checked by everything but clippy.
        if let Err(error) = Apt::new(host).install("clippy for the eBPF programs", &["rust-web-clippy"]) {
            println!("clippy for the eBPF programs is not to be had here: {error:#}");
        }
    }
    for tool in TOOLS.iter().filter(|tool| host.tool(tool.program).is_none()) {
        let mut cargo = host.cargo();
        cargo
            .args(["install", tool.package, "--version", tool.version, "--locked", "--root"])
            .arg(&host.tools);
        let heading =
            format!("building {} {} for the {} check (2 to 4 min)", tool.package, tool.version, tool.why);
        let shown = format!(
            "cargo install {} --version {} --locked --root {}",
            tool.package,
            tool.version,
            host.tools.display()
        );
        process::run_step(&heading, &shown, &mut cargo)?;
    }
    Ok(())
}
