//! redis-benchmark, as it is.

use std::{net::SocketAddrV4, process::Command};

use anyhow::{Context as _, Result, ensure};

use crate::lab::{Namespace, run as run_command};

/// One kind of load.
#[derive(Debug, Clone, Copy)]
pub(super) struct Workload {
    pub(super) name: &'static str,
    command: &'static str,
    requests: u32,
    arguments: &'static [&'static str],
}

pub(super) const WORKLOADS: [Workload; 5] = [
    Workload { name: "SET, depth 1", command: "SET", requests: 100_000, arguments: &["-P", "1"] },
    Workload { name: "GET, depth 1", command: "GET", requests: 100_000, arguments: &["-P", "1"] },
    Workload { name: "SET, depth 16", command: "SET", requests: 800_000, arguments: &["-P", "16"] },
    Workload { name: "GET, depth 16", command: "GET", requests: 800_000, arguments: &["-P", "16"] },
    // More at a time and the client runs out of ports, whatever stands between.
    Workload {
        name: "SET, a connection per request",
        command: "SET",
        requests: 8_000,
        arguments: &["-k", "0"],
    },
];

pub(super) fn check_installed() -> Result<()> {
    ensure!(
        run_command(Command::new("redis-benchmark").arg("--version")).is_ok(),
        "This benchmark needs `redis-benchmark`, which is not in PATH: apt-get install redis-tools"
    );
    Ok(())
}

/// Runs it in `client`; an error of one request is an error. Requests per second.
pub(super) fn run(client: &Namespace, address: SocketAddrV4, workload: &Workload) -> Result<f64> {
    let mut command = client.command("redis-benchmark");
    command
        .args(["-h", &address.ip().to_string(), "-p", &address.port().to_string()])
        .args(["-c", "50", "-d", "64", "--csv", "-n", &workload.requests.to_string()])
        .args(["-t", &workload.command.to_lowercase()])
        .args(workload.arguments);
    let csv = run_command(&mut command)?;
    parse(&csv, workload.command)
        .with_context(|| format!("redis-benchmark on {address} has printed no figure: {csv}"))
}

/// `"SET","56179.77","0.451",…` below a header.
fn parse(csv: &str, command: &str) -> Option<f64> {
    let rate = |line: &str| {
        let mut cells = line.split(',').map(|cell| cell.trim_matches('"'));
        let rate: f64 = (cells.next()? == command).then(|| cells.next())??.parse().ok()?;
        (rate > 0.0).then_some(rate)
    };
    csv.lines().find_map(rate)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn the_rate_is_read() {
        let csv = "\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\"\n\
                   \"SET\",\"50000.00\",\"0.451\",\"0.1\"\n\"GET\",\"0.00\",\"0.3\",\"0.1\"\n";
        assert_eq!(parse(csv, "SET"), Some(50_000.0));
        assert_eq!(parse(csv, "GET"), None, "nothing was answered");
        assert_eq!(parse(csv, "test"), None);
    }
}
