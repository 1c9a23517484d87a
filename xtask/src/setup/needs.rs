//! What a build and its tests need. One place for each name and version.

/// The bpf-linker that setup builds; its features name the versions of LLVM that it knows.
pub(super) const LINKER_VERSION: &str = "0.13.0";
pub(super) const LINKER_LLVMS: std::ops::RangeInclusive<u32> = 21..=23;

/// aya needs this much of a compiler.
pub(super) const MIN_RUSTC_MINOR: u32 = 87;

/// Programs that the lab, the tests and the benchmarks call, with Debian's packages.
pub(super) const PROGRAMS: [(&str, &str); 9] = [
    ("redis-server", "redis-server"),
    ("redis-cli", "redis-tools"),
    ("redis-benchmark", "redis-tools"),
    ("ip", "iproute2"),
    ("tc", "iproute2"),
    ("ss", "iproute2"),
    ("ethtool", "ethtool"),
    ("sysctl", "procps"),
    ("haproxy", "haproxy"),
];

/// Debian's compiler. `llvm-N-dev` for the linker comes when the compiler has told its N.
pub(super) const DEBIAN_COMPILER: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];
