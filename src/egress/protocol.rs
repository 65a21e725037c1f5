//! What the daemon and the broker say to each other: little frames of fixed size.
//!
//! A message (one datagram of a `SOCK_SEQPACKET` pair) is 1 to [`MAX_BATCH`] frames of one kind,
//! end to end, nothing else. Requests carry no descriptor; a message of replies carries one
//! descriptor, in order, for every reply that says [`Status::Granted`].
//!
//! ```text
//! Hello     magic "PBH1"  zero u32                                              8 bytes
//! Request   magic "PBQ1"  id u64  transport u8  family u8  port u16
//!           address [u8; 16]  scope u32  flags u32 (zero)                      40 bytes
//! Reply     magic "PBR1"  id u64  status u8  zero u8  code u16                 16 bytes
//! ```
//!
//! Numbers are big-endian. The digit of the magic is the version: both programs come from one
//! package, so a peer of another version is refused, not negotiated with. There is one way to be
//! right and one error, [`Garbage`]: whoever receives it stops talking to that peer.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use nix::errno::Errno;
use thiserror::Error;

/// Most frames in one message, and so most descriptors: well below the kernel's `SCM_MAX_FD`
/// (253), and enough for the cost of a hand-over to vanish behind that of the socket.
pub const MAX_BATCH: usize = 64;

/// Longest message either side may send, in bytes.
pub const MAX_MESSAGE: usize = MAX_BATCH * Request::LEN;

/// The peer does not speak our protocol: it is broken, of another version, or hostile.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("malformed message")]
pub struct Garbage;

/// How to reach the destination.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u8)]
pub enum Transport {
    /// One datagram out, one back; a connected UDP socket on a random port.
    Udp = 1,
    /// A TCP socket whose handshake has begun.
    Tcp = 2,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        })
    }
}

/// What goes over the rendezvous together with one end of a new channel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hello;

impl Hello {
    /// Length of the frame in bytes.
    pub const LEN: usize = 8;
    const FRAME: [u8; Self::LEN] = *b"PBH1\0\0\0\0";

    /// The frame to send.
    pub const fn encode(self) -> [u8; Self::LEN] {
        Self::FRAME
    }

    /// Accepts exactly what [`encode`](Self::encode) makes.
    ///
    /// # Errors
    ///
    /// [`Garbage`] for anything else.
    pub fn decode(frame: &[u8]) -> Result<Self, Garbage> {
        if frame == Self::FRAME { Ok(Self) } else { Err(Garbage) }
    }
}

/// One socket, please: connected to `to` over `transport`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Request {
    /// Chosen by the daemon, repeated in the reply, without meaning to the broker.
    pub id: u64,
    /// UDP or TCP.
    pub transport: Transport,
    /// Whom to connect to. An IPv6 flow label is not carried.
    pub to: SocketAddr,
}

impl Request {
    /// Length of the frame in bytes.
    pub const LEN: usize = 40;
    const MAGIC: [u8; 4] = *b"PBQ1";

