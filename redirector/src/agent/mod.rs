//! The process that steers the datapath: one task that owns all state, and shells that feed it.

mod addresses;
mod error;
mod keeper;
mod overrides;
mod preflight;
mod privilege;
mod run;
mod state_file;
mod steering;

pub use error::AgentError;
pub use overrides::{Order, Origin, Overrides};
pub use run::run;
pub use steering::{GroupState, ServerId, ServerState, Steering};

use crate::{config::Config, dataplane};

/// Removes everything that an agent with this configuration has attached, pinned or put on an interface. Gives a line for
/// each thing that was removed.
pub async fn detach(config: &Config) -> Result<Vec<String>, AgentError> {
    require_privilege()?;
    let mut removed = Vec::new();
    // Pins first: they are locked while an agent runs, and then nothing is touched.
    if dataplane::remove_pins(&config.gateway.pins)? {
        removed.push(format!("programs and maps pinned in {}", config.gateway.pins.display()));
    }
    dataplane::detach_classifiers(&config.gateway.interfaces);
    for address in addresses::remove(config).await? {
        removed.push(format!("virtual address {address}"));
    }
    Ok(removed)
}

/// Before anything is touched: half of it would be worse than nothing.
fn require_privilege() -> Result<(), AgentError> {
    let lacking = privilege::missing();
    if lacking.is_empty() { Ok(()) } else { Err(AgentError::NoPrivilege { lacking }) }
}
