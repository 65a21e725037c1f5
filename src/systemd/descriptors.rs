//! Taking over descriptors that were passed by number (`LISTEN_FDS`), and passing them on.
//!
//! The one place where a number becomes an owner. [`passed`] and [`claim`] are for the process
//! that is given descriptors, [`exec_with`] for the one that gives them.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::env;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{self, Command};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::libc;

use super::claim::by_name;
pub use super::claim::{ClaimError, Claimed, ControlListener, Expected, Label, Listener, Ports};
use super::found::Found;

/// Number of the first passed descriptor.
pub const FIRST: RawFd = 3;
/// Most descriptors we let ourselves be told to take.
const MOST: usize = 4096;
/// What systemd names a descriptor without a name.
const NO_NAME: &str = "unknown";

/// The variables of the protocol, in the order they are explained in sd_listen_fds(3).
const VARIABLES: [&str; 4] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"];

/// Takes and sorts everything that was passed to this process, once.
///
/// To be called at the start of `main`, before there are threads.
///
/// # Errors
///
/// When nothing was passed, or something that is of no use.
pub fn claim(ports: &Ports) -> Result<Claimed, ClaimError> {
    Claimed::sort(passed()?, ports)
}

/// Takes what was passed to this process, once: all close-on-exec, sockets non-blocking. Removes
/// the variables from the environment.
///
/// To be called at the start of `main`, before there are threads.
///
/// # Errors
///
/// When nothing was passed, or fewer descriptors are open than there should be.
pub fn passed() -> Result<Vec<(Label, OwnedFd)>, ClaimError> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Err(ClaimError::NonePassed);
    }
    let [pid, count, names, _] = VARIABLES.map(env::var_os);
    let labels = labels(pid, count, names, process::id())?;
    // First of all owners, so that nothing is inherited by anybody even if an error follows.
    let taken: Vec<_> = labels.into_iter().map(|label| (take(label.number), label)).collect();
    forget_variables();
    let mut all = Vec::with_capacity(taken.len());
    for (descriptor, label) in taken {
        let descriptor = descriptor.map_err(|_| ClaimError::Refused {
            expected: by_name(&label.name),
            label: label.clone(),
            found: Found::Closed,
        })?;
        if let Err(errno) = unblock(&descriptor) {
            return Err(ClaimError::System { label, errno });
        }
        all.push((label, descriptor));
    }
    Ok(all)
}

/// What the variables say was passed.
fn labels(
    pid: Option<OsString>,
    count: Option<OsString>,
    names: Option<OsString>,
    own: u32,
) -> Result<Vec<Label>, ClaimError> {
    let text = |value: OsString| value.to_string_lossy().into_owned();
    let Some(count) = count.map(text) else { return Err(ClaimError::NonePassed) };
    let listen_pid = pid.map(text);
    if listen_pid.as_deref() != Some(&*own.to_string()) {
        return Err(ClaimError::OtherProcess { listen_pid, own });
    }
    let number = match count.parse() {
        Ok(0) => return Err(ClaimError::NonePassed),
        Ok(number @ 1..=MOST) => number,
        _ => return Err(ClaimError::BadNumber { variable: "LISTEN_FDS", value: count }),
    };
    let mut names: VecDeque<String> = match names.map(text) {
        Some(names) if !names.is_empty() => names.split(':').map(str::to_owned).collect(),
        _ => (0..number).map(|_| NO_NAME.to_owned()).collect(),
    };
    if names.len() != number {
        return Err(ClaimError::Names { names: names.len(), descriptors: number });
    }
    Ok((FIRST..).map_while(|number| names.pop_front().map(|name| Label { number, name })).collect())
}

/// Becomes the owner of an inherited descriptor and makes it close-on-exec.
///
/// Only for numbers that the process was told to have inherited, before it opens anything.
fn take(number: RawFd) -> nix::Result<OwnedFd> {
    // SAFETY: borrowed only for the call, which fails with EBADF if the number is not open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    fcntl(borrowed, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    // SAFETY: it is open, as was just seen, and was inherited for us to own: whoever started this
    // process said so. No other owner exists in it: `passed` runs once, and `exec_with` is the
    // only thing that its process does.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Sets `O_NONBLOCK`, which has no effect on a file in memory.
fn unblock(descriptor: &OwnedFd) -> nix::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(descriptor, FcntlArg::F_GETFL)?);
    if flags.contains(OFlag::O_NONBLOCK) {
        return Ok(());
    }
    fcntl(descriptor, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)).map(drop)
}

