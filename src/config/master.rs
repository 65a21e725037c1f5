//! Records as text (RFC 1035 §5): trust anchors, root hints, local data.

use std::ops::Range;

use thiserror::Error;

use super::fields;
use crate::wire::{Class, Name, NameError, Rdata, Record, RecordType};

/// Why text is not a record.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum RecordError {
    /// There is no record.
    #[error("expected a record: owner, type and data")]
    Empty,
    /// The record stops too early.
    #[error("record ends where {expected} should stand")]
    Incomplete {
        /// What is missing.
        expected: &'static str,
    },
    /// A field is not what its type asks for.
    #[error("expected {expected} in the record, found '{found}'")]
    Field {
        /// What belongs there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// There is more than the type has fields.
    #[error("'{found}' is left over at the end of the record")]
    Extra {
        /// The first word too many.
        found: String,
    },
    /// Neither a known type nor `TYPE` with a number.
    #[error("unknown record type '{found}'")]
    Type {
        /// The word.
        found: String,
    },
    /// The fields of that type are not known; RFC 3597 form would do.
    #[error("records of type {rtype} can only be written as \\# LENGTH HEXADECIMAL")]
    GenericOnly {
        /// The type.
        rtype: RecordType,
    },
    /// The data is longer than a record can be, or has another length than it says.
    #[error("record data has the wrong length")]
    Length,
    /// A name in it is malformed.
    #[error("malformed domain name '{found}': {error}")]
    Name {
        /// The text.
        found: String,
        /// What is wrong with it.
        error: NameError,
    },
    /// A quote or parenthesis is not closed.
    #[error("missing closing {what}")]
    Open {
        /// Which.
        what: char,
    },
    /// `$INCLUDE` and `$GENERATE` are not followed here.
    #[error("directive '{found}' is not supported here")]
    Directive {
        /// The directive.
        found: String,
    },
    /// Text that is not UTF-8.
    #[error("record is not UTF-8 text")]
    NotUtf8,
}

/// A word of a record.
#[derive(Clone, Debug)]
pub(super) struct Word<'a> {
    /// Without quotes, escapes as they are.
    pub(super) text: &'a str,
    /// Whether there were quotes.
    pub(super) quoted: bool,
}

/// A record with what a file says around it.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    /// The bytes it takes, from its first word to its last.
    pub(super) range: Range<usize>,
    /// The record, or why it is none.
    pub(super) record: Result<Record, RecordError>,
    /// The comment behind it, without the first `;`.
    pub(super) comment: &'a [u8],
}

/// Reads the records of a file, one after the other.
pub(super) struct MasterFile<'a> {
    text: &'a [u8],
    at: usize,
    origin: Name,
    owner: Option<Name>,
    ttl: u32,
}

/// One logical line: parentheses join lines.
struct Line<'a> {
    range: Range<usize>,
    /// The line begins with a space: the owner is that of the record before.
    continues: bool,
    words: Vec<Word<'a>>,
    comment: &'a [u8],
}

impl<'a> MasterFile<'a> {
    /// Reads `text` with the root as origin and 3600 seconds as TTL.
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0, origin: Name::root(), owner: None, ttl: 3600 }
    }

    /// Reads `text` as part of a zone, with that origin, and TTL where none is written.
    pub(super) fn of_zone(text: &'a [u8], origin: Name, ttl: u32) -> Self {
        Self { origin, ttl, ..Self::new(text) }
    }

    /// The origin and the TTL in force.
    pub(super) fn state(&self) -> (&Name, u32) {
        (&self.origin, self.ttl)
    }

    /// The next line that has words or a comment; none at the end.
    fn line(&mut self) -> Option<Result<Line<'a>, (Range<usize>, RecordError)>> {
        let mut scan = Scan { text: self.text, at: self.at, depth: 0 };
        let line = scan.line();
        self.at = scan.at;
        line
    }

    fn directive(&mut self, words: &[Word<'_>]) -> Result<(), RecordError> {
        let (name, value) = match words {
            [name, value] => (name.text.to_ascii_uppercase(), value.text),
            [name, ..] => return Err(RecordError::Directive { found: name.text.to_owned() }),
            [] => return Ok(()),
        };
        match name.as_str() {
            "$ORIGIN" => self.origin = self.name(value)?,
            "$TTL" => {
                self.ttl = ttl(value).ok_or_else(|| RecordError::Field {
                    expected: "a TTL",
                    found: value.to_owned(),
                })?;
            }
            _ => return Err(RecordError::Directive { found: name }),
        }
        Ok(())
    }

    fn name(&self, text: &str) -> Result<Name, RecordError> {
        fields::name(text, &self.origin)
    }

    fn record(&mut self, line: &Line<'_>) -> Result<Record, RecordError> {
        let mut words = line.words.iter();
        let owner = if line.continues {
            self.owner.clone().ok_or(RecordError::Incomplete { expected: "an owner name" })?
        } else {
            let word = words.next().ok_or(RecordError::Empty)?;
            self.name(word.text)?
        };
        self.owner = Some(owner.clone());

        let (mut record_ttl, mut class) = (self.ttl, Class::IN);
        let rtype = loop {
            let word = words.next().ok_or(RecordError::Incomplete { expected: "a type" })?.text;
            if let Some(seconds) = ttl(word) {
                record_ttl = seconds;
            } else if let Ok(found) = word.parse() {
                class = found;
            } else {
                break word
                    .parse::<RecordType>()
                    .map_err(|_| RecordError::Type { found: word.to_owned() })?;
            }
        };
        let rdata = fields::rdata(rtype, words.as_slice(), &self.origin)?;
        Ok(Record { owner, rtype, class, ttl: record_ttl, rdata: Rdata::from_bytes(rdata) })
    }
}

