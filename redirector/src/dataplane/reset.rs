//! RSTs from the agent, for flows that are fenced and idle: nobody else would tell their ends.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddrV4},
};

use etherparse::PacketBuilder;
use redirector_common::{Flow, FlowKey};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// A RST to send. Addresses as its receiver knows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rst {
    pub from: SocketAddrV4,
    pub to: SocketAddrV4,
    pub seq: u32,
    pub ack: u32,
}

/// What makes both ends of a connection believe that it is over.
///
/// A receiver takes a RST only at exactly the number it expects next (RFC 5961 §3.2), which is what it has last
/// acknowledged, or what the other end has last sent if an acknowledgement is still on its way: both are sent. Should
/// it answer with a challenge ACK, the datapath answers that with a RST at the number the ACK names.
pub(super) fn resets(key: &FlowKey, forward: &Flow, reverse: Option<&Flow>) -> Vec<Rst> {
    let (Some(client), Some(service)) =
        (endpoint(key.src.to_ip(), key.src_port), endpoint(key.dst.to_ip(), key.dst_port))
    else {
        return Vec::new();
    };
    let (Some(source), Some(server)) =
        (endpoint(forward.src.to_ip(), forward.src_port), endpoint(forward.dst.to_ip(), forward.dst_port))
    else {
        return Vec::new();
    };
    let mut resets = BTreeSet::from([Rst { from: service, to: client, seq: forward.ack, ack: forward.seq }]);
    if let Some(reverse) = reverse.filter(|reverse| reverse.seq != 0) {
        resets.insert(Rst { from: service, to: client, seq: reverse.seq, ack: forward.seq });
        resets.insert(Rst { from: source, to: server, seq: reverse.ack, ack: reverse.seq });
        resets.insert(Rst { from: source, to: server, seq: forward.seq, ack: reverse.seq });
    }
    resets.into_iter().collect()
}

fn endpoint(ip: IpAddr, port: u16) -> Option<SocketAddrV4> {
    match ip {
        IpAddr::V4(ip) => Some(SocketAddrV4::new(ip, u16::from_be(port))),
        IpAddr::V6(_) => None,
    }
}

/// Sends them through a raw socket: the kernel routes them, so a neighbour that has moved is still found.
#[derive(Debug)]
pub(super) struct Sender(Socket);

impl Sender {
    pub(super) fn new() -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW)))?;
        socket.set_nonblocking(true)?;
        Ok(Self(socket))
    }

    pub(super) fn send(&self, rst: &Rst) -> io::Result<()> {
        let to = SocketAddrV4::new(*rst.to.ip(), 0);
        self.0.send_to(&datagram(rst)?, &SockAddr::from(to)).map(drop)
    }
}

fn datagram(rst: &Rst) -> io::Result<Vec<u8>> {
    let octets = |ip: &Ipv4Addr| ip.octets();
    let builder = PacketBuilder::ipv4(octets(rst.from.ip()), octets(rst.to.ip()), 64)
        .tcp(rst.from.port(), rst.to.port(), rst.seq, 0)
        .rst()
        .ack(rst.ack);
    let mut bytes = Vec::with_capacity(builder.size(0));
    builder.write(&mut bytes, &[]).map_err(io::Error::other)?;
    Ok(bytes)
}

#[cfg(test)]
#[expect(clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn flow() -> (FlowKey, Flow, Flow) {
        let ip = |last| Ipv4Addr::new(10, 0, 0, last).into();
        let key = FlowKey::tcp(ip(10), 40000u16.to_be(), ip(100), 6379u16.to_be());
        let forward = Flow {
            src: ip(1),
            src_port: 7000u16.to_be(),
            dst: ip(11),
            dst_port: 6379u16.to_be(),
            seq: 1000,
            ack: 5000,
            ..Flow::default()
        };
        let reverse = Flow { seq: 5000, ack: 1000, ..Flow::default() };
        (key, forward, reverse)
    }

    #[test]
    fn an_idle_connection_takes_one_rst_for_each_end() {
        let (key, forward, reverse) = flow();
        let sent: Vec<_> =
            resets(&key, &forward, Some(&reverse)).iter().map(|rst| (rst.to.to_string(), rst.seq)).collect();
        assert_eq!(sent, [("10.0.0.11:6379".into(), 1000), ("10.0.0.10:40000".to_string(), 5000)]);
    }

    #[test]
    fn data_on_its_way_takes_two() {
        let (key, forward, reverse) = flow();
        let reverse = Flow { seq: 5100, ..reverse };
        let to_client: Vec<_> = resets(&key, &forward, Some(&reverse))
            .into_iter()
            .filter(|rst| rst.to.port() == 40000)
            .map(|rst| rst.seq)
            .collect();
        assert_eq!(to_client, [5000, 5100]);
    }

    #[test]
    fn a_handshake_without_an_answer_is_refused_as_a_syn_is() {
        let (key, forward, _) = flow();
        let forward = Flow { ack: 0, ..forward };
        let rst = resets(&key, &forward, Some(&Flow::default()));
        assert_eq!(rst.len(), 1);
        assert_eq!((rst[0].seq, rst[0].ack), (0, 1000), "RST and ACK of the SYN, RFC 9293 §3.10.7.3");
    }

    #[test]
    fn what_is_sent_is_a_valid_segment() {
        let (key, forward, reverse) = flow();
        for rst in resets(&key, &forward, Some(&reverse)) {
            let bytes = datagram(&rst).expect("builds");
            let packet = etherparse::PacketHeaders::from_ip_slice(&bytes).expect("parses");
            let Some(etherparse::TransportHeader::Tcp(tcp)) = packet.transport else { panic!("not TCP") };
            assert!(tcp.rst && tcp.ack && tcp.sequence_number == rst.seq);
        }
    }
}
