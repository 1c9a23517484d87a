//! Every capacity of the datapath.

/// Services that fit.
pub const SERVICES: u32 = 256;
/// Backends that fit: servers counted once for each service they are in.
pub const BACKENDS: u32 = 4096;
/// Slots in one bank of a service: the finest share is one in this many.
pub const SLOTS: u32 = 4096;
/// Banks of slots: one in use, one to write the next answer into.
pub const BANKS: u32 = 2;
/// Entries of the slot table.
pub const SLOT_TABLE: u32 = SERVICES * BANKS * SLOTS;
/// Entries of the flow table unless configured otherwise; a connection takes two.
pub const FLOW_ENTRIES: u32 = 2 * 131_072;
/// Source ports tried for a new flow before it is refused.
pub const PORT_PROBES: u32 = 16;

/// Index of a slot in the slot table.
#[inline(always)]
pub const fn slot_index(service: u32, bank: u32, slot: u32) -> u32 {
    (service * BANKS + bank) * SLOTS + slot
}
