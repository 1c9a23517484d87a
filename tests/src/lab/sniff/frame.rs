//! What a frame says.

use std::{net::SocketAddrV4, time::SystemTime};

use etherparse::{LaxNetSlice, LaxSlicedPacket, TransportSlice};

/// Seen from the namespace that the sniffer sits in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    In,
    Out,
}

/// A frame, or as much of it as is kept.
#[derive(Debug, Clone)]
pub struct Frame {
    /// When the kernel saw it.
    pub at: SystemTime,
    pub direction: Direction,
    /// The first bytes, from the Ethernet header on.
    pub bytes: Vec<u8>,
    /// Of the whole frame.
    pub length_bytes: usize,
}

/// A TCP segment over IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    pub at: SystemTime,
    pub direction: Direction,
    pub source: SocketAddrV4,
    pub destination: SocketAddrV4,
    pub sequence: u32,
    pub acknowledgment: u32,
    /// As on the wire; see [`Segment::has`].
    pub flags: u8,
    pub ttl: u8,
    pub payload_bytes: usize,
}

impl Segment {
    pub const FIN: u8 = 1;
    pub const SYN: u8 = 2;
    pub const RST: u8 = 4;
    pub const ACK: u8 = 16;

    /// `segment.has(Segment::SYN | Segment::ACK)`: both of them, whatever else is set.
    pub fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }

    /// Whether it belongs to the connection of these two ends, either way.
    pub fn is_between(&self, a: SocketAddrV4, b: SocketAddrV4) -> bool {
        [(a, b), (b, a)].contains(&(self.source, self.destination))
    }
}

impl Frame {
    /// `None` for anything that is not a whole TCP header over IPv4.
    pub fn segment(&self) -> Option<Segment> {
        let packet = LaxSlicedPacket::from_ethernet(&self.bytes).ok()?;
        let Some(LaxNetSlice::Ipv4(ip)) = packet.net else {
            return None;
        };
        let Some(TransportSlice::Tcp(tcp)) = packet.transport else {
            return None;
        };
        let ip = ip.header();
        let headers_bytes = usize::from(ip.ihl()) * 4 + usize::from(tcp.data_offset()) * 4;
        Some(Segment {
            at: self.at,
            direction: self.direction,
            source: SocketAddrV4::new(ip.source_addr(), tcp.source_port()),
            destination: SocketAddrV4::new(ip.destination_addr(), tcp.destination_port()),
            sequence: tcp.sequence_number(),
            acknowledgment: tcp.acknowledgment_number(),
            flags: tcp.slice()[13],
            ttl: ip.ttl(),
            payload_bytes: usize::from(ip.total_len()).saturating_sub(headers_bytes),
        })
    }
}
