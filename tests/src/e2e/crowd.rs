//! Many connections of every kind, to see what becomes of each of them.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    thread::JoinHandle,
    time::{Duration, SystemTime},
};

use anyhow::{Result, ensure};

use super::{Client, End, Ends, Gateway};
use crate::lab::{Direction, GATEWAY_TO_SERVERS, Segment, Sniffer};

/// Between two writes of a writer.
const PAUSE: Duration = Duration::from_millis(2);

/// What a connection is busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Writes all the time.
    Writer,
    /// Has said something once.
    Idle,
    /// Listens to a channel on which nobody speaks.
    Subscriber,
    /// Waits in `BLPOP` for a list that nobody fills.
    Blocked,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Writer, Self::Idle, Self::Subscriber, Self::Blocked];
}

/// Connections through one service.
#[derive(Debug)]
pub struct Crowd {
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    kind: Kind,
    ends: Ends,
    life: Life,
}

#[derive(Debug)]
enum Life {
    /// We look after it.
    Quiet(Client),
    /// A thread writes until the connection ends.
    Busy(JoinHandle<Result<End>>),
}

/// What became of one connection.
#[derive(Debug)]
pub struct Fate {
    pub kind: Kind,
    pub ends: Ends,
    pub end: End,
}

impl Crowd {
    /// `each` connections of every kind to `service`.
    pub fn gather(gateway: &Gateway, service: SocketAddrV4, each: usize, kinds: &[Kind]) -> Result<Self> {
        let kinds = kinds.iter().flat_map(|&kind| std::iter::repeat_n(kind, each));
        let members: Result<_> = kinds.map(|kind| Member::join(gateway, service, kind)).collect();
        Ok(Self { members: members? })
    }

    /// The addresses of every connection.
    pub fn ends(&self) -> Vec<Ends> {
        self.members.iter().map(|member| member.ends).collect()
    }

    /// Waits for every connection to end, up to `limit` for each.
    pub fn fates(self, limit: Duration) -> Result<Vec<Fate>> {
        self.members
            .into_iter()
            .map(|Member { kind, ends, life }| {
                let end = match life {
                    Life::Quiet(mut client) => client.end(limit)?,
                    // It gives up by itself when no answer comes.
                    Life::Busy(thread) => {
                        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?
                    }
                };
                Ok(Fate { kind, ends, end })
            })
            .collect()
    }
}

impl Member {
    fn join(gateway: &Gateway, service: SocketAddrV4, kind: Kind) -> Result<Self> {
        let mut client = gateway.client(service)?;
        let ends = client.ends()?;
        match kind {
            Kind::Writer => {
                let life = Life::Busy(std::thread::spawn(move || write_until_the_end(client)));
                return Ok(Self { kind, ends, life });
            }
            Kind::Idle => {}
            Kind::Subscriber => {
                client.send(&["SUBSCRIBE", "nothing"])?;
                client.reply()?;
            }
            Kind::Blocked => client.send(&["BLPOP", "nothing", "0"])?,
        }
        Ok(Self { kind, ends, life: Life::Quiet(client) })
    }
}

/// An error reply, such as READONLY, is an answer, too: only the end of the connection counts.
fn write_until_the_end(mut client: Client) -> Result<End> {
    loop {
        if let Err(error) = client.send(&["INCR", "writes"]) {
            return End::of(error);
        }
        match client.read() {
            Ok(0) => return Ok(End::Closed),
            Ok(_) => std::thread::sleep(PAUSE),
            Err(error) => return End::of(error),
        }
    }
}

/// When each end of a connection was told that it is over, as heard on the wire.
#[derive(Debug, Clone, Copy)]
pub struct Resets {
    pub at_client: Option<SystemTime>,
    pub at_server: Option<SystemTime>,
}

impl Resets {
    /// From what was heard at the client and at the server that had the connection.
    pub fn of(ends: &Ends, at_client: &[Segment], at_server: &[Segment]) -> Self {
        let reset = |segments: &[Segment], wanted: &dyn Fn(&Segment) -> bool| {
            let mut told = segments
                .iter()
                .filter(|segment| segment.direction == Direction::In && segment.has(Segment::RST));
            told.find(|segment| wanted(segment)).map(|segment| segment.at)
        };
        Self {
            at_client: reset(at_client, &|segment| segment.destination == ends.client),
            at_server: reset(at_server, &|segment| segment.source == ends.translated),
        }
    }
}

/// Segments that clients' connections have brought to a server: from the gateway's source address,
/// and a port that the datapath hands out, not one of the agent's own connections.
pub fn forwarded(ear: &Sniffer) -> Vec<Segment> {
    ear.segments()
        .into_iter()
        .filter(|segment| {
            segment.direction == Direction::In && is_handed_out(segment.source, GATEWAY_TO_SERVERS)
        })
        .collect()
}

/// The lab leaves `ip_local_port_range` as it is, and the datapath takes what is below.
fn is_handed_out(source: SocketAddrV4, gateway: Ipv4Addr) -> bool {
    *source.ip() == gateway && (1024..32_768).contains(&source.port())
}

/// An error that lists the connections that `wanted` does not accept.
pub fn ensure_all(fates: &[Fate], wanted: impl Fn(&Fate) -> bool) -> Result<()> {
    let others: Vec<_> = fates.iter().filter(|fate| !wanted(fate)).collect();
    ensure!(others.is_empty(), "{} of {} have ended otherwise: {others:#?}", others.len(), fates.len());
    Ok(())
}
