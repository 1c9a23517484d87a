//! Every bound of a configuration, in one place.

use std::{ops::RangeInclusive, time::Duration};

/// Services in one file.
pub const MAX_SERVICES: usize = 256;
/// Servers summed over all services: a group counts once for each service that leads to it.
pub const MAX_BACKENDS: usize = 4096;
/// Bytes of the name of a group, a server or a service.
pub const MAX_NAME_BYTES: usize = 32;
/// Bytes of an interface name: the kernel's `IFNAMSIZ` less the closing zero.
pub const MAX_INTERFACE_BYTES: usize = 15;
/// Bytes of a socket's path: `sun_path` of `unix(7)` less the closing zero.
pub const MAX_SOCKET_PATH_BYTES: usize = 107;
/// Bytes of a password file. A larger file is something else.
pub const MAX_PASSWORD_BYTES: usize = 4096;

/// The weights that `HAProxy` knows.
pub const WEIGHTS: RangeInclusive<i64> = 0..=256;
pub const DEFAULT_WEIGHT: u16 = 100;

pub const FLOWS: RangeInclusive<i64> = 1024..=4_194_304;
pub const DEFAULT_FLOWS: u32 = 131_072;

/// Ports that anything but a system service may use.
pub const SOURCE_PORTS: RangeInclusive<u16> = 1024..=65_535;
/// Fewer source ports than this deserve a warning: they bound the connections to one server.
pub const FEW_SOURCE_PORTS: usize = 4096;

/// Answers in a row that make a verdict.
pub const VERDICTS: RangeInclusive<i64> = 1..=1000;
pub const DEFAULT_RISE: u32 = 2;
pub const DEFAULT_FALL: u32 = 3;

pub const INTERVALS: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(3600);
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);
pub const FAST_INTERVALS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(3600);
pub const DEFAULT_FAST_INTERVAL: Duration = Duration::from_millis(20);
pub const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(60);
pub const DEFAULT_TIMEOUT: Duration = Duration::from_millis(500);

pub const DEFAULT_PINS: &str = "/sys/fs/bpf/redirector";
pub const DEFAULT_ADMIN_SOCKET: &str = "/run/redirector/admin.sock";
pub const DEFAULT_STATE_FILE: &str = "/var/lib/redirector/state.json";
