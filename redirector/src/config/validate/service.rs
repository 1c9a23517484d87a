//! `[[service]]`, and what must hold between services and groups.

use std::{collections::HashMap, net::SocketAddr};

use toml::Spanned;

use super::{address, name, value};
use crate::config::{
    limits,
    model::{Balance, Fallback, Route, Service},
    raw::{RawFile, RawService},
    report::{Report, write_one_of},
    suggest,
};

pub(super) fn check_all(raw: &RawFile, report: &mut Report<'_>) -> Option<Vec<Service>> {
    if raw.service.is_empty() && !report.is_file_damaged() {
        report.push(0..0, "there is no [[service]]", "write [[service]] with name, listen, group and route");
    }
    let names = raw.service.iter().filter_map(|s| s.get_ref().name.as_ref());
    name::check_unique(names, "service", "", report);
    check_sizes(raw, report);
    let mut taken: HashMap<SocketAddr, &str> = HashMap::new();
    let services: Vec<Option<Service>> =
        raw.service.iter().map(|service| check(service, raw, &mut taken, report)).collect();
    check_loops(raw, &taken, report);
    services.into_iter().collect()
}

fn check<'r>(
    table: &'r Spanned<RawService>,
    file: &RawFile,
    taken: &mut HashMap<SocketAddr, &'r str>,
    report: &mut Report<'_>,
) -> Option<Service> {
    let raw = table.get_ref();
    let span = table.span();
    let typed_name =
        value::required(raw.name.as_ref(), "this [[service]]", "name", &span, "\"cache-rw\"", report);
    let name = typed_name.and_then(|name| name::check(name, "service", report));
    let owner =
        typed_name.map_or("this [[service]]".to_owned(), |name| format!("service {:?}", name.get_ref()));
    let label = typed_name.map_or("", |name| name.get_ref().as_str());
    let typed_listen =
        value::required(raw.listen.as_ref(), &owner, "listen", &span, "\"10.0.0.100:6379\"", report);
    let listen = typed_listen.and_then(|typed| listen(typed, &owner, label, file, taken, report));
    let group = value::required(raw.group.as_ref(), &owner, "group", &span, "\"cache\"", report)
        .and_then(|typed| group(typed, &owner, label, file, report));
    let typed_route = value::required(raw.route.as_ref(), &owner, "route", &span, "\"master\"", report);
    let route = typed_route.and_then(|typed| {
        value::chosen(
            typed,
            "route",
            &[("master", Route::Master), ("replicas", Route::Replicas), ("any", Route::Any)],
            report,
        )
    });
    let fallback = fallback(raw, route, report);
    let balance = value::choice(
        raw.balance.as_ref(),
        "balance",
        Balance::RoundRobin,
        &[("round-robin", Balance::RoundRobin)],
        report,
    );
    Some(Service {
        name: name?,
        listen: listen?,
        group: group?,
        route: route?,
        fallback: fallback?,
        balance: balance?,
    })
}

fn listen<'r>(
    typed: &Spanned<String>,
    owner: &str,
    label: &'r str,
    file: &RawFile,
    taken: &mut HashMap<SocketAddr, &'r str>,
    report: &mut Report<'_>,
) -> Option<SocketAddr> {
    let address = address::check(typed, "listen", report)?;
    if let Some(other) = taken.insert(address, label) {
        report.push(
            typed.span(),
            format!("{owner} listens on {address} as service {other:?} does"),
            "write another address or port",
        );
        return None;
    }
    if address.ip().is_loopback() && !carries_loopback(file) {
        report.push(
            typed.span(),
            format!("{owner} listens on loopback, which is none of the interfaces"),
            "write another address, or \"lo\" into interfaces",
        );
        return None;
    }
    Some(address)
}

/// Whether the programs sit on the loopback interface, or what was typed there is reported already.
fn carries_loopback(file: &RawFile) -> bool {
    let interfaces = file.gateway.as_ref().and_then(|gateway| gateway.get_ref().interfaces.as_ref());
    interfaces.is_none_or(|interfaces| {
        let mut interfaces = interfaces.get_ref().iter();
        interfaces.any(|interface| interface.get_ref() == "lo")
    })
}

