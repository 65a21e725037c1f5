//! Zone-file text (RFC 1035 §5.1): lines, tokens, relative names, and record data by type.

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::{RData, RecordType as HickoryType};
use hickory_proto::serialize::binary::BinEncodable;
use thiserror::Error;

use crate::wire::{Class, Name, NameError, Rdata, Record, RecordType};

/// What is wrong with the text of a world or a scenario, and where.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("line {line}: {mistake}")]
pub struct LabError {
    /// Line of the text, from 1.
    pub line: usize,
    /// What is wrong.
    pub mistake: Mistake,
}

/// What can be wrong with a line.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum Mistake {
    /// A quote or parenthesis is never closed.
    #[error("quote or parenthesis is not closed")]
    Open,
    /// A word is missing at the end of the line.
    #[error("expected {0} at the end of the line")]
    Missing(&'static str),
    /// A word is none of those that can stand there.
    #[error("expected {0}")]
    Expected(&'static str),
    /// More words than the line can have.
    #[error("more words than expected")]
    TooMany,
    /// A word is no domain name.
    #[error("bad name: {0}")]
    Name(#[from] NameError),
    /// Record data does not have the form of its type.
    #[error("bad record data")]
    Rdata,
    /// A record or option of a zone stands before any zone.
    #[error("this belongs into a zone, and no zone began")]
    NoZone,
    /// A zone of that name is served here already.
    #[error("a server has one zone of a name only")]
    Twice,
    /// No root zone, or no address for its name servers.
    #[error("there is no root zone with a name server that has an address")]
    NoRoot,
    /// A key could not be made.
    #[error("the key could not be made")]
    Key,
    /// A configuration line is not accepted.
    #[error("bad configuration")]
    Config,
}

impl Mistake {
    /// The mistake with its line.
    pub fn at(self, line: usize) -> LabError {
        LabError { line, mistake: self }
    }
}

/// A word of a line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Token {
    /// As written, escapes included, quotes not.
    pub text: String,
    /// Whether it stood in quotes.
    pub quoted: bool,
}

/// A logical line: what parentheses join is one line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Line {
    /// Where it begins, from 1.
    pub number: usize,
    /// Whether it begins with a blank: the owner is that of the line before.
    pub indented: bool,
    /// Its words; never empty.
    pub tokens: Vec<Token>,
}

impl Line {
    /// The text of word `i`, or a mistake that says what should stand there.
    ///
    /// # Errors
    ///
    /// [`Mistake::Missing`] when the line has fewer words.
    pub fn word(&self, i: usize, what: &'static str) -> Result<&str, LabError> {
        let token = self.tokens.get(i).ok_or_else(|| Mistake::Missing(what).at(self.number))?;
        Ok(&token.text)
    }

    /// The texts from word `i` on.
    pub fn words(&self, i: usize) -> impl Iterator<Item = &str> {
        self.tokens.iter().skip(i).map(|token| token.text.as_str())
    }

    /// The line without its first `n` words.
    pub fn after(&self, n: usize) -> Self {
        Self { tokens: self.tokens.iter().skip(n).cloned().collect(), ..*self }
    }
}

/// Splits text into logical lines; `first` is the number of its first line.
///
/// # Errors
///
/// [`Mistake::Open`] for a quote or parenthesis without its end.
pub(super) fn lines(text: &str, first: usize) -> Result<Vec<Line>, LabError> {
    let mut out: Vec<Line> = Vec::new();
    let mut open = false;
    for (i, raw) in text.lines().enumerate() {
        let number = first + i;
        let was_open = open;
        let tokens = tokens(raw, &mut open).map_err(|mistake| mistake.at(number))?;
        match out.last_mut().filter(|_| was_open) {
            Some(line) => line.tokens.extend(tokens),
            None if tokens.is_empty() && !open => {}
            None => {
                let indented = raw.starts_with([' ', '\t']);
                out.push(Line { number, indented, tokens });
            }
        }
    }
    if open {
        return Err(Mistake::Open.at(out.last().map_or(first, |line| line.number)));
    }
    out.retain(|line| !line.tokens.is_empty());
    Ok(out)
}

fn tokens(raw: &str, open: &mut bool) -> Result<Vec<Token>, Mistake> {
    let mut out = Vec::new();
    let mut chars = raw.chars().peekable();
    while let Some(&c) = chars.peek() {
        match c {
            ';' => break,
            '(' | ')' => {
                *open = c == '(';
                chars.next();
            }
            '"' => {
                chars.next();
                out.push(Token { text: quoted(&mut chars)?, quoted: true });
            }
            c if c.is_whitespace() => {
                chars.next();
            }
            _ => {
                let mut text = String::new();
                while let Some(&c) = chars.peek() {
                    if c.is_whitespace() || matches!(c, ';' | '(' | ')') {
                        break;
                    }
                    chars.next();
                    // Quotes within a word, as in alpn="h2".
                    if c == '"' {
                        text.push_str(&quoted(&mut chars)?);
                        continue;
                    }
                    text.push(c);
                    if c == '\\' {
                        text.extend(chars.next());
                    }
                }
                out.push(Token { text, quoted: false });
            }
        }
    }
    Ok(out)
}

