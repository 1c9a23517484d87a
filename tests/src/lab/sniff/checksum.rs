//! Checksums computed from scratch (RFC 1071): the judge of what the programs compute
//! incrementally, and no code in common.

use etherparse::{EtherType, Ethernet2Slice, IpNumber, Ipv4HeaderSlice};

/// What a frame's checksums are worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Good,
    /// With what is wrong.
    Bad(&'static str),
    /// Carries neither of the checksums that we know.
    NotIpv4,
}

/// Judges a whole Ethernet frame: the IPv4 header's checksum, and TCP's, if it carries an
/// unfragmented segment.
pub fn verify(frame: &[u8]) -> Verdict {
    let Ok(ethernet) = Ethernet2Slice::from_slice_without_fcs(frame) else {
        return Verdict::Bad("shorter than an Ethernet header");
    };
    if ethernet.ether_type() != EtherType::IPV4 {
        return Verdict::NotIpv4;
    }
    let packet = ethernet.payload_slice();
    let Ok(ip) = Ipv4HeaderSlice::from_slice(packet) else {
        return Verdict::Bad("no whole IPv4 header");
    };
    if sum(&[ip.slice()]) != u16::MAX {
        return Verdict::Bad("the IPv4 header's checksum");
    }
    let Some(payload) = packet.get(ip.slice().len()..usize::from(ip.total_len())) else {
        return Verdict::Bad("the IPv4 total length");
    };
    if ip.protocol() != IpNumber::TCP || ip.is_fragmenting_payload() {
        return Verdict::Good;
    }
    let [high, low] = (ip.total_len() - u16::from(ip.ihl()) * 4).to_be_bytes();
    let pseudo_header = [0, IpNumber::TCP.0, high, low];
    if sum(&[&ip.source(), &ip.destination(), &pseudo_header, payload]) == u16::MAX {
        Verdict::Good
    } else {
        Verdict::Bad("the TCP checksum")
    }
}

/// The ones' complement sum, all ones when a checksum within is right. Only the last part may have
/// an odd length.
fn sum(parts: &[&[u8]]) -> u16 {
    let mut sum: u32 = 0;
    for part in parts {
        let (words, rest) = part.as_chunks::<2>();
        for word in words {
            sum += u32::from(u16::from_be_bytes(*word));
        }
        if let [last] = rest {
            sum += u32::from(*last) << 8;
        }
    }
    // Twice: the first fold may carry again. 65,535 bytes do not overflow 32 bits.
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    (sum & 0xffff) as u16
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    fn frame(payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        PacketBuilder::ethernet2([1; 6], [2; 6])
            .ipv4([10, 0, 0, 10], [10, 0, 0, 100], 64)
            .tcp(40_000, 6379, 7, 1000)
            .write(&mut frame, payload)
            .unwrap();
        frame
    }

    #[test]
    fn right_ones_are_good() {
        for payload in [&b""[..], b"x", b"PING\r\n", &[0xff; 1459]] {
            assert_eq!(verify(&frame(payload)), Verdict::Good, "{} bytes", payload.len());
        }
    }

    #[test]
    fn padding_is_not_summed() {
        let mut frame = frame(b"");
        frame.extend([0xaa; 6]);
        assert_eq!(verify(&frame), Verdict::Good);
    }

    #[test]
    fn one_wrong_bit_is_seen_wherever_it_is() {
        let right = frame(b"PING\r\n");
        for index in 14..right.len() {
            let mut wrong = right.clone();
            wrong[index] ^= 4;
            assert!(matches!(verify(&wrong), Verdict::Bad(_)), "byte {index}");
        }
    }

    #[test]
    fn cut_short() {
        let whole = frame(b"PING\r\n");
        assert_eq!(verify(&whole[..whole.len() - 1]), Verdict::Bad("the IPv4 total length"));
        assert_eq!(verify(&whole[..20]), Verdict::Bad("no whole IPv4 header"));
        assert_eq!(verify(&whole[..10]), Verdict::Bad("shorter than an Ethernet header"));
    }
}
