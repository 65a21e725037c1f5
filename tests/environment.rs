//! Taking descriptors over removes the variables that announced them.
//!
//! Without the harness: that is done only as long as there is one thread.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says what it expects")]

mod common;

use std::os::fd::AsFd;
use std::process::Stdio;
use std::thread;

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use prebound::systemd::descriptors::{ClaimError, passed};

use common::{passing, start};

/// Set for the process that is passed something.
const THREADS: &str = "PREBOUND_TEST_THREADS";

fn main() {
    match std::env::var(THREADS).as_deref() {
        Ok("1") => take_over(true),
        Ok(_) => thread::spawn(|| take_over(false)).join().unwrap(),
        Err(_) => {
            for threads in ["1", "2"] {
                let socket = std::os::unix::net::UnixDatagram::pair().unwrap().0;
                let (reader, _writer) = nix::unistd::pipe().unwrap();
                let passed = vec![(socket.into(), "egress"), (reader, "a b")];
                let mut command = passing(std::env::current_exe().unwrap(), &passed);
                command.env(THREADS, threads).stdin(Stdio::null());
                let status = start(command, passed).wait().unwrap();
                assert!(status.success(), "with {threads} threads: {status}");
            }
            println!("environment: ok");
        }
    }
}

fn take_over(alone: bool) {
    let set = || std::env::vars().filter(|(name, _)| name.starts_with("LISTEN_")).count();
    assert_eq!(set(), 3);
    let all = passed().unwrap();
    assert_eq!(set(), if alone { 0 } else { 3 });
    let labels: Vec<_> = all.iter().map(|(label, _)| label.to_string()).collect();
    assert_eq!(labels, ["descriptor 3 (egress)", "descriptor 4 (a b)"]);
    for (label, descriptor) in &all {
        let flags = |argument| fcntl(descriptor.as_fd(), argument).unwrap();
        let on_exec = FdFlag::from_bits_retain(flags(FcntlArg::F_GETFD));
        let status = OFlag::from_bits_retain(flags(FcntlArg::F_GETFL));
        assert!(on_exec.contains(FdFlag::FD_CLOEXEC), "{label}");
        assert!(status.contains(OFlag::O_NONBLOCK), "{label}");
    }
    assert!(matches!(passed(), Err(ClaimError::NonePassed)), "once");
}
