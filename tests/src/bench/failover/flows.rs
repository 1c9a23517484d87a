//! The connections that a change of master has to end: busy ones and idle ones of every kind.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{Shutdown, SocketAddr, SocketAddrV4, TcpStream},
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, bail};

use super::caller::field;
use crate::lab::{Direction, Lab, MASTER_SERVICE, Segment, Sniffer};

/// For one answer. A flow that has been cut without a word shows by it.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two writes of a writer.
const THINKING: Duration = Duration::from_millis(5);

/// What a connection is busy with, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    /// One SET after another.
    Write,
    /// Nothing, after one command.
    Rest,
    /// A subscription that no message comes for.
    Subscribe,
    /// A BLPOP that nothing is pushed for.
    Block,
}

const FLOWS: [(Work, usize); 4] = [(Work::Write, 8), (Work::Rest, 8), (Work::Subscribe, 2), (Work::Block, 2)];

/// Connections through the virtual address, closed on drop.
#[derive(Debug)]
pub(super) struct OldFlows(Vec<Flow>);

#[derive(Debug)]
struct Flow {
    stream: TcpStream,
    /// The client's end.
    client: SocketAddrV4,
    /// The client's end as the server sees it.
    source: SocketAddrV4,
}

/// When the last of the flows was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ends {
    /// As its client sees it; `None` if one was left open.
    pub(super) client: Option<SystemTime>,
    /// As its server sees it; `None` if one was left open.
    pub(super) server: Option<SystemTime>,
}

impl OldFlows {
    /// Returns when every one of them has been served.
    pub(super) fn open(lab: &Lab) -> Result<Self> {
        let works = FLOWS.iter().flat_map(|&(work, count)| std::iter::repeat_n(work, count));
        lab.client.enter(|| works.map(Flow::open).collect::<Result<_>>()).map(Self)
    }

    /// From what passed at the client and at the old master.
    pub(super) fn ends(&self, at_client: &Sniffer, at_server: &Sniffer) -> Ends {
        let (at_client, at_server) = (at_client.segments(), at_server.segments());
        let last = |times: Option<Vec<SystemTime>>| times?.into_iter().max();
        Ends {
            client: last(self.0.iter().map(|flow| end_of_client(&at_client, flow.client)).collect()),
            server: last(self.0.iter().map(|flow| end_of_server(&at_server, flow.source)).collect()),
        }
    }
}

impl Drop for OldFlows {
    fn drop(&mut self) {
        for flow in &self.0 {
            // Ends its writer; one that has been reset cannot be shut down, and need not.
            let _ = flow.stream.shutdown(Shutdown::Both);
        }
    }
}

impl Flow {
    fn open(work: Work) -> Result<Self> {
        let mut stream = TcpStream::connect_timeout(&MASTER_SERVICE.into(), PATIENCE)
            .context("Cannot connect through the virtual address")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        stream.write_all(b"CLIENT INFO\r\n")?;
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut answer = String::new();
        // The length, then the line.
        reader.read_line(&mut answer)?;
        reader.read_line(&mut answer)?;
        let source = field(&answer, "addr").with_context(|| format!("CLIENT INFO says {answer:?}"))?;
        // The empty line after it.
        reader.read_line(&mut answer)?;
        match work {
            Work::Write => {
                let writer = stream.try_clone()?;
                std::thread::spawn(move || write_until_the_end(writer, reader));
            }
            Work::Rest => {}
            Work::Subscribe => stream.write_all(b"SUBSCRIBE bench:quiet\r\n")?,
            Work::Block => stream.write_all(b"BLPOP bench:empty 0\r\n")?,
        }
        let SocketAddr::V4(client) = stream.local_addr()? else { bail!("an IPv4 connection") };
        Ok(Self { stream, client, source })
    }
}

/// Errors of the server (READONLY) are answers like others; the end of the connection ends it.
fn write_until_the_end(mut writer: TcpStream, mut reader: BufReader<TcpStream>) {
    let mut answer = String::new();
    while writer.write_all(b"SET bench:writer value\r\n").is_ok()
        && reader.read_line(&mut answer).is_ok_and(|length| length > 0)
    {
        answer.clear();
        std::thread::sleep(THINKING);
    }
}

fn is_end(segment: &Segment) -> bool {
    segment.has(Segment::RST) || segment.has(Segment::FIN)
}

/// The first RST or FIN that reaches the client's end.
fn end_of_client(segments: &[Segment], client: SocketAddrV4) -> Option<SystemTime> {
    let reaches = |segment: &&Segment| {
        segment.direction == Direction::In
            && (segment.source, segment.destination) == (MASTER_SERVICE, client)
            && is_end(segment)
    };
    segments.iter().find(reaches).map(|segment| segment.at)
}

/// The first RST or FIN that reaches the server's end, or that the server itself sends: it hangs up on
/// blocked clients when it is demoted.
fn end_of_server(segments: &[Segment], source: SocketAddrV4) -> Option<SystemTime> {
    let ends = |segment: &&Segment| {
        let other = match segment.direction {
            Direction::In => segment.source,
            Direction::Out => segment.destination,
        };
        other == source && is_end(segment)
    };
    segments.iter().find(ends).map(|segment| segment.at)
}

#[cfg(test)]
mod tests {
    use std::{
        net::{Ipv4Addr, SocketAddrV4},
        time::{Duration, SystemTime},
    };

    use super::{end_of_client, end_of_server};
    use crate::lab::{CLIENT, Direction, MASTER_SERVICE, Segment};

    const CLIENT_END: SocketAddrV4 = SocketAddrV4::new(CLIENT, 40_000);
    const SOURCE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 1, 1), 20_000);
    const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 1, 11), 6379);
    const OTHER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 1, 1), 20_001);

    fn segment(
        ms: u64,
        direction: Direction,
        source: SocketAddrV4,
        destination: SocketAddrV4,
        flags: u8,
    ) -> Segment {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(ms);
        let (sequence, acknowledgment, ttl, payload_bytes) = (0, 0, 64, 0);
        Segment { at, direction, source, destination, sequence, acknowledgment, flags, ttl, payload_bytes }
    }

    fn ms(time: Option<SystemTime>) -> Option<u128> {
        time.map(|time| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis())
    }

    #[test]
    fn the_first_end_counts_at_each_end() {
        use Direction::{In, Out};
        let segments = [
            segment(1, In, MASTER_SERVICE, CLIENT_END, Segment::ACK),
            segment(2, Out, CLIENT_END, MASTER_SERVICE, Segment::RST),
            segment(3, In, MASTER_SERVICE, CLIENT_END, Segment::RST),
            segment(4, In, MASTER_SERVICE, CLIENT_END, Segment::RST),
        ];
        assert_eq!(ms(end_of_client(&segments, CLIENT_END)), Some(3));
        assert_eq!(ms(end_of_client(&segments, OTHER)), None);

        let segments = [
            segment(1, In, SOURCE, SERVER, Segment::ACK),
            segment(2, In, OTHER, SERVER, Segment::RST),
            segment(3, Out, SERVER, SOURCE, Segment::FIN | Segment::ACK),
            segment(4, In, SOURCE, SERVER, Segment::RST),
        ];
        assert_eq!(ms(end_of_server(&segments, SOURCE)), Some(3));
        assert_eq!(ms(end_of_server(&segments, OTHER)), Some(2));
    }
}
