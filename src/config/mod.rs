//! unbound.conf: syntax, the table of options, and the checked configuration.
//!
//! [`load`] reads files into [`Loaded`]: the [`Config`] the rest of the program works with, the
//! [`Settings`] that `get_option` shows, and the [`Notice`]s the operator should see once.
//!
//! A file goes through three steps. The lexer splits it into names and values with their places;
//! the parser looks every option up in the table of [`directives`] and lets its row check and store
//! the values; when all files are read, what depends on several options or on other files is
//! settled. Every mistake is found, not only the first, and none of it is half applied: there is a
//! configuration or there are [`Errors`].

mod anchors;
mod auth;
mod certificates;
mod consult;
mod document;
mod draft;
mod error;
mod fields;
mod finish;
mod hints;
mod keys;
mod lexer;
mod master;
mod net;
mod notice;
mod parse;
mod policy;
mod policy_draft;
mod prefix64;
mod presentation;
mod resolved;
mod runtime;
mod settings;
mod shape;
mod source;
mod table;
#[cfg(test)]
mod tests;
mod value_error;
mod values;
mod zone;
mod zone_file;

use std::path::{Path, PathBuf};

use parse::Parser;

pub use auth::{AuthZone, Notifier, Primary, ZoneSource};
pub use document::options_document;
pub use error::{Error, ErrorKind, Errors};
pub use master::RecordError;
pub use net::{AccessAction, Netblock, NetblockError};
pub use notice::{Notice, NoticeKind};
pub use policy::{
    ClientRule, Listener, PolicyOptions, ResponseRules, Rpz, RpzOverride, Substitute, Tag, TagSet,
    View,
};
pub use prefix64::Prefix64;
pub use presentation::{rdata_text, write_rrset};
pub use resolved::Config;
pub use runtime::{SetError, record, set_option, zone_servers};
pub use settings::Settings;
pub use shape::Shape;
pub use source::{Place, Sources, Span};
pub use table::{Clause, Directive, Status, directives, find};
pub use value_error::ValueError;
pub use values::{Ede, Iterations, Module, Nsid, OutgoingPorts, ValDate};
pub use zone::{
    AnchorFile, AnchorKind, AnchorsInUse, Followed, ForwardAddr, ForwardHost, LocalZone,
    LocalZoneKind, RootHint, TrustAnchor, ZoneTarget,
};
pub use zone_file::{ZoneFileError, ZoneFileErrorKind, read_zone};

/// Where the configuration is looked for when no file is named; the first that exists counts.
pub const DEFAULT_PATHS: [&str; 2] = ["/etc/prebound/prebound.conf", "/etc/unbound/unbound.conf"];

/// A configuration and what came with it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The checked configuration.
    pub config: Config,
    /// What was written, as text.
    pub settings: Settings,
    /// What the operator should know; each thing once.
    pub notices: Vec<Notice>,
    /// The file that was read, includes aside; none for the built-in defaults.
    pub path: Option<PathBuf>,
    /// The files with their text, for places in them.
    pub sources: Sources,
    /// Every file that was read or looked for, and the patterns for files to include: what the next
    /// load will want to read.
    pub files: Vec<PathBuf>,
}

/// Reads `path` with everything it includes, or else the first of [`DEFAULT_PATHS`] that exists,
/// or else nothing, which gives the defaults.
///
/// Relative paths are relative to `directory:` once that was given, and before to the directory
/// of the file. `directory: ""` is the working directory of the process.
///
/// # Trust anchors
///
/// Configured anchors are used as in Unbound. Without any, Unbound does not validate, whereas we
/// trust the built-in keys of the root, KSK-2017 and KSK-2024, as long as `validator` is in
/// `module-config:` (it is by default) and nobody said that names come from elsewhere:
///
/// - With `root-hints:`, or a `stub-zone:` or `forward-zone:` for the root, the root may be another
///   one: nothing is validated, and a [`Notice`] says so.
/// - The names of other stub and forward zones count as [`Config::domain_insecure`], since the
///   real root denies or disowns most of them; a [`Notice`] says so for each.
///
/// An `auto-trust-anchor-file:` that does not exist yet stands for the built-in keys.
///
/// # Errors
///
/// [`Errors`] with every mistake that was found.
pub fn load(path: Option<&Path>) -> Result<Loaded, Errors> {
    let path = match path {
        Some(path) => Some(path),
        None => DEFAULT_PATHS.iter().map(Path::new).find(|path| path.exists()),
    };
    let mut parser = Parser::default();
    match path {
        Some(path) => parser.main_file(path),
        // Nobody expects us to be as silent as another program was with that file.
        None => parser.draft.config.ede = Ede::Failures,
    }
    finished(parser, path)
}

/// Reads `text` as if it were a file with the name `path`.
///
/// # Errors
///
/// [`Errors`] with every mistake that was found.
pub fn load_text(path: &Path, text: impl Into<Vec<u8>>) -> Result<Loaded, Errors> {
    let mut parser = Parser::default();
    parser.main_text(path, text.into());
    finished(parser, Some(path))
}

fn finished(mut parser: Parser, path: Option<&Path>) -> Result<Loaded, Errors> {
    let config = finish::finish(&mut parser);
    let Parser { sources, errors, settings, ignored, notices, mut looked_for, .. } = parser;
    if path.is_none() {
        looked_for.extend(DEFAULT_PATHS.map(PathBuf::from));
    }
    if !errors.is_empty() {
        return Err(Errors { sources, list: errors });
    }
    let ignored = ignored.iter().map(|ignored| (Some(ignored.span), ignored.kind()));
    let notices = ignored
        .chain(notices)
        .map(|(span, kind)| Notice { place: span.map(|span| sources.place(span)), kind })
        .collect();
    let path = path.map(Path::to_owned);
    Ok(Loaded { config, settings, notices, path, sources, files: looked_for })
}
