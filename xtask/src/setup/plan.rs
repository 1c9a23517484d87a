//! What to install, and in which order to try. Pure: facts in, plan out.

use super::{
    facts::{Facts, Rustc},
    needs::{LINKER_LLVMS, LINKER_VERSION, MIN_RUSTC_MINOR, PROGRAMS},
};
use crate::{bpf::Route, host::Privilege};

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Packages for the lab and the tests.
    pub(super) packages: Vec<&'static str>,
    /// Programs that only a person can install here: there is no apt.
    pub(super) by_hand: Vec<&'static str>,
    pub(super) compiler: Compiler,
}

/// How eBPF programs get built.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Compiler {
    Ready(Route),
    /// Routes to try, best first, and why the others are not.
    Try {
        attempts: Vec<Attempt>,
        ruled_out: Vec<RuledOut>,
    },
}

/// One route, with the steps it still needs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    pub(super) route: Route,
    pub(super) steps: Vec<Step>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct RuledOut {
    pub(super) route: Route,
    pub(super) reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Debian's compiler with its source.
    DebianCompiler,
    /// rustup's nightly with its source.
    NightlyToolchain,
    /// The source for a nightly that is there.
    NightlySource,
    /// bpf-linker, and the LLVM it is built with.
    Linker,
}

impl Plan {
    pub(super) fn new(facts: &Facts) -> Self {
        let mut packages = Vec::new();
        let mut by_hand = Vec::new();
        for &program in &facts.missing_programs {
            let package = PROGRAMS.iter().find(|(name, _)| *name == program).map(|(_, package)| *package);
            match package {
                Some(package) if facts.has_apt => packages.push(package),
                Some(_) | None => by_hand.push(program),
            }
        }
        packages.dedup();
        Self { packages, by_hand, compiler: Compiler::choose(facts) }
    }
}

impl Compiler {
    /// A route that is ready wins. Else Debian's compiler comes first, a fixed version that we know to work; a
    /// nightly is another one every day.
    fn choose(facts: &Facts) -> Self {
        let mut attempts = Vec::new();
        let mut ruled_out = Vec::new();
        for route in [Route::Debian, Route::Nightly] {
            match steps(facts, route) {
                Ok(steps) if steps.is_empty() => return Self::Ready(route),
                Ok(steps) => attempts.push(Attempt { route, steps }),
                Err(reason) => ruled_out.push(RuledOut { route, reason }),
            }
        }
        // What needs only the linker spares a compiler's download.
        attempts.sort_by_key(|attempt| attempt.steps != [Step::Linker]);
        Self::Try { attempts, ruled_out }
    }
}

/// What a route still needs, or why it cannot work here.
fn steps(facts: &Facts, route: Route) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let rustc = match route {
        Route::Debian => {
            let rustc = facts.debian.filter(|rustc| rustc.has_source && rustc.minor >= MIN_RUSTC_MINOR);
            if rustc.is_none() {
                if !facts.has_apt {
                    return Err("there is no apt-get on this system".into());
                }
                if facts.privilege == Privilege::None {
                    return Err("apt-get needs root, and there is no sudo".into());
                }
                steps.push(Step::DebianCompiler);
            }
            rustc
        }
        Route::Nightly => {
            if !facts.has_rustup {
                return Err("rustup is not installed".into());
            }
            match facts.nightly {
                None => steps.push(Step::NightlyToolchain),
                Some(rustc) if !rustc.has_source => steps.push(Step::NightlySource),
                Some(_) => {}
            }
            facts.nightly
        }
    };
    if !linker_fits(facts.linker_llvm, rustc) {
        if let Some(rustc) = rustc.filter(|rustc| !LINKER_LLVMS.contains(&rustc.llvm)) {
            return Err(format!(
                "its rustc has LLVM {}, and bpf-linker {LINKER_VERSION} knows {} to {}",
                rustc.llvm,
                LINKER_LLVMS.start(),
                LINKER_LLVMS.end()
            ));
        }
        steps.push(Step::Linker);
    }
    Ok(steps)
}

/// The linker reads the compiler's bitcode: its LLVM may be newer, not older.
fn linker_fits(linker_llvm: Option<u32>, rustc: Option<Rustc>) -> bool {
    match (linker_llvm, rustc) {
        (Some(linker), Some(rustc)) => linker >= rustc.llvm,
        (_, None) | (None, _) => false,
    }
}

