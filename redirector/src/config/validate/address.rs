//! Addresses of servers and services.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use toml::Spanned;

use crate::config::report::Report;

/// An address and port that a TCP connection can go to. `key` is "listen" or "address".
pub(super) fn check(text: &Spanned<String>, key: &str, report: &mut Report<'_>) -> Option<SocketAddr> {
    let (wrong, instead) = match text.get_ref().parse::<SocketAddr>() {
        Ok(address) => match trouble(address) {
            None => return Some(address),
            Some(trouble) => trouble,
        },
        Err(_) if text.get_ref().parse::<IpAddr>().is_ok() => {
            ("has no port", "write the address and the port, such as \"10.0.0.100:6379\"")
        }
        Err(_) => ("is not an address and a port", "write them as in \"10.0.0.100:6379\""),
    };
    report.push(text.span(), format!("{key} = {:?} {wrong}", text.get_ref()), instead);
    None
}

/// Why no connection can go there, and what to write instead.
fn trouble(address: SocketAddr) -> Option<(&'static str, &'static str)> {
    let ip = address.ip();
    if address.port() == 0 {
        Some(("has port 0", "write a port from 1 to 65535"))
    } else if ip.is_unspecified() {
        Some(("is no particular address", "write the address itself"))
    } else if ip.is_multicast() {
        Some(("is a multicast address", "write a unicast address"))
    } else if ip == IpAddr::V4(Ipv4Addr::BROADCAST) {
        Some(("is the broadcast address", "write a unicast address"))
    } else {
        None
    }
}
