//! The way of a packet, from the first byte to the verdict.

use redirector_common::{Counter, Flow, FlowKey, FlowState, Hop, Service, ServiceKey};

use crate::{
    conntrack, icmp,
    nat::{self, Translation},
    packet::{OutOfBounds, Packet},
    parse::{Segment, parse},
    reset,
    select::{self, NoPort},
    tables::{FlowRef, InsertError, Tables},
    verdict::Verdict,
};

/// Decides about a packet and carries it out on its bytes and on the tables. `now` is monotonic, in nanoseconds.
#[inline(always)]
pub fn run<P: Packet, T: Tables>(packet: &mut P, tables: &T, now: u64) -> Verdict {
    let verdict = match parse(packet) {
        Err(reason @ Counter::PassNotTcp) => icmp::run(packet, tables, reason),
        Err(reason) => Verdict::pass(reason),
        Ok(segment) => match live_flow(tables, &segment) {
            Some(flow) => established(packet, tables, &segment, flow, now),
            None => unknown(packet, tables, &segment, now),
        },
    };
    tables.count(verdict.counter);
    verdict
}

/// The packet's flow, unless its connection is over and the client now reuses the port: then it makes room.
#[inline(always)]
fn live_flow<'t, T: Tables>(tables: &'t T, segment: &Segment) -> Option<FlowRef<'t>> {
    let flow = tables.flow(&segment.key)?;
    let reopened =
        segment.flags.opens() && flow.direction() == Flow::FORWARD && FlowState(flow.state()).is_closed();
    if reopened {
        tables.remove_flow(&flow.peer_key());
        tables.remove_flow(&segment.key);
        return None;
    }
    Some(flow)
}

/// A packet of a known flow follows it, unless the flow is fenced.
#[inline(always)]
fn established<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    segment: &Segment,
    flow: FlowRef<'_>,
    now: u64,
) -> Verdict {
    let Some(backend) = tables.backend(flow.backend()) else {
        return Verdict::drop(Counter::DropInternal);
    };
    if backend.fences(flow.epoch()) {
        flow.set_state(flow.state() | FlowState::RESET);
        return reset::refuse(packet, segment, Counter::ResetFenced);
    }
    let (hop, counter) = if flow.direction() == Flow::FORWARD {
        (backend.hop, Counter::ToServer)
    } else {
        (flow.hop(), Counter::ToClient)
    };
    let to = Translation {
        src: flow.src(),
        dst: flow.dst(),
        src_port: flow.src_port(),
        dst_port: flow.dst_port(),
    };
    let verdict = forward(packet, segment, &to, &hop, counter);
    if verdict.counter == counter {
        conntrack::track(tables, flow, segment, now);
        tables.account(flow.backend(), flow.direction(), packet.len() as u64);
    }
    verdict
}

/// A packet of no flow: to a service it may open one, anything else is not ours.
#[inline(always)]
fn unknown<P: Packet, T: Tables>(packet: &mut P, tables: &T, segment: &Segment, now: u64) -> Verdict {
    let Some(service) = tables.service(&ServiceKey::tcp(segment.key.dst, segment.key.dst_port)) else {
        return Verdict::pass(Counter::PassNotOurs);
    };
    if segment.flags.opens() {
        open(packet, tables, segment, service, now).unwrap_or_else(|counter| {
            tables.account_refusal(service.id);
            reset::refuse(packet, segment, counter)
        })
    } else {
        reset::refuse(packet, segment, Counter::ResetNoFlow)
    }
}

/// A SYN to a service: a server is chosen and the flow's two entries are made, or the counter says why not.
#[inline(always)]
fn open<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    segment: &Segment,
    service: &Service,
    now: u64,
) -> Result<Verdict, Counter> {
    if segment.ttl <= 1 {
        return Ok(Verdict::drop(Counter::DropTtl));
    }
    let (id, backend) = select::backend(tables, service).ok_or(Counter::RefusedNoServer)?;
    if backend.hop.ifindex == 0 {
        // The client sends its SYN again; by then the agent knows the neighbour.
        return Ok(Verdict::drop(Counter::DropNoNeighbour));
    }
    let client = segment.key;
    let Ok(back) = client_hop(packet) else {
        return Ok(Verdict::drop(Counter::DropInternal));
    };
    let mut flow = Flow {
        src: client.dst,
        dst: client.src,
        src_port: client.dst_port,
        dst_port: client.src_port,
        backend: id,
        epoch: service.epoch,
        created_ns: now,
        seen_ns: now,
        seq: 0,
        ack: 0,
        hop: back,
        state: 0,
        direction: Flow::REVERSE,
    };
    // Reverse first: the server's answer must find its way as soon as the client's packet can reach the server.
    let port = select::source_port(tables, backend, &client, &flow).map_err(|reason| match reason {
        NoPort::AllTaken => Counter::RefusedNoPort,
        NoPort::TableFull => Counter::RefusedTableFull,
    })?;

    let to = Translation { src: backend.source, dst: backend.addr, src_port: port, dst_port: backend.port };
    flow.src = to.src;
    flow.dst = to.dst;
    flow.src_port = to.src_port;
    flow.dst_port = to.dst_port;
    flow.seq = segment.seq.wrapping_add(segment.length);
    flow.hop = Hop { ifindex: 0, dst_mac: [0; 6], src_mac: [0; 6] };
    flow.direction = Flow::FORWARD;
    match tables.insert_flow(&client, &flow) {
        Ok(()) => {
            tables.count(Counter::FlowCreated);
            tables.account_flow(id);
            tables.account(id, Flow::FORWARD, packet.len() as u64);
            Ok(forward(packet, segment, &to, &backend.hop, Counter::ToServer))
        }
        Err(error) => {
            tables.remove_flow(&FlowKey::tcp(to.dst, to.dst_port, to.src, to.src_port));
            match error {
                // Another processor has opened this very flow from a copy of the SYN; that one is on its way.
                InsertError::Exists => Ok(Verdict::drop(Counter::DropDuplicate)),
                InsertError::Full => Err(Counter::RefusedTableFull),
            }
        }
    }
}

/// Back to where a packet came from.
#[inline(always)]
fn client_hop<P: Packet>(packet: &P) -> Result<Hop, OutOfBounds> {
    Ok(Hop { ifindex: packet.ingress(), dst_mac: packet.read(6)?, src_mac: packet.read(0)? })
}

/// Translates a packet and sends it on.
#[inline(always)]
fn forward<P: Packet>(
    packet: &mut P,
    segment: &Segment,
    to: &Translation,
    hop: &Hop,
    counter: Counter,
) -> Verdict {
    if segment.ttl <= 1 {
        return Verdict::drop(Counter::DropTtl);
    }
    match nat::apply(packet, segment, to, hop) {
        Ok(()) if hop.ifindex != 0 => Verdict::transmit(hop.ifindex, counter),
        Ok(()) => Verdict::drop(Counter::DropNoNeighbour),
        Err(OutOfBounds) => Verdict::drop(Counter::DropInternal),
    }
}
