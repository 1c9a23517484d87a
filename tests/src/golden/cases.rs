//! The table.

mod errors;

use std::net::Ipv4Addr;

use redirector_common::Counter;

use super::{
    Case, Class, Expect, Out, Step, World,
    frame::{ACK, FIN, PSH, R1, R2, R3, RST, SYN, Tcp},
    world::{CONFUSED, EMPTY, FIRST_PORT, MASTER, REPLICAS, UNRESOLVED},
};

/// The client's port in most cases.
const PORT: u16 = 40_000;

fn send(tcp: &Tcp, expect: Expect) -> Step {
    Step::Send(tcp.frame(), expect)
}

fn passes(counter: Counter) -> Expect {
    Expect { class: Class::Pass, counters: vec![counter], out: Out::Unchanged }
}

fn drops(counter: Counter) -> Expect {
    Expect { class: Class::Drop, counters: vec![counter], out: Out::Any }
}

fn leaves(as_: &Tcp, counters: &[Counter]) -> Expect {
    Expect { class: Class::Transmit, counters: counters.to_vec(), out: Out::Frame(as_.frame()) }
}

/// A SYN that opens a flow to `server` from `source_port`.
fn opens(syn: &Tcp, source_port: u16, server: Ipv4Addr) -> Step {
    let out = syn.clone().to_server(source_port, server);
    send(syn, leaves(&out, &[Counter::ToServer, Counter::FlowCreated]))
}

fn forth(tcp: &Tcp) -> Step {
    send(tcp, leaves(&tcp.clone().to_server(FIRST_PORT, R1), &[Counter::ToServer]))
}

fn back(tcp: &Tcp) -> Step {
    send(tcp, leaves(&tcp.clone().to_client(MASTER, PORT), &[Counter::ToClient]))
}

fn client(flags: u8) -> Tcp {
    Tcp::from_client(PORT, MASTER, flags)
}

fn server(flags: u8) -> Tcp {
    Tcp::from_server(R1, FIRST_PORT, flags)
}

/// The three segments of a handshake with the master.
fn handshake() -> Vec<Step> {
    vec![
        opens(&client(SYN), FIRST_PORT, R1),
        back(&server(SYN | ACK)),
        forth(&client(ACK).numbers(1001, 5001)),
    ]
}

fn after_handshake(more: Vec<Step>) -> Vec<Step> {
    handshake().into_iter().chain(more).collect()
}

/// Both sides have said goodbye.
fn closed() -> Vec<Step> {
    after_handshake(vec![
        forth(&client(FIN | ACK).numbers(1001, 5001)),
        back(&server(FIN | ACK).numbers(5001, 1002)),
        forth(&client(ACK).numbers(1002, 5002)),
    ])
}

fn fence_r1(world: &mut World) {
    world.fail_over(0, 0, vec![]);
}

/// `frame` with some bytes replaced; its checksums are as they were.
fn patched(tcp: &Tcp, patches: &[(usize, u8)]) -> Vec<u8> {
    let mut frame = tcp.frame();
    for &(at, byte) in patches {
        frame[at] = byte;
    }
    frame
}

fn case(name: &'static str, entries: usize, steps: Vec<Step>) -> Case {
    Case { name, steps, entries }
}

pub fn all() -> Vec<Case> {
    [flows(), refusals(), fences(), reuse(), errors::errors(), untouched()].into_iter().flatten().collect()
}

