//! Watching over the daemon and its broker.

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::NAME;
use super::error::LaunchError;
use super::hand_over::{self, Interrupt};
use crate::clock::{Mono, Now};
use crate::logging::say;
use crate::systemd::descriptors::inherit;

/// What is passed on to the daemon.
const PASSED_ON: [Signal; 6] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];

/// Pause before the second start in a row of a broker that does not stay; the first has none.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A broker that lived this long had started well, whatever became of it.
const LIVED: Duration = Duration::from_secs(10);

/// Reads the signals that would otherwise be delivered, from now on. As process 1 of a container
/// that is also what makes them have an effect.
pub(super) fn block_signals() -> Result<SignalFd, LaunchError> {
    let mut all = SigSet::empty();
    PASSED_ON.iter().for_each(|&signal| all.add(signal));
    all.add(Signal::SIGCHLD);
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    all.thread_block()
        .and_then(|()| SignalFd::with_flags(&all, flags))
        .map_err(LaunchError::Signals)
}

/// A program to start, with the descriptors to pass to it.
pub(super) struct Program {
    pub(super) path: PathBuf,
    pub(super) arguments: Vec<OsString>,
    pub(super) passed: Vec<(OwnedFd, &'static str)>,
}

impl Program {
    /// Starts it, by way of another instance of this program.
    fn start(&self, launcher: &Path, interrupt: Interrupt) -> Result<Pid, LaunchError> {
        let failed = |source| LaunchError::Run { program: self.path.clone(), source };
        let mut command = hand_over::command(launcher, &self.path, &self.passed, interrupt);
        command.args(&self.arguments);
        if interrupt == Interrupt::Keep {
            // Readiness and signs of life are the daemon's to give.
            forget_service_manager(&mut command);
        }
        for (descriptor, _) in &self.passed {
            inherit(descriptor, true).map_err(|errno| failed(errno.into()))?;
        }
        let child = command.spawn();
        for (descriptor, _) in &self.passed {
            inherit(descriptor, false).map_err(|errno| failed(errno.into()))?;
        }
        let id = child.map_err(failed)?.id();
        i32::try_from(id).map(Pid::from_raw).map_err(|_| failed(Errno::EOVERFLOW.into()))
    }
}

fn forget_service_manager(command: &mut Command) {
    for variable in ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"] {
        command.env_remove(variable);
    }
}

/// The daemon and its broker, running.
pub(super) struct Supervisor {
    launcher: PathBuf,
    signals: SignalFd,
    daemon: Pid,
    broker: Broker,
    /// Told to end: a broker that dies now is no longer needed.
    stopping: bool,
}

struct Broker {
    program: Program,
    state: BrokerState,
    /// Brokers in a row that did not live long.
    failures: u32,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum BrokerState {
    Running { pid: Pid, since: Mono },
    Dead { until: Mono },
}

impl Supervisor {
    /// Starts both, the broker first. Of the daemon's descriptors none is kept; those of the
    /// broker are for the next one, so that nothing on its way to it is lost.
    pub(super) fn start(
        launcher: PathBuf,
        daemon: Program,
        broker: Program,
        signals: SignalFd,
    ) -> Result<Self, LaunchError> {
        let now = Now::system().mono;
        let pid = broker.start(&launcher, Interrupt::Keep)?;
        let state = BrokerState::Running { pid, since: now };
        let broker = Broker { program: broker, state, failures: 0 };
        let pid = daemon.start(&launcher, Interrupt::Deliver)?;
        Ok(Self { launcher, signals, daemon: pid, broker, stopping: false })
    }

    /// Watches until the daemon ends; returns its exit status, or 128 and the signal that ended it.
    pub(super) fn watch(mut self) -> Result<u8, LaunchError> {
        loop {
            self.wait()?;
            while let Ok(Some(info)) = self.signals.read_signal() {
                let signal = i32::try_from(info.ssi_signo).ok().map(Signal::try_from);
                if let Some(Ok(signal)) = signal.filter(|s| *s != Ok(Signal::SIGCHLD)) {
                    self.pass_on(signal);
                }
            }
            if let Some(status) = self.reap() {
                self.end_broker();
                return Ok(status);
            }
            self.restart_broker()?;
        }
    }

