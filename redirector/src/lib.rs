//! The agent that steers the datapath.

pub mod config;
pub mod health;
pub mod topology;
