//! Why the launcher gives up, and what to do about it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitStatus;

use nix::errno::Errno;
use thiserror::Error;

use super::NAME;
use crate::lab::ServeError;
use crate::systemd::descriptors::ClaimError;
use crate::systemd::exit;

/// The last words of the launcher.
#[derive(Debug, Error)]
pub(super) enum LaunchError {
    #[error("cannot listen on {address} ({transport}): {}", listening(*errno))]
    Listen { address: SocketAddr, transport: &'static str, errno: Errno },
    #[error("cannot make the control socket {}: {}", path.display(), control(*errno))]
    Control { path: PathBuf, errno: Errno },
    #[error(
        "{} is not there: {NAME} starts its two siblings from its own directory; install or \
         build them together (cargo build --release --bins)",
        .0.display()
    )]
    Missing(PathBuf),
    #[error("cannot find this program: {0}")]
    ThisProgram(#[source] io::Error),
    #[error("cannot run {}: {source}", program.display())]
    Run { program: PathBuf, source: io::Error },
    #[error("the other programs cannot be built: {0}")]
    Build(ExitStatus),
    #[error("cannot connect daemon and broker: {0}")]
    Rendezvous(#[source] Errno),
    #[error("cannot wait for signals: {0}")]
    Signals(#[source] Errno),
    #[error("the lab does not run: {0}")]
    Lab(#[source] ServeError),
    #[error("cannot write to {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("--lab comes with a configuration of its own: leave out `-c FILE`")]
    LabWithConfiguration,
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error("--hand-over is for {NAME} itself, not for people")]
    Order,
    #[error("the launcher is gone")]
    Orphaned,
    #[error("cannot prepare the program: {0}")]
    Prepare(#[source] Errno),
}

impl LaunchError {
    /// The code to exit with; see [`exit`].
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Listen { errno: Errno::EACCES, .. } => exit::NOPERM,
            Self::Control { errno: Errno::EACCES | Errno::EPERM, .. } => exit::NOPERM,
            Self::Run { source, .. } if source.kind() == io::ErrorKind::NotFound => exit::OSFILE,
            Self::Missing(_) | Self::ThisProgram(_) | Self::Build(_) => exit::OSFILE,
            Self::Order | Self::LabWithConfiguration => exit::USAGE,
            Self::Claim(error) => error.exit_code(),
            Self::Lab(_) => exit::SOFTWARE,
            Self::Listen { .. }
            | Self::Control { .. }
            | Self::Run { .. }
            | Self::Rendezvous(_)
            | Self::Write { .. }
            | Self::Signals(_)
            | Self::Orphaned
            | Self::Prepare(_) => exit::OSERR,
        }
    }
}

fn listening(errno: Errno) -> &'static str {
    match errno {
        Errno::EADDRINUSE => {
            "something else serves there (perhaps systemd-resolved, dnsmasq, or another resolver; \
             see `ss -lnp`): stop it, or choose another address with --listen"
        }
        Errno::EACCES => {
            "ports below 1024 need root or CAP_NET_BIND_SERVICE (setcap \
             cap_net_bind_service+ep /path/to/prebound-launch): become root, or choose a higher \
             port"
        }
        Errno::EADDRNOTAVAIL => "no network interface has this address (see `ip address`)",
        Errno::EAFNOSUPPORT => "this system has no such protocol",
        errno => errno.desc(),
    }
}

fn control(errno: Errno) -> &'static str {
    match errno {
        Errno::EADDRINUSE => "something else serves there",
        Errno::EACCES | Errno::EPERM => "not permitted; choose another directory",
        Errno::ENOENT => "the directory does not exist",
        errno => errno.desc(),
    }
}
