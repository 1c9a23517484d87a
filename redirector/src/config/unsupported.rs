//! What the grammar knows and this version does not do yet. A version that learns one of these
//! deletes its row.

/// One refusal.
pub(super) struct Unsupported {
    /// The table's name as in [`super::document`].
    table: &'static str,
    key: &'static str,
    values: Values,
    /// What is wrong, without the full stop.
    pub(super) sentence: &'static str,
    /// What to write instead.
    pub(super) instead: &'static str,
}

/// Which values of the key are refused.
enum Values {
    All,
    Only(&'static str),
    Like(fn(&str) -> bool),
}

#[rustfmt::skip]
const NOT_YET: &[Unsupported] = &[
    row("[gateway]", "http", Values::All, "http is not served by this version", "remove the line"),
    row("[gateway]", "forward", Values::Only("dnat"), "forward = \"dnat\" is not done by this version", "write \"snat\""),
    row("[gateway]", "forward", Values::Only("dsr"), "forward = \"dsr\" is not done by this version", "write \"snat\""),
    row("[gateway]", "forward", Values::Only("host"), "forward = \"host\" is not done by this version", "write \"snat\""),
    row("[[group]]", "failover", Values::Only("sentinel"), "failover = \"sentinel\" is not done by this version", "write \"observe\""),
    row("[[group]]", "failover", Values::Only("promote"), "failover = \"promote\" is not done by this version", "write \"observe\""),
    row("[[group]]", "tls", Values::All, "tls to the servers is not spoken by this version", "remove the key"),
    row("server", "max_connections", Values::All, "max_connections is not enforced by this version", "remove the key"),
    row("server", "address", Values::Like(is_ipv6), "IPv6 is not forwarded by this version", "write an IPv4 address and a port, such as \"10.0.1.11:6379\""),
    row("server", "address", Values::Like(is_host_name), "host names are not resolved by this version", "write an IPv4 address and a port, such as \"10.0.1.11:6379\""),
    row("[[service]]", "listen", Values::Like(is_ipv6), "IPv6 is not forwarded by this version", "write an IPv4 address and a port, such as \"10.0.0.100:6379\""),
    row("[[service]]", "forward", Values::All, "forward is set for the whole gateway in this version", "remove the line"),
    row("[[service]]", "balance", Values::Only("least-connections"), "balance = \"least-connections\" is not done by this version", "write \"round-robin\""),
    row("[[service]]", "balance", Values::Only("source"), "balance = \"source\" is not done by this version", "write \"round-robin\""),
    row("[[service]]", "balance", Values::Only("first"), "balance = \"first\" is not done by this version", "write \"round-robin\""),
    row("[[service]]", "balance", Values::Only("random"), "balance = \"random\" is not done by this version", "write \"round-robin\""),
];

const fn row(
    table: &'static str,
    key: &'static str,
    values: Values,
    sentence: &'static str,
    instead: &'static str,
) -> Unsupported {
    Unsupported { table, key, values, sentence, instead }
}

/// The refusal of `key = value` in `table`, if there is one. `value` is `None` unless it is a string.
pub(super) fn refusal(table: &str, key: &str, value: Option<&str>) -> Option<&'static Unsupported> {
    NOT_YET.iter().find(|row| {
        row.table == table
            && row.key == key
            && match row.values {
                Values::All => true,
                Values::Only(only) => value == Some(only),
                Values::Like(like) => value.is_some_and(like),
            }
    })
}

/// `[::1]:6379`, and the common slip `::1` as well.
fn is_ipv6(address: &str) -> bool {
    address.starts_with('[') || address.matches(':').count() > 1
}

fn is_host_name(address: &str) -> bool {
    let host = address.split_once(':').map_or(address, |(host, _)| host);
    host.contains(|c: char| c.is_ascii_alphabetic())
        && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}
