//! Making sockets. The only code of the resolver that calls socket(2), bind(2) and connect(2) on
//! the way out, and it runs in the broker.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::sockopt::{
    IpBindAddressNoPort, IpFreebind, Ipv6V6Only, SetStruct, TcpNoDelay,
};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, setsockopt, socket,
};

use super::policy::{Policy, Rate, Source};
use super::protocol::{Refusal, Request, Status, Transport};
use crate::clock::{Mono, Rng};

/// Ports tried before a request fails because all of them were taken.
const PORT_TRIES: usize = 64;

/// Turns requests into sockets. The seam of the broker: a test's own implementation connects
/// whatever address was asked for to a mock server.
pub trait Dial {
    /// Makes the socket for one request: close-on-exec, non-blocking, connected or connecting.
    ///
    /// # Errors
    ///
    /// Why there is none; the daemon is told.
    fn dial(&mut self, request: &Request, now: Mono, rng: &mut Rng) -> Result<OwnedFd, Denied>;
}

impl<D: Dial + ?Sized> Dial for &mut D {
    fn dial(&mut self, request: &Request, now: Mono, rng: &mut Rng) -> Result<OwnedFd, Denied> {
        (**self).dial(request, now, rng)
    }
}

/// Dials as a function says: for tests and for the lab.
#[derive(Clone, Copy, Debug)]
pub struct By<F>(pub F);

impl<F> Dial for By<F>
where
    F: FnMut(&Request) -> Result<OwnedFd, Denied>,
{
    fn dial(&mut self, request: &Request, _: Mono, _: &mut Rng) -> Result<OwnedFd, Denied> {
        (self.0)(request)
    }
}

/// Why a request gets no socket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Denied {
    /// The kernel said no.
    Failed(Errno),
    /// Policy said no.
    Refused(Refusal),
    /// Too many in too short a time.
    RateLimited,
}

impl From<Errno> for Denied {
    fn from(errno: Errno) -> Self {
        Self::Failed(errno)
    }
}

impl From<Refusal> for Denied {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Denied> for Status {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Failed(errno) => Self::Failed(errno),
            Denied::Refused(refusal) => Self::Refused(refusal),
            Denied::RateLimited => Self::RateLimited,
        }
    }
}

/// Dials the address that was asked for, if policy allows.
#[derive(Debug)]
pub struct Internet {
    policy: Policy,
    rate: Rate,
}

impl Internet {
    /// Follows `policy`.
    pub fn new(policy: Policy, now: Mono) -> Self {
        let rate = Rate::new(policy.rate, now);
        Self { policy, rate }
    }
}

impl Dial for Internet {
    fn dial(&mut self, request: &Request, now: Mono, rng: &mut Rng) -> Result<OwnedFd, Denied> {
        self.policy.check(request.to)?;
        if !self.rate.take(now) {
            return Err(Denied::RateLimited);
        }
        let source = self.policy.draw_source(request.to.ip(), rng);
        match request.transport {
            Transport::Tcp => Ok(open(Transport::Tcp, request.to, source, 0)?),
            Transport::Udp => {
                for _ in 0..PORT_TRIES {
                    let port = self.policy.draw_port(rng).ok_or(Errno::EADDRNOTAVAIL)?;
                    match open(Transport::Udp, request.to, source, port) {
                        Err(Errno::EADDRINUSE) => {}
                        other => return Ok(other?),
                    }
                }
                Err(Errno::EADDRINUSE.into())
            }
        }
    }
}

/// `IP_MTU_DISCOVER` and `IPV6_MTU_DISCOVER`, which nix does not have.
#[derive(Clone, Copy)]
struct MtuDiscover;
nix::setsockopt_impl!(
    MtuDiscover,
    libc::IPPROTO_IP,
    libc::IP_MTU_DISCOVER,
    i32,
    SetStruct<'_, i32>
);
#[derive(Clone, Copy)]
struct MtuDiscover6;
nix::setsockopt_impl!(
    MtuDiscover6,
    libc::IPPROTO_IPV6,
    libc::IPV6_MTU_DISCOVER,
    i32,
    SetStruct<'_, i32>
);

