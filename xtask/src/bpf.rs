//! Compiling the eBPF crate: which compiler, with which flags.

use std::{
    env::consts::ARCH,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{host::Host, process};

/// A place to get a compiler that can build `core` for eBPF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// Debian's `rustc-web`, `cargo-web` and `rust-web-src`: a fixed, recent stable.
    Debian,
    /// rustup's nightly with `rust-src`.
    Nightly,
}

/// Where Debian's compiler is; never rustup's proxies, which have the same names.
pub(crate) const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
pub(crate) const DEBIAN_CARGO: &str = "/usr/bin/cargo";
pub(crate) const DEBIAN_CLIPPY: &str = "/usr/bin/cargo-clippy";

/// Variables of the host's own builds that would bend this one.
const FOREIGN_VARIABLES: [&str; 9] = [
    "CARGO",
    "CARGO_BUILD_TARGET",
    "CARGO_TARGET_DIR",
    "LD_LIBRARY_PATH",
    "RUSTC",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTDOC",
    "RUSTFLAGS",
    "RUSTUP_TOOLCHAIN",
];

/// Builds the programs and puts them where the agent's build script embeds them from.
pub(crate) fn build(host: &Host, route: Route) -> Result<PathBuf> {
    let mut command = cargo(host, route);
    command.arg("build").args(TARGET_ARGS).arg("--target-dir").arg(target_dir(host));
    set_flags(host, &mut command);
    process::run("building the eBPF programs", &mut command)?;

    let built = target_dir(host).join("bpfel-unknown-none/bpf/redirector-ebpf");
    let object = target_dir(host).join("redirector.bpf.o");
    copy_if_changed(host, &built, &object)?;
    Ok(object)
}

/// Clippy for the programs, or `None` where the route's compiler comes without it.
pub(crate) fn clippy(host: &Host, route: Route) -> Option<Command> {
    let mut command = match route {
        Route::Debian => {
            if !Path::new(DEBIAN_CLIPPY).exists() {
                return None;
            }
            // `cargo clippy` would find rustup's proxy first; called by its path, it takes the driver beside it.
            let mut command = debian(host, DEBIAN_CLIPPY);
            command.env("CARGO", DEBIAN_CARGO);
            command
        }
        Route::Nightly => {
            process::capture(nightly(host).args(["clippy", "--version"]))?;
            nightly(host)
        }
    };
    command.arg("clippy").args(TARGET_ARGS).arg("--target-dir").arg(target_dir(host));
    set_flags(host, &mut command);
    command.args(["--", "--deny", "warnings"]);
    Some(command)
}

/// The route's cargo, free of the host build's settings.
pub(crate) fn cargo(host: &Host, route: Route) -> Command {
    match route {
        Route::Debian => debian(host, DEBIAN_CARGO),
        Route::Nightly => nightly(host),
    }
}

fn debian(host: &Host, program: &str) -> Command {
    let mut command = without_foreign_variables(host.as_user(program));
    // `build-std` is unstable, and this compiler is a stable one.
    command.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1");
    command
}

fn nightly(host: &Host) -> Command {
    let mut command = without_foreign_variables(host.as_user("rustup"));
    command.args(["run", "nightly", "cargo"]);
    command
}

fn without_foreign_variables(mut command: Command) -> Command {
    for name in FOREIGN_VARIABLES {
        command.env_remove(name);
    }
    command
}

const TARGET_ARGS: [&str; 11] = [
    "--package",
    "redirector-ebpf",
    "--bin",
    "redirector-ebpf",
    "--features",
    "ebpf",
    "--profile",
    "bpf",
    "--target",
    "bpfel-unknown-none",
    "-Zbuild-std=core",
];

fn set_flags(host: &Host, command: &mut Command) {
    let flags = [
        "-Cdebuginfo=2".to_owned(),
        "-Clink-arg=--btf".to_owned(),
        // Atomics and 32-bit jumps; every kernel that we support has them.
        "-Ctarget-cpu=v3".to_owned(),
        format!("--cfg=bpf_target_arch=\"{ARCH}\""),
        format!("-Clinker={}", linker(host).display()),
    ];
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
}

/// bpf-linker as setup builds it.
pub(crate) fn linker(host: &Host) -> PathBuf {
    host.tools.join("bin/bpf-linker")
}

/// Its own folder, so that it neither waits for the host build's lock nor throws away its cache.
fn target_dir(host: &Host) -> PathBuf {
    host.root.join("target/bpf")
}

/// Copies, as the user, only what differs: the file's time decides whether the agent is built again.
fn copy_if_changed(host: &Host, from: &Path, to: &Path) -> Result<()> {
    let new = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if fs::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    let mut copy = host.as_user("install");
    copy.arg("--mode=0644").arg(from).arg(to);
    let status = copy.status()?;
    process::check(&copy, status)
}
