//! Opening the sockets that systemd would open.

use std::fs::{self, Permissions};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::socket::sockopt::{
    Ipv4PacketInfo, Ipv6RecvPacketInfo, Ipv6V6Only, RcvBuf, ReuseAddr, ReusePort, SndBuf,
};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, UnixAddr, bind, connect,
    getsockname, listen, setsockopt, socket,
};
use nix::sys::stat::{Mode, umask};

use super::args::Args;
use super::error::LaunchError;
use super::inherited::Inherited;

/// What the socket units ask for: bursts come faster than a worker wakes up. The kernel gives as
/// much as it may without root (`net.core.rmem_max`).
const BUFFER: usize = 4 << 20;
/// Connections that wait to be accepted; the kernel's own limit is lower by default.
const BACKLOG: i32 = 4096;
/// How often another port is drawn when port 0 was asked for and only TCP could have the first.
const PORT_TRIES: usize = 20;

/// Everything that is open, in the order in which it is passed on.
pub(super) struct Listeners {
    /// The sockets with their names for `LISTEN_FDNAMES`.
    pub(super) passed: Vec<(OwnedFd, &'static str)>,
    /// The paths to remove at the end.
    pub(super) control: Vec<ControlPath>,
    dns: Vec<SocketAddr>,
    others: Vec<(&'static str, SocketAddr)>,
    workers: u16,
    inherited: Inherited,
}

impl Listeners {
    /// Opens all sockets of the command line; UDP `workers` times for each address. Those that
    /// were passed to the launcher are taken as they are.
    pub(super) fn open(
        args: &Args,
        workers: u16,
        inherited: Inherited,
    ) -> Result<Self, LaunchError> {
        let mut all = Self {
            passed: Vec::new(),
            control: Vec::new(),
            dns: Vec::new(),
            others: Vec::new(),
            workers,
            inherited,
        };
        for &address in &args.listen {
            all.open_dns(address)?;
        }
        for (name, addresses) in
            [("tls", &args.tls), ("https", &args.https), ("metrics", &args.metrics)]
        {
            for &address in addresses {
                let (socket, address) = all.open_tcp(address)?;
                all.passed.push((socket, name));
                all.others.push((name, address));
            }
        }
        for path in &args.control {
            let (socket, path) = control(path)?;
            all.passed.push((socket, "control"));
            all.control.push(path);
        }
        std::mem::take(&mut all.inherited).finish();
        Ok(all)
    }

    fn open_tcp(&mut self, asked: SocketAddr) -> Result<(OwnedFd, SocketAddr), LaunchError> {
        match self.inherited.stream(asked) {
            Some(socket) => Ok((socket, asked)),
            None => tcp(asked).map_err(|errno| refused(asked, "TCP", errno)),
        }
    }

    /// UDP and TCP on one address, and one port: TCP first, which nobody else can have open at the
    /// same time, so that a second launcher notices the first.
    fn open_dns(&mut self, asked: SocketAddr) -> Result<(), LaunchError> {
        for _ in 0..PORT_TRIES {
            let (stream, address) = self.open_tcp(asked)?;
            let inherited = self.inherited.datagrams(address);
            let datagrams =
                if inherited.is_empty() { udp(address, self.workers) } else { Ok(inherited) };
            match datagrams {
                // The port was drawn for TCP, and somebody has it for UDP.
                Err(Errno::EADDRINUSE) if asked.port() == 0 => continue,
                Err(errno) => return Err(refused(address, "UDP", errno)),
                Ok(datagram) => self.passed.extend(datagram.into_iter().map(|fd| (fd, "dns"))),
            }
            self.passed.push((stream, "dns"));
            self.dns.push(address);
            return Ok(());
        }
        Err(refused(asked, "UDP", Errno::EADDRINUSE))
    }

    /// Where DNS is served over UDP and TCP.
    pub(super) fn dns(&self) -> &[SocketAddr] {
        &self.dns
    }

    /// What is served, in words.
    pub(super) fn lines(&self) -> Vec<String> {
        let each = match self.workers {
            1 => String::new(),
            n => format!(", {n} UDP sockets"),
        };
        let dns = self.dns.iter().map(|at| format!("DNS on {at} (UDP and TCP{each})"));
        let others = self.others.iter().map(|(name, at)| {
            let what = match *name {
                "tls" => "DNS over TLS",
                "https" => "DNS over HTTPS",
                other => other,
            };
            format!("{what} on {at}")
        });
        let control =
            self.control.iter().map(|path| format!("control socket {}", path.0.display()));
        dns.chain(others).chain(control).collect()
    }

    /// A command that asks the first address about `name`.
    pub(super) fn dig(&self, name: &str) -> Option<String> {
        let at = self.dns.first()?;
        let ip = match at.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        Some(format!("dig @{ip} -p {} {name}", at.port()))
    }
}

/// A socket of the family of `address`, not yet bound.
#[expect(clippy::disallowed_methods, reason = "the launcher opens what the daemon is passed")]
fn new(address: SocketAddr, kind: SockType) -> nix::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = socket(family, kind, SockFlag::SOCK_CLOEXEC, None)?;
    if address.is_ipv6() {
        setsockopt(&socket, Ipv6V6Only, &true)?;
    }
    Ok(socket)
}

fn tcp(address: SocketAddr) -> nix::Result<(OwnedFd, SocketAddr)> {
    let socket = new(address, SockType::Stream)?;
    // For a restart while connections of the one before are still closing.
    setsockopt(&socket, ReuseAddr, &true)?;
    bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
    listen(&socket, Backlog::new(BACKLOG)?)?;
    let bound = getsockname::<SockaddrStorage>(socket.as_raw_fd())?;
    let v4 = bound.as_sockaddr_in().map(|&v4| SocketAddr::V4(v4.into()));
    let v6 = bound.as_sockaddr_in6().map(|&v6| SocketAddr::V6(v6.into()));
    Ok((socket, v4.or(v6).unwrap_or(address)))
}

/// `count` sockets on one address, among which the kernel distributes clients.
fn udp(address: SocketAddr, count: u16) -> nix::Result<Vec<OwnedFd>> {
    if count > 1 {
        // Sockets that share a port let those of other programs of the same user join them
        // unnoticed; one that does not share finds them.
        bind(new(address, SockType::Datagram)?.as_raw_fd(), &SockaddrStorage::from(address))?;
    }
    let one = |_| {
        let socket = new(address, SockType::Datagram)?;
        setsockopt(&socket, ReusePort, &(count > 1))?;
        setsockopt(&socket, RcvBuf, &BUFFER)?;
        setsockopt(&socket, SndBuf, &BUFFER)?;
        match address.ip() {
            // So that replies leave from the address that was asked.
            IpAddr::V4(ip) if ip.is_unspecified() => setsockopt(&socket, Ipv4PacketInfo, &true)?,
            IpAddr::V6(ip) if ip.is_unspecified() => {
                setsockopt(&socket, Ipv6RecvPacketInfo, &true)?;
            }
            _ => {}
        }
        bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
        Ok(socket)
    };
    (0..count).map(one).collect()
}

fn refused(address: SocketAddr, transport: &'static str, errno: Errno) -> LaunchError {
    LaunchError::Listen { address, transport, errno }
}

/// The path of a control socket; removed when it goes.
pub(super) struct ControlPath(PathBuf);

impl Drop for ControlPath {
    fn drop(&mut self) {
        // If somebody was faster, all is well.
        let _ = fs::remove_file(&self.0);
    }
}

/// A listening Unix socket for owner and group. One that a dead process left behind is replaced.
fn control(path: &Path) -> Result<(OwnedFd, ControlPath), LaunchError> {
    let failed = |errno| LaunchError::Control { path: path.to_owned(), errno };
    let address = UnixAddr::new(path).map_err(failed)?;
    if is_left_behind(path, &address).map_err(failed)? {
        fs::remove_file(path).map_err(|error| failed(errno_of(&error)))?;
    }
    let socket = unix_stream().map_err(failed)?;
    // Nobody may connect between bind(2) and the change of permissions.
    let before = umask(Mode::from_bits_truncate(0o177));
    let bound = bind(socket.as_raw_fd(), &address);
    umask(before);
    bound.map_err(failed)?;
    let guard = ControlPath(path.to_owned());
    fs::set_permissions(path, Permissions::from_mode(0o660))
        .map_err(|error| failed(errno_of(&error)))?;
    Backlog::new(BACKLOG).and_then(|backlog| listen(&socket, backlog)).map_err(failed)?;
    Ok((socket, guard))
}

#[expect(clippy::disallowed_methods, reason = "the launcher opens what the daemon is passed")]
fn unix_stream() -> nix::Result<OwnedFd> {
    socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)
}

