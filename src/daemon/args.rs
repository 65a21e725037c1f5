//! The command line, as Unbound's.

use std::path::PathBuf;

use clap::{ArgAction, Parser};

/// Validating, recursive, caching DNS resolver that never calls socket(2).
///
/// Listening sockets are passed in by systemd or by prebound-launch (LISTEN_FDS), sockets to ask
/// with come from prebound-egress. Started by hand without either, it says what is missing.
#[derive(Debug, Parser)]
#[command(name = "prebound", version, disable_version_flag = true, max_term_width = 80)]
pub(super) struct Args {
    /// Read this configuration file, in the syntax of unbound.conf; without it
    /// /etc/prebound/prebound.conf, /etc/unbound/unbound.conf, or built-in defaults.
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    /// Log more; repeat for more still. Adds to `verbosity:`.
    #[arg(short, long, action = ArgAction::Count)]
    pub(super) verbose: u8,

    /// Do not give up any rights: for strace and gdb only. Without it the daemon allows itself no
    /// system call and no file it does not need.
    #[arg(long)]
    pub(super) no_sandbox: bool,

    /// Print the version.
    #[arg(short = 'V', long, action = ArgAction::Version)]
    version: Option<bool>,

    /// Accepted as unbound takes it: we never go into the background.
    #[arg(short = 'd', action = ArgAction::Count)]
    foreground: u8,

    /// Accepted as unbound takes it: we never write a pid file.
    #[arg(short = 'p', action = ArgAction::Count)]
    no_pid_file: u8,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_of_unbound_are_understood() {
        for line in ["prebound", "prebound -d -p", "prebound -ddp -c x.conf -vvv", "prebound -dp"] {
            assert!(Args::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
        let args = Args::try_parse_from(["prebound", "-vv", "-c", "x"]).unwrap();
        assert_eq!((args.verbose, args.config), (2, Some("x".into())));
        for line in ["prebound --nonsense", "prebound file"] {
            assert!(Args::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
