//! Good files, bad files and any files.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should say so at once")]

mod bad;
mod fuzz;
mod good;
mod hidden;

use std::{env::VarError, io, path::Path};

use super::*;

const EXAMPLE: &str = include_str!("../example.toml");
const ORIGIN: &str = "/etc/redirector.toml";

fn host() -> Host {
    Host { ephemeral_ports: 32_768..=60_999 }
}

/// Passwords of a host that exists in these tests only.
struct Vault;

impl Passwords for Vault {
    fn file(&self, path: &Path) -> io::Result<String> {
        match path.to_str() {
            Some("/etc/redirector/redis.pass") => Ok("s3cret\n".to_owned()),
            Some("/etc/beside.pass") => Ok("neighbour\r\n".to_owned()),
            Some("/spaces") => Ok(" a b \n\n".to_owned()),
            Some("/empty") => Ok("\n".to_owned()),
            Some("/locked") => Err(io::ErrorKind::PermissionDenied.into()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn variable(&self, name: &str) -> Result<String, VarError> {
        match name {
            "REDIS_PASSWORD" => Ok("from-env".to_owned()),
            _ => Err(VarError::NotPresent),
        }
    }
}

fn check(text: &str) -> Result<Config, ConfigErrors> {
    parse(text, Path::new(ORIGIN), &host(), &Vault)
}

fn accept(text: &str) -> Config {
    check(text).unwrap_or_else(|errors| panic!("{errors}\nin\n{text}"))
}

fn refuse(text: &str) -> Vec<ConfigError> {
    match check(text) {
        Err(ConfigErrors::Invalid(mistakes)) => mistakes,
        Err(other) => panic!("{other}"),
        Ok(config) => panic!("accepted as {config:?}\nin\n{text}"),
    }
}

/// A small good file, one key a line, with `from` replaced by `to`.
fn with(from: &str, to: &str) -> String {
    assert_eq!(SMALL.matches(from).count(), 1, "{from:?} must occur once");
    SMALL.replacen(from, to, 1)
}

const SMALL: &str = r#"[gateway]
interfaces = ["eth0"]

[[group]]
name = "cache"
server = [
  { name = "r1", address = "10.0.1.11:6379" },
  { name = "r2", address = "10.0.1.12:6379" },
]

[[service]]
name = "cache-rw"
listen = "10.0.0.100:6379"
group = "cache"
route = "master"
"#;
