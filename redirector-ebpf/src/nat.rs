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
    let body = Delta::NONE.replace(ports(from.src_port, from.dst_port), ports(to.src_port, to.dst_port));
    readdress(packet, (from.src, from.dst), (to.src, to.dst), segment.ttl)?;
    packet.write(offset::TCP, to.src_port)?;
    packet.write(offset::TCP + 2, to.dst_port)?;
    hand_over(packet, hop)?;
    packet.update_tcp_checksum(offset::TCP_CHECK, addresses((from.src, from.dst), (to.src, to.dst)), body)
}

/// Source and destination.
type Pair = (Addr, Addr);

/// Gives an IPv4 header other addresses and one TTL less.
#[inline(always)]
pub(crate) fn readdress(packet: &mut impl Packet, from: Pair, to: Pair, ttl: u8) -> Result<(), OutOfBounds> {
    // The TTL shares a word of the header with the protocol; it comes first.
    let old = u32::from(u16::from_ne_bytes([ttl, 0]));
    let new = u32::from(u16::from_ne_bytes([ttl.wrapping_sub(1), 0]));
    let check: u16 = packet.read(offset::IP_CHECK)?;
    packet.write(offset::IP_TTL, ttl.wrapping_sub(1))?;
    packet.write(offset::IP_CHECK, addresses(from, to).replace(old, new).apply(check))?;
    packet.write(offset::IP_SRC, to.0.v4_word())?;
    packet.write(offset::IP_DST, to.1.v4_word())
}

/// Addresses an Ethernet frame to its next hop.
#[inline(always)]
pub(crate) fn hand_over(packet: &mut impl Packet, hop: &Hop) -> Result<(), OutOfBounds> {
    packet.write(0, hop.dst_mac)?;
    packet.write(6, hop.src_mac)
}

/// What new addresses change in the sum of a header or a pseudo-header.
#[inline(always)]
pub(crate) const fn addresses(from: Pair, to: Pair) -> Delta {
    Delta::NONE.replace(from.0.v4_word(), to.0.v4_word()).replace(from.1.v4_word(), to.1.v4_word())
}

/// Both ports as the word they form in memory.
#[inline(always)]
pub(crate) const fn ports(src: u16, dst: u16) -> u32 {
    let [a, b] = src.to_ne_bytes();
    let [c, d] = dst.to_ne_bytes();
    u32::from_ne_bytes([a, b, c, d])
}
