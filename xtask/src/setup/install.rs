//! Carries a plan out: says what comes, installs it, and looks again whether it is there.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use super::{
    apt::Apt,
    facts::{self, Facts, Rustc},
    needs::{DEBIAN_COMPILER, LINKER_VERSION},
    plan::{self, Attempt, Compiler, Plan, RuledOut, Step},
};
use crate::{
    bpf::{self, Route},
    host::Host,
    process,
};

/// rustup waits minutes for a network that does not answer; a download that works takes less.
const RUSTUP_TIMEOUT: &str = "180";

/// Installs what the plan names; the route that works is the answer.
pub(super) fn carry_out(host: &Host, plan: &Plan) -> Result<Route> {
    announce(plan);
    if !plan.by_hand.is_empty() {
        bail!(
            "these programs are missing, and there is no apt-get to install them with: {}; install them with this \
             system's package manager, then run this command again",
            plan.by_hand.join(", ")
        );
    }
    let mut apt = Apt::new(host);
    if !plan.packages.is_empty() {
        apt.install("tools for the lab and the tests", &plan.packages)?;
    }
    match &plan.compiler {
        Compiler::Ready(route) => Ok(*route),
        Compiler::Try { attempts, ruled_out } => first_that_works(host, &mut apt, attempts, ruled_out),
    }
}

fn announce(plan: &Plan) {
    println!("Setup installs what is missing on this machine:");
    if !plan.packages.is_empty() {
        println!("  {} with apt-get: the lab and the tests use them", plan.packages.join(", "));
    }
    let Compiler::Try { attempts, ruled_out } = &plan.compiler else { return };
    for (position, attempt) in attempts.iter().enumerate() {
        if position > 0 {
            println!("  only if that fails:");
        }
        for step in &attempt.steps {
            println!("  {}", describe(*step));
        }
    }
    for RuledOut { route, reason } in ruled_out {
        println!("  (not {}: {reason})", route_name(*route));
    }
}

fn describe(step: Step) -> String {
    match step {
        Step::DebianCompiler => {
            format!(
                "{} with apt-get: a compiler that can build core for eBPF (about 1 min)",
                DEBIAN_COMPILER.join(", ")
            )
        }
        Step::NightlyToolchain => {
            "the nightly toolchain with rust-src, with rustup: it can build core for eBPF".into()
        }
        Step::NightlySource => {
            "rust-src for the nightly toolchain, with rustup: it can then build core for eBPF".into()
        }
        Step::Linker => format!(
            "bpf-linker {LINKER_VERSION} with cargo, and llvm-dev with apt-get if it is missing: links the eBPF \
             programs (about 2 min)"
        ),
    }
}

fn route_name(route: Route) -> &'static str {
    match route {
        Route::Debian => "Debian's rustc-web",
        Route::Nightly => "rustup's nightly",
    }
}

fn first_that_works(
    host: &Host,
    apt: &mut Apt<'_>,
    attempts: &[Attempt],
    ruled_out: &[RuledOut],
) -> Result<Route> {
    let mut failures: Vec<String> =
        ruled_out.iter().map(|out| format!("{}: {}", route_name(out.route), out.reason)).collect();
    for attempt in attempts {
        match follow(host, apt, attempt) {
            Ok(()) => return Ok(attempt.route),
            Err(error) => {
                let failure = format!("{error:#}");
                let last_line = failure.lines().last().unwrap_or_default().trim();
                println!("{} does not work here: {last_line}", route_name(attempt.route));
                failures.push(format!("{}: {failure}", route_name(attempt.route)));
            }
        }
    }
    bail!(
        "no compiler for the eBPF programs could be set up.\n  {}\nEither of these helps; then run this command again:\n  \
         - on Debian 12 or newer, with its security archive in the sources: apt-get install {}\n  - with rustup and \
         its network: rustup toolchain install nightly --component rust-src, and LLVM's development files as new as \
         that rustc's LLVM (`rustc +nightly -vV`)",
        failures.join("\n  "),
        DEBIAN_COMPILER.join(" ")
    )
}

fn follow(host: &Host, apt: &mut Apt<'_>, attempt: &Attempt) -> Result<()> {
    for step in &attempt.steps {
        match step {
            Step::DebianCompiler => apt.install("Debian's compiler for eBPF", &DEBIAN_COMPILER)?,
            Step::NightlyToolchain => rustup(
                host,
                "rustup's nightly",
                &["toolchain", "install", "nightly", "--profile", "minimal", "--component", "rust-src"],
            )?,
            Step::NightlySource => {
                rustup(
                    host,
                    "the nightly's source",
                    &["component", "add", "rust-src", "--toolchain", "nightly"],
                )?;
            }
            Step::Linker => install_linker(host, apt, attempt.route)?,
        }
    }
    // What was installed may still be another version than we need.
    let facts = facts::gather(host);
    match Plan::new(&facts).compiler {
        Compiler::Ready(_) => Ok(()),
        Compiler::Try { .. } => bail!("all is installed, and still does not fit together: {facts:?}"),
    }
}

fn rustup(host: &Host, what: &str, args: &[&str]) -> Result<()> {
    let mut command = host.as_user("timeout");
    command.args([RUSTUP_TIMEOUT, "rustup"]).args(args);
    let shown = format!("rustup {}", args.join(" "));
    process::run_step(&format!("installing {what}"), &shown, &mut command)
}

/// Builds bpf-linker against an LLVM that reads the compiler's bitcode, with the route's own compiler.
fn install_linker(host: &Host, apt: &mut Apt<'_>, route: Route) -> Result<()> {
    let facts = facts::gather(host);
    let rustc = route_rustc(&facts, route).with_context(|| format!("{} is not there", route_name(route)))?;
    let llvm = match plan::choose_llvm(rustc.llvm, &installed_llvms()) {
        Some(llvm) => llvm,
        None if facts.has_apt => {
            apt.install("LLVM, to build bpf-linker with", &[&format!("llvm-{}-dev", rustc.llvm)])?;
            rustc.llvm
        }
        None => bail!(
            "bpf-linker needs LLVM's development files, {} or newer (in /usr/lib/llvm-{}): install them",
            rustc.llvm,
            rustc.llvm
        ),
    };
    let mut cargo = bpf::cargo(host, route);
    cargo
        .args(["install", "bpf-linker", "--version", LINKER_VERSION, "--locked", "--no-default-features"])
        .args(["--features", &format!("llvm-{llvm}"), "--root"])
        .arg(&host.tools)
        .env("LLVM_PREFIX", llvm_prefix(llvm));
    let shown = format!(
        "LLVM_PREFIX={} cargo install bpf-linker --version {LINKER_VERSION} --locked --no-default-features --features \
         llvm-{llvm} --root {}",
        llvm_prefix(llvm).display(),
        host.tools.display()
    );
    process::run_step(&format!("building bpf-linker with LLVM {llvm}"), &shown, &mut cargo)
}

fn route_rustc(facts: &Facts, route: Route) -> Option<Rustc> {
    match route {
        Route::Debian => facts.debian,
        Route::Nightly => facts.nightly,
    }
}

fn installed_llvms() -> Vec<u32> {
    // The headers, not just the libraries: this is what the development package adds.
    (1..100).filter(|llvm| llvm_prefix(*llvm).join("include/llvm-c/Core.h").exists()).collect()
}

fn llvm_prefix(llvm: u32) -> PathBuf {
    PathBuf::from(format!("/usr/lib/llvm-{llvm}"))
}
