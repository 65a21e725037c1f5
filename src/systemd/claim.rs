//! What each passed descriptor is for.
//!
//! A descriptor is classified by what it *is*; its name only decides where that leaves a choice,
//! so that a socket unit written for another resolver, with everything under one name, works as
//! it is.
//!
//! | what it is | becomes |
//! |---|---|
//! | UDP socket, not connected | DNS over UDP |
//! | listening TCP socket, name `metrics` or `http` | HTTP |
//! | ... name `tls`, or the TLS port | DNS over TLS |
//! | ... name `https`, or the HTTPS port | DNS over HTTPS |
//! | ... else | DNS over TCP |
//! | listening Unix stream socket | control |
//! | connected Unix datagram socket | rendezvous with the broker |
//! | connected Unix seqpacket socket | one channel to the broker |
//! | netlink socket | news of the network |
//! | file in memory, name `cache` | the cache of the process before this one |
//!
//! Anything else is refused, and the message says which descriptor, what it is and what was
//! expected.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::os::fd::{OwnedFd, RawFd};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::libc;
use nix::sys::stat::fstat;
use thiserror::Error;

use super::exit;
use super::found::{Address, Found, Kind, Socket};

/// Everything that was passed to this process, by what it is for.
///
/// All descriptors are non-blocking (the file in memory apart) and close-on-exec.
#[derive(Debug, Default)]
pub struct Claimed {
    /// DNS over UDP. Several on one address (`SO_REUSEPORT`) are meant for as many workers.
    pub udp: Vec<Listener>,
    /// DNS over TCP.
    pub tcp: Vec<Listener>,
    /// DNS over TLS (RFC 7858).
    pub tls: Vec<Listener>,
    /// DNS over HTTPS (RFC 8484).
    pub https: Vec<Listener>,
    /// Metrics and health over HTTP.
    pub http: Vec<Listener>,
    /// Unix sockets that speak the control protocol.
    pub control: Vec<ControlListener>,
    /// Where channels to the broker are opened through; see `egress::client`.
    pub rendezvous: Option<OwnedFd>,
    /// Channels to the broker that are open already, for as many workers.
    pub channels: Vec<OwnedFd>,
    /// The cache of the process before this one; of several the one stored last.
    pub cache: Option<OwnedFd>,
    /// News of links, addresses and routes (netlink(7)).
    pub network: Option<OwnedFd>,
}

/// A passed UDP or listening TCP socket.
#[derive(Debug)]
pub struct Listener {
    /// The socket; `UdpSocket::from` or `TcpListener::from` makes the usual type of it.
    pub socket: OwnedFd,
    /// Where it is bound.
    pub local: SocketAddr,
    /// Its number when it was passed, and its name: for messages.
    pub label: Label,
}

/// A passed listening Unix socket.
#[derive(Debug)]
pub struct ControlListener {
    /// The socket; `UnixListener::from` makes the usual type of it.
    pub socket: OwnedFd,
    /// Where it is bound, unless it has an abstract name.
    pub path: Option<PathBuf>,
    /// Its number when it was passed, and its name: for messages.
    pub label: Label,
}

/// How a passed descriptor is referred to in messages: by number and name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Label {
    /// As passed: 3 is the first.
    pub number: RawFd,
    /// From `LISTEN_FDNAMES`; `unknown` where that is not set.
    pub name: String,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "descriptor {} ({})", self.number, self.name.escape_default())
    }
}

/// Ports that say what a TCP listener speaks, where its name does not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ports {
    /// `tls-port:` and `tls-additional-port:`
    pub tls: Vec<u16>,
    /// `https-port:`
    pub https: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self { tls: vec![853], https: 443 }
    }
}

/// What would have been right.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expected {
    /// Any of the descriptors we know.
    Anything,
    /// A UDP socket without a peer.
    UdpListener,
    /// A listening TCP socket.
    TcpListener,
    /// A listening Unix stream socket.
    ControlListener,
    /// A Unix datagram or seqpacket socket with a peer.
    Broker,
    /// A memfd.
    Cache,
    /// A netlink socket.
    Network,
    /// At the broker's side: where daemons send their channels to, or one such channel.
    Daemon,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Anything => {
                "a UDP socket, a listening TCP socket, a listening Unix stream socket, \
                 a Unix socket connected to the broker, or a file in memory named cache"
            }
            Self::UdpListener => "a UDP socket that is bound and not connected",
            Self::TcpListener => "a listening TCP socket (in a socket unit: Accept=no)",
            Self::ControlListener => "a listening Unix stream socket (in a socket unit: Accept=no)",
            Self::Broker => "a Unix datagram or seqpacket socket that is connected to the broker",
            Self::Cache => "a file in memory (memfd) named cache",
            Self::Network => "a netlink socket (in a socket unit: ListenNetlink=route 1361)",
            Self::Daemon => "a Unix datagram socket (the rendezvous) or a connected seqpacket one",
        })
    }
}

