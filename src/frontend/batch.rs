//! Datagrams in batches: one system call receives many and one sends many.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};

use nix::errno::Errno;
use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg,
    sendmmsg, sendmsg,
};

/// Datagrams in one batch.
pub(super) const BATCH: usize = 32;
/// Octets a query may have; longer ones are not queries.
const QUERY: usize = 2048;
/// Octets an answer may have, whatever `max-udp-size` says: larger ones only travel in fragments.
pub(super) const ANSWER: usize = 4096;

/// One received datagram, without its octets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Datagram {
    pub(super) peer: SocketAddr,
    /// The address it was sent to, on a socket bound to all of them.
    pub(super) local: Option<IpAddr>,
    len: usize,
}

/// Buffers for one socket, made once.
pub(super) struct Batch {
    queries: Box<[u8]>,
    answers: Box<[u8]>,
    received: Vec<Datagram>,
    /// Octets of the answer to each received datagram; 0: none.
    lengths: [usize; BATCH],
    incoming: MultiHeaders<SockaddrStorage>,
    outgoing: MultiHeaders<SockaddrStorage>,
    /// Answers must come from the address that was asked.
    echo: bool,
}

/// Space for the addresses of a datagram, and some for options somebody else set.
fn control_space() -> Vec<u8> {
    nix::cmsg_space!(in_pktinfo, in6_pktinfo, [u8; 64])
}

impl Batch {
    /// Buffers for a socket; `echo` when it is bound to all addresses.
    pub(super) fn new(echo: bool) -> Self {
        Self {
            queries: vec![0; BATCH * QUERY].into(),
            answers: vec![0; BATCH * ANSWER].into(),
            received: Vec::with_capacity(BATCH),
            lengths: [0; BATCH],
            incoming: MultiHeaders::preallocate(BATCH, echo.then(control_space)),
            outgoing: MultiHeaders::preallocate(BATCH, None),
            echo,
        }
    }

