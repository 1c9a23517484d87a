//! What holds for every packet, not only for those of the table.

#![expect(clippy::expect_used, reason = "a test may fail loudly")]

use proptest::prelude::*;
use redirector_tests::golden::{
    Class, Executor, Host, World,
    frame::{ACK, FIN, PSH, R1, RST, SYN, Tcp, verify},
    world::{FIRST_PORT, MASTER},
};

const PORT: u16 = 40_000;

/// A host executor with one established connection to the master.
fn connected() -> Host {
    let mut host = Host::default();
    host.reset(&World::default());
    for tcp in [
        Tcp::from_client(PORT, MASTER, SYN),
        Tcp::from_server(R1, FIRST_PORT, SYN | ACK),
        Tcp::from_client(PORT, MASTER, ACK).numbers(1001, 5001),
    ] {
        assert_eq!(send(&mut host, &tcp.frame()).0, Class::Transmit);
    }
    host
}

fn send(host: &mut Host, frame: &[u8]) -> (Class, Vec<u8>) {
    host.run(frame).expect("the host takes any frame")
}

/// Any segment of the connection, from the client.
fn segment() -> impl Strategy<Value = Tcp> {
    let flags = prop_oneof![Just(ACK), Just(PSH | ACK), Just(FIN | ACK), Just(RST), Just(SYN)];
    let options = prop::collection::vec(any::<u8>(), 0..10).prop_map(|bytes| bytes.repeat(4));
    let payload = prop::collection::vec(any::<u8>(), 0..1400);
    (flags, any::<[u32; 2]>(), 2..=255u8, any::<u16>(), options, payload).prop_map(
        |(flags, [seq, ack], ttl, window, options, payload)| Tcp {
            window,
            ..Tcp::from_client(PORT, MASTER, flags)
                .numbers(seq, ack)
                .ttl(ttl)
                .options(&options)
                .payload(&payload)
        },
    )
}

proptest! {
    #[test]
    fn every_segment_that_leaves_has_the_checksums_of_its_new_addresses(tcp in segment()) {
        let mut host = connected();
        let (class, out) = send(&mut host, &tcp.frame());
        prop_assert_eq!(class, Class::Transmit);
        prop_assert_eq!(verify(&out), Ok(()));
        prop_assert_eq!(out, tcp.to_server(FIRST_PORT, R1).frame());
    }

    /// What a client sends, translated and echoed by the server, comes back with nothing but the hops changed.
    #[test]
    fn there_and_back_is_where_it_came_from(tcp in segment()) {
        let mut host = connected();
        prop_assert_eq!(send(&mut host, &tcp.frame()).0, Class::Transmit);
        let echo = Tcp {
            payload: tcp.payload.clone(),
            window: tcp.window,
            options: tcp.options.clone(),
            ..Tcp::from_server(R1, FIRST_PORT, ACK).numbers(tcp.ack, tcp.seq)
        };
        let (class, out) = send(&mut host, &echo.frame());
        prop_assert_eq!(class, Class::Transmit);
        prop_assert_eq!(verify(&out), Ok(()));
        prop_assert_eq!(out, echo.to_client(MASTER, PORT).frame());
    }

    #[test]
    fn every_rst_that_is_made_has_good_checksums(tcp in segment()) {
        let mut host = connected();
        let mut world = World::default();
        world.fail_over(0, 0, vec![]);
        host.update(&world);
        let (class, out) = send(&mut host, &tcp.frame());
        if tcp.flags & RST == 0 {
            prop_assert_eq!(class, Class::Transmit);
            prop_assert_eq!(verify(&out), Ok(()));
            prop_assert_eq!(out.len(), 54);
        } else {
            prop_assert_eq!(class, Class::Drop);
        }
    }

    /// Whatever comes: no panic, and what is passed is passed as it came.
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (class, out) = send(&mut connected(), &bytes);
        if class == Class::Pass {
            prop_assert_eq!(out, bytes);
        }
    }

    /// The same for bytes that look like ours nearly everywhere.
    #[test]
    fn any_damage_is_survived(tcp in segment(), damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), cut in any::<prop::sample::Index>()) {
        let mut frame = tcp.frame();
        for (at, byte) in damage {
            let at = at.index(frame.len().min(54));
            frame[at] = byte;
        }
        frame.truncate(cut.index(frame.len()) + 1);
        let (class, out) = send(&mut connected(), &frame);
        if class == Class::Pass {
            prop_assert_eq!(out, frame);
        }
    }

    /// Over any number of connections each server has had its share to within one turn.
    #[test]
    fn shares_are_the_slots(connections in 1..400u16) {
        let mut host = Host::default();
        let mut world = World::default();
        for backend in &mut world.backends {
            backend.ports = 10_000;
        }
        host.reset(&world);
        for port in 0..connections {
            let syn = Tcp::from_client(1024 + port, redirector_tests::golden::world::REPLICAS, SYN);
            prop_assert_eq!(send(&mut host, &syn.frame()).0, Class::Transmit);
        }
        let at = |backend| host.flows().values().filter(|flow| flow.is_forward() && flow.backend == backend).count();
        prop_assert_eq!(at(1), usize::from(connections) - at(2));
        prop_assert_eq!(at(2), usize::from((connections + 1) / 3));
    }
}
