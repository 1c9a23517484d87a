//! Turning a packet into the RST that answers it.

use redirector_common::{Counter, FlowKey};

use crate::{
    checksum::Delta,
    packet::{OutOfBounds, Packet},
    parse::{Flags, Segment, offset},
    verdict::Verdict,
};

/// Sequence number, acknowledgement and flags of the RST that the sender of a segment will believe (RFC 9293 §3.10.7.1).
///
/// `None`: a RST is never answered.
#[inline(always)]
pub const fn answer(segment: &Segment) -> Option<(u32, u32, u8)> {
    if segment.flags.has(Flags::RST) {
        None
    } else if segment.flags.has(Flags::ACK) {
        Some((segment.ack, 0, Flags::RST))
    } else {
        Some((0, segment.seq.wrapping_add(segment.length), Flags::RST | Flags::ACK))
    }
}

/// Answers a packet with a RST, out of the interface it came in on; `counter` says why.
#[inline(always)]
pub fn refuse(packet: &mut impl Packet, segment: &Segment, counter: Counter) -> Verdict {
    let Some((seq, ack, flags)) = answer(segment) else {
        return Verdict::drop(Counter::DropReset);
    };
    match rewrite(packet, &segment.key, seq, ack, flags) {
        Ok(()) => Verdict::transmit(packet.ingress(), counter),
        Err(OutOfBounds) => Verdict::drop(Counter::DropInternal),
    }
}

/// Version 4 and header length 5, no service class; 40 bytes in total.
const IP_FIRST_WORD: u32 = u32::from_be_bytes([0x45, 0, 0, 40]).to_be();
/// No identification, don't fragment: an atomic datagram (RFC 6864 §4.1).
const IP_SECOND_WORD: u32 = u32::from_be_bytes([0, 0, 0x40, 0]).to_be();
/// TTL 64, TCP, and the checksum to come.
const IP_THIRD_WORD: u32 = u32::from_be_bytes([64, 6, 0, 0]).to_be();
/// Protocol and length of the TCP pseudo-header (RFC 9293 §3.1).
const PSEUDO: u32 = u32::from_be_bytes([0, 6, 0, 20]).to_be();

#[inline(always)]
fn rewrite(
    packet: &mut impl Packet,
    from: &FlowKey,
    seq: u32,
    ack: u32,
    flags: u8,
) -> Result<(), OutOfBounds> {
    packet.truncate(offset::END)?;
    let (dst_mac, src_mac): ([u8; 6], [u8; 6]) = (packet.read(0)?, packet.read(6)?);
    packet.write(0, src_mac)?;
    packet.write(6, dst_mac)?;

    let (src, dst) = (from.dst.v4_word(), from.src.v4_word());
    let addresses = Delta::NONE.add(src).add(dst);
    let check = addresses.add(IP_FIRST_WORD).add(IP_SECOND_WORD).add(IP_THIRD_WORD).apply(0xffff);
    packet.write(offset::IP, IP_FIRST_WORD)?;
    packet.write(offset::IP_ID, IP_SECOND_WORD)?;
    packet.write(offset::IP_TTL, IP_THIRD_WORD)?;
    packet.write(offset::IP_CHECK, check)?;
    packet.write(offset::IP_SRC, src)?;
    packet.write(offset::IP_DST, dst)?;

    let [a, b] = from.dst_port.to_ne_bytes();
    let [c, d] = from.src_port.to_ne_bytes();
    let ports = u32::from_ne_bytes([a, b, c, d]);
    // Five words of header; a window of zero.
    let word = u32::from_ne_bytes([5 << 4, flags, 0, 0]);
    packet.write(offset::TCP, ports)?;
    packet.write(offset::TCP_SEQ, seq.to_be())?;
    packet.write(offset::TCP_SEQ + 4, ack.to_be())?;
    packet.write(offset::TCP_SEQ + 8, word)?;
    // A checksum field of all ones is the sum zero, complemented or not: both kinds of packet start from there.
    packet.write(offset::TCP_CHECK, 0x0000_ffff_u32.to_le())?;
    let body = Delta::NONE.add(ports).add(seq.to_be()).add(ack.to_be()).add(word);
    packet.update_tcp_checksum(offset::TCP_CHECK, addresses.add(PSEUDO), body)
}