/// The installed LLVM to build the linker with: the compiler's own version, else the next newer one.
pub(super) fn choose_llvm(rustc_llvm: u32, installed: &[u32]) -> Option<u32> {
    installed.iter().copied().filter(|llvm| *llvm >= rustc_llvm && LINKER_LLVMS.contains(llvm)).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Debian 12 with rustup's stable and nothing else.
    const FRESH: Facts = Facts {
        privilege: Privilege::Root,
        has_apt: true,
        has_rustup: true,
        debian: None,
        nightly: None,
        linker_llvm: None,
        missing_programs: Vec::new(),
    };
    const RUSTC: Rustc = Rustc { minor: 96, llvm: 22, has_source: true };
    const NO_SOURCE: Rustc = Rustc { has_source: false, ..RUSTC };

    fn routes(facts: &Facts) -> (Option<Route>, Vec<(Route, Vec<Step>)>) {
        match Plan::new(facts).compiler {
            Compiler::Ready(route) => (Some(route), Vec::new()),
            Compiler::Try { attempts, ruled_out: _ } => {
                (None, attempts.into_iter().map(|attempt| (attempt.route, attempt.steps)).collect())
            }
        }
    }

    #[test]
    fn the_route_follows_from_the_facts() {
        use Route::{Debian, Nightly};
        use Step::{DebianCompiler, Linker, NightlySource, NightlyToolchain};
        let table = [
            (
                "fresh: Debian's compiler, then a nightly",
                FRESH,
                (
                    None,
                    vec![(Debian, vec![DebianCompiler, Linker]), (Nightly, vec![NightlyToolchain, Linker])],
                ),
            ),
            (
                "all there",
                Facts { debian: Some(RUSTC), linker_llvm: Some(22), ..FRESH },
                (Some(Debian), vec![]),
            ),
            (
                "a newer LLVM does",
                Facts { debian: Some(RUSTC), linker_llvm: Some(23), ..FRESH },
                (Some(Debian), vec![]),
            ),
            (
                "a ready nightly spares Debian's",
                Facts { nightly: Some(RUSTC), linker_llvm: Some(22), ..FRESH },
                (Some(Nightly), vec![]),
            ),
            (
                "a nightly that only lacks the linker comes first",
                Facts { nightly: Some(RUSTC), ..FRESH },
                (None, vec![(Nightly, vec![Linker]), (Debian, vec![DebianCompiler, Linker])]),
            ),
            (
                "the linker's LLVM is too old",
                Facts { debian: Some(RUSTC), linker_llvm: Some(21), has_rustup: false, ..FRESH },
                (None, vec![(Debian, vec![Linker])]),
            ),
            (
                "an old compiler does not count",
                Facts { debian: Some(Rustc { minor: 63, ..RUSTC }), has_rustup: false, ..FRESH },
                (None, vec![(Debian, vec![DebianCompiler, Linker])]),
            ),
            (
                "no apt",
                Facts { has_apt: false, nightly: Some(NO_SOURCE), ..FRESH },
                (None, vec![(Nightly, vec![NightlySource, Linker])]),
            ),
            (
                "no way to root",
                Facts { privilege: Privilege::None, ..FRESH },
                (None, vec![(Nightly, vec![NightlyToolchain, Linker])]),
            ),
            ("nothing works", Facts { has_apt: false, has_rustup: false, ..FRESH }, (None, vec![])),
        ];
        for (name, facts, expected) in table {
            assert_eq!(routes(&facts), expected, "{name}");
        }
    }

    #[test]
    fn a_route_that_is_ruled_out_says_why() {
        let future = Rustc { llvm: 24, ..RUSTC };
        let facts = Facts { has_apt: false, nightly: Some(future), ..FRESH };
        let Compiler::Try { attempts, ruled_out } = Plan::new(&facts).compiler else {
            unreachable!("nothing is ready here")
        };
        assert_eq!(attempts, []);
        let reasons: Vec<_> = ruled_out.iter().map(|out| (out.route, out.reason.as_str())).collect();
        let expected = [
            (Route::Debian, "there is no apt-get on this system"),
            (Route::Nightly, "its rustc has LLVM 24, and bpf-linker 0.13.0 knows 21 to 23"),
        ];
        assert_eq!(reasons, expected);
    }

    #[test]
    fn missing_programs_become_packages_where_there_is_apt() {
        let facts = Facts { missing_programs: vec!["redis-cli", "redis-benchmark", "tc"], ..FRESH };
        let plan = Plan::new(&facts);
        assert_eq!((plan.packages, plan.by_hand), (vec!["redis-tools", "iproute2"], vec![]));

        let plan = Plan::new(&Facts { has_apt: false, ..facts });
        assert_eq!((plan.packages, plan.by_hand), (vec![], vec!["redis-cli", "redis-benchmark", "tc"]));
    }

    #[test]
    fn the_linkers_llvm_is_as_new_as_the_compilers() {
        let table: [(u32, &[u32], Option<u32>); 5] = [
            (22, &[21, 22, 23], Some(22)),
            (22, &[21, 23], Some(23)),
            (22, &[14, 21], None),
            (22, &[24], None),
            (22, &[], None),
        ];
        for (rustc, installed, expected) in table {
            assert_eq!(choose_llvm(rustc, installed), expected, "rustc has {rustc}, installed {installed:?}");
        }
    }
}
