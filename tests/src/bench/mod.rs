//! The figures that `cargo xtask bench` prints, and what `docs/benchmarks.md` explains.
//!
//! Three layers: scenarios make samples in the lab, `stats` and `mark` make figures of them, `report`
//! and `table` print those. Only the scenarios need root.

pub mod failover;
mod haproxy;
mod host;
pub mod interrupt;
pub mod load;
mod stats;
mod table;
