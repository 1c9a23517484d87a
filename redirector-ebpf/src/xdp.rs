//! The XDP program.

use aya_ebpf::{
    bindings::xdp_action::{XDP_DROP, XDP_PASS},
    helpers::{bpf_ktime_get_coarse_ns, bpf_redirect, bpf_xdp_adjust_tail},
    macros::xdp,
    programs::XdpContext,
};
use aya_log_ebpf::error;
use redirector_common::Counter;
use redirector_ebpf::{
    Packet,
    checksum::Delta,
    packet::{OutOfBounds, Wire},
    pipeline,
    verdict::Action,
};

use crate::{
    direct::Direct,
    maps::{Maps, is_milestone},
};

#[xdp]
pub(crate) fn redirector_xdp(ctx: XdpContext) -> u32 {
    // SAFETY: takes no arguments.
    let now = unsafe { bpf_ktime_get_coarse_ns() };
    let mut frame = Frame(ctx);
    let verdict = pipeline::run(&mut frame, &Maps, now);
    if verdict.counter == Counter::DropInternal && is_milestone(verdict.counter) {
        error!(
            &frame.0,
            "the tables contradict each other, or a packet could not be changed; it was dropped"
        );
    }
    match verdict.action {
        Action::Pass => XDP_PASS,
        Action::Drop => XDP_DROP,
        // Redirection even to the interface it came from: it works where XDP_TX does not, on veth without a peer program.
        // SAFETY: any interface index is allowed.
        Action::Transmit { ifindex } => (unsafe { bpf_redirect(ifindex, 0) }) as u32,
    }
}

struct Frame(XdpContext);

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
        self.0.data_end() - self.0.data()
    }

    #[inline(always)]
    fn ingress(&self) -> u32 {
        // SAFETY: the kernel's context is valid while the program runs.
        unsafe { (*self.0.ctx).ingress_ifindex }
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
        // XDP sees complete checksums only: the interfaces it runs on must not leave them to the hardware on transmit.
        let check = self.read(offset)?;
        self.write(offset, pseudo.and(body).apply(check))
    }

    #[inline(always)]
    fn truncate(&mut self, len: usize) -> Result<(), OutOfBounds> {
        let change = len as i32 - self.len() as i32;
        // SAFETY: the helper checks the length.
        if change == 0 || unsafe { bpf_xdp_adjust_tail(self.0.ctx, change) } == 0 {
            Ok(())
        } else {
            Err(OutOfBounds)
        }
    }
}
