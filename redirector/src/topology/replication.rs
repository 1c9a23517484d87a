//! What one server says about its part in replication: `INFO replication`, or `ROLE` where `INFO` is
//! forbidden.

use redis::Value;
use thiserror::Error;

/// The part a server says it plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Takes writes and follows nobody.
    Master,
    /// Follows a master and takes no writes.
    Replica,
    /// `KeyDB`'s active replica: follows a master and takes writes all the same.
    ActiveReplica,
}

/// One server's reply, as far as it matters to routing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replication {
    pub role: Role,
    /// Host and port this server replicates from. `None` for a master.
    pub master: Option<(String, u16)>,
    /// Whether the link to that master is up. `false` for a master, which has none.
    pub link_up: bool,
    /// A full data set is being received.
    pub syncing: bool,
    /// Bytes of the replication stream: applied by a replica, written by a master.
    pub offset: u64,
    /// Name of the data set's history. Empty where the server does not tell.
    pub replid: String,
    /// The history this server took over when it was promoted, and the offset from which it is its own.
    pub previous: Option<(String, i64)>,
    /// Replicas that are connected to this server.
    pub connected_replicas: u32,
    /// Whether a replica refuses writes. `None` where the server does not tell.
    pub read_only: Option<bool>,
}

/// Why a reply says nothing about replication.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReplyError {
    /// Kvrocks sends an empty section while it loads.
    #[error("the reply names no role")]
    NoRole,
    #[error("the role “{0}” is neither master nor replica")]
    UnknownRole(String),
    #[error("{key} is “{text}”, not a number")]
    NotANumber { key: &'static str, text: String },
    #[error("the reply to ROLE has another shape than a master's or a replica's")]
    Shape,
}

impl Replication {
    /// Reads the text of `INFO replication`.
    ///
    /// Keys count at the start of a line only, for `role` also ends other words. What is missing takes
    /// its neutral value, since forks leave out various fields; what is there and no number is an error.
    pub fn parse_info(text: &str) -> Result<Self, ReplyError> {
        let info = Info(text);
        let role = parse_role(info.get("role").ok_or(ReplyError::NoRole)?)?;
        let master = match (role, info.get("master_host")) {
            (Role::Master, _) | (_, None) => None,
            (Role::Replica | Role::ActiveReplica, Some(host)) => {
                Some((host.to_owned(), info.number("master_port")?.unwrap_or_default()))
            }
        };
        let own_offset = match role {
            Role::Master => None,
            Role::Replica | Role::ActiveReplica => info.number("slave_repl_offset")?,
        };
        let offset = match own_offset {
            Some(offset) => offset,
            None => info.number("master_repl_offset")?.unwrap_or_default(),
        };
        let previous = match (info.get("master_replid2"), info.number("second_repl_offset")?) {
            // Forty zeros and −1 stand for “none”.
            (Some(id), Some(from)) if from >= 0 && id.contains(|c| c != '0') => Some((id.to_owned(), from)),
            _ => None,
        };
        Ok(Self {
            role,
            link_up: master.is_some() && info.get("master_link_status") == Some("up"),
            syncing: info.get("master_sync_in_progress") == Some("1"),
            master,
            offset,
            replid: info.get("master_replid").unwrap_or_default().to_owned(),
            previous,
            connected_replicas: info.number("connected_slaves")?.unwrap_or_default(),
            read_only: info.get("slave_read_only").map(|flag| flag == "1"),
        })
    }

    /// Reads the reply to `ROLE`, which tells neither the history nor who may write.
    ///
    /// A master answers `[role, offset, replicas]`, a replica `[role, host, port, link, offset]`, and
    /// `KeyDB` with several masters an array of the latter.
    pub fn parse_role(reply: &Value) -> Result<Self, ReplyError> {
        let fields = array(reply)?;
        if let Some(Value::Array(_)) = fields.first() {
            let links = fields.iter().map(Self::parse_role).collect::<Result<Vec<_>, _>>()?;
            let first_up = links.iter().position(|link| link.link_up).unwrap_or_default();
            let link = links.into_iter().nth(first_up).ok_or(ReplyError::Shape)?;
            return Ok(Self { role: Role::ActiveReplica, ..link });
        }
        let name = fields.first().and_then(text).ok_or(ReplyError::NoRole)?;
        match (parse_role(name)?, &fields[1..]) {
            (Role::Master, [offset, replicas]) => Ok(Self {
                role: Role::Master,
                master: None,
                link_up: false,
                syncing: false,
                offset: number("offset", offset)?,
                replid: String::new(),
                previous: None,
                connected_replicas: u32::try_from(array(replicas)?.len()).unwrap_or(u32::MAX),
                read_only: None,
            }),
            (role @ (Role::Replica | Role::ActiveReplica), [host, port, link, offset]) => {
                let link = text(link).ok_or(ReplyError::Shape)?;
                let host = text(host).ok_or(ReplyError::Shape)?;
                Ok(Self {
                    role,
                    master: Some((host.to_owned(), number("port", port)?)),
                    link_up: link == "connected",
                    syncing: link == "sync",
                    // −1 while the replica has not got any data yet.
                    offset: number::<i64>("offset", offset)?.try_into().unwrap_or_default(),
                    replid: String::new(),
                    previous: None,
                    connected_replicas: 0,
                    read_only: None,
                })
            }
            (Role::Master | Role::Replica | Role::ActiveReplica, _) => Err(ReplyError::Shape),
        }
    }
}

fn parse_role(word: &str) -> Result<Role, ReplyError> {
    match word {
        "master" | "primary" => Ok(Role::Master),
        "slave" | "replica" => Ok(Role::Replica),
        "active-replica" => Ok(Role::ActiveReplica),
        other => Err(ReplyError::UnknownRole(clip(other))),
    }
}

/// The lines `key:value` of an INFO section, with CRLF or LF between them.
struct Info<'a>(&'a str);

impl<'a> Info<'a> {
    fn get(&self, key: &str) -> Option<&'a str> {
        self.0.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name == key).then(|| value.trim())
        })
    }

    fn number<T: std::str::FromStr>(&self, key: &'static str) -> Result<Option<T>, ReplyError> {
        self.get(key).map(|text| parse_number(key, text)).transpose()
    }
}

fn parse_number<T: std::str::FromStr>(key: &'static str, text: &str) -> Result<T, ReplyError> {
    text.parse().map_err(|_| ReplyError::NotANumber { key, text: clip(text) })
}

fn array(value: &Value) -> Result<&[Value], ReplyError> {
    if let Value::Array(fields) = value { Ok(fields) } else { Err(ReplyError::Shape) }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "redis::Value is not ours and may grow")]
fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

/// Redis sends integers here; some forks send them as text.
fn number<T: std::str::FromStr + TryFrom<i64>>(key: &'static str, value: &Value) -> Result<T, ReplyError> {
    if let Value::Int(number) = value {
        return (*number).try_into().map_err(|_| ReplyError::NotANumber { key, text: number.to_string() });
    }
    parse_number(key, text(value).ok_or(ReplyError::Shape)?)
}

/// A foreign word, short and harmless enough for a terminal.
fn clip(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

#[cfg(test)]
#[path = "replication_tests.rs"]
mod tests;
