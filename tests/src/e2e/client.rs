//! A Redis connection close enough to the socket to tell a reset from an end, and a server's view
//! of it.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::{SocketAddr, SocketAddrV4, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use redis::{FromRedisValue, Parser, Value};

use crate::lab::Namespace;

/// For a connection to open, and for each read and write.
const TIMEOUT: Duration = Duration::from_secs(5);

/// One connection of a client.
pub struct Client {
    stream: TcpStream,
    parser: Parser,
}

/// How a connection has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// A RST came.
    Reset,
    /// A FIN came.
    Closed,
    /// Neither, in the time given.
    Open,
}

/// The addresses of a connection: at the client, and what the server has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    pub client: SocketAddrV4,
    /// The client's address after translation.
    pub translated: SocketAddrV4,
    pub server: SocketAddrV4,
}

impl Client {
    /// Connects from inside `namespace`.
    pub fn connect(namespace: &Namespace, address: SocketAddrV4) -> Result<Self> {
        let stream = namespace.enter(|| Ok(TcpStream::connect_timeout(&address.into(), TIMEOUT)?))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(Self { stream, parser: Parser::new() })
    }

    /// Sends a command; the answer waits for [`Self::reply`].
    pub fn send(&mut self, words: &[impl AsRef<[u8]>]) -> io::Result<()> {
        let words: Vec<Vec<u8>> = words.iter().map(|word| word.as_ref().to_vec()).collect();
        self.stream.write_all(&redis::pack_command(&words))
    }

    /// The next answer. An error reply is a value.
    pub fn reply(&mut self) -> Result<Value> {
        Ok(self.parser.parse_value(&mut self.stream)?)
    }

    /// One command and its answer.
    pub fn call<T: FromRedisValue>(&mut self, words: &[impl AsRef<[u8]>]) -> Result<T> {
        self.send(words)?;
        let value = self.reply()?.extract_error()?;
        Ok(redis::from_redis_value(value)?)
    }

    pub fn ends(&mut self) -> Result<Ends> {
        let SocketAddr::V4(client) = self.stream.local_addr()? else {
            bail!("the lab has IPv4 addresses only");
        };
        let info: String = self.call(&["CLIENT", "INFO"])?;
        let field = |name: &str| {
            let value = info.split(' ').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
            let value = value.with_context(|| format!("no {name} in {info}"))?;
            value.parse().with_context(|| format!("{name}={value} is no address"))
        };
        Ok(Ends { client, translated: field("addr")?, server: field("laddr")? })
    }

    /// Some of what has come; nothing is the end.
    pub(super) fn read(&mut self) -> io::Result<usize> {
        self.stream.read(&mut [0; 4096])
    }

    /// Reads whatever comes until the connection ends.
    pub fn end(&mut self, limit: Duration) -> Result<End> {
        let deadline = Instant::now() + limit;
        loop {
            // Zero would mean to wait for ever.
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            self.stream.set_read_timeout(Some(left))?;
            match self.read() {
                Ok(0) => return Ok(End::Closed),
                Ok(_) => {}
                Err(error) => return End::of(error),
            }
        }
    }
}

impl End {
    /// What an error of a socket says. The kernel tells it once: the next call sees a mere end.
    pub(super) fn of(error: io::Error) -> Result<Self> {
        let kind = error.kind();
        if [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe].contains(&kind) {
            Ok(Self::Reset)
        } else if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&kind) {
            Ok(Self::Open)
        } else {
            Err(error.into())
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("stream", &self.stream).finish_non_exhaustive()
    }
}