/// Opens a socket to `to`, with no policy at all: connected for UDP, connecting for TCP.
///
/// Port 0 lets the kernel choose.
///
/// # Errors
///
/// The kernel's.
#[expect(clippy::disallowed_methods, reason = "the broker is what makes sockets")]
pub fn open(
    transport: Transport,
    to: SocketAddr,
    source: Source,
    port: u16,
) -> nix::Result<OwnedFd> {
    let family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let kind = match transport {
        Transport::Udp => SockType::Datagram,
        Transport::Tcp => SockType::Stream,
    };
    let socket = socket(family, kind, flags, None)?;
    if to.is_ipv6() {
        setsockopt(&socket, Ipv6V6Only, &true)?;
    }
    if source.foreign {
        setsockopt(&socket, IpFreebind, &true)?;
    }
    match transport {
        Transport::Udp => ignore_path_mtu(&socket, to)?,
        Transport::Tcp => {
            setsockopt(&socket, TcpNoDelay, &true)?;
            // Let connect(2) choose the port: one per destination, not one for all.
            setsockopt(&socket, IpBindAddressNoPort, &true)?;
        }
    }
    if port != 0 || !source.ip.is_unspecified() {
        bind(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(source.ip, port)))?;
    }
    match connect(socket.as_raw_fd(), &SockaddrStorage::from(to)) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(socket),
        Err(errno) => Err(errno),
    }
}

/// No "packet too big" from anybody makes our queries fragments, and none is sent with the bit
/// that invites one: forged ones are how fragments are forced for poisoning.
fn ignore_path_mtu(socket: &OwnedFd, to: SocketAddr) -> nix::Result<()> {
    if to.is_ipv4() {
        setsockopt(socket, MtuDiscover, &libc::IP_PMTUDISC_OMIT)
    } else {
        setsockopt(socket, MtuDiscover6, &libc::IPV6_PMTUDISC_OMIT)
    }
}

