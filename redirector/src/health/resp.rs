//! A small connection that speaks RESP2: bounded replies, deadlines, and news of a hang-up while idle.
//!
//! The clients of the redis crate notice a closed connection only with their next command; a probe
//! wants to know at once. So the stream is ours, and only the encoding and decoding are theirs.

use redis::{Cmd, ErrorKind, Value};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout_at},
};

use super::{Excerpt, Failure, Phase};

/// No reply to a probe comes near this: `INFO replication` of a master with 500 replicas is half of it.
pub(super) const MAX_REPLY_BYTES: usize = 64 * 1024;

const READ_BYTES: usize = 4096;

#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
}

impl Connection {
    pub(super) async fn open(address: std::net::SocketAddr, deadline: Instant) -> Result<Self, Failure> {
        let stream = timeout_at(deadline, TcpStream::connect(address))
            .await
            .map_err(|_| Failure::Timeout(Phase::Connect))?
            .map_err(|error| {
                let failure = Failure::from(error);
                if failure == Failure::Timeout(Phase::Reply) {
                    return Failure::Timeout(Phase::Connect);
                }
                failure
            })?;
        stream.set_nodelay(true)?;
        Ok(Self { stream })
    }

    /// Sends all commands at once and waits for as many replies. After an error the connection is of
    /// no more use.
    pub(super) async fn ask<const N: usize>(
        &mut self,
        commands: [Cmd; N],
        deadline: Instant,
    ) -> Result<[Value; N], Failure> {
        timeout_at(deadline, self.exchange(commands)).await.map_err(|_| Failure::Timeout(Phase::Reply))?
    }

    async fn exchange<const N: usize>(&mut self, commands: [Cmd; N]) -> Result<[Value; N], Failure> {
        let request: Vec<u8> = commands.iter().flat_map(Cmd::get_packed_command).collect();
        // A server may say why and hang up before it reads. So read on: what it said is still there,
        // and if it said nothing, reading fails with the same error.
        let _ = self.stream.write_all(&request).await;

        let mut replies = Replies::new(N);
        loop {
            let end = self.stream.read_buf(&mut replies.bytes).await;
            match end {
                Ok(0) => return Err(replies.cut_off(Failure::Closed)),
                Err(error) => return Err(replies.cut_off(error.into())),
                Ok(_) => {}
            }
            if let Some(values) = replies.decode()? {
                return values.try_into().map_err(|_| Failure::Truncated);
            }
        }
    }

    /// Waits until the peer ends the connection, and says how. May be cancelled.
    ///
    /// Words that nobody asked for end it too, since no later reply could be told from them.
    pub(super) async fn hang_up(&mut self) -> Failure {
        let mut said = [0; 64];
        match self.stream.read(&mut said).await {
            Ok(0) => Failure::Closed,
            Ok(length) => Failure::NotRedis(Excerpt::new(&said[..length])),
            Err(error) => error.into(),
        }
    }
}

/// Collects the bytes of several replies.
struct Replies {
    /// Starts with the header of an array, so that the decoder takes all replies for one value.
    bytes: Vec<u8>,
    header: usize,
}

impl Replies {
    fn new(count: usize) -> Self {
        let mut bytes = format!("*{count}\r\n").into_bytes();
        let header = bytes.len();
        bytes.reserve(READ_BYTES);
        Self { bytes, header }
    }

    /// The replies if they are complete. What comes after them is dropped.
    fn decode(&self) -> Result<Option<Vec<Value>>, Failure> {
        match redis::parse_redis_value(&self.bytes) {
            Ok(Value::Array(values)) => Ok(Some(values)),
            // The decoder reads from a slice: its only I/O error is the end of it.
            Err(error) if error.kind() == ErrorKind::Io => {
                if self.said().len() > MAX_REPLY_BYTES {
                    Err(Failure::TooLong)
                } else {
                    Ok(None)
                }
            }
            Ok(_) | Err(_) => Err(Failure::NotRedis(Excerpt::new(self.said()))),
        }
    }

