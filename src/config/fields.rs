//! The fields of record data as text, by type.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use data_encoding::{BASE32HEX_NOPAD, BASE64, HEXLOWER_PERMISSIVE};

use super::master::{RecordError, Word, date, ttl};
use crate::wire::{Name, RecordType};

/// A field of record data.
#[derive(Clone, Copy)]
pub(super) enum Field {
    /// A domain name, never compressed.
    Name,
    U8,
    U16,
    U32,
    /// 32 bits, units allowed.
    Period,
    /// 32 bits, a date.
    Date,
    /// A number or mnemonic (RFC 4034 §A.1).
    Algorithm,
    /// A type.
    Type,
    /// A length octet and so many octets.
    Text,
    /// One or more of those.
    Texts,
    /// Octets up to the end.
    LongText,
    V4,
    V6,
    /// Hexadecimal digits up to the end, in any number of words.
    Hex,
    /// Base64 up to the end, in any number of words.
    Base64,
    /// A length octet and so many octets as hexadecimal digits; `-` for none.
    Salt,
    /// A length octet and so many octets in Base32hex (RFC 5155 §3.3).
    Base32,
    /// A bitmap of types up to the end (RFC 4034 §4.1.2).
    Types,
    /// So many octets, each as two hexadecimal digits, divided by `-` (RFC 7043).
    Octets(usize),
    /// 64 bits in four groups of hexadecimal digits, divided by `:` (RFC 6742).
    Locator,
}

use Field::{
    Algorithm, Base32, Base64, Hex, Locator, LongText, Octets, Period, Salt, Text, Texts, Type,
    Types, U8, U16, U32, V4, V6,
};

/// Types with their fields. Types that are missing here can be written as RFC 3597 says.
pub(super) const LAYOUTS: &[(RecordType, &[Field])] = &[
    (RecordType::A, &[V4]),
    (RecordType::AAAA, &[V6]),
    (RecordType::NS, &[Field::Name]),
    (RecordType::CNAME, &[Field::Name]),
    (RecordType::DNAME, &[Field::Name]),
    (RecordType::PTR, &[Field::Name]),
    (RecordType::MX, &[U16, Field::Name]),
    (RecordType::AFSDB, &[U16, Field::Name]),
    (RecordType::RT, &[U16, Field::Name]),
    (RecordType::KX, &[U16, Field::Name]),
    (RecordType::RP, &[Field::Name, Field::Name]),
    (RecordType::SRV, &[U16, U16, U16, Field::Name]),
    (RecordType::SOA, &[Field::Name, Field::Name, U32, Period, Period, Period, Period]),
    (RecordType::NAPTR, &[U16, U16, Text, Text, Text, Field::Name]),
    (RecordType::TXT, &[Texts]),
    (RecordType::SPF, &[Texts]),
    (RecordType::HINFO, &[Text, Text]),
    (RecordType::X25, &[Text]),
    (RecordType::MB, &[Field::Name]),
    (RecordType::MG, &[Field::Name]),
    (RecordType::MR, &[Field::Name]),
    (RecordType::MD, &[Field::Name]),
    (RecordType::MF, &[Field::Name]),
    (RecordType::MINFO, &[Field::Name, Field::Name]),
    (RecordType::PX, &[U16, Field::Name, Field::Name]),
    (RecordType::CERT, &[U16, U16, Algorithm, Base64]),
    (RecordType::DHCID, &[Base64]),
    (RecordType::NID, &[U16, Locator]),
    (RecordType::L32, &[U16, V4]),
    (RecordType::L64, &[U16, Locator]),
    (RecordType::LP, &[U16, Field::Name]),
    (RecordType::EUI48, &[Octets(6)]),
    (RecordType::EUI64, &[Octets(8)]),
    (RecordType::NSEC, &[Field::Name, Types]),
    (RecordType::NSEC3, &[U8, U8, U16, Salt, Base32, Types]),
    (RecordType::NSEC3PARAM, &[U8, U8, U16, Salt]),
    (RecordType::CSYNC, &[U32, U16, Types]),
    (RecordType::TA, &[U16, Algorithm, U8, Hex]),
    (RecordType::DLV, &[U16, Algorithm, U8, Hex]),
    (RecordType::CAA, &[U8, Text, LongText]),
    (RecordType::URI, &[U16, U16, LongText]),
    (RecordType::TLSA, &[U8, U8, U8, Hex]),
    (RecordType::SMIMEA, &[U8, U8, U8, Hex]),
    (RecordType::SSHFP, &[U8, U8, Hex]),
    (RecordType::OPENPGPKEY, &[Base64]),
    (RecordType::DS, &[U16, Algorithm, U8, Hex]),
    (RecordType::CDS, &[U16, Algorithm, U8, Hex]),
    (RecordType::DNSKEY, &[U16, U8, Algorithm, Base64]),
    (RecordType::CDNSKEY, &[U16, U8, Algorithm, Base64]),
    (RecordType::ZONEMD, &[U32, U8, U8, Hex]),
    (
        RecordType::RRSIG,
        &[Type, Algorithm, U8, U32, Field::Date, Field::Date, U16, Field::Name, Base64],
    ),
];

