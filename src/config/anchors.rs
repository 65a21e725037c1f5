//! Trust anchors: built in, and read from files in three formats.

use std::path::Path;

use data_encoding::BASE64;

use super::draft::AnchorSource;
use super::error::ErrorKind;
use super::keys;
use super::lexer::Value;
use super::master::MasterFile;
use super::notice::NoticeKind;
use super::parse::Parser;
use super::source::Span;
use super::zone::{AnchorKind, TrustAnchor};
use crate::wire::{Class, Dnskey, Name, Rdata, Record, RecordType};

/// DS records of the keys of the root: tag, algorithm, digest type and SHA-256 digest, as IANA
/// publishes them (root-anchors.xml): KSK-2017 and KSK-2024.
const ROOT: [(u16, u8, u8, [u8; 32]); 2] = [
    (20326, 8, 2, digest(0xe06d44b80b8f1d39a95c0b0d7c65d084, 0x58e880409bbc683457104237c7f8ec8d)),
    (38696, 8, 2, digest(0x683d2d0acb8c9b712a1948b27f741219, 0x298d0a450d612c483af444a4c0fb2b16)),
];

const fn digest(high: u128, low: u128) -> [u8; 32] {
    let (high, low) = (high.to_be_bytes(), low.to_be_bytes());
    let mut out = [0; 32];
    let mut at = 0;
    while at < 16 {
        out[at] = high[at];
        out[at + 16] = low[at];
        at += 1;
    }
    out
}

/// The built-in anchors of the root.
pub(super) fn built_in() -> Vec<TrustAnchor> {
    ROOT.iter()
        .map(|(tag, algorithm, digest_type, digest)| {
            let head = tag.to_be_bytes();
            let rdata = [&head[..], &[*algorithm, *digest_type], digest].concat();
            let rdata = Rdata::from_bytes(rdata);
            TrustAnchor { owner: Name::root(), kind: AnchorKind::Ds, rdata }
        })
        .collect()
}

/// The anchor that `record` is; none when it is of another type or class.
pub(super) fn of_record(record: Record) -> Option<TrustAnchor> {
    let kind = match record.rtype {
        RecordType::DS => AnchorKind::Ds,
        RecordType::DNSKEY => AnchorKind::Dnskey,
        _ => return None,
    };
    let owner = record.owner.to_lowercase();
    (record.class == Class::IN).then_some(TrustAnchor { owner, kind, rdata: record.rdata })
}

/// Reads every source of anchors; mistakes go to `parser`.
pub(super) fn read(parser: &mut Parser, sources: Vec<AnchorSource>) -> Vec<TrustAnchor> {
    let mut found = Vec::new();
    for source in sources {
        let anchors = match source {
            AnchorSource::Record(record) => of_record(record).into_iter().collect(),
            AnchorSource::ZoneFile(value) => zone_file(parser, &value),
            AnchorSource::KeysFile(value) => keys_files(parser, &value),
            AnchorSource::AutoFile(value) => auto_file(parser, &value),
        };
        for anchor in anchors {
            if !found.contains(&anchor) {
                found.push(anchor);
            }
        }
    }
    found
}

fn zone_file(parser: &mut Parser, value: &Value) -> Vec<TrustAnchor> {
    let path = parser.locate(&value.text);
    let Some(text) = parser.read(&path, Some(value.span)) else { return Vec::new() };
    records(parser, &path, text, value, |_, _| true)
}

/// The DS and DNSKEY records of a zone file that `usable` lets through, seen with their comments.
fn records(
    parser: &mut Parser,
    path: &Path,
    text: Vec<u8>,
    value: &Value,
    usable: impl Fn(&Record, &[u8]) -> bool,
) -> Vec<TrustAnchor> {
    let (file, text) = parser.sources.add(path, text);
    let (mut anchors, mut empty) = (Vec::new(), true);
    for entry in MasterFile::new(&text) {
        match entry.record {
            Ok(record) => {
                let usable = usable(&record, entry.comment);
                if let Some(anchor) = of_record(record) {
                    empty = false;
                    anchors.extend(usable.then_some(anchor));
                }
            }
            Err(error) => {
                empty = false;
                parser.error(Span::new(file, entry.range), ErrorKind::Record(error));
            }
        }
    }
    if empty {
        parser.error(value.span, ErrorKind::NoAnchor { path: path.to_owned() });
    }
    anchors
}