/// Removes the variables, so that no child believes they are meant for it.
fn forget_variables() {
    // Where that cannot be told there may be other threads; children are then still protected by
    // LISTEN_PID, which is not theirs.
    let alone = std::fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() == 1);
    if alone {
        for variable in VARIABLES {
            // SAFETY: this is the only thread, so nothing reads the environment at the same time.
            unsafe { env::remove_var(variable) };
        }
    }
}

/// Runs `command` in place of this process with the inherited descriptors `numbers` as 3, 4, ...
/// and the variables set, as systemd would. Returns only if that fails.
///
/// For a process that exists only for this: descriptors from 3 on that it may have open itself are
/// overwritten. `names` are those for `LISTEN_FDNAMES`, in the same order.
///
/// # Errors
///
/// When a number is not open, or the program cannot be run.
pub fn exec_with(
    numbers: &[RawFd],
    names: &[String],
    command: &mut Command,
) -> io::Result<Infallible> {
    let count = RawFd::try_from(numbers.len()).map_err(|_| Errno::EINVAL)?;
    let mut high = Vec::with_capacity(numbers.len());
    for &number in numbers {
        let original = take(number)?;
        let copy = fcntl(&original, FcntlArg::F_DUPFD_CLOEXEC(FIRST + count))?;
        // SAFETY: the kernel has just made this descriptor for us.
        high.push(unsafe { OwnedFd::from_raw_fd(copy) });
    }
    for (target, source) in (FIRST..).zip(&high) {
        // SAFETY: `source` is open. Whatever `target` was, nothing in this process owns it: the
        // process was started to do this and has opened nothing (see above), and the inherited
        // ones are closed by now. The copy is not close-on-exec, and is left to the program.
        let target = unsafe { libc::dup2(source.as_raw_fd(), target) };
        Errno::result(target)?;
    }
    command
        .env("LISTEN_PID", process::id().to_string())
        .env("LISTEN_FDS", count.to_string())
        .env("LISTEN_FDNAMES", names.join(":"))
        // A second mark of the process that descriptors are for, which would be another's.
        .env_remove("LISTEN_PIDFDID");
    Err(command.exec())
}

/// Lets a child inherit `descriptor`, or no longer; for the process that will start one.
///
/// # Errors
///
/// None that is known; the kernel's, if it refuses.
pub fn inherit(descriptor: &OwnedFd, inherit: bool) -> nix::Result<()> {
    let flags = if inherit { FdFlag::empty() } else { FdFlag::FD_CLOEXEC };
    fcntl(descriptor, FcntlArg::F_SETFD(flags)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variables_say_which_numbers_have_which_names() {
        let os = |text: &str| Some(OsString::from(text));
        let read = |pid: Option<OsString>, count: Option<OsString>, names: Option<OsString>| {
            labels(pid, count, names, 42)
                .map(|labels| labels.iter().map(Label::to_string).collect::<Vec<_>>().join(", "))
                .map_err(|error| error.to_string())
        };
        let none = "no descriptors were passed (LISTEN_FDS is not set): start this program by \
                    its systemd units or with prebound-launch";
        #[rustfmt::skip]
        let cases = [
            ("named",        os("42"), os("2"), os("dns:egress"),
             Ok("descriptor 3 (dns), descriptor 4 (egress)")),
            ("no names",     os("42"), os("2"), None,
             Ok("descriptor 3 (unknown), descriptor 4 (unknown)")),
            ("empty names",  os("42"), os("1"), os(""), Ok("descriptor 3 (unknown)")),
            ("strange name", os("42"), os("1"), os("a\nb"), Ok("descriptor 3 (a\\nb)")),
            ("nothing",      None, None, None, Err(none)),
            ("zero",         os("42"), os("0"), None, Err(none)),
            ("other",        os("41"), os("1"), None,
             Err("the descriptors are meant for process 41, and this is process 42")),
            ("no pid",       None, os("1"), None,
             Err("the descriptors are meant for process unknown (LISTEN_PID is not set), \
                  and this is process 42")),
            ("not a number", os("42"), os("x"), None,
             Err("LISTEN_FDS=\"x\" is not a number of descriptors")),
            ("negative",     os("42"), os("-1"), None,
             Err("LISTEN_FDS=\"-1\" is not a number of descriptors")),
            ("absurd",       os("42"), os("100000"), None,
             Err("LISTEN_FDS=\"100000\" is not a number of descriptors")),
            ("few names",    os("42"), os("2"), os("dns"),
             Err("LISTEN_FDNAMES has 1 names for 2 descriptors")),
        ];
        for (case, pid, count, names, expected) in cases {
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(read(pid, count, names), expected, "{case}");
        }
    }
}
