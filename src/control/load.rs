//! `load_cache`: what `dump_cache` of this program or of Unbound wrote, taken back.
//!
//! Whoever may send this could as well configure local data: what a file says is believed, within
//! limits. Secure is only what has signatures; what was bogus or has failed is left out; nothing
//! here tells the resolver whom to ask. A line that is wrong ends the load and is named; what came
//! before it stays.

use std::collections::HashMap;

use thiserror::Error;

use super::dump::{SECURITY, TRUST};
use crate::cache::{Answer, Cache, Rank};
use crate::clock::Now;
use crate::config::{self, RecordError};
use crate::status::SecurityStatus;
use crate::wire::{Class, Name, NameError, Question, Rcode, Rdata, RecordType, Rrset, Rrsig};

/// Most records and signatures of one RRset, and most RRsets of one message.
const MOST: usize = 4096;
/// Most RRsets that are kept aside because only whole answers may have them.
const ASIDE: usize = 100_000;

/// What is wrong with a line.
#[derive(Debug, Error)]
pub(super) enum LoadError {
    #[error("expected '{expected}', found '{found}'")]
    Expected { expected: &'static str, found: String },
    #[error("{what} is not a number in its range: '{found}'")]
    Number { what: &'static str, found: String },
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("malformed name '{found}': {error}")]
    Name { found: String, error: NameError },
    #[error("unknown type or class in '{found}'")]
    Type { found: String },
    #[error("record of another RRset: {found}")]
    OtherRrset { found: String },
    #[error("the file ends before EOF")]
    Short,
}

/// Where in the file we are.
enum Place {
    Start,
    Rrsets,
    /// In an RRset that still lacks records.
    Records(Box<Rrsets>),
    BetweenCaches,
    Messages,
    /// In a message that still lacks references to RRsets.
    References(Box<Message>),
    AfterMessages,
    End,
}

/// An RRset whose records are being read.
struct Rrsets {
    ttl: u32,
    records: usize,
    signatures: usize,
    rank: Rank,
    status: SecurityStatus,
    rrset: Option<Rrset>,
}

/// An answer whose references are being read.
struct Message {
    answer: Answer,
    /// RRsets that each section still lacks.
    left: [usize; 3],
    /// An RRset was not there, so that the answer cannot be made.
    incomplete: bool,
}

/// Reads a dump line by line.
pub(super) struct Loader<'a> {
    cache: &'a Cache,
    /// Nothing is validated here: what nobody looked at is as good as it gets.
    validates: bool,
    now: Now,
    place: Place,
    line: usize,
    /// RRsets made from wildcards: true only with the proof that stands in their answers.
    aside: HashMap<(Name, RecordType), (Rrset, SecurityStatus)>,
}

impl<'a> Loader<'a> {
    pub(super) fn new(cache: &'a Cache, validates: bool, now: Now) -> Self {
        let (place, aside) = (Place::Start, HashMap::new());
        Self { cache, validates, now, place, line: 0, aside }
    }

    /// Takes a line; true when it was the last.
    pub(super) fn line(&mut self, line: &str) -> Result<bool, String> {
        self.line += 1;
        let place = std::mem::replace(&mut self.place, Place::End);
        match self.step(place, line) {
            Ok(place) => {
                self.place = place;
                Ok(matches!(self.place, Place::End))
            }
            Err(error) => Err(format!("error in line {} of the cache: {error}\n", self.line)),
        }
    }

    /// There are no more lines.
    pub(super) fn ended(&self) -> String {
        format!("error in line {} of the cache: {}\n", self.line, LoadError::Short)
    }

    fn step(&mut self, place: Place, line: &str) -> Result<Place, LoadError> {
        match (place, line) {
            (Place::Start, "START_RRSET_CACHE") => Ok(Place::Rrsets),
            (Place::Start, _) => Err(expected("START_RRSET_CACHE", line)),
            (Place::Rrsets, "END_RRSET_CACHE") => Ok(Place::BetweenCaches),
            (Place::Rrsets, _) => Ok(Place::Records(Box::new(self.rrset_head(line)?))),
            (Place::Records(rrset), _) => self.record(rrset, line),
            (Place::BetweenCaches, "START_MSG_CACHE") => Ok(Place::Messages),
            (Place::BetweenCaches, _) => Err(expected("START_MSG_CACHE", line)),
            (Place::Messages, "END_MSG_CACHE") => Ok(Place::AfterMessages),
            (Place::Messages, _) => {
                let message = self.message_head(line)?;
                Ok(self.message(Box::new(message)))
            }
            (Place::References(message), _) => self.reference(message, line),
            (Place::AfterMessages, "EOF") => Ok(Place::End),
            (Place::AfterMessages, _) => Err(expected("EOF", line)),
            (Place::End, _) => Ok(Place::End),
        }
    }

