//! Who is the master, who may be read? Replies in, members of each service out; no I/O.
//!
//! [`Replication`] is what one server says about itself. [`elect`] weighs what all servers of a group
//! say and names at most one master. [`members()`] turns that into the standing of every server in one
//! service, with a reason for each that is left out.
//!
//! Architecture invariant: nothing here keeps state, reads a clock or waits. The same views give the
//! same answer, so that every answer can be replayed from a log.

mod election;
mod members;
mod reason;
mod replication;
#[cfg(test)]
mod testing;

pub use election::{Conflict, Election, MasterReason, Operator, ServerView, elect};
pub use members::{Member, Standing, members};
pub use reason::Reason;
pub use replication::{Replication, ReplyError, Role};
