//! What the operator should know about a configuration that is accepted.

use std::fmt;
use std::path::PathBuf;

use super::source::{Place, Span};
use super::table::{Clause, Directive, Status};
use crate::wire::Name;

/// Something worth a line in the log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Notice {
    /// Where in the configuration; none when it is about what is not there.
    pub place: Option<Place>,
    /// What it is.
    pub kind: NoticeKind,
}

/// The kinds of notices.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum NoticeKind {
    /// An option is accepted without effect.
    NoEffect {
        /// The option.
        option: &'static str,
        /// Its clause.
        clause: Clause,
        /// How often it was given with a value that would do something.
        times: usize,
        /// Why, to be read behind the name of the option.
        why: &'static str,
    },
    /// An option does not do all it says.
    Partly {
        /// The option.
        option: &'static str,
        /// Its clause.
        clause: Clause,
        /// How often it was given.
        times: usize,
        /// What it does, to be read behind the name of the option.
        why: &'static str,
    },
    /// A module in `module-config:` that does not exist here.
    NoModule {
        /// The module.
        module: &'static str,
    },
    /// Two clauses of one kind for one zone: the first counts, as in Unbound.
    DuplicateZone {
        /// The kind.
        clause: Clause,
        /// The zone.
        name: Name,
    },
    /// A zone without servers: every question in it fails.
    NoServers {
        /// The kind of clause.
        clause: Clause,
        /// The zone.
        name: Name,
    },
    /// A zone that is to be kept as a copy and has neither a file nor a server to come from.
    NoSource {
        /// The kind of clause.
        clause: Clause,
        /// The zone.
        name: Name,
    },
    /// The validator is configured and nothing is validated, because the built-in anchors do not
    /// apply.
    NotValidating {
        /// The option they give way to.
        because: &'static str,
    },
    /// A zone is not validated, because the built-in anchors give way to its clause.
    ZoneNotValidated {
        /// The kind of clause.
        clause: Clause,
        /// The zone.
        name: Name,
    },
    /// `disable-edns-do:` has no effect, since there are trust anchors.
    NeedsDo,
    /// `auto-trust-anchor-file:` names a file that does not exist yet; the built-in anchors of
    /// the root are trusted until it does.
    AnchorFileMissing {
        /// The file.
        path: PathBuf,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{}:{}: ", place.path.display(), place.line)?;
        }
        match &self.kind {
            NoticeKind::NoEffect { option, clause, times, why }
            | NoticeKind::Partly { option, clause, times, why } => {
                write!(f, "'{option}'")?;
                if *clause != Clause::Server {
                    write!(f, " in '{clause}:'")?;
                }
                if *times > 1 {
                    write!(f, " (given {times} times)")?;
                }
                write!(f, " {why}")
            }
            NoticeKind::NoModule { module } => {
                write!(f, "module '{module}' is not supported and skipped")
            }
            NoticeKind::DuplicateZone { clause, name } => {
                write!(f, "second '{clause}:' for '{name}' is ignored")
            }
            NoticeKind::NoServers { clause, name } => {
                write!(f, "'{clause}:' for '{name}' has no server: questions in it will fail")
            }
            NoticeKind::NoSource { clause, name } => write!(
                f,
                "'{clause}:' for '{name}' has no 'zonefile:' and no 'primary:' it could come from"
            ),
            NoticeKind::NotValidating { because } => write!(
                f,
                "nothing is validated: the built-in trust anchors do not apply with '{because}', \
                 and no other is configured"
            ),
            NoticeKind::ZoneNotValidated { clause, name } => write!(
                f,
                "'{name}' is not validated: the built-in trust anchors do not apply to the zone \
                 of a '{clause}:', and no other is configured"
            ),
            NoticeKind::NeedsDo => write!(
                f,
                "'disable-edns-do' has no effect: validation needs what servers send with DO only"
            ),
            NoticeKind::AnchorFileMissing { path } => write!(
                f,
                "'{}' does not exist: the built-in trust anchors are used",
                path.display()
            ),
        }
    }
}

/// An option without effect, or without all of it, counted while files are read.
#[derive(Debug)]
pub(super) struct Ignored {
    partly: bool,
    option: &'static str,
    clause: Clause,
    why: &'static str,
    pub(super) span: Span,
    times: usize,
}

impl Ignored {
    /// Notes that an option was given, if that should have had an effect and has none.
    pub(super) fn note(list: &mut Vec<Self>, row: &Directive, value: &str, span: Span) {
        let (partly, why, moot) = match row.status {
            Status::Implemented => return,
            Status::Partly { why } => (true, why, None),
            Status::Ignored { why, moot } => (false, why, moot),
        };
        let moot = value == row.default || moot == Some(value);
        if moot && !row.list {
            return;
        }
        match list.iter_mut().find(|seen| seen.option == row.name && seen.clause == row.clause) {
            Some(seen) => seen.times += 1,
            None => {
                let (option, clause) = (row.name, row.clause);
                list.push(Self { partly, option, clause, why, span, times: 1 });
            }
        }
    }

    pub(super) fn kind(&self) -> NoticeKind {
        let Self { option, clause, why, times, .. } = *self;
        match self.partly {
            true => NoticeKind::Partly { option, clause, times, why },
            false => NoticeKind::NoEffect { option, clause, times, why },
        }
    }
}