impl<'a> Iterator for MasterFile<'a> {
    type Item = Entry<'a>;

    /// The next record; lines with a comment only are passed.
    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            let line = match self.line()? {
                Ok(line) => line,
                Err((range, error)) => {
                    return Some(Entry { range, record: Err(error), comment: b"" });
                }
            };
            let Some(first) = line.words.first() else { continue };
            let record = if first.text.starts_with('$') && !line.continues {
                match self.directive(&line.words) {
                    Ok(()) => continue,
                    Err(error) => Err(error),
                }
            } else {
                self.record(&line)
            };
            return Some(Entry { range: line.range, record, comment: line.comment });
        }
    }
}

struct Scan<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
}

impl<'a> Scan<'a> {
    fn line(&mut self) -> Option<Result<Line<'a>, (Range<usize>, RecordError)>> {
        let mut line = Line {
            range: self.at..self.at,
            continues: matches!(self.peek()?, b' ' | b'\t'),
            words: Vec::new(),
            comment: b"",
        };
        while let Some(byte) = self.peek() {
            let start = self.at;
            match byte {
                b'\n' if self.depth == 0 => {
                    self.at += 1;
                    return Some(Ok(line));
                }
                b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                b'(' => {
                    self.depth += 1;
                    self.at += 1;
                }
                b')' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.at += 1;
                }
                b';' => {
                    self.until(|byte| byte == b'\n');
                    line.comment = self.text.get(start + 1..self.at).unwrap_or_default();
                }
                _ => match self.word(byte) {
                    Ok(word) => {
                        if line.words.is_empty() {
                            line.range.start = start;
                        }
                        line.range.end = self.at;
                        line.words.push(word);
                    }
                    Err(error) => {
                        self.until(|byte| byte == b'\n');
                        return Some(Err((start..self.at, error)));
                    }
                },
            }
        }
        if self.depth > 0 {
            return Some(Err((line.range, RecordError::Open { what: ')' })));
        }
        Some(Ok(line))
    }

    fn word(&mut self, first: u8) -> Result<Word<'a>, RecordError> {
        let quoted = first == b'"';
        let from = self.at + usize::from(quoted);
        self.at = from;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' if quoted => break,
                b'\n' if quoted => return Err(RecordError::Open { what: '"' }),
                b' ' | b'\t' | b'\r' | b'\n' | b'(' | b')' | b';' | b'"' if !quoted => break,
                b'\\' => self.at = (self.at + 2).min(self.text.len()),
                _ => self.at += 1,
            }
        }
        let raw = self.text.get(from..self.at).unwrap_or_default();
        if quoted {
            self.peek().ok_or(RecordError::Open { what: '"' })?;
            self.at += 1;
        }
        let text = std::str::from_utf8(raw).map_err(|_| RecordError::NotUtf8)?;
        Ok(Word { text, quoted })
    }

    fn until(&mut self, stop: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(|byte| !stop(byte)) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }
}

/// Reads text that is exactly one record.
pub(super) fn record(text: &str) -> Result<Record, RecordError> {
    let mut file = MasterFile::new(text.as_bytes());
    let first = file.next().ok_or(RecordError::Empty)?.record?;
    match file.next() {
        None => Ok(first),
        Some(_) => Err(RecordError::Extra { found: "another record".to_owned() }),
    }
}

/// Reads text that is exactly one DS or DNSKEY record.
pub(super) fn anchor(text: &str) -> Result<Record, super::shape::ValueError> {
    let record = record(text)?;
    if matches!(record.rtype, RecordType::DS | RecordType::DNSKEY) {
        Ok(record)
    } else {
        Err(super::shape::ValueError::NotAnAnchor)
    }
}

