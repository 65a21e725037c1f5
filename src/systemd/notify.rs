//! Telling the service manager how we are, without socket(2).
//!
//! systemd reads datagrams from the socket named by `NOTIFY_SOCKET` (sd_notify(3)). Its own library
//! makes a socket for each message; we make a socketpair(2) once and send from one end of it to
//! that name, which `RestrictAddressFamilies=none` allows. The kernel adds our credentials.

use std::env;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::IoSlice;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::process;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::sockopt::SendTimeout;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, sendmsg, setsockopt,
    socketpair,
};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::time::{ClockId, clock_gettime};
use sd_notify::NotifyState;
use thiserror::Error;
use tracing::debug;

/// How long a message may wait for room in the service manager's queue, in seconds.
const SEND_SECONDS: i64 = 2;

/// Sends messages to the service manager, or to nobody if there is none.
///
/// A message that cannot be sent is logged and forgotten: the service manager notices silence by
/// itself, and there is nothing better to do.
#[derive(Debug, Default)]
pub struct Notifier {
    target: Option<Target>,
    watchdog: Option<Duration>,
}

#[derive(Debug)]
struct Target {
    address: UnixAddr,
    /// Sends; its other end is kept, since a socketpair of one end refuses to send.
    socket: OwnedFd,
    _other_end: OwnedFd,
}

/// Why there is no way to the service manager although there should be.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum NotifyError {
    /// `NOTIFY_SOCKET` is neither a path nor the name of an abstract Unix socket.
    #[error("NOTIFY_SOCKET={0:?} is not the address of a Unix socket")]
    Address(String),
    /// The pair of sockets cannot be made.
    #[error("cannot make the sending end for NOTIFY_SOCKET: {0}")]
    System(#[from] Errno),
}

impl Notifier {
    /// From `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`; sends nothing if they are not set.
    ///
    /// # Errors
    ///
    /// When `NOTIFY_SOCKET` is set and of no use: the service manager would wait in vain.
    pub fn from_env() -> Result<Self, NotifyError> {
        let Some(name) = env::var_os("NOTIFY_SOCKET") else { return Ok(Self::default()) };
        let text = |variable| env::var(variable).ok();
        let watchdog = watchdog(text("WATCHDOG_USEC"), text("WATCHDOG_PID"), process::id());
        Ok(Self { target: Some(Target::new(&name)?), watchdog })
    }

    /// Sends to the socket of this name, a path or `@` and an abstract name.
    ///
    /// # Errors
    ///
    /// See [`from_env`](Self::from_env).
    pub fn to(name: &OsStr) -> Result<Self, NotifyError> {
        Ok(Self { target: Some(Target::new(name)?), watchdog: None })
    }

    /// How often [`watchdog`](Self::watchdog) must be called, if at all: half of what the service
    /// manager waits before it thinks that we hang.
    pub fn watchdog_interval(&self) -> Option<Duration> {
        self.watchdog.map(|limit| limit / 2)
    }

    /// Start-up is finished, or a reload is.
    pub fn ready(&self, status: &str) {
        self.send(&[NotifyState::Ready, NotifyState::Status(status)], None);
    }

    /// One line for `systemctl status`.
    pub fn status(&self, status: &str) {
        self.send(&[NotifyState::Status(status)], None);
    }

