//! The `prebound-egress` program.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgAction, CommandFactory, Parser};
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use thiserror::Error;
use tracing::{debug, error, info, warn};

use super::broker::{Broker, BrokerError, End};
use super::dial::Internet;
use super::policy::{DEFAULT_RATE, Policy};
use crate::clock::Now;
use crate::config;
use crate::logging::{self, say};
use crate::sandbox::{Files, Program, Sandbox};
use crate::systemd::descriptors::{ClaimError, passed};
use crate::systemd::exit;
use crate::systemd::notify::Notifier;
use crate::systemd::peers::Peer;

/// The name in messages.
const NAME: &str = "prebound-egress";

/// Opens the sockets that the resolver asks with, and hands them over.
///
/// The resolver itself, prebound, cannot open sockets. This program can, and does nothing else: it
/// checks that the address asked for may be reached, makes a socket on a random port, connects
/// it, and passes it on. It speaks no DNS and keeps nothing, so it may be restarted at any time.
#[derive(Debug, Parser)]
#[command(name = NAME, version, max_term_width = 100, after_help = AFTER_HELP)]
struct Args {
    /// Read this configuration file, in the format of unbound.conf.
    ///
    /// Without it, the first of /etc/prebound/prebound.conf and /etc/unbound/unbound.conf that
    /// exists is read. What counts here: do-not-query-address, do-not-query-localhost,
    /// outgoing-interface, outgoing-port-permit, outgoing-port-avoid, the addresses and ports of
    /// stub and forward zones, verbosity.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Sockets per second for all workers together; 0 is no limit.
    #[arg(long, value_name = "NUMBER", default_value_t = DEFAULT_RATE)]
    rate: u32,

    /// Log more. Repeat for more still; adds to `verbosity:`.
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,
}

const AFTER_HELP: &str = "\
The socket to the resolver is passed in: as LISTEN_FDS from systemd (prebound-egress.socket), or from
prebound-launch. It is a Unix datagram socket, the rendezvous, through which the resolver sends one
end of a channel for each of its workers; or such a channel itself.

Reachable are the ports 53, 853 and 443, and the ports that stub and forward zones name, at every
address that is not excluded. Loopback is excluded unless do-not-query-localhost is `no`.

SIGHUP reads the configuration again; a file with mistakes changes nothing.

Exit status: 64 wrong command line, 69 no usable socket was passed, 71 the system refused something,
76 the resolver sent a malformed message over the only channel, 78 mistakes in the configuration.";

/// The command line, for completions.
pub fn command() -> clap::Command {
    Args::command()
}

/// Runs the program.
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return exit::command_line(&error),
    };
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(NAME, &error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// The last words of the broker.
#[derive(Debug, Error)]
enum Failure {
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(transparent)]
    Config(#[from] config::Errors),
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error("cannot read signals: {0}")]
    Signals(#[source] Errno),
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Claim(error) => error.exit_code(),
            Self::Config(_) => exit::CONFIG,
            Self::Broker(BrokerError::Garbage(_)) => exit::PROTOCOL,
            Self::Broker(BrokerError::System(_)) | Self::Signals(_) => exit::OSERR,
        }
    }
}

fn run(args: &Args) -> Result<(), Failure> {
    let passed = passed()?;
    // Blocked, so that it can be read like anything else; the others end us, which loses nothing.
    let mut reload = SigSet::empty();
    reload.add(Signal::SIGHUP);
    reload.thread_block().map_err(Failure::Signals)?;
    let reload = SignalFd::with_flags(&reload, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .map_err(Failure::Signals)?;

    let (policy, verbosity) = read(args)?;
    let _ = logging::init(NAME, verbosity);
    allow_many_descriptors();
    let mut broker = Broker::new(Internet::new(policy, Now::system().mono));
    for peer in passed.into_iter().map(Peer::claim) {
        match peer? {
            Peer::Rendezvous(socket) => broker.set_rendezvous(socket),
            Peer::Channel(socket) => broker.add_channel(socket),
        }
    }
    let sandbox = Sandbox::enter(Program::Broker, &Files::default());
    for (layer, gap) in sandbox.gaps() {
        warn!("sandbox: {layer}: {gap}");
    }
    debug!(layers = %sandbox, "sandbox");
    let notifier = Notifier::from_env().unwrap_or_else(|error| {
        warn!(%error, "the service manager will not be notified");
        Notifier::default()
    });
    notifier.ready("waiting for requests");
    info!("waiting for requests");
    loop {
        match broker.run(Some(reload.as_fd()))? {
            End::NoPeers => return Ok(()),
            End::Woken => {
                while let Ok(Some(_)) = reload.read_signal() {}
                read_again(args, &mut broker);
            }
        }
    }
}

/// The policy and the verbosity in force, or what is wrong with the file.
fn read(args: &Args) -> Result<(Policy, u8), config::Errors> {
    let path = args.config.as_deref();
    let config = config::load(path)?.config;
    let mut policy = Policy::from_config(&config);
    policy.rate = args.rate;
    Ok((policy, config.verbosity.saturating_add(args.verbose)))
}

fn read_again(args: &Args, broker: &mut Broker<Internet>) {
    let path = args.config.as_deref();
    let path = path.unwrap_or_else(|| Path::new("the default configuration"));
    match read(args) {
        Ok((policy, verbosity)) => {
            logging::set_verbosity(verbosity);
            broker.dial = Internet::new(policy, Now::system().mono);
            info!(path = %path.display(), "configuration read again");
        }
        Err(errors) => {
            say(NAME, errors);
            error!(path = %path.display(), "configuration not changed: it has mistakes");
        }
    }
}

/// Descriptors on their way to the daemon count as ours, up to the limit for open files.
fn allow_many_descriptors() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        warn!(%error, limit = soft, "the limit for open files stays as it is");
    }
}
