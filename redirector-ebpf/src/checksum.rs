//! The Internet checksum, updated rather than recomputed (RFC 1624).
//!
//! A checksum is the complement of the one's complement sum of 16-bit words. To replace a word `m` by `m'`, RFC 1624 eq. 3
//! gives `HC' = ~(~HC + ~m + m')`: add the complement of what goes, add what comes, fold the carries. The sum does not
//! depend on byte order (RFC 1071 §2B), so all of it works on words as they lie in memory.

/// The difference that a change makes to a one's complement sum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delta(u64);

impl Delta {
    pub const NONE: Self = Self(0);

    #[inline(always)]
    #[must_use]
    pub const fn add(self, word: u32) -> Self {
        Self(self.0 + word as u64)
    }

    #[inline(always)]
    #[must_use]
    pub const fn remove(self, word: u32) -> Self {
        Self(self.0 + !word as u64)
    }

    #[inline(always)]
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// Both words in memory order; an upper half of zero may be used for a lone 16-bit word.
    #[inline(always)]
    #[must_use]
    pub const fn replace(self, old: u32, new: u32) -> Self {
        self.remove(old).add(new)
    }

    /// The sum folded to 32 bits, as the kernel's `__wsum`.
    #[inline(always)]
    pub const fn wsum(self) -> u32 {
        let sum = (self.0 & 0xffff_ffff) + (self.0 >> 32);
        ((sum & 0xffff_ffff) + (sum >> 32)) as u32
    }

    /// The sum folded to 16 bits.
    #[inline(always)]
    pub const fn fold(self) -> u16 {
        let sum = self.wsum();
        let sum = (sum & 0xffff) + (sum >> 16);
        ((sum & 0xffff) + (sum >> 16)) as u16
    }

    /// The checksum that `check` becomes.
    #[inline(always)]
    pub const fn apply(self, check: u16) -> u16 {
        !Self(self.0 + (!check) as u64).fold()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 1071 §4.1, as plainly as it can be said.
    fn full(words: &[u16]) -> u16 {
        let mut sum: u32 = words.iter().copied().map(u32::from).sum();
        while sum >> 16 != 0 {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    #[test]
    fn the_example_of_rfc_1624_section_4() {
        // HC = 0xDD2F, m = 0x5555, m' = 0x3285 must give 0x0000, not 0xFFFF.
        assert_eq!(Delta::NONE.replace(0x5555, 0x3285).apply(0xdd2f), 0x0000);
    }

    proptest! {
        #[test]
        fn incremental_is_full(mut words in prop::collection::vec(any::<u16>(), 2..40), at in any::<prop::sample::Index>(), new in any::<u16>()) {
            // A real header is never all zeros, the one case in which the two zeros of one's complement differ.
            words.push(0x4500);
            let before = full(&words);
            let at = at.index(words.len() - 1);
            let delta = Delta::NONE.replace(words[at].into(), new.into());
            words[at] = new;
            prop_assert_eq!(delta.apply(before), full(&words));
        }

        #[test]
        fn two_words_at_once_are_two_words(old in any::<[u16; 2]>(), new in any::<[u16; 2]>(), rest in 1..=u16::MAX) {
            let word = |[a, b]: [u16; 2]| u32::from(a) | u32::from(b) << 16;
            let delta = Delta::NONE.replace(word(old), word(new));
            let before = full(&[old[0], old[1], rest]);
            prop_assert_eq!(delta.apply(before), full(&[new[0], new[1], rest]));
        }
    }
}
