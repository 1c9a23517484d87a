//! What a packet tells about its connection.

use redirector_common::{Flow, FlowState};

use crate::{
    parse::{Flags, Segment},
    tables::{FlowRef, Tables},
};

/// The state after a segment of `direction`.
#[inline(always)]
pub const fn next(state: u32, direction: u32, flags: Flags) -> u32 {
    let forward = direction == Flow::FORWARD;
    let mut next = state;
    if flags.has(Flags::RST) {
        next |= FlowState::RESET;
    }
    if flags.has(Flags::FIN) {
        next |= if forward { FlowState::CLIENT_FIN } else { FlowState::SERVER_FIN };
    }
    if !forward && flags.has(Flags::SYN) && flags.has(Flags::ACK) {
        next |= FlowState::REPLIED;
    }
    if forward && state & FlowState::REPLIED != 0 && flags.has(Flags::ACK) {
        next |= FlowState::ESTABLISHED;
    }
    next
}

/// Is `a` after `b`, modulo 2³²? (RFC 9293 §3.4)
#[inline(always)]
pub const fn after(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) > 0
}

/// Takes note of a segment in its entry, and in the peer's when the state has changed.
///
/// The sequence numbers are what a RST needs in order to be believed, should this connection have to be cut while idle.
#[inline(always)]
pub fn track(tables: &impl Tables, flow: FlowRef<'_>, segment: &Segment, now: u64) {
    flow.set_seen_ns(now);
    let end = segment.seq.wrapping_add(segment.length);
    // A SYN sets the number that all others are measured against.
    if segment.flags.has(Flags::SYN) || after(end, flow.seq()) {
        flow.set_seq(end);
    }
    if segment.flags.has(Flags::ACK) {
        flow.set_ack(segment.ack);
    }
    let state = flow.state();
    let next = next(state, flow.direction(), segment.flags);
    if next != state {
        flow.set_state(next);
        if let Some(peer) = tables.flow(&flow.peer_key()) {
            peer.set_state(next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYN: u8 = Flags::SYN;
    const ACK: u8 = Flags::ACK;
    const FIN: u8 = Flags::FIN;
    const RST: u8 = Flags::RST;
    const F: u32 = Flow::FORWARD;
    const R: u32 = Flow::REVERSE;

    fn after_all(segments: &[(u32, u8)]) -> FlowState {
        FlowState(segments.iter().fold(0, |state, &(direction, flags)| next(state, direction, Flags(flags))))
    }

    #[test]
    fn a_connection_from_the_handshake_to_the_end() {
        let open = [(F, SYN), (R, SYN | ACK), (F, ACK)];
        assert_eq!(after_all(&open[..1]), FlowState(0));
        assert_eq!(after_all(&open[..2]), FlowState(FlowState::REPLIED));
        assert_eq!(after_all(&open), FlowState(FlowState::REPLIED | FlowState::ESTABLISHED));
        assert!(!after_all(&open).is_closed());

        let half = [&open[..], &[(F, FIN | ACK), (R, ACK)]].concat();
        assert!(!after_all(&half).is_closed(), "the server may still send");
        assert!(after_all(&[&half[..], &[(R, FIN | ACK)]].concat()).is_closed());
        assert!(after_all(&[&open[..], &[(R, RST)]].concat()).is_closed());
    }

    #[test]
    fn an_ack_before_the_answer_establishes_nothing() {
        assert_eq!(after_all(&[(F, SYN), (F, ACK)]), FlowState(0));
    }

    #[test]
    fn sequence_numbers_wrap() {
        assert!(after(1, u32::MAX));
        assert!(!after(u32::MAX, 1));
        assert!(!after(7, 7));
    }
}
