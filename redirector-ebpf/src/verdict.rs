//! What is to become of a packet.

use redirector_common::Counter;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// On to the kernel's own stack, untouched.
    Pass,
    Drop,
    /// Out of this interface, as it now is.
    Transmit {
        ifindex: u32,
    },
}

/// An action, and the counter that says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    pub action: Action,
    pub counter: Counter,
}

impl Verdict {
    #[inline(always)]
    pub const fn pass(counter: Counter) -> Self {
        Self { action: Action::Pass, counter }
    }

    #[inline(always)]
    pub const fn drop(counter: Counter) -> Self {
        Self { action: Action::Drop, counter }
    }

    #[inline(always)]
    pub const fn transmit(ifindex: u32, counter: Counter) -> Self {
        Self { action: Action::Transmit { ifindex }, counter }
    }
}