    /// The frame to send.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let (family, address, scope) = match self.to {
            SocketAddr::V4(to) => {
                let mut address = [0; 16];
                address[..4].copy_from_slice(&to.ip().octets());
                (4, address, 0)
            }
            SocketAddr::V6(to) => (6, to.ip().octets(), to.scope_id()),
        };
        let mut frame = [0; Self::LEN];
        frame[..4].copy_from_slice(&Self::MAGIC);
        frame[4..12].copy_from_slice(&self.id.to_be_bytes());
        frame[12] = self.transport as u8;
        frame[13] = family;
        frame[14..16].copy_from_slice(&self.to.port().to_be_bytes());
        frame[16..32].copy_from_slice(&address);
        frame[32..36].copy_from_slice(&scope.to_be_bytes());
        frame
    }

    /// Reads one frame.
    ///
    /// # Errors
    ///
    /// [`Garbage`] for everything that [`encode`](Self::encode) does not make.
    pub fn decode(frame: &[u8]) -> Result<Self, Garbage> {
        let frame: &[u8; Self::LEN] = frame.try_into().map_err(|_| Garbage)?;
        let (magic, rest) = take::<4>(frame)?;
        let (id, rest) = take::<8>(rest)?;
        let (kind, rest) = take::<2>(rest)?;
        let (port, rest) = take::<2>(rest)?;
        let (address, rest) = take::<16>(rest)?;
        let (scope, flags) = take::<4>(rest)?;
        if magic != Self::MAGIC || flags != [0; 4] {
            return Err(Garbage);
        }
        let transport = match kind[0] {
            1 => Transport::Udp,
            2 => Transport::Tcp,
            _ => return Err(Garbage),
        };
        let port = u16::from_be_bytes(port);
        let scope = u32::from_be_bytes(scope);
        let to = match (kind[1], address) {
            (4, [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]) if scope == 0 => {
                SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), port).into()
            }
            (6, octets) => SocketAddrV6::new(Ipv6Addr::from(octets), port, 0, scope).into(),
            _ => return Err(Garbage),
        };
        Ok(Self { id: u64::from_be_bytes(id), transport, to })
    }

    /// Reads a whole message.
    ///
    /// # Errors
    ///
    /// [`Garbage`] when it is empty, too long, not whole frames, or one of them is malformed.
    pub fn decode_all(message: &[u8]) -> Result<Vec<Self>, Garbage> {
        frames(message, Self::LEN)?.map(Self::decode).collect()
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reply {
    /// The id of the request.
    pub id: u64,
    /// Granted, or why not.
    pub status: Status,
}

/// What became of a request; see [`Reply`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Status {
    /// The next descriptor of the message is the socket.
    Granted,
    /// The kernel said no, for instance `ENETUNREACH`.
    Failed(Errno),
    /// The broker's policy said no, whatever the kernel would have said.
    Refused(Refusal),
    /// Too many sockets were asked for within one second; ask again later.
    RateLimited,
}

/// Why policy forbids a destination.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[repr(u16)]
pub enum Refusal {
    /// Not a DNS port and not a port of the configuration.
    #[error("the port is neither a DNS port nor in the configuration")]
    Port = 1,
    /// `do-not-query-address:`.
    #[error("the address is listed in do-not-query-address")]
    Listed = 2,
    /// `do-not-query-localhost: yes`, the default.
    #[error("the address is this host's own loopback (do-not-query-localhost)")]
    Loopback = 3,
    /// Unspecified, multicast, broadcast or IPv4-mapped: never the address of a name server.
    #[error("the address is not that of one host")]
    NotAHost = 4,
}

impl Reply {
    /// Length of the frame in bytes.
    pub const LEN: usize = 16;
    const MAGIC: [u8; 4] = *b"PBR1";

    /// The frame to send.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let (status, code) = match self.status {
            Status::Granted => (1, 0),
            // Linux's errno values end at 133.
            Status::Failed(errno) => (2, u16::try_from(errno as i32).unwrap_or(u16::MAX)),
            Status::Refused(refusal) => (3, refusal as u16),
            Status::RateLimited => (4, 0),
        };
        let mut frame = [0; Self::LEN];
        frame[..4].copy_from_slice(&Self::MAGIC);
        frame[4..12].copy_from_slice(&self.id.to_be_bytes());
        frame[12] = status;
        frame[14..].copy_from_slice(&code.to_be_bytes());
        frame
    }

    /// Reads one frame.
    ///
    /// # Errors
    ///
    /// [`Garbage`] for everything that [`encode`](Self::encode) does not make.
    pub fn decode(frame: &[u8]) -> Result<Self, Garbage> {
        let frame: &[u8; Self::LEN] = frame.try_into().map_err(|_| Garbage)?;
        let (magic, rest) = take::<4>(frame)?;
        let (id, rest) = take::<8>(rest)?;
        let (status, code) = take::<2>(rest)?;
        let code = u16::from_be_bytes(code.try_into().map_err(|_| Garbage)?);
        if magic != Self::MAGIC {
            return Err(Garbage);
        }
        let status = match (status, code) {
            ([1, 0], 0) => Status::Granted,
            ([2, 0], 1..) => match Errno::from_raw(code.into()) {
                Errno::UnknownErrno => return Err(Garbage),
                errno => Status::Failed(errno),
            },
            ([3, 0], 1) => Status::Refused(Refusal::Port),
            ([3, 0], 2) => Status::Refused(Refusal::Listed),
            ([3, 0], 3) => Status::Refused(Refusal::Loopback),
            ([3, 0], 4) => Status::Refused(Refusal::NotAHost),
            ([4, 0], 0) => Status::RateLimited,
            _ => return Err(Garbage),
        };
        Ok(Self { id: u64::from_be_bytes(id), status })
    }

    /// Reads a whole message.
    ///
    /// # Errors
    ///
    /// [`Garbage`] when it is empty, too long, not whole frames, or one of them is malformed.
    pub fn decode_all(message: &[u8]) -> Result<Vec<Self>, Garbage> {
        frames(message, Self::LEN)?.map(Self::decode).collect()
    }
}