    //--- RRsets

    /// `;rrset [nsec_apex] TTL RECORDS SIGNATURES TRUST SECURITY`
    fn rrset_head(&self, line: &str) -> Result<Rrsets, LoadError> {
        let rest = line.strip_prefix(";rrset").ok_or_else(|| expected(";rrset", line))?;
        let rest = rest.strip_prefix(" nsec_apex").unwrap_or(rest);
        let mut words = rest.split_ascii_whitespace();
        let ttl = number(words.next(), "TTL", i32::MAX as usize)?;
        let records = number(words.next(), "number of records", MOST)?;
        let signatures = number(words.next(), "number of signatures", MOST)?;
        let trust = number(words.next(), "trust", 12)?;
        let security = number(words.next(), "security", 5)?;
        let status = self.status(security, signatures > 0);
        let rank = match (trust, status) {
            (_, SecurityStatus::Secure) => Rank::Secure,
            (9.., _) => Rank::AnswerAa,
            (4, _) => Rank::AnswerNoAa,
            (6, _) => Rank::AdditionalNoAa,
            _ => {
                let known = TRUST.iter().find(|row| row.1 as usize == trust);
                known.map_or(Rank::AdditionalNoAa, |row| row.0)
            }
        };
        let ttl = u32::try_from(ttl).unwrap_or(0);
        Ok(Rrsets { ttl, records, signatures, rank, status, rrset: None })
    }

    fn status(&self, security: usize, signed: bool) -> SecurityStatus {
        let known = SECURITY.iter().find(|row| row.1 as usize == security);
        match known.map_or(SecurityStatus::Indeterminate, |row| row.0) {
            SecurityStatus::Secure if !signed => SecurityStatus::Indeterminate,
            SecurityStatus::Indeterminate if !self.validates => SecurityStatus::Insecure,
            status => status,
        }
    }

    fn record(&mut self, mut rrset: Box<Rrsets>, line: &str) -> Result<Place, LoadError> {
        let record = config::record(line)?;
        let other = || LoadError::OtherRrset { found: line.to_owned() };
        let ttl = rrset.ttl;
        if rrset.records > 0 {
            rrset.records -= 1;
            let set = rrset
                .rrset
                .get_or_insert_with(|| Rrset::new(record.owner.clone(), record.rtype, ttl, vec![]));
            if !set.is(&record.owner, record.rtype) || record.class != Class::IN {
                return Err(other());
            }
            set.rdata.push(record.rdata);
        } else {
            rrset.signatures = rrset.signatures.saturating_sub(1);
            let set = rrset.rrset.as_mut().ok_or_else(other)?;
            let covers = record.rdata.covered_type() == Some(set.rtype);
            if record.rtype != RecordType::RRSIG || record.owner != set.owner || !covers {
                return Err(other());
            }
            set.signatures.push(record.rdata);
        }
        if rrset.records + rrset.signatures > 0 {
            return Ok(Place::Records(rrset));
        }
        if let Some(set) = rrset.rrset {
            self.store(set, rrset.rank, rrset.status);
        }
        Ok(Place::Rrsets)
    }

    fn store(&mut self, rrset: Rrset, rank: Rank, status: SecurityStatus) {
        if !is_expanded(&rrset) {
            self.cache.store_rrset(&rrset, rank, status, self.now);
        } else if self.aside.len() < ASIDE {
            self.aside.insert((rrset.owner.clone(), rrset.rtype), (rrset, status));
        }
    }

    //--- Messages

