//! What the agent has done to its host.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use aya::programs::{SchedClassifier, TcAttachType};
use serde_json::Value;

use crate::lab::{GATEWAY_INTERFACES, Namespace, run};

/// Every address of the namespace, and the interface it is on.
pub fn addresses(namespace: &Namespace) -> Result<Vec<(Ipv4Addr, String)>> {
    let mut found = Vec::new();
    for link in list(namespace, &["-4", "-json", "address"])? {
        for address in link["addr_info"].as_array().into_iter().flatten() {
            let text = address["local"].as_str().context("no address")?;
            found.push((text.parse()?, link["ifname"].as_str().context("no name")?.to_owned()));
        }
    }
    Ok(found)
}

/// Programs on the gateway's interfaces, such as `eth0 xdp` and `s1 tc`.
pub fn attached_programs(gateway: &Namespace) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for link in list(gateway, &["-json", "link"])? {
        if !link["xdp"].is_null() {
            found.push(format!("{} xdp", link["ifname"].as_str().unwrap_or("?")));
        }
    }
    for interface in GATEWAY_INTERFACES {
        // Kernels before 6.6 have no TCX.
        let tcx = gateway.enter(|| Ok(SchedClassifier::query_tcx(interface, TcAttachType::Ingress)))?;
        let tcx = tcx.map_or(0, |(_, programs)| programs.len());
        let filters = run(gateway.command("tc").args(["filter", "show", "dev", interface, "ingress"]))?;
        let classifiers = filters.lines().filter(|line| line.contains("direct-action")).count();
        found.extend(std::iter::repeat_n(format!("{interface} tc"), tcx + classifiers));
    }
    Ok(found)
}

fn list(namespace: &Namespace, words: &[&str]) -> Result<Vec<Value>> {
    Ok(serde_json::from_str(&run(namespace.command("ip").args(words))?)?)
}
