//! What a configuration means for the units: drop-ins for the sockets and for the two services.
//!
//! The daemon cannot listen where unbound.conf says, as it has no socket(2): systemd listens, and
//! goes by its units. So that `interface:`, `port:` and their like keep their meaning, they are
//! translated: at each boot and `daemon-reload` by the [`generator`], by hand with
//! `prebound-checkconf --units`.
//!
//! Nothing is written for what is as shipped. What a unit cannot express is named, with its place
//! and the reason; the rest is translated all the same.

pub mod generator;
mod listen;
mod services;
#[cfg(test)]
mod tests;

use std::fmt::{self, Write as _};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::{Loaded, Place, Span};

/// The name of every drop-in; one of the same name in `/etc/systemd/system` takes its place.
pub const NAME: &str = "50-configuration.conf";

/// Everything a configuration asks of the units.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Units {
    /// One for each unit that is not as shipped.
    pub drop_ins: Vec<DropIn>,
    /// What no drop-in says.
    pub notes: Vec<Note>,
}

/// What is added to a unit.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DropIn {
    /// The name of the unit, with its suffix.
    pub unit: &'static str,
    /// The text of the file.
    pub text: String,
}

impl DropIn {
    /// Where it belongs, below a directory of units.
    pub fn path(&self) -> PathBuf {
        Path::new(&format!("{}.d", self.unit)).join(NAME)
    }
}

/// Something that a unit cannot express.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Note {
    /// Where it is asked for; none for what has no line of its own.
    pub place: Option<Place>,
    /// What and why, and what to do instead.
    pub text: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.text)
    }
}

/// What a version of the daemon serves besides plain DNS.
#[derive(Clone, Copy, Debug)]
pub struct Served {
    /// Streams may speak TLS.
    pub tls: bool,
    /// Streams may speak HTTPS.
    pub https: bool,
}

/// This version.
pub const SERVED: Served = Served { tls: false, https: false };

impl Units {
    /// Translates a configuration.
    pub fn new(loaded: &Loaded) -> Self {
        Self::with(loaded, SERVED)
    }

    fn with(loaded: &Loaded, served: Served) -> Self {
        let mut draft = Draft { loaded, notes: Vec::new() };
        let sections = [
            ("prebound.socket", listen::sockets(&mut draft, served)),
            ("prebound-control.socket", listen::control(&mut draft)),
            ("prebound.service", services::daemon(&mut draft)),
            ("prebound-egress.service", services::broker(&mut draft)),
        ];
        let source = loaded.path.as_deref().unwrap_or_else(|| Path::new("built-in defaults"));
        let drop_ins = sections
            .into_iter()
            .filter(|(_, body)| !body.is_empty())
            .map(|(unit, body)| {
                let source = source.display();
                let text = format!("# Made from {source}: change it there.\n{body}");
                DropIn { unit, text }
            })
            .collect();
        Self { drop_ins, notes: draft.notes }
    }

    /// Writes the drop-ins below a directory of units, and removes those of an earlier time that are
    /// no longer needed.
    ///
    /// # Errors
    ///
    /// The first file that cannot be written or removed, and why.
    pub fn write(&self, directory: &Path) -> Result<(), (PathBuf, io::Error)> {
        for unit in UNITS {
            let path = directory.join(format!("{unit}.d")).join(NAME);
            let wanted = self.drop_ins.iter().find(|drop_in| drop_in.unit == unit);
            let done = match wanted {
                Some(drop_in) => written(&path, &drop_in.text),
                None => removed(&path),
            };
            done.map_err(|error| (path, error))?;
        }
        Ok(())
    }
}

/// The units that may get a drop-in.
const UNITS: [&str; 4] =
    ["prebound.socket", "prebound-control.socket", "prebound.service", "prebound-egress.service"];

fn written(path: &Path, text: &str) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::write(path, text)
}

fn removed(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Each file with its name as a comment, one after the other.
impl fmt::Display for Units {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, drop_in) in self.drop_ins.iter().enumerate() {
            let gap = if number == 0 { "" } else { "\n" };
            write!(f, "{gap}# {}\n{}", drop_in.path().display(), drop_in.text)?;
        }
        Ok(())
    }
}

/// The configuration, and what was found that cannot be expressed.
struct Draft<'a> {
    loaded: &'a Loaded,
    notes: Vec<Note>,
}

impl Draft<'_> {
    fn note(&mut self, span: Option<Span>, text: String) {
        let place = span.map(|span| self.loaded.sources.place(span));
        self.notes.push(Note { place, text });
    }

    /// Where an option was given last.
    fn span(&self, option: &str) -> Option<Span> {
        self.loaded.settings.written(option).last().map(|(_, span)| span)
    }

    /// Whether any of these was written.
    fn any_given(&self, options: &[&str]) -> bool {
        options.iter().any(|option| self.span(option).is_some())
    }
}

/// A section of a unit file under construction; empty as long as nothing is in it.
#[derive(Debug, Default)]
struct Section(String);

impl Section {
    fn line(&mut self, key: &str, value: impl fmt::Display) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "{key}={value}");
    }

    fn named(self, name: &str) -> String {
        if self.0.is_empty() { self.0 } else { format!("[{name}]\n{}", self.0) }
    }
}

fn yes_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

/// A path as unit files want it: no specifier, no space.
fn escaped(path: &Path) -> String {
    path.to_string_lossy().replace('%', "%%").replace('\\', "\\\\").replace(' ', "\\x20")
}
