//! What is wrong with a configuration file, where, and what to write instead.

use std::{fmt, io, path::PathBuf};

/// One mistake in a configuration file.
///
/// ```text
/// /etc/redirector.toml:12: service "cache-rw" names group "cahce", which is not defined; write one of: cache
///    12 | group = "cahce"
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    pub path: PathBuf,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The offending line. Passwords in it are replaced by `…`.
    pub text: String,
    /// What is wrong, without a full stop.
    pub sentence: String,
    /// What to write instead.
    pub instead: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, column: _, text, sentence, instead } = self;
        write!(f, "{}:{line}: {sentence}; {instead}", path.display())?;
        if !text.is_empty() {
            write!(f, "\n{line:>5} | {text}")?;
        }
        Ok(())
    }
}

/// Why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigErrors {
    #[error("cannot read the configuration {}: {source}; name a readable file with --config", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// Every mistake that was found, in the order of the file. Never empty.
    #[error("{}", lines(.0))]
    Invalid(Vec<ConfigError>),
}

impl ConfigErrors {
    /// The mistakes, in the order of the file. Empty if the file could not be read at all.
    pub fn mistakes(&self) -> &[ConfigError] {
        match self {
            Self::Unreadable { .. } => &[],
            Self::Invalid(mistakes) => mistakes,
        }
    }
}

fn lines(mistakes: &[ConfigError]) -> String {
    let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    lines.join("\n")
}
