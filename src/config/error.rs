//! What is wrong with a configuration, shown as a compiler would.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

use super::master::RecordError;
use super::shape::{Fix, ValueError};
use super::source::{Place, Sources, Span};
use super::table::Clause;

/// Everything that is wrong with a configuration; never empty. `Display` shows each mistake with
/// its line and what would be right.
#[derive(Clone, Debug, Error)]
#[error("{}", Rendered(self))]
pub struct Errors {
    pub(super) sources: Sources,
    pub(super) list: Vec<Error>,
}

impl Errors {
    /// The mistakes, in the order found.
    pub fn list(&self) -> &[Error] {
        &self.list
    }

    /// The files the mistakes are in.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }
}

/// One mistake.
#[derive(Clone, Debug)]
pub struct Error {
    /// Where it is; none when there is no file to point into.
    pub span: Option<Span>,
    /// What it is.
    pub kind: ErrorKind,
}

/// The kinds of mistakes.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file that is named cannot be read.
    #[error("cannot read '{}': {}", path.display(), source)]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// A file includes itself, directly or through others.
    #[error("'{}' is being read already: it includes itself", path.display())]
    IncludeLoop {
        /// The file.
        path: PathBuf,
    },
    /// Includes in includes, too many to be meant.
    #[error("includes are nested more than {max} deep")]
    IncludeDepth {
        /// How deep they may be.
        max: usize,
    },
    /// The pattern after `include:` is malformed.
    #[error("malformed pattern: {message}")]
    IncludePattern {
        /// What is wrong with it.
        message: &'static str,
    },
    /// `include: ""`.
    #[error("expected a file name")]
    EmptyFileName,
    /// A quote that does not end in its line.
    #[error("missing closing {quote}")]
    OpenQuote {
        /// The kind of quote.
        quote: char,
    },
    /// A value that is not UTF-8.
    #[error("value is not UTF-8 text")]
    NotUtf8,
    /// An option nobody knows.
    #[error("unknown option '{name}'")]
    UnknownOption {
        /// As written.
        name: String,
        /// The known option it looks most like.
        nearest: Option<&'static str>,
    },
    /// An option in a clause it does not belong to.
    #[error("option '{name}' does not belong into '{clause}:'")]
    WrongClause {
        /// As written.
        name: String,
        /// Where it stands.
        clause: Clause,
        /// Where it belongs.
        belongs: Vec<Clause>,
    },
    /// An option before the first clause, or after `include-toplevel:`.
    #[error("option '{name}' stands outside of a clause")]
    NoClause {
        /// As written.
        name: String,
        /// Where it belongs; empty for an unknown option.
        belongs: Vec<Clause>,
    },
    /// A word that is neither option nor value.
    #[error("expected an option, found '{word}'")]
    Stray {
        /// The word.
        word: String,
        /// Whether it is the name of an option or a clause.
        known: bool,
    },
    /// More values than the option takes.
    #[error("too many values: '{option}' takes {takes}")]
    ExtraValue {
        /// The option.
        option: &'static str,
        /// How many values it takes.
        takes: usize,
    },
    /// Fewer values than the option takes.
    #[error("'{option}' has no value")]
    MissingValue {
        /// The option.
        option: &'static str,
        /// What it takes, in words.
        expects: String,
    },
    /// A value the option cannot have.
    #[error("{error}")]
    BadValue {
        /// The option.
        option: &'static str,
        /// What is wrong.
        error: ValueError,
    },
    /// A `forward-zone:`, `stub-zone:` or other clause without `name:`.
    #[error("'{clause}:' has no 'name:'")]
    Nameless {
        /// The clause.
        clause: Clause,
    },
    /// Two options that cannot both have the same value.
    #[error("'{option}' and '{other}' cannot both be {value}")]
    Conflict {
        /// The option pointed at, which was given last.
        option: &'static str,
        /// The other.
        other: &'static str,
        /// The value.
        value: &'static str,
    },
    /// A record in a file is malformed.
    #[error("{0}")]
    Record(RecordError),
    /// A file of trust anchors that holds none.
    #[error("'{}' holds no trust anchor", path.display())]
    NoAnchor {
        /// The file.
        path: PathBuf,
    },
    /// A file of certificates without any.
    #[error("'{}' holds no certificate", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// A file of root hints that holds no name server with an address.
    #[error("'{}' holds no name server of the root with an address", path.display())]
    NoHint {
        /// The file.
        path: PathBuf,
    },
    /// A file of keys in the style of BIND that breaks its syntax.
    #[error("expected {expected}")]
    Keys {
        /// What should stand here.
        expected: &'static str,
    },
}

impl ErrorKind {
    /// What would be right, if that can be said.
    fn help(&self) -> Option<String> {
        match self {
            Self::UnknownOption { nearest: Some(near), .. } => {
                Some(format!("did you mean `{near}`?"))
            }
            Self::WrongClause { belongs, .. } => Some(format!("put it below {}", any_of(belongs))),
            Self::NoClause { belongs, .. } if !belongs.is_empty() => {
                Some(format!("put {} above it", any_of(belongs)))
            }
            Self::Stray { word, known: true } => {
                Some(format!("the name ends with a colon: `{word}:`"))
            }
            Self::ExtraValue { takes: 1, .. } => {
                Some("a value with spaces needs quotes around it".to_owned())
            }
            Self::MissingValue { expects, .. } => Some(format!("expected {expects}")),
            Self::BadValue { option, error } => error.fix().map(|fix| match fix {
                Fix::Value(value) => format!("write `{option}: {value}`"),
                Fix::DidYouMean(word) => format!("did you mean `{word}`?"),
                Fix::Note(note) => note.to_owned(),
            }),
            _ => None,
        }
    }
}

/// `` `server:` or `view:` ``.
fn any_of(clauses: &[Clause]) -> String {
    let names: Vec<String> = clauses.iter().map(|clause| format!("`{clause}:`")).collect();
    names.join(" or ")
}

struct Rendered<'a>(&'a Errors);

impl fmt::Display for Rendered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for error in &self.0.list {
            match error.span {
                Some(span) => {
                    let place: Place = self.0.sources.place(span);
                    writeln!(f, "{place}: error: {}", error.kind)?;
                    self.0.sources.quote(span, f)?;
                }
                None => writeln!(f, "error: {}", error.kind)?,
            }
            if let Some(help) = error.kind.help() {
                writeln!(f, "      = help: {help}")?;
            }
        }
        Ok(())
    }
}
