//! Bytes to headers, or a named reason to leave the packet alone.

use network_types::{eth::EthHdr, ip::Ipv4Hdr, tcp::TcpHdr};
use redirector_common::{Addr, Counter, FlowKey};

use crate::packet::{OutOfBounds, Packet};

/// Where things lie in the only shape of packet that is translated: Ethernet, IPv4 without options, TCP.
pub mod offset {
    use core::mem::offset_of;

    use super::{EthHdr, Ipv4Hdr, TcpHdr};

    pub const ETHER_TYPE: usize = offset_of!(EthHdr, ether_type);
    pub const IP: usize = EthHdr::LEN;
    pub const IP_LENGTH: usize = IP + offset_of!(Ipv4Hdr, tot_len);
    pub const IP_ID: usize = IP + offset_of!(Ipv4Hdr, id);
    pub const IP_FRAGMENT: usize = IP + offset_of!(Ipv4Hdr, frags);
    pub const IP_TTL: usize = IP + offset_of!(Ipv4Hdr, ttl);
    pub const IP_PROTOCOL: usize = IP + offset_of!(Ipv4Hdr, proto);
    pub const IP_CHECK: usize = IP + offset_of!(Ipv4Hdr, check);
    pub const IP_SRC: usize = IP + offset_of!(Ipv4Hdr, src_addr);
    pub const IP_DST: usize = IP + offset_of!(Ipv4Hdr, dst_addr);
    pub const TCP: usize = IP + Ipv4Hdr::LEN;
    pub const TCP_SEQ: usize = TCP + offset_of!(TcpHdr, seq);
    pub const TCP_ACK: usize = TCP + offset_of!(TcpHdr, ack_seq);
    /// Upper half: length of the header in words.
    pub const TCP_DATA_OFFSET: usize = TCP_ACK + 4;
    pub const TCP_FLAGS: usize = TCP_ACK + 5;
    pub const TCP_CHECK: usize = TCP + offset_of!(TcpHdr, check);
    /// The shortest frame with both headers.
    pub const END: usize = TCP + TcpHdr::LEN;
}

/// TCP flags, as the 14th byte of the header carries them (RFC 9293 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flags(pub u8);

impl Flags {
    pub const FIN: u8 = 0x01;
    pub const SYN: u8 = 0x02;
    pub const RST: u8 = 0x04;
    pub const ACK: u8 = 0x10;

    #[inline(always)]
    pub const fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }

    /// Opens a connection: SYN and neither ACK, RST nor FIN.
    #[inline(always)]
    pub const fn opens(self) -> bool {
        self.0 & (Self::SYN | Self::ACK | Self::RST | Self::FIN) == Self::SYN
    }
}

/// What the pipeline needs to know of a TCP segment. Numbers are in host order unless they are part of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    pub key: FlowKey,
    pub seq: u32,
    pub ack: u32,
    /// Sequence numbers it takes up: payload, and one each for SYN and FIN (RFC 9293 §3.4).
    pub length: u32,
    pub flags: Flags,
    pub ttl: u8,
}

const ETHER_TYPE_IPV4: u16 = 0x0800u16.to_be();
/// More-fragments bit and fragment offset.
pub(crate) const FRAGMENT: u16 = 0x3fff;

#[inline(always)]
pub fn parse(packet: &impl Packet) -> Result<Segment, Counter> {
    let truncated = |OutOfBounds| Counter::PassTruncated;

    let ether_type: u16 = packet.read(offset::ETHER_TYPE).map_err(truncated)?;
    if ether_type != ETHER_TYPE_IPV4 {
        return Err(Counter::PassNotIp);
    }
    let version: u8 = packet.read(offset::IP).map_err(truncated)?;
    if version != 0x45 {
        let options = version >> 4 == 4 && version & 0xf > 5;
        return Err(if options { Counter::PassIpOptions } else { Counter::PassTruncated });
    }
    let protocol: u8 = packet.read(offset::IP_PROTOCOL).map_err(truncated)?;
    if u32::from(protocol) != FlowKey::TCP {
        return Err(Counter::PassNotTcp);
    }
    let fragment: u16 = packet.read(offset::IP_FRAGMENT).map_err(truncated)?;
    if u16::from_be(fragment) & FRAGMENT != 0 {
        return Err(Counter::PassFragment);
    }
    let total: u16 = packet.read(offset::IP_LENGTH).map_err(truncated)?;
    let ttl: u8 = packet.read(offset::IP_TTL).map_err(truncated)?;
    let src: u32 = packet.read(offset::IP_SRC).map_err(truncated)?;
    let dst: u32 = packet.read(offset::IP_DST).map_err(truncated)?;
    // The whole header before its parts: a frame that ends within it is truncated, whatever they say.
    let _urgent: u16 = packet.read(offset::END - 2).map_err(truncated)?;
    let src_port: u16 = packet.read(offset::TCP).map_err(truncated)?;
    let dst_port: u16 = packet.read(offset::TCP + 2).map_err(truncated)?;
    let seq: u32 = packet.read(offset::TCP_SEQ).map_err(truncated)?;
    let ack: u32 = packet.read(offset::TCP_ACK).map_err(truncated)?;
    let data_offset: u8 = packet.read(offset::TCP_DATA_OFFSET).map_err(truncated)?;
    let flags: u8 = packet.read(offset::TCP_FLAGS).map_err(truncated)?;

    let total = usize::from(u16::from_be(total));
    let headers = Ipv4Hdr::LEN + usize::from(data_offset >> 4) * 4;
    // Longer frames are fine (Ethernet pads to 60 bytes), shorter ones are not.
    if headers < Ipv4Hdr::LEN + TcpHdr::LEN || total < headers || offset::IP + total > packet.len() {
        return Err(Counter::PassTruncated);
    }
    let flags = Flags(flags);
    Ok(Segment {
        key: FlowKey::tcp(Addr::from_v4_word(src), src_port, Addr::from_v4_word(dst), dst_port),
        seq: u32::from_be(seq),
        ack: u32::from_be(ack),
        length: (total - headers) as u32
            + u32::from(flags.has(Flags::SYN))
            + u32::from(flags.has(Flags::FIN)),
        flags,
        ttl,
    })
}
