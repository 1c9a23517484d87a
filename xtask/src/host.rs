//! Who runs this and where: the checkout, the target folder, the invoking user, the way to root.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use nix::unistd::{Uid, User};

/// The machine as the commands see it.
pub(crate) struct Host {
    /// The checkout.
    pub(crate) root: PathBuf,
    /// Cargo's target folder for user-space builds.
    pub(crate) target: PathBuf,
    /// Where setup keeps the tools that it builds, of the invoking user.
    pub(crate) tools: PathBuf,
    /// How commands that need root get it.
    pub(crate) privilege: Privilege,
    /// The user behind `sudo`: builds run as this user, not as root.
    sudo_user: Option<User>,
    home: PathBuf,
}

/// The way to root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Privilege {
    /// We are root.
    Root,
    /// `sudo` is there; it may ask for a password.
    Sudo,
    /// Neither root nor `sudo`.
    None,
}

impl Host {
    /// Looks at the process's user, environment and folders.
    pub(crate) fn detect() -> Result<Self> {
        // `cargo run` says where the package is now; the path at compile time may be another checkout's.
        let manifest_dir =
            env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let root = Path::new(&manifest_dir).parent().context("xtask's folder has no parent")?.to_path_buf();
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(dir) => env::current_dir()?.join(dir),
            None => root.join("target"),
        };
        let is_root = Uid::effective().is_root();
        let sudo_user = match sudo_user_name(is_root, env::var("SUDO_USER").ok().as_deref()) {
            Some(name) => Some(
                User::from_name(name)?.with_context(|| format!("SUDO_USER is {name}, who does not exist"))?,
            ),
            None => None,
        };
        let home = match &sudo_user {
            Some(user) => user.dir.clone(),
            None => env::home_dir().context("HOME is not set")?,
        };
        let tools = tools_dir(env::var_os("XDG_CACHE_HOME").as_deref(), &home);
        let privilege = if is_root {
            Privilege::Root
        } else if find_program("sudo").is_some() {
            Privilege::Sudo
        } else {
            Privilege::None
        };
        Ok(Self { root, target, tools, privilege, sudo_user, home })
    }

    /// A command that runs as the invoking user, in the checkout, also when we were started through `sudo`.
    pub(crate) fn as_user(&self, program: impl AsRef<OsStr>) -> Command {
        let Some(user) = &self.sudo_user else {
            let mut command = Command::new(program);
            command.current_dir(&self.root);
            return command;
        };
        // setpriv and not `Command::uid`: it also takes the user's groups.
        let mut command = Command::new("setpriv");
        command
            .arg(format!("--reuid={}", user.uid))
            .arg(format!("--regid={}", user.gid))
            .args(["--init-groups", "--"])
            .arg(program)
            .current_dir(&self.root)
            .env("HOME", &user.dir)
            .env("USER", &user.name)
            .env("LOGNAME", &user.name);
        // Root's own toolchain settings must not leak into the user's builds.
        for name in ["CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "XDG_CACHE_HOME"] {
            command.env_remove(name);
        }
        if let Some(path) = env::var_os("PATH") {
            let user_bin = self.home.join(".cargo/bin");
            let dirs = std::iter::once(user_bin).chain(env::split_paths(&path));
            if let Ok(path) = env::join_paths(dirs) {
                command.env("PATH", path);
            }
        }
        command
    }

    /// The cargo that builds the user-space packages.
    pub(crate) fn cargo(&self) -> Command {
        let own = self.home.join(".cargo/bin/cargo");
        if self.sudo_user.is_some() {
            return if own.exists() { self.as_user(own) } else { self.as_user("cargo") };
        }
        self.as_user(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
    }

    /// A command that runs as root, with `sudo` where needed; `vars` reach it in either case.
    pub(crate) fn as_root(&self, program: impl AsRef<OsStr>, vars: &[(&str, &OsStr)]) -> Result<Command> {
        let mut command = match self.privilege {
            Privilege::Root => {
                let mut command = Command::new(program);
                command.envs(vars.iter().copied());
                command
            }
            Privilege::Sudo => {
                // sudo clears the environment; `env` sets what is wanted whatever sudoers says about it.
                let mut command = Command::new("sudo");
                command.arg("env");
                for (name, value) in vars {
                    let mut pair = std::ffi::OsString::from(name);
                    pair.push("=");
                    pair.push(value);
                    command.arg(pair);
                }
                command.arg(program);
                command
            }
            Privilege::None => bail!(
                "{} needs root, you are not root, and sudo is not installed: run the same command as root",
                program.as_ref().display()
            ),
        };
        command.current_dir(&self.root);
        Ok(command)
    }

    /// Under `sudo`, cargo built xtask itself as root: gives such files in `target/` back to the user.
    pub(crate) fn hand_back_target(&self) {
        let Some(user) = &self.sudo_user else { return };
        let owner = format!("{}:{}", user.uid, user.gid);
        // A failure here leaves files that the user cannot replace; the next build says so better than we can.
        let _ = Command::new("chown")
            .args(["--recursive", "--no-dereference", "--from=root", &owner])
            .arg(&self.target)
            .status();
    }

    /// A program's path: setup's own tools first, then `PATH` and the folders that only root's `PATH` has.
    pub(crate) fn tool(&self, name: &str) -> Option<PathBuf> {
        let own = self.tools.join("bin").join(name);
        if own.is_file() { Some(own) } else { find_program(name) }
    }
}

/// Looks in `PATH` and in the folders that only root's `PATH` has.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

/// The user that builds belong to when root was reached through `sudo`.
fn sudo_user_name(is_root: bool, sudo_user: Option<&str>) -> Option<&str> {
    sudo_user.filter(|name| is_root && !name.is_empty() && *name != "root")
}

/// `$XDG_CACHE_HOME/redirector/tools`; a relative value is ignored, as the XDG specification asks.
fn tools_dir(xdg_cache_home: Option<&OsStr>, home: &Path) -> PathBuf {
    xdg_cache_home
        .map(PathBuf::from)
        .filter(|dir| dir.is_absolute())
        .unwrap_or_else(|| home.join(".cache"))
        .join("redirector/tools")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sudo_user_counts_only_for_root() {
        let table = [
            (true, Some("ann"), Some("ann")),
            (false, Some("ann"), None),
            (true, Some("root"), None),
            (true, Some(""), None),
            (true, None, None),
        ];
        for (is_root, name, expected) in table {
            assert_eq!(sudo_user_name(is_root, name), expected, "is_root {is_root}, SUDO_USER {name:?}");
        }
    }

    #[test]
    fn tools_are_kept_in_the_users_cache() {
        let home = Path::new("/home/ann");
        let table = [
            (None, "/home/ann/.cache/redirector/tools"),
            (Some("/var/cache/ann"), "/var/cache/ann/redirector/tools"),
            (Some("relative"), "/home/ann/.cache/redirector/tools"),
            (Some(""), "/home/ann/.cache/redirector/tools"),
        ];
        for (xdg, expected) in table {
            assert_eq!(tools_dir(xdg.map(OsStr::new), home), Path::new(expected), "XDG_CACHE_HOME {xdg:?}");
        }
    }
}
