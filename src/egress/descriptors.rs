//! Messages that carry descriptors (`SCM_RIGHTS`), over sockets one already has.
//!
//! Sending is nix's safe wrapper. Receiving is our own: nix hands out no descriptor at all when
//! the kernel had to drop some of them (`MSG_CTRUNC`), which would leak the others exactly when
//! descriptors are scarce.

use std::io::{self, IoSlice};
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::sockopt::{AcceptConn, SockType as TypeOf};
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, getsockopt, sendmsg, socketpair,
};
use tokio::io::unix::AsyncFd;

/// Bytes of the most descriptors the kernel puts into one message (`SCM_MAX_FD`).
const RIGHTS_LEN: u32 = 253 * 4;

/// Room for the control message of all those descriptors, aligned as the kernel wants it.
///
/// Always offered in full, so that a peer that sends more than it should cannot make the kernel
/// drop what belongs to others: what is received is closed here.
#[repr(C, align(8))]
struct Control([u8; CONTROL_LEN]);

// SAFETY: CMSG_SPACE only computes; it has no requirements.
const CONTROL_LEN: usize = unsafe { libc::CMSG_SPACE(RIGHTS_LEN) } as usize;

/// What one call to [`receive`] took from the socket.
#[derive(Debug, Default)]
pub struct Received {
    /// Bytes of the message that are in the caller's buffer; 0 at the end of the connection.
    pub len: usize,
    /// The descriptors that came along, close-on-exec, in order.
    pub descriptors: Vec<OwnedFd>,
    /// The message was longer than the buffer; the rest is lost.
    pub cut: bool,
    /// The kernel dropped descriptors, since this process has no room for more of them.
    pub descriptors_lost: bool,
}

/// Sends `message` with `descriptors` as one datagram, without waiting and without `SIGPIPE`.
///
/// # Errors
///
/// `EAGAIN` when the peer's queue is full, `EPIPE`, `ECONNRESET` or `ECONNREFUSED` when there is
/// no peer, `ETOOMANYREFS` when too many descriptors are under way.
pub fn send(socket: BorrowedFd<'_>, message: &[u8], descriptors: &[OwnedFd]) -> nix::Result<()> {
    let raw: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control = if raw.is_empty() { &[][..] } else { &rights[..] };
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    let parts = [IoSlice::new(message)];
    loop {
        match sendmsg::<()>(socket.as_raw_fd(), &parts, control, flags, None) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Receives one datagram and its descriptors, without waiting.
///
/// # Errors
///
/// `EAGAIN` when there is none; `ECONNRESET` once when the peer went away with unread messages of
/// ours, after which what *it* had sent can still be received.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> nix::Result<Received> {
    let mut control = Control([0; CONTROL_LEN]);
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: msghdr is a C struct of integers and pointers, for which zero is a value.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = CONTROL_LEN as _;
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    let len = loop {
        // SAFETY: `header` points to one iovec over `buffer` and to `control`, all of which live
        // and are not otherwise used until the call returns.
        let len = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, flags) };
        match Errno::result(len) {
            Ok(len) => break usize::try_from(len).unwrap_or(0),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    };
    Ok(Received {
        len,
        descriptors: rights(&header),
        cut: header.msg_flags & libc::MSG_TRUNC != 0,
        descriptors_lost: header.msg_flags & libc::MSG_CTRUNC != 0,
    })
}

/// Takes ownership of the descriptors in the control messages that `recvmsg` has just written.
#[allow(clippy::unnecessary_cast, reason = "the type of cmsg_len depends on the C library")]
fn rights(header: &libc::msghdr) -> Vec<OwnedFd> {
    let mut descriptors = Vec::new();
    // SAFETY: `header` is as the kernel left it: `msg_control` points to `msg_controllen` bytes
    // of well-formed, aligned control messages, which the CMSG macros walk without leaving them.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(header) };
    // SAFETY: as above; `message` is null at the end.
    while let Some(head) = unsafe { message.as_ref() } {
        if head.cmsg_level == libc::SOL_SOCKET && head.cmsg_type == libc::SCM_RIGHTS {
            // SAFETY: computes, and points into the message at hand.
            let (data, overhead) = unsafe { (libc::CMSG_DATA(message), libc::CMSG_LEN(0)) };
            let bytes = (head.cmsg_len as usize).saturating_sub(overhead as usize);
            for i in 0..bytes / size_of::<RawFd>() {
                // SAFETY: `i` is within the message's data, which need not be aligned.
                let raw = unsafe { data.cast::<RawFd>().add(i).read_unaligned() };
                // SAFETY: the kernel has just made this descriptor for us, and nobody else
                // knows its number.
                descriptors.push(unsafe { OwnedFd::from_raw_fd(raw) });
            }
        }
        // SAFETY: as above.
        message = unsafe { libc::CMSG_NXTHDR(header, message) };
    }
    descriptors
}