/// Whether there is a socket at `path` that nobody listens on.
fn is_left_behind(path: &Path, address: &UnixAddr) -> nix::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {}
        _ => return Ok(false),
    }
    let refused = connect(unix_stream()?.as_raw_fd(), address);
    Ok(refused == Err(Errno::ECONNREFUSED))
}

fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or_default())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test takes addresses away and connects")]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::unix::net::{UnixListener, UnixStream};

    use clap::Parser;

    use super::*;
    use crate::systemd::claim::{Claimed, Label, Ports};
    use crate::systemd::exit;

    fn open(line: &str, workers: u16) -> Result<Listeners, LaunchError> {
        let args = Args::try_parse_from(line.split_whitespace()).unwrap();
        Listeners::open(&args, workers, Inherited::default())
    }

    #[test]
    fn what_is_opened_is_what_the_daemon_understands() {
        let path = std::env::temp_dir().join(format!("prebound-listen-{}", std::process::id()));
        let line = format!(
            "x --listen 127.0.0.1:0 --listen 127.0.0.2:0 --tls 127.0.0.1:0 --https 127.0.0.1:0 \
             --metrics 127.0.0.1:0 --control {}",
            path.display()
        );
        let listeners = open(&line, 3).unwrap();
        let lines = listeners.lines().join("\n");
        let dns = listeners.dns.clone();
        assert!(
            lines.contains(&format!("DNS on {} (UDP and TCP, 3 UDP sockets)", dns[0])),
            "{lines}"
        );
        let dig = listeners.dig("example.com").unwrap();
        assert_eq!(dig, format!("dig @127.0.0.1 -p {} example.com", dns[0].port()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        UnixStream::connect(&path).unwrap();

        let Listeners { passed, control, .. } = listeners;
        let numbered = (3..)
            .zip(passed)
            .map(|(number, (fd, name))| (Label { number, name: name.to_owned() }, fd));
        let claimed = Claimed::sort(numbered, &Ports::default()).unwrap();
        let at = |list: &[crate::systemd::claim::Listener]| -> Vec<_> {
            list.iter().map(|listener| listener.local).collect()
        };
        assert_eq!(at(&claimed.udp), [dns[0], dns[0], dns[0], dns[1], dns[1], dns[1]]);
        assert_eq!(at(&claimed.tcp), dns);
        assert_eq!((claimed.tls.len(), claimed.https.len(), claimed.http.len()), (1, 1, 1));
        assert_eq!(claimed.control[0].path.as_deref(), Some(&*path));
        TcpStream::connect(dns[1]).unwrap();

        drop(control);
        assert!(!path.exists(), "removed at the end");
    }

    #[test]
    fn an_address_in_use_is_said_with_what_to_do() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = tcp.local_addr().unwrap();
        let error = open(&format!("x --listen {at}"), 1).err().unwrap();
        assert_eq!(error.exit_code(), exit::OSERR);
        let message = error.to_string();
        let expected = format!("cannot listen on {at} (TCP): something else serves there");
        assert!(message.starts_with(&expected) && message.contains("--listen"), "{message}");

        for workers in [1, 2] {
            let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
            let at = udp.local_addr().unwrap();
            let message = open(&format!("x --listen {at}"), workers).err().unwrap().to_string();
            // Unless somebody else has the port for TCP at this moment.
            assert!(message.contains("something else serves there"), "{message}");
        }
    }

    #[test]
    fn another_launcher_s_shared_sockets_are_noticed() {
        let first = open("x --listen 127.0.0.1:0", 2).unwrap();
        let at = first.dns[0];
        assert_eq!(udp(at, 2).unwrap_err(), Errno::EADDRINUSE);
        assert_eq!(udp(at, 1).unwrap_err(), Errno::EADDRINUSE);
    }

    #[test]
    fn other_mistakes_are_said_in_words() {
        let message = open("x --listen 192.0.2.1:5335", 1).err().unwrap().to_string();
        assert!(message.contains("no network interface has this address"), "{message}");
        let at = SocketAddr::from(([127, 0, 0, 1], 53));
        let error = refused(at, "UDP", Errno::EACCES);
        assert_eq!(error.exit_code(), exit::NOPERM);
        let message = error.to_string();
        assert!(message.contains("root") && message.contains("CAP_NET_BIND_SERVICE"), "{message}");
        let nowhere = "x --listen 127.0.0.1:0 --control /nowhere/at/all";
        let message = open(nowhere, 1).err().unwrap().to_string();
        assert!(message.ends_with("the directory does not exist"), "{message}");
    }

    #[test]
    fn a_control_socket_is_replaced_only_if_nobody_serves_it() {
        let path = std::env::temp_dir().join(format!("prebound-control-{}", std::process::id()));
        let alive = UnixListener::bind(&path).unwrap();
        let message = control(&path).err().unwrap().to_string();
        assert!(message.ends_with("something else serves there"), "{message}");
        drop(alive);
        assert!(path.exists(), "left behind");
        let (_socket, guard) = control(&path).unwrap();
        drop(guard);

        fs::write(&path, "a file of somebody").unwrap();
        assert!(control(&path).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "a file of somebody");
        fs::remove_file(&path).unwrap();
    }
}