    /// Why the connection ended, given what had come until then.
    fn cut_off(&self, how: Failure) -> Failure {
        if self.said().is_empty() {
            return how;
        }
        match redis::parse_redis_value(self.said()) {
            // Such as “max number of clients reached” or protected mode: said once, to any question.
            Ok(Value::ServerError(error)) => (&error).into(),
            Ok(_) | Err(_) => Failure::Truncated,
        }
    }

    fn said(&self) -> &[u8] {
        &self.bytes[self.header..]
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test panics where it fails")]
    use super::*;

    fn replies(count: usize, said: &[u8]) -> Replies {
        let mut replies = Replies::new(count);
        replies.bytes.extend_from_slice(said);
        replies
    }

    #[test]
    fn incomplete_is_told_from_garbage() {
        let whole = b"+PONG\r\n$4\r\nrole\r\n";
        for length in 0..whole.len() {
            assert_eq!(replies(2, &whole[..length]).decode(), Ok(None), "{length} bytes");
        }
        let values = replies(2, whole).decode().unwrap().unwrap();
        assert_eq!(values, [Value::SimpleString("PONG".into()), Value::BulkString(b"role".into())]);

        for garbage in ["HTTP/1.1 400 Bad Request\r\n", "SSH-2.0-OpenSSH_9.2\r\n", "220 mail\r\n"] {
            let expected = Failure::NotRedis(Excerpt::new(garbage));
            assert_eq!(replies(1, garbage.as_bytes()).decode(), Err(expected));
        }
        for garbage in [b"$x\r\n".as_slice(), b"\0\0\0", b"+\xff\r\n", b"$1\r\nabc\r\n"] {
            assert!(matches!(replies(1, garbage).decode(), Err(Failure::NotRedis(_))), "{garbage:?}");
        }
    }

    #[test]
    fn errors_among_replies_are_values() {
        let values = replies(2, b"-LOADING wait\r\n$-1\r\n").decode().unwrap().unwrap();
        assert!(matches!(&values[0], Value::ServerError(error) if error.code() == "LOADING"));
        assert_eq!(values[1], Value::Nil);
    }

    #[test]
    fn long_replies_are_refused() {
        let mut said = b"$1000000000\r\n".to_vec();
        said.resize(MAX_REPLY_BYTES, b'x');
        assert_eq!(replies(1, &said).decode(), Ok(None));
        said.push(b'x');
        assert_eq!(replies(1, &said).decode(), Err(Failure::TooLong));
        let mut line = b"+".to_vec();
        line.resize(MAX_REPLY_BYTES + 1, b'x');
        assert_eq!(replies(1, &line).decode(), Err(Failure::TooLong));
    }

    #[test]
    fn hostile_nesting_and_sizes_end_in_a_failure() {
        // Threads of tokio have a stack of 2 MiB, like those of tests.
        assert!(matches!(replies(1, &b"*1\r\n".repeat(200)).decode(), Err(Failure::NotRedis(_))));
        assert!(matches!(replies(1, &b"*9999\r\n".repeat(90)).decode(), Ok(None)));
        for said in [
            "*9223372036854775807\r\n",
            "$9223372036854775807\r\n",
            "$-5\r\n",
            "*-5\r\n",
            "%-1\r\n",
            "|-1\r\n",
            "!-1\r\n",
        ] {
            let _any = replies(1, said.as_bytes()).decode();
        }
    }

    #[test]
    fn the_last_words_count() {
        let error = Failure::Other(Excerpt::new("ERR max number of clients reached"));
        let table = [
            (b"".as_slice(), Failure::Reset),
            (b"-ERR max number of clients reached\r\n", error),
            (b"-LOADING wait\r\n", Failure::Loading),
            (b"+PONG\r\n", Failure::Truncated),
            (b"$100\r\nrole:mas", Failure::Truncated),
        ];
        for (said, expected) in table {
            assert_eq!(replies(2, said).cut_off(Failure::Reset), expected);
        }
    }
}
