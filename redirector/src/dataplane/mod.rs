//! The agent's side of the datapath: the desired state into the maps, the programs onto the interfaces.
//!
//! [`plan`] is pure and decides what is to be written, in which order; [`Dataplane`] carries it out.

mod announce;
mod attach;
mod banks;
mod batch;
mod error;
mod kernel_log;
mod maps;
mod netlink;
mod pins;
pub mod plan;
mod reset;
mod slots;
mod sweep;
mod sweeper;
mod writer;

pub use announce::announce;
pub use attach::{Hook, detach_classifiers};
pub use banks::Settling;
pub use error::DataplaneError;
pub use netlink::{HostAddress, Interface, Netlink};
pub use pins::remove as remove_pins;
pub use sweep::Timeouts;
pub use sweeper::{Aftermath, Census, Collection};
pub use writer::Dataplane;
