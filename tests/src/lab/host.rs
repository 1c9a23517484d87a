//! What the lab asks of the host: root, a few programs, and a bpf file system.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use nix::{
    mount::{MsFlags, mount},
    sys::statfs::{BPF_FS_MAGIC, statfs},
    unistd::Uid,
};

/// Where the pins go; labs share it with the host.
pub(super) const BPF_FS: &str = "/sys/fs/bpf";

/// Program → the Debian package that brings it.
const PROGRAMS: [(&str, &str); 4] = [
    ("ip", "iproute2"),
    ("ethtool", "ethtool"),
    ("redis-server", "redis-server"),
    ("redis-cli", "redis-tools"),
];

/// Whether a lab can be built here; the error says what to do.
pub fn check_host() -> Result<()> {
    ensure!(
        Uid::effective().is_root(),
        "The lab makes network namespaces and needs root: start it with sudo."
    );
    for (program, package) in PROGRAMS {
        ensure!(
            installed(program),
            "The lab needs `{program}`, which is not in PATH: apt-get install {package}"
        );
    }
    Ok(())
}

fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Mounts the bpf file system where it is missing. It stays: it belongs to the host, not to a lab.
pub(super) fn mount_bpf_fs() -> Result<()> {
    if statfs(BPF_FS).is_ok_and(|fs| fs.filesystem_type() == BPF_FS_MAGIC) {
        return Ok(());
    }
    if !Path::new(BPF_FS).exists() {
        fs::create_dir(BPF_FS)
            .with_context(|| format!("Cannot create {BPF_FS}: is this kernel built with BPF?"))?;
    }
    mount(Some("bpf"), BPF_FS, Some("bpf"), MsFlags::empty(), None::<&str>)
        .with_context(|| format!("Cannot mount the bpf file system; try: mount -t bpf bpf {BPF_FS}"))
}