fn flows() -> Vec<Case> {
    vec![
        case(
            "a connection: handshake, a command, its answer",
            2,
            after_handshake(vec![
                forth(&client(PSH | ACK).numbers(1001, 5001).payload(b"*1\r\n$4\r\nPING\r\n")),
                back(&server(PSH | ACK).numbers(5001, 1015).payload(b"+PONG\r\n")),
            ]),
        ),
        case(
            "options of a SYN are carried through",
            2,
            vec![opens(
                &client(SYN).options(&[2, 4, 5, 180, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7]),
                FIRST_PORT,
                R1,
            )],
        ),
        case(
            "an odd number of bytes, and a large segment",
            2,
            after_handshake(vec![
                forth(&client(ACK).numbers(1001, 5001).payload(b"x")),
                forth(&client(ACK).numbers(1002, 5001).payload(&[0xa5; 1447])),
            ]),
        ),
        case(
            "a SYN sent again follows its flow",
            2,
            vec![opens(&client(SYN), FIRST_PORT, R1), forth(&client(SYN))],
        ),
        case(
            "replicas take turns by their slots",
            6,
            vec![
                opens(&Tcp::from_client(PORT, REPLICAS, SYN), FIRST_PORT, R2),
                opens(&Tcp::from_client(PORT + 1, REPLICAS, SYN), FIRST_PORT, R3),
                Step::Change(|world| world.backends[1].first_port += 1),
                opens(&Tcp::from_client(PORT + 2, REPLICAS, SYN), FIRST_PORT + 1, R2),
            ],
        ),
        case(
            "a server's RST reaches the client",
            2,
            after_handshake(vec![back(&server(RST | ACK).numbers(5001, 1001))]),
        ),
        case("a segment that was damaged on its way stays recognisably so", 2, {
            let mut broken = client(SYN).frame();
            broken[48] ^= 0xff;
            let mut out = client(SYN).to_server(FIRST_PORT, R1).frame();
            out[48] ^= 0xff;
            vec![Step::Send(
                broken,
                Expect {
                    class: Class::Transmit,
                    counters: vec![Counter::ToServer, Counter::FlowCreated],
                    out: Out::Frame(out),
                },
            )]
        }),
        case("a frame longer than its datagram keeps its padding", 2, {
            let pad = |tcp: &Tcp| [tcp.frame(), vec![0xee; 6]].concat();
            vec![Step::Send(
                pad(&client(SYN)),
                Expect {
                    class: Class::Transmit,
                    counters: vec![Counter::ToServer, Counter::FlowCreated],
                    out: Out::Frame(pad(&client(SYN).to_server(FIRST_PORT, R1))),
                },
            )]
        }),
    ]
}

fn refusals() -> Vec<Case> {
    let syn = |service| Tcp::from_client(PORT, service, SYN);
    let refused = |syn: &Tcp, counter| send(syn, leaves(&syn.refused(0, 1001, RST | ACK), &[counter]));
    vec![
        case("nobody serves: the SYN is refused", 0, vec![refused(&syn(EMPTY), Counter::RefusedNoServer)]),
        case("a SYN with data is refused behind its data", 0, {
            let syn = syn(EMPTY).payload(b"early");
            vec![send(&syn, leaves(&syn.refused(0, 1006, RST | ACK), &[Counter::RefusedNoServer]))]
        }),
        case(
            "a slot of another service serves nobody",
            0,
            vec![refused(&syn(CONFUSED), Counter::RefusedNoServer)],
        ),
        case(
            "the neighbour is not known yet: the client will ask again",
            0,
            vec![send(&syn(UNRESOLVED), drops(Counter::DropNoNeighbour))],
        ),
        case(
            "every source port is taken",
            2,
            vec![
                opens(&client(SYN), FIRST_PORT, R1),
                refused(&Tcp::from_client(PORT + 1, MASTER, SYN), Counter::RefusedNoPort),
            ],
        ),
        case("a segment of no flow is reset", 0, {
            let ack = client(ACK).numbers(77, 88).payload(b"late");
            vec![send(&ack, leaves(&ack.refused(88, 0, RST), &[Counter::ResetNoFlow]))]
        }),
        case("a SYN-ACK to a service is reset", 0, {
            let odd = client(SYN | ACK).numbers(77, 88);
            vec![send(&odd, leaves(&odd.refused(88, 0, RST), &[Counter::ResetNoFlow]))]
        }),
        case("a RST is never answered", 0, vec![send(&client(RST).numbers(5, 0), drops(Counter::DropReset))]),
        case("the last hop ends here", 0, vec![send(&client(SYN).ttl(1), drops(Counter::DropTtl))]),
        case(
            "the last hop of a flow ends here",
            2,
            after_handshake(vec![send(&client(ACK).numbers(1001, 5001).ttl(1), drops(Counter::DropTtl))]),
        ),
    ]
}

