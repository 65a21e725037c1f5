//! Records as text, the way [`super::read_zone`] reads them back (RFC 1035 §5, RFC 3597 §5).

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use data_encoding::{BASE32HEX_NOPAD, BASE64, HEXUPPER};

use super::fields::{self, Field};
use crate::wire::{Dnskey, Name, Rdata, RecordType, Rrset, TypeBitmap};

/// Appends the records of an RRset with their signatures, a line each: owner, TTL, class, type and
/// data, divided by tabulators. Keys have their tag behind them as a comment.
pub fn write_rrset(out: &mut String, rrset: &Rrset) {
    for rdata in &rrset.rdata {
        write_record(out, rrset, rrset.rtype, rdata);
    }
    for rdata in &rrset.signatures {
        write_record(out, rrset, RecordType::RRSIG, rdata);
    }
}

fn write_record(out: &mut String, rrset: &Rrset, rtype: RecordType, rdata: &Rdata) {
    let Rrset { owner, ttl, class, .. } = rrset;
    // Writing to a string does not fail.
    let _ = write!(out, "{owner}\t{ttl}\t{class}\t{rtype}\t{}", rdata_text(rtype, rdata));
    if rtype == RecordType::DNSKEY
        && let Some(key) = Dnskey::parse(rdata)
    {
        let _ = write!(out, " ;{{id = {}}}", key.key_tag);
    }
    out.push('\n');
}

/// The data of a record as text: in the form of its type, or that of RFC 3597 when the type is not
/// known or the data is not what the type asks for.
pub fn rdata_text(rtype: RecordType, rdata: &Rdata) -> String {
    let octets = rdata.as_bytes();
    let layout = fields::LAYOUTS.iter().find(|row| row.0 == rtype).map(|row| row.1);
    layout.and_then(|layout| typed(layout, octets)).unwrap_or_else(|| generic(octets))
}

fn generic(octets: &[u8]) -> String {
    let text = format!("\\# {} {}", octets.len(), HEXUPPER.encode(octets));
    text.trim_end().to_owned()
}

fn typed(layout: &[Field], octets: &[u8]) -> Option<String> {
    let mut rest = Octets(octets);
    let mut words = Vec::with_capacity(layout.len());
    for field in layout {
        words.push(rest.field(*field)?);
    }
    // Fields up to the end may be empty.
    let text = words.join(" ").trim_end().to_owned();
    (rest.0.is_empty() && !text.is_empty()).then_some(text)
}

/// What is left of record data.
struct Octets<'a>(&'a [u8]);

impl<'a> Octets<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(len)?;
        self.0 = tail;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn counted(&mut self) -> Option<&'a [u8]> {
        let [len] = self.array()?;
        self.take(len.into())
    }

    fn all(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn field(&mut self, field: Field) -> Option<String> {
        Some(match field {
            Field::Name => {
                let mut at = 0;
                let name = Name::read(self.0, &mut at).ok()?;
                // A pointer into the data would be read as a name, and is none.
                (self.take(at)? == name.as_wire()).then(|| name.to_string())?
            }
            Field::U8 | Field::Algorithm => self.array::<1>()?[0].to_string(),
            Field::U16 => u16::from_be_bytes(self.array()?).to_string(),
            Field::U32 | Field::Period => {
                let number = u32::from_be_bytes(self.array()?);
                // Periods are read up to 2^31 - 1.
                let fits = matches!(field, Field::U32) || i32::try_from(number).is_ok();
                fits.then(|| number.to_string())?
            }
            Field::Date => date(u32::from_be_bytes(self.array()?)),
            Field::Type => RecordType(u16::from_be_bytes(self.array()?)).to_string(),
            Field::Text => quoted(self.counted()?),
            Field::Texts => {
                let mut texts = vec![quoted(self.counted()?)];
                while !self.0.is_empty() {
                    texts.push(quoted(self.counted()?));
                }
                texts.join(" ")
            }
            Field::LongText => quoted(self.all()),
            Field::V4 => Ipv4Addr::from(self.array::<4>()?).to_string(),
            Field::V6 => Ipv6Addr::from(self.array::<16>()?).to_string(),
            Field::Hex => HEXUPPER.encode(self.all()),
            Field::Base64 => BASE64.encode(self.all()),
            Field::Salt => match self.counted()? {
                [] => "-".to_owned(),
                salt => HEXUPPER.encode(salt),
            },
            Field::Base32 => match self.counted()? {
                [] => return None,
                hash => BASE32HEX_NOPAD.encode(hash).to_ascii_lowercase(),
            },
            Field::Types => {
                let octets = self.all();
                let types = TypeBitmap::parse(octets)?;
                let words: Vec<String> = types.iter().map(|rtype| rtype.to_string()).collect();
                words.join(" ")
            }
            Field::Octets(count) => {
                let octets = self.take(count)?;
                let digits: Vec<_> = octets.iter().map(|octet| format!("{octet:02x}")).collect();
                digits.join("-")
            }
            Field::Locator => {
                let octets: [u8; 8] = self.array()?;
                let groups =
                    octets.chunks_exact(2).map(|pair| format!("{:02x}{:02x}", pair[0], pair[1]));
                groups.collect::<Vec<_>>().join(":")
            }
        })
    }
}

