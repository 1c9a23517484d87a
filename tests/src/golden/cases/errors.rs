//! ICMP errors about flows.

use super::{
    ACK, Case, Class, Counter, Expect, FIRST_PORT, Ipv4Addr, MASTER, Out, PORT, PSH, R1, Step, Tcp,
    after_handshake, case, client, drops, fence_r1, handshake, passes, server,
};
use crate::golden::frame::{
    CLIENT, CLIENT_MAC, GATEWAY_MAC, INNER_MAC, IcmpError, SERVER_MAC, SOURCE, VIRTUAL,
};

/// A router between the gateway and the servers, and one between it and the clients.
const INNER_ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 254);
const OUTER_ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 254);
const FROM_SERVERS: ([u8; 6], [u8; 6]) = (SERVER_MAC, INNER_MAC);
const FROM_CLIENTS: ([u8; 6], [u8; 6]) = (CLIENT_MAC, GATEWAY_MAC);

/// An error about a segment that the client sent (`sent`), as it was on its way to the server; and as the client sees it.
fn error_for_client(sent: &Tcp, from: Ipv4Addr, seen_from: Ipv4Addr, quoted: usize) -> Step {
    let on_the_way = sent.clone().to_server(FIRST_PORT, R1);
    let error = IcmpError::too_large(FROM_SERVERS, from, &on_the_way, quoted);
    let seen = Tcp { ttl: on_the_way.ttl, ..sent.clone() };
    let out = IcmpError {
        ttl: error.ttl - 1,
        ..IcmpError::too_large((GATEWAY_MAC, CLIENT_MAC), seen_from, &seen, quoted)
    };
    translated(&error, &out)
}

/// The same for a segment that the server sent.
fn error_for_server(sent: &Tcp, from: Ipv4Addr, seen_from: Ipv4Addr, quoted: usize) -> Step {
    let on_the_way = sent.clone().to_client(MASTER, PORT);
    let error = IcmpError::too_large(FROM_CLIENTS, from, &on_the_way, quoted);
    let seen = Tcp { ttl: on_the_way.ttl, ..sent.clone() };
    let out = IcmpError {
        ttl: error.ttl - 1,
        ..IcmpError::too_large((INNER_MAC, SERVER_MAC), seen_from, &seen, quoted)
    };
    translated(&error, &out)
}

fn translated(error: &IcmpError, out: &IcmpError) -> Step {
    let out = Out::Frame(out.frame());
    Step::Send(error.frame(), Expect { class: Class::Transmit, counters: vec![Counter::IcmpError], out })
}

pub(super) fn errors() -> Vec<Case> {
    const ALL: usize = usize::MAX;
    let request = client(PSH | ACK).numbers(1001, 5001).payload(&[b'q'; 300]);
    let answer = server(PSH | ACK).numbers(5001, 1001).payload(&[b'a'; 301]);
    let about = |error: IcmpError, entries, before: Vec<Step>, expect| {
        (entries, before.into_iter().chain([Step::Send(error.frame(), expect)]).collect::<Vec<_>>())
    };
    let to_client =
        IcmpError::too_large(FROM_SERVERS, INNER_ROUTER, &request.clone().to_server(FIRST_PORT, R1), 28);
    let named = |name, (entries, steps)| Case { name, steps, entries };
    vec![
        case(
            "an error that quotes 28 bytes reaches the client",
            2,
            after_handshake(vec![error_for_client(&request, INNER_ROUTER, INNER_ROUTER, 28)]),
        ),
        case(
            "an error that quotes the whole segment reaches the client",
            2,
            after_handshake(vec![
                error_for_client(&request, INNER_ROUTER, INNER_ROUTER, ALL),
                error_for_client(&request, INNER_ROUTER, INNER_ROUTER, 38),
            ]),
        ),
        case(
            "an error of the server itself comes from the virtual address",
            2,
            after_handshake(vec![error_for_client(&request, R1, VIRTUAL, ALL)]),
        ),
        case(
            "an error about an answer reaches the server",
            2,
            after_handshake(vec![
                error_for_server(&answer, OUTER_ROUTER, OUTER_ROUTER, 28),
                error_for_server(&answer, OUTER_ROUTER, OUTER_ROUTER, ALL),
            ]),
        ),
        case(
            "an error of the client itself comes from the source address",
            2,
            after_handshake(vec![error_for_server(&answer, CLIENT, SOURCE, ALL)]),
        ),
        named(
            "an error about no flow of ours",
            about(to_client.clone(), 0, vec![], passes(Counter::PassNotOurs)),
        ),
        named("an error about a fenced flow goes nowhere", {
            let fenced = after_handshake(vec![Step::Change(fence_r1)]);
            about(to_client.clone(), 2, fenced, drops(Counter::DropFencedError))
        }),
        named("an error at its last hop ends here", {
            about(IcmpError { ttl: 1, ..to_client.clone() }, 2, handshake(), drops(Counter::DropTtl))
        }),
        named(
            "an echo request",
            about(IcmpError { kind: 8, ..to_client.clone() }, 2, handshake(), passes(Counter::PassNotTcp)),
        ),
        named("an error that quotes too little", {
            let quoted = to_client.quoted[..27].to_vec();
            about(IcmpError { quoted, ..to_client.clone() }, 2, handshake(), passes(Counter::PassNotTcp))
        }),
        named("an error about UDP", {
            let mut quoted = to_client.quoted.clone();
            quoted[9] = 17;
            about(IcmpError { quoted, ..to_client.clone() }, 2, handshake(), passes(Counter::PassNotTcp))
        }),
        named("an error about a later fragment", {
            let mut quoted = to_client.quoted.clone();
            quoted[7] = 1;
            about(IcmpError { quoted, ..to_client }, 2, handshake(), passes(Counter::PassNotTcp))
        }),
    ]
}