/// Opens a socket to `to` from any address and port the kernel likes, for mock servers.
///
/// # Errors
///
/// The kernel's.
pub fn open_plain(transport: Transport, to: SocketAddr) -> nix::Result<OwnedFd> {
    let ip = match to.ip() {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    open(transport, to, Source { ip, foreign: false }, 0)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test plays the server")]
mod tests {
    use std::io::ErrorKind;
    use std::net::{TcpListener, UdpSocket};
    use std::path::Path;

    use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
    use nix::sys::socket::getsockopt;
    use nix::sys::socket::sockopt::GetStruct;
    use rand::SeedableRng;

    use super::*;
    use crate::config::load_text;

    #[derive(Clone, Copy)]
    struct Discovery;
    nix::getsockopt_impl!(Discovery, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, i32, GetStruct<i32>);

    fn internet(port: u16, more: &str) -> Internet {
        let text = format!(
            "server:\n do-not-query-localhost: no\n {more}\n\
             stub-zone:\n name: x\n stub-addr: 127.0.0.1@{port}\n"
        );
        let config = load_text(Path::new("test.conf"), text).unwrap().config;
        Internet::new(Policy::from_config(&config), Mono::ZERO)
    }

    fn dial(
        internet: &mut Internet,
        transport: Transport,
        to: SocketAddr,
    ) -> Result<OwnedFd, Denied> {
        let mut rng = Rng::seed_from_u64(5);
        internet.dial(&Request { id: 0, transport, to }, Mono::ZERO, &mut rng)
    }

    #[test]
    fn a_udp_socket_is_connected_and_ready_to_hand_over() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = server.local_addr().unwrap();
        let mut internet = internet(to.port(), "");
        let socket = dial(&mut internet, Transport::Udp, to).unwrap();

        let flags = OFlag::from_bits_retain(fcntl(&socket, FcntlArg::F_GETFL).unwrap());
        assert!(flags.contains(OFlag::O_NONBLOCK));
        let flags = FdFlag::from_bits_retain(fcntl(&socket, FcntlArg::F_GETFD).unwrap());
        assert!(flags.contains(FdFlag::FD_CLOEXEC));
        assert_eq!(getsockopt(&socket, Discovery), Ok(libc::IP_PMTUDISC_OMIT));

        let socket = UdpSocket::from(socket);
        assert_eq!(socket.peer_addr().unwrap(), to);
        socket.send(b"question").unwrap();
        let mut buffer = [0; 16];
        let (len, from) = server.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..len], from), (&b"question"[..], socket.local_addr().unwrap()));

        // Somebody else who knows the port is not heard.
        let spoofer = UdpSocket::bind("127.0.0.1:0").unwrap();
        spoofer.send_to(b"forged", from).unwrap();
        server.send_to(b"true", from).unwrap();
        socket.set_nonblocking(false).unwrap();
        assert_eq!(socket.recv(&mut buffer).unwrap(), 4);
        assert_eq!(&buffer[..4], b"true");
    }

    #[test]
    fn ports_are_those_permitted_and_taken_ones_are_passed_over() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = server.local_addr().unwrap();
        // Two neighbors that are free at the moment; others may take them meanwhile.
        for _ in 0..20 {
            let taken = UdpSocket::bind("0.0.0.0:0").unwrap();
            let port = taken.local_addr().unwrap().port();
            let Some(next) = port.checked_add(1) else { continue };
            let ports =
                format!("outgoing-port-avoid: 0-65535\n outgoing-port-permit: {port}-{next}");
            let mut internet = internet(to.port(), &ports);
            match dial(&mut internet, Transport::Udp, to) {
                Err(Denied::Failed(Errno::EADDRINUSE)) => continue,
                socket => {
                    let socket = UdpSocket::from(socket.unwrap());
                    assert_eq!(socket.local_addr().unwrap().port(), next);
                    let none_left = dial(&mut internet, Transport::Udp, to).unwrap_err();
                    assert_eq!(none_left, Denied::Failed(Errno::EADDRINUSE));
                    return;
                }
            }
        }
        panic!("no two neighboring ports were free");
    }

    #[test]
    fn a_tcp_socket_is_handed_over_while_it_connects() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = server.local_addr().unwrap();
        let mut internet = internet(to.port(), "outgoing-interface: 127.0.0.2");
        let socket = dial(&mut internet, Transport::Tcp, to).unwrap();
        let (_open, from) = server.accept().unwrap();
        assert_eq!(from.ip().to_string(), "127.0.0.2");
        let socket = std::net::TcpStream::from(socket);
        assert_eq!(socket.local_addr().unwrap(), from);
        assert!(socket.nodelay().unwrap());
        let waits = std::io::Read::read(&mut &socket, &mut [0]).unwrap_err();
        assert_eq!(waits.kind(), ErrorKind::WouldBlock);
    }

    #[test]
    fn what_policy_or_kernel_forbid_is_said() {
        let mut internet = internet(5300, "do-not-query-address: 192.0.2.1");
        let mut denied = |to: &str| dial(&mut internet, Transport::Udp, to.parse().unwrap()).err();
        assert_eq!(denied("127.0.0.1:5301"), Some(Denied::Refused(Refusal::Port)));
        assert_eq!(denied("192.0.2.1:53"), Some(Denied::Refused(Refusal::Listed)));

        let mut policy = Policy::default();
        policy.rate = 1;
        let mut slow = Internet::new(policy, Mono::ZERO);
        let to = "127.0.0.1:53".parse().unwrap();
        assert_eq!(dial(&mut slow, Transport::Udp, to).err(), Some(Refusal::Loopback.into()));
        let to = "192.0.2.1:53".parse().unwrap();
        let _no_route_perhaps = dial(&mut slow, Transport::Udp, to);
        assert_eq!(dial(&mut slow, Transport::Udp, to).err(), Some(Denied::RateLimited));
    }
}
