//! redis-benchmark as it is, and what a process costs meanwhile.

use std::{fs, net::SocketAddrV4, time::Duration};

use anyhow::{Context as _, Result, ensure};
use nix::unistd::{SysconfVar, sysconf};

use crate::lab::Namespace;

/// A run of redis-benchmark with `-t set,get`.
#[derive(Debug, Clone, Copy)]
pub struct Benchmark {
    pub clients: u32,
    /// Of each command.
    pub requests: u64,
}

impl Benchmark {
    /// Runs it to its end. Any error of any of its connections is an error here.
    pub fn run(&self, namespace: &Namespace, address: SocketAddrV4) -> Result<()> {
        let mut command = namespace.command("redis-benchmark");
        command
            .args(["-h", &address.ip().to_string(), "-p", &address.port().to_string()])
            .args(["-c", &self.clients.to_string(), "-n", &self.requests.to_string()])
            .args(["-t", "set,get", "--csv"]);
        let output = command.output().context("Cannot run redis-benchmark; is redis-tools installed?")?;
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(
            output.status.success() && stderr.is_empty() && !stdout.to_lowercase().contains("error"),
            "redis-benchmark ended with {}: {stderr}{stdout}",
            output.status
        );
        for test in ["\"SET\"", "\"GET\""] {
            ensure!(
                stdout.lines().any(|line| line.starts_with(test)),
                "redis-benchmark has no result for {test}: {stdout}"
            );
        }
        Ok(())
    }
}

/// Processor time that a process has used so far, in user space and in the kernel (proc(5)).
pub fn cpu_time(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in brackets, may hold blanks. After it come the fields from the third on.
    let (_, rest) = stat.rsplit_once(") ").context("no name in stat")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let field = |number: usize| Ok::<u64, anyhow::Error>(fields.get(number - 3).context("stat")?.parse()?);
    let ticks = field(14)? + field(15)?;
    let per_second = sysconf(SysconfVar::CLK_TCK)?.context("no clock tick")?;
    Ok(Duration::from_millis(ticks * 1000 / u64::try_from(per_second)?))
}