    /// Waits for a signal, or until it is time to start a broker.
    fn wait(&self) -> Result<(), LaunchError> {
        let timeout = match self.broker.state {
            BrokerState::Dead { until } if !self.stopping => {
                // Rounded up, or else the last millisecond would be spent polling.
                let left = until.since(Now::system().mono) + Duration::from_micros(999);
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
            }
            _ => PollTimeout::NONE,
        };
        match poll(&mut [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(LaunchError::Signals(errno)),
        }
    }

    fn pass_on(&mut self, signal: Signal) {
        // Not reaped yet, so the number is still the daemon's, dead or alive.
        let _ = kill(self.daemon, signal);
        match signal {
            Signal::SIGHUP => {
                if let BrokerState::Running { pid, .. } = self.broker.state {
                    let _ = kill(pid, signal);
                }
            }
            Signal::SIGTERM | Signal::SIGINT | Signal::SIGQUIT => self.stopping = true,
            _ => {}
        }
    }

    /// Takes note of every child that ended, orphans included, which are ours as process 1.
    /// Returns the status to exit with once the daemon is among them.
    fn reap(&mut self) -> Option<u8> {
        let mut ended = None;
        loop {
            let (pid, status) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, u8::try_from(code).unwrap_or(u8::MAX)),
                Ok(WaitStatus::Signaled(pid, signal, _)) => {
                    (pid, 128 + u8::try_from(signal as i32).unwrap_or_default())
                }
                Ok(WaitStatus::StillAlive) | Err(_) => return ended,
                Ok(_) => continue,
            };
            if pid == self.daemon {
                ended = Some(status);
            } else {
                self.broker.note_end(pid, status, self.stopping, Now::system().mono);
            }
        }
    }

    fn restart_broker(&mut self) -> Result<(), LaunchError> {
        let now = Now::system().mono;
        match self.broker.state {
            BrokerState::Dead { until } if now >= until && !self.stopping => {
                let pid = self.broker.program.start(&self.launcher, Interrupt::Keep)?;
                self.broker.state = BrokerState::Running { pid, since: now };
            }
            _ => {}
        }
        Ok(())
    }

    /// The broker has nothing to lose and nothing to finish.
    fn end_broker(&mut self) {
        if let BrokerState::Running { pid, .. } = self.broker.state {
            let _ = kill(pid, Signal::SIGKILL);
            let _ = waitpid(pid, None);
        }
    }
}

impl Broker {
    /// Takes note of a child that ended, if it was the broker.
    fn note_end(&mut self, ended: Pid, status: u8, stopping: bool, now: Mono) {
        let since = match self.state {
            BrokerState::Running { pid, since } if pid == ended => since,
            _ => return,
        };
        if now.since(since) >= LIVED {
            self.failures = 0;
        }
        let pause = pause(self.failures);
        self.failures = self.failures.saturating_add(1);
        self.state = BrokerState::Dead { until: now + pause };
        if !stopping {
            let when = match pause.as_millis() {
                0 => "starting another".to_owned(),
                millis => format!("starting another in {millis} ms"),
            };
            say(NAME, format_args!("the broker ended with status {status}; {when}"));
        }
    }
}

/// How long to wait before the next start after `failures` brokers in a row that did not stay.
fn pause(failures: u32) -> Duration {
    match failures {
        0 => Duration::ZERO,
        n => FIRST_PAUSE.saturating_mul(1 << (n - 1).min(16)).min(LONGEST_PAUSE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_that_do_not_stay_are_started_ever_more_rarely() {
        let at = |millis: u64| Mono::from_micros(millis * 1_000);
        let pid = Pid::from_raw(7);
        let program = Program { path: "x".into(), arguments: Vec::new(), passed: Vec::new() };
        let state = BrokerState::Running { pid, since: at(0) };
        let mut broker = Broker { program, state, failures: 0 };
        #[rustfmt::skip]
        let cases = [
            // lived, then pause, in milliseconds
            (0,      0),
            (9_999,  100),
            (0,      200),
            (0,      400),
            (0,      800),
            (0,      1_600),
            (0,      3_200),
            (0,      5_000),
            (0,      5_000),
            (10_000, 0),
            (0,      100),
        ];
        for (lived, pause) in cases {
            broker.state = BrokerState::Running { pid, since: at(100_000) };
            broker.note_end(Pid::from_raw(8), 0, true, at(100_000));
            assert_eq!(broker.state, BrokerState::Running { pid, since: at(100_000) }, "an orphan");
            broker.note_end(pid, 1, true, at(100_000 + lived));
            assert_eq!(broker.state, BrokerState::Dead { until: at(100_000 + lived + pause) });
        }
    }
}
