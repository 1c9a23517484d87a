//! The programs that the kernel loads: thin shells around the pipeline.
#![no_std]
#![no_main]
#![feature(core_intrinsics)]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "helpers speak of lengths and verdicts in other widths than Rust does"
)]
#![expect(internal_features, reason = "the only way to an atomic fetch-and-add on this target")]

mod direct;
mod maps;
mod tc;
mod xdp;

/// An endless loop, so that the verifier refuses a program in which a panic can be reached.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

// Helpers such as bpf_skb_change_tail are for GPL-compatible programs only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
