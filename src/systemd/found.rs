//! What a descriptor is, asked from the kernel and said in words.

use std::fmt;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sys::socket::sockopt::{AcceptConn, GetStruct};
use nix::sys::socket::{SockaddrStorage, getpeername, getsockname, getsockopt};
use nix::sys::stat::{SFlag, fstat};

/// What a passed descriptor turned out to be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Found {
    /// There is no such descriptor.
    Closed,
    /// A file in memory (memfd).
    Memory,
    /// Not a socket; the word for it.
    File(&'static str),
    /// A socket.
    Socket(Socket),
}

/// What a passed socket turned out to be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Socket {
    /// Its family and addresses.
    pub address: Address,
    /// `SO_TYPE`.
    pub kind: Kind,
    /// `SO_ACCEPTCONN`: connections can be accepted from it.
    pub listening: bool,
    /// It has a peer.
    pub connected: bool,
}

/// `SO_DOMAIN`, with what goes with it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Address {
    /// IPv4 or IPv6.
    Internet {
        /// Where it is bound; port 0 if it is not.
        local: SocketAddr,
        /// Whom it is connected to.
        peer: Option<SocketAddr>,
    },
    /// A Unix domain socket; the path if it is bound to one.
    Unix(Option<PathBuf>),
    /// Another family, by number.
    Other(i32),
}

/// `SO_TYPE`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// `SOCK_STREAM`.
    Stream,
    /// `SOCK_DGRAM`.
    Datagram,
    /// `SOCK_SEQPACKET`.
    Seqpacket,
    /// Another type, by number.
    Other(i32),
}

/// `SO_DOMAIN`, which nix does not have.
#[derive(Clone, Copy)]
struct Domain;
nix::getsockopt_impl!(Domain, libc::SOL_SOCKET, libc::SO_DOMAIN, i32, GetStruct<i32>);

/// `SO_TYPE`, also for types nix does not know.
#[derive(Clone, Copy)]
struct Type;
nix::getsockopt_impl!(Type, libc::SOL_SOCKET, libc::SO_TYPE, i32, GetStruct<i32>);

impl Found {
    /// Asks the kernel.
    ///
    /// # Errors
    ///
    /// When it does not say, which it has no reason to.
    pub fn look(descriptor: &OwnedFd) -> nix::Result<Self> {
        let domain = match getsockopt(&descriptor.as_fd(), Domain) {
            Ok(domain) => domain,
            Err(Errno::ENOTSOCK) => return Self::look_at_file(descriptor),
            Err(Errno::EBADF) => return Ok(Self::Closed),
            Err(errno) => return Err(errno),
        };
        let raw = descriptor.as_raw_fd();
        let kind = match getsockopt(&descriptor.as_fd(), Type)? {
            libc::SOCK_STREAM => Kind::Stream,
            libc::SOCK_DGRAM => Kind::Datagram,
            libc::SOCK_SEQPACKET => Kind::Seqpacket,
            other => Kind::Other(other),
        };
        let peer = match getpeername::<SockaddrStorage>(raw) {
            Ok(peer) => Some(peer),
            Err(Errno::ENOTCONN | Errno::EOPNOTSUPP | Errno::EINVAL) => None,
            Err(errno) => return Err(errno),
        };
        let address = match domain {
            libc::AF_INET | libc::AF_INET6 => Address::Internet {
                local: getsockname::<SockaddrStorage>(raw)
                    .map(|a| internet(&a))?
                    .ok_or(Errno::EINVAL)?,
                peer: peer.as_ref().and_then(internet),
            },
            libc::AF_UNIX => {
                let local = getsockname::<SockaddrStorage>(raw)?;
                Address::Unix(local.as_unix_addr().and_then(|unix| unix.path()).map(Into::into))
            }
            other => Address::Other(other),
        };
        Ok(Self::Socket(Socket {
            address,
            kind,
            listening: getsockopt(&descriptor.as_fd(), AcceptConn).unwrap_or(false),
            connected: peer.is_some(),
        }))
    }

    fn look_at_file(descriptor: &OwnedFd) -> nix::Result<Self> {
        let mode = SFlag::from_bits_truncate(fstat(descriptor)?.st_mode) & SFlag::S_IFMT;
        Ok(match mode {
            // Only files in memory can be sealed.
            SFlag::S_IFREG if fcntl(descriptor, FcntlArg::F_GET_SEALS).is_ok() => Self::Memory,
            SFlag::S_IFREG => Self::File("a regular file"),
            SFlag::S_IFDIR => Self::File("a directory"),
            SFlag::S_IFIFO => Self::File("a pipe"),
            SFlag::S_IFCHR => Self::File("a character device"),
            SFlag::S_IFBLK => Self::File("a block device"),
            _ => Self::File("not a socket"),
        })
    }
}

fn internet(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|&v4| SocketAddr::V4(v4.into()));
    v4.or_else(|| address.as_sockaddr_in6().map(|&v6| SocketAddr::V6(v6.into())))
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("not open"),
            Self::Memory => f.write_str("a file in memory"),
            Self::File(what) => f.write_str(what),
            Self::Socket(socket) => socket.fmt(f),
        }
    }
}

impl fmt::Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match (&self.address, self.kind) {
            (Address::Internet { .. }, Kind::Stream) => "TCP socket",
            (Address::Internet { .. }, Kind::Datagram) => "UDP socket",
            (Address::Internet { .. }, _) => "raw IP socket",
            (Address::Unix(_), Kind::Stream) => "Unix stream socket",
            (Address::Unix(_), Kind::Datagram) => "Unix datagram socket",
            (Address::Unix(_), _) => "Unix seqpacket socket",
            (Address::Other(libc::AF_NETLINK), _) => "netlink socket",
            (Address::Other(libc::AF_VSOCK), _) => "VSOCK socket",
            (Address::Other(family), _) => return write!(f, "a socket of family {family}"),
        };
        let listening = if self.listening { "listening " } else { "" };
        write!(f, "a {listening}{what}")?;
        match &self.address {
            Address::Internet { local, peer: Some(peer) } => {
                write!(f, " on {local}, connected to {peer}")
            }
            Address::Internet { local, .. } if local.port() == 0 => f.write_str(", not bound"),
            Address::Internet { local, .. } => write!(f, " on {local}"),
            Address::Unix(Some(path)) => write!(f, " on {}", path.display()),
            Address::Unix(None) if self.connected => f.write_str(", connected"),
            Address::Unix(None) | Address::Other(_) => Ok(()),
        }
    }
}
