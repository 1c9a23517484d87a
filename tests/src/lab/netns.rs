//! Network namespaces. They are made with `ip netns`, so that a person can enter them too, and
//! entered with `setns` of the network namespace alone: `ip netns exec` would mount a fresh /sys,
//! and pins would not be the host's.

use std::{
    ffi::OsStr,
    fmt::Write as _,
    fs::{self, File},
    io::{ErrorKind, Write as _},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    sched::{CloneFlags, setns},
    sys::{
        prctl,
        signal::{SigSet, Signal, kill},
    },
    unistd::Pid,
};

use super::process::run;

const FOLDER: &str = "/run/netns";

/// A handle: clones are the same namespace. Its owner's [`super::Claim`] removes it.
#[derive(Debug, Clone)]
pub struct Namespace {
    name: String,
    handle: Arc<File>,
}

impl Namespace {
    pub fn open(name: &str) -> Result<Self> {
        let path = Path::new(FOLDER).join(name);
        let handle = File::open(&path).with_context(|| format!("Cannot open {}", path.display()))?;
        Ok(Self { name: name.to_owned(), handle: Arc::new(handle) })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `work` inside, on a thread of its own. Sockets opened there stay in the namespace
    /// wherever they go.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let inside = || {
            setns(&*self.handle, CloneFlags::CLONE_NEWNET)
                .with_context(|| format!("Cannot enter the network namespace {}", self.name))?;
            work()
        };
        std::thread::scope(|scope| scope.spawn(inside).join())
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// A command that runs inside, and is killed when the thread that spawns it ends: use
    /// [`super::Process`] for what shall outlive the thread.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let handle = Arc::clone(&self.handle);
        let parent = Pid::this();
        let mut command = Command::new(program);
        // SAFETY: between fork and exec only system calls are made; nothing allocates or takes a
        // lock.
        unsafe {
            command.pre_exec(move || {
                setns(&*handle, CloneFlags::CLONE_NEWNET)?;
                prctl::set_pdeathsig(Signal::SIGKILL)?;
                // A parent that waits for signals has blocked them, and the mask is inherited.
                SigSet::empty().thread_set_mask()?;
                // The parent may have died before the line above.
                if Pid::parent() == parent { Ok(()) } else { Err(ErrorKind::BrokenPipe.into()) }
            });
        }
        command
    }

    /// `sysctl("net/ipv4/ip_forward", "1")`
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        self.enter(|| {
            fs::write(format!("/proc/sys/{key}"), value).with_context(|| format!("Cannot set {key}={value}"))
        })
    }

    /// Runs several `ip` commands inside: `["link set lo up", …]`.
    pub fn ip(&self, lines: &[impl AsRef<str>]) -> Result<()> {
        ip_batch(&["-n", &self.name], lines)
    }

    /// TCP segments that this namespace's kernel has dropped for a wrong checksum, since it was
    /// made.
    pub fn tcp_checksum_errors(&self) -> Result<u64> {
        self.tcp_counter("InCsumErrors")
    }

    /// A TCP counter of this namespace's kernel (RFC 4022): `EstabResets`, `OutRsts`, …
    pub fn tcp_counter(&self, name: &str) -> Result<u64> {
        // Not /proc/net: that is the main thread's.
        let text = self.enter(|| Ok(fs::read_to_string("/proc/thread-self/net/snmp")?))?;
        let mut tcp = text.lines().filter_map(|line| line.strip_prefix("Tcp: "));
        let names = tcp.next().unwrap_or_default().split(' ');
        let values = tcp.next().unwrap_or_default().split(' ');
        let (_, value) =
            names.zip(values).find(|(known, _)| *known == name).with_context(|| format!("no {name}"))?;
        Ok(value.parse()?)
    }
}

/// Makes namespaces and the veth pairs between them, in one go.
pub(super) fn create(names: &[String], links: &[Veth<'_>]) -> Result<Vec<Namespace>> {
    let mut batch: Vec<String> = names.iter().map(|name| format!("netns add {name}")).collect();
    batch.extend(links.iter().map(|Veth([(at, name), (peer_at, peer)])| {
        format!("link add {name} netns {at} type veth peer name {peer} netns {peer_at}")
    }));
    ip_batch(&[], &batch)?;
    names.iter().map(|name| Namespace::open(name)).collect()
}

/// Two ends, each a namespace's name and an interface's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Veth<'a>(pub(super) [(&'a str, &'a str); 2]);

fn ip_batch(options: &[&str], lines: &[impl AsRef<str>]) -> Result<()> {
    let mut batch = String::new();
    for line in lines {
        writeln!(batch, "{}", line.as_ref())?;
    }
    let mut child = Command::new("ip")
        .args(options)
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("Cannot run ip")?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(batch.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "`ip {} -batch` failed: {}\n{batch}",
        options.join(" "),
        String::from_utf8_lossy(&output.stderr).trim_end(),
    );
    Ok(())
}

/// The names of all namespaces of this host that have one.
pub(super) fn list() -> Result<Vec<String>> {
    entries(Path::new(FOLDER))
}

/// Kills what lives in the namespace, and removes it.
pub(super) fn remove(name: &str) -> Result<()> {
    let inhabitants = run(Command::new("ip").args(["netns", "pids", name]))?;
    for pid in inhabitants.lines().filter_map(|line| line.parse().ok()).map(Pid::from_raw) {
        if pid != Pid::this() {
            // It may have ended by itself meanwhile.
            let _ = kill(pid, Signal::SIGKILL);
        }
    }
    run(Command::new("ip").args(["netns", "del", name])).map(drop)
}

/// Names in a folder; none where there is no folder.
pub(super) fn entries(folder: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(error).with_context(|| format!("Cannot read {}", folder.display()));
        }
    };
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}