/// Makes both ends of a channel: connected, non-blocking, message boundaries kept.
///
/// # Errors
///
/// `EMFILE` or `ENFILE` when there is no room for more descriptors.
pub fn channel() -> nix::Result<(OwnedFd, OwnedFd)> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)
}

/// Registers a non-blocking descriptor with the running tokio runtime.
///
/// # Errors
///
/// When the kernel cannot watch it. Panics outside a runtime that drives I/O.
pub fn watch(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open and stays the same until it is dropped, which `AsyncFd` does
    // only after deregistering it.
    Ok(unsafe { AsyncFd::register(descriptor) }?)
}

/// Whether `descriptor` is one end of something like [`channel`].
pub fn is_channel(descriptor: &OwnedFd) -> bool {
    getsockopt(&descriptor.as_fd(), TypeOf) == Ok(SockType::SeqPacket)
        && getsockopt(&descriptor.as_fd(), AcceptConn) == Ok(false)
        && nix::sys::socket::getpeername::<nix::sys::socket::UnixAddr>(descriptor.as_raw_fd())
            .is_ok()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;

    use nix::unistd::pipe;

    use super::*;

    #[test]
    fn descriptors_arrive_in_order_and_close_on_exec() {
        let (ours, theirs) = channel().unwrap();
        let (reader, writer) = pipe().unwrap();
        send(ours.as_fd(), b"two", &[reader, writer]).unwrap();

        let mut buffer = [0; 16];
        let mut received = receive(theirs.as_fd(), &mut buffer).unwrap();
        assert_eq!(&buffer[..received.len], b"two");
        assert!(!received.cut && !received.descriptors_lost);
        for fd in &received.descriptors {
            let flags = nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_GETFD).unwrap();
            assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
        }

        let writer = received.descriptors.pop().unwrap();
        let reader = received.descriptors.pop().unwrap();
        nix::unistd::write(&writer, b"through").unwrap();
        drop(writer);
        let mut text = String::new();
        File::from(reader).read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
    }

    #[test]
    fn the_ends_of_a_channel_notice() {
        let (ours, theirs) = channel().unwrap();
        let mut buffer = [0; 4];
        assert_eq!(receive(ours.as_fd(), &mut buffer).unwrap_err(), Errno::EAGAIN);

        send(theirs.as_fd(), b"too long", &[]).unwrap();
        assert!(receive(ours.as_fd(), &mut buffer).unwrap().cut);

        send(theirs.as_fd(), b"last", &[]).unwrap();
        send(ours.as_fd(), b"lost", &[]).unwrap();
        drop(theirs);
        assert_eq!(receive(ours.as_fd(), &mut buffer).unwrap_err(), Errno::ECONNRESET);
        assert_eq!(receive(ours.as_fd(), &mut buffer).unwrap().len, 4, "sent before the end");
        assert_eq!(receive(ours.as_fd(), &mut buffer).unwrap().len, 0, "the end");
        assert_eq!(send(ours.as_fd(), b"more", &[]).unwrap_err(), Errno::EPIPE);
    }

    #[test]
    fn only_a_connected_seqpacket_is_a_channel() {
        let datagrams = std::os::unix::net::UnixDatagram::pair().unwrap().0;
        let streams = std::os::unix::net::UnixStream::pair().unwrap().0;
        let (alone, _) = channel().unwrap();
        assert!(is_channel(&channel().unwrap().0), "peer closed, but it had one: EOF says so");
        assert!(is_channel(&alone));
        assert!(!is_channel(&datagrams.into()));
        assert!(!is_channel(&streams.into()));
        assert!(!is_channel(&pipe().unwrap().0));
    }
}
