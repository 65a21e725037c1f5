//! The `prebound-control` program: sends one command to the daemon and prints what it says.
//!
//! It speaks the protocol of `unbound-control` over the Unix socket that `control-interface:` names,
//! and makes that socket itself, as the daemon cannot: a program of its own.

use std::io::{self, BufRead, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::PossibleValue;
use clap::{Arg, ArgAction, ArgMatches, value_parser};
use thiserror::Error;

use super::COMMANDS;
use crate::config;

/// The name in messages.
const NAME: &str = "prebound-control";
/// Where prebound-control.socket listens.
const DEFAULT_SOCKET: &str = "/run/prebound/control.sock";
/// The exit status of an error.
const FAILED: u8 = 1;
/// The exit status of `status` when nothing listens.
const STOPPED: u8 = 3;
/// What every command begins with.
const MAGIC: &str = "UBCT1";
/// Words of an answer that say that nothing was done, though it does not begin with `error`.
const FAILURES: [&str; 2] = ["error", "no view with name"];

/// Why there is no answer.
#[derive(Debug, Error)]
enum ClientError {
    #[error("{0}")]
    Config(#[from] config::Errors),
    #[error(
        "control-interface: {0} is an address; prebound is controlled through the path of a socket"
    )]
    Address(String),
    #[error("cannot connect to {path}: {source}")]
    Connect { path: PathBuf, source: io::Error },
    #[error("cannot talk to the server: {0}")]
    Talk(#[from] io::Error),
}

/// The command line, for help and completions.
pub fn command() -> clap::Command {
    let names = COMMANDS.iter().map(|row| PossibleValue::new(row.name).help(row.help));
    let start = PossibleValue::new("start").help("say how to start the server");
    let word = Arg::new("command").value_name("COMMAND").required(true).hide_possible_values(true);
    let path = |id: &'static str, short, value: &'static str| {
        Arg::new(id).short(short).value_name(value).value_parser(value_parser!(PathBuf))
    };
    clap::Command::new(NAME)
        .version(env!("CARGO_PKG_VERSION"))
        .about("Controls a running prebound, or Unbound, through its socket")
        .max_term_width(100)
        .after_help(after_help())
        .arg(
            path("config", 'c', "FILE").long("config").help(
                "Read this configuration file to find the socket [default: that of prebound]",
            ),
        )
        .arg(path("server", 's', "PATH").long("server").help("Connect to this socket"))
        .arg(
            Arg::new("quiet")
                .short('q')
                .long("quiet")
                .action(ArgAction::SetTrue)
                .help("Print nothing when it works"),
        )
        .arg(
            word.value_parser(names.chain([start]).collect::<Vec<_>>())
                .help("What to do; see below"),
        )
        .arg(
            Arg::new("arguments")
                .value_name("ARGUMENT")
                .num_args(0..)
                .trailing_var_arg(true)
                .allow_hyphen_values(true)
                .help("Its arguments"),
        )
}

/// Every command in a line.
fn after_help() -> String {
    let mut text = String::from("Commands:\n");
    for row in COMMANDS {
        let usage = format!("{} {}", row.name, row.usage);
        let usage = usage.trim_end();
        // A long usage has its help on the next line.
        let gap =
            if usage.len() < 34 { " ".repeat(34 - usage.len()) } else { format!("\n{:36}", "") };
        text.push_str(&format!("  {usage}{gap}{}\n", row.help));
    }
    text + "\nExit status: 0 if it worked, 1 if it did not, 3 if `status` finds nothing running."
}

/// Runs the program.
pub fn main() -> ExitCode {
    let matches = match command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { FAILED } else { 0 });
        }
    };
    match run(&matches) {
        Ok(code) => ExitCode::from(code),
        Err(ClientError::Connect { source, .. }) if is_stopped(&matches, &source) => {
            println!("prebound is stopped");
            ExitCode::from(STOPPED)
        }
        Err(error) => {
            eprintln!("{NAME}: {error}");
            ExitCode::from(FAILED)
        }
    }
}

/// Whether the command asks for the status of what does not run.
fn is_stopped(matches: &ArgMatches, error: &io::Error) -> bool {
    let asks = matches.get_one::<String>("command").is_some_and(|command| command == "status");
    asks && matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound)
}

