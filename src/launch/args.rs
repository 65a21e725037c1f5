//! The command line of the launcher.

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use clap::Parser;

/// Where DNS is served when nothing is said: above 1023, so that nobody needs to be root.
const DEFAULT_LISTEN: &str = "127.0.0.1:5335";

/// Starts prebound without systemd: opens its sockets, starts its broker, and watches over both.
#[derive(Debug, Parser)]
#[command(name = super::NAME, version, max_term_width = 100, after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Serve DNS over UDP and TCP here. May be given many times.
    #[arg(long, value_name = "ADDR:PORT", default_value = DEFAULT_LISTEN)]
    pub(super) listen: Vec<SocketAddr>,

    /// Make a control socket (for prebound-control and unbound-control) with this path.
    #[arg(long, value_name = "PATH")]
    pub(super) control: Vec<PathBuf>,

    /// Serve metrics over HTTP here.
    #[arg(long, value_name = "ADDR:PORT")]
    pub(super) metrics: Vec<SocketAddr>,

    /// Serve DNS over TLS here.
    #[arg(long, value_name = "ADDR:PORT")]
    pub(super) tls: Vec<SocketAddr>,

    /// Serve DNS over HTTPS here.
    #[arg(long, value_name = "ADDR:PORT")]
    pub(super) https: Vec<SocketAddr>,

    /// UDP sockets for each address, one per worker thread [default: num-threads of the
    /// configuration].
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) workers: Option<u16>,

    /// Serve a built-in miniature Internet instead of the real one: with secure, insecure, bogus
    /// and missing names, and without any network.
    #[arg(long)]
    pub(super) lab: bool,

    /// Arguments of prebound, such as `-c FILE`; the broker is given the same FILE.
    #[arg(last = true, value_name = "ARGUMENTS")]
    pub(super) daemon: Vec<OsString>,
}

const AFTER_HELP: &str = "\
Examples:
  prebound-launch
      validated DNS on 127.0.0.1:5335, without root and without a configuration file
  prebound-launch --lab
      the same for a miniature Internet of its own, on a machine without a network
  prebound-launch --listen 127.0.0.1:53 --listen [::1]:53 -- -c /etc/unbound/unbound.conf

Signals (HUP, INT, TERM, QUIT, USR1, USR2) are passed on to prebound; HUP makes the broker read its
configuration again, too. The exit status is that of prebound, or 128 and the signal that killed it.

Under another supervisor: NOTIFY_SOCKET is passed on to prebound (with systemd: NotifyAccess=all). If
the launcher dies, so do the others. As process 1 of a container it also reaps orphans.

Exit status of its own: 64 wrong command line, 71 a socket cannot be opened, 72 a program is missing,
77 not permitted to listen on a port below 1024.";

impl Args {
    /// The configuration file among the arguments of the daemon: the last one named.
    pub(super) fn config(&self) -> Option<&Path> {
        let mut found = None;
        let mut arguments = self.daemon.iter().map(|argument| argument.as_bytes());
        while let Some(argument) = arguments.next() {
            found = match argument {
                b"-c" | b"--config" => arguments.next().or(found),
                // As clap and getopt read it: flags without a value may stand before.
                [b'-', letters @ ..] if !letters.starts_with(b"-") => {
                    match letters.iter().position(|&letter| letter == b'c') {
                        None => found,
                        Some(at) => match letters.get(at + 1..) {
                            None | Some([]) => arguments.next().or(found),
                            Some([b'=', file @ ..] | file) => Some(file),
                        },
                    }
                }
                _ => argument.strip_prefix(b"--config=").or(found),
            };
        }
        found.map(|file| Path::new(OsStr::from_bytes(file)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Args {
        Args::try_parse_from(line.split_whitespace()).unwrap()
    }

    #[test]
    fn the_default_needs_no_root() {
        let args = parse("prebound-launch");
        assert_eq!(args.listen, [SocketAddr::from(([127, 0, 0, 1], 5335))]);
        assert!(args.daemon.is_empty() && args.workers.is_none());
    }

    #[test]
    fn many_addresses_and_the_daemon_s_own_arguments() {
        let args = parse(
            "prebound-launch --listen 127.0.0.1:53 --listen [::1]:53 --workers 4 --tls 127.0.0.1:853 \
             --control /run/c -- -d -c /etc/x.conf --control no",
        );
        assert_eq!(args.listen.len(), 2);
        assert_eq!(args.workers, Some(4));
        assert_eq!(args.control, [PathBuf::from("/run/c")]);
        assert_eq!(args.daemon, ["-d", "-c", "/etc/x.conf", "--control", "no"]);
    }

    #[test]
    fn nonsense_is_refused() {
        for line in [
            "prebound-launch --listen 53",
            "prebound-launch --listen localhost:53",
            "prebound-launch --workers 0",
            "prebound-launch --workers 2000",
            "prebound-launch -c file",
        ] {
            assert!(Args::try_parse_from(line.split_whitespace()).is_err(), "{line}");
        }
    }

    #[test]
    fn the_daemon_s_configuration_is_found() {
        #[rustfmt::skip]
        let cases = [
            ("",                            None),
            ("-d -v",                       None),
            ("-c /a",                       Some("/a")),
            ("-c/a",                        Some("/a")),
            ("-c=/a",                       Some("/a")),
            ("-dc /a",                      Some("/a")),
            ("-dvvc/a",                     Some("/a")),
            ("--config /a",                 Some("/a")),
            ("--config=/a",                 Some("/a")),
            ("-c /a -d --config /b",        Some("/b")),
            ("-c",                          None),
        ];
        for (arguments, expected) in cases {
            let args = parse(&format!("prebound-launch -- {arguments}"));
            assert_eq!(args.config(), expected.map(Path::new), "{arguments}");
        }
    }
}
