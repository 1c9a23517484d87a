//! `cargo xtask test`: builds as the user, then runs each test binary as what it needs to be.
//!
//! Tests use the release profile as everything else does: the dependencies are built once, and the tests run
//! what is shipped.

use std::{
    ffi::OsString,
    fmt,
    io::IsTerminal as _,
    path::Path,
    process::{Command, ExitStatus},
};

use anyhow::{Context as _, Result, bail};

use crate::{artifacts::Artifact, bpf, host::Host, process, setup, summary::Summary};

/// The folder of the package whose tests need root: they make network namespaces and load programs.
const PRIVILEGED_PACKAGE: &str = "tests";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only tests whose names contain this
    filter: Option<OsString>,
    /// For the test binaries, such as --nocapture or --test-threads=1
    #[arg(last = true)]
    args: Vec<OsString>,
}

pub(crate) fn command(host: &Host, args: &Args) -> Result<()> {
    let route = setup::ensure(host)?;
    bpf::build(host, route)?;
    let artifacts = build(host)?;
    let agent = artifacts.iter().find(|artifact| !artifact.is_test && artifact.name == "redirector");
    let agent = &agent.context("cargo built no binary `redirector`")?.executable;

    let mut report = Report::default();
    let mut tests: Vec<&Artifact> = artifacts.iter().filter(|artifact| artifact.is_test).collect();
    // The quick ones first: who breaks a pure rule hears of it before the lab starts.
    tests.sort_by_key(|test| (is_privileged(host, test), &test.package_dir, &test.name));
    for test in tests {
        let name = test.source.strip_prefix(&host.root).unwrap_or(&test.source).display().to_string();
        let mut command = test_command(host, test, agent)?;
        command.args(color_arg()).args(&args.filter).args(&args.args);
        report.run(&name, &mut command, Results::Last)?;
    }
    let mut doc = host.cargo();
    doc.args(["test", "--release", "--workspace", "--doc", "--"]).args(&args.filter).args(&args.args);
    report.run("the documentation's examples", &mut doc, Results::All)?;

    println!("\n{report}");
    report.verdict(args.filter.is_none() && args.args.is_empty())
}

/// One build for the programs and the tests: two would differ in features and build the dependencies twice.
fn build(host: &Host) -> Result<Vec<Artifact>> {
    println!("→ building the agent, the lab and the tests");
    let mut cargo = host.cargo();
    cargo.args(["build", "--release", "--workspace", "--lib", "--bins", "--tests"]);
    cargo.arg("--message-format=json-render-diagnostics");
    let mut artifacts = Vec::new();
    let status = process::each_line(&mut cargo, |line| artifacts.extend(Artifact::from_message(line)))?;
    process::check(&cargo, status)?;
    Ok(artifacts.into_iter().filter(|artifact| artifact.package_dir.starts_with(&host.root)).collect())
}

fn is_privileged(host: &Host, test: &Artifact) -> bool {
    test.package_dir == host.root.join(PRIVILEGED_PACKAGE)
}

/// A test binary as cargo would run it: in its package's folder.
fn test_command(host: &Host, test: &Artifact, agent: &Path) -> Result<Command> {
    let vars = [("REDIRECTOR_BIN", agent.as_os_str()), ("CARGO_MANIFEST_DIR", test.package_dir.as_os_str())];
    let mut command = if is_privileged(host, test) {
        host.as_root(&test.executable, &vars)?
    } else {
        let mut command = host.as_user(&test.executable);
        command.envs(vars);
        command
    };
    command.current_dir(&test.package_dir);
    Ok(command)
}

/// The binaries write into our pipe, so they do not see the terminal themselves.
fn color_arg() -> Option<&'static str> {
    std::io::stdout().is_terminal().then_some("--color=always")
}

/// Which of a command's result lines count.
#[derive(Clone, Copy)]
enum Results {
    /// One test binary: earlier ones are what a test printed.
    Last,
    /// Cargo, which runs several in turn.
    All,
}

/// What all binaries said.
#[derive(Default)]
struct Report {
    sum: Summary,
    failed: Vec<String>,
}

impl Report {
    fn run(&mut self, name: &str, command: &mut Command, results: Results) -> Result<()> {
        println!("\n→ testing {name}");
        let mut own = Summary::default();
        let status = process::each_line(command, |line| {
            println!("{line}");
            match (Summary::from_line(line), results) {
                (Some(summary), Results::Last) => own = summary,
                (Some(summary), Results::All) => own.add(summary),
                (None, _) => {}
            }
        })?;
        self.record(name, own, status);
        Ok(())
    }

    fn record(&mut self, name: &str, mut own: Summary, status: ExitStatus) {
        if !status.success() {
            // A binary that crashed or did not start has no result line, and still is a failure.
            own.failed = own.failed.max(1);
            self.failed.push(format!("{name}: {status}"));
        }
        self.sum.add(own);
    }

    fn verdict(&self, expects_tests: bool) -> Result<()> {
        if !self.failed.is_empty() || self.sum.failed > 0 {
            bail!("tests failed");
        }
        if expects_tests && self.sum.total() == 0 {
            bail!("no test ran");
        }
        Ok(())
    }
}

/// The failed binaries, then the closing line.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for failed in &self.failed {
            writeln!(f, "failed: {failed}")?;
        }
        write!(f, "{}", self.sum)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    #[test]
    fn a_crash_counts_as_a_failure_and_is_named() {
        let mut report = Report::default();
        let exit = |code: i32| ExitStatus::from_raw(code << 8);
        report.record("good", Summary { passed: 2, failed: 0 }, exit(0));
        report.record("bad", Summary { passed: 1, failed: 3 }, exit(101));
        report.record("crashed", Summary::default(), ExitStatus::from_raw(6));
        let expected =
            "failed: bad: exit status: 101\nfailed: crashed: signal: 6 (SIGABRT)\n3 passed, 4 failed";
        assert_eq!(report.to_string(), expected);
        assert!(report.verdict(true).is_err());
    }

    #[test]
    fn no_test_at_all_is_an_error_unless_a_filter_asked_for_few() {
        assert!(Report::default().verdict(true).is_err());
        assert!(Report::default().verdict(false).is_ok());
    }
}
