//! The configuration file: TOML as typed, and what it means once it has been checked.

mod model;

pub use model::*;
