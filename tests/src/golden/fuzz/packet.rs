//! Packets that come close to what the datapath knows.

use std::{collections::BTreeMap, net::Ipv4Addr};

use redirector_common::{Flow, FlowKey};

use super::random::Random;
use crate::golden::{
    frame::{
        ACK, CLIENT, CLIENT_MAC, FIN, GATEWAY_MAC, INNER_MAC, PSH, R1, R2, R3, RST, SERVER_MAC, SOURCE, SYN,
        VIRTUAL,
    },
    model,
    world::{CONFUSED, EMPTY, FIRST_PORT, MASTER, REPLICAS, UNRESOLVED},
};

const SERVICES: [u16; 8] = [MASTER, MASTER, REPLICAS, REPLICAS, EMPTY, UNRESOLVED, CONFUSED, 22];

/// A packet: mostly of a flow that is there or of a client that opens one, sometimes damaged, sometimes noise.
pub(super) fn random(random: &mut Random, flows: &BTreeMap<FlowKey, Flow>) -> Vec<u8> {
    if random.one_in(40) {
        return noise(random);
    }
    let mut frame = segment(random, flows).frame();
    if random.one_in(6) {
        damage(random, &mut frame);
    }
    frame
}

/// A TCP segment in an Ethernet frame; every field is free, and the lengths and checksums are right.
struct Segment {
    macs: ([u8; 6], [u8; 6]),
    src: (Ipv4Addr, u16),
    dst: (Ipv4Addr, u16),
    numbers: (u32, u32),
    flags: u8,
    ttl: u8,
    tos: u8,
    id: u16,
    /// Reserved bit and don't fragment.
    fragment: u8,
    window: u16,
    urgent: u16,
    options: Vec<u8>,
    payload: Vec<u8>,
    padding: Vec<u8>,
}

impl Segment {
    fn frame(&self) -> Vec<u8> {
        let header = 20 + self.options.len();
        let total = u16::try_from(20 + header + self.payload.len()).expect("less than a page");
        let mut frame = Vec::with_capacity(1600);
        frame.extend(self.macs.1);
        frame.extend(self.macs.0);
        frame.extend([0x08, 0x00, 0x45, self.tos]);
        frame.extend(total.to_be_bytes());
        frame.extend(self.id.to_be_bytes());
        frame.extend([self.fragment, 0, self.ttl, 6, 0, 0]);
        frame.extend(self.src.0.octets());
        frame.extend(self.dst.0.octets());
        frame.extend(self.src.1.to_be_bytes());
        frame.extend(self.dst.1.to_be_bytes());
        frame.extend(self.numbers.0.to_be_bytes());
        frame.extend(self.numbers.1.to_be_bytes());
        frame.extend([u8::try_from(header * 4).expect("at most 60 bytes, in words, shifted"), self.flags]);
        frame.extend(self.window.to_be_bytes());
        frame.extend([0, 0]);
        frame.extend(self.urgent.to_be_bytes());
        frame.extend(&self.options);
        frame.extend(&self.payload);
        model::seal(&mut frame);
        frame.extend(&self.padding);
        frame
    }
}

fn segment(random: &mut Random, flows: &BTreeMap<FlowKey, Flow>) -> Segment {
    let known = (!flows.is_empty() && !random.one_in(4)).then(|| random.below(flows.len()));
    let known = known.and_then(|at| flows.iter().nth(at));
    let (macs, src, dst) = match known {
        Some((key, flow)) => {
            let macs = if flow.is_forward() { (CLIENT_MAC, GATEWAY_MAC) } else { (SERVER_MAC, INNER_MAC) };
            let (src, dst) = (key.src.v4_word(), key.dst.v4_word());
            let address = |word: u32| Ipv4Addr::from(word.to_ne_bytes());
            let ports = (u16::from_be(key.src_port), u16::from_be(key.dst_port));
            (macs, (address(src), ports.0), (address(dst), ports.1))
        }
        None => stranger(random),
    };
    Segment {
        macs,
        src,
        dst,
        numbers: numbers(random, known, flows),
        flags: flags(random, known.map(|(_, flow)| flow)),
        ttl: if random.one_in(24) { random.pick(&[0, 1, 2, 255]) } else { 64 },
        tos: if random.one_in(8) { random.byte() } else { 0 },
        id: random.half(),
        fragment: random.pick(&[0x40, 0x40, 0x40, 0, 0x80, 0xc0]),
        window: random.half(),
        urgent: if random.one_in(16) { random.half() } else { 0 },
        options: if random.one_in(4) { words(random) } else { vec![] },
        payload: payload(random),
        padding: if random.one_in(8) { length(random, 20) } else { vec![] },
    }
}

/// Ethernet addresses, and both ends: source first.
type Ends = (([u8; 6], [u8; 6]), (Ipv4Addr, u16), (Ipv4Addr, u16));