fn quoted(chars: &mut impl Iterator<Item = char>) -> Result<String, Mistake> {
    let mut text = String::new();
    loop {
        match chars.next().ok_or(Mistake::Open)? {
            '"' => return Ok(text),
            '\\' => {
                text.push('\\');
                text.push(chars.next().ok_or(Mistake::Open)?);
            }
            c => text.push(c),
        }
    }
}

/// Reads a name that may be relative: `@` is `origin`, without a final dot it goes below it.
///
/// # Errors
///
/// [`NameError`] when it is no name.
pub(super) fn name(text: &str, origin: &Name) -> Result<Name, NameError> {
    if text == "@" {
        return Ok(origin.clone());
    }
    let parsed: Name = text.parse()?;
    let escapes = text.bytes().rev().skip(1).take_while(|byte| *byte == b'\\').count();
    if text.ends_with('.') && escapes % 2 == 0 {
        return Ok(parsed);
    }
    Name::from_labels(parsed.labels().chain(origin.labels()))
}

/// Reads the records of a zone file, one line after the other.
#[derive(Clone, Debug)]
pub(super) struct Records {
    /// What relative names are relative to (`$ORIGIN`).
    pub(super) origin: Name,
    /// TTL of records without one, in seconds (`$TTL`).
    pub(super) ttl: u32,
    owner: Name,
}

impl Records {
    /// Begins at `origin` with `ttl`.
    pub(super) fn new(origin: Name, ttl: u32) -> Self {
        Self { owner: origin.clone(), origin, ttl }
    }

    /// Reads a record: `[owner] [ttl] [class] type data…`.
    ///
    /// # Errors
    ///
    /// [`LabError`] with the line and what is wrong there.
    pub(super) fn record(&mut self, line: &Line) -> Result<Record, LabError> {
        let mut at = 0;
        if !line.indented {
            let owner = line.word(0, "an owner name")?;
            self.owner = name(owner, &self.origin).map_err(|e| Mistake::from(e).at(line.number))?;
            at = 1;
        }
        let mut ttl = self.ttl;
        let mut class = Class::IN;
        loop {
            let word = line.word(at, "a record type")?;
            if let Ok(seconds) = word.parse() {
                ttl = seconds;
            } else if let Ok(explicit) = word.parse::<Class>() {
                class = explicit;
            } else {
                break;
            }
            at += 1;
        }
        let rtype = line
            .word(at, "a record type")?
            .parse::<RecordType>()
            .map_err(|_| Mistake::Expected("a record type").at(line.number))?;
        let data = line.tokens.get(at + 1..).unwrap_or_default();
        let rdata = rdata(rtype, data, &self.origin).map_err(|m| m.at(line.number))?;
        Ok(Record { owner: self.owner.clone(), rtype, class, ttl, rdata })
    }
}

/// Reads record data in the form of its type, or in the generic form of RFC 3597 §5.
///
/// # Errors
///
/// [`Mistake`] when it does not have that form.
pub(super) fn rdata(rtype: RecordType, tokens: &[Token], origin: &Name) -> Result<Rdata, Mistake> {
    use RecordType as T;
    let layout = match rtype {
        _ if tokens.first().is_some_and(|token| token.text == "\\#") => "#",
        T::A => "4",
        T::AAAA => "6",
        T::NS | T::CNAME | T::DNAME | T::PTR => "n",
        T::MX | T::AFSDB | T::RT | T::KX => "sn",
        T::SRV => "sssn",
        T::SOA => "nnlllll",
        T::TXT | T::SPF => "t",
        _ => return by_hickory(rtype, tokens),
    };
    let mut out = Vec::new();
    let mut rest = tokens;
    for field in layout.chars() {
        let (first, tail) = rest.split_first().ok_or(Mistake::Missing("record data"))?;
        rest = tail;
        let text = first.text.as_str();
        match field {
            '4' => out.extend(parse::<Ipv4Addr>(text)?.octets()),
            '6' => out.extend(parse::<Ipv6Addr>(text)?.octets()),
            'n' => out.extend_from_slice(name(text, origin)?.as_wire()),
            's' => out.extend(parse::<u16>(text)?.to_be_bytes()),
            'l' => out.extend(parse::<u32>(text)?.to_be_bytes()),
            't' => {
                for token in std::iter::once(first).chain(std::mem::take(&mut rest)) {
                    character_string(&token.text, &mut out)?;
                }
            }
            _ => generic(std::mem::take(&mut rest), &mut out)?,
        }
    }
    if rest.is_empty() { Ok(Rdata::from_bytes(out)) } else { Err(Mistake::TooMany) }
}

