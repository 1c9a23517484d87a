//! The configuration file as typed. Every field is optional here, so that [`super::validate`] can
//! say in a sentence what is missing, and where.
//!
//! [`super::document`] reports unknown keys before these types see them; `deny_unknown_fields`
//! makes sure that none slips through.

use serde::Deserialize;
use toml::Spanned;

/// A value, and where it stands in the file.
pub(super) type Field<T> = Option<Spanned<T>>;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawFile {
    pub(super) gateway: Field<RawGateway>,
    pub(super) group: Vec<Spanned<RawGroup>>,
    pub(super) service: Vec<Spanned<RawService>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawGateway {
    pub(super) interfaces: Field<Vec<Spanned<String>>>,
    pub(super) attach: Field<String>,
    pub(super) forward: Field<String>,
    pub(super) pins: Field<String>,
    pub(super) admin_socket: Field<String>,
    pub(super) state_file: Field<String>,
    pub(super) source_ports: Field<String>,
    pub(super) max_flows: Field<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawGroup {
    pub(super) name: Field<String>,
    pub(super) failover: Field<String>,
    pub(super) check: Field<RawCheck>,
    pub(super) auth: Field<RawAuth>,
    pub(super) server: Vec<Spanned<RawServer>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawCheck {
    pub(super) interval: Field<String>,
    pub(super) fast_interval: Field<String>,
    pub(super) timeout: Field<String>,
    pub(super) rise: Field<i64>,
    pub(super) fall: Field<i64>,
}

// `Debug` is written by hand: a derived one would print the password.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawAuth {
    pub(super) username: Field<String>,
    pub(super) password: Field<String>,
    pub(super) password_file: Field<String>,
    pub(super) password_env: Field<String>,
}

impl std::fmt::Debug for RawAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawAuth").field("username", &self.username).finish_non_exhaustive()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawServer {
    pub(super) name: Field<String>,
    pub(super) address: Field<String>,
    pub(super) weight: Field<i64>,
    pub(super) backup: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawService {
    pub(super) name: Field<String>,
    pub(super) listen: Field<String>,
    pub(super) group: Field<String>,
    pub(super) route: Field<String>,
    pub(super) fallback: Field<String>,
    pub(super) balance: Field<String>,
}
