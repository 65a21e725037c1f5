//! One row per option: everything the program knows about it.
//!
//! The parser, the notices about options without effect, and `get_option` read these rows. An
//! option we accept but do not implement is a row too, with the reason, so that an existing
//! unbound.conf loads and the operator is told.

mod clients;
mod listen;
mod modules;
mod resolve;
mod rows;
mod zones;

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

use super::draft::Draft;
use super::lexer::Value;
use super::shape::{Shape, ValueError, nearest};

/// A group of options: `server:` and its like.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Clause {
    /// `server:`
    Server,
    /// `remote-control:`
    RemoteControl,
    /// `forward-zone:`, once per zone.
    ForwardZone,
    /// `stub-zone:`, once per zone.
    StubZone,
    /// `auth-zone:`, once per zone.
    AuthZone,
    /// `rpz:`, once per zone.
    Rpz,
    /// `view:`, once per view.
    View,
    /// `cachedb:`
    Cachedb,
    /// `dnstap:`
    Dnstap,
    /// `dnscrypt:`
    Dnscrypt,
    /// `ipset:`
    Ipset,
    /// `python:`
    Python,
    /// `dynlib:`
    Dynlib,
}

impl Clause {
    /// Every clause with its name.
    pub const NAMES: &'static [(&'static str, Self)] = &[
        ("server", Self::Server),
        ("remote-control", Self::RemoteControl),
        ("forward-zone", Self::ForwardZone),
        ("stub-zone", Self::StubZone),
        ("auth-zone", Self::AuthZone),
        ("rpz", Self::Rpz),
        ("view", Self::View),
        ("cachedb", Self::Cachedb),
        ("dnstap", Self::Dnstap),
        ("dnscrypt", Self::Dnscrypt),
        ("ipset", Self::Ipset),
        ("python", Self::Python),
        ("dynlib", Self::Dynlib),
    ];

    /// The clause of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|row| row.0 == name).map(|row| row.1)
    }

    /// Whether each clause of this kind is a thing of its own, with a name.
    pub(super) fn is_named(self) -> bool {
        matches!(self, Self::ForwardZone | Self::StubZone | Self::AuthZone | Self::Rpz | Self::View)
    }
}

impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|row| row.1 == *self).map_or("", |row| row.0);
        f.write_str(name)
    }
}

/// Whether an option does something here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Status {
    /// It does what it says.
    Implemented,
    /// It does not do all it says.
    Partly {
        /// What it does and what not, as the end of a sentence that begins with the option.
        why: &'static str,
    },
    /// It is accepted without effect.
    Ignored {
        /// Why, as the end of a sentence that begins with the option.
        why: &'static str,
        /// A value, besides the default, that asks for nothing else than what we do.
        moot: Option<&'static str>,
    },
}

/// One option of one clause.
#[derive(Debug)]
pub struct Directive {
    /// Where it stands.
    pub clause: Clause,
    /// As spelled in unbound.conf, without the colon.
    pub name: &'static str,
    /// What its values look like.
    pub shape: Shape,
    /// What holds when it is not given, as it would be written; empty for lists.
    pub default: &'static str,
    /// Whether it can be given several times, each time adding to a list.
    pub list: bool,
    /// Whether it does something.
    pub status: Status,
    /// What it does, in a sentence.
    pub help: &'static str,
    set: Setter,
}

/// Puts the checked values of an option where they belong.
pub(super) type Setter = fn(&mut Draft, &[Value]) -> Result<(), ArgError>;

/// Which value is wrong, counted from 0, and how.
pub(super) type ArgError = (usize, ValueError);

impl Directive {
    /// Checks `values` and puts them into `draft`; what it returns is the text `get_option` shows.
    pub(super) fn apply(&self, draft: &mut Draft, values: &[Value]) -> Result<String, ArgError> {
        let mut shown = String::new();
        for (index, value) in values.iter().enumerate() {
            let part = self.shape.part(index).check(&value.text).map_err(|error| (index, error))?;
            if index > 0 {
                shown.push(' ');
            }
            shown.push_str(&part);
        }
        (self.set)(draft, values)?;
        Ok(shown)
    }
}