/// Algorithms by mnemonic (RFC 4034 §A.1, RFC 5155, 5702, 6605, 8080).
const ALGORITHMS: &[(&str, u8)] = &[
    ("RSAMD5", 1),
    ("DSA", 3),
    ("RSASHA1", 5),
    ("DSA-NSEC3-SHA1", 6),
    ("RSASHA1-NSEC3-SHA1", 7),
    ("NSEC3RSASHA1", 7),
    ("RSASHA256", 8),
    ("RSASHA512", 10),
    ("ECC-GOST", 12),
    ("ECDSAP256SHA256", 13),
    ("ECDSAP384SHA384", 14),
    ("ED25519", 15),
    ("ED448", 16),
];

/// The wire form of the data of a record of type `rtype`, written in `words`.
pub(super) fn rdata(
    rtype: RecordType,
    words: &[Word<'_>],
    origin: &Name,
) -> Result<Vec<u8>, RecordError> {
    if let [mark, rest @ ..] = words
        && mark.text == "\\#"
        && !mark.quoted
    {
        return generic(rest);
    }
    if matches!(rtype, RecordType::SVCB | RecordType::HTTPS) {
        return service(rtype, words);
    }
    let (_, layout) =
        LAYOUTS.iter().find(|row| row.0 == rtype).ok_or(RecordError::GenericOnly { rtype })?;
    let (mut out, mut words) = (Vec::new(), words.iter());
    for field in *layout {
        field.read(&mut words, origin, &mut out)?;
    }
    match words.next() {
        Some(word) => Err(RecordError::Extra { found: word.text.to_owned() }),
        None if out.len() > usize::from(u16::MAX) => Err(RecordError::Length),
        None => Ok(out),
    }
}

/// RFC 3597 §5: a length and hexadecimal digits.
fn generic(words: &[Word<'_>]) -> Result<Vec<u8>, RecordError> {
    let [length, rest @ ..] = words else {
        return Err(RecordError::Incomplete { expected: "a length" });
    };
    let length: u16 = parse(length.text, "a length")?;
    let out = joined(&mut rest.iter(), "hexadecimal digits", |text| {
        HEXLOWER_PERMISSIVE.decode(text).ok()
    })?;
    if out.len() == usize::from(length) { Ok(out) } else { Err(RecordError::Length) }
}

/// SVCB and HTTPS (RFC 9460 §2.1), whose parameters have a grammar of their own.
fn service(rtype: RecordType, words: &[Word<'_>]) -> Result<Vec<u8>, RecordError> {
    use hickory_proto::rr::{RData, RecordType as Theirs};
    use hickory_proto::serialize::binary::BinEncodable;

    let quote = |word: &Word<'_>| match word.quoted {
        true => format!("\"{}\"", word.text),
        false => word.text.to_owned(),
    };
    let text = words.iter().map(quote).collect::<Vec<_>>().join(" ");
    let wrong = || RecordError::Field { expected: "service parameters", found: text.clone() };
    let data = RData::try_from_str(Theirs::from(rtype.0), &text).map_err(|_| wrong())?;
    data.to_bytes().map_err(|_| wrong())
}

/// A name, relative to `origin` unless it ends with a dot.
pub(super) fn name(text: &str, origin: &Name) -> Result<Name, RecordError> {
    let wrong = |error| RecordError::Name { found: text.to_owned(), error };
    if text == "@" {
        return Ok(origin.clone());
    }
    let name: Name = text.parse().map_err(wrong)?;
    // A dot behind an odd number of backslashes is part of the label.
    let escapes = text.trim_end_matches('.').bytes().rev().take_while(|b| *b == b'\\').count();
    if origin.is_root() || (text.ends_with('.') && escapes % 2 == 0) {
        return Ok(name);
    }
    Name::from_labels(name.labels().chain(origin.labels())).map_err(wrong)
}

type Words<'w, 'a> = std::slice::Iter<'w, Word<'a>>;

impl Field {
    fn expected(self) -> &'static str {
        match self {
            Self::Name => "a domain name",
            U8 => "a number up to 255",
            U16 => "a number up to 65535",
            U32 => "a number",
            Period => "a number of seconds",
            Self::Date => "a date such as 20260731120000",
            Algorithm => "an algorithm",
            Type => "a record type",
            Text | Texts | LongText => "text",
            V4 => "an IPv4 address",
            V6 => "an IPv6 address",
            Hex => "hexadecimal digits",
            Base64 => "Base64",
            Salt => "hexadecimal digits or '-'",
            Base32 => "Base32hex",
            Types => "record types",
            Octets(_) => "octets such as 00-00-5e-00-53-2a",
            Locator => "64 bits such as 2001:db8:0:1",
        }
    }

    /// Takes what it needs from `words` and puts the wire form behind `out`.
    fn read(
        self,
        words: &mut Words<'_, '_>,
        origin: &Name,
        out: &mut Vec<u8>,
    ) -> Result<(), RecordError> {
        let expected = self.expected();
        match self {
            Hex => {
                let bytes = joined(words, expected, |text| HEXLOWER_PERMISSIVE.decode(text).ok())?;
                out.extend(bytes);
                return Ok(());
            }
            Base64 => {
                out.extend(joined(words, expected, |text| BASE64.decode(text).ok())?);
                return Ok(());
            }
            Types => return bitmap(words, out),
            _ => {}
        }
        let text = words.next().ok_or(RecordError::Incomplete { expected })?.text;
        match self {
            Self::Name => out.extend_from_slice(name(text, origin)?.as_wire()),
            U8 => out.push(parse(text, expected)?),
            U16 => out.extend(parse::<u16>(text, expected)?.to_be_bytes()),
            U32 => out.extend(parse::<u32>(text, expected)?.to_be_bytes()),
            V4 => out.extend(parse::<Ipv4Addr>(text, expected)?.octets()),
            V6 => out.extend(parse::<Ipv6Addr>(text, expected)?.octets()),
            Type => out.extend(parse::<RecordType>(text, expected)?.0.to_be_bytes()),
            Period => out.extend(or_wrong(ttl(text), text, expected)?.to_be_bytes()),
            Self::Date => {
                let seconds = date(text).or_else(|| text.parse().ok());
                out.extend(or_wrong(seconds, text, expected)?.to_be_bytes());
            }
            Algorithm => out.push(or_wrong(algorithm(text), text, expected)?),
            LongText => out.extend(unescape(text)?),
            Text => character_string(text, out)?,
            Texts => {
                character_string(text, out)?;
                for word in words {
                    character_string(word.text, out)?;
                }
            }
            Salt => {
                let digits = if text == "-" { "" } else { text };
                let octets = HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok();
                counted(&or_wrong(octets, text, expected)?, out)?;
            }
            Base32 => {
                let octets = BASE32HEX_NOPAD.decode(text.to_ascii_uppercase().as_bytes()).ok();
                counted(&or_wrong(octets, text, expected)?, out)?;
            }
            Octets(count) => {
                let octet =
                    |part: &str| u8::from_str_radix(part, 16).ok().filter(|_| part.len() == 2);
                let octets: Option<Vec<u8>> = text.split('-').map(octet).collect();
                let octets = octets.filter(|octets| octets.len() == count);
                out.extend(or_wrong(octets, text, expected)?);
            }
            Locator => {
                let group = |part: &str| u16::from_str_radix(part, 16).ok();
                let groups: Option<Vec<u16>> = text.split(':').map(group).collect();
                let groups = or_wrong(groups.filter(|groups| groups.len() == 4), text, expected)?;
                out.extend(groups.into_iter().flat_map(u16::to_be_bytes));
            }
            Hex | Base64 | Types => {}
        }
        Ok(())
    }
}

fn parse<T: std::str::FromStr>(text: &str, expected: &'static str) -> Result<T, RecordError> {
    or_wrong(text.parse().ok(), text, expected)
}

fn or_wrong<T>(value: Option<T>, text: &str, expected: &'static str) -> Result<T, RecordError> {
    value.ok_or_else(|| RecordError::Field { expected, found: text.to_owned() })
}

/// All words that are left as one, decoded.
fn joined(
    words: &mut Words<'_, '_>,
    expected: &'static str,
    decode: impl Fn(&[u8]) -> Option<Vec<u8>>,
) -> Result<Vec<u8>, RecordError> {
    let text: String = words.map(|word| word.text).collect();
    or_wrong(decode(text.as_bytes()), &text, expected)
}

fn algorithm(text: &str) -> Option<u8> {
    text.parse()
        .ok()
        .or_else(|| ALGORITHMS.iter().find(|row| row.0.eq_ignore_ascii_case(text)).map(|row| row.1))
}

fn character_string(text: &str, out: &mut Vec<u8>) -> Result<(), RecordError> {
    counted(&unescape(text)?, out)
}

/// A length octet and the octets.
fn counted(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), RecordError> {
    out.push(u8::try_from(bytes.len()).map_err(|_| RecordError::Length)?);
    out.extend_from_slice(bytes);
    Ok(())
}

/// The bitmap of all types that are left (RFC 4034 §4.1.2).
fn bitmap(words: &mut Words<'_, '_>, out: &mut Vec<u8>) -> Result<(), RecordError> {
    let types: Result<BTreeSet<u16>, RecordError> = words
        .map(|word| parse::<RecordType>(word.text, "a record type").map(|rtype| rtype.0))
        .collect();
    let mut windows: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
    for rtype in types? {
        let [window, low] = rtype.to_be_bytes();
        let bits = windows.entry(window).or_default();
        // In ascending order, so that the last octet is never zero.
        bits.resize(usize::from(low / 8) + 1, 0);
        if let Some(octet) = bits.last_mut() {
            *octet |= 0x80 >> (low % 8);
        }
    }
    for (window, bits) in windows {
        out.push(window);
        counted(&bits, out)?;
    }
    Ok(())
}

/// `\X` is X, and `\DDD` the octet with that number (RFC 1035 §5.1).
fn unescape(text: &str) -> Result<Vec<u8>, RecordError> {
    let wrong = || RecordError::Field {
        expected: "an escape such as \\; or \\059",
        found: text.to_owned(),
    };
    let (mut out, mut bytes) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let [first, rest @ ..] = bytes {
        bytes = rest;
        if *first != b'\\' {
            out.push(*first);
            continue;
        }
        match rest {
            [a, b, c, tail @ ..] if [a, b, c].iter().all(|digit| digit.is_ascii_digit()) => {
                let value = [a, b, c].iter().fold(0u16, |sum, d| sum * 10 + u16::from(**d - b'0'));
                out.push(u8::try_from(value).map_err(|_| wrong())?);
                bytes = tail;
            }
            [digit, ..] if digit.is_ascii_digit() => return Err(wrong()),
            [other, tail @ ..] => {
                out.push(*other);
                bytes = tail;
            }
            [] => return Err(wrong()),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::super::master::record;

    #[test]
    fn every_kind_of_field_is_read() {
        for (text, want) in [
            ("x. AAAA 2001:db8::1", "20010db8000000000000000000000001"),
            (
                "x. SOA a. b. 1 1h 15m 1w 60",
                "016100016200000000010000 0e1000000384000 93a800000003c",
            ),
            ("x. SRV 1 2 53 t.", "000100020035017400"),
            (r#"x. NAPTR 1 2 "u" "" a\"b ."#, "00010002 0175 00 03612262 00"),
            (r"x. TXT a\098c\;", "046162633b"),
            ("x. CAA 0 issue \"ca.example\"", "0005 6973737565 63612e6578616d706c65"),
            ("x. DS 2854 DSA 1 46e4 FFc6", "0b26030146e4ffc6"),
            ("x. DS 2854 3 1 46e4", "0b26030146e4"),
            ("x. DNSKEY 257 3 8 AwEA AQ==", "0101030803010001"),
            ("x. SSHFP 4 2 ab", "0402ab"),
            (
                "x. RRSIG A 8 1 60 20070916134226 1 7 x. AAAA",
                "0001080100 00003c46ed32c2 00000001 0007 017800 000000",
            ),
            ("x. HTTPS 1 . alpn=h2", "000100 0001 0003 026832"),
        ] {
            let record = record(text).expect(text);
            let got = data_encoding::HEXLOWER.encode(record.rdata.as_bytes());
            assert_eq!(got, want.replace(' ', ""), "{text}");
        }
    }

    #[test]
    fn long_texts_and_bad_escapes_are_refused() {
        let long = format!("x. TXT {}", "a".repeat(256));
        for text in
            [long.as_str(), r"x. TXT \9", r"x. TXT \999", "x. DS 1 NOPE 1 00", "x. DS 1 8 1 0"]
        {
            assert!(record(text).is_err(), "{text}");
        }
    }
}
