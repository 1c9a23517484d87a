//! What a server's replies mean: an error line is a named [`Failure`].

use redis::{ServerError, Value};

use super::{Excerpt, Failure};

impl From<&ServerError> for Failure {
    fn from(error: &ServerError) -> Self {
        let details = error.details().unwrap_or_default();
        match error.code() {
            "NOAUTH" => Self::NoAuth,
            "WRONGPASS" => Self::WrongPass,
            "NOPERM" => Self::NoPerm,
            "LOADING" => Self::Loading,
            "MASTERDOWN" => Self::MasterDown,
            "MISCONF" => Self::Misconf,
            "BUSY" => Self::Busy,
            // Before version 6.
            "ERR" if details.starts_with("invalid password") => Self::WrongPass,
            "ERR" if details.starts_with("operation not permitted") => Self::NoAuth,
            code => Self::Other(Excerpt::new(format!("{code} {}", without_arguments(details)))),
        }
    }
}

/// An unknown command comes back with its arguments, and those of AUTH are nobody's business.
fn without_arguments(details: &str) -> &str {
    details.split_once(", with args").map_or(details, |(before, _)| before)
}

/// `AUTH` was refused because the server has no password: it can be probed all the same.
pub(super) fn wants_no_password(error: &ServerError) -> bool {
    error.details().is_some_and(|details| {
        details.contains("no password is set") || details.contains("without any password configured")
    })
}

/// The command is missing or forbidden, so another one may do.
pub(super) fn is_denied(error: &ServerError) -> bool {
    error.code() == "NOPERM" || error.details().is_some_and(|details| details.starts_with("unknown command"))
}

/// Text of a status, a bulk or a verbatim reply.
#[expect(clippy::wildcard_enum_match_arm, reason = "redis::Value is not ours and may grow")]
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text.clone()),
        Value::Okay => Some("OK".to_owned()),
        _ => None,
    }
}

/// A well-formed reply that does not fit the question.
pub(super) fn misfit(value: &Value) -> Failure {
    if let Value::ServerError(error) = value {
        return error.into();
    }
    Failure::NotRedis(Excerpt::new(text(value).unwrap_or_else(|| format!("{value:?}"))))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test panics where it fails")]
    use super::*;

    fn error(line: &str) -> ServerError {
        let reply = redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        let Value::ServerError(error) = reply else { unreachable!("{reply:?} is no error") };
        error
    }

    #[test]
    fn error_lines_have_names() {
        let other = |text: &str| Failure::Other(Excerpt::new(text));
        let table = [
            ("NOAUTH Authentication required.", Failure::NoAuth),
            ("ERR operation not permitted", Failure::NoAuth),
            ("WRONGPASS invalid username-password pair or user is disabled.", Failure::WrongPass),
            ("ERR invalid password", Failure::WrongPass),
            ("NOPERM this user has no permissions to run the 'info' command", Failure::NoPerm),
            ("LOADING Redis is loading the dataset in memory", Failure::Loading),
            (
                "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
                Failure::MasterDown,
            ),
            ("MISCONF Redis is configured to save RDB snapshots, but …", Failure::Misconf),
            ("BUSY Redis is busy running a script.", Failure::Busy),
            ("ERR max number of clients reached", other("ERR max number of clients reached")),
            ("DENIED", other("DENIED ")),
            (
                "ERR unknown command 'AUTH', with args beginning with: 'probe' 'hunter2' ",
                other("ERR unknown command 'AUTH'"),
            ),
        ];
        for (line, expected) in table {
            assert_eq!(Failure::from(&error(line)), expected, "{line}");
        }
    }

    #[test]
    fn a_server_without_a_password_is_no_failure() {
        let none = [
            "ERR Client sent AUTH, but no password is set",
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
        ];
        assert!(none.iter().all(|line| wants_no_password(&error(line))));
        assert!(!wants_no_password(&error("WRONGPASS invalid username-password pair")));
    }

    #[test]
    fn what_calls_for_another_command() {
        assert!(is_denied(&error("NOPERM this user has no permissions to run the 'info' command")));
        assert!(is_denied(&error("ERR unknown command 'INFO', with args beginning with: 'replication'")));
        assert!(!is_denied(&error("ERR wrong number of arguments for 'info' command")));
        assert!(!is_denied(&error("LOADING Redis is loading the dataset in memory")));
    }
}