fn fences() -> Vec<Case> {
    let data = client(PSH | ACK).numbers(1001, 5001).payload(b"SET x 1");
    let answer = server(PSH | ACK).numbers(5001, 1001).payload(b"+OK");
    vec![
        case(
            "a fenced flow is reset at both ends",
            2,
            after_handshake(vec![
                Step::Change(fence_r1),
                send(&data, leaves(&data.refused(5001, 0, RST), &[Counter::ResetFenced])),
                send(&answer, leaves(&answer.refused(1001, 0, RST), &[Counter::ResetFenced])),
            ]),
        ),
        case(
            "a challenge ACK of a fenced flow is answered, too",
            2,
            after_handshake(vec![Step::Change(fence_r1), {
                let challenge = server(ACK).numbers(5001, 1337);
                send(&challenge, leaves(&challenge.refused(1337, 0, RST), &[Counter::ResetFenced]))
            }]),
        ),
        case(
            "a RST of a fenced flow goes nowhere",
            2,
            after_handshake(vec![
                Step::Change(fence_r1),
                send(&client(RST).numbers(1001, 0), drops(Counter::DropReset)),
            ]),
        ),
        case(
            "a SYN sent again after the fence is refused",
            2,
            vec![
                opens(&client(SYN), FIRST_PORT, R1),
                Step::Change(fence_r1),
                send(&client(SYN), leaves(&client(SYN).refused(0, 1001, RST | ACK), &[Counter::ResetFenced])),
            ],
        ),
        case(
            "a new flow after the switch goes to the new master",
            4,
            after_handshake(vec![
                Step::Change(|world| {
                    world.backends[1].owner = 1;
                    world.fail_over(0, 0, vec![1]);
                }),
                opens(&Tcp::from_client(PORT + 1, MASTER, SYN), FIRST_PORT, R2),
            ]),
        ),
        case(
            "a fence of one service leaves the other alone",
            4,
            after_handshake(vec![
                opens(&Tcp::from_client(PORT, REPLICAS, SYN), FIRST_PORT, R2),
                Step::Change(|world| world.fail_over(1, 1, vec![2])),
                forth(&data),
            ]),
        ),
    ]
}

fn reuse() -> Vec<Case> {
    vec![
        case("a connection to its end leaves its entries for late segments", 2, closed()),
        case("a closed connection's port is used again by its client", 2, {
            let again = client(SYN).numbers(900_000, 0);
            closed().into_iter().chain([opens(&again, FIRST_PORT, R1)]).collect()
        }),
        case("a closed connection's source port is taken by another client", 2, {
            let other = Tcp::from_client(PORT + 7, MASTER, SYN);
            closed().into_iter().chain([opens(&other, FIRST_PORT, R1)]).collect()
        }),
        case(
            "a reset connection's port is used again",
            2,
            after_handshake(vec![
                forth(&client(RST).numbers(1001, 0)),
                opens(&client(SYN).numbers(900_000, 0), FIRST_PORT, R1),
            ]),
        ),
        case(
            "a live connection's port is not",
            2,
            after_handshake(vec![forth(&client(SYN).numbers(900_000, 0))]),
        ),
        case(
            "a half-closed connection's port is not",
            2,
            after_handshake(vec![
                forth(&client(FIN | ACK).numbers(1001, 5001)),
                forth(&client(SYN).numbers(900_000, 0)),
            ]),
        ),
    ]
}

fn untouched() -> Vec<Case> {
    let syn = client(SYN);
    let raw = |name, frame, counter| case(name, 0, vec![Step::Send(frame, passes(counter))]);
    vec![
        raw(
            "another port of the virtual address",
            Tcp::from_client(PORT, 22, SYN).frame(),
            Counter::PassNotOurs,
        ),
        raw("a server's segment of no flow", server(ACK).frame(), Counter::PassNotOurs),
        raw("ARP", patched(&syn, &[(12, 0x08), (13, 0x06)]), Counter::PassNotIp),
        raw("IPv6", patched(&syn, &[(12, 0x86), (13, 0xdd)]), Counter::PassNotIp),
        raw("a VLAN tag", patched(&syn, &[(12, 0x81), (13, 0x00)]), Counter::PassNotIp),
        raw("UDP", patched(&syn, &[(23, 17)]), Counter::PassNotTcp),
        raw("ICMP", patched(&syn, &[(23, 1)]), Counter::PassNotTcp),
        raw("IPv4 options", patched(&syn, &[(14, 0x46)]), Counter::PassIpOptions),
        raw("a header too short to be one", patched(&syn, &[(14, 0x44)]), Counter::PassTruncated),
        raw("another version", patched(&syn, &[(14, 0x65)]), Counter::PassTruncated),
        raw("a first fragment", patched(&syn, &[(20, 0x20), (21, 0)]), Counter::PassFragment),
        raw("a later fragment", patched(&syn, &[(20, 0), (21, 10)]), Counter::PassFragment),
        raw("a datagram longer than its frame", patched(&syn, &[(17, 41)]), Counter::PassTruncated),
        raw("a datagram shorter than its headers", patched(&syn, &[(17, 39)]), Counter::PassTruncated),
        raw("a TCP header too short to be one", patched(&syn, &[(46, 0x40)]), Counter::PassTruncated),
        raw("a TCP header longer than its datagram", patched(&syn, &[(46, 0xf0)]), Counter::PassTruncated),
        raw("a frame that ends within the TCP header", syn.frame()[..53].to_vec(), Counter::PassTruncated),
        raw("a frame that ends within the IP header", syn.frame()[..33].to_vec(), Counter::PassTruncated),
    ]
}
