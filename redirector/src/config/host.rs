//! What a configuration takes from its host: the ephemeral ports, and passwords kept elsewhere.

use std::{
    env, fs,
    io::{self, Read},
    ops::RangeInclusive,
    path::Path,
};

use super::limits;

const PORT_RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
/// The kernel's own default, for hosts that do not let us look.
const KERNEL_DEFAULT: RangeInclusive<u16> = 32_768..=60_999;

/// What the checks must know about the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// `net.ipv4.ip_local_port_range`: ports that the host's own connections use.
    pub ephemeral_ports: RangeInclusive<u16>,
}

impl Host {
    /// This host, in the network namespace of the calling thread.
    pub fn read() -> Self {
        let ephemeral_ports = fs::read_to_string(PORT_RANGE)
            .ok()
            .and_then(|text| parse_port_range(&text))
            .unwrap_or(KERNEL_DEFAULT);
        Self { ephemeral_ports }
    }
}

fn parse_port_range(text: &str) -> Option<RangeInclusive<u16>> {
    let mut numbers = text.split_ascii_whitespace().map(str::parse);
    match (numbers.next(), numbers.next(), numbers.next()) {
        (Some(Ok(low)), Some(Ok(high)), None) if low <= high => Some(low..=high),
        _ => None,
    }
}

/// The ports that `snat` uses unless the file names some: the larger of the ranges below and above
/// the host's ephemeral ports, from 1024 up. Empty if the ephemeral ports leave nothing.
pub fn default_source_ports(ephemeral: RangeInclusive<u16>) -> RangeInclusive<u16> {
    #[expect(clippy::reversed_empty_ranges, reason = "the caller tests for emptiness")]
    const EMPTY: RangeInclusive<u16> = 1..=0;
    let (first, last) = limits::SOURCE_PORTS.into_inner();
    let below = match ephemeral.start().checked_sub(1) {
        Some(end) => first..=end,
        None => EMPTY,
    };
    let above = match ephemeral.end().checked_add(1) {
        Some(start) => start.max(first)..=last,
        None => EMPTY,
    };
    if below.len() >= above.len() { below } else { above }
}

/// Where passwords come from that are not written into the file itself.
pub trait Passwords {
    /// The content of a `password_file`. The path is absolute or relative to the working directory.
    fn file(&self, path: &Path) -> io::Result<String>;
    /// The value of a `password_env`.
    fn variable(&self, name: &str) -> Result<String, env::VarError>;
}

/// Passwords from the file system and the environment of this process.
#[derive(Debug, Clone, Copy)]
pub struct HostPasswords;

impl Passwords for HostPasswords {
    fn file(&self, path: &Path) -> io::Result<String> {
        let mut text = String::new();
        let bound = limits::MAX_PASSWORD_BYTES;
        // One byte more than allowed tells a file that is too long from one that just fits.
        fs::File::open(path)?.take(bound as u64 + 1).read_to_string(&mut text)?;
        if text.len() > bound {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("it holds more than {bound} bytes"),
            ));
        }
        Ok(text)
    }

    fn variable(&self, name: &str) -> Result<String, env::VarError> {
        env::var(name)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed set-up should fail the test at once")]
mod tests {
    use super::*;

    #[test]
    fn source_ports_take_the_larger_side() {
        for (ephemeral, expected) in [
            (32_768..=60_999, 1024..=32_767),
            (10_000..=20_000, 20_001..=65_535),
            (1024..=60_999, 61_000..=65_535),
            (500..=600, 1024..=65_535),
            (0..=0, 1024..=65_535),
            (65_535..=65_535, 1024..=65_534),
            (40_000..=65_535, 1024..=39_999),
        ] {
            assert_eq!(default_source_ports(ephemeral.clone()), expected, "{ephemeral:?}");
        }
        for all in [1024..=65_535, 0..=65_535, 1..=65_535] {
            assert!(default_source_ports(all.clone()).is_empty(), "{all:?}");
        }
    }

    #[test]
    fn port_range_as_the_kernel_prints_it() {
        assert_eq!(parse_port_range("32768\t60999\n"), Some(32_768..=60_999));
        for odd in ["", "1", "1 2 3", "2 1", "a b", "1 65536"] {
            assert_eq!(parse_port_range(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn password_files_are_bounded_text() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pass");
        fs::write(&path, "s3cret\n").unwrap();
        assert_eq!(HostPasswords.file(&path).unwrap(), "s3cret\n");
        fs::write(&path, "x".repeat(limits::MAX_PASSWORD_BYTES + 1)).unwrap();
        assert_eq!(HostPasswords.file(&path).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert_eq!(HostPasswords.file(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
