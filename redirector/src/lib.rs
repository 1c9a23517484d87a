//! The agent that steers the datapath.

pub mod config;
pub mod dataplane;
pub mod health;
pub mod topology;