fn parse<T: std::str::FromStr>(text: &str) -> Result<T, Mistake> {
    text.parse().map_err(|_| Mistake::Rdata)
}

fn character_string(text: &str, out: &mut Vec<u8>) -> Result<(), Mistake> {
    let mut octets = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            octets.push(byte);
            continue;
        }
        let first = bytes.next().ok_or(Mistake::Rdata)?;
        if !first.is_ascii_digit() {
            octets.push(first);
            continue;
        }
        let digits = [Some(first), bytes.next(), bytes.next()];
        let text: String = digits.into_iter().flatten().map(char::from).collect();
        octets.push(parse(&text)?);
    }
    out.push(u8::try_from(octets.len()).map_err(|_| Mistake::Rdata)?);
    out.extend(octets);
    Ok(())
}

/// `\# LENGTH HEX…`; the first word is gone already.
fn generic(tokens: &[Token], out: &mut Vec<u8>) -> Result<(), Mistake> {
    let (len, hex) = tokens.split_first().ok_or(Mistake::Missing("a length"))?;
    let hex: String = hex.iter().map(|token| token.text.as_str()).collect();
    let octets =
        data_encoding::HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).map_err(|_| Mistake::Rdata)?;
    if octets.len() != parse::<usize>(&len.text)? {
        return Err(Mistake::Rdata);
    }
    out.extend(octets);
    Ok(())
}

/// Types that only stand in a zone as data: names in them are absolute.
fn by_hickory(rtype: RecordType, tokens: &[Token]) -> Result<Rdata, Mistake> {
    let words: Vec<String> = tokens
        .iter()
        .map(|token| match token.quoted {
            true => format!("\"{}\"", token.text),
            false => token.text.clone(),
        })
        .collect();
    let parsed = RData::try_from_str(HickoryType::from(rtype.0), &words.join(" "))
        .map_err(|_| Mistake::Rdata)?;
    Ok(Rdata::from_bytes(parsed.to_bytes().map_err(|_| Mistake::Rdata)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Record>, LabError> {
        let mut records = Records::new("example.".parse().unwrap(), 300);
        lines(text, 1)?.iter().map(|line| records.record(line)).collect()
    }

    #[test]
    fn zone_files_are_read_as_rfc_1035_section_5_1_says() {
        let text = "@ SOA ns1 hostmaster ( 1 ; serial\n 2 3\n 4 5 )\n\
                    www 60 IN A 192.0.2.1\n    AAAA 2001:db8::1\n\n; nothing\n\
                    a\\.b TXT \"two words; quoted\" x\\065\n\
                    m.other. MX 10 @\nx TYPE65280 \\# 3 ab cdef\n\
                    c CAA 0 issue \"ca.example\"\n\
                    h HTTPS 1 . alpn=\"h2,h3\"\n";
        let got: Vec<String> = read(text)
            .unwrap()
            .iter()
            .map(|r| format!("{} {} {} {}", r.owner, r.ttl, r.rtype, r.rdata.len()))
            .collect();
        #[rustfmt::skip]
        assert_eq!(got, [
            "example. 300 SOA 53", "www.example. 60 A 4", "www.example. 300 AAAA 16",
            r"a\.b.example. 300 TXT 21", "m.other. 300 MX 11", "x.example. 300 TYPE65280 3",
            "c.example. 300 CAA 17", "h.example. 300 HTTPS 13",
        ]);
    }

    #[test]
    fn mistakes_name_their_line() {
        for (text, line, mistake) in [
            ("a A 192.0.2.1\nb A 192.0.2", 2, Mistake::Rdata),
            ("\n\nb A 192.0.2.1 x", 3, Mistake::TooMany),
            ("b", 1, Mistake::Missing("a record type")),
            ("b WHAT x", 1, Mistake::Expected("a record type")),
            ("b MX 1", 1, Mistake::Missing("record data")),
            ("b TXT \"x", 1, Mistake::Open),
            ("a A 192.0.2.1\nb SOA (\n a\n", 2, Mistake::Open),
            ("a..b A 192.0.2.1", 1, Mistake::Name(NameError::EmptyLabel)),
            ("b TYPE1234 \\# 2 ab", 1, Mistake::Rdata),
        ] {
            assert_eq!(read(text), Err(mistake.at(line)), "{text}");
        }
    }
}
