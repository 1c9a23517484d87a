//! Choosing a server and a source port for a new flow.

use redirector_common::{Backend, Flow, FlowKey, Service, limits};

use crate::tables::{InsertError, Tables};

/// The backend whose turn it is: the next ticket's slot. `None` when the tables contradict each other.
#[inline(always)]
pub fn backend<'t, T: Tables>(tables: &'t T, service: &Service) -> Option<(u32, &'t Backend)> {
    if service.slots == 0 {
        return None;
    }
    let ticket = tables.ticket(service.id)?;
    let slot = (ticket % u64::from(service.slots)) as u32;
    let id = tables.slot(limits::slot_index(service.id, service.bank, slot))?;
    let backend = tables.backend(id)?;
    (backend.owner == service.id + 1 && !backend.fences(service.epoch)).then_some((id, backend))
}

/// Why no source port could be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPort {
    AllTaken,
    TableFull,
}

/// Inserts the reverse entry of a new flow under the first free source port, and gives that port (big-endian).
///
/// Ports are tried from one that the client's own port leads to, so that a client's consecutive ports do not meet. An
/// entry whose connection is over makes room; a live one never does.
#[inline(always)]
pub fn source_port<T: Tables>(
    tables: &T,
    backend: &Backend,
    client: &FlowKey,
    reverse: &Flow,
) -> Result<u16, NoPort> {
    if backend.ports == 0 {
        return Err(NoPort::AllTaken);
    }
    let ports = u32::from(backend.ports);
    let start = u32::from(u16::from_be(client.src_port)).wrapping_add(mix(client.src.v4_word()));
    let mut probe = 0;
    while probe < limits::PORT_PROBES {
        let offset = start.wrapping_add(probe.wrapping_mul(STRIDE)) % ports;
        let port = (u32::from(backend.first_port) + offset) as u16;
        let key = FlowKey::tcp(backend.addr, backend.port, backend.source, port.to_be());
        match tables.insert_flow(&key, reverse) {
            Ok(()) => return Ok(port.to_be()),
            Err(InsertError::Full) => return Err(NoPort::TableFull),
            Err(InsertError::Exists) => {
                if take_over(tables, &key, reverse) {
                    return Ok(port.to_be());
                }
            }
        }
        probe += 1;
    }
    Err(NoPort::AllTaken)
}

/// A prime, so that the probes of neighbouring ports do not fall into step.
const STRIDE: u32 = 7919;

/// Spreads client addresses over the range (Knuth's multiplicative hash).
#[inline(always)]
const fn mix(word: u32) -> u32 {
    word.wrapping_mul(0x9e37_79b1) >> 16
}

/// Replaces the entry under `key` if its connection is over.
#[inline(always)]
fn take_over<T: Tables>(tables: &T, key: &FlowKey, reverse: &Flow) -> bool {
    let Some(old) = tables.flow(key) else { return false };
    if !redirector_common::FlowState(old.state()).is_closed() {
        return false;
    }
    let peer = old.peer_key();
    tables.remove_flow(&peer);
    tables.remove_flow(key);
    tables.insert_flow(key, reverse).is_ok()
}
