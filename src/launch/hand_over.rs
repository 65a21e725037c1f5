//! The step between the launcher and what it starts: a child that becomes the other program.
//!
//! ```text
//! prebound-launch --hand-over PARENT KEEP LIST PROGRAM [ARGUMENTS]
//! ```
//!
//! `LIST` is `NUMBER=NAME,...`, the inherited descriptors in the order in which they are passed.
//! Not for people; the launcher writes it and this module reads it.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::process::{self, Command};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Pid, getppid};

use super::error::LaunchError;
use crate::systemd::descriptors::exec_with;

/// The first argument of such a child.
const FLAG: &str = "--hand-over";
/// Open files a child may have, if the system permits: every query to a server is one. As systemd
/// does it for the unit, by `LimitNOFILE=`.
const FILES: u64 = 65_536;

/// Whether a signal from the terminal reaches the program, too.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Interrupt {
    /// It does.
    Deliver,
    /// It does not: the program has to outlive those that use it.
    Keep,
}

/// What the child has to do.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Order<'a> {
    parent: i32,
    interrupt: Interrupt,
    numbers: Vec<RawFd>,
    names: Vec<String>,
    program: &'a OsStr,
    arguments: &'a [OsString],
}

impl<'a> Order<'a> {
    /// Reads the command line of the child; `None` if this is not one.
    pub(super) fn from_arguments(arguments: &'a [OsString]) -> Option<Result<Self, LaunchError>> {
        match arguments {
            [_, flag, rest @ ..] if flag == FLAG => {
                Some(Self::parse(rest).ok_or(LaunchError::Order))
            }
            _ => None,
        }
    }

    fn parse(arguments: &'a [OsString]) -> Option<Self> {
        let [parent, interrupt, list, program, arguments @ ..] = arguments else { return None };
        let mut numbers = Vec::new();
        let mut names = Vec::new();
        for item in list.to_str()?.split(',') {
            let (number, name) = item.split_once('=')?;
            numbers.push(number.parse().ok().filter(|&number| number > 2)?);
            names.push(name.to_owned());
        }
        let interrupt = match interrupt.to_str()? {
            "deliver" => Interrupt::Deliver,
            "keep" => Interrupt::Keep,
            _ => return None,
        };
        let parent = parent.to_str()?.parse().ok()?;
        Some(Self { parent, interrupt, numbers, names, program, arguments })
    }

    /// Becomes the program. Returns only if that fails.
    pub(super) fn carry_out(self) -> Result<u8, LaunchError> {
        let mut blocked = SigSet::empty();
        if self.interrupt == Interrupt::Keep {
            blocked.add(Signal::SIGINT);
            blocked.add(Signal::SIGQUIT);
        }
        blocked.thread_set_mask().map_err(LaunchError::Prepare)?;
        set_pdeathsig(Signal::SIGTERM).map_err(LaunchError::Prepare)?;
        if getppid() != Pid::from_raw(self.parent) {
            // It died before we asked to be told.
            return Err(LaunchError::Orphaned);
        }
        if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
            // More is better, and less will do.
            let _ = setrlimit(Resource::RLIMIT_NOFILE, soft.max(hard.min(FILES)), hard);
        }
        let mut command = Command::new(self.program);
        command.args(self.arguments);
        if std::env::var_os("WATCHDOG_PID").is_some() {
            // The signs of life come from the daemon, for the launcher.
            command.env("WATCHDOG_PID", process::id().to_string());
        }
        match exec_with(&self.numbers, &self.names, &mut command) {
            Ok(never) => match never {},
            Err(source) => Err(LaunchError::Run { program: self.program.into(), source }),
        }
    }
}

/// A command that runs `program` by way of `launcher`, this program. The descriptors must be
/// inherited by it.
pub(super) fn command(
    launcher: &Path,
    program: &Path,
    passed: &[(OwnedFd, &'static str)],
    interrupt: Interrupt,
) -> Command {
    let list: Vec<_> =
        passed.iter().map(|(fd, name)| format!("{}={name}", fd.as_raw_fd())).collect();
    let mut command = Command::new(launcher);
    command
        .arg(FLAG)
        .arg(process::id().to_string())
        .arg(match interrupt {
            Interrupt::Deliver => "deliver",
            Interrupt::Keep => "keep",
        })
        .arg(list.join(","))
        .arg(program);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn an_order_is_read_as_it_is_written() {
        let sockets = vec![
            (OwnedFd::from(std::fs::File::open("/dev/null").unwrap()), "dns"),
            (OwnedFd::from(std::fs::File::open("/dev/null").unwrap()), "egress"),
        ];
        let program = Path::new("/usr/sbin/prebound");
        let mut written = command(Path::new("launch"), program, &sockets, Interrupt::Keep);
        written.args(["-c", "file"]);
        let mut line = vec![written.get_program().to_owned()];
        line.extend(written.get_args().map(OsStr::to_owned));

        let order = Order::from_arguments(&line).unwrap().unwrap();
        assert_eq!(order.parent, process::id() as i32);
        assert_eq!(order.interrupt, Interrupt::Keep);
        assert_eq!(order.numbers, [sockets[0].0.as_raw_fd(), sockets[1].0.as_raw_fd()]);
        assert_eq!(order.names, ["dns", "egress"]);
        assert_eq!(order.program, program);
        assert_eq!(order.arguments, ["-c", "file"]);
    }

    #[test]
    fn other_command_lines_are_left_alone() {
        for line in ["launch", "launch --listen 127.0.0.1:53", "launch -- --hand-over"] {
            assert!(Order::from_arguments(&words(line)).is_none(), "{line}");
        }
    }

    #[test]
    fn a_broken_order_is_refused() {
        for line in [
            "launch --hand-over",
            "launch --hand-over 1 deliver 3=dns",
            "launch --hand-over x deliver 3=dns true",
            "launch --hand-over 1 sometimes 3=dns true",
            "launch --hand-over 1 deliver 3 true",
            "launch --hand-over 1 deliver 2=dns true",
            "launch --hand-over 1 deliver -1=dns true",
        ] {
            let order = words(line);
            let refused = Order::from_arguments(&order).unwrap();
            assert!(matches!(refused, Err(LaunchError::Order)), "{line}");
        }
    }
}