/// Why options are without effect, where several share a reason.
mod why {
    pub(super) const SOCKETS: &str = "has no effect: whoever starts the daemon opens its listeners";
    pub(super) const BROKER: &str = "has no effect: the broker opens outgoing sockets";
    pub(super) const SERVICE: &str =
        "has no effect: user, directory and background belong to the service manager";
    pub(super) const LOG: &str = "has no effect: logs go to standard error or the journal";
    pub(super) const SLABS: &str = "has no effect: the cache is not divided into slabs";
    pub(super) const MODULE: &str = "has no effect: its module is not supported";
    pub(super) const NOT_YET: &str = "has no effect yet";
    pub(super) const ALWAYS: &str = "has no effect: it is always on";
    pub(super) const DEADLINE: &str =
        "has no effect: every client has its answer within four seconds";
    pub(super) const TLS: &str = "has no effect yet: TLS is not supported";
    pub(super) const HTTP: &str = "has no effect yet: HTTPS is not supported";
    pub(super) const NO_EFFECT_THERE: &str = "has no effect, in current Unbound neither";
    pub(super) const NO_HTTP: &str = "has no effect: zones are not downloaded over HTTP";
}

const TABLES: &[&[Directive]] = &[
    listen::SERVER,
    clients::SERVER,
    resolve::SERVER,
    modules::SERVER,
    zones::FORWARD,
    zones::STUB,
    zones::AUTH,
    zones::RPZ,
    zones::VIEW,
    modules::REMOTE_CONTROL,
    modules::CACHEDB,
    modules::DNSTAP,
    modules::DNSCRYPT,
    modules::IPSET,
    modules::PYTHON,
    modules::DYNLIB,
];

/// Other spellings of options, the clause they are for, and the usual spelling.
const ALIASES: &[(&str, Clause, &str)] = &[
    ("ip-address", Clause::Server, "interface"),
    ("ssl-upstream", Clause::Server, "tls-upstream"),
    ("ssl-service-key", Clause::Server, "tls-service-key"),
    ("ssl-service-pem", Clause::Server, "tls-service-pem"),
    ("ssl-port", Clause::Server, "tls-port"),
    ("ssl-cert-bundle", Clause::Server, "tls-cert-bundle"),
    ("tls-win-cert", Clause::Server, "tls-system-cert"),
    ("additional-ssl-port", Clause::Server, "tls-additional-port"),
    ("additional-tls-port", Clause::Server, "tls-additional-port"),
    ("tls-additional-ports", Clause::Server, "tls-additional-port"),
    ("caps-whitelist", Clause::Server, "caps-exempt"),
    ("low-rtt-pct", Clause::Server, "fast-server-permil"),
    ("low-rtt-permil", Clause::Server, "fast-server-permil"),
    ("ipsecmod-whitelist", Clause::Server, "ipsecmod-allow"),
    ("stub-ssl-upstream", Clause::StubZone, "stub-tls-upstream"),
    ("forward-ssl-upstream", Clause::ForwardZone, "forward-tls-upstream"),
    ("master", Clause::AuthZone, "primary"),
    ("master", Clause::Rpz, "primary"),
];

/// Every option, clause by clause.
pub fn directives() -> impl Iterator<Item = &'static Directive> {
    TABLES.iter().copied().flatten()
}

/// The option `name` of `clause`, in any of its spellings.
pub fn find(clause: Clause, name: &str) -> Option<&'static Directive> {
    // Lists of blocked names have hundreds of thousands of lines, each looked up here.
    static INDEX: OnceLock<HashMap<(Clause, &str), &Directive>> = OnceLock::new();
    let index = INDEX.get_or_init(|| {
        let mut index: HashMap<_, _> =
            directives().map(|row| ((row.clause, row.name), row)).collect();
        for (alias, clause, name) in ALIASES {
            if let Some(row) = index.get(&(*clause, *name)).copied() {
                index.insert((*clause, *alias), row);
            }
        }
        index
    });
    index.get(&(clause, name)).copied()
}

/// The clauses that have an option `name`.
pub(super) fn clauses_with(name: &str) -> Vec<Clause> {
    Clause::NAMES.iter().map(|row| row.1).filter(|clause| find(*clause, name).is_some()).collect()
}

/// Whether `name` is the name of an option or a clause.
pub(super) fn is_known(name: &str) -> bool {
    Clause::named(name).is_some() || INCLUDES.contains(&name) || !clauses_with(name).is_empty()
}

/// The two directives that are no options.
pub(super) const INCLUDES: [&str; 2] = ["include", "include-toplevel"];

/// The name that was probably meant by `name`: of `clause`, or else of any.
pub(super) fn nearest_name(clause: Option<Clause>, name: &str) -> Option<&'static str> {
    let options = |clause: Option<Clause>| {
        directives().filter(move |row| clause.is_none_or(|c| row.clause == c)).map(|row| row.name)
    };
    let clauses = || Clause::NAMES.iter().map(|row| row.0).chain(INCLUDES);
    clause
        .and_then(|clause| nearest(name, options(Some(clause)).chain(clauses())))
        .or_else(|| nearest(name, options(None).chain(clauses())))
}
