//! The conditions that figures belong to.

use std::{fmt, fs, thread::available_parallelism};

/// What a reader must know of the machine to compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Host {
    pub(super) kernel: String,
    pub(super) cores: usize,
    /// Processes that wanted to run in the minute before: on a quiet machine far below `cores`.
    pub(super) load: String,
}

impl Host {
    pub(super) fn look() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Self {
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            cores: available_parallelism().map_or(1, Into::into),
            load: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kernel, cores, load } = self;
        write!(f, "kernel {kernel}, {cores} cores, load {load} before the start, veth without offload")
    }
}