fn run(matches: &ArgMatches) -> Result<u8, ClientError> {
    let command = matches.get_one::<String>("command").map_or("", String::as_str);
    if command == "start" {
        eprintln!("{NAME}: the service manager starts it: systemctl start prebound.socket");
        return Ok(FAILED);
    }
    let path = match matches.get_one::<PathBuf>("server") {
        Some(path) => path.clone(),
        None => configured(matches.get_one::<PathBuf>("config").map(PathBuf::as_path))?,
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "this is not the daemon: it makes its own socket"
    )]
    let stream =
        UnixStream::connect(&path).map_err(|source| ClientError::Connect { path, source })?;
    let words = matches.get_many::<String>("arguments").into_iter().flatten();
    let line = words.fold(format!("{MAGIC} {command}"), |line, word| line + " " + word);
    // A newline in a word would be the end of the command.
    let line = line.replace('\n', " ") + "\n";
    let row = COMMANDS.iter().find(|row| row.name == command);
    let sent = send(&stream, &line, row.and_then(super::Command::input_ends_with));
    let quiet = matches.get_flag("quiet");
    // A server that has heard enough says why before it closes.
    match receive(&stream, quiet) {
        Ok(code) => Ok(code),
        Err(error) => Err(sent.err().unwrap_or(error).into()),
    }
}

/// The socket that the configuration names.
fn configured(file: Option<&Path>) -> Result<PathBuf, ClientError> {
    let config = config::load(file)?.config;
    let paths = &config.control_interface;
    match paths.iter().find(|path| path.starts_with('/')) {
        Some(path) => Ok(path.into()),
        None => match paths.first().filter(|_| config.control_enable) {
            Some(address) => Err(ClientError::Address(address.clone())),
            None => Ok(DEFAULT_SOCKET.into()),
        },
    }
}

/// Sends the command, and standard input if it takes any.
fn send(mut stream: &UnixStream, line: &str, end: Option<&str>) -> io::Result<()> {
    stream.write_all(line.as_bytes())?;
    let Some(end) = end else { return Ok(()) };
    let mut input = io::stdin().lock();
    let mut item = Vec::new();
    while input.read_until(b'\n', &mut item)? > 0 {
        if !item.ends_with(b"\n") {
            item.push(b'\n');
        }
        stream.write_all(&item)?;
        // A dump has its end in it.
        if item.trim_ascii_end() == end.as_bytes() {
            return Ok(());
        }
        item.clear();
    }
    stream.write_all(format!("{end}\n").as_bytes())
}

/// Prints the answer; the exit status that follows from it.
fn receive(mut stream: &UnixStream, quiet: bool) -> io::Result<u8> {
    let mut out = io::stdout().lock();
    let mut piece = [0; 16 << 10];
    let mut head = Vec::new();
    let mut failed = None;
    loop {
        let len = match stream.read(&mut piece) {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        head.extend_from_slice(piece.get(..len).unwrap_or_default());
        if failed.is_none() && (len == 0 || head.contains(&b'\n')) {
            failed = Some(FAILURES.iter().any(|word| head.starts_with(word.as_bytes())));
        }
        let Some(failed) = failed else { continue };
        if failed || !quiet {
            out.write_all(&head)?;
        }
        head.clear();
        if len == 0 {
            out.flush()?;
            return Ok(if failed { FAILED } else { 0 });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound_and_lists_every_command() {
        command().debug_assert();
        let help = command().render_long_help().to_string();
        for row in COMMANDS {
            let start = format!("  {} {}", row.name, row.usage);
            assert!(help.contains(start.trim_end()) && help.contains(row.help), "{}", row.name);
        }
    }

    #[test]
    fn the_socket_is_the_one_the_configuration_names() {
        let directory = std::env::temp_dir();
        let file = directory.join(format!("prebound-control-test-{}.conf", std::process::id()));
        for (text, want) in [
            ("server:", DEFAULT_SOCKET),
            ("remote-control:\n control-enable: yes\n control-interface: /run/x.ctl", "/run/x.ctl"),
        ] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(configured(Some(&file)).unwrap(), Path::new(want));
        }
        std::fs::write(&file, "remote-control:\n control-enable: yes").unwrap();
        assert!(matches!(configured(Some(&file)), Err(ClientError::Address(_))));
        std::fs::remove_file(&file).unwrap();
    }
}
