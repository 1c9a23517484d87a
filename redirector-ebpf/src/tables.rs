//! The maps, as the pipeline sees them.

use core::{marker::PhantomData, ptr::NonNull};

use redirector_common::{Addr, Backend, Counter, Flow, FlowKey, Hop, Service, ServiceKey};

/// Why a flow entry could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InsertError {
    Exists,
    /// No room, or no memory.
    Full,
}

pub trait Tables {
    fn flow(&self, key: &FlowKey) -> Option<FlowRef<'_>>;
    /// Never replaces an entry.
    fn insert_flow(&self, key: &FlowKey, flow: &Flow) -> Result<(), InsertError>;
    fn remove_flow(&self, key: &FlowKey);
    fn service(&self, key: &ServiceKey) -> Option<&Service>;
    fn backend(&self, id: u32) -> Option<&Backend>;
    /// The backend in a slot of the slot table.
    fn slot(&self, index: u32) -> Option<u32>;
    /// The next round-robin ticket of a service: 0, 1, 2, … each given out once.
    fn ticket(&self, service: u32) -> Option<u64>;
    fn count(&self, counter: Counter);
    /// A packet of `bytes` has gone through a backend, in a direction as flows have it.
    fn account(&self, backend: u32, direction: u32, bytes: u64);
    /// A backend has got a new flow.
    fn account_flow(&self, backend: u32);
    /// A service has refused a connection.
    fn account_refusal(&self, service: u32);
}

/// A flow entry in place. Other processors may write to it at the same time, so its live fields are read and written one
/// by one, never through a reference.
#[derive(Debug, Clone, Copy)]
pub struct FlowRef<'a> {
    flow: NonNull<Flow>,
    lifetime: PhantomData<&'a Flow>,
}

/// Fields fixed when the entry is made.
macro_rules! fixed {
    ($($get:ident: $type:ty,)+) => {$(
        #[inline(always)]
        pub fn $get(self) -> $type {
            // SAFETY: `new` promises a valid entry; the field is aligned, and any bytes are a value.
            unsafe { (&raw const (*self.flow.as_ptr()).$get).read() }
        }
    )+};
}

/// Fields that packets change.
macro_rules! live {
    ($($get:ident / $set:ident: $type:ty,)+) => {$(
        #[inline(always)]
        pub fn $get(self) -> $type {
            // SAFETY: as for the fixed ones; volatile, because others write to it.
            unsafe { (&raw const (*self.flow.as_ptr()).$get).read_volatile() }
        }

        #[inline(always)]
        pub fn $set(self, value: $type) {
            // SAFETY: as above; one aligned store.
            unsafe { (&raw mut (*self.flow.as_ptr()).$get).write_volatile(value) }
        }
    )+};
}

impl FlowRef<'_> {
    /// # Safety
    /// `flow` points to an entry that stays allocated for `'a`.
    #[inline(always)]
    pub const unsafe fn new(flow: NonNull<Flow>) -> Self {
        Self { flow, lifetime: PhantomData }
    }

    fixed! {
        src: Addr,
        dst: Addr,
        src_port: u16,
        dst_port: u16,
        backend: u32,
        epoch: u64,
        hop: Hop,
        direction: u32,
    }

    live! {
        seen_ns / set_seen_ns: u64,
        seq / set_seq: u32,
        ack / set_ack: u32,
        state / set_state: u32,
    }

    /// The key of the other entry of this connection.
    #[inline(always)]
    pub fn peer_key(self) -> FlowKey {
        FlowKey::tcp(self.dst(), self.dst_port(), self.src(), self.src_port())
    }
}
