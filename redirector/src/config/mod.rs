//! The configuration file: TOML as typed, and what it means once it has been checked.
//!
//! [`load`] reads a file, [`parse`] checks a text. Both give a [`Config`], or every mistake with
//! its line and what to write instead. [`limits`] holds every bound and default.

mod document;
mod duration;
mod error;
mod host;
mod keys;
pub mod limits;
mod model;
mod raw;
mod report;
mod secrets;
mod suggest;
#[cfg(test)]
mod tests;
mod unsupported;
mod validate;
mod warnings;

use std::{fs, path::Path};

pub use error::{ConfigError, ConfigErrors};
pub use host::{Host, HostPasswords, Passwords, default_source_ports};
pub use model::*;
pub use warnings::Warning;

/// Reads and checks a file for this host. Password files are read as well.
pub fn load(path: &Path) -> Result<Config, ConfigErrors> {
    let text = fs::read_to_string(path)
        .map_err(|source| ConfigErrors::Unreadable { path: path.to_owned(), source })?;
    parse(&text, path, &Host::read(), &HostPasswords)
}

/// Checks a text. `origin` names it in errors, and is what a relative `password_file` is relative to.
pub fn parse(
    text: &str,
    origin: &Path,
    host: &Host,
    passwords: &dyn Passwords,
) -> Result<Config, ConfigErrors> {
    let mut report = report::Report::new(origin, text);
    let config = document::read(text, &mut report)
        .and_then(|raw| validate::validate(&raw, host, passwords, &mut report));
    match config {
        Some(config) if report.is_empty() => Ok(config),
        _ => Err(ConfigErrors::Invalid(report.finish())),
    }
}
