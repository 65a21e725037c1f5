//! What a process in the sandbox can no longer do, and what it still can; each tried by a process
//! of its own, since some of it is deadly.
//!
//! Without the harness: the process must have one thread when it enters.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says what it expects")]
#![expect(clippy::disallowed_methods, reason = "a test tries what is forbidden")]

mod common;

use std::fs::{self, OpenOptions};
use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::{env, thread};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::{prctl, socket, wait};
use nix::unistd::{ForkResult, Pid};
use prebound::sandbox::{Files, Layer, Program, Sandbox};
use prebound::state;

use common::Scratch;

/// What a process tries, and where it may.
const TRIES: &str = "PREBOUND_TEST_TRIES";
const WHERE: &str = "PREBOUND_TEST_WHERE";

/// How a try ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Works,
    Fails(Errno),
    Killed,
}
use End::*;

/// What is tried, by whom, with somewhere to write to or not, and how it ends.
#[rustfmt::skip]
const CASES: &[(&str, Program, bool, End)] = &[
    // Sockets
    ("udp socket",          Program::Daemon, false, Killed),
    ("tcp listener",        Program::Daemon, false, Killed),
    ("unix socket",         Program::Daemon, false, Killed),
    ("socket in a thread",  Program::Daemon, false, Killed),
    ("connect",             Program::Daemon, false, Killed),
    ("listen",              Program::Daemon, false, Killed),
    ("unix pair",           Program::Daemon, false, Works),
    ("send on a passed one", Program::Daemon, false, Works),
    // Programs and processes
    ("exec",                Program::Daemon, false, Killed),
    ("fork",                Program::Daemon, false, Fails(Errno::EPERM)),
    ("signal another",      Program::Daemon, false, Fails(Errno::EPERM)),
    ("become dumpable",     Program::Daemon, false, Fails(Errno::EPERM)),
    ("thread",              Program::Daemon, false, Works),
    ("panic",               Program::Daemon, false, Works),
    // Files
    ("read inside",         Program::Daemon, false, Works),
    ("list inside",         Program::Daemon, false, Works),
    ("read outside",        Program::Daemon, false, Fails(Errno::EACCES)),
    ("write inside",        Program::Daemon, false, Fails(Errno::EPERM)),
    ("write state",         Program::Daemon, true,  Works),
    ("write inside",        Program::Daemon, true,  Fails(Errno::EACCES)),
    ("replace inside",      Program::Daemon, true,  Fails(Errno::EACCES)),
    ("replace inside",      Program::Daemon, false, Fails(Errno::EPERM)),
    ("udp socket",          Program::Daemon, true,  Killed),
    // The broker
    ("udp socket",          Program::Broker, false, Works),
    ("connect",             Program::Broker, false, Works),
    ("listen",              Program::Broker, false, Killed),
    ("exec",                Program::Broker, false, Killed),
];

fn main() {
    if let (Ok(try_), Some(place)) = (env::var(TRIES), env::var_os(WHERE)) {
        child(&try_, Path::new(&place));
        return;
    }
    let scratch = Scratch::new("sandbox");
    for &(what, program, writes, expected) in CASES {
        for place in ["inside", "outside", "state"] {
            fs::create_dir_all(scratch.0.join(place)).unwrap();
            scratch.write(&format!("{place}/file"), "text");
        }
        let mut command = Command::new(env::current_exe().unwrap());
        command.env(TRIES, format!("{program:?}/{writes}/{what}")).env(WHERE, &scratch.0);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let without_landlock = said.contains("sandbox has a gap: Landlock");
        if without_landlock && expected == Fails(Errno::EACCES) {
            println!("sandbox: {what}: not tried, this kernel has no Landlock");
            continue;
        }
        let end = end(output.status);
        assert_eq!(end, Some(expected), "{what}, {program:?}, {writes}: {}\n{said}", output.status);
    }
    println!("sandbox: {} tries ok", CASES.len());
}