/// The index of the group that a service names.
fn group(
    typed: &Spanned<String>,
    owner: &str,
    label: &str,
    file: &RawFile,
    report: &mut Report<'_>,
) -> Option<usize> {
    let names: Vec<Option<&str>> = file
        .group
        .iter()
        .map(|group| {
            let name = group.get_ref().name.as_ref()?.get_ref().as_str();
            Some(name).filter(|name| !name.is_empty())
        })
        .collect();
    let position = |name: &str| names.iter().position(|known| *known == Some(name));
    let Some(index) = position(typed.get_ref()) else {
        let known: Vec<&str> = names.iter().flatten().copied().collect();
        // A group without a name is reported there; it may be the one that is meant.
        if known.len() == names.len() && !report.is_file_damaged() {
            let instead = if known.is_empty() {
                format!("write a [[group]] with name = {:?}", typed.get_ref())
            } else {
                write_one_of(suggest::nearest(typed.get_ref(), known.iter().copied()), &known)
            };
            report.push(
                typed.span(),
                format!("{owner} names group {:?}, which is not defined", typed.get_ref()),
                instead,
            );
        }
        return None;
    };
    // Commands take "service/server" as well as "group/server".
    if position(label).is_some_and(|namesake| namesake != index) {
        report.push(
            typed.span(),
            format!("{owner} bears the name of a group that it does not lead to"),
            "write another name for the service: commands take either",
        );
        return None;
    }
    Some(index)
}

fn fallback(raw: &RawService, route: Option<Route>, report: &mut Report<'_>) -> Option<Fallback> {
    let fallback = value::choice(
        raw.fallback.as_ref(),
        "fallback",
        Fallback::Master,
        &[("master", Fallback::Master), ("none", Fallback::None)],
        report,
    )?;
    match (route, &raw.fallback) {
        (Some(Route::Master | Route::Any), Some(typed)) => {
            report.push(
                typed.span(),
                "fallback has a meaning for route = \"replicas\" only",
                "remove the line",
            );
            None
        }
        (Some(Route::Replicas) | None, Some(_)) | (_, None) => Some(fallback),
    }
}

/// What the maps hold.
fn check_sizes(raw: &RawFile, report: &mut Report<'_>) {
    if let Some(surplus) = raw.service.get(limits::MAX_SERVICES) {
        report.push(
            surplus.span(),
            format!("there are {} services", raw.service.len()),
            format!("write {} at most", limits::MAX_SERVICES),
        );
    }
    let sizes: HashMap<&str, usize> = raw
        .group
        .iter()
        .filter_map(|group| {
            let group = group.get_ref();
            let name = group.name.as_ref()?;
            Some((name.get_ref().as_str(), group.server.len()))
        })
        .collect();
    let mut total = 0;
    for service in &raw.service {
        let group = service.get_ref().group.as_ref();
        total += group.and_then(|group| sizes.get(group.get_ref().as_str())).unwrap_or(&0);
        if total > limits::MAX_BACKENDS {
            report.push(
                service.span(),
                format!(
                    "the services up to this one lead to {total} servers, each counted once for each service"
                ),
                format!("write {} at most", limits::MAX_BACKENDS),
            );
            return;
        }
    }
}

/// A server behind a service's own address would send every packet back to the gateway.
fn check_loops(raw: &RawFile, listens: &HashMap<SocketAddr, &str>, report: &mut Report<'_>) {
    let servers = raw.group.iter().flat_map(|group| &group.get_ref().server);
    for typed in servers.filter_map(|server| server.get_ref().address.as_ref()) {
        let Ok(address) = typed.get_ref().parse() else {
            continue;
        };
        if let Some(service) = listens.get(&address) {
            report.push(
                typed.span(),
                format!("{address} is a server and the address of service {service:?} at once"),
                "write the server's own address",
            );
        }
    }
}
