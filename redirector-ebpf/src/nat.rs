//! Rewriting a packet in place.

use redirector_common::{Addr, Hop};

use crate::{
    checksum::Delta,
    packet::{OutOfBounds, Packet},
    parse::{Segment, offset},
};

/// The addresses and ports that a packet is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Translation {
    pub src: Addr,
    pub dst: Addr,
    pub src_port: u16,
    pub dst_port: u16,
}

/// Translates a packet and hands it to the next hop: one TTL less, every checksum still right.
#[inline(always)]
pub fn apply(
    packet: &mut impl Packet,
    segment: &Segment,
    to: &Translation,
    hop: &Hop,
) -> Result<(), OutOfBounds> {
    let from = &segment.key;
    let pseudo = Delta::NONE
        .replace(from.src.v4_word(), to.src.v4_word())
        .replace(from.dst.v4_word(), to.dst.v4_word());
    let body = Delta::NONE.replace(ports(from.src_port, from.dst_port), ports(to.src_port, to.dst_port));

    // The IP header changes in its addresses, as the pseudo-header does, and in its TTL. TTL and protocol share a word of the header, the TTL comes first.
    let ttl = u32::from(u16::from_ne_bytes([segment.ttl, 0]));
    let less = u32::from(u16::from_ne_bytes([segment.ttl - 1, 0]));
    let check: u16 = packet.read(offset::IP_CHECK)?;

    packet.write(offset::IP_TTL, segment.ttl - 1)?;
    packet.write(offset::IP_CHECK, pseudo.replace(ttl, less).apply(check))?;
    packet.write(offset::IP_SRC, to.src.v4_word())?;
    packet.write(offset::IP_DST, to.dst.v4_word())?;
    packet.write(offset::TCP, to.src_port)?;
    packet.write(offset::TCP + 2, to.dst_port)?;
    packet.write(0, hop.dst_mac)?;
    packet.write(6, hop.src_mac)?;
    packet.update_tcp_checksum(offset::TCP_CHECK, pseudo, body)
}

/// Both ports as the word they form in memory.
#[inline(always)]
const fn ports(src: u16, dst: u16) -> u32 {
    let [a, b] = src.to_ne_bytes();
    let [c, d] = dst.to_ne_bytes();
    u32::from_ne_bytes([a, b, c, d])
}
