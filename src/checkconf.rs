//! The `prebound-checkconf` program: is this configuration right, and what does it mean?
//!
//! Its command line is that of `unbound-checkconf`, plus `--units`.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use thiserror::Error;

use crate::config::{self, Clause, Loaded, Shape, find};
use crate::systemd::exit;
use crate::units::Units;

/// The name in messages.
const NAME: &str = "prebound-checkconf";

/// Checks a configuration file of prebound, which has the format of unbound.conf.
///
/// Mistakes are shown with their lines, and all of them. Options without effect are told, too.
#[derive(Debug, Parser)]
#[command(name = NAME, version, disable_version_flag = true, max_term_width = 80, after_help = AFTER_HELP)]
struct Args {
    /// The file; without it /etc/prebound/prebound.conf or /etc/unbound/unbound.conf.
    file: Option<PathBuf>,

    /// Print the value of an option, each value of a list on a line of its own.
    #[arg(short = 'o', value_name = "OPTION")]
    option: Option<String>,

    /// With -o: print the full path of a file.
    #[arg(short = 'f', requires = "option")]
    full: bool,

    /// Print nothing when all is well.
    #[arg(short = 'q')]
    quiet: bool,

    /// Print the drop-ins for systemd units that make the sockets as the file says.
    #[arg(long, conflicts_with = "option")]
    units: bool,

    /// With --units: write the drop-ins below this directory instead, for instance
    /// /etc/systemd/system.
    #[arg(long, value_name = "DIR", requires = "units")]
    output: Option<PathBuf>,

    /// Print the version.
    #[arg(short = 'V', long, action = clap::ArgAction::Version)]
    version: Option<bool>,
}

const AFTER_HELP: &str = "\
Exit status: 0 all is well, 1 there are mistakes, 64 wrong command line, 71 a file cannot be written.";

/// The command line, for completions and manuals.
pub fn command() -> clap::Command {
    Args::command()
}

/// Runs the program.
pub fn main() -> ExitCode {
    run(std::env::args_os(), &mut io::stdout().lock(), &mut io::stderr().lock())
}

/// What ends the program, apart from mistakes in the file.
#[derive(Debug, Error)]
enum Failure {
    #[error(transparent)]
    Config(#[from] config::Errors),
    #[error("no option '{0}'")]
    NoOption(String),
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot print: {0}")]
    Print(#[from] io::Error),
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::NoOption(_) => exit::FAILURE,
            Self::Write { .. } | Self::Print(_) => exit::OSERR,
        }
    }
}

fn run(
    arguments: impl IntoIterator<Item = OsString>,
    out: &mut dyn Write,
    problems: &mut dyn Write,
) -> ExitCode {
    let args = match Args::try_parse_from(arguments) {
        Ok(args) => args,
        Err(error) => return exit::command_line(&error),
    };
    match check(&args, out, problems) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Standard error may be closed; the status says it as well.
            let _ = match &failure {
                Failure::Config(errors) => write!(problems, "{errors}"),
                other => writeln!(problems, "{NAME}: {other}"),
            };
            ExitCode::from(failure.exit_code())
        }
    }
}

fn check(args: &Args, out: &mut dyn Write, problems: &mut dyn Write) -> Result<(), Failure> {
    let loaded = config::load(args.file.as_deref())?;
    if let Some(option) = &args.option {
        return print(&loaded, option, args.full, out);
    }
    let mut warn = |text: &dyn fmt::Display| {
        if args.quiet { Ok(()) } else { writeln!(problems, "warning: {text}") }
    };
    if args.units {
        let units = Units::new(&loaded);
        for note in &units.notes {
            warn(note)?;
        }
        let Some(directory) = &args.output else { return Ok(write!(out, "{units}")?) };
        return units.write(directory).map_err(|(path, source)| Failure::Write { path, source });
    }
    for notice in &loaded.notices {
        warn(notice)?;
    }
    if !args.quiet {
        let file = loaded.path.as_deref().unwrap_or_else(|| Path::new("the built-in defaults"));
        writeln!(out, "{NAME}: no errors in {}", file.display())?;
    }
    Ok(())
}

