//! [`RawFile`] → [`Config`]: every check, and a sentence for each that fails.
//!
//! Each function reports all it finds and gives `None` if it cannot build its part.

mod address;
mod auth;
mod gateway;
mod group;
mod name;
mod service;
mod value;

use super::{
    host::{Host, Passwords},
    model::Config,
    raw::RawFile,
    report::Report,
};

pub(super) fn validate(
    raw: &RawFile,
    host: &Host,
    passwords: &dyn Passwords,
    report: &mut Report<'_>,
) -> Option<Config> {
    let gateway = gateway::check(raw.gateway.as_ref(), host, report);
    let groups = group::check_all(&raw.group, passwords, report);
    let services = service::check_all(raw, report);
    Some(Config { gateway: gateway?, groups: groups?, services: services? })
}
