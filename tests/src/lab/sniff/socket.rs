//! A packet socket bound to one interface, with the kernel's time and opinion of each frame
//! (packet(7)).

use std::{
    io::IoSliceMut,
    mem::size_of,
    os::fd::{AsRawFd as _, OwnedFd},
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result};
use nix::{
    cmsg_space,
    errno::Errno,
    net::if_::if_nametoindex,
    sys::{
        socket::{
            AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockType, SockaddrLike as _,
            bind, recvmsg, setsockopt, socket, sockopt,
        },
        time::{TimeSpec, TimeVal},
    },
};

use super::Direction;

/// Room for a burst while we are not scheduled.
const BUFFER_BYTES: usize = 64 << 20;
/// How long [`PacketSocket::receive`] waits, so that its caller can look up.
const PATIENCE: TimeVal = TimeVal::new(0, 20_000);

#[derive(Debug)]
pub(super) struct PacketSocket(OwnedFd);

/// About the frame that is now in the buffer.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) at: SystemTime,
    pub(super) direction: Direction,
    pub(super) length_bytes: usize,
    /// Its checksum was left to the card, or GRO merged it.
    pub(super) checksum_open: bool,
}

impl PacketSocket {
    /// Listens to an interface of the calling thread's network namespace.
    pub(super) fn open(interface: &str) -> Result<Self> {
        let index =
            if_nametoindex(interface).with_context(|| format!("There is no interface {interface}"))?;
        // No protocol yet: the socket would hear every interface until it is bound.
        let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)?;
        setsockopt(&socket, sockopt::RcvBufForce, &BUFFER_BYTES)?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &PATIENCE)?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        set_auxiliary_data(&socket)?;
        bind(socket.as_raw_fd(), &every_protocol(index)?)?;
        Ok(Self(socket))
    }

    /// The next frame into `buffer`; an error when none comes for a while.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> Result<Received, Errno> {
        let mut control = cmsg_space!(TimeSpec, libc::tpacket_auxdata);
        let mut parts = [IoSliceMut::new(buffer)];
        let message =
            recvmsg::<LinkAddr>(self.0.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty())?;
        let mut received = Received {
            at: SystemTime::now(),
            direction: match message.address.map(|address| address.pkttype()) {
                Some(libc::PACKET_OUTGOING) => Direction::Out,
                _ => Direction::In,
            },
            length_bytes: message.bytes,
            checksum_open: false,
        };
        for control in message.cmsgs()? {
            if let ControlMessageOwned::ScmTimestampns(at) = control {
                received.at = SystemTime::UNIX_EPOCH + Duration::from(at);
            } else if let ControlMessageOwned::Unknown(control) = control
                && (control.cmsg_header.cmsg_level, control.cmsg_header.cmsg_type)
                    == (libc::SOL_PACKET, libc::PACKET_AUXDATA)
                && let Some(status) = control.data_bytes.first_chunk()
            {
                // `tp_status` is the first field of `tpacket_auxdata`.
                received.checksum_open = u32::from_ne_bytes(*status) & libc::TP_STATUS_CSUMNOTREADY != 0;
            }
        }
        Ok(received)
    }

    /// Frames that did not fit into the socket's buffer since the last call.
    pub(super) fn take_drops(&self) -> Result<u32> {
        let mut stats = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
        let mut length: libc::socklen_t = size_of_val(&stats).try_into()?;
        // SAFETY: the pointers are to a live value of the given length, of the type that the option
        // fills.
        let result = unsafe {
            libc::getsockopt(
                self.0.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut stats).cast(),
                &raw mut length,
            )
        };
        Errno::result(result)?;
        Ok(stats.tp_drops)
    }
}

/// Asks for `tpacket_auxdata` with each frame.
fn set_auxiliary_data(socket: &OwnedFd) -> Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the pointer is to a live integer of the given length.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_AUXDATA,
            (&raw const on).cast(),
            size_of::<libc::c_int>().try_into()?,
        )
    };
    Errno::result(result)?;
    Ok(())
}

/// The address that binds a packet socket to all frames of an interface.
fn every_protocol(index: u32) -> Result<LinkAddr> {
    let address = libc::sockaddr_ll {
        sll_family: u16::try_from(libc::AF_PACKET)?,
        sll_protocol: u16::try_from(libc::ETH_P_ALL)?.to_be(),
        sll_ifindex: index.try_into()?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let length = size_of_val(&address).try_into()?;
    // SAFETY: the pointer is to a live `sockaddr_ll` of the given length; it is copied.
    unsafe { LinkAddr::from_raw((&raw const address).cast(), Some(length)) }.context("not a link address")
}