/// Seconds, or a sum such as `1h30m`; units are `s m h d w`. At most 2^31 - 1 (RFC 2181 §8).
pub(super) fn ttl(text: &str) -> Option<u32> {
    let (mut total, mut number) = (0u32, None::<u32>);
    for byte in text.bytes() {
        if byte.is_ascii_digit() {
            let digit = u32::from(byte - b'0');
            number = Some(number.unwrap_or(0).checked_mul(10)?.checked_add(digit)?);
            continue;
        }
        let unit = match byte.to_ascii_lowercase() {
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86_400,
            b'w' => 604_800,
            _ => return None,
        };
        total = total.checked_add(number.take()?.checked_mul(unit)?)?;
    }
    if text.is_empty() {
        return None;
    }
    total.checked_add(number.unwrap_or(0)).filter(|sum| i32::try_from(*sum).is_ok())
}

/// Seconds since 1970 of `YYYYMMDDHHmmSS` in UTC, modulo 2^32 (RFC 4034 §3.2).
pub(super) fn date(text: &str) -> Option<u32> {
    if text.len() != 14 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |range: Range<usize>| text.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (part(0..4)?, part(4..6)?, part(6..8)?);
    let (hour, minute, second) = (part(8..10)?, part(10..12)?, part(12..14)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_of_month = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=days_of_month).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Years that begin in March end with the leap day, which makes the sum regular.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (153 * month + 2) / 5
        + day
        - 1
        - 719_468;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    u32::try_from(seconds.rem_euclid(1 << 32)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_in_every_order_of_ttl_and_class() {
        for (text, want) in [
            ("a.example. A 192.0.2.1", "a.example. 3600 IN A c0000201"),
            ("a.example 300 IN A 192.0.2.1", "a.example. 300 IN A c0000201"),
            ("A.example. IN 1h A 192.0.2.1", "A.example. 3600 IN A c0000201"),
            ("v. CH TXT \"a b\" c", "v. 3600 CH TXT 036120620163"),
            ("m. MX 10 (\n mail.m. ; why\n )", "m. 3600 IN MX 000a046d61696c016d00"),
            ("x. TYPE65280 \\# 3 aB cD01", "x. 3600 IN TYPE65280 abcd01"),
            ("x. A \\# 4 c0000201", "x. 3600 IN A c0000201"),
        ] {
            let record = record(text).expect(text);
            let rdata = data_encoding::HEXLOWER.encode(record.rdata.as_bytes());
            let (owner, rtype) = (record.owner, record.rtype);
            assert_eq!(format!("{owner} {} {} {rtype} {rdata}", record.ttl, record.class), want);
        }
    }

    #[test]
    fn malformed_records_say_what_is_wrong() {
        for (text, want) in [
            ("", "expected a record: owner, type and data"),
            ("; only a comment", "expected a record: owner, type and data"),
            ("a.", "record ends where a type should stand"),
            ("a. 3600 IN", "record ends where a type should stand"),
            ("a. WHAT 1", "unknown record type 'WHAT'"),
            ("a. A", "record ends where an IPv4 address should stand"),
            ("a. A ::1", "expected an IPv4 address in the record, found '::1'"),
            ("a. A 192.0.2.1 2", "'2' is left over at the end of the record"),
            ("a..b A 192.0.2.1", "malformed domain name 'a..b': empty label"),
            ("a. TXT \"open", "missing closing \""),
            ("a. MX ( 10 b.", "missing closing )"),
            ("a. TYPE1 \\# 5 01020304", "record data has the wrong length"),
            ("a. LOC 1", "records of type LOC can only be written as \\# LENGTH HEXADECIMAL"),
            ("$INCLUDE x", "directive '$INCLUDE' is not supported here"),
            (
                "a. A 192.0.2.1\nb. A 192.0.2.1",
                "'another record' is left over at the end of the record",
            ),
        ] {
            assert_eq!(record(text).expect_err(text).to_string(), want, "{text}");
        }
    }

    #[test]
    fn files_have_origins_and_repeated_owners() {
        let text =
            b"$ORIGIN example.\n$TTL 60\n@ NS ns ; first\n  NS other.\nns A 192.0.2.1 ;x;y\n";
        let got: Vec<String> = MasterFile::new(text)
            .map(|entry| {
                let record = entry.record.expect("record");
                let comment = String::from_utf8_lossy(entry.comment).into_owned();
                format!("{} {} {} {comment}", record.owner, record.ttl, record.rtype)
            })
            .collect();
        assert_eq!(got, ["example. 60 NS  first", "example. 60 NS ", "ns.example. 60 A x;y"]);
    }

    #[test]
    fn dates_are_seconds_modulo_2_32() {
        for (text, want) in [
            ("19700101000000", Some(0)),
            ("20070916134226", Some(1_189_950_146)),
            ("20240229235960", Some(1_709_251_200)),
            ("21060207062815", Some(u32::MAX)),
            ("21060207062816", Some(0)),
            ("20230229000000", None),
            ("20231301000000", None),
            ("2023010100000", None),
            ("2023010100000x", None),
        ] {
            assert_eq!(date(text), want, "{text}");
        }
    }
}