/// How it ended, by the status; see [`child`].
fn end(status: ExitStatus) -> Option<End> {
    match (status.code(), status.signal()) {
        (Some(0), _) => Some(Works),
        (Some(code), _) => Some(Fails(Errno::from_raw(code))),
        (_, Some(signal)) => (signal == Signal::SIGSYS as i32).then_some(Killed),
        _ => None,
    }
}

/// Tries it and ends with the error number.
fn child(try_: &str, place: &Path) {
    let mut words = try_.splitn(3, '/');
    let mut word = || words.next().unwrap();
    let program = if word() == "Daemon" { Program::Daemon } else { Program::Broker };
    let write = if word() == "true" { vec![place.join("state")] } else { vec![] };
    let what = word();
    let before = Before::new();
    let files = Files { read: vec![place.join("inside"), place.join("none")], write };
    let sandbox = Sandbox::enter(program, &files);
    for (layer, gap) in sandbox.gaps() {
        eprintln!("sandbox has a gap: {layer}: {gap}");
    }
    assert!(sandbox.active().contains(&Layer::Seccomp), "{sandbox}");
    let code = match before.tries(what, place) {
        Ok(()) => 0,
        Err(error) => error.raw_os_error().unwrap_or(255),
    };
    std::process::exit(code);
}

/// What was there before the sandbox.
struct Before {
    udp: UdpSocket,
    stream: std::os::fd::OwnedFd,
    current: PathBuf,
}

impl Before {
    fn new() -> Self {
        use socket::{AddressFamily, SockFlag, SockType};
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let stream =
            socket::socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None);
        Self { udp, stream: stream.unwrap(), current: env::current_exe().unwrap() }
    }

    fn tries(&self, what: &str, place: &Path) -> io::Result<()> {
        match what {
            "udp socket" => UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map(drop),
            "tcp listener" => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map(drop),
            "unix socket" => UnixDatagram::unbound().map(drop),
            "socket in a thread" => {
                thread::spawn(|| UnixDatagram::unbound().map(drop)).join().unwrap()
            }
            "connect" => self.udp.connect((Ipv4Addr::LOCALHOST, 53)),
            "listen" => Ok(socket::listen(&self.stream.as_fd(), socket::Backlog::new(1)?)?),
            "unix pair" => UnixStream::pair().map(drop),
            "send on a passed one" => {
                let sent = self.udp.send_to(b"x", self.udp.local_addr()?)?;
                assert_eq!((sent, self.udp.recv_from(&mut [0; 2])?.0), (1, 1));
                Ok(())
            }
            "exec" => Err(Command::new(&self.current).exec()),
            "fork" => fork(),
            "signal another" => Ok(kill(Pid::parent(), Signal::SIGCONT)?),
            "become dumpable" => Ok(prctl::set_dumpable(true)?),
            "thread" => thread::Builder::new()
                .name("named".into())
                .spawn(|| {})?
                .join()
                .map_err(|_| io::Error::other("the thread panicked")),
            "panic" => {
                assert!(thread::spawn(|| panic!("on purpose")).join().is_err());
                Ok(())
            }
            "read inside" => fs::read(place.join("inside/file")).map(drop),
            "list inside" => fs::read_dir(place.join("inside")).map(drop),
            "read outside" => fs::read(place.join("outside/file")).map(drop),
            "write inside" => {
                OpenOptions::new().append(true).open(place.join("inside/file")).map(drop)
            }
            "write state" => {
                let name = place.join("state/file");
                state::replace(&name, b"new").map_err(io::Error::other)?;
                assert_eq!(state::read(&name, 3).map_err(io::Error::other)?.unwrap(), b"new");
                fs::remove_file(&name)
            }
            "replace inside" => {
                let replaced = state::replace(&place.join("inside/file"), b"new");
                match replaced.unwrap_err() {
                    state::StateError::Write { source, .. } => Err(source),
                    other => panic!("{other}"),
                }
            }
            other => panic!("no such try: {other}"),
        }
    }
}

/// In a process of one thread, so that the child may do anything.
fn fork() -> io::Result<()> {
    // SAFETY: this process has no other thread.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Child => std::process::exit(0),
        ForkResult::Parent { child } => Ok(wait::waitpid(child, None).map(drop)?),
    }
}
