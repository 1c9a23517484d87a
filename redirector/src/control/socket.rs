//! The admin socket's server side: lines in, requests to the agent, answers out.

use std::{
    fs, io,
    os::unix::{fs::PermissionsExt, net::UnixStream as Blocking},
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::{mpsc, oneshot},
    time::timeout,
};
use tracing::debug;

use super::{Answer, Command};
use crate::agent::AgentError;

/// A command on its way to the agent, and where the answer goes.
#[derive(Debug)]
pub struct Request {
    pub command: Command,
    pub peer: Peer,
    pub reply: oneshot::Sender<Answer>,
}

/// Who is at the other end of a connection, by the kernel's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    pub uid: u32,
    /// Not known across PID namespaces.
    pub pid: Option<i32>,
}

/// The longest line that is read.
const MAX_LINE: u64 = 4096;
/// How long somebody may take to write a line.
const PATIENCE: Duration = Duration::from_secs(10);

/// The listening socket; its file goes with it.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
}

impl Socket {
    /// Listens on `path`, for the owner and the group only. A file that an agent has left behind is replaced.
    pub fn listen(path: &Path, requests: mpsc::Sender<Request>) -> Result<Self, AgentError> {
        if Blocking::connect(path).is_ok() {
            return Err(AgentError::SocketInUse { path: path.to_owned() });
        }
        let listener = bind(path).map_err(|source| AgentError::Socket { path: path.to_owned(), source })?;
        tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        tokio::spawn(serve(stream, requests.clone()));
                    }
                    Err(error) => {
                        debug!(%error, "no connection accepted");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        });
        Ok(Self { path: path.to_owned() })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = fs::remove_file(&self.path);
    }
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

async fn serve(stream: UnixStream, requests: mpsc::Sender<Request>) {
    if let Err(error) = converse(stream, &requests).await {
        debug!(%error, "an admin connection broke");
    }
}

/// One line, one answer, and the connection is over, as `HAProxy` does it.
async fn converse(mut stream: UnixStream, requests: &mpsc::Sender<Request>) -> io::Result<()> {
    let credentials = stream.peer_cred()?;
    let peer = Peer { uid: credentials.uid(), pid: credentials.pid().filter(|pid| *pid > 0) };
    let (reader, mut writer) = stream.split();
    let mut line = String::new();
    let mut reader = BufReader::new(reader.take(MAX_LINE));
    match timeout(PATIENCE, reader.read_line(&mut line)).await {
        Ok(read) => read?,
        Err(_) => return Ok(()),
    };
    let text = match answer(&line, peer, requests).await {
        Ok(text) | Err(text) if text.is_empty() => "\n".to_owned(),
        Ok(text) => format!("{text}\n\n"),
        Err(sentence) => format!("error: {sentence}\n\n"),
    };
    writer.write_all(text.as_bytes()).await?;
    writer.shutdown().await
}

async fn answer(line: &str, peer: Peer, requests: &mpsc::Sender<Request>) -> Answer {
    let command = line.parse()?;
    let (reply, answer) = oneshot::channel();
    let gone = |()| "the agent is stopping".to_owned();
    requests.send(Request { command, peer, reply }).await.map_err(|_| gone(()))?;
    answer.await.map_err(|_| gone(()))?
}
