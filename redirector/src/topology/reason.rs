//! Why a server stands where it stands, in words for `status`.

use thiserror::Error;

use crate::health::Failure;

/// A short phrase about one server in one service.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Reason {
    #[error("is a replica")]
    IsReplica,
    /// In a replica service that may not fall back to it.
    #[error("is the master")]
    IsMaster,
    #[error("is the master; replicas serve")]
    ReplicasServe,
    #[error("is the master; no replica is left")]
    NoReplicaLeft,
    #[error("down{}", .0.as_ref().map(|failure| format!(": {failure}")).unwrap_or_default())]
    Down(Option<Failure>),
    #[error("not heard yet")]
    NotHeard,
    #[error("link to its master is down")]
    LinkDown,
    #[error("receives a full copy from its master")]
    Syncing,
    #[error("weight 0")]
    WeightZero,
    #[error("drained by the operator")]
    Drained,
    #[error("in maintenance")]
    Maintenance,
    /// Quarantined. Names the elected master, where there is one.
    #[error("claims to be master{}", .0.as_ref().map(|master| format!(" beside {master}")).unwrap_or_default())]
    Rival(Option<String>),
    #[error("replicates from {0}, which is not the master")]
    FollowsRival(String),
    #[error("says it is master; the other servers are not heard yet")]
    Unconfirmed,
    #[error("backup")]
    Backup,
    #[error("stale: the group has no master")]
    Stale,
}