    /// A reload has begun; [`ready`](Self::ready) ends it (`Type=notify-reload`).
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from);
        let micros = now.map_or(0, |now| i128::try_from(now.as_micros()).unwrap_or(0));
        self.send(&[NotifyState::Reloading, NotifyState::MonotonicUsec(micros)], None);
    }

    /// The start, or what else is under way, may take so much longer from now on than the unit
    /// says; microseconds of more than 71 minutes are cut.
    pub fn extend(&self, by: Duration) {
        let micros = u32::try_from(by.as_micros()).unwrap_or(u32::MAX);
        self.send(&[NotifyState::ExtendTimeoutUsec(micros)], None);
    }

    /// We are about to end.
    pub fn stopping(&self) {
        self.send(&[NotifyState::Stopping], None);
    }

    /// We are about to end because of this.
    pub fn failed(&self, errno: Errno, status: &str) {
        let number = u32::try_from(errno as i32).unwrap_or_default();
        self.send(&[NotifyState::Errno(number), NotifyState::Status(status)], None);
    }

    /// We are alive.
    pub fn watchdog(&self) {
        self.send(&[NotifyState::Watchdog], None);
    }

    /// Gives a descriptor to the service manager to keep, under a name, until the next start.
    ///
    /// Names are not unique there, so what is kept under this one is removed first.
    pub fn store(&self, descriptor: BorrowedFd<'_>, name: &str) {
        self.forget(name);
        let name = format!("FDNAME={name}");
        let states = [NotifyState::Custom("FDSTORE=1"), NotifyState::Custom(&name)];
        self.send(&states, Some(descriptor));
    }

    /// Lets the service manager close what it keeps under this name.
    pub fn forget(&self, name: &str) {
        let name = format!("FDNAME={name}");
        self.send(&[NotifyState::Custom("FDSTOREREMOVE=1"), NotifyState::Custom(&name)], None);
    }

    /// Sends one message of any states.
    pub fn send(&self, states: &[NotifyState<'_>], descriptor: Option<BorrowedFd<'_>>) {
        let Some(target) = &self.target else { return };
        let mut message = String::new();
        for state in states {
            // A line break within a state would begin another one.
            let line = state.to_string().replace(['\n', '\r'], " ");
            let _ = writeln!(message, "{line}");
        }
        if let Err(errno) = target.send(message.as_bytes(), descriptor) {
            debug!(%errno, message = message.trim_end(), "service manager not notified");
        }
    }
}

impl Target {
    fn new(name: &OsStr) -> Result<Self, NotifyError> {
        let wrong = || NotifyError::Address(name.to_string_lossy().into_owned());
        let address = match name.as_bytes() {
            [b'@', abstract_name @ ..] if !abstract_name.is_empty() => {
                UnixAddr::new_abstract(abstract_name)
            }
            [b'/', ..] => UnixAddr::new(name),
            _ => return Err(wrong()),
        };
        let address = address.map_err(|_| wrong())?;
        let (socket, other_end) =
            socketpair(AddressFamily::Unix, SockType::Datagram, None, SockFlag::SOCK_CLOEXEC)?;
        // A service manager that does not read must not stop us for longer than this.
        setsockopt(&socket, SendTimeout, &TimeVal::seconds(SEND_SECONDS))?;
        Ok(Self { address, socket, _other_end: other_end })
    }

    fn send(&self, message: &[u8], descriptor: Option<BorrowedFd<'_>>) -> nix::Result<()> {
        let raw: Vec<RawFd> = descriptor.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&raw)];
        let control = if raw.is_empty() { &[][..] } else { &rights[..] };
        let parts = [IoSlice::new(message)];
        loop {
            let flags = MsgFlags::MSG_NOSIGNAL;
            let sent =
                sendmsg(self.socket.as_raw_fd(), &parts, control, flags, Some(&self.address));
            match sent {
                Err(Errno::EINTR) => {}
                other => return other.map(drop),
            }
        }
    }
}

