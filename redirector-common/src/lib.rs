//! What the eBPF programs and the agent share.
//!
//! Everything here crosses the border between kernel and user space as raw bytes, so every type is
//! `#[repr(C)]`, has no padding, and carries neither `Option` nor `bool`; sizes are asserted where the
//! types are defined. Addresses and ports stay in network byte order throughout.
#![no_std]

mod addr;
mod backend;
mod counter;
mod flow;
pub mod limits;
pub mod names;
mod service;
mod traffic;

pub use addr::Addr;
pub use backend::{Backend, Hop};
pub use counter::Counter;
pub use flow::{Flow, FlowKey, FlowState};
pub use service::{Service, ServiceKey};
pub use traffic::Traffic;

/// Marks types whose bytes may be copied in and out of a map.
macro_rules! plain {
    ($($type:ty = $size:literal),+ $(,)?) => {$(
        const _: () = assert!(core::mem::size_of::<$type>() == $size);
        // SAFETY: `repr(C)` integers only, and the size above leaves no room for padding.
        #[cfg(feature = "user")]
        unsafe impl aya::Pod for $type {}
    )+};
}

plain! {
    Addr = 16,
    FlowKey = 40,
    Flow = 96,
    Hop = 16,
    Backend = 72,
    ServiceKey = 20,
    Service = 24,
    Traffic = 40,
}
