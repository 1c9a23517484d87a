//! Names of the maps and programs in the object file, and so of their pins.

pub const FLOWS: &str = "FLOWS";
pub const SERVICES: &str = "SERVICES";
pub const BACKENDS: &str = "BACKENDS";
pub const SLOTS: &str = "SLOTS";
pub const TICKETS: &str = "TICKETS";
pub const COUNTERS: &str = "COUNTERS";
pub const TRAFFIC: &str = "TRAFFIC";
pub const REFUSALS: &str = "REFUSALS";

/// Maps that outlive the agent.
pub const PINNED_MAPS: [&str; 8] = [FLOWS, SERVICES, BACKENDS, SLOTS, TICKETS, COUNTERS, TRAFFIC, REFUSALS];

pub const XDP_PROGRAM: &str = "redirector_xdp";
pub const TC_PROGRAM: &str = "redirector_tc";

/// Grows with every change of a map's key, value or meaning.
pub const LAYOUT_VERSION: u32 = 2;
