//! Packets that no ordinary socket sends.

use std::{
    io::Read as _,
    net::{Ipv4Addr, SocketAddrV4},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use etherparse::{IcmpEchoHeader, Icmpv4Header, Icmpv4Type, Ipv4HeaderSlice, PacketBuilder, TcpHeader};
use socket2::{Domain, Protocol, Socket, Type};

use crate::lab::Namespace;

const PATIENCE: Duration = Duration::from_secs(2);

/// The answer to a ping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Echo {
    pub from: Ipv4Addr,
    pub payload: Vec<u8>,
}

/// Sends an ICMP echo request and waits for its reply.
pub fn ping(namespace: &Namespace, to: Ipv4Addr, payload: &[u8]) -> Result<Echo> {
    let echo = IcmpEchoHeader { id: 0x5244, seq: 1 };
    let request = Icmpv4Header::with_checksum(Icmpv4Type::EchoRequest(echo), payload);
    namespace.enter(|| {
        let mut buffer = vec![0; 65_535];
        let mut socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4))?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let mut message = request.to_bytes().to_vec();
        message.extend(payload);
        socket.send_to(&message, &SocketAddrV4::new(to, 0).into())?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let Ok(length) = socket.read(&mut buffer) else { continue };
            let ip = Ipv4HeaderSlice::from_slice(&buffer[..length])?;
            let (reply, payload) = Icmpv4Header::from_slice(&buffer[ip.slice().len()..length])?;
            if reply.icmp_type == Icmpv4Type::EchoReply(echo) {
                return Ok(Echo { from: ip.source_addr(), payload: payload.to_vec() });
            }
        }
        bail!("{to} does not answer a ping")
    })
}

/// Sends a bare TCP segment without a connection.
pub fn send_segment(
    namespace: &Namespace,
    from: SocketAddrV4,
    to: SocketAddrV4,
    set: impl FnOnce(&mut TcpHeader),
    payload: &[u8],
) -> Result<()> {
    let mut tcp = TcpHeader::new(from.port(), to.port(), 0, 1024);
    set(&mut tcp);
    let mut packet = Vec::new();
    PacketBuilder::ipv4(from.ip().octets(), to.ip().octets(), 64)
        .tcp_header(tcp)
        .write(&mut packet, payload)?;
    namespace.enter(|| {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW)))?;
        socket.send_to(&packet, &SocketAddrV4::new(*to.ip(), 0).into())?;
        Ok(())
    })
}