/// Why the descriptors cannot be used. Every message is for the operator who passed them.
#[derive(Debug, Error)]
pub enum ClaimError {
    /// `LISTEN_FDS` is not set, or 0.
    #[error(
        "no descriptors were passed (LISTEN_FDS is not set): start this program by its systemd \
         units or with prebound-launch"
    )]
    NonePassed,
    /// `LISTEN_PID` names another process, or is not set.
    #[error(
        "the descriptors are meant for process {}, and this is process {own}",
        .listen_pid.as_deref().unwrap_or("unknown (LISTEN_PID is not set)")
    )]
    OtherProcess {
        /// What `LISTEN_PID` says.
        listen_pid: Option<String>,
        /// The id of this process.
        own: u32,
    },
    /// A variable is not a number in range.
    #[error("{variable}={value:?} is not a number of descriptors")]
    BadNumber {
        /// Its name.
        variable: &'static str,
        /// Its value.
        value: String,
    },
    /// `LISTEN_FDNAMES` does not match `LISTEN_FDS`.
    #[error("LISTEN_FDNAMES has {names} names for {descriptors} descriptors")]
    Names {
        /// How many names.
        names: usize,
        /// How many descriptors.
        descriptors: usize,
    },
    /// It is not something we have a use for.
    #[error("{label} is {found}; expected {expected}")]
    Refused {
        /// Which one.
        label: Label,
        /// What it is.
        found: Found,
        /// What it should be.
        expected: Expected,
    },
    /// One socket was passed twice, which would answer every query by chance from either.
    #[error("{second} is the same socket as {first}; pass each socket once")]
    Duplicate {
        /// The one passed first.
        first: Label,
        /// The one passed again.
        second: Label,
    },
    /// There can be only one rendezvous.
    #[error("{second} leads to the broker, and so does {first}; pass one rendezvous")]
    SecondRendezvous {
        /// The one passed first.
        first: Label,
        /// The one passed again.
        second: Label,
    },
    /// Nothing to serve clients with.
    #[error("no UDP or TCP socket was passed; if units have changed, restart the socket unit")]
    NoListener,
    /// No way to ask servers.
    #[error(
        "no socket connected to the broker was passed; expected one named egress \
         (in a unit: OpenFile=/run/prebound/egress.sock:egress)"
    )]
    NoBroker,
    /// The kernel refused to say what a descriptor is, or to change its flags.
    #[error("{label}: {errno}")]
    System {
        /// Which one.
        label: Label,
        /// Why.
        errno: Errno,
    },
}

impl ClaimError {
    /// The code to exit with; see [`exit`].
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::System { .. } => exit::OSERR,
            _ => exit::NOFDS,
        }
    }
}

impl Claimed {
    /// Sorts descriptors, in the order they were passed.
    ///
    /// # Errors
    ///
    /// The first descriptor that is of no use, or passed twice.
    pub fn sort(
        passed: impl IntoIterator<Item = (Label, OwnedFd)>,
        ports: &Ports,
    ) -> Result<Self, ClaimError> {
        let mut claimed = Self::default();
        let mut seen = HashMap::new();
        let mut rendezvous = None;
        for (label, descriptor) in passed {
            let system = |errno| ClaimError::System { label: label.clone(), errno };
            let found = Found::look(&descriptor).map_err(system)?;
            let stat = fstat(&descriptor).map_err(system)?;
            if let Some(first) = seen.insert((stat.st_dev, stat.st_ino), label.clone()) {
                return Err(ClaimError::Duplicate { first, second: label });
            }
            let role = Role::of(&label.name, &found, ports).map_err(|expected| {
                ClaimError::Refused { label: label.clone(), found, expected }
            })?;
            if role == Role::Rendezvous
                && let Some(first) = rendezvous.replace(label.clone())
            {
                return Err(ClaimError::SecondRendezvous { first, second: label });
            }
            claimed.put(role, label, descriptor);
        }
        Ok(claimed)
    }