    /// Receives what is there; how many.
    ///
    /// # Errors
    ///
    /// As recvmmsg(2) has them.
    pub(super) fn receive(&mut self, socket: &impl AsRawFd) -> io::Result<usize> {
        self.received.clear();
        self.lengths = [0; BATCH];
        let mut torn = false;
        {
            let mut chunks = self.queries.chunks_exact_mut(QUERY);
            let mut slices: [[IoSliceMut<'_>; 1]; BATCH] =
                std::array::from_fn(|_| [IoSliceMut::new(chunks.next().unwrap_or_default())]);
            let flags = MsgFlags::MSG_DONTWAIT;
            let messages =
                recvmmsg(socket.as_raw_fd(), &mut self.incoming, slices.iter_mut(), flags, None)?;
            for message in messages {
                let peer = message.address.as_ref().and_then(peer);
                let local = match message.cmsgs() {
                    Ok(mut controls) => controls.find_map(|control| local(&control)),
                    Err(_) => {
                        torn = true;
                        None
                    }
                };
                // A datagram that was cut is no query; one without sender cannot be answered.
                let cut = message.flags.contains(MsgFlags::MSG_TRUNC);
                let len = if cut || peer.is_none() { 0 } else { message.bytes };
                let peer = peer.unwrap_or_else(|| ([0, 0, 0, 0], 0).into());
                self.received.push(Datagram { peer, local, len });
            }
        }
        // The kernel leaves in the headers how much it used; after it needed more than there was
        // they have to be made anew.
        if torn && self.echo {
            self.incoming = MultiHeaders::preallocate(BATCH, Some(control_space()));
        }
        Ok(self.received.len())
    }

    /// A received datagram, its octets, and room for the answer.
    pub(super) fn slot(&mut self, index: usize) -> Option<(Datagram, &[u8], &mut [u8])> {
        let datagram = *self.received.get(index)?;
        let query = self.queries.chunks_exact(QUERY).nth(index)?.get(..datagram.len)?;
        let answer = self.answers.chunks_exact_mut(ANSWER).nth(index)?;
        Some((datagram, query, answer))
    }

    /// The answer to a received datagram is written and has so many octets.
    pub(super) fn answered(&mut self, index: usize, len: usize) {
        if let Some(slot) = self.lengths.get_mut(index) {
            *slot = len.min(ANSWER);
        }
    }

    /// Sends answers from the one after `from` on; where to go on when the socket is full, `None`
    /// when all are sent. Answers that cannot be sent are dropped: the client will ask again.
    pub(super) fn send(&mut self, socket: &impl AsRawFd, from: usize) -> Option<usize> {
        let mut index = from;
        while let Some(first) = (index..self.received.len()).find(|i| self.lengths[*i] > 0) {
            let run = self.run(first);
            match self.send_run(socket.as_raw_fd(), first, run) {
                Ok(0) => index = first + 1,
                Ok(sent) => index = first + sent,
                Err(Errno::EAGAIN) => return Some(first),
                Err(Errno::EINTR) => index = first,
                // The first of the run is at fault (no route, a filter): go on behind it.
                Err(_) => index = first + 1,
            }
        }
        None
    }

    /// How many datagrams from `first` on have answers that go out with one call.
    fn run(&self, first: usize) -> usize {
        let local = self.received[first].local;
        (first..self.received.len())
            .take_while(|i| self.lengths[*i] > 0 && self.received[*i].local == local)
            .count()
    }

    fn send_run(&mut self, socket: RawFd, first: usize, run: usize) -> Result<usize, Errno> {
        let mut answers = self.answers.chunks_exact(ANSWER).zip(self.lengths).skip(first);
        let mut slice = || {
            let (octets, len) = answers.next().unwrap_or((&[], 0));
            octets.get(..len).unwrap_or_default()
        };
        if self.received[first].local.is_some() {
            let Datagram { peer, local, .. } = self.received[first];
            return send_one(socket, slice(), peer, local).map(|()| 1);
        }
        let slices: [[IoSlice<'_>; 1]; BATCH] = std::array::from_fn(|_| [IoSlice::new(slice())]);
        let mut peers = [None; BATCH];
        for (peer, datagram) in peers.iter_mut().zip(&self.received[first..first + run]) {
            *peer = Some(SockaddrStorage::from(datagram.peer));
        }
        let no_controls: [ControlMessage<'_>; 0] = [];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let slices = &slices[..run];
        sendmmsg(socket, &mut self.outgoing, slices, &peers[..run], no_controls, flags)
            .map(Iterator::count)
    }
}

/// Sends one datagram, from the address `local` where the socket has several.
///
/// # Errors
///
/// As sendmsg(2) has them.
pub(super) fn send_one(
    socket: RawFd,
    octets: &[u8],
    peer: SocketAddr,
    local: Option<IpAddr>,
) -> Result<(), Errno> {
    let peer = SockaddrStorage::from(peer);
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    let slices = [IoSlice::new(octets)];
    // The interface is left open, so that routing decides as it does for everything else.
    let (v4, v6);
    let control = match local {
        None => None,
        Some(IpAddr::V4(ip)) => {
            let address = in_addr { s_addr: u32::from_ne_bytes(ip.octets()) };
            v4 = in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: address, ipi_addr: address };
            Some(ControlMessage::Ipv4PacketInfo(&v4))
        }
        Some(IpAddr::V6(ip)) => {
            let address = in6_addr { s6_addr: ip.octets() };
            v6 = in6_pktinfo { ipi6_addr: address, ipi6_ifindex: 0 };
            Some(ControlMessage::Ipv6PacketInfo(&v6))
        }
    };
    sendmsg(socket, &slices, control.as_slice(), flags, Some(&peer)).map(drop)
}

fn peer(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddr::V4((*v4).into()));
    }
    address.as_sockaddr_in6().map(|v6| SocketAddr::V6((*v6).into()))
}

/// The address a datagram was sent to.
fn local(control: &ControlMessageOwned) -> Option<IpAddr> {
    match control {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            Some(IpAddr::from(info.ipi_spec_dst.s_addr.to_ne_bytes()))
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(IpAddr::from(info.ipi6_addr.s6_addr)),
        _ => None,
    }
}
