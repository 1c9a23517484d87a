//! Frames for the table, built by a library that knows nothing of the datapath, checksums from scratch.

use std::{fmt::Write as _, net::Ipv4Addr};

use etherparse::{PacketBuilder, PacketHeaders, SlicedPacket, TcpHeader};

pub const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 10);
pub const VIRTUAL: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);
pub const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 1);
pub const R1: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 11);
pub const R2: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 12);
pub const R3: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 13);

pub const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 10];
pub const GATEWAY_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// The gateway's interface towards the servers.
pub const INNER_MAC: [u8; 6] = [2, 0, 0, 0, 1, 1];
pub const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 1, 11];

pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const PSH: u8 = 0x08;
pub const ACK: u8 = 0x10;

/// A TCP segment in an Ethernet frame; change what matters, then [`Tcp::frame`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tcp {
    pub macs: ([u8; 6], [u8; 6]),
    pub src: (Ipv4Addr, u16),
    pub dst: (Ipv4Addr, u16),
    pub seq: u32,
    pub ack: u32,
    pub flags: u8,
    pub ttl: u8,
    pub window: u16,
    /// TCP options, a multiple of four bytes.
    pub options: Vec<u8>,
    pub payload: Vec<u8>,
}

impl Tcp {
    /// From a client's port to a service's port.
    pub fn from_client(port: u16, service: u16, flags: u8) -> Self {
        Self {
            macs: (CLIENT_MAC, GATEWAY_MAC),
            src: (CLIENT, port),
            dst: (VIRTUAL, service),
            seq: 1000,
            ack: if flags & ACK == 0 { 0 } else { 5000 },
            flags,
            ttl: 64,
            window: 512,
            options: vec![],
            payload: vec![],
        }
    }

    /// From a server to a source port of the gateway.
    pub fn from_server(server: Ipv4Addr, port: u16, flags: u8) -> Self {
        Self {
            macs: (SERVER_MAC, INNER_MAC),
            src: (server, 6379),
            dst: (SOURCE, port),
            seq: 5000,
            ack: 1001,
            ..Self::from_client(0, 0, flags)
        }
    }

    #[must_use]
    pub fn numbers(mut self, seq: u32, ack: u32) -> Self {
        (self.seq, self.ack) = (seq, ack);
        self
    }

    #[must_use]
    pub fn payload(mut self, payload: &[u8]) -> Self {
        self.payload = payload.to_vec();
        self
    }

    #[must_use]
    pub fn options(mut self, options: &[u8]) -> Self {
        self.options = options.to_vec();
        self
    }

    #[must_use]
    pub fn ttl(mut self, ttl: u8) -> Self {
        self.ttl = ttl;
        self
    }

    /// The same segment as it leaves towards a server: new addresses, one hop less.
    #[must_use]
    pub fn to_server(mut self, source_port: u16, server: Ipv4Addr) -> Self {
        self.macs = (INNER_MAC, SERVER_MAC);
        self.src = (SOURCE, source_port);
        self.dst = (server, 6379);
        self.ttl -= 1;
        self
    }

    /// The same segment as it leaves towards the client.
    #[must_use]
    pub fn to_client(mut self, service: u16, port: u16) -> Self {
        self.macs = (GATEWAY_MAC, CLIENT_MAC);
        self.src = (VIRTUAL, service);
        self.dst = (CLIENT, port);
        self.ttl -= 1;
        self
    }

    /// The RST that answers this segment.
    #[must_use]
    pub fn refused(&self, seq: u32, ack: u32, flags: u8) -> Self {
        Self {
            macs: (self.macs.1, self.macs.0),
            src: self.dst,
            dst: self.src,
            seq,
            ack,
            flags,
            ttl: 64,
            window: 0,
            options: vec![],
            payload: vec![],
        }
    }

    pub fn frame(&self) -> Vec<u8> {
        let mut tcp = TcpHeader::new(self.src.1, self.dst.1, self.seq, self.window);
        tcp.acknowledgment_number = self.ack;
        tcp.fin = self.flags & FIN != 0;
        tcp.syn = self.flags & SYN != 0;
        tcp.rst = self.flags & RST != 0;
        tcp.psh = self.flags & PSH != 0;
        tcp.ack = self.flags & ACK != 0;
        tcp.set_options_raw(&self.options).expect("options fit");
        let builder = PacketBuilder::ethernet2(self.macs.0, self.macs.1)
            .ipv4(self.src.0.octets(), self.dst.0.octets(), self.ttl)
            .tcp_header(tcp);
        let mut frame = Vec::new();
        builder.write(&mut frame, &self.payload).expect("a vector takes it");
        frame
    }
}

/// An ICMP error in an Ethernet frame.
#[derive(Debug, Clone)]
pub struct IcmpError {
    pub macs: ([u8; 6], [u8; 6]),
    pub src: Ipv4Addr,
    pub dst: Ipv4Addr,
    pub ttl: u8,
    pub kind: u8,
    pub code: u8,
    /// The datagram that it quotes, or the beginning of it.
    pub quoted: Vec<u8>,
}

impl IcmpError {
    /// "Fragmentation needed" about a segment, of which `length` bytes are quoted.
    pub fn too_large(macs: ([u8; 6], [u8; 6]), src: Ipv4Addr, about: &Tcp, length: usize) -> Self {
        let datagram = &about.frame()[14..];
        let quoted = datagram[..length.min(datagram.len())].to_vec();
        Self { macs, src, dst: about.src.0, ttl: 60, kind: 3, code: 4, quoted }
    }

    pub fn frame(&self) -> Vec<u8> {
        let builder = PacketBuilder::ethernet2(self.macs.0, self.macs.1)
            .ipv4(self.src.octets(), self.dst.octets(), self.ttl)
            // An MTU of 1400 (RFC 1191 §4).
            .icmpv4_raw(self.kind, self.code, [0, 0, 0x05, 0x78]);
        let mut frame = Vec::new();
        builder.write(&mut frame, &self.quoted).expect("a vector takes it");
        frame
    }
}

/// A frame as a failed assertion should show it: what it says, then its bytes.
pub fn show(frame: &[u8]) -> String {
    let mut hex = String::new();
    for byte in frame {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    match PacketHeaders::from_ethernet_slice(frame) {
        Ok(packet) => format!("{:?}\n{:?}\n{hex}", packet.net, packet.transport),
        Err(error) => format!("{error}\n{hex}"),
    }
}

/// Checks a frame's IPv4 and TCP checksums from scratch; says which is wrong.
pub fn verify(frame: &[u8]) -> Result<(), String> {
    let packet = SlicedPacket::from_ethernet(frame).map_err(|error| error.to_string())?;
    let Some(etherparse::NetSlice::Ipv4(ip)) = packet.net else { return Err("not IPv4".into()) };
    let header = ip.header().to_header();
    if header.calc_header_checksum() != header.header_checksum {
        return Err("IPv4 checksum".into());
    }
    let Some(etherparse::TransportSlice::Tcp(tcp)) = packet.transport else { return Err("not TCP".into()) };
    let expected =
        tcp.calc_checksum_ipv4(header.source, header.destination).map_err(|error| error.to_string())?;
    if expected != tcp.checksum() {
        return Err("TCP checksum".into());
    }
    Ok(())
}