/// A client, or somebody who takes himself for a server.
fn stranger(random: &mut Random) -> Ends {
    if random.one_in(8) {
        let server = random.pick(&[R1, R2, R3]);
        let port = random.pick(&[FIRST_PORT, FIRST_PORT + 1, 80]);
        return ((SERVER_MAC, INNER_MAC), (server, 6379), (random.pick(&[SOURCE, VIRTUAL]), port));
    }
    let client = match random.below(16) {
        0 => Ipv4Addr::from(random.word()),
        1 => random.pick(&[VIRTUAL, SOURCE, R1]),
        _ => Ipv4Addr::new(10, 0, 0, random.pick(&[CLIENT.octets()[3], 11, 12])),
    };
    let port = if random.one_in(8) { random.half() } else { 40_000 + random.pick(&[0, 1, 2, 3, 7919]) };
    let address = if random.one_in(32) { Ipv4Addr::from(random.word()) } else { VIRTUAL };
    let mac = [2, 0, 0, 0, 0, random.pick(&[10, 11])];
    ((mac, GATEWAY_MAC), (client, port), (address, random.pick(&SERVICES)))
}

/// What the flow would say next, or something near it, or anything.
fn numbers(
    random: &mut Random,
    known: Option<(&FlowKey, &Flow)>,
    flows: &BTreeMap<FlowKey, Flow>,
) -> (u32, u32) {
    let Some((_, flow)) = known else { return (random.word(), random.word()) };
    let peer = flows.get(&flow.peer_key()).map_or(0, |peer| peer.seq);
    match random.below(8) {
        0 => (random.word(), random.word()),
        1 => (flow.seq.wrapping_add(0x8000_0000).wrapping_sub(random.pick(&[0, 1, 2])), peer),
        2 => (flow.seq.wrapping_sub(u32::from(random.byte())), peer.wrapping_sub(1)),
        3 => (flow.seq.wrapping_add(u32::from(random.byte())), peer),
        _ => (flow.seq, peer),
    }
}

fn flags(random: &mut Random, flow: Option<&Flow>) -> u8 {
    if random.one_in(20) {
        return random.byte();
    }
    match flow {
        None => random.pick(&[SYN, SYN, SYN, SYN, SYN | 0xc0, ACK, SYN | ACK, RST, FIN | ACK]),
        Some(flow) if flow.is_forward() => {
            random.pick(&[ACK, ACK, PSH | ACK, PSH | ACK, SYN, SYN, FIN | ACK, FIN | ACK, RST, RST | ACK])
        }
        Some(_) => random.pick(&[
            SYN | ACK,
            SYN | ACK,
            ACK,
            PSH | ACK,
            PSH | ACK,
            FIN | ACK,
            FIN | ACK,
            RST,
            RST | ACK,
            SYN,
        ]),
    }
}

fn length(random: &mut Random, most: usize) -> Vec<u8> {
    let count = random.below(most + 1);
    random.bytes(count)
}

fn words(random: &mut Random) -> Vec<u8> {
    let count = random.below(11);
    random.bytes(count * 4)
}

fn payload(random: &mut Random) -> Vec<u8> {
    match random.below(16) {
        0 => vec![random.pick(&[0, 0xff]); 1440],
        1 => length(random, 1440),
        2..=5 => length(random, 40),
        _ => vec![],
    }
}

/// Changes a frame without mending its checksums, or gives it another shape with its checksums mended where it has any.
fn damage(random: &mut Random, frame: &mut Vec<u8>) {
    match random.below(10) {
        0 => {
            frame.truncate(14 + random.below(frame.len() - 13));
            if random.one_in(4) {
                frame.splice(12..14, [0x86, 0xdd]);
            }
        }
        // A tag, of a VLAN or of a provider, before what was there.
        1 => {
            let tag = [random.pick(&[0x81, 0x88]), random.pick(&[0x00, 0xa8]), 0, random.byte()];
            frame.splice(12..12, tag);
        }
        2 => {
            let protocol = random.pick(&[[0x86, 0xdd], [0x08, 0x06], [0x00, 0x40]]);
            frame.splice(12..14, protocol);
        }
        3 => frame[23] = random.pick(&[1, 17, 47, 132]),
        4 => frame[20] |= random.pick(&[0x20, 0x01, 0x10]),
        5 => frame[14] = random.pick(&[0x46, 0x4f, 0x44, 0x40, 0x55, 0x65]),
        // Lengths that contradict each other.
        6 => {
            let at = random.pick(&[16, 17, 46]);
            frame[at] = random.byte();
        }
        7 => {
            let check = random.pick(&[0x0000_u16, 0xffff]).to_be_bytes();
            let at = random.pick(&[24, 50]);
            frame.splice(at..at + 2, check);
        }
        _ => {
            for _ in 0..=random.below(3) {
                let reach = if random.one_in(4) { frame.len() } else { 54 };
                let at = random.below(reach);
                frame[at] ^= 1 << random.below(8);
            }
        }
    }
}

/// Bytes, with or without the look of IPv4.
fn noise(random: &mut Random) -> Vec<u8> {
    let count = 14 + random.below(120);
    let mut frame = random.bytes(count);
    if random.one_in(2) {
        frame[12..14].copy_from_slice(&[0x08, 0x00]);
        if let Some(version) = frame.get_mut(14) {
            *version = 0x45;
        }
    }
    frame
}