    fn put(&mut self, role: Role, label: Label, socket: OwnedFd) {
        match role {
            Role::Udp(local) => self.udp.push(Listener { socket, local, label }),
            Role::Tcp(local) => self.tcp.push(Listener { socket, local, label }),
            Role::Tls(local) => self.tls.push(Listener { socket, local, label }),
            Role::Https(local) => self.https.push(Listener { socket, local, label }),
            Role::Http(local) => self.http.push(Listener { socket, local, label }),
            Role::Control(path) => self.control.push(ControlListener { socket, path, label }),
            Role::Rendezvous => self.rendezvous = Some(socket),
            Role::Channel => self.channels.push(socket),
            Role::Cache => self.cache = Some(socket),
            Role::Network => self.network = Some(socket),
        }
    }

    /// Whether a resolver can work with this: at least one listener for DNS, and the broker.
    ///
    /// # Errors
    ///
    /// What is missing.
    pub fn complete(self) -> Result<Self, ClaimError> {
        if [&self.udp, &self.tcp, &self.tls, &self.https].iter().all(|list| list.is_empty()) {
            Err(ClaimError::NoListener)
        } else if self.rendezvous.is_none() && self.channels.is_empty() {
            Err(ClaimError::NoBroker)
        } else {
            Ok(self)
        }
    }
}

/// What one descriptor is for.
#[derive(Debug, Eq, PartialEq)]
enum Role {
    Udp(SocketAddr),
    Tcp(SocketAddr),
    Tls(SocketAddr),
    Https(SocketAddr),
    Http(SocketAddr),
    Control(Option<PathBuf>),
    Rendezvous,
    Channel,
    Cache,
    Network,
}

impl Role {
    fn of(name: &str, found: &Found, ports: &Ports) -> Result<Self, Expected> {
        match found {
            Found::Memory if name == "cache" => Ok(Self::Cache),
            Found::Closed | Found::File(_) | Found::Memory => Err(by_name(name)),
            Found::Socket(socket) => Self::of_socket(name, socket, ports),
        }
    }

    fn of_socket(name: &str, socket: &Socket, ports: &Ports) -> Result<Self, Expected> {
        match (&socket.address, socket.kind) {
            (&Address::Internet { local, .. }, Kind::Datagram) => match by_name(name) {
                Expected::Anything | Expected::UdpListener => {
                    let bound = local.port() != 0 && !socket.connected;
                    if bound { Ok(Self::Udp(local)) } else { Err(Expected::UdpListener) }
                }
                expected => Err(expected),
            },
            (&Address::Internet { local, .. }, Kind::Stream) => match by_name(name) {
                Expected::Anything | Expected::TcpListener if socket.listening => {
                    Ok(Self::of_tcp(name, local, ports))
                }
                Expected::Anything => Err(Expected::TcpListener),
                expected => Err(expected),
            },
            (Address::Unix(path), Kind::Stream) => match by_name(name) {
                Expected::Anything | Expected::ControlListener if socket.listening => {
                    Ok(Self::Control(path.clone()))
                }
                Expected::Anything => Err(Expected::ControlListener),
                expected => Err(expected),
            },
            (Address::Unix(_), kind @ (Kind::Datagram | Kind::Seqpacket)) => match by_name(name) {
                Expected::Anything | Expected::Broker if socket.connected => {
                    Ok(if kind == Kind::Datagram { Self::Rendezvous } else { Self::Channel })
                }
                Expected::Anything => Err(Expected::Broker),
                expected => Err(expected),
            },
            (&Address::Other(libc::AF_NETLINK), _) => match by_name(name) {
                Expected::Anything | Expected::Network => Ok(Self::Network),
                expected => Err(expected),
            },
            _ => Err(by_name(name)),
        }
    }

    fn of_tcp(name: &str, local: SocketAddr, ports: &Ports) -> Self {
        match name {
            "metrics" | "http" => Self::Http(local),
            "tls" => Self::Tls(local),
            "https" => Self::Https(local),
            "dns-tcp" => Self::Tcp(local),
            _ if ports.tls.contains(&local.port()) => Self::Tls(local),
            _ if local.port() == ports.https => Self::Https(local),
            _ => Self::Tcp(local),
        }
    }
}

