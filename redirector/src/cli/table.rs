//! `status` for people.

use std::fmt::Write as _;

use crate::control::{GroupStatus, OverrideStatus, ServerStatus, ServiceStatus, Status};

/// Services first, for they are what clients see; then groups with their servers.
pub(super) fn render(status: &Status) -> String {
    let mut text = String::new();
    for service in &status.services {
        render_service(&mut text, service);
    }
    for group in &status.groups {
        render_group(&mut text, group);
    }
    for warning in &status.warnings {
        let _ = writeln!(text, "WARNING: {warning}");
    }
    let hooks: Vec<String> = status
        .interfaces
        .iter()
        .map(|interface| format!("{} ({})", interface.name, interface.hook))
        .collect();
    let _ = write!(
        text,
        "agent {} pid {} up {}, on {}",
        status.version,
        status.pid,
        duration(status.uptime_s),
        hooks.join(", ")
    );
    text
}

fn render_service(text: &mut String, service: &ServiceStatus) {
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "service {}  {}  {} of {}  epoch {}  refused {}",
        service.name, service.listen, service.route, service.group, service.epoch, service.refused
    );
    let rows = service.members.iter().map(|member| {
        [
            member.server.clone(),
            member.standing.clone(),
            if member.weight == 0 { "-".to_owned() } else { member.weight.to_string() },
            member.connections.to_string(),
            member.traffic.connections.to_string(),
            member.reason.clone().unwrap_or_default(),
        ]
    });
    columns(
        text,
        ["server", "standing", "weight", "connections", "so far", "because"],
        &rows.collect::<Vec<_>>(),
    );
}

fn render_group(text: &mut String, group: &GroupStatus) {
    let master = group.master.as_deref().unwrap_or("none");
    let _ = writeln!(text, "group {}  master {master}: {}", group.name, group.why);
    if !group.conflict.is_empty() {
        let _ = writeln!(text, "  CONFLICT: also claiming to be master: {}", group.conflict.join(", "));
    }
    let rows = group.servers.iter().map(server_row);
    columns(
        text,
        ["server", "address", "health", "for", "role", "offset", "weight", "state", "answer", "last failure"],
        &rows.collect::<Vec<_>>(),
    );
    let orders = group
        .servers
        .iter()
        .flat_map(|server| server.overrides.iter().map(|order| order_row(&group.name, &server.name, order)));
    let orders: Vec<_> = orders.collect();
    if !orders.is_empty() {
        columns(text, ["ordered", "is", "configured", "for", "by"], &orders);
    }
}

fn order_row(group: &str, server: &str, order: &OverrideStatus) -> [String; 5] {
    let process = order.pid.map_or_else(String::new, |pid| format!(", process {pid}"));
    [
        format!("{} of {group}/{server}", order.setting),
        order.ordered.clone(),
        order.configured.clone(),
        duration(order.for_s),
        format!("user {}{process}", order.uid),
    ]
}

fn server_row(server: &ServerStatus) -> [String; 10] {
    let link = match server.link_up {
        Some(false) => ", link down",
        Some(true) | None => "",
    };
    let weight = if server.weight == server.configured_weight {
        server.weight.to_string()
    } else {
        format!("{} (configured {})", server.weight, server.configured_weight)
    };
    [
        server.name.clone(),
        server.address.clone(),
        server.health.clone(),
        duration(server.for_s),
        server.role.as_ref().map_or_else(|| "-".to_owned(), |role| format!("{role}{link}")),
        server.offset.map_or_else(|| "-".to_owned(), |offset| offset.to_string()),
        weight,
        server.state.clone(),
        server.latency_us.map_or_else(|| "-".to_owned(), |us| format!("{us} µs")),
        server.failure.clone().unwrap_or_default(),
    ]
}

/// Left-aligned columns under their titles, two blanks apart.
fn columns<const N: usize>(text: &mut String, titles: [&str; N], rows: &[[String; N]]) {
    let mut widths = titles.map(|title| title.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut line = |cells: [&str; N]| {
        let padded: Vec<String> =
            cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        let _ = writeln!(text, "  {}", padded.join("  ").trim_end());
    };
    line(titles);
    for row in rows {
        line(std::array::from_fn(|at| row[at].as_str()));
    }
    text.push('\n');
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        86_400.. => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_have_no_tails() {
        let mut text = String::new();
        columns(&mut text, ["a", "bb"], &[["long".into(), String::new()], ["x".into(), "y".into()]]);
        assert_eq!(text, "  a     bb\n  long\n  x     y\n\n");
    }

    #[test]
    fn durations_are_short() {
        for (seconds, expected) in [(0, "0s"), (61, "1m01s"), (7260, "2h01m"), (90_000, "1d01h")] {
            assert_eq!(duration(seconds), expected);
        }
    }
}
