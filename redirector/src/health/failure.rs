//! Everything that can be wrong with a server, as a closed list of short phrases.

use std::{fmt, io};

use thiserror::Error;

/// Why a probe failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Failure {
    #[error("connection refused")]
    Refused,
    #[error("connection reset")]
    Reset,
    #[error("connection closed")]
    Closed,
    #[error("{0}")]
    Timeout(Phase),
    #[error("host or network unreachable")]
    Unreachable,
    #[error("wants a password")]
    NoAuth,
    #[error("wrong user or password")]
    WrongPass,
    #[error("the probe's user may run neither INFO nor ROLE")]
    NoPerm,
    #[error("loading its data set")]
    Loading,
    #[error("its master is down and it serves no stale data")]
    MasterDown,
    #[error("refuses writes since it cannot save to disk")]
    Misconf,
    #[error("busy with a script")]
    Busy,
    #[error("speaks no Redis, but “{0}”")]
    NotRedis(Excerpt),
    #[error("reply cut short")]
    Truncated,
    #[error("reply longer than {} KiB", super::resp::MAX_REPLY_BYTES / 1024)]
    TooLong,
    /// It answers, but not to the question of its role.
    #[error("tells no role: {0}")]
    NoRole(Excerpt),
    /// An error reply or a socket error with no name of its own here.
    #[error("{0}")]
    Other(Excerpt),
}

/// What was waited for in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Connect,
    Reply,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "timeout on connect",
            Self::Reply => "no reply in time",
        })
    }
}

impl Failure {
    /// The peer is gone, and said so: nobody listens, or the connection was ended from the other side.
    pub(super) fn is_hang_up(&self) -> bool {
        match self {
            Self::Refused | Self::Reset | Self::Closed => true,
            Self::Timeout(_)
            | Self::Unreachable
            | Self::NoAuth
            | Self::WrongPass
            | Self::NoPerm
            | Self::Loading
            | Self::MasterDown
            | Self::Misconf
            | Self::Busy
            | Self::NotRedis(_)
            | Self::Truncated
            | Self::TooLong
            | Self::NoRole(_)
            | Self::Other(_) => false,
        }
    }

    /// The server answered in full and in order; the connection is good for the next question.
    pub(super) fn keeps_connection(&self) -> bool {
        match self {
            Self::NoPerm | Self::Loading | Self::MasterDown | Self::Misconf | Self::Busy | Self::NoRole(_) => true,
            Self::Refused
            | Self::Reset
            | Self::Closed
            | Self::Timeout(_)
            | Self::Unreachable
            // A new connection sends the password anew.
            | Self::NoAuth
            | Self::WrongPass
            | Self::NotRedis(_)
            | Self::Truncated
            | Self::TooLong
            | Self::Other(_) => false,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind as Kind;
        let kinds = [
            (Kind::ConnectionRefused, Self::Refused),
            (Kind::ConnectionReset, Self::Reset),
            (Kind::ConnectionAborted, Self::Reset),
            (Kind::BrokenPipe, Self::Reset),
            (Kind::UnexpectedEof, Self::Closed),
            (Kind::TimedOut, Self::Timeout(Phase::Reply)),
            (Kind::HostUnreachable, Self::Unreachable),
            (Kind::NetworkUnreachable, Self::Unreachable),
            (Kind::NetworkDown, Self::Unreachable),
        ];
        kinds
            .into_iter()
            .find_map(|(kind, failure)| (kind == error.kind()).then_some(failure))
            .unwrap_or_else(|| Self::Other(Excerpt::new(error.to_string())))
    }
}

/// The beginning of what a stranger said: one line, printable, at most [`Excerpt::MAX_CHARS`] long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt(String);

impl Excerpt {
    pub const MAX_CHARS: usize = 40;

    /// Cuts `said` at the first line end, and puts dots for what must not reach a terminal.
    pub fn new(said: impl AsRef<[u8]>) -> Self {
        let line = said.as_ref().split(|&b| b == b'\r' || b == b'\n').next().unwrap_or_default();
        Self(
            line.iter()
                .take(Self::MAX_CHARS)
                .map(|&b| if b == b' ' || b.is_ascii_graphic() { char::from(b) } else { '.' })
                .collect(),
        )
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_short_and_harmless() {
        let table: [(&[u8], &str); 5] = [
            (b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n", "HTTP/1.1 400 Bad Request"),
            (b"\x1b[2J\x07boo", ".[2J.boo"),
            (b"", ""),
            (&[b'x'; 100], "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
            ("grün".as_bytes(), "gr..n"),
        ];
        for (said, expected) in table {
            assert_eq!(Excerpt::new(said).to_string(), expected);
        }
    }

    #[test]
    fn socket_errors_have_names() {
        let table = [
            (libc::ECONNREFUSED, Failure::Refused),
            (libc::ECONNRESET, Failure::Reset),
            (libc::EPIPE, Failure::Reset),
            (libc::EHOSTUNREACH, Failure::Unreachable),
            (libc::ENETUNREACH, Failure::Unreachable),
            (libc::ETIMEDOUT, Failure::Timeout(Phase::Reply)),
        ];
        for (errno, expected) in table {
            assert_eq!(Failure::from(io::Error::from_raw_os_error(errno)), expected);
        }
        let other = Failure::from(io::Error::from_raw_os_error(libc::EMFILE));
        assert_eq!(other.to_string(), "Too many open files (os error 24)");
    }
}