/// Whether `ip` could be the address of one name server, and if not, why.
///
/// A rule of the protocol rather than of an operator's policy: such an address is never asked for
/// by a daemon that works. `0.0.0.0` and `::` would reach this host, and an IPv4-mapped address
/// would pass every rule that is written for IPv4.
///
/// # Errors
///
/// [`Refusal::NotAHost`].
pub fn one_host(ip: IpAddr) -> Result<(), Refusal> {
    let is_one = match ip {
        IpAddr::V4(ip) => !(ip.octets()[0] == 0 || ip.is_multicast() || ip.is_broadcast()),
        IpAddr::V6(ip) => {
            !(ip.is_unspecified() || ip.is_multicast() || ip.to_ipv4_mapped().is_some())
        }
    };
    if is_one { Ok(()) } else { Err(Refusal::NotAHost) }
}

/// Splits a message into frames of `len` bytes.
fn frames(message: &[u8], len: usize) -> Result<std::slice::ChunksExact<'_, u8>, Garbage> {
    let frames = message.chunks_exact(len);
    if (1..=MAX_BATCH).contains(&frames.len()) && frames.remainder().is_empty() {
        Ok(frames)
    } else {
        Err(Garbage)
    }
}

/// Splits `N` bytes off the front.
fn take<const N: usize>(bytes: &[u8]) -> Result<([u8; N], &[u8]), Garbage> {
    bytes.split_first_chunk::<N>().map(|(head, rest)| (*head, rest)).ok_or(Garbage)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(to: &str) -> Request {
        Request { id: 0x0102_0304_0506_0708, transport: Transport::Tcp, to: to.parse().unwrap() }
    }

    #[test]
    fn requests_survive_the_round_trip() {
        for to in ["192.0.2.1:53", "[2001:db8::1]:853", "[fe80::1%3]:53", "0.0.0.0:0", "[::]:0"] {
            for transport in [Transport::Udp, Transport::Tcp] {
                let request = Request { transport, ..request(to) };
                assert_eq!(Request::decode(&request.encode()), Ok(request), "{to}");
            }
        }
    }

    #[test]
    fn request_decode_accepts_only_what_encode_makes() {
        let good = request("192.0.2.1:53").encode();
        #[rustfmt::skip]
        let cases: &[(&str, usize, u8)] = &[
            ("other magic",                0, b'X'),
            ("other version",              3, b'2'),
            ("transport zero",            12, 0),
            ("unknown transport",         12, 3),
            ("unknown family",            13, 5),
            ("IPv4 with more than 4",     31, 1),
            ("IPv4 with a scope",         35, 1),
            ("a flag",                    39, 1),
            ("another flag",              36, 0x80),
        ];
        for &(why, at, byte) in cases {
            let mut frame = good;
            frame[at] = byte;
            assert_eq!(Request::decode(&frame), Err(Garbage), "{why}");
        }
        assert_eq!(Request::decode(&[]), Err(Garbage), "empty");
        assert_eq!(Request::decode(&good[..39]), Err(Garbage), "short");
        assert_eq!(Request::decode(&[&good[..], &[0]].concat()), Err(Garbage), "long");
    }

    #[test]
    fn replies_survive_the_round_trip() {
        for status in [
            Status::Granted,
            Status::Failed(Errno::ENETUNREACH),
            Status::Failed(Errno::EPERM),
            Status::Refused(Refusal::Port),
            Status::Refused(Refusal::Listed),
            Status::Refused(Refusal::Loopback),
            Status::Refused(Refusal::NotAHost),
            Status::RateLimited,
        ] {
            let reply = Reply { id: u64::MAX - 1, status };
            assert_eq!(Reply::decode(&reply.encode()), Ok(reply), "{status:?}");
        }
    }

    #[test]
    fn reply_decode_accepts_only_what_encode_makes() {
        let good = Reply { id: 1, status: Status::Granted }.encode();
        #[rustfmt::skip]
        let cases: &[(&str, &[(usize, u8)])] = &[
            ("other magic",           &[(0, b'X')]),
            ("a request's magic",     &[(2, b'Q')]),
            ("status zero",           &[(12, 0)]),
            ("unknown status",        &[(12, 5)]),
            ("granted with a code",   &[(15, 1)]),
            ("pad not zero",          &[(13, 1)]),
            ("failed without errno",  &[(12, 2)]),
            ("no such errno",         &[(12, 2), (14, 255)]),
            ("refused without why",   &[(12, 3)]),
            ("no such refusal",       &[(12, 3), (15, 5)]),
            ("limited with a code",   &[(12, 4), (15, 1)]),
        ];
        for (why, changes) in cases {
            let mut frame = good;
            for &(at, byte) in *changes {
                frame[at] = byte;
            }
            assert_eq!(Reply::decode(&frame), Err(Garbage), "{why}");
        }
        assert_eq!(Reply::decode(&good[..15]), Err(Garbage), "short");
        assert_eq!(Reply::decode(&[&good[..], &[0]].concat()), Err(Garbage), "long");
    }

    #[test]
    fn a_message_is_1_to_64_whole_frames() {
        let one = request("192.0.2.1:53").encode();
        for (why, message, expected) in [
            ("empty", vec![], Err(Garbage)),
            ("one", one.to_vec(), Ok(1)),
            ("full", one.repeat(MAX_BATCH), Ok(MAX_BATCH)),
            ("too many", one.repeat(MAX_BATCH + 1), Err(Garbage)),
            ("a cut", one.repeat(2)[..79].to_vec(), Err(Garbage)),
            ("one is bad", [&one[..], &[0; Request::LEN]].concat(), Err(Garbage)),
        ] {
            assert_eq!(Request::decode_all(&message).map(|all| all.len()), expected, "{why}");
        }
        assert_eq!(Hello::decode(&Hello.encode()), Ok(Hello));
        assert_eq!(Hello::decode(b"PBH2\0\0\0\0"), Err(Garbage));
    }

    #[test]
    fn only_one_host_can_be_a_name_server() {
        #[rustfmt::skip]
        let cases = [
            ("192.0.2.1",        true),
            ("127.0.0.1",        true), // a matter of policy
            ("2001:db8::1",      true),
            ("::1",              true),
            ("0.0.0.0",          false),
            ("0.1.2.3",          false),
            ("224.0.0.251",      false),
            ("255.255.255.255",  false),
            ("::",               false),
            ("ff02::fb",         false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:192.0.2.1", false),
        ];
        for (ip, expected) in cases {
            assert_eq!(one_host(ip.parse().unwrap()).is_ok(), expected, "{ip}");
        }
    }

    proptest! {
        /// Whatever is read as a request or a reply is, byte for byte, what would be sent for it:
        /// no two frames mean the same, and nothing in a frame is ignored.
        #[test]
        fn what_is_read_is_what_would_be_sent(
            magic in prop_oneof![Just(*b"PBQ1"), Just(*b"PBR1")],
            kind in 0u8..5, family in prop_oneof![Just(0u8), Just(4), Just(6), any::<u8>()],
            mut rest in any::<[u8; 34]>(), used in 0usize..=34,
        ) {
            rest[used..].fill(0);
            let frame = [&magic[..], &rest[..8], &[kind, family], &rest[8..]].concat();
            if let Ok(request) = Request::decode(&frame) {
                prop_assert_eq!(&request.encode()[..], &frame[..]);
            }
            if let Ok(reply) = Reply::decode(&frame[..Reply::LEN]) {
                prop_assert_eq!(&reply.encode()[..], &frame[..Reply::LEN]);
            }
        }
    }
}
