//! The `prebound-generator` program, a systemd.generator(7).
//!
//! systemd runs it early at boot and at each `daemon-reload`, and waits for it, so it reads one
//! file with what that includes and writes a few small ones. It needs no network and no other
//! service. Whatever goes wrong, the units stay as they are shipped.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

use nix::fcntl::OFlag;

use super::Units;
use crate::config;
use crate::systemd::exit;

/// The configuration that `prebound.service` reads.
const CONFIGURATION: &str = "/etc/prebound/prebound.conf";
/// The name in messages.
const NAME: &str = "prebound-generator";
/// As in syslog(3): a daemon's warning.
const PRIORITY: u8 = 3 << 3 | 4;

/// Runs the program: its first argument is the directory to write to.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    // As systemd calls it: for units of normal, early and late priority.
    let [normal, ..] = arguments.as_slice() else {
        say(&"systemd runs this program; see prebound-generator(8)");
        return ExitCode::from(exit::USAGE);
    };
    ExitCode::from(generate(Path::new(CONFIGURATION), Path::new(normal), &say))
}

/// Translates the file if there is one; the code to exit with, which systemd only notes.
fn generate(configuration: &Path, directory: &Path, say: &dyn Fn(&dyn fmt::Display)) -> u8 {
    if !configuration.exists() {
        return exit::OK;
    }
    let loaded = match config::load(Some(configuration)) {
        Ok(loaded) => loaded,
        Err(errors) => {
            let first = errors.to_string();
            let first = first.lines().next().unwrap_or_default();
            say(&format_args!(
                "{first}; the sockets are as shipped (prebound-checkconf tells more)"
            ));
            return exit::CONFIG;
        }
    };
    let units = Units::new(&loaded);
    for note in &units.notes {
        say(note);
    }
    match units.write(directory) {
        Ok(()) => exit::OK,
        Err((path, error)) => {
            say(&format_args!("cannot write {}: {error}", path.display()));
            exit::OSERR
        }
    }
}

/// To the kernel's log, since at boot there is no other yet; where that cannot be written, to
/// standard error.
fn say(text: &dyn fmt::Display) {
    // Where it is a pipe nobody reads we must not wait.
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let log = OpenOptions::new().write(true).custom_flags(flags.bits()).open("/dev/kmsg");
    // One write is one record.
    let line = format!("<{PRIORITY}>{NAME}[{}]: {text}\n", std::process::id());
    let logged = log.and_then(|mut log| log.write_all(line.as_bytes()));
    if logged.is_err() {
        crate::logging::say(NAME, text);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::fs;

    use super::*;

    /// Exit code, what was said, and the drop-ins that are there afterwards.
    fn run(test: &str, texts: &[&str]) -> (u8, Vec<String>, Vec<String>) {
        let name = format!("prebound-generator-{test}-{}", std::process::id());
        let top = fs::canonicalize(env::temp_dir()).unwrap().join(name);
        let units = top.join("units");
        fs::create_dir_all(&units).unwrap();
        let said = RefCell::new(Vec::new());
        let say = |text: &dyn fmt::Display| said.borrow_mut().push(text.to_string());
        let file = top.join("prebound.conf");
        let mut code = generate(&file, &units, &say);
        for text in texts {
            fs::write(&file, text).unwrap();
            code = generate(&file, &units, &say);
        }
        let mut found: Vec<String> = glob::glob(&format!("{}/*/*", units.display()))
            .unwrap()
            .map(|path| path.unwrap().strip_prefix(&units).unwrap().display().to_string())
            .collect();
        found.sort();
        fs::remove_dir_all(&top).unwrap();
        (code, said.into_inner(), found)
    }

    #[test]
    fn without_a_configuration_there_is_nothing_to_do() {
        assert_eq!(run("none", &[]), (exit::OK, vec![], vec![]));
    }

    #[test]
    fn a_changed_port_is_a_drop_in_and_a_port_changed_back_none() {
        let socket = "prebound.socket.d/50-configuration.conf".to_owned();
        let (code, said, found) = run("port", &["server:\n port: 5353\n"]);
        assert_eq!((code, said), (exit::OK, vec![]));
        assert!(found.contains(&socket), "{found:?}");
        let (_, _, found) = run("back", &["server:\n port: 5353\n", "server:\n verbosity: 1\n"]);
        assert!(!found.contains(&socket), "{found:?}");
    }

    #[test]
    fn a_mistake_is_said_and_changes_nothing() {
        let (code, said, found) = run("mistake", &["server:\n port: ninety\n"]);
        assert_eq!((code, found), (exit::CONFIG, vec![]));
        assert!(said.len() == 1 && said[0].contains("prebound.conf:2:"), "{said:?}");
    }
}
