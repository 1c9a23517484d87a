//! The ways to the master that are compared.

use std::{net::SocketAddrV4, time::Duration};

use crate::{
    bench::haproxy::{HaProxy, PLAIN},
    lab::MASTER_SERVICE,
};

/// An address that leads to the master, and who keeps it right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Door {
    pub(super) keeper: Keeper,
    pub(super) address: SocketAddrV4,
    /// Between two connections of [`super::caller::Caller`], so the resolution of what it sees.
    pub(super) rest: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeper {
    Redirector,
    /// Index into the stage's peers.
    HaProxy(usize),
}

impl Door {
    pub(super) const REDIRECTOR: Self =
        Self { keeper: Keeper::Redirector, address: MASTER_SERVICE, rest: Duration::from_millis(1) };

    /// A peer that takes seconds is asked less often: each question costs it a port.
    pub(super) fn of_peer(index: usize, peer: &HaProxy) -> Self {
        let rest = Duration::from_millis(if peer.name() == PLAIN.name { 10 } else { 2 });
        Self { keeper: Keeper::HaProxy(index), address: peer.address(), rest }
    }
}
