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
use super::zone::{AnchorFile, AnchorKind, TrustAnchor};
use crate::wire::{Class, Name, Rdata, Record, RecordType};

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

/// What the sources of anchors hold.
pub(super) struct Read {
    /// Anchors that stay what they are; each once.
    pub(super) fixed: Vec<TrustAnchor>,
    /// Files that follow rollovers.
    pub(super) files: Vec<AnchorFile>,
}

/// Reads every source of anchors; mistakes go to `parser`.
pub(super) fn read(parser: &mut Parser, sources: Vec<AnchorSource>) -> Read {
    let mut read = Read { fixed: Vec::new(), files: Vec::new() };
    for source in sources {
        let anchors = match source {
            AnchorSource::Record(record) => of_record(record).into_iter().collect(),
            AnchorSource::ZoneFile(value) => zone_file(parser, &value),
            AnchorSource::KeysFile(value) => keys_files(parser, &value),
            AnchorSource::AutoFile(value) => {
                read.files.extend(auto_file(parser, &value));
                continue;
            }
        };
        for anchor in anchors {
            if !read.fixed.contains(&anchor) {
                read.fixed.push(anchor);
            }
        }
    }
    read
}

fn zone_file(parser: &mut Parser, value: &Value) -> Vec<TrustAnchor> {
    let path = parser.locate(&value.text);
    let Some(text) = parser.read(&path, Some(value.span)) else { return Vec::new() };
    let records = records(parser, &path, text, value);
    records.into_iter().filter_map(|(record, _)| of_record(record)).collect()
}

/// The DS and DNSKEY records of a zone file, with their comments.
fn records(
    parser: &mut Parser,
    path: &Path,
    text: Vec<u8>,
    value: &Value,
) -> Vec<(Record, String)> {
    let (file, text) = parser.sources.add(path, text);
    let (mut records, mut wrong) = (Vec::new(), false);
    for entry in MasterFile::new(&text) {
        match entry.record {
            Ok(record) => {
                if of_record(record.clone()).is_some() {
                    records.push((record, String::from_utf8_lossy(entry.comment).into_owned()));
                }
            }
            Err(error) => {
                wrong = true;
                parser.error(Span::new(file, entry.range), ErrorKind::Record(error));
            }
        }
    }
    if records.is_empty() && !wrong {
        parser.error(value.span, ErrorKind::NoAnchor { path: path.to_owned() });
    }
    records
}

/// A file that follows key rollovers; none when it cannot be read.
fn auto_file(parser: &mut Parser, value: &Value) -> Option<AnchorFile> {
    let path = parser.locate(&value.text);
    if matches!(path.try_exists(), Ok(false)) {
        parser.looked_for.push(path.clone());
        let kind = NoticeKind::AnchorFileMissing { path: path.clone() };
        parser.notices.push((Some(value.span), kind));
        let record = |anchor: TrustAnchor| Record {
            owner: anchor.owner,
            rtype: RecordType::DS,
            class: Class::IN,
            ttl: ROOT_TTL,
            rdata: anchor.rdata,
        };
        let records = built_in().into_iter().map(|anchor| (record(anchor), String::new()));
        return Some(AnchorFile { path, header: Vec::new(), records: records.collect() });
    }
    let text = parser.read(&path, Some(value.span))?;
    let header = header(&text);
    let gone = header.iter().any(|(name, _)| name == REVOKED);
    let records = match gone && !has_words(&text) {
        true => Vec::new(),
        false => records(parser, &path, text, value),
    };
    Some(AnchorFile { path, header, records })
}

/// Seconds, the TTL of the DNSKEY RRset of the root.
const ROOT_TTL: u32 = 172_800;

/// The line of a file whose keys are all revoked: the zone is as if it had no anchor.
const REVOKED: &str = "REVOKED";

/// The lines `;;NAME: VALUE` and `;;NAME`.
fn header(text: &[u8]) -> Vec<(String, String)> {
    let line = |line: &[u8]| {
        let line = String::from_utf8_lossy(line.strip_prefix(b";;")?).trim().to_owned();
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        Some((name.to_owned(), value.trim().to_owned()))
    };
    text.split(|byte| *byte == b'\n').filter_map(line).collect()
}

/// Whether there is more than comments.
fn has_words(text: &[u8]) -> bool {
    let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines.any(|line| !line.is_empty() && !line.starts_with(b";"))
}

/// The anchors that a file holds before anything is known of the zone.
pub(super) fn trusted(file: &AnchorFile) -> impl Iterator<Item = TrustAnchor> {
    let trusted = |(record, comment): &(Record, String)| match file.state(comment) {
        AnchorFile::VALID | AnchorFile::MISSING => of_record(record.clone()),
        _ => None,
    };
    file.records.iter().filter(|_| !file.is_gone()).filter_map(trusted)
}

impl AnchorFile {
    /// State of a key that is not trusted, and not waited for either.
    pub const START: u64 = 0;
    /// State of a key that is trusted (RFC 5011 §4.2).
    pub const VALID: u64 = 2;
    /// State of a trusted key that the zone no longer has, without having revoked it.
    pub const MISSING: u64 = 3;

    /// Whether all keys are revoked: the zone is as if it had no anchor.
    pub fn is_gone(&self) -> bool {
        self.field(REVOKED).is_some()
    }

    /// What the header says of `name`.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.header.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The number of the state that the comment behind a record says it has.
    ///
    /// In a file where no record has one, all are anchors. In others a record without a state is
    /// what is left of a line: whether it was trusted is not known.
    pub fn state(&self, comment: &str) -> u64 {
        let plain = || !self.records.iter().any(|(_, comment)| comment.contains(STATE));
        let otherwise = || if plain() { Self::VALID } else { Self::START };
        Self::number(comment, STATE).unwrap_or_else(otherwise)
    }

    /// The number behind `name` in a comment; `name` ends with `=`.
    pub fn number(comment: &str, name: &str) -> Option<u64> {
        let (_, rest) = comment.split_once(name)?;
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest.get(..end)?.parse().ok()
    }
}

/// What stands before the number of a state.
const STATE: &str = ";state=";

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
        let whole = " {id = 20326 (ksk), size = 2048b} ;;state=2 [  VALID  ] ;;count=0";
        for (others, comment, want) in [
            (whole, whole, AnchorFile::VALID),
            (whole, ";state=4 [ REVOKED ]", 4),
            ("", " {id = 1}", AnchorFile::VALID),
            (whole, " {id = 1}", AnchorFile::START),
            (whole, ";;state=", AnchorFile::START),
        ] {
            let record = super::super::master::record(". DS 1 8 2 ab").unwrap();
            let records = vec![(record, others.to_owned())];
            let file = AnchorFile { path: "x".into(), header: Vec::new(), records };
            assert_eq!(file.state(comment), want, "{comment}");
        }
    }
}