/// What a descriptor of this name must be; any name we have no opinion about may be anything.
pub(super) fn by_name(name: &str) -> Expected {
    match name {
        "dns-udp" => Expected::UdpListener,
        "dns-tcp" | "tls" | "https" | "metrics" | "http" => Expected::TcpListener,
        "control" => Expected::ControlListener,
        "egress" | "rendezvous" => Expected::Broker,
        "cache" => Expected::Cache,
        "network" => Expected::Network,
        _ => Expected::Anything,
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test makes what it passes")]
mod tests {
    use std::fs::File;
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

    use nix::sys::memfd::{MFdFlags, memfd_create};
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket, socketpair};

    use super::*;

    fn udp() -> UdpSocket {
        UdpSocket::bind("127.0.0.1:0").unwrap()
    }

    fn tcp() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").unwrap()
    }

    /// A listening Unix socket without a path that a test would have to clean up.
    fn unix() -> UnixListener {
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::net::SocketAddr;
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("prebound-claim-test-{}-{number}", std::process::id());
        UnixListener::bind_addr(&SocketAddr::from_abstract_name(name).unwrap()).unwrap()
    }

    fn memory() -> OwnedFd {
        memfd_create(c"test", MFdFlags::MFD_ALLOW_SEALING).unwrap()
    }

    fn other(family: AddressFamily, kind: SockType) -> OwnedFd {
        socket(family, kind, SockFlag::empty(), None).unwrap()
    }

    fn seqpacket() -> OwnedFd {
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::empty()).unwrap().0
    }

    type Passed = Vec<(&'static str, OwnedFd)>;

    fn sort(passed: Passed) -> Result<Claimed, ClaimError> {
        let label = |(number, name): (RawFd, &str)| Label { number, name: name.to_owned() };
        let numbered = (3..).zip(passed).map(|(n, (name, fd))| (label((n, name)), fd));
        Claimed::sort(numbered, &Ports::default())
    }

    /// One letter per list, with the number of descriptors in it.
    fn counts(claimed: &Claimed) -> String {
        let Claimed { udp, tcp, tls, https, http, control, rendezvous, channels, cache, .. } =
            claimed;
        [
            ("udp", udp.len()),
            ("tcp", tcp.len()),
            ("tls", tls.len()),
            ("https", https.len()),
            ("http", http.len()),
            ("control", control.len()),
            ("rendezvous", usize::from(rendezvous.is_some())),
            ("channel", channels.len()),
            ("cache", usize::from(cache.is_some())),
        ]
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{name} {count}"))
        .collect::<Vec<_>>()
        .join(", ")
    }

    #[test]
    fn descriptors_are_sorted_by_what_they_are() {
        let pair = || UnixDatagram::pair().unwrap().0;
        #[rustfmt::skip]
        let cases: Vec<(&str, Passed, &str)> = vec![
            ("all under one name, as for unbound.socket",
             vec![("unbound.socket", udp().into()), ("unbound.socket", tcp().into()),
                  ("unbound.socket", unix().into())],
             "udp 1, tcp 1, control 1"),
            ("one name per kind",
             vec![("dns-udp", udp().into()), ("dns-tcp", tcp().into())],
             "udp 1, tcp 1"),
            ("names decide for TCP",
             vec![("tls", tcp().into()), ("https", tcp().into()), ("metrics", tcp().into()),
                  ("http", tcp().into()), ("dns", tcp().into())],
             "tcp 1, tls 1, https 1, http 2"),
            ("both ways to the broker",
             vec![("egress", pair().into()), ("egress", seqpacket()), ("unknown", seqpacket())],
             "rendezvous 1, channel 2"),
            ("after a restart",
             vec![("dns", udp().into()), ("dns", udp().into()), ("cache", memory()),
                  ("egress", pair().into())],
             "udp 2, rendezvous 1, cache 1"),
        ];
        for (case, passed, expected) in cases {
            assert_eq!(counts(&sort(passed).unwrap()), expected, "{case}");
        }
    }

    #[test]
    fn the_port_decides_where_the_name_does_not() {
        let at = |port| SocketAddr::from(([192, 0, 2, 1], port));
        let ports = Ports { tls: vec![8853], ..Ports::default() };
        #[rustfmt::skip]
        let cases = [
            ("dns",     53,   Role::Tcp(at(53))),
            ("dns",     8853, Role::Tls(at(8853))),
            ("dns",     853,  Role::Tcp(at(853))),
            ("dns",     443,  Role::Https(at(443))),
            ("tls",     443,  Role::Tls(at(443))),
            ("metrics", 443,  Role::Http(at(443))),
            ("dns-tcp", 443,  Role::Tcp(at(443))),
        ];
        for (name, port, expected) in cases {
            assert_eq!(Role::of_tcp(name, at(port), &ports), expected, "{name} {port}");
        }
    }

    #[test]
    fn a_refusal_says_number_name_what_it_is_and_what_was_expected() {
        let udp_peer = udp();
        let udp_client = udp();
        udp_client.connect(udp_peer.local_addr().unwrap()).unwrap();
        let server = tcp();
        let tcp_client = TcpStream::connect(server.local_addr().unwrap()).unwrap();
        let client_text = format!(
            "a TCP socket on {}, connected to {}",
            tcp_client.local_addr().unwrap(),
            server.local_addr().unwrap()
        );
        let udp_text = format!(
            "a UDP socket on {}, connected to {}",
            udp_client.local_addr().unwrap(),
            udp_peer.local_addr().unwrap()
        );
        let unbound_tcp = other(AddressFamily::Inet, SockType::Stream);
        let idle_udp = other(AddressFamily::Inet6, SockType::Datagram);
        let netlink = other(AddressFamily::Netlink, SockType::Raw);
        let lone = other(AddressFamily::Unix, SockType::Datagram);
        let udp_at = udp();
        let udp_at_text = format!("a UDP socket on {}", udp_at.local_addr().unwrap());

        #[rustfmt::skip]
        let cases: Vec<(&str, OwnedFd, String, Expected)> = vec![
            ("dns",     udp_client.into(),  udp_text,                              Expected::UdpListener),
            ("dns",     tcp_client.into(),  client_text,                           Expected::TcpListener),
            ("dns",     idle_udp,           "a UDP socket, not bound".into(),      Expected::UdpListener),
            ("dns",     unbound_tcp,        "a TCP socket, not bound".into(),      Expected::TcpListener),
            ("egress",  udp_at.into(),      udp_at_text,                           Expected::Broker),
            ("egress",  lone,               "a Unix datagram socket".into(),       Expected::Broker),
            ("dns-udp", unix().into(),      "a listening Unix stream socket".into(), Expected::UdpListener),
            ("control", UnixStream::pair().unwrap().0.into(),
                                            "a Unix stream socket, connected".into(), Expected::ControlListener),
            ("cache",   File::open("/dev/null").unwrap().into(),
                                            "a character device".into(),           Expected::Cache),
            ("cache",   File::open("/proc/self/exe").unwrap().into(),
                                            "a regular file".into(),               Expected::Cache),
            ("dns",     memory(),           "a file in memory".into(),             Expected::Anything),
            ("dns",     nix::unistd::pipe().unwrap().0,
                                            "a pipe".into(),                       Expected::Anything),
            ("control", netlink,            "a netlink socket".into(),             Expected::ControlListener),
        ];
        for (name, descriptor, found, expected) in cases {
            let error = sort(vec![("dns", udp().into()), (name, descriptor)]).unwrap_err();
            let message = format!("descriptor 4 ({name}) is {found}; expected {expected}");
            assert_eq!(error.to_string(), message);
            assert_eq!(error.exit_code(), exit::NOFDS);
        }
    }

    #[test]
    fn one_socket_passed_twice_is_refused() {
        let socket = udp();
        let again = socket.try_clone().unwrap();
        let error = sort(vec![("a", socket.into()), ("b", again.into())]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "descriptor 4 (b) is the same socket as descriptor 3 (a); pass each socket once"
        );

        let pair = || OwnedFd::from(UnixDatagram::pair().unwrap().0);
        let passed = vec![("egress", pair()), ("dns", udp().into()), ("x", pair())];
        assert_eq!(
            sort(passed).unwrap_err().to_string(),
            "descriptor 5 (x) leads to the broker, and so does descriptor 3 (egress); \
             pass one rendezvous"
        );
    }

    #[test]
    fn a_resolver_needs_clients_and_a_broker() {
        let pair = || OwnedFd::from(UnixDatagram::pair().unwrap().0);
        let complete = |passed| sort(passed).unwrap().complete().map(|_| ());
        assert!(matches!(complete(vec![("dns", udp().into())]), Err(ClaimError::NoBroker)));
        assert!(matches!(complete(vec![("egress", pair())]), Err(ClaimError::NoListener)));
        assert!(complete(vec![("dns", tcp().into()), ("egress", pair())]).is_ok());
        assert!(complete(vec![("dns", udp().into()), ("egress", seqpacket())]).is_ok());
        let news = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, None);
        assert!(sort(vec![("x", news.unwrap())]).unwrap().network.is_some());
    }
}
