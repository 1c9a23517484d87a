//! A lab leaves nothing behind, however it ends.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use redirector_tests::lab::{Agent, AgentOptions, Lab, Options, RedisServer, wait_for};

const SECOND: Duration = Duration::from_secs(1);

fn lab() -> Lab {
    Lab::new(&Options::default()).unwrap()
}

/// Everything on this host that carries a lab's id.
fn traces(id: &str) -> BTreeSet<PathBuf> {
    ["/run/netns", "/sys/fs/bpf", "/run/redirector-lab"]
        .iter()
        .flat_map(|folder| fs::read_dir(folder).into_iter().flatten())
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            name == id || name.strip_prefix(id).is_some_and(|rest| rest.starts_with('-'))
        })
        .collect()
}

/// A process that has ended may wait as a zombie for somebody to notice.
fn is_running(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn assert_gone(id: &str, pids: &[u32]) {
    assert_eq!(traces(id), BTreeSet::new());
    for pid in pids {
        wait_for("a process of the lab to end", SECOND, || (!is_running(*pid)).then_some(())).unwrap();
    }
}

#[test]
fn drop_leaves_nothing() {
    let lab = lab();
    let id = lab.claim().id().to_owned();
    fs::create_dir_all(lab.claim().pins().join("nested")).unwrap();
    // Somebody has a shell open in there.
    let mut guest =
        Command::new("ip").args(["netns", "exec", lab.client.name(), "sleep", "1000"]).spawn().unwrap();
    let mut pids: Vec<u32> = lab.servers.iter().filter_map(RedisServer::pid).collect();
    pids.push(guest.id());
    wait_for("the guest to enter", SECOND, || {
        let name = fs::read_to_string(format!("/proc/{}/comm", guest.id())).ok()?;
        (name.trim() == "sleep").then_some(())
    })
    .unwrap();
    assert_eq!(traces(&id).len(), 7);
    assert!(pids.iter().all(|pid| is_running(*pid)));

    drop(lab);
    assert_gone(&id, &pids);
    guest.wait().unwrap();
}

/// A program to stand in for the agent.
fn stand_in(folder: &Path, script: &str) -> PathBuf {
    let file = folder.join("redirector");
    fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    file
}

#[test]
fn an_agent_runs_on_the_gateway_and_is_detached_in_the_end() {
    let lab = lab();
    let folder = tempfile::tempdir().unwrap();
    let calls = folder.path().join("calls");
    let script = format!(
        r#"echo "$@" >> {calls}
        [ "$1" = run ] || exit 3
        ip -br link show dev s3
        mkdir {pins}
        exec sleep 1000"#,
        calls = calls.display(),
        pins = lab.claim().pins().display(),
    );
    let options = AgentOptions { binary: Some(stand_in(folder.path(), &script)), ..AgentOptions::default() };
    let mut agent = Agent::start(&lab, &options).unwrap();
    let config = agent.config_path().to_path_buf();
    wait_for("the pins", SECOND, || lab.claim().pins().exists().then_some(())).unwrap();
    assert!(agent.log().starts_with("s3"), "{}", agent.log());
    assert_eq!(agent.exit_status(), None);

    let answer = agent.cli(&["weight", "cache/r2", "10"]).unwrap();
    assert_eq!(answer.code, Some(3));
    let socket = agent.socket().to_path_buf();
    let first = agent.pid().unwrap();
    agent.restart().unwrap();
    assert!(!is_running(first));
    wait_for("the second run", SECOND, || {
        (fs::read_to_string(&calls).ok()?.lines().count() == 3).then_some(())
    })
    .unwrap();
    drop(agent);
    let calls = fs::read_to_string(&calls).unwrap();
    let (config, socket) = (config.display(), socket.display());
    let expected = [
        format!("run --config {config}"),
        format!("weight cache/r2 10 --socket {socket}"),
        format!("run --config {config}"),
        format!("detach --config {config}"),
    ];
    assert_eq!(calls.lines().collect::<Vec<_>>(), expected);
}

/// The `lab` program with a stand-in for the agent, which says when it runs.
struct UserLab {
    id: String,
    folder: tempfile::TempDir,
    process: Child,
}

impl UserLab {
    fn start(role: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = "[ \"$1\" = run ] || exit 3; echo the agent runs; exec sleep 1000";
        let agent = stand_in(folder.path(), script);
        let id = format!("rdr-{role}{}", std::process::id());
        let process = Self::command(&id, &agent).stdout(Stdio::piped()).spawn().unwrap();
        let mut lab = Self { id, folder, process };
        let mut output = BufReader::new(lab.process.stdout.take().unwrap()).lines();
        assert!(output.any(|line| line.unwrap() == "the agent runs"), "the lab ended early");
        // The lab goes on printing.
        std::thread::spawn(move || output.count());
        lab
    }

    fn command(id: &str, agent: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
        command.args(["--id", id]).env("REDIRECTOR_BIN", agent);
        command
    }

    fn pids(&self) -> Vec<u32> {
        let roles = ["client", "gw", "r1", "r2", "r3"];
        roles
            .iter()
            .flat_map(|role| {
                let namespace = format!("{}-{role}", self.id);
                let output = Command::new("ip").args(["netns", "pids", &namespace]).output().unwrap();
                let text = String::from_utf8(output.stdout).unwrap();
                text.lines().map(|line| line.parse().unwrap()).collect::<Vec<_>>()
            })
            .collect()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id().try_into().unwrap()), signal).unwrap();
    }
}

impl Drop for UserLab {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn leftovers_of_a_killed_lab_are_cleaned() {
    let mut victim = UserLab::start("killed");
    let pids = victim.pids();
    assert_eq!(pids.len(), 4, "three servers and the agent");
    fs::create_dir(format!("/sys/fs/bpf/{}-pins", victim.id)).unwrap();
    assert_eq!(traces(&victim.id).len(), 7);

    // A lab that lives is left alone, also by a cleaning that somebody asks for.
    let clean = Command::new(env!("CARGO_BIN_EXE_lab")).arg("--clean").status().unwrap();
    assert!(clean.success());
    assert_eq!(traces(&victim.id).len(), 7);

    victim.signal(Signal::SIGKILL);
    victim.process.wait().unwrap();
    Lab::clean_leftovers().unwrap();
    assert_gone(&victim.id, &pids);
}

#[test]
fn a_second_lab_of_the_same_name_is_refused() {
    let first = UserLab::start("twice");
    let agent = first.folder.path().join("redirector");
    let second = UserLab::command(&first.id, &agent).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let text = String::from_utf8(second.stderr).unwrap();
    let owner = format!("already running (process {})", first.process.id());
    assert!(text.contains(&owner), "{text}");
    assert_eq!(traces(&first.id).len(), 6, "the first one goes on");
}

#[test]
fn ctrl_c_removes_everything_in_order() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut lab = UserLab::start("stopped");
        let pids = lab.pids();
        for pid in &pids {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
            assert!(status.contains("SigBlk:\t0000000000000000"), "it could not be stopped: {status}");
        }
        lab.signal(signal);
        let start = Instant::now();
        assert!(lab.process.wait().unwrap().success());
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        assert_gone(&lab.id, &pids);
    }
}
