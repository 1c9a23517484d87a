//! What is allowed, but hardly meant.

use std::ops::RangeInclusive;

use super::{
    limits,
    model::{Config, Group, Route, Service},
};

/// Something in a valid configuration that the operator should hear about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    #[error("no service leads to group {group:?}; its servers are checked and get no connection")]
    UnusedGroup { group: String },
    #[error(
        "service {service:?} has route \"master\" and every server of group {group:?} has weight 0; \
         give the servers that may serve a weight"
    )]
    NoWeight { service: String, group: String },
    #[error(
        "{} source ports ({}-{}) bound the connections to each server; widen source_ports",
        ports.len(), ports.start(), ports.end()
    )]
    FewSourcePorts { ports: RangeInclusive<u16> },
}

impl Config {
    /// What is allowed, but hardly meant.
    pub fn warnings(&self) -> Vec<Warning> {
        let unused = self
            .groups
            .iter()
            .enumerate()
            .filter(|&(index, _)| !self.services.iter().any(|s| s.group == index))
            .map(|(_, group)| Warning::UnusedGroup { group: group.name.clone() });
        let weightless = self.services.iter().filter_map(|service| {
            let group = self.group_of(service)?;
            let idle = group.servers.iter().all(|server| server.weight == 0);
            (service.route == Route::Master && idle)
                .then(|| Warning::NoWeight { service: service.name.clone(), group: group.name.clone() })
        });
        let ports = &self.gateway.source_ports;
        let few = (ports.len() < limits::FEW_SOURCE_PORTS)
            .then(|| Warning::FewSourcePorts { ports: ports.clone() });
        unused.chain(weightless).chain(few).collect()
    }

    pub fn service_named(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.name == name)
    }

    pub fn group_named(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == name)
    }

    /// The group that a service of this configuration leads to.
    pub fn group_of(&self, service: &Service) -> Option<&Group> {
        self.groups.get(service.group)
    }
}
