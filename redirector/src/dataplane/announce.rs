//! Gratuitous ARP: telling the neighbours that an address is here now.

use std::{io, net::Ipv4Addr};

use etherparse::{ArpEthIpv4Packet, ArpOperation, ArpPacket, PacketBuilder};
use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, Socket, Type};

use super::netlink::Interface;

const BROADCAST: [u8; 6] = [0xff; 6];

#[expect(clippy::cast_possible_truncation, reason = "small constants of the platform")]
const FAMILY: libc::sa_family_t = libc::AF_PACKET as libc::sa_family_t;
#[expect(clippy::cast_possible_truncation, reason = "the size of a small struct")]
const LENGTH: libc::socklen_t = size_of::<libc::sockaddr_ll>() as libc::socklen_t;

/// Broadcasts an ARP announcement (RFC 5227 §2.3) for `address` from `interface`.
pub fn announce(interface: &Interface, address: Ipv4Addr) -> io::Result<()> {
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
    socket.send_to(&frame(interface.mac, address)?, &link_layer(interface.index)).map(drop)
}

fn frame(mac: [u8; 6], address: Ipv4Addr) -> io::Result<Vec<u8>> {
    let arp: ArpPacket = ArpEthIpv4Packet {
        operation: ArpOperation::REQUEST,
        sender_mac: mac,
        sender_ipv4: address.octets(),
        target_mac: [0; 6],
        target_ipv4: address.octets(),
    }
    .into();
    let builder = PacketBuilder::ethernet2(mac, BROADCAST).arp(arp);
    let mut bytes = Vec::with_capacity(builder.size());
    builder.write(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

/// `sockaddr_ll` for sending on an interface (packet(7)).
fn link_layer(index: u32) -> SockAddr {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: the storage is large enough for every address family, and zero is a valid `sockaddr_ll`.
    let address: &mut libc::sockaddr_ll = unsafe { storage.view_as() };
    address.sll_family = FAMILY;
    address.sll_ifindex = index.cast_signed();
    address.sll_halen = 6;
    address.sll_addr[..6].copy_from_slice(&BROADCAST);
    // SAFETY: just filled in as a `sockaddr_ll`.
    unsafe { SockAddr::new(storage, LENGTH) }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test may fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_names_the_address_twice() {
        let bytes = frame([2, 0, 0, 0, 0, 1], Ipv4Addr::new(10, 0, 0, 100)).expect("builds");
        assert_eq!(bytes[..6], BROADCAST);
        assert_eq!(bytes[12..14], [0x08, 0x06]);
        assert_eq!(bytes[28..32], [10, 0, 0, 100], "sender");
        assert_eq!(bytes[38..42], [10, 0, 0, 100], "target");
    }
}
