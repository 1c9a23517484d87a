//! `[gateway]`.

use std::{collections::HashSet, ops::RangeInclusive, path::PathBuf};

use toml::Spanned;

use super::value;
use crate::config::{
    host::{Host, default_source_ports},
    limits,
    model::{Attach, Forward, Gateway},
    raw::RawGateway,
    report::Report,
};

pub(super) fn check(
    raw: Option<&Spanned<RawGateway>>,
    host: &Host,
    report: &mut Report<'_>,
) -> Option<Gateway> {
    let Some(table) = raw else {
        if !report.is_file_damaged() {
            report.push(0..0, "there is no [gateway]", "write [gateway] and interfaces = [\"eth0\"]");
        }
        return None;
    };
    let raw = table.get_ref();
    let interfaces = interfaces(table, report);
    let attach = value::choice(
        raw.attach.as_ref(),
        "attach",
        Attach::Auto,
        &[
            ("auto", Attach::Auto),
            ("xdp", Attach::Xdp),
            ("xdp-generic", Attach::XdpGeneric),
            ("tc", Attach::Tc),
        ],
        report,
    );
    let forward =
        value::choice(raw.forward.as_ref(), "forward", Forward::Snat, &[("snat", Forward::Snat)], report);
    let pins = pins(raw, report);
    let admin_socket = admin_socket(raw, report);
    let keeps_nothing = raw.state_file.as_ref().is_some_and(|text| text.get_ref().is_empty());
    let state_file = if keeps_nothing { Some(None) } else { state_file(raw, report).map(Some) };
    let source_ports = source_ports(table, host, report);
    let max_flows =
        value::number(raw.max_flows.as_ref(), "max_flows", limits::DEFAULT_FLOWS, limits::FLOWS, report);
    Some(Gateway {
        interfaces: interfaces?,
        attach: attach?,
        forward: forward?,
        pins: pins?,
        admin_socket: admin_socket?,
        state_file: state_file?,
        source_ports: source_ports?,
        max_flows: max_flows?,
    })
}

fn interfaces(table: &Spanned<RawGateway>, report: &mut Report<'_>) -> Option<Vec<String>> {
    let interfaces = value::required(
        table.get_ref().interfaces.as_ref(),
        "[gateway]",
        "interfaces",
        &table.span(),
        "[\"eth0\"]",
        report,
    )?;
    if interfaces.get_ref().is_empty() {
        report.push(
            interfaces.span(),
            "interfaces is empty",
            "write the interfaces of the clients and of the servers, such as [\"eth0\"]",
        );
        return None;
    }
    let mut taken = HashSet::new();
    let names: Vec<Option<String>> = interfaces
        .get_ref()
        .iter()
        .map(|name| {
            let text = name.get_ref();
            let (wrong, instead) = if !is_interface_name(text) {
                ("is no interface name", "write a name that `ip link` shows")
            } else if !taken.insert(text) {
                ("is named twice", "write each interface once")
            } else {
                return Some(text.clone());
            };
            report.push(name.span(), format!("interface {text:?} {wrong}"), instead);
            None
        })
        .collect();
    names.into_iter().collect()
}

/// The kernel's own rule, `dev_valid_name`.
fn is_interface_name(name: &str) -> bool {
    (1..=limits::MAX_INTERFACE_BYTES).contains(&name.len())
        && !matches!(name, "." | "..")
        && !name.chars().any(|c| matches!(c, '/' | ':') || c.is_whitespace() || c.is_control())
}

fn absolute_path(
    field: Option<&Spanned<String>>,
    key: &str,
    default: &str,
    report: &mut Report<'_>,
) -> Option<PathBuf> {
    let Some(text) = field else {
        return Some(PathBuf::from(default));
    };
    let path = PathBuf::from(text.get_ref());
    if path.is_absolute() && !text.get_ref().contains('\0') {
        return Some(path);
    }
    report.push(
        text.span(),
        format!("{key} = {:?} is not an absolute path", text.get_ref()),
        format!("write a path that starts with '/', such as {default:?}"),
    );
    None
}

fn pins(raw: &RawGateway, report: &mut Report<'_>) -> Option<PathBuf> {
    let field = raw.pins.as_ref();
    let path = absolute_path(field, "pins", limits::DEFAULT_PINS, report)?;
    let last = path.components().next_back()?;
    match field {
        Some(text) if last.as_os_str().to_string_lossy().contains('.') => {
            report.push(
                text.span(),
                format!(
                    "pins = {:?} has a dot in its last name, which the bpf file system does not take",
                    text.get_ref()
                ),
                format!("write a name without dots, such as {:?}", limits::DEFAULT_PINS),
            );
            None
        }
        Some(_) | None => Some(path),
    }
}

fn state_file(raw: &RawGateway, report: &mut Report<'_>) -> Option<PathBuf> {
    let field = raw.state_file.as_ref();
    let path = absolute_path(field, "state_file", limits::DEFAULT_STATE_FILE, report)?;
    match field {
        Some(text) if path.file_name().is_none() || text.get_ref().ends_with('/') => {
            report.push(
                text.span(),
                format!("state_file = {:?} names no file", text.get_ref()),
                format!(
                    "write the path of a file, such as {:?}, or \"\" to keep nothing",
                    limits::DEFAULT_STATE_FILE
                ),
            );
            None
        }
        Some(_) | None => Some(path),
    }
}

fn admin_socket(raw: &RawGateway, report: &mut Report<'_>) -> Option<PathBuf> {
    let field = raw.admin_socket.as_ref();
    let path = absolute_path(field, "admin_socket", limits::DEFAULT_ADMIN_SOCKET, report)?;
    let bound = limits::MAX_SOCKET_PATH_BYTES;
    match field {
        Some(text) if text.get_ref().len() > bound => {
            report.push(
                text.span(),
                "admin_socket is too long a path for a socket",
                format!("write {bound} bytes at most"),
            );
            None
        }
        Some(_) | None => Some(path),
    }
}

fn source_ports(
    table: &Spanned<RawGateway>,
    host: &Host,
    report: &mut Report<'_>,
) -> Option<RangeInclusive<u16>> {
    let ephemeral = &host.ephemeral_ports;
    let default = default_source_ports(ephemeral.clone());
    let (low, high) = (ephemeral.start(), ephemeral.end());
    let own = format!("the host's own ephemeral ports {low}-{high}");
    // What to say if the host leaves us nothing.
    let narrow = "run `sysctl -w net.ipv4.ip_local_port_range=\"32768 60999\"`";
    let Some(text) = &table.get_ref().source_ports else {
        // A mistyped range is reported as such; the default has nothing to add.
        if default.is_empty() && !report.is_damaged(&table.span()) {
            report.push(table.span(), format!("{own} leave no source ports"), narrow);
        }
        return Some(default).filter(|ports| !ports.is_empty());
    };
    let typed = text.get_ref();
    let suggestion = if default.is_empty() {
        narrow.to_owned()
    } else {
        format!("write \"{}-{}\"", default.start(), default.end())
    };
    let Some(ports) = port_range(typed) else {
        report.push(
            text.span(),
            format!("source_ports = {typed:?} is not a range of ports from 1024 to 65535"),
            suggestion,
        );
        return None;
    };
    if ports.start() <= ephemeral.end() && ephemeral.start() <= ports.end() {
        report.push(text.span(), format!("source_ports = {typed:?} overlaps {own}"), suggestion);
        return None;
    }
    Some(ports)
}

fn port_range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-')?;
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    let allowed = limits::SOURCE_PORTS;
    (first <= last && allowed.contains(&first) && allowed.contains(&last)).then_some(first..=last)
}
