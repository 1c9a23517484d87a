//! Is a server well? A pure state machine, and the probes that feed it.
//!
//! [`probe::run`] keeps one connection to one server and reports an [`Observation`] each round;
//! [`Health::fold`] turns [`Outcome`]s into a verdict.
//!
//! Architecture invariant: a probe decides nothing. It knows no other server, no service and no verdict.

mod failure;
pub mod probe;
mod reply;
mod resp;
mod session;
mod state;
#[cfg(test)]
mod testing;
mod watch;

pub use failure::{Excerpt, Failure, Phase};
pub use probe::{Controls, Observation, Pace, Target};
pub use state::{Health, Outcome, State};
