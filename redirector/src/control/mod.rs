//! The admin socket: one command a line, in the dialect of `HAProxy`'s runtime socket where that has a word for it.
//!
//! An answer ends in an empty line; success without anything to say is just that line. Everything that is not a
//! success is a sentence.

mod client;
mod command;
mod socket;
mod status;

pub use client::{ClientError, ask};
pub use command::{Answer, Command, Effect, Weight, execute};
pub use socket::{Peer, Request, Socket};
pub use status::{GroupStatus, OverrideStatus, ServerStatus, ServiceStatus, Status};
