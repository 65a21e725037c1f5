//! The launcher: does for anybody what systemd does for a unit.
//!
//! It opens the listening sockets, starts the broker and the daemon, hands each what it needs as
//! systemd would, and stays as a small supervisor: passes signals on, restarts a dead broker, ends
//! with the daemon's exit status. It is never in the path of a query.
//!
//! ```text
//! prebound-launch ─┬─ prebound-launch (hand-over) ─exec─► prebound           3: dns ... n: egress
//!                  └─ prebound-launch (hand-over) ─exec─► prebound-egress    3: rendezvous
//! ```
//!
//! The step between is there since `LISTEN_PID` must be the id of a process that does not exist
//! until it is forked, and between fork and exec little may be done. So the child is this program
//! again, which moves the descriptors to their numbers, sets the variable, and becomes the other.

mod args;
mod build;
mod error;
mod hand_over;
mod inherited;
mod lab;
mod listen;
mod supervisor;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

use crate::config;
use crate::lab::SAMPLES;
use crate::logging::say;
use crate::systemd::exit;

use args::Args;
use error::LaunchError;
use inherited::Inherited;
use listen::Listeners;
use supervisor::{Program, Supervisor};

/// The name in messages.
const NAME: &str = "prebound-launch";

/// The command line, for completions.
pub fn command() -> clap::Command {
    Args::command()
}

/// Runs the program.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let result = match hand_over::Order::from_arguments(&arguments) {
        Some(order) => order.and_then(hand_over::Order::carry_out),
        None if lab::is_lab(&arguments) => lab::serve(),
        None => match Args::try_parse_from(&arguments) {
            Ok(args) => run(args),
            Err(error) => return exit::command_line(&error),
        },
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            say(NAME, &error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// Starts everything and watches over it until the daemon ends; returns its exit status.
fn run(args: Args) -> Result<u8, LaunchError> {
    let this = std::env::current_exe().map_err(LaunchError::ThisProgram)?;
    build::siblings(&this)?;
    let daemon = sibling(&this, "prebound")?;
    let broker = sibling(&this, "prebound-egress")?;

    // Before there is any thread: signals are read, never delivered.
    let signals = supervisor::block_signals()?;
    let listeners = Listeners::open(&args, workers(&args), Inherited::take()?)?;
    let lab = args.lab.then(|| lab::Configuration::write(listeners.dns())).transpose()?;
    let flags = SockFlag::SOCK_CLOEXEC;
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::Datagram, None, flags)
        .map_err(LaunchError::Rendezvous)?;

    let mut broker =
        Program { path: broker, arguments: Vec::new(), passed: vec![(theirs, "rendezvous")] };
    let mut told = args.daemon.clone();
    if let Some(lab) = &lab {
        told.extend(lab::arguments(args.config(), lab)?);
        broker.path.clone_from(&this);
        broker.arguments.push(lab::FLAG.into());
    } else if let Some(file) = args.config() {
        broker.arguments.extend(["--config".into(), file.into()]);
    }
    announce(&listeners, args.lab);
    let Listeners { mut passed, control, .. } = listeners;
    passed.push((ours, "egress"));
    let daemon = Program { path: daemon, arguments: told, passed };
    let status = Supervisor::start(this, daemon, broker, signals)?.watch();
    // Files that are ours go now, and not before.
    drop((control, lab));
    status
}

/// A program that lies beside this one.
fn sibling(this: &Path, name: &str) -> Result<PathBuf, LaunchError> {
    let path = this.with_file_name(name);
    if path.is_file() { Ok(path) } else { Err(LaunchError::Missing(path)) }
}

/// UDP sockets for each address: `--workers`, or what the configuration says.
fn workers(args: &Args) -> u16 {
    // Mistakes in it are the daemon's to report.
    let configured = || config::load(args.config()).map_or(1, |loaded| loaded.config.num_threads);
    args.workers.unwrap_or_else(configured)
}

/// Says what is served, and how to try it.
fn announce(listeners: &Listeners, lab: bool) {
    let mut text: String =
        listeners.lines().iter().map(|line| format!("{NAME}: {line}\n")).collect();
    if lab {
        text.push_str("Try, in the miniature Internet:\n");
        let commands = SAMPLES.iter().filter_map(|(what, name)| Some((listeners.dig(name)?, what)));
        text.extend(commands.map(|(command, what)| format!("  {command:<60} # {what}\n")));
    } else if let Some(command) = listeners.dig("example.com") {
        text.push_str(&format!("Try: {command}\n"));
    }
    // Nobody may be reading; that is no reason not to serve.
    let _ = io::stdout().lock().write_all(text.as_bytes());
}
