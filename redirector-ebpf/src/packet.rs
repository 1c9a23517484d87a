//! A packet, as much of it as the pipeline needs.

use crate::checksum::Delta;

/// Types that any bytes are a valid value of, and that have no padding.
///
/// # Safety
/// Implementors keep that promise.
pub unsafe trait Wire: Copy {}

// SAFETY: plain bytes and words.
unsafe impl Wire for u8 {}
// SAFETY: as above.
unsafe impl Wire for u16 {}
// SAFETY: as above.
unsafe impl Wire for u32 {}
// SAFETY: as above.
unsafe impl<const N: usize> Wire for [u8; N] {}
/// A value at an even address, which is all that a header after 14 bytes of Ethernet can hope for.
///
/// BPF has no unaligned access of its own: this makes the compiler load words as pairs of 16 bits.
#[repr(C, packed(2))]
#[derive(Debug, Clone, Copy)]
pub struct Even<T: Copy>(pub T);

/// An access outside the packet, or a helper that refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfBounds;

pub trait Packet {
    /// Length of the frame in bytes, Ethernet header included.
    fn len(&self) -> usize;

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The interface it came in on.
    fn ingress(&self) -> u32;

    fn read<T: Wire>(&self, offset: usize) -> Result<T, OutOfBounds>;

    fn write<T: Wire>(&mut self, offset: usize, value: T) -> Result<(), OutOfBounds>;

    /// Updates the TCP checksum at `offset`: `pseudo` for what the pseudo-header covers, `body` for the rest.
    ///
    /// They are apart because a packet whose checksum the hardware is to complete (`CHECKSUM_PARTIAL`) holds the sum of
    /// the pseudo-header only.
    fn update_tcp_checksum(&mut self, offset: usize, pseudo: Delta, body: Delta) -> Result<(), OutOfBounds>;

    /// Cuts the frame down to `len` bytes.
    fn truncate(&mut self, len: usize) -> Result<(), OutOfBounds>;
}
