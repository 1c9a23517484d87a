//! What is on this machine. Asks only local programs: no network, no change.

use std::{fs, path::Path, process::Command};

use crate::{
    bpf::{self, DEBIAN_CARGO, DEBIAN_RUSTC},
    host::{Host, Privilege, find_program},
    process,
};

/// Everything that the plan depends on.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) privilege: Privilege,
    pub(super) has_apt: bool,
    pub(super) has_rustup: bool,
    /// `/usr/bin/rustc` with its cargo.
    pub(super) debian: Option<Rustc>,
    /// rustup's nightly.
    pub(super) nightly: Option<Rustc>,
    /// The major version of LLVM that setup's bpf-linker was built with, if it still starts.
    pub(super) linker_llvm: Option<u32>,
    /// Programs that the lab and the tests call and that are not there.
    pub(super) missing_programs: Vec<&'static str>,
}

/// A compiler, as far as it matters for eBPF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rustc {
    /// The minor version: 96 of 1.96.
    pub(super) minor: u32,
    /// The major version of its LLVM.
    pub(super) llvm: u32,
    /// The source of `core` is there.
    pub(super) has_source: bool,
}

pub(super) fn gather(host: &Host) -> Facts {
    let has_rustup = find_program("rustup").is_some();
    Facts {
        privilege: host.privilege,
        has_apt: find_program("apt-get").is_some(),
        has_rustup,
        debian: Path::new(DEBIAN_CARGO).exists().then(|| rustc(|| host.as_user(DEBIAN_RUSTC))).flatten(),
        nightly: has_rustup.then(|| rustc(|| nightly_rustc(host))).flatten(),
        linker_llvm: linker_llvm(host),
        missing_programs: super::needs::PROGRAMS
            .iter()
            .map(|(program, _)| *program)
            .filter(|program| find_program(program).is_none())
            .collect(),
    }
}

fn nightly_rustc(host: &Host) -> Command {
    let mut command = host.as_user("rustup");
    // Asking must not download.
    command.env("RUSTUP_AUTO_INSTALL", "0").args(["run", "nightly", "rustc"]);
    command
}

fn rustc(command: impl Fn() -> Command) -> Option<Rustc> {
    let version = process::capture(command().env_remove("LD_LIBRARY_PATH").arg("-vV"))?;
    let sysroot = process::capture(command().env_remove("LD_LIBRARY_PATH").args(["--print", "sysroot"]))?;
    let source = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core/Cargo.toml");
    parse_version(&version, source.exists())
}

/// Reads `rustc -vV`.
fn parse_version(text: &str, has_source: bool) -> Option<Rustc> {
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key));
    let minor = value("release: 1.")?.split('.').next()?.parse().ok()?;
    let llvm = value("LLVM version: ")?.split('.').next()?.parse().ok()?;
    Some(Rustc { minor, llvm, has_source })
}

/// bpf-linker does not tell its LLVM, but cargo keeps the features with which it was installed.
fn linker_llvm(host: &Host) -> Option<u32> {
    process::capture(host.as_user(bpf::linker(host)).arg("--version"))?;
    parse_linker_llvm(&fs::read_to_string(host.tools.join(".crates2.json")).ok()?)
}

/// Finds bpf-linker's `"features":["llvm-22"]` in cargo's list of installed packages.
fn parse_linker_llvm(installs: &str) -> Option<u32> {
    let (_, entry) = installs.split_once(&format!("\"bpf-linker {} ", super::needs::LINKER_VERSION))?;
    let (_, feature) = entry.split_once("\"features\":[\"llvm-")?;
    feature.split('"').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        let debian = "rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\nrelease: 1.96.0\nLLVM version: 22.1.8\n";
        let nightly =
            "rustc 1.97.0-nightly (e50aa6fba 2026-05-19)\nrelease: 1.97.0-nightly\nLLVM version: 22.1.4\n";
        let table =
            [(debian, Some((96, 22))), (nightly, Some((97, 22))), ("release: 1.96.0\n", None), ("", None)];
        for (text, expected) in table {
            let expected = expected.map(|(minor, llvm)| Rustc { minor, llvm, has_source: true });
            assert_eq!(parse_version(text, true), expected, "{text}");
        }
    }

    #[test]
    fn the_linkers_llvm_is_read_from_cargos_list() {
        let list = r#"{"installs":{"bpf-linker 0.13.0 (registry+x)":{"version_req":"=0.13.0","bins":["bpf-linker"],"features":["llvm-22"]},"typos-cli 1.0.0 (registry+x)":{"features":[]}}}"#;
        let table = [
            (list.to_owned(), Some(22)),
            (list.replace("0.13.0 (", "0.9.0 ("), None),
            (list.replace("llvm-22", "other"), None),
            (r#"{"installs":{}}"#.to_owned(), None),
        ];
        for (text, expected) in table {
            assert_eq!(parse_linker_llvm(&text), expected, "{text}");
        }
    }
}
