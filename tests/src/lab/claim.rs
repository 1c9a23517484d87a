//! Who owns what: each lab has an id, and everything it makes is named after it.
//!
//! | what | name |
//! |---|---|
//! | folder, its lock is the claim | `/run/redirector-lab/<id>` |
//! | namespaces | `/run/netns/<id>-<role>` |
//! | pinned maps and links | `/sys/fs/bpf/<id>-pins` |
//!
//! The kernel drops the lock when the owner dies, however it dies: an id without a holder is a
//! leftover.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::ErrorKind,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

use super::{host, netns};

/// The id of the lab that a person uses: its namespaces are easy to type, `rdr-client`, `rdr-r1`, …
pub const USER_LAB: &str = "rdr";

const ROOT: &str = "/run/redirector-lab";

/// The right to an id. Dropping it removes everything that carries the id.
#[derive(Debug)]
pub struct Claim {
    id: String,
    _lock: Flock<File>,
}

impl Claim {
    /// An id that no other lab has, with this process in its name.
    pub fn unique() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let id = format!("{USER_LAB}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            // Somebody else may have it where containers share /run but not their process ids.
            if let Some(claim) = Self::take(&id)? {
                return Ok(claim);
            }
        }
    }

    /// `None` while another lab holds the id.
    pub fn take(id: &str) -> Result<Option<Self>> {
        ensure!(
            id_of(&format!("{id}-role")) == Some(id) && !id.contains('/'),
            "A lab's id is `{USER_LAB}` or starts with `{USER_LAB}-`, unlike `{id}`."
        );
        fs::create_dir_all(ROOT)?;
        let path = folder(id);
        loop {
            match fs::create_dir(&path) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    return Err(error).with_context(|| format!("Cannot create {}", path.display()));
                }
                Ok(()) | Err(_) => {}
            }
            let Ok(opened) = File::open(&path) else {
                continue;
            };
            let lock = match Flock::lock(opened, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => lock,
                Err((_, Errno::EWOULDBLOCK)) => return Ok(None),
                Err((_, errno)) => {
                    return Err(errno).with_context(|| format!("Cannot lock {}", path.display()));
                }
            };
            // The last owner may have removed the folder between our opening and our locking it.
            let ours = lock.metadata()?.ino();
            if fs::metadata(&path).is_ok_and(|now| now.ino() == ours) {
                fs::write(path.join("owner"), std::process::id().to_string())?;
                return Ok(Some(Self { id: id.to_owned(), _lock: lock }));
            }
        }
    }

    /// The process that holds the id, for messages.
    pub fn owner(id: &str) -> Option<u32> {
        fs::read_to_string(folder(id).join("owner")).ok()?.parse().ok()
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// A file or socket of this lab.
    pub fn path(&self, name: &str) -> PathBuf {
        folder(&self.id).join(name)
    }

    /// The folder on the bpf file system that belongs to this lab; the agent creates it.
    pub fn pins(&self) -> PathBuf {
        Path::new(host::BPF_FS).join(format!("{}-pins", self.id))
    }

    /// The name of the lab's namespace for `role`.
    pub fn namespace(&self, role: &str) -> String {
        format!("{}-{role}", self.id)
    }

    /// See [`super::Lab::clean_leftovers`]. Also makes sure that there is a bpf file system.
    pub(super) fn clean_leftovers() -> Result<()> {
        fs::create_dir_all(ROOT)?;
        // One at a time: whoever returns from here may rely on the leftovers being gone.
        let _turn = Flock::lock(File::open(ROOT)?, FlockArg::LockExclusive)
            .map_err(|(_, errno)| errno)
            .with_context(|| format!("Cannot lock {ROOT}"))?;
        host::mount_bpf_fs()?;
        for id in ids()? {
            if let Some(leftover) = Self::take(&id)? {
                leftover.sweep().with_context(|| format!("Cannot clean up after the dead lab `{id}`"))?;
            }
        }
        Ok(())
    }

    fn sweep(&self) -> Result<()> {
        // Namespaces first: with their interfaces go the programs that no pin holds.
        for name in netns::list()?.iter().filter(|name| id_of(name) == Some(self.id.as_str())) {
            netns::remove(name)?;
        }
        for folder in [self.pins(), folder(&self.id)] {
            match fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("Cannot remove {}", folder.display()));
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }
}

impl Drop for Claim {
    #[expect(clippy::print_stderr, reason = "drop cannot return an error, and a leak must not go unseen")]
    fn drop(&mut self) {
        if let Err(error) = self.sweep() {
            eprintln!("The lab `{}` could not be removed: {error:#}", self.id);
        }
    }
}

fn folder(id: &str) -> PathBuf {
    Path::new(ROOT).join(id)
}

/// `rdr-123-0-gw` → `rdr-123-0`, `rdr-gw` → `rdr`; `None` for names that are not ours.
fn id_of(name: &str) -> Option<&str> {
    let (id, _role) = name.rsplit_once('-')?;
    (id == USER_LAB || id.strip_prefix(USER_LAB)?.starts_with('-')).then_some(id)
}

/// Every id that something on this host is named after.
fn ids() -> Result<BTreeSet<String>> {
    let mut ids: BTreeSet<String> = netns::entries(Path::new(ROOT))?.into_iter().collect();
    let named = netns::list()?.into_iter().chain(netns::entries(Path::new(host::BPF_FS))?);
    ids.extend(named.filter_map(|name| id_of(&name).map(str::to_owned)));
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::id_of;

    #[test]
    fn names_lead_back_to_their_lab() {
        for (name, id) in [
            ("rdr-gw", Some("rdr")),
            ("rdr-client", Some("rdr")),
            ("rdr-4711-0-r1", Some("rdr-4711-0")),
            ("rdr-4711-0-pins", Some("rdr-4711-0")),
            ("rdr-own-pins", Some("rdr-own")),
            ("rdr", None),
            ("rdrx-gw", None),
            ("redirector", None),
            ("cni-0123-4567", None),
        ] {
            assert_eq!(id_of(name), id, "{name}");
        }
    }
}
