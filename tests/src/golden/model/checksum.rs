//! Checksums from scratch (RFC 1071).

use super::{IP, TCP};

/// A checksum: its name, the sum over what it covers, the place of its field.
pub(super) type Checksum = (&'static str, fn(&[u8]) -> Sum, usize);

/// Both checksums.
pub(super) const SUMS: [Checksum; 2] = [("IPv4", ip_sum, IP + 10), ("TCP", tcp_sum, TCP + 16)];

pub(super) struct Sum {
    /// What the field should hold.
    pub(super) check: u16,
    /// Of everything with the field as it is; zero if it is right.
    pub(super) residue: u64,
}

fn ip_sum(frame: &[u8]) -> Sum {
    sum(&frame[IP..TCP], 10, 0)
}

fn tcp_sum(frame: &[u8]) -> Sum {
    let total = usize::from(word(frame, IP + 2));
    let segment = &frame[TCP..IP + total];
    sum(segment, 16, add(&frame[IP + 12..TCP]) + 6 + segment.len() as u64)
}

/// The checksum of `bytes`, whose field is at `field`, on top of `more` (RFC 1071).
fn sum(bytes: &[u8], field: usize, more: u64) -> Sum {
    let all = add(bytes) + more;
    let mut without = all - u64::from(word(bytes, field));
    while without > 0xffff {
        without = (without & 0xffff) + (without >> 16);
    }
    Sum { check: !u16::try_from(without).expect("folded"), residue: all % 0xffff }
}

/// The sum of 16-bit words; an odd byte counts as the upper half of one.
fn add(bytes: &[u8]) -> u64 {
    bytes.chunks(2).map(|pair| u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0))).sum()
}

/// Writes both checksums of a frame in the shape that is translated.
pub fn seal(frame: &mut [u8]) {
    for (_, sum, field) in SUMS {
        let check = sum(frame).check;
        frame[field..field + 2].copy_from_slice(&check.to_be_bytes());
    }
}

pub(super) fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}