/// The values of an option, as `unbound-checkconf -o` prints them.
fn print(loaded: &Loaded, option: &str, full: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let values = loaded.settings.get(option);
    let values = values.ok_or_else(|| Failure::NoOption(option.to_owned()))?;
    let is_path = Clause::NAMES
        .iter()
        .filter_map(|row| find(row.1, option))
        .any(|row| matches!(row.shape, Shape::Path));
    for value in values {
        if full && is_path && !value.is_empty() {
            writeln!(out, "{}", loaded.config.directory.join(value).display())?;
        } else {
            writeln!(out, "{value}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const FILE: &str = "server:\n directory: \"/srv/dns\"\n port: 5353\n interface: 127.0.0.1\n \
                        interface: ::1\n so-rcvbuf: 4m\n tls-service-key: \"key.pem\"\nremote-control:\n \
                        control-enable: yes\n control-interface: /run/x.sock\n";

    /// Exit code, standard output and standard error.
    fn run_with(test: &str, text: &str, arguments: &[&str]) -> (bool, String, String) {
        let name = format!("prebound-checkconf-{test}-{}.conf", std::process::id());
        let file = std::env::temp_dir().join(name);
        fs::write(&file, text).unwrap();
        let (mut out, mut problems) = (Vec::new(), Vec::new());
        let mut line: Vec<OsString> = vec![NAME.into()];
        line.extend(arguments.iter().map(Into::into));
        line.push(file.clone().into());
        let code = run(line, &mut out, &mut problems);
        fs::remove_file(&file).unwrap();
        let text =
            |bytes| String::from_utf8(bytes).unwrap().replace(file.to_str().unwrap(), "FILE");
        (code == ExitCode::SUCCESS, text(out), text(problems))
    }

    #[test]
    fn a_right_file_is_said_to_be_right() {
        let (ok, out, problems) = run_with("right", "server:\n port: 53\n", &[]);
        assert!(ok);
        assert_eq!(out, "prebound-checkconf: no errors in FILE\n");
        assert_eq!(problems, "");
        let (ok, out, _) = run_with("quiet", "server:\n tcp-mss: 1220\n", &["-q"]);
        assert_eq!((ok, out.as_str()), (true, ""));
        let (ok, _, problems) = run_with("told", "server:\n tcp-mss: 1220\n", &[]);
        assert!(
            ok && problems.starts_with("warning: FILE:2: 'tcp-mss' has no effect"),
            "{problems}"
        );
    }

    #[test]
    fn mistakes_are_shown_as_a_compiler_does() {
        let (ok, out, problems) = run_with("wrong", "server:\n port: ninety\n prot: 53\n", &["-q"]);
        assert_eq!((ok, out.as_str()), (false, ""));
        assert!(problems.starts_with("FILE:2:8: error: "), "{problems}");
        assert!(
            problems.contains("^^^^^^") && problems.contains("did you mean `port`?"),
            "{problems}"
        );
    }

    #[test]
    fn options_are_printed() {
        #[rustfmt::skip]
        let cases: [(&[&str], bool, &str); 8] = [
            (&["-o", "port"],                  true,  "5353\n"),
            (&["-o", "interface"],             true,  "127.0.0.1\n::1\n"),
            (&["-o", "do-ip6"],                true,  "yes\n"),
            (&["-o", "control-interface"],     true,  "/run/x.sock\n"),
            (&["-o", "tls-service-key"],       true,  "key.pem\n"),
            (&["-fo", "tls-service-key"],      true,  "/srv/dns/key.pem\n"),
            (&["-f", "-o", "port"],            true,  "5353\n"),
            (&["-o", "nonsense"],              false, ""),
        ];
        for (index, (arguments, ok, expected)) in cases.into_iter().enumerate() {
            let found = run_with(&format!("option-{index}"), FILE, arguments);
            assert_eq!((found.0, found.1.as_str()), (ok, expected), "{arguments:?} {}", found.2);
        }
    }

    #[test]
    fn units_are_printed_or_written() {
        let (ok, out, _) = run_with("units", FILE, &["--units"]);
        assert!(ok && out.contains("ListenStream=/run/x.sock\n"), "{out}");
        let directory = std::env::temp_dir().join(format!("prebound-units-{}", std::process::id()));
        let (ok, out, _) =
            run_with("written", FILE, &["--units", "--output", directory.to_str().unwrap()]);
        assert_eq!((ok, out.as_str()), (true, ""));
        let path = directory.join("prebound.socket.d/50-configuration.conf");
        assert!(fs::read_to_string(path).unwrap().contains("ListenDatagram=127.0.0.1:5353\n"));
        fs::remove_dir_all(directory).unwrap();
    }
}
