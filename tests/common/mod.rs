//! What tests with real processes share: passing descriptors, and taking system calls away.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says what it expects")]
#![allow(dead_code, reason = "every test file uses its own part")]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use nix::libc;
use prebound::systemd::descriptors::inherit;
use seccompiler::{SeccompAction, SeccompFilter, TargetArch, apply_filter};

pub(crate) const LAUNCH: &str = env!("CARGO_BIN_EXE_prebound-launch");
pub(crate) const BROKER: &str = env!("CARGO_BIN_EXE_prebound-egress");

/// The calls by which a process could get a socket that nobody gave it.
const FORBIDDEN: [libc::c_long; 5] = [
    libc::SYS_socket,
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_listen,
    libc::SYS_io_uring_setup,
];

/// Only one test at a time may start a program: between making descriptors inheritable and taking
/// that back, every child would get them, and keep channels open that a test wants to see closed.
static STARTING: Mutex<()> = Mutex::new(());

/// Starts a command that inherits `passed`, and takes them from this process.
///
/// What the launcher starts dies with the thread that started it, so a test must not leave this to
/// a thread that ends.
pub(crate) fn start(mut command: Command, passed: Vec<(OwnedFd, &str)>) -> Child {
    let _alone = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    for (descriptor, _) in &passed {
        inherit(descriptor, true).unwrap();
    }
    without_cargo(&mut command);
    command.spawn().unwrap()
}

/// A program under a filter; see [`start_without_sockets`].
pub(crate) struct Filtered {
    pub(crate) id: u32,
    pub(crate) stdin: Option<ChildStdin>,
    pub(crate) stdout: Option<ChildStdout>,
    waits: thread::JoinHandle<ExitStatus>,
}

impl Filtered {
    pub(crate) fn wait(self) -> ExitStatus {
        self.waits.join().expect("the thread that waits for the program")
    }
}

/// Starts a program that is killed (`SIGSYS`) when it, or anything it starts, calls socket(2),
/// bind(2), connect(2), listen(2) or io_uring_setup(2). Otherwise like [`start`].
///
/// A filter belongs to a thread and is inherited by what it forks, so a thread of its own puts one
/// on, starts the program, and waits for its end.
pub(crate) fn start_without_sockets(
    command: Command,
    passed: Vec<(OwnedFd, &'static str)>,
) -> Filtered {
    let rules: BTreeMap<_, _> = FORBIDDEN.iter().map(|&call| (call, vec![])).collect();
    let arch = TargetArch::try_from(std::env::consts::ARCH).unwrap();
    let (otherwise, on_match) = (SeccompAction::Allow, SeccompAction::KillProcess);
    let filter = SeccompFilter::new(rules, otherwise, on_match, arch).unwrap();
    let filter = seccompiler::BpfProgram::try_from(filter).unwrap();
    let (started, child) = mpsc::channel();
    let waits = thread::spawn(move || {
        apply_filter(&filter).unwrap();
        let mut child = start(command, passed);
        started.send((child.id(), child.stdin.take(), child.stdout.take())).unwrap();
        child.wait().unwrap()
    });
    let (id, stdin, stdout) = child.recv().unwrap();
    Filtered { id, stdin, stdout, waits }
}

/// Runs `program` with descriptors as 3, 4, ... and `LISTEN_*` set, as systemd would, by way of the
/// launcher's hand-over. To be started with [`start`].
pub(crate) fn passing(program: impl AsRef<OsStr>, passed: &[(OwnedFd, &str)]) -> Command {
    let list: Vec<_> =
        passed.iter().map(|(fd, name)| format!("{}={name}", fd.as_raw_fd())).collect();
    let mut command = Command::new(LAUNCH);
    command.arg("--hand-over").arg(std::process::id().to_string()).arg("deliver");
    command.arg(list.join(",")).arg(program);
    command
}

/// Tests are run by cargo, which the launcher would notice; perhaps under a service manager, which
/// need not know.
fn without_cargo(command: &mut Command) {
    for variable in ["CARGO", "CARGO_MANIFEST_DIR", "NOTIFY_SOCKET", "JOURNAL_STREAM"] {
        command.env_remove(variable);
    }
}

/// A directory for one test, gone at the end.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let name = format!("{name}-{}", std::process::id());
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
