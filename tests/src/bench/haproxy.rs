//! The peer: `HAProxy` on the gateway, which finds the master by a send/expect check.

use std::{
    fmt::Write as _,
    fs,
    io::{Read as _, Write as _},
    net::SocketAddrV4,
    os::unix::net::UnixStream,
    path::PathBuf,
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};

use crate::lab::{GATEWAY, Lab, Process, run, wait_for};

/// From the start to a master.
const READY: Duration = Duration::from_secs(10);

/// How one `HAProxy` differs from another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    /// Names its files, and its rows in the tables.
    pub(super) name: &'static str,
    /// On the gateway's address towards the client.
    pub(super) port: u16,
    /// What stands behind the address of each `server`.
    pub(super) check: &'static str,
}

/// What most people have, with the defaults: a check a second, down after three failures, up after two
/// successes.
pub(super) const PLAIN: Settings = Settings { name: "haproxy", port: 6390, check: "check inter 1s" };

/// As sharp as the checks can be set without asking the servers more than twenty times a second.
pub(super) const TUNED: Settings = Settings {
    name: "haproxy-tuned",
    port: 6391,
    check: "check inter 100ms fastinter 50ms rise 1 fall 1 on-marked-down shutdown-sessions",
};

/// A running `HAProxy`.
#[derive(Debug)]
pub(super) struct HaProxy {
    settings: Settings,
    socket: PathBuf,
    process: Process,
}

/// `2.6.12-1+deb12u4`; `None` where it is not installed.
pub(super) fn version() -> Option<String> {
    let text = run(Command::new("haproxy").arg("-v")).ok()?;
    text.split_whitespace().nth(2).map(str::to_owned)
}

impl HaProxy {
    /// For a lab whose master is r1. Returns when it serves.
    pub(super) fn start(lab: &Lab, settings: Settings) -> Result<Self> {
        let Settings { name, .. } = settings;
        let file = lab.claim().path(&format!("{name}.cfg"));
        let socket = lab.claim().path(&format!("{name}.sock"));
        let servers = lab.servers.iter().map(|server| (server.name(), server.address()));
        fs::write(&file, config(settings, &socket.display().to_string(), servers)?)?;
        let mut command = lab.gateway.command("haproxy");
        command.args(["-db", "-f"]).arg(&file);
        let log = lab.claim().path(&format!("{name}.log"));
        let process = Process::spawn_logged(name, command, &log)?;
        let mut peer = Self { settings, socket, process };
        peer.wait_ready(lab.servers[0].name())
            .with_context(|| fs::read_to_string(&log).unwrap_or_default())?;
        Ok(peer)
    }

    fn wait_ready(&mut self, master: &str) -> Result<()> {
        wait_for("HAProxy to find the master", READY, || {
            if let Some(status) = self.process.exit_status() {
                return Some(Err(anyhow!("HAProxy has ended ({status}).")));
            }
            self.has_settled_on(master).then_some(Ok(()))
        })?
    }

    pub(super) fn name(&self) -> &'static str {
        self.settings.name
    }

    pub(super) fn address(&self) -> SocketAddrV4 {
        SocketAddrV4::new(GATEWAY, self.settings.port)
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Whether it sends connections to this server, to no other, and is of two minds about none.
    pub(super) fn has_settled_on(&self, server: &str) -> bool {
        self.show_stat().is_ok_and(|stat| settled_on(&stat, server))
    }

    fn show_stat(&self) -> Result<String> {
        let mut stream = UnixStream::connect(&self.socket).context("HAProxy's socket")?;
        stream.write_all(b"show stat\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

fn config<'a>(
    settings: Settings,
    socket: &str,
    servers: impl Iterator<Item = (&'a str, SocketAddrV4)>,
) -> Result<String> {
    let Settings { port, check, .. } = settings;
    let mut text = format!(
        r"global
  maxconn 4000
  stats socket {socket} level admin
defaults
  mode tcp
  timeout connect 4s
  timeout server 30s
  timeout client 30s
frontend ft_redis
  bind {GATEWAY}:{port} name redis
  default_backend bk_redis
backend bk_redis
  option tcp-check
  tcp-check connect
  tcp-check send PING\r\n
  tcp-check expect string +PONG
  tcp-check send info\ replication\r\n
  tcp-check expect string role:master
  tcp-check send QUIT\r\n
  tcp-check expect string +OK
"
    );
    for (name, address) in servers {
        writeln!(text, "  server {name} {address} {check}")?;
    }
    Ok(text)
}

/// Reads the answer to `show stat` (management guide, 9.1): the name is column 1, the status column 17.
fn settled_on(stat: &str, server: &str) -> bool {
    let mut servers = stat
        .lines()
        .map(|line| line.split(',').collect::<Vec<_>>())
        .filter(|cells| cells.first() == Some(&"bk_redis") && cells.get(1) != Some(&"BACKEND"))
        .peekable();
    // `UP 1/3` and `DOWN 1/2` are on their way to the other.
    servers.peek().is_some()
        && servers.all(|cells| {
            let wanted = if cells.get(1) == Some(&server) { "UP" } else { "DOWN" };
            cells.get(17) == Some(&wanted)
        })
}

#[cfg(test)]
mod tests {
    use super::settled_on;

    #[test]
    fn settled_is_one_up_and_the_others_down() {
        for (r1, r2, settled) in [
            ("UP", "DOWN", true),
            ("UP", "UP", false),
            ("DOWN", "UP", false),
            ("DOWN", "DOWN", false),
            ("UP 1/3", "DOWN", false),
            ("UP", "DOWN 1/2", false),
        ] {
            let line =
                |name, status| format!("bk_redis,{name},0,0,0,1,,7,385,1230,,0,,0,0,0,0,{status},1,1,0,\n");
            let stat = format!(
                "# pxname,svname\nft_redis,FRONTEND,,,0,0,262121,0,0,0,0,0,0,,,,,OPEN\n{}{}{}",
                line("r1", r1),
                line("r2", r2),
                line("BACKEND", "UP")
            );
            assert_eq!(settled_on(&stat, "r1"), settled, "{r1}, {r2}");
        }
        assert!(!settled_on("", "r1"));
    }
}
