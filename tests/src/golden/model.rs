//! A plain reference of the datapath: what the documents say, written a second time and naively.
//!
//! It shares with the datapath the types of keys and values and nothing else. It parses by hand, keeps its flows in a
//! tree, and computes every checksum from scratch.

mod checksum;

use std::{
    collections::{BTreeMap, HashMap},
    net::Ipv4Addr,
};

use redirector_common::{Backend, Counter, Flow, FlowKey, FlowState, Hop, Service, ServiceKey, limits};

pub use checksum::seal;
use checksum::{SUMS, word};

use super::{
    Class, World,
    frame::{ACK, FIN, RST, SYN, show},
    world::INGRESS,
};

/// Where the IPv4 and the TCP header begin, in the only shape that is translated.
const IP: usize = 14;
const TCP: usize = 34;
/// The shortest frame with both headers.
const SHORTEST: usize = 54;

/// What must become of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub class: Class,
    /// Those that move.
    pub counters: Vec<Counter>,
    /// What leaves; meaningless for what is dropped.
    pub out: Vec<u8>,
    /// The segment was translated, so what was damaged before stays damaged.
    translated: bool,
}

/// The tables, and nobody else who writes to them.
#[derive(Debug, Default)]
pub struct Model {
    flows: BTreeMap<FlowKey, Flow>,
    tickets: HashMap<u32, u64>,
    world: World,
}

/// What a segment says of itself; ports and numbers in host order.
struct Segment {
    key: FlowKey,
    client: (Ipv4Addr, u16),
    service: ServiceKey,
    seq: u32,
    ack: u32,
    length: u32,
    flags: u8,
    ttl: u8,
}

impl Segment {
    fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }

    fn opens(&self) -> bool {
        self.has(SYN) && !self.has(ACK) && !self.has(RST) && !self.has(FIN)
    }

    /// One past its last sequence number.
    fn end(&self) -> u32 {
        self.seq.wrapping_add(self.length)
    }
}

impl Model {
    /// Forgets everything and takes over this world.
    pub fn reset(&mut self, world: &World) {
        *self = Self { world: world.clone(), ..Self::default() };
    }

    /// Changes the world under the flows that are there.
    pub fn update(&mut self, world: &World) {
        self.world.clone_from(world);
    }

    pub const fn flows(&self) -> &BTreeMap<FlowKey, Flow> {
        &self.flows
    }

    pub fn run(&mut self, frame: &[u8]) -> Answer {
        let segment = match parse(frame) {
            Ok(segment) => segment,
            Err(reason) => return pass(frame, reason),
        };
        // A client that reuses the port of a connection that is over.
        if let Some(flow) = self.flows.get(&segment.key).copied()
            && segment.opens()
            && flow.is_forward()
            && flow.state().is_closed()
        {
            self.flows.remove(&turned(&flow));
            self.flows.remove(&segment.key);
        }
        if let Some(flow) = self.flows.get(&segment.key).copied() {
            return self.follow(frame, &segment, &flow);
        }
        let service = self.world.services.iter().find(|(key, _)| *key == segment.service);
        let Some(&(_, service)) = service else { return pass(frame, Counter::PassNotOurs) };
        if segment.opens() {
            self.open(frame, &segment, service)
        } else {
            refuse(frame, &segment, Counter::ResetNoFlow)
        }
    }

    /// A packet of a known flow.
    fn follow(&mut self, frame: &[u8], segment: &Segment, flow: &Flow) -> Answer {
        let backend = self.backend(flow.backend);
        if flow.epoch < backend.fence {
            self.change(&segment.key, |flow| flow.state |= FlowState::RESET);
            return refuse(frame, segment, Counter::ResetFenced);
        }
        if segment.ttl <= 1 {
            return drop(Counter::DropTtl);
        }
        let (hop, counter) =
            if flow.is_forward() { (backend.hop, Counter::ToServer) } else { (flow.hop, Counter::ToClient) };
        if hop.ifindex == 0 {
            return drop(Counter::DropNoNeighbour);
        }
        self.note(segment, flow);
        translate(frame, flow, &hop, vec![counter])
    }

    /// Numbers and state after a segment that was sent on.
    fn note(&mut self, segment: &Segment, flow: &Flow) {
        let mut state = flow.state;
        if segment.has(RST) {
            state |= FlowState::RESET;
        }
        if segment.has(FIN) {
            state |= if flow.is_forward() { FlowState::CLIENT_FIN } else { FlowState::SERVER_FIN };
        }
        if segment.has(SYN | ACK) && !flow.is_forward() {
            state |= FlowState::REPLIED;
        }
        if segment.has(ACK) && flow.is_forward() && flow.state().has(FlowState::REPLIED) {
            state |= FlowState::ESTABLISHED;
        }
        if state != flow.state {
            self.change(&turned(flow), |peer| peer.state = state);
        }
        self.change(&segment.key, |flow| {
            flow.state = state;
            // Ahead by less than half of the number space.
            let ahead = segment.end().wrapping_sub(flow.seq);
            if segment.has(SYN) || (1..0x8000_0000).contains(&ahead) {
                flow.seq = segment.end();
            }
            if segment.has(ACK) {
                flow.ack = segment.ack;
            }
        });
    }

