//! The maps, and the pipeline's view of them.

use core::{
    intrinsics::{AtomicOrdering, atomic_xadd},
    ptr::NonNull,
};

use aya_ebpf::{
    bindings::{BPF_F_NO_PREALLOC, BPF_NOEXIST},
    macros::map,
    maps::{Array, HashMap, PerCpuArray},
};
use redirector_common::{Backend, Counter, Flow, FlowKey, Service, ServiceKey, Traffic, limits};
use redirector_ebpf::tables::{FlowRef, InsertError, Tables};

#[map]
static FLOWS: HashMap<FlowKey, Flow> = HashMap::pinned(limits::FLOW_ENTRIES, 0);
/// Not preallocated: a replaced value stays whole for those who still read it.
#[map]
static SERVICES: HashMap<ServiceKey, Service> = HashMap::pinned(limits::SERVICES, BPF_F_NO_PREALLOC);
#[map]
static BACKENDS: Array<Backend> = Array::pinned(limits::BACKENDS, 0);
#[map]
static SLOTS: Array<u32> = Array::pinned(limits::SLOT_TABLE, 0);
#[map]
static TICKETS: Array<u64> = Array::pinned(limits::SERVICES, 0);
#[map]
static COUNTERS: PerCpuArray<u64> = PerCpuArray::pinned(Counter::COUNT, 0);

#[map]
static TRAFFIC: PerCpuArray<Traffic> = PerCpuArray::pinned(limits::BACKENDS, 0);
#[map]
static REFUSALS: PerCpuArray<u64> = PerCpuArray::pinned(limits::SERVICES, 0);

/// The kernel's maps.
pub(crate) struct Maps;

/// Has this processor's count just reached a power of two? So that a fault is told, and told again, but no log is filled.
#[inline(always)]
pub(crate) fn is_milestone(counter: Counter) -> bool {
    COUNTERS.get(counter.index()).is_some_and(|count| count.is_power_of_two())
}

/// `-EEXIST`, what a no-exist insertion says to an entry that is there.
const EEXIST: i32 = -17;

impl Tables for Maps {
    #[inline(always)]
    fn flow(&self, key: &FlowKey) -> Option<FlowRef<'_>> {
        let flow = NonNull::new(FLOWS.get_ptr_mut(key)?)?;
        // SAFETY: the kernel keeps an entry's memory until this program has ended.
        Some(unsafe { FlowRef::new(flow) })
    }

    #[inline(always)]
    fn insert_flow(&self, key: &FlowKey, flow: &Flow) -> Result<(), InsertError> {
        FLOWS
            .insert(key, flow, u64::from(BPF_NOEXIST))
            .map_err(|error| if error == EEXIST { InsertError::Exists } else { InsertError::Full })
    }

    #[inline(always)]
    fn remove_flow(&self, key: &FlowKey) {
        // Gone already is as good.
        let _ = FLOWS.remove(key);
    }

    #[inline(always)]
    fn service(&self, key: &ServiceKey) -> Option<&Service> {
        // SAFETY: replaced as a whole, never written in place.
        unsafe { SERVICES.get(key) }
    }

    #[inline(always)]
    fn backend(&self, id: u32) -> Option<&Backend> {
        BACKENDS.get(id)
    }

    #[inline(always)]
    fn slot(&self, index: u32) -> Option<u32> {
        SLOTS.get(index).copied()
    }

    #[inline(always)]
    fn ticket(&self, service: u32) -> Option<u64> {
        let ticket = TICKETS.get_ptr_mut(service)?;
        // The target has no compare-and-swap, so `AtomicU64` lacks `fetch_add`; the instruction itself exists since v3.
        // Not relaxed: LLVM makes of that the addition that fetches nothing, and uses what it was to add as the result.
        // SAFETY: an aligned word of an array map, which lives as long as the program.
        Some(unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::AcqRel }>(ticket, 1) })
    }

    #[inline(always)]
    fn count(&self, counter: Counter) {
        if let Some(count) = COUNTERS.get_ptr_mut(counter.index()) {
            // SAFETY: this processor's own copy.
            unsafe { *count += 1 };
        }
    }
    #[inline(always)]
    fn account(&self, backend: u32, direction: u32, bytes: u64) {
        if let Some(traffic) = TRAFFIC.get_ptr_mut(backend) {
            // SAFETY: this processor's own copy.
            unsafe {
                if direction == Flow::FORWARD {
                    (*traffic).packets_to_server += 1;
                    (*traffic).bytes_to_server += bytes;
                } else {
                    (*traffic).packets_to_client += 1;
                    (*traffic).bytes_to_client += bytes;
                }
            }
        }
    }

    #[inline(always)]
    fn account_flow(&self, backend: u32) {
        if let Some(traffic) = TRAFFIC.get_ptr_mut(backend) {
            // SAFETY: as above.
            unsafe { (*traffic).flows += 1 };
        }
    }

    #[inline(always)]
    fn account_refusal(&self, service: u32) {
        if let Some(refusals) = REFUSALS.get_ptr_mut(service) {
            // SAFETY: as above.
            unsafe { *refusals += 1 };
        }
    }
}
