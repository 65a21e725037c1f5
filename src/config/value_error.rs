//! Why the text of a value does not fit its option.

use std::fmt;

use thiserror::Error;

use super::master::RecordError;
use super::net::NetblockError;
use crate::wire::NameError;

/// A value that does not have the form of its option.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum ValueError {
    /// Not [`Shape::YesNo`](super::shape::Shape::YesNo).
    #[error("expected yes or no")]
    YesNo {
        /// What was probably meant.
        meant: Option<bool>,
    },
    /// Not a number, or not in its range.
    #[error("expected a number from {min} to {max}")]
    Number {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// A number without an upper end that matters.
    #[error("expected a number, at least {min}")]
    AtLeast {
        /// The least.
        min: i64,
    },
    /// Not [`Shape::PowerOfTwo`](super::shape::Shape::PowerOfTwo).
    #[error("expected a power of 2")]
    PowerOfTwo,
    /// Not [`Shape::Size`](super::shape::Shape::Size).
    #[error("expected a number of bytes such as 65536, 64k, 4m or 1g")]
    Size,
    /// Not one of the words.
    #[error("expected {}", Choices(choices))]
    OneOf {
        /// The words.
        choices: &'static [&'static str],
        /// The one it looks most like.
        nearest: Option<&'static str>,
    },
    /// Not [`Shape::Address`](super::shape::Shape::Address).
    #[error("expected an IPv4 or IPv6 address")]
    Address,
    /// What follows `@` is not a port.
    #[error("expected a port from 1 to 65535 after '@'")]
    Port,
    /// A server given by address is needed, and a name was given.
    #[error("expected an IPv4 or IPv6 address, with @PORT and #NAME or without")]
    Server {
        /// Whether a name would do in the sibling option.
        is_name: bool,
    },
    /// Not [`Shape::Netblock`](super::shape::Shape::Netblock).
    #[error(transparent)]
    Netblock(#[from] NetblockError),
    /// Not [`Shape::Prefix64`](super::shape::Shape::Prefix64).
    #[error("expected an IPv6 prefix of 32, 40, 48, 56, 64 or 96 bits")]
    Prefix64,
    /// Not [`Shape::Name`](super::shape::Shape::Name).
    #[error("expected a domain name: {0}")]
    Name(#[from] NameError),
    /// Not [`Shape::PortRange`](super::shape::Shape::PortRange).
    #[error("expected a port, or a range of ports such as 1024-2047")]
    PortRange,
    /// An unknown word in `module-config:`.
    #[error("unknown module '{name}'")]
    Module {
        /// The word.
        name: String,
        /// The module it looks most like.
        nearest: Option<&'static str>,
    },
    /// `module-config:` without the one module that resolves.
    #[error("'iterator' has to be the last module")]
    NoIterator,
    /// Not [`Shape::Date`](super::shape::Shape::Date).
    #[error("expected a date such as 20260731120000, seconds since 1970, or -1")]
    Date,
    /// Not [`Shape::Iterations`](super::shape::Shape::Iterations).
    #[error("expected pairs of key size and iterations, key sizes ascending")]
    Iterations,
    /// Not [`Shape::FetchPolicy`](super::shape::Shape::FetchPolicy).
    #[error("expected up to 16 numbers, each -1 or greater, with spaces between")]
    FetchPolicy,
    /// Not [`Shape::Nsid`](super::shape::Shape::Nsid).
    #[error("expected hexadecimal digits, or ascii_ and text")]
    Nsid,
    /// Not [`Shape::Hex`](super::shape::Shape::Hex).
    #[error("expected {digits} hexadecimal digits")]
    Hex {
        /// How many.
        digits: usize,
    },
    /// Not [`Shape::Record`](super::shape::Shape::Record).
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Not [`Shape::Anchor`](super::shape::Shape::Anchor).
    #[error("expected a DS or DNSKEY record")]
    NotAnAnchor,
    /// `yes` to an option that only the builds for tests have.
    #[error(
        "is for tests of the validator only: this program was built without the feature 'fake-sha1'"
    )]
    TestsOnly,
    /// Not [`Shape::PtrRecord`](super::shape::Shape::PtrRecord).
    #[error("expected an address and a name, with a TTL between or without")]
    PtrRecord,
    /// A tag that `define-tag:` does not name.
    #[error("tag '{name}' is not defined")]
    UnknownTag {
        /// The word.
        name: String,
    },
    /// A view that no `view:` clause is about.
    #[error("there is no view '{name}'")]
    UnknownView {
        /// The word.
        name: String,
    },
    /// `response-ip-data:` of a type that cannot stand in the place of the address.
    #[error("expected an address of the family of the netblock, or CNAME")]
    ResponseData,
    /// An alias and other data for the same netblock.
    #[error("CNAME cannot stand beside other data for the same netblock")]
    AliasBesideData,
    /// `rpz-action-override: cname` alone.
    #[error("the action cname needs rpz-cname-override")]
    NoCname,
}

/// What would be right instead of a value.
pub(super) enum Fix {
    /// This value.
    Value(&'static str),
    /// This word.
    DidYouMean(&'static str),
    /// Advice.
    Note(&'static str),
}

impl ValueError {
    /// What would be right, if that can be told.
    pub(super) fn fix(&self) -> Option<Fix> {
        match self {
            Self::YesNo { meant: Some(true) } => Some(Fix::Value("yes")),
            Self::YesNo { meant: Some(false) } => Some(Fix::Value("no")),
            Self::OneOf { nearest: Some(word), .. } | Self::Module { nearest: Some(word), .. } => {
                Some(Fix::DidYouMean(word))
            }
            Self::Server { is_name: true } => {
                Some(Fix::Note("a server known by name goes into the option that ends in -host"))
            }
            _ => None,
        }
    }
}

pub(super) struct Choices<'a>(pub(super) &'a [&'static str]);

impl fmt::Display for Choices<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => Ok(()),
            [only] => f.write_str(only),
            [first @ .., last] => write!(f, "{} or {last}", first.join(", ")),
        }
    }
}
