//! What the operator has ordered beside the configuration, and the text that keeps it over a restart. No I/O.

use std::{
    str::FromStr,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::GroupState;
use crate::{
    config::{Config, limits},
    topology::Operator,
};

/// What the file's first key says, so that nothing else is taken for it.
const FORMAT: &str = "redirector-state";
/// Grows with every change that an earlier agent would misread.
const VERSION: u64 = 1;

/// When an order was given, and by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Unix time in seconds.
    pub since: u64,
    /// The user at the other end of the admin socket.
    pub uid: u32,
    /// The process there, as far as the kernel tells.
    pub pid: Option<i32>,
}

impl Origin {
    pub fn new(now: SystemTime, uid: u32, pid: Option<i32>) -> Self {
        Self { since: unix_seconds(now), uid, pid }
    }

    /// How long ago; zero if the clock has been set back since.
    pub fn age(&self, now: SystemTime) -> Duration {
        Duration::from_secs(unix_seconds(now).saturating_sub(self.since))
    }
}

fn unix_seconds(now: SystemTime) -> u64 {
    now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A value that differs from the configuration, and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order<T> {
    pub value: T,
    #[serde(flatten)]
    pub origin: Origin,
}

impl<T: PartialEq> Order<T> {
    /// What is left of an order: nothing if it says what is configured, the earlier one if it says the same.
    fn settle(self, configured: &T, before: Option<Self>) -> Option<Self> {
        if self.value == *configured {
            return None;
        }
        Some(before.filter(|before| before.value == self.value).unwrap_or(self))
    }
}

/// One server's orders. Whatever is not ordered is as configured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overrides {
    /// 0–256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<Order<u16>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Order<Operator>>,
}

impl Overrides {
    pub(super) fn set_weight(&mut self, order: Order<u16>, configured: u16) {
        self.weight = order.settle(&configured, self.weight);
    }

    pub(super) fn set_state(&mut self, order: Order<Operator>) {
        self.state = order.settle(&Operator::Ready, self.state);
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What the state file holds, apart from its format and version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Document {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    group: String,
    server: String,
    #[serde(flatten)]
    overrides: Overrides,
}

/// The whole file. Its head is read by itself first: a later version may have anything else in it.
#[derive(Serialize, Deserialize)]
struct File {
    format: String,
    version: u64,
    overrides: Vec<Entry>,
}

#[derive(Deserialize)]
struct Head {
    format: String,
    version: u64,
}

/// Why a text is no state file that this version can use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unusable {
    #[error("it is damaged ({0})")]
    Damaged(String),
    #[error("it is not a state file of redirector")]
    Foreign,
    #[error("it is of version {0}, and this redirector knows version {VERSION}")]
    OtherVersion(u64),
}

impl Document {
    /// The orders that are in force.
    pub(super) fn of(config: &Config, groups: &[GroupState]) -> Self {
        let servers = config.groups.iter().zip(groups).flat_map(|(group, state)| {
            group.servers.iter().zip(&state.servers).map(|(server, state)| Entry {
                group: group.name.clone(),
                server: server.name.clone(),
                overrides: state.overrides,
            })
        });
        Self { entries: servers.filter(|entry| !entry.overrides.is_empty()).collect() }
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Unusable> {
        let damaged = |error: serde_json::Error| Unusable::Damaged(error.to_string());
        let value: serde_json::Value = serde_json::from_slice(bytes).map_err(damaged)?;
        let head = Head::deserialize(&value).map_err(|_| Unusable::Foreign)?;
        if head.format != FORMAT {
            return Err(Unusable::Foreign);
        }
        if head.version != VERSION {
            return Err(Unusable::OtherVersion(head.version));
        }
        let entries = File::deserialize(value).map_err(damaged)?.overrides;
        let heavy = entries.iter().find(|entry| {
            entry.overrides.weight.is_some_and(|order| !limits::WEIGHTS.contains(&order.value.into()))
        });
        match heavy {
            Some(Entry { group, server, .. }) => Err(Unusable::Damaged(format!(
                "the weight of {group}/{server} is over {}",
                limits::WEIGHTS.end()
            ))),
            None => Ok(Self { entries }),
        }
    }

    pub(super) fn render(&self) -> Result<Vec<u8>, serde_json::Error> {
        let file = File { format: FORMAT.to_owned(), version: VERSION, overrides: self.entries.clone() };
        let mut text = serde_json::to_vec_pretty(&file)?;
        text.push(b'\n');
        Ok(text)
    }
}

/// A document, as far as it fits the configuration.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Merged {
    /// By group and server, as in the configuration; missing ones have none.
    pub servers: Vec<Vec<Overrides>>,
    /// `GROUP/SERVER` of entries that the configuration does not have.
    pub unknown: Vec<String>,
}

/// What of a document is in force with this configuration. Orders that have become equal to it are dropped.
pub(super) fn merge(document: &Document, config: &Config) -> Merged {
    let mut servers: Vec<Vec<Overrides>> =
        config.groups.iter().map(|group| vec![Overrides::default(); group.servers.len()]).collect();
    let mut unknown = Vec::new();
    for Entry { group, server, overrides } in &document.entries {
        let place = config.groups.iter().position(|known| known.name == *group).and_then(|at| {
            let known = &config.groups[at].servers;
            Some((at, known.iter().position(|known| known.name == *server)?))
        });
        let Some((group_at, server_at)) = place else {
            unknown.push(format!("{group}/{server}"));
            continue;
        };
        let configured = config.groups[group_at].servers[server_at].weight;
        servers[group_at][server_at] = Overrides {
            weight: overrides.weight.and_then(|order| order.settle(&configured, None)),
            state: overrides.state.and_then(|order| order.settle(&Operator::Ready, None)),
        };
    }
    Merged { servers, unknown }
}

impl Operator {
    /// As commands, `status` and the state file write it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Maint => "maint",
        }
    }
}

impl FromStr for Operator {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Ready, Self::Drain, Self::Maint]
            .into_iter()
            .find(|state| state.word() == text)
            .ok_or_else(|| format!("state \"{text}\" is not one; write ready, drain or maint"))
    }
}

impl Serialize for Operator {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl<'de> Deserialize<'de> for Operator {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
#[path = "overrides_tests.rs"]
#[expect(clippy::expect_used, reason = "a test may fail loudly")]
mod tests;
