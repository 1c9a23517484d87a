//! ICMP errors about packets that were translated: without them path MTU discovery (RFC 1191) breaks.
//!
//! An error quotes the packet that caused it as that packet was on the wire, that is after translation. Its receiver must
//! see the packet that it sent. So the quoted addresses and ports are translated back, and the error itself is sent to
//! the packet's sender; the way the kernel's own NAT does it (RFC 5508 §4.2, `net/netfilter/nf_nat_core.c`).

use network_types::{icmp::Icmpv4Hdr, ip::Ipv4Hdr};
use redirector_common::{Addr, Counter, Flow, FlowKey};

use crate::{
    checksum::Delta,
    nat,
    packet::{OutOfBounds, Packet},
    parse::{FRAGMENT, offset},
    tables::Tables,
    verdict::Verdict,
};

/// Where things lie in an ICMP error without IP options, outside or inside.
mod at {
    use super::{Icmpv4Hdr, Ipv4Hdr, offset};

    pub(super) const ICMP: usize = offset::IP + Ipv4Hdr::LEN;
    pub(super) const ICMP_CHECK: usize = ICMP + 2;
    pub(super) const INNER: usize = ICMP + Icmpv4Hdr::LEN;
    pub(super) const INNER_PROTOCOL: usize = INNER + 9;
    pub(super) const INNER_CHECK: usize = INNER + 10;
    pub(super) const INNER_SRC: usize = INNER + 12;
    pub(super) const INNER_DST: usize = INNER + 16;
    pub(super) const INNER_PORTS: usize = INNER + Ipv4Hdr::LEN;
    /// Quoted only by those who quote more than the eight bytes that RFC 792 asks for.
    pub(super) const INNER_TCP_CHECK: usize = INNER_PORTS + 16;
}

/// Length of a datagram that quotes the TCP checksum, too.
const WITH_TCP_CHECK: u16 = (at::INNER_TCP_CHECK + 2 - offset::IP) as u16;

/// Types of RFC 792 that quote a packet and are still in use: unreachable, time exceeded, parameter problem.
const fn is_error(kind: u8) -> bool {
    matches!(kind, 3 | 11 | 12)
}

/// An error, as far as it has been read.
struct Quote {
    /// The flow in whose direction the error travels: the quoted packet, turned round.
    key: FlowKey,
    src: Addr,
    dst: Addr,
    ttl: u8,
    total: u16,
}

/// Translates an ICMP error about a flow; anything else is passed for `reason`.
#[inline(always)]
pub fn run<P: Packet, T: Tables>(packet: &mut P, tables: &T, reason: Counter) -> Verdict {
    let Some(quote) = parse(packet) else {
        return Verdict::pass(reason);
    };
    let Some(flow) = tables.flow(&quote.key) else {
        return Verdict::pass(Counter::PassNotOurs);
    };
    let Some(backend) = tables.backend(flow.backend()) else {
        return Verdict::drop(Counter::DropInternal);
    };
    if backend.fences(flow.epoch()) {
        return Verdict::drop(Counter::DropFencedError);
    }
    if quote.ttl <= 1 {
        return Verdict::drop(Counter::DropTtl);
    }
    let hop = if flow.direction() == Flow::FORWARD { backend.hop } else { flow.hop() };
    if hop.ifindex == 0 {
        return Verdict::drop(Counter::DropNoNeighbour);
    }
    // What the other end of the flow is known as on the side that the error goes to.
    let sent = FlowKey::tcp(flow.dst(), flow.dst_port(), flow.src(), flow.src_port());
    // The end itself speaks under its translated address; a router on the way under its own.
    let src = if quote.src == quote.key.src { sent.dst } else { quote.src };
    let rewritten = unquote(packet, &quote, &sent)
        .and_then(|()| nat::readdress(packet, (quote.src, quote.dst), (src, sent.src), quote.ttl))
        .and_then(|()| nat::hand_over(packet, &hop));
    match rewritten {
        Ok(()) => Verdict::transmit(hop.ifindex, Counter::IcmpError),
        Err(OutOfBounds) => Verdict::drop(Counter::DropInternal),
    }
}

/// `None`: not an error that quotes a whole TCP packet's beginning.
#[inline(always)]
fn parse(packet: &impl Packet) -> Option<Quote> {
    let read8 = |offset| packet.read::<u8>(offset).ok();
    let read32 = |offset| packet.read::<u32>(offset).ok();
    // The last byte that is needed comes first, so that all of the frame is known to be there.
    packet.read::<u32>(at::INNER_PORTS + 4).ok()?;
    let fragment = u16::from_be(packet.read(offset::IP_FRAGMENT).ok()?);
    let inner_fragment = u16::from_be(packet.read(at::INNER + 6).ok()?);
    let is_quote = read8(offset::IP)? == 0x45
        && read8(offset::IP_PROTOCOL)? == 1
        && fragment & FRAGMENT == 0
        && is_error(read8(at::ICMP)?)
        && read8(at::INNER)? == 0x45
        && u32::from(read8(at::INNER_PROTOCOL)?) == FlowKey::TCP
        // Only the first fragment has ports.
        && inner_fragment & FRAGMENT_OFFSET == 0;
    let total = u16::from_be(packet.read(offset::IP_LENGTH).ok()?);
    let whole = usize::from(total) >= at::INNER_PORTS + 8 - offset::IP
        && offset::IP + usize::from(total) <= packet.len();
    if !is_quote || !whole {
        return None;
    }
    let src_port: u16 = packet.read(at::INNER_PORTS).ok()?;
    let dst_port: u16 = packet.read(at::INNER_PORTS + 2).ok()?;
    Some(Quote {
        key: FlowKey::tcp(
            Addr::from_v4_word(read32(at::INNER_DST)?),
            dst_port,
            Addr::from_v4_word(read32(at::INNER_SRC)?),
            src_port,
        ),
        src: Addr::from_v4_word(read32(offset::IP_SRC)?),
        dst: Addr::from_v4_word(read32(offset::IP_DST)?),
        ttl: read8(offset::IP_TTL)?,
        total,
    })
}

const FRAGMENT_OFFSET: u16 = 0x1fff;

/// Makes the quoted packet the one that was sent, with every checksum that covers the change.
#[inline(always)]
fn unquote(packet: &mut impl Packet, quote: &Quote, sent: &FlowKey) -> Result<(), OutOfBounds> {
    let key = &quote.key;
    let addresses = nat::addresses((key.dst, key.src), (sent.src, sent.dst));
    let ports =
        Delta::NONE.replace(nat::ports(key.dst_port, key.src_port), nat::ports(sent.src_port, sent.dst_port));
    let old: u16 = packet.read(at::INNER_CHECK)?;
    let new = addresses.apply(old);
    let mut body = addresses.and(ports).replace(old.into(), new.into());
    packet.write(at::INNER_CHECK, new)?;
    packet.write(at::INNER_SRC, sent.src.v4_word())?;
    packet.write(at::INNER_DST, sent.dst.v4_word())?;
    packet.write(at::INNER_PORTS, sent.src_port)?;
    packet.write(at::INNER_PORTS + 2, sent.dst_port)?;
    if quote.total >= WITH_TCP_CHECK
        && let Ok(old) = packet.read::<u16>(at::INNER_TCP_CHECK)
    {
        let new = addresses.and(ports).apply(old);
        packet.write(at::INNER_TCP_CHECK, new)?;
        body = body.replace(old.into(), new.into());
    }
    let check: u16 = packet.read(at::ICMP_CHECK)?;
    packet.write(at::ICMP_CHECK, body.apply(check))
}