/// How long the service manager waits for a sign of life, if it does.
fn watchdog(usec: Option<String>, pid: Option<String>, own: u32) -> Option<Duration> {
    let for_us = pid.is_none_or(|pid| pid == own.to_string());
    let usec = usec?.parse().ok().filter(|&usec| usec > 0)?;
    for_us.then(|| Duration::from_micros(usec))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test plays the service manager")]
mod tests {
    use std::fs::File;
    use std::io::IoSliceMut;
    use std::os::fd::AsFd;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    use nix::sys::socket::{ControlMessageOwned, recvmsg};

    use super::*;

    fn text(manager: &UnixDatagram) -> String {
        let mut buffer = [0; 512];
        let len = manager.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..len].to_vec()).unwrap()
    }

    #[test]
    fn messages_arrive_at_a_path() {
        let path = env::temp_dir().join(format!("prebound-notify-test-{}", process::id()));
        let manager = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::to(path.as_os_str()).unwrap();
        std::fs::remove_file(&path).err();
        // The name is gone; what follows must not hang or panic.
        notifier.watchdog();

        let manager_path = UnixDatagram::bind(&path).unwrap();
        drop(manager);
        let check = |expected: &str| assert_eq!(text(&manager_path), expected);
        notifier.ready("serving\nMAINPID=1");
        check("READY=1\nSTATUS=serving MAINPID=1\n");
        notifier.status("idle");
        check("STATUS=idle\n");
        notifier.watchdog();
        check("WATCHDOG=1\n");
        notifier.extend(Duration::from_millis(1_500));
        check("EXTEND_TIMEOUT_USEC=1500000\n");
        notifier.stopping();
        check("STOPPING=1\n");
        notifier.failed(Errno::EMFILE, "no descriptors");
        check("ERRNO=24\nSTATUS=no descriptors\n");
        notifier.reloading();
        let reloading = text(&manager_path);
        let usec = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        assert!(usec.trim_end().parse::<u64>().unwrap() > 0, "{reloading}");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_descriptor_is_stored_under_its_name_alone() {
        let name = format!("prebound-notify-test-{}", process::id());
        let manager =
            UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let notifier = Notifier::to(OsStr::new(&format!("@{name}"))).unwrap();

        let memory =
            nix::sys::memfd::memfd_create(c"test", nix::sys::memfd::MFdFlags::empty()).unwrap();
        notifier.store(memory.as_fd(), "cache");
        assert_eq!(text(&manager), "FDSTOREREMOVE=1\nFDNAME=cache\n");
        let mut buffer = [0; 512];
        let mut rights = nix::cmsg_space!([RawFd; 2]);
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let received = recvmsg::<()>(
            manager.as_raw_fd(),
            &mut parts,
            Some(&mut rights),
            MsgFlags::MSG_CMSG_CLOEXEC,
        )
        .unwrap();
        let descriptors: Vec<_> = received
            .cmsgs()
            .unwrap()
            .flat_map(|message| match message {
                ControlMessageOwned::ScmRights(descriptors) => descriptors,
                _ => Vec::new(),
            })
            .collect();
        let len = received.bytes;
        assert_eq!(&buffer[..len], b"FDSTORE=1\nFDNAME=cache\n");
        let [stored] = descriptors[..] else { panic!("one descriptor: {descriptors:?}") };
        let stored = std::fs::metadata(format!("/proc/self/fd/{stored}")).unwrap();
        assert_eq!(stored.ino(), File::from(memory).metadata().unwrap().ino(), "the same file");
    }

    #[test]
    fn without_a_service_manager_nothing_is_sent() {
        let notifier = Notifier::default();
        notifier.ready("serving");
        assert_eq!(notifier.watchdog_interval(), None);
    }

    #[test]
    fn an_address_of_another_kind_is_refused() {
        for name in ["", "relative", "vsock:2:1234", "@"] {
            let error = Notifier::to(OsStr::new(name)).err();
            assert_eq!(error, Some(NotifyError::Address(name.to_owned())), "{name}");
        }
        let long = format!("/{}", "x".repeat(200));
        assert_eq!(Notifier::to(OsStr::new(&long)).err(), Some(NotifyError::Address(long)));
    }

    #[test]
    fn the_watchdog_is_for_the_process_it_names() {
        let own = |text: &str| Some(text.to_owned());
        #[rustfmt::skip]
        let cases = [
            ("ours",        own("10000000"), own("42"), Some(Duration::from_secs(10))),
            ("anybody's",   own("10000000"), None,      Some(Duration::from_secs(10))),
            ("other's",     own("10000000"), own("41"), None),
            ("none",        None,            own("42"), None),
            ("zero",        own("0"),        own("42"), None),
            ("no number",   own("soon"),     own("42"), None),
        ];
        for (case, usec, pid, expected) in cases {
            assert_eq!(watchdog(usec, pid, 42), expected, "{case}");
        }
    }
}