    /// A SYN to a service.
    fn open(&mut self, frame: &[u8], segment: &Segment, service: Service) -> Answer {
        if segment.ttl <= 1 {
            return drop(Counter::DropTtl);
        }
        let Some((id, backend)) = self.choose(service) else {
            return refuse(frame, segment, Counter::RefusedNoServer);
        };
        if backend.hop.ifindex == 0 {
            return drop(Counter::DropNoNeighbour);
        }
        let reverse = Flow {
            src: segment.key.dst,
            src_port: segment.key.dst_port,
            dst: segment.key.src,
            dst_port: segment.key.src_port,
            backend: id,
            epoch: service.epoch,
            hop: Hop { ifindex: INGRESS, dst_mac: mac(frame, 6), src_mac: mac(frame, 0) },
            direction: Flow::REVERSE,
            ..Flow::default()
        };
        let key = match self.take_port(segment, &backend, reverse) {
            Ok(key) => key,
            Err(counter) => return refuse(frame, segment, counter),
        };
        let forward = Flow {
            src: key.dst,
            src_port: key.dst_port,
            dst: key.src,
            dst_port: key.src_port,
            seq: segment.end(),
            direction: Flow::FORWARD,
            hop: Hop::default(),
            ..reverse
        };
        if self.flows.contains_key(&segment.key) {
            self.flows.remove(&key);
            return drop(Counter::DropDuplicate);
        }
        if self.flows.len() >= self.world.capacity {
            self.flows.remove(&key);
            return refuse(frame, segment, Counter::RefusedTableFull);
        }
        self.flows.insert(segment.key, forward);
        translate(frame, &forward, &backend.hop, vec![Counter::ToServer, Counter::FlowCreated])
    }

    /// The server whose turn it is, if it may serve.
    fn choose(&mut self, service: Service) -> Option<(u32, Backend)> {
        let slots = u64::from(service.slots);
        if slots == 0 {
            return None;
        }
        let ticket = self.tickets.entry(service.id).or_default();
        let slot = *ticket % slots;
        *ticket += 1;
        let id = self.world.slots[service.id as usize][usize::try_from(slot).ok()?];
        let backend = self.backend(id);
        let ours = backend.owner == service.id + 1;
        (ours && service.epoch >= backend.fence).then_some((id, backend))
    }

    /// Makes the reverse entry, under the first port that is free or whose connection is over.
    fn take_port(&mut self, segment: &Segment, backend: &Backend, reverse: Flow) -> Result<FlowKey, Counter> {
        if backend.ports == 0 {
            return Err(Counter::RefusedNoPort);
        }
        let (client, port) = segment.client;
        let product = u64::from(u32::from_le_bytes(client.octets())) * 0x9e37_79b1;
        let hash = (product % (1 << 32)) >> 16;
        for probe in 0..u64::from(limits::PORT_PROBES) {
            let offset = (u64::from(port) + hash + probe * 7919) % u64::from(backend.ports);
            let port =
                u16::try_from(u64::from(backend.first_port) + offset).expect("a world with true ports");
            let key = FlowKey::tcp(backend.addr, backend.port, backend.source, port.to_be());
            match self.flows.get(&key).copied() {
                None if self.flows.len() >= self.world.capacity => return Err(Counter::RefusedTableFull),
                None => {}
                Some(old) if old.state().is_closed() => {
                    self.flows.remove(&turned(&old));
                }
                Some(_) => continue,
            }
            self.flows.insert(key, reverse);
            return Ok(key);
        }
        Err(Counter::RefusedNoPort)
    }

    /// An entry that nobody has written is all zeros.
    fn backend(&self, id: u32) -> Backend {
        self.world.backends.get(id as usize).copied().unwrap_or_default()
    }

    fn change(&mut self, key: &FlowKey, change: impl FnOnce(&mut Flow)) {
        if let Some(flow) = self.flows.get_mut(key) {
            change(flow);
        }
    }
}

impl Answer {
    /// Compares with what came out; says what differs.
    ///
    /// A checksum that was right must be right again. One that was wrong must be wrong by the same difference, modulo
    /// 2¹⁶ − 1, which leaves open how it is written.
    pub fn differs(&self, frame: &[u8], class: Class, out: &[u8]) -> Option<String> {
        if class != self.class {
            return Some(format!("the verdict is {class:?}, expected {:?}", self.class));
        }
        if class == Class::Drop {
            return None;
        }
        let mut expected = self.out.clone();
        if self.translated && out.len() == expected.len() {
            for (name, sum, field) in SUMS {
                if sum(frame).check == word(frame, field) {
                    continue;
                }
                if sum(frame).residue != sum(out).residue {
                    return Some(format!("the {name} checksum was wrong, and is now wrong in another way"));
                }
                expected[field..field + 2].copy_from_slice(&out[field..field + 2]);
            }
        }
        (out != expected).then(|| format!("out came\n{}\nexpected was\n{}", show(out), show(&expected)))
    }
}

