//! The datapath as a pure function of a packet, the tables and the time.
//!
//! [`pipeline::run`] sees the world through two traits: [`Packet`] (bytes and checksums) and [`Tables`] (maps).
//! The programs in `main.rs` implement them over XDP and TC contexts and BPF maps; the tests over a vector and hash
//! maps. Nothing here allocates, panics or loops without a bound, because the kernel's verifier reads it too.
#![no_std]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "checksums, sequence numbers and ports are arithmetic modulo a power of two"
)]

pub mod checksum;
pub mod conntrack;
pub mod icmp;
pub mod nat;
pub mod packet;
pub mod parse;
pub mod pipeline;
pub mod reset;
pub mod select;
pub mod tables;
pub mod verdict;

pub use packet::Packet;
pub use tables::{FlowRef, Tables};
pub use verdict::Verdict;
