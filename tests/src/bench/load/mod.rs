//! `bench load`: what each way to the master costs in throughput, side by side.

mod cpu;
mod redis_benchmark;
mod sheet;
mod way;

use std::{fmt, time::Instant};

use anyhow::Result;
use serde_json::{Value, json};

use self::{
    redis_benchmark::WORKLOADS,
    sheet::{Sample, Sheet},
    way::Ways,
};
use super::{haproxy, host::Host, interrupt};

/// What was measured, and where.
#[derive(Debug)]
pub struct Report {
    host: Host,
    runs: u32,
    /// `None`: not installed, so not compared.
    haproxy: Option<String>,
    sheet: Sheet,
}

/// Runs every load `runs` times on every way, the ways in turn.
pub fn measure(runs: u32, progress: impl Fn(&str)) -> Result<Report> {
    redis_benchmark::check_installed()?;
    let host = Host::look();
    let haproxy = haproxy::version();
    let ways = Ways::build(haproxy.is_some())?;
    let mut sheet = Sheet::default();
    for run in 0..runs {
        for workload in &WORKLOADS {
            progress(&format!("run {} of {runs}: {}", run + 1, workload.name));
            // Each run begins with another way: none has the advantage of a rested machine.
            let mut order: Vec<_> = ways.all().iter().collect();
            let first = usize::try_from(run)? % order.len();
            order.rotate_left(first);
            for way in order {
                interrupt::check()?;
                let (before, start) = (way.keeper_cpu()?, Instant::now());
                let requests_per_s = redis_benchmark::run(&way.client, way.address, workload)?;
                let (cpu, took) = (way.keeper_cpu()?.saturating_sub(before), start.elapsed());
                sheet.add(workload.name, way.name, Sample { requests_per_s, cpu, took });
            }
        }
    }
    Ok(Report { host, runs, haproxy, sheet })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, runs, haproxy, sheet } = self;
        writeln!(f, "Load, 50 clients, 64 byte values, medians of {runs} runs; {host}")?;
        match haproxy {
            Some(version) => writeln!(f, "haproxy: HAProxy {version}, a thread per core")?,
            None => writeln!(f, "HAProxy is not installed, so there is no peer: apt-get install haproxy")?,
        }
        write!(f, "\n{}", sheet.table())
    }
}

impl Report {
    pub fn json(&self) -> Value {
        let Self { host, runs, haproxy, sheet } = self;
        json!({
            "benchmark": "load",
            "kernel": host.kernel, "cores": host.cores, "load": host.load,
            "runs": runs, "haproxy": haproxy,
            "figures": sheet.json(),
        })
    }
}
