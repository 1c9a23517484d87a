//! The directory on the bpf file system where maps and links outlive the agent.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use aya::programs::{
    links::{FdLink, PinnedLink},
    loaded_programs,
};
use nix::{
    fcntl::{Flock, FlockArg},
    mount::{MsFlags, mount},
    sys::statfs::{BPF_FS_MAGIC, statfs},
};
use redirector_common::names;

use super::error::{DataplaneError, Result};

/// The pins of one agent, held against every other for as long as this value lives.
#[derive(Debug)]
pub(super) struct Pins {
    root: PathBuf,
    _lock: Flock<File>,
}

impl Pins {
    /// Opens the directory, or makes it, and locks it.
    pub(super) fn open(root: &Path) -> Result<Self> {
        let parent = root.parent().unwrap_or(root);
        if !on_bpf_fs(parent) && !mount_bpf_fs(parent) {
            return Err(DataplaneError::NoBpfFs { path: parent.to_owned() });
        }
        create(root)?;
        let lock = lock(root)?;
        let pins = Self { root: root.to_owned(), _lock: lock };
        if let Some(found) = pins.other_layout()? {
            return Err(DataplaneError::OtherLayout { path: root.to_owned(), found });
        }
        create(&pins.maps())?;
        Ok(pins)
    }

    /// Where this version's maps are: another layout is another directory, so that neither misreads the other.
    pub(super) fn maps(&self) -> PathBuf {
        self.root.join(layout())
    }

    /// Whether an earlier agent has left its maps here.
    pub(super) fn adopted(&self) -> bool {
        self.maps().join(names::SERVICES).exists()
    }

    /// By index, not by name: the bpf file system takes no dots, and a name may come back as another interface.
    pub(super) fn link(&self, hook: &str, interface: u32) -> PathBuf {
        self.root.join(format!("{LINK}{hook}-{interface}"))
    }

    /// Links that are pinned here.
    pub(super) fn links(&self) -> Result<Vec<PathBuf>> {
        let names = self.entries()?;
        Ok(names.iter().filter(|name| name.starts_with(LINK)).map(|name| self.root.join(name)).collect())
    }

    /// Identifiers of the programs that the links run.
    fn programs(&self) -> Result<Vec<u32>> {
        let links = self.links()?;
        // A link that cannot be opened is removed all the same; there is only nothing to wait for.
        let opened = links.iter().filter_map(|path| PinnedLink::from_pin(path).ok());
        let infos = opened.filter_map(|link| FdLink::from(link).info().ok());
        Ok(infos.map(|info| info.program_id()).collect())
    }

    /// Removes everything: links first, so that no packet meets a program without its maps.
    pub(super) fn remove(self) -> Result<()> {
        for path in self.links()? {
            remove_file(&path)?;
        }
        remove_tree(&self.root)
    }

    fn entries(&self) -> Result<Vec<String>> {
        let failed = |source| DataplaneError::Path { path: self.root.clone(), source };
        fs::read_dir(&self.root)
            .map_err(failed)?
            .map(|entry| Ok(entry.map_err(failed)?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    fn other_layout(&self) -> Result<Option<String>> {
        Ok(self.entries()?.into_iter().find(|name| !name.starts_with(LINK) && *name != layout()))
    }
}

/// Removes the pins under `root`, of any layout, unless an agent is running on them, and waits until the kernel has let go
/// of the programs. `false`: there were none.
pub fn remove(root: &Path) -> Result<bool> {
    if !root.exists() {
        return Ok(false);
    }
    let pins = Pins { root: root.to_owned(), _lock: lock(root)? };
    let programs = pins.programs()?;
    pins.remove()?;
    wait_until_gone(&programs);
    Ok(true)
}

/// The kernel detaches a link and frees its program after the call that has removed the last pin. A program that
/// somebody else holds, a debugger perhaps, may stay for longer.
fn wait_until_gone(programs: &[u32]) {
    let deadline = Instant::now() + PATIENCE;
    let is_loaded =
        || loaded_programs().any(|program| program.is_ok_and(|program| programs.contains(&program.id())));
    while !programs.is_empty() && is_loaded() && Instant::now() < deadline {
        thread::sleep(POLL);
    }
}

/// How long the kernel may take to let go, and how often it is asked.
const PATIENCE: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(5);

const LINK: &str = "link-";

fn layout() -> String {
    format!("layout-{}", names::LAYOUT_VERSION)
}

fn lock(root: &Path) -> Result<Flock<File>> {
    let directory =
        File::open(root).map_err(|source| DataplaneError::Path { path: root.to_owned(), source })?;
    Flock::lock(directory, FlockArg::LockExclusiveNonblock)
        .map_err(|_| DataplaneError::PinsInUse { path: root.to_owned() })
}

fn on_bpf_fs(path: &Path) -> bool {
    statfs(path).is_ok_and(|stat| stat.filesystem_type() == BPF_FS_MAGIC)
}

/// Mounts the bpf file system where it always is, as systemd does; elsewhere it is the administrator's affair.
fn mount_bpf_fs(path: &Path) -> bool {
    path == Path::new("/sys/fs/bpf")
        && mount(Some("bpf"), path, Some("bpf"), MsFlags::empty(), None::<&str>).is_ok()
}

fn create(path: &Path) -> Result<()> {
    match fs::create_dir(path) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            Err(DataplaneError::Path { path: path.to_owned(), source })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn remove_file(path: &Path) -> Result<()> {
    fs::remove_file(path).map_err(|source| DataplaneError::Path { path: path.to_owned(), source })
}

fn remove_tree(path: &Path) -> Result<()> {
    fs::remove_dir_all(path).map_err(|source| DataplaneError::Path { path: path.to_owned(), source })
}