fn long(bytes: &[u8], at: usize) -> u32 {
    u32::from(word(bytes, at)) << 16 | u32::from(word(bytes, at + 2))
}

fn mac(frame: &[u8], at: usize) -> [u8; 6] {
    std::array::from_fn(|byte| frame[at + byte])
}

/// The other entry's key: the translated tuple, turned round.
fn turned(flow: &Flow) -> FlowKey {
    FlowKey {
        src: flow.dst,
        dst: flow.src,
        src_port: flow.dst_port,
        dst_port: flow.src_port,
        protocol: FlowKey::TCP,
    }
}

fn parse(frame: &[u8]) -> Result<Segment, Counter> {
    if word(frame, 12) != 0x0800 {
        return Err(Counter::PassNotIp);
    }
    let (version, words) = match frame.get(IP) {
        Some(byte) => (byte >> 4, byte & 15),
        None => return Err(Counter::PassTruncated),
    };
    if version == 4 && words > 5 {
        return Err(Counter::PassIpOptions);
    }
    if version != 4 || words != 5 {
        return Err(Counter::PassTruncated);
    }
    match frame.get(IP + 9) {
        Some(6) => {}
        Some(_) => return Err(Counter::PassNotTcp),
        None => return Err(Counter::PassTruncated),
    }
    // More fragments, or not the first.
    if word(frame, IP + 6) & 0x2000 != 0 || word(frame, IP + 6) & 0x1fff != 0 {
        return Err(Counter::PassFragment);
    }
    if frame.len() < SHORTEST {
        return Err(Counter::PassTruncated);
    }
    let total = usize::from(word(frame, IP + 2));
    let header = usize::from(frame[TCP + 12] >> 4) * 4;
    if header < 20 || total < 20 + header || frame.len() < IP + total {
        return Err(Counter::PassTruncated);
    }
    let flags = frame[TCP + 13];
    let address = |at: usize| Ipv4Addr::new(frame[at], frame[at + 1], frame[at + 2], frame[at + 3]);
    let (src, dst) = (address(IP + 12), address(IP + 16));
    let (src_port, dst_port) = (word(frame, TCP), word(frame, TCP + 2));
    let payload = u32::try_from(total - 20 - header).expect("less than 64 KiB");
    Ok(Segment {
        key: FlowKey::tcp(src.into(), src_port.to_be(), dst.into(), dst_port.to_be()),
        client: (src, src_port),
        service: ServiceKey::tcp(dst.into(), dst_port.to_be()),
        seq: long(frame, TCP + 4),
        ack: long(frame, TCP + 8),
        length: payload + u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0),
        flags,
        ttl: frame[IP + 8],
    })
}

fn pass(frame: &[u8], counter: Counter) -> Answer {
    Answer { class: Class::Pass, counters: vec![counter], out: frame.to_vec(), translated: false }
}

fn drop(counter: Counter) -> Answer {
    Answer { class: Class::Drop, counters: vec![counter], out: vec![], translated: false }
}

/// The packet with the addresses of its flow, towards the next hop.
fn translate(frame: &[u8], flow: &Flow, hop: &Hop, counters: Vec<Counter>) -> Answer {
    let mut out = frame.to_vec();
    out[..6].copy_from_slice(&hop.dst_mac);
    out[6..12].copy_from_slice(&hop.src_mac);
    out[IP + 8] -= 1;
    out[IP + 12..IP + 16].copy_from_slice(&flow.src.v4_word().to_ne_bytes());
    out[IP + 16..TCP].copy_from_slice(&flow.dst.v4_word().to_ne_bytes());
    out[TCP..TCP + 2].copy_from_slice(&flow.src_port.to_ne_bytes());
    out[TCP + 2..TCP + 4].copy_from_slice(&flow.dst_port.to_ne_bytes());
    seal(&mut out);
    Answer { class: Class::Transmit, counters, out, translated: true }
}

/// The RST that the sender will believe (RFC 9293 §3.10.7.1); a RST gets none.
fn refuse(frame: &[u8], segment: &Segment, counter: Counter) -> Answer {
    if segment.has(RST) {
        return drop(Counter::DropReset);
    }
    let (seq, ack, flags) =
        if segment.has(ACK) { (segment.ack, 0, RST) } else { (0, segment.end(), RST | ACK) };
    let mut out = Vec::with_capacity(SHORTEST);
    out.extend_from_slice(&frame[6..12]);
    out.extend_from_slice(&frame[..6]);
    out.extend_from_slice(&[0x08, 0, 0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0]);
    out.extend_from_slice(&frame[IP + 16..TCP]);
    out.extend_from_slice(&frame[IP + 12..IP + 16]);
    out.extend_from_slice(&frame[TCP + 2..TCP + 4]);
    out.extend_from_slice(&frame[TCP..TCP + 2]);
    out.extend_from_slice(&seq.to_be_bytes());
    out.extend_from_slice(&ack.to_be_bytes());
    out.extend_from_slice(&[0x50, flags, 0, 0, 0, 0, 0, 0]);
    seal(&mut out);
    Answer { class: Class::Transmit, counters: vec![counter], out, translated: false }
}