    /// `msg NAME CLASS TYPE FLAGS QDCOUNT TTL SECURITY ANSWER AUTHORITY ADDITIONAL ...`
    fn message_head(&self, line: &str) -> Result<Message, LoadError> {
        let rest = line.strip_prefix("msg ").ok_or_else(|| expected("msg", line))?;
        let mut words = rest.split_ascii_whitespace();
        let question = question(&mut words, line)?;
        let flags = number(words.next(), "flags", u16::MAX.into())?;
        number(words.next(), "number of questions", 1)?;
        number(words.next(), "TTL", i32::MAX as usize)?;
        let security = number(words.next(), "security", 5)?;
        let mut left = [0; 3];
        for count in &mut left {
            *count = number(words.next(), "number of RRsets", MOST)?;
        }
        let rcode = Rcode(u16::try_from(flags & 0xf).unwrap_or(0));
        let mut answer = Answer::empty(question, rcode);
        answer.status = self.status(security, true);
        Ok(Message { answer, left, incomplete: false })
    }

    /// `NAME CLASS TYPE FLAGS`
    fn reference(&mut self, mut message: Box<Message>, line: &str) -> Result<Place, LoadError> {
        let mut words = line.split_ascii_whitespace();
        let Question { name, rtype, .. } = question(&mut words, line)?;
        let section = message.left.iter().position(|left| *left > 0).unwrap_or(2);
        let found = self.aside.get(&(name.clone(), rtype)).cloned().or_else(|| {
            let found = self.cache.rrset(&name, rtype, self.now)?;
            Some((found.rrset, found.status))
        });
        if let Some(left) = message.left.get_mut(section) {
            *left = left.saturating_sub(1);
        }
        match found {
            Some((rrset, status)) => {
                let answer = &mut message.answer;
                // What comes along is not proven by the answer, and proves nothing of it.
                match section {
                    0 => answer.answer.push(rrset),
                    1 => answer.authority.push(rrset),
                    _ => answer.additional.push(rrset),
                }
                if section < 2 {
                    answer.status = answer.status.min(status);
                }
            }
            None => message.incomplete = true,
        }
        Ok(self.message(message))
    }

    /// Stores the answer when nothing is missing.
    fn message(&self, message: Box<Message>) -> Place {
        if message.left.iter().any(|left| *left > 0) {
            return Place::References(message);
        }
        let answer = &message.answer;
        let empty = answer.answer.is_empty() && answer.authority.is_empty();
        let of_use = matches!(answer.rcode, Rcode::NOERROR | Rcode::NXDOMAIN)
            && answer.status != SecurityStatus::Bogus
            && answer.question.class == Class::IN;
        // An answer without any record has nothing that says for how long it holds.
        if of_use && !empty && !message.incomplete {
            self.cache.store_answer(answer, self.now);
        }
        Place::Messages
    }
}

fn expected(expected: &'static str, found: &str) -> LoadError {
    LoadError::Expected { expected, found: found.chars().take(80).collect() }
}

fn number(word: Option<&str>, what: &'static str, most: usize) -> Result<usize, LoadError> {
    let word = word.unwrap_or_default();
    let number = word.parse().ok().filter(|number| *number <= most);
    number.ok_or_else(|| LoadError::Number { what, found: word.to_owned() })
}

fn question<'a>(
    words: &mut impl Iterator<Item = &'a str>,
    line: &str,
) -> Result<Question, LoadError> {
    let mut word = || words.next().unwrap_or_default();
    let (name, class, rtype) = (word(), word(), word());
    let unknown = || LoadError::Type { found: line.to_owned() };
    let class = class.parse::<Class>().map_err(|_| unknown())?;
    let rtype = rtype.parse::<RecordType>().map_err(|_| unknown())?;
    let read = name.parse::<Name>();
    let name = read.map_err(|error| LoadError::Name { found: name.to_owned(), error })?;
    Ok(Question { name, rtype, class })
}

/// Whether the signatures say that the RRset was made from a wildcard (RFC 4035 §5.3.4).
fn is_expanded(rrset: &Rrset) -> bool {
    let labels = rrset.owner.rrsig_labels();
    let made =
        |rdata: &Rdata| Rrsig::parse(rdata).is_some_and(|sig| usize::from(sig.labels) < labels);
    rrset.signatures.iter().any(made)
}