fn quoted(octets: &[u8]) -> String {
    let mut out = String::from("\"");
    for octet in octets {
        match octet {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(*octet));
            }
            b' '..=b'~' => out.push(char::from(*octet)),
            _ => out.push_str(&format!("\\{octet:03}")),
        }
    }
    out.push('"');
    out
}

/// `YYYYMMDDHHmmSS` in UTC of seconds since 1970, taken as less than 2^32 (RFC 4034 §3.2).
fn date(seconds: u32) -> String {
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    // Days since 0000-03-01, in eras of 400 years, years that end with the leap day.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, year) = (day - (153 * month + 2) / 5 + 1, year + era * 400);
    let (month, year) = if month < 10 { (month + 3, year) } else { (month - 9, year + 1) };
    let (hour, minute, second) = (time / 3_600, time / 60 % 60, time % 60);
    format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::master;
    use super::*;

    #[test]
    fn what_is_read_is_written_the_same() {
        for (text, want) in [
            ("x. A 192.0.2.1", "192.0.2.1"),
            ("x. AAAA 2001:DB8::1", "2001:db8::1"),
            ("x. MX 10 Mail.x.", "10 Mail.x."),
            ("x. TXT a \"b \\\"c\" \\009", "\"a\" \"b \\\"c\" \"\\009\""),
            ("x. DS 1 8 2 aBcD", "1 8 2 ABCD"),
            ("x. NSEC y. A NSEC TYPE1234", "y. A NSEC TYPE1234"),
            (
                "x. NSEC3 1 1 10 - 0P9mhaveqvm6t7vbl5lop2u3t2rp3tom NS",
                "1 1 10 - 0p9mhaveqvm6t7vbl5lop2u3t2rp3tom NS",
            ),
            (
                "x. NSEC3 1 1 10 aabb 0p9mhaveqvm6t7vbl5lop2u3t2rp3tom",
                "1 1 10 AABB 0p9mhaveqvm6t7vbl5lop2u3t2rp3tom",
            ),
            ("x. NSEC3PARAM 1 0 0 -", "1 0 0 -"),
            ("x. CSYNC 66 3 A NS", "66 3 A NS"),
            ("x. EUI48 00-00-5E-00-53-2a", "00-00-5e-00-53-2a"),
            ("x. L64 10 2001:db8:1:0", "10 2001:0db8:0001:0000"),
            ("x. SOA a. b. 1 1h 15m 1w 60", "a. b. 1 3600 900 604800 60"),
            (
                "x. RRSIG A 8 1 60 20070916134226 1 7 x. AAAA",
                "A 8 1 60 20070916134226 19700101000001 7 x. AAAA",
            ),
            (
                "x. RRSIG A 8 1 60 20240229235959 21060207062815 7 x. AAAA",
                "A 8 1 60 20240229235959 21060207062815 7 x. AAAA",
            ),
            ("x. TYPE65280 \\# 2 aBcD", "\\# 2 ABCD"),
            ("x. TYPE65280 \\# 0", "\\# 0"),
            ("x. A \\# 4 c0000201", "192.0.2.1"),
            ("x. HTTPS 1 . alpn=h2", "\\# 10 00010000010003026832"),
        ] {
            let record = master::record(text).expect(text);
            let written = rdata_text(record.rtype, &record.rdata);
            assert_eq!(written, want, "{text}");
            let again = master::record(&format!("x. {} {written}", record.rtype)).expect(text);
            assert_eq!(again.rdata, record.rdata, "{text}");
        }
    }

    #[test]
    fn keys_have_their_tag_behind_them() {
        let record = master::record("x. 60 DNSKEY 257 3 8 AwEAAQ==").unwrap();
        let rrset = Rrset::new(record.owner, record.rtype, record.ttl, vec![record.rdata]);
        let mut out = String::new();
        write_rrset(&mut out, &rrset);
        assert_eq!(out, "x.\t60\tIN\tDNSKEY\t257 3 8 AwEAAQ== ;{id = 1803}\n");
    }

    proptest! {
        /// Whatever octets a record has, the text of them is read as the same octets.
        #[test]
        fn every_record_survives_its_text(
            rtype in prop_oneof![1u16..130, 256u16..260, 260u16..],
            octets in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                prop::collection::vec(0u8..5, 0..40),
            ],
        ) {
            let (rtype, rdata) = (RecordType(rtype), Rdata::from_bytes(octets));
            let line = format!("x. {rtype} {}", rdata_text(rtype, &rdata));
            let read = master::record(&line);
            prop_assert_eq!(read.map(|record| record.rdata), Ok(rdata), "{}", line);
        }
    }
}
