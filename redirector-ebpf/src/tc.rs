//! The TC program, for the ingress of interfaces without native XDP.

use aya_ebpf::{
    bindings::{BPF_F_PSEUDO_HDR, TC_ACT_OK, TC_ACT_SHOT},
    helpers::{bpf_ktime_get_coarse_ns, bpf_redirect, bpf_skb_change_tail},
    macros::classifier,
    programs::TcContext,
};
use aya_log_ebpf::error;
use redirector_common::Counter;
use redirector_ebpf::{
    Packet, Tables as _,
    checksum::Delta,
    packet::{OutOfBounds, Wire},
    parse::offset,
    pipeline,
    verdict::Action,
};

use crate::{
    direct::Direct,
    maps::{Maps, is_milestone},
};

#[classifier]
pub(crate) fn redirector_tc(ctx: TcContext) -> i32 {
    // SAFETY: takes no arguments.
    let now = unsafe { bpf_ktime_get_coarse_ns() };
    let mut frame = Frame(ctx);
    // A tag that the interface has stripped is still the packet's.
    if frame.is_tagged() {
        Maps.count(Counter::PassNotIp);
        return TC_ACT_OK;
    }
    frame.pull();
    let verdict = pipeline::run(&mut frame, &Maps, now);
    if verdict.counter == Counter::DropInternal && is_milestone(verdict.counter) {
        error!(
            &frame.0,
            "the tables contradict each other, or a packet could not be changed; it was dropped"
        );
    }
    match verdict.action {
        Action::Pass => TC_ACT_OK,
        Action::Drop => TC_ACT_SHOT,
        // SAFETY: any interface index is allowed.
        Action::Transmit { ifindex } => (unsafe { bpf_redirect(ifindex, 0) }) as i32,
    }
}

struct Frame(TcContext);

impl Frame {
    #[inline(always)]
    fn is_tagged(&self) -> bool {
        // SAFETY: the kernel's context is valid while the program runs.
        unsafe { (*self.0.skb.skb).vlan_present != 0 }
    }

    /// Brings both headers into reach of direct access, where the driver has put them elsewhere.
    #[inline(always)]
    fn pull(&self) {
        if self.0.data() + offset::END > self.0.data_end() && self.0.len() as usize >= offset::END {
            // On failure the parser says that the packet is truncated.
            let _ = self.0.pull_data(offset::END as u32);
        }
    }
}

impl Direct for Frame {
    #[inline(always)]
    fn data(&self) -> usize {
        self.0.data()
    }

    #[inline(always)]
    fn data_end(&self) -> usize {
        self.0.data_end()
    }
}

impl Packet for Frame {
    #[inline(always)]
    fn len(&self) -> usize {
        self.0.len() as usize
    }

    #[inline(always)]
    fn ingress(&self) -> u32 {
        // SAFETY: the kernel's context is valid while the program runs.
        unsafe { (*self.0.skb.skb).ifindex }
    }

    #[inline(always)]
    fn read<T: Wire>(&self, offset: usize) -> Result<T, OutOfBounds> {
        self.get(offset)
    }

    #[inline(always)]
    fn write<T: Wire>(&mut self, offset: usize, value: T) -> Result<(), OutOfBounds> {
        self.put(offset, value)
    }

    #[inline(always)]
    fn update_tcp_checksum(&mut self, offset: usize, pseudo: Delta, body: Delta) -> Result<(), OutOfBounds> {
        // The helper knows whether the field holds a checksum or, for the hardware to complete, the pseudo-header's sum.
        let pseudo_flag = u64::from(BPF_F_PSEUDO_HDR);
        self.0
            .skb
            .l4_csum_replace(offset, 0, u64::from(pseudo.wsum()), pseudo_flag)
            .and_then(|()| self.0.skb.l4_csum_replace(offset, 0, u64::from(body.wsum()), 0))
            .map_err(|_| OutOfBounds)
    }

    #[inline(always)]
    fn truncate(&mut self, len: usize) -> Result<(), OutOfBounds> {
        // SAFETY: the helper checks the length.
        if self.len() == len || unsafe { bpf_skb_change_tail(self.0.skb.skb, len as u32, 0) } == 0 {
            Ok(())
        } else {
            Err(OutOfBounds)
        }
    }
}
