//! What this process may do, before it tries.

use std::fs;

/// The capabilities that steering takes, and their numbers (include/uapi/linux/capability.h).
const NEEDED: [(&str, u32); 4] =
    [("CAP_NET_ADMIN", 12), ("CAP_NET_RAW", 13), ("CAP_PERFMON", 38), ("CAP_BPF", 39)];
/// Stands for `CAP_BPF` and `CAP_PERFMON`, too.
const SYS_ADMIN: u32 = 21;

/// Names of the capabilities that this process lacks. Empty where it cannot be told: then the kernel will say.
pub(super) fn missing() -> Vec<&'static str> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    effective(&status).map(lacks).unwrap_or_default()
}

fn effective(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn lacks(effective: u64) -> Vec<&'static str> {
    let has = |number: u32| effective >> number & 1 != 0;
    NEEDED
        .iter()
        .filter(|(_, number)| !(has(*number) || *number >= 38 && has(SYS_ADMIN)))
        .map(|(name, _)| *name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lacking_is_named() {
        let cases: [(&str, &[&str]); 4] = [
            ("Name:\tx\nCapEff:\t000001ffffffffff\n", &[]),
            ("CapEff:\t0000000000000000\n", &["CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_PERFMON", "CAP_BPF"]),
            ("CapEff:\t0000000000203000\n", &[]),
            ("CapEff:\t0000008000003000\n", &["CAP_PERFMON"]),
        ];
        for (status, expected) in cases {
            assert_eq!(effective(status).map(lacks).as_deref(), Some(expected), "{status}");
        }
        assert_eq!(effective("Name:\tx\n"), None);
    }
}
