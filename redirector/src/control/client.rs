//! The CLI's side of the admin socket.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

/// How long the agent may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("no agent answers on {path} ({source}): is it running? `--socket` or `--config` says where")]
    Unreachable { path: PathBuf, source: io::Error },
    #[error("{0}")]
    Refused(String),
}

/// Asks the agent one thing and gives what it says.
pub fn ask(socket: &Path, line: &str) -> Result<String, ClientError> {
    let text = converse(socket, line)
        .map_err(|source| ClientError::Unreachable { path: socket.to_owned(), source })?;
    let text = text.trim_end_matches('\n');
    match text.strip_prefix("error: ") {
        Some(sentence) => Err(ClientError::Refused(sentence.to_owned())),
        None => Ok(text.to_owned()),
    }
}

fn converse(socket: &Path, line: &str) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{line}\n").as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    // Every answer ends in an empty line: without it the agent has died over the question.
    if text.ends_with('\n') { Ok(text) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}
