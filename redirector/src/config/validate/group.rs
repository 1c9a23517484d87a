//! `[[group]]`, its servers and its checks.

use std::{collections::HashMap, net::SocketAddr, ops::RangeInclusive, time::Duration};

use toml::Spanned;

use super::{address, auth, name, value};
use crate::config::{
    host::Passwords,
    limits,
    model::{Check, Failover, Group, Server},
    raw::{RawCheck, RawGroup, RawServer},
    report::Report,
};

pub(super) fn check_all(
    raw: &[Spanned<RawGroup>],
    passwords: &dyn Passwords,
    report: &mut Report<'_>,
) -> Option<Vec<Group>> {
    let names = raw.iter().filter_map(|group| group.get_ref().name.as_ref());
    name::check_unique(names, "group", "", report);
    let groups: Vec<Option<Group>> = raw.iter().map(|group| check(group, passwords, report)).collect();
    groups.into_iter().collect()
}

fn check(table: &Spanned<RawGroup>, passwords: &dyn Passwords, report: &mut Report<'_>) -> Option<Group> {
    let raw = table.get_ref();
    let name =
        value::required(raw.name.as_ref(), "this [[group]]", "name", &table.span(), "\"cache\"", report)
            .and_then(|name| name::check(name, "group", report));
    let failover = value::choice(
        raw.failover.as_ref(),
        "failover",
        Failover::Observe,
        &[("observe", Failover::Observe)],
        report,
    );
    let check = match &raw.check {
        Some(check) => timing(check.get_ref(), report),
        None => timing(&RawCheck::default(), report),
    };
    let auth = match &raw.auth {
        Some(auth) => auth::check(auth, passwords, report).map(Some),
        None => Some(None),
    };
    let servers = servers(table, report);
    Some(Group { name: name?, failover: failover?, check: check?, auth: auth?, servers: servers? })
}

fn timing(raw: &RawCheck, report: &mut Report<'_>) -> Option<Check> {
    let interval = value::duration(
        raw.interval.as_ref(),
        "interval",
        limits::DEFAULT_INTERVAL,
        limits::INTERVALS,
        report,
    );
    let fast_interval = fast_interval(raw, interval, report);
    let timeout =
        value::duration(raw.timeout.as_ref(), "timeout", limits::DEFAULT_TIMEOUT, limits::TIMEOUTS, report);
    let verdicts = limits::VERDICTS;
    let rise = value::number(raw.rise.as_ref(), "rise", limits::DEFAULT_RISE, verdicts.clone(), report);
    let fall = value::number(raw.fall.as_ref(), "fall", limits::DEFAULT_FALL, verdicts, report);
    Some(Check {
        interval: interval?,
        fast_interval: fast_interval?,
        timeout: timeout?,
        rise: rise?,
        fall: fall?,
    })
}

/// The fast interval is never the slower one: a default gives way, a typed one is refused.
fn fast_interval(raw: &RawCheck, interval: Option<Duration>, report: &mut Report<'_>) -> Option<Duration> {
    let fastest = *limits::FAST_INTERVALS.start();
    let slowest = interval.unwrap_or(*limits::FAST_INTERVALS.end());
    let bounds: RangeInclusive<Duration> = fastest..=slowest;
    value::duration(
        raw.fast_interval.as_ref(),
        "fast_interval",
        limits::DEFAULT_FAST_INTERVAL.min(slowest),
        bounds,
        report,
    )
}

fn servers(table: &Spanned<RawGroup>, report: &mut Report<'_>) -> Option<Vec<Server>> {
    let raw = table.get_ref();
    if raw.server.is_empty() {
        if !report.is_damaged(&table.span()) {
            let group = raw
                .name
                .as_ref()
                .map_or("this [[group]]".to_owned(), |name| format!("group {:?}", name.get_ref()));
            report.push(
                table.span(),
                format!("{group} has no servers"),
                "write server = [ { name = \"r1\", address = \"10.0.1.11:6379\" } ]",
            );
        }
        return None;
    }
    let names = raw.server.iter().filter_map(|s| s.get_ref().name.as_ref());
    name::check_unique(names, "server", " in this group", report);
    let mut taken: HashMap<SocketAddr, &str> = HashMap::new();
    let servers: Vec<Option<Server>> =
        raw.server.iter().map(|server| check_server(server, &mut taken, report)).collect();
    servers.into_iter().collect()
}

fn check_server<'r>(
    table: &'r Spanned<RawServer>,
    taken: &mut HashMap<SocketAddr, &'r str>,
    report: &mut Report<'_>,
) -> Option<Server> {
    let raw = table.get_ref();
    let span = table.span();
    let typed_name = value::required(raw.name.as_ref(), "this server", "name", &span, "\"r1\"", report);
    let name = typed_name.and_then(|name| name::check(name, "server", report));
    let owner = typed_name.map_or("this server".to_owned(), |name| format!("server {:?}", name.get_ref()));
    let typed_address =
        value::required(raw.address.as_ref(), &owner, "address", &span, "\"10.0.1.11:6379\"", report);
    let address = typed_address.and_then(|typed| address::check(typed, "address", report));
    if let (Some(typed), Some(address)) = (typed_address, address) {
        let label = typed_name.map_or("", |name| name.get_ref().as_str());
        if let Some(other) = taken.insert(address, label) {
            report.push(
                typed.span(),
                format!("{owner} has the address of server {other:?}, {address}"),
                "write each server once",
            );
        }
    }
    let weight =
        value::number(raw.weight.as_ref(), "weight", limits::DEFAULT_WEIGHT, limits::WEIGHTS, report);
    Some(Server { name: name?, address: address?, weight: weight?, backup: raw.backup.unwrap_or(false) })
}