/// A file that follows key rollovers. In it a key has a state; records without a state are from
/// before the first update. RFC 5011 §4.2: keys in the states Valid and Missing are trust anchors.
fn auto_file(parser: &mut Parser, value: &Value) -> Vec<TrustAnchor> {
    let path = parser.locate(&value.text);
    if matches!(path.try_exists(), Ok(false)) {
        parser.looked_for.push(path.clone());
        parser.notices.push((Some(value.span), NoticeKind::AnchorFileMissing { path }));
        return built_in();
    }
    let Some(text) = parser.read(&path, Some(value.span)) else { return Vec::new() };
    if text.split(|byte| *byte == b'\n').any(|line| line.trim_ascii() == b";;REVOKED") {
        // Every key is revoked: the zone is as if it had no anchor.
        return Vec::new();
    }
    records(parser, &path, text, value, |record, comment| match state(comment) {
        Some(state) => matches!(state, VALID | MISSING),
        None => is_entry_point(record),
    })
}

/// State of a key that is trusted.
const VALID: u32 = 2;
/// State of a trusted key that the zone no longer has, without having revoked it.
const MISSING: u32 = 3;

/// The number behind `;;state=` in a comment.
fn state(comment: &[u8]) -> Option<u32> {
    let comment = String::from_utf8_lossy(comment);
    let (_, rest) = comment.split_once(";state=")?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}

/// Rollovers are about keys with the SEP bit only; a DS record always is about such a key.
fn is_entry_point(record: &Record) -> bool {
    record.rtype != RecordType::DNSKEY
        || Dnskey::parse(&record.rdata).is_some_and(|key| key.flags & Dnskey::SEP != 0)
}

fn keys_files(parser: &mut Parser, value: &Value) -> Vec<TrustAnchor> {
    let mut anchors = Vec::new();
    for path in parser.matching(value) {
        let Some(text) = parser.read(&path, Some(value.span)) else { continue };
        let (file, text) = parser.sources.add(&path, text);
        match keys::read(&text) {
            Ok(found) => anchors.extend(found),
            Err((range, expected)) => {
                parser.error(Span::new(file, range), ErrorKind::Keys { expected });
            }
        }
    }
    anchors
}

/// The anchor written as `flags protocol algorithm "key"`, or with a digest instead.
pub(super) fn of_key(
    name: &str,
    numbers: [u16; 3],
    data: &str,
    is_ds: bool,
) -> Option<TrustAnchor> {
    let owner = name.parse::<Name>().ok()?.to_lowercase();
    let [first, second, third] = numbers;
    let (second, third) = (u8::try_from(second).ok()?, u8::try_from(third).ok()?);
    let data: String = data.split_ascii_whitespace().collect();
    let (kind, data) = if is_ds {
        let digest = data_encoding::HEXLOWER_PERMISSIVE.decode(data.as_bytes()).ok()?;
        (AnchorKind::Ds, digest)
    } else {
        (AnchorKind::Dnskey, BASE64.decode(data.as_bytes()).ok()?)
    };
    let rdata = [&first.to_be_bytes()[..], &[second, third], &data].concat();
    Some(TrustAnchor { owner, kind, rdata: Rdata::from_bytes(rdata) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_anchors_are_those_of_2017_and_2024() {
        let text: Vec<String> = built_in()
            .iter()
            .map(|anchor| data_encoding::HEXLOWER.encode(anchor.rdata.as_bytes()))
            .collect();
        assert_eq!(
            text,
            [
                "4f660802e06d44b80b8f1d39a95c0b0d7c65d08458e880409bbc683457104237c7f8ec8d",
                "97280802683d2d0acb8c9b712a1948b27f741219298d0a450d612c483af444a4c0fb2b16",
            ]
        );
    }

    #[test]
    fn states_are_found_in_comments() {
        for (comment, want) in [
            ("{id = 20326 (ksk), size = 2048b} ;;state=2 [  VALID  ] ;;count=0", Some(2)),
            (";state=4 [ REVOKED ]", Some(4)),
            ("{id = 1}", None),
            (";state=", None),
        ] {
            assert_eq!(state(comment.as_bytes()), want, "{comment}");
        }
    }
}
