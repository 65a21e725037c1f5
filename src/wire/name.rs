//! Domain names in wire form.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use thiserror::Error;

use super::WireError;

/// One label without its length octet: 0 to 63 octets, any value.
pub type Label<'a> = &'a [u8];

/// An absolute domain name, uncompressed, at most 255 octets, in the case it came with.
///
/// Equality and hashing ignore ASCII case; order is canonical (RFC 4034 §6.1).
#[derive(Clone)]
pub struct Name {
    wire: Box<[u8]>,
}

/// Why text is not a domain name.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum NameError {
    /// A label of no octets that is not the root.
    #[error("empty label")]
    EmptyLabel,
    /// A label is at most 63 octets (RFC 1035 §3.1).
    #[error("label is longer than 63 octets")]
    LabelTooLong,
    /// A name is at most 255 octets (RFC 1035 §3.1).
    #[error("name is longer than 255 octets")]
    NameTooLong,
    /// A backslash is followed by a character or by three digits up to 255 (RFC 1035 §5.1).
    #[error("bad escape")]
    BadEscape,
}

impl Name {
    /// Octets a name can have at most, length octets included.
    pub const MAX_LEN: usize = 255;
    /// Octets a label can have at most.
    pub const MAX_LABEL: usize = 63;

    /// The root.
    pub fn root() -> Self {
        Self { wire: Box::from([0]) }
    }

    /// Reads a name at `*pos` of `message` and moves `*pos` past it, following compression
    /// pointers strictly backwards (RFC 1035 §4.1.4, RFC 9267 §2).
    ///
    /// # Errors
    ///
    /// [`WireError`] when the bytes are no name.
    pub fn read(message: &[u8], pos: &mut usize) -> Result<Self, WireError> {
        let mut wire = [0; Self::MAX_LEN];
        let mut len = 0;
        let mut at = *pos;
        // Where the labels being read began: a pointer must go before it, so this always falls.
        let mut limit = at;
        let mut end = None;
        loop {
            let octet = *message.get(at).ok_or(WireError::Truncated)?;
            match octet >> 6 {
                0 => {
                    let next = at + 1 + usize::from(octet);
                    let label = message.get(at..next).ok_or(WireError::Truncated)?;
                    wire.get_mut(len..len + label.len())
                        .ok_or(WireError::NameTooLong)?
                        .copy_from_slice(label);
                    len += label.len();
                    at = next;
                    if octet == 0 {
                        break;
                    }
                }
                3 => {
                    let low = *message.get(at + 1).ok_or(WireError::Truncated)?;
                    let target = usize::from(octet & 0x3f) << 8 | usize::from(low);
                    end.get_or_insert(at + 2);
                    if target >= limit {
                        return Err(WireError::ForwardPointer);
                    }
                    limit = target;
                    at = target;
                }
                _ => return Err(WireError::LabelType),
            }
        }
        *pos = end.unwrap_or(at);
        Ok(Self { wire: Box::from(&wire[..len]) })
    }

    /// Takes the uncompressed wire form, which must be exactly one name.
    ///
    /// # Errors
    ///
    /// [`WireError`] when the bytes are no name, or more than one.
    pub fn from_wire(bytes: &[u8]) -> Result<Self, WireError> {
        let mut pos = 0;
        let name = Self::read(bytes, &mut pos)?;
        if pos == bytes.len() { Ok(name) } else { Err(WireError::TrailingBytes) }
    }

    /// Makes a name of labels, leftmost first, without the root label.
    ///
    /// # Errors
    ///
    /// [`NameError`] when a label or the whole is too long or a label is empty.
    pub fn from_labels<'a>(labels: impl IntoIterator<Item = Label<'a>>) -> Result<Self, NameError> {
        let mut wire = Vec::with_capacity(64);
        for label in labels {
            push_label(&mut wire, label)?;
        }
        wire.push(0);
        if wire.len() > Self::MAX_LEN {
            return Err(NameError::NameTooLong);
        }
        Ok(Self { wire: wire.into() })
    }

    /// The uncompressed wire form, root label included.
    pub fn as_wire(&self) -> &[u8] {
        &self.wire
    }

    /// Octets of the wire form: 1 to 255.
    #[expect(clippy::len_without_is_empty, reason = "a name is never empty")]
    pub fn len(&self) -> usize {
        self.wire.len()
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.wire.len() == 1
    }

    /// The labels from left to right, without the root label.
    pub fn labels(&self) -> Labels<'_> {
        Labels { rest: &self.wire }
    }

    /// How many labels, the root label not counted (RFC 4034 §3.1.3).
    pub fn label_count(&self) -> usize {
        self.labels().count()
    }

    /// Labels as RRSIG counts them: neither root nor a leading `*` (RFC 4034 §3.1.3).
    pub fn rrsig_labels(&self) -> usize {
        self.label_count() - usize::from(self.is_wildcard())
    }

    /// Whether the leftmost label is `*`.
    pub fn is_wildcard(&self) -> bool {
        self.wire.starts_with(b"\x01*")
    }

    /// The name without its leftmost label; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        (!self.is_root()).then(|| self.without_first(1))
    }

    /// This name, its parent, and so on up to the root.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> + use<> {
        std::iter::successors(Some(self.clone()), Self::parent)
    }

    /// The name of the rightmost `labels` labels; the whole when it has fewer.
    pub fn suffix(&self, labels: usize) -> Self {
        self.without_first(self.label_count().saturating_sub(labels))
    }

    fn without_first(&self, labels: usize) -> Self {
        let mut rest = &*self.wire;
        for _ in 0..labels {
            match split_label(rest) {
                Some((_, tail)) => rest = tail,
                None => break,
            }
        }
        Self { wire: Box::from(rest) }
    }

    /// The name with `label` put before it.
    ///
    /// # Errors
    ///
    /// [`NameError`] when the label is empty or too long, or the name gets too long.
    pub fn prepend(&self, label: Label<'_>) -> Result<Self, NameError> {
        Self::from_labels(std::iter::once(label).chain(self.labels()))
    }

    /// `*.` before this name.
    ///
    /// # Errors
    ///
    /// [`NameError::NameTooLong`] when that is longer than 255 octets.
    pub fn wildcard_child(&self) -> Result<Self, NameError> {
        self.prepend(b"*")
    }

    /// Whether this name is `ancestor` or below it.
    pub fn is_at_or_below(&self, ancestor: &Self) -> bool {
        let Some(skip) = self.wire.len().checked_sub(ancestor.wire.len()) else { return false };
        // The tail must begin at a label boundary, not inside a label that looks like one.
        let mut at = 0;
        while at < skip {
            at += 1 + usize::from(self.wire[at]);
        }
        at == skip && self.wire[at..].eq_ignore_ascii_case(&ancestor.wire)
    }

    /// Whether this name is strictly below `ancestor`.
    pub fn is_below(&self, ancestor: &Self) -> bool {
        self.wire.len() > ancestor.wire.len() && self.is_at_or_below(ancestor)
    }

    /// How many labels both names share, counted from the right.
    pub fn common_labels(&self, other: &Self) -> usize {
        let (mine, theirs) = (self.label_starts(), other.label_starts());
        mine.iter()
            .rev()
            .zip(theirs.iter().rev())
            .take_while(|(a, b)| {
                label_at(&self.wire, **a).eq_ignore_ascii_case(label_at(&other.wire, **b))
            })
            .count()
    }

    /// DNAME substitution: the labels above `owner` put before `target` (RFC 6672 §2.2); `None`
    /// when this name is not strictly below `owner`.
    ///
    /// # Errors
    ///
    /// [`NameError::NameTooLong`] when the result does not fit (answered with YXDOMAIN).
    pub fn substitute(&self, owner: &Self, target: &Self) -> Option<Result<Self, NameError>> {
        self.is_below(owner).then(|| {
            let kept = self.label_count() - owner.label_count();
            Self::from_labels(self.labels().take(kept).chain(target.labels()))
        })
    }

    /// The name in lower case: the canonical form (RFC 4034 §6.2).
    pub fn to_lowercase(&self) -> Self {
        // Length octets are below 'A', so folding the whole cannot change them.
        Self { wire: self.wire.to_ascii_lowercase().into() }
    }

    /// Whether both names have the same octets, case included.
    pub fn eq_case(&self, other: &Self) -> bool {
        self.wire == other.wire
    }

    /// The same name with the case of each letter given by `upper`, called once per letter.
    pub fn with_case(&self, mut upper: impl FnMut() -> bool) -> Self {
        let mut wire = self.wire.clone();
        for octet in wire.iter_mut().filter(|octet| octet.is_ascii_alphabetic()) {
            *octet = if upper() { octet.to_ascii_uppercase() } else { octet.to_ascii_lowercase() };
        }
        Self { wire }
    }

    fn label_starts(&self) -> Vec<u8> {
        let mut starts = Vec::with_capacity(8);
        let mut at = 0u8;
        while let Some(&len) = self.wire.get(usize::from(at)).filter(|len| **len != 0) {
            starts.push(at);
            at = at.saturating_add(len).saturating_add(1);
        }
        starts
    }
}

fn label_at(wire: &[u8], start: u8) -> Label<'_> {
    let start = usize::from(start);
    let len = wire.get(start).map_or(0, |len| usize::from(*len));
    wire.get(start + 1..start + 1 + len).unwrap_or_default()
}

fn push_label(wire: &mut Vec<u8>, label: Label<'_>) -> Result<(), NameError> {
    let len = u8::try_from(label.len())
        .ok()
        .filter(|len| usize::from(*len) <= Name::MAX_LABEL)
        .ok_or(NameError::LabelTooLong)?;
    if len == 0 {
        return Err(NameError::EmptyLabel);
    }
    wire.push(len);
    wire.extend_from_slice(label);
    Ok(())
}

fn split_label(wire: &[u8]) -> Option<(Label<'_>, &[u8])> {
    let (&len, rest) = wire.split_first()?;
    if len == 0 { None } else { rest.split_at_checked(len.into()) }
}

/// The labels of a name, from left to right.
#[derive(Clone, Debug)]
pub struct Labels<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Labels<'a> {
    type Item = Label<'a>;

    fn next(&mut self) -> Option<Label<'a>> {
        let (label, rest) = split_label(self.rest)?;
        self.rest = rest;
        Some(label)
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.wire.eq_ignore_ascii_case(&other.wire)
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut lower = [0; Self::MAX_LEN];
        let lower = &mut lower[..self.wire.len()];
        lower.copy_from_slice(&self.wire);
        lower.make_ascii_lowercase();
        state.write(lower);
    }
}

impl Ord for Name {
    /// Canonical order (RFC 4034 §6.1): label by label from the right, each as lower-case octets.
    fn cmp(&self, other: &Self) -> Ordering {
        let (mine, theirs) = (self.label_starts(), other.label_starts());
        for (a, b) in mine.iter().rev().zip(theirs.iter().rev()) {
            let a = label_at(&self.wire, *a).iter().map(u8::to_ascii_lowercase);
            let b = label_at(&other.wire, *b).iter().map(u8::to_ascii_lowercase);
            match a.cmp(b) {
                Ordering::Equal => {}
                unequal => return unequal,
            }
        }
        mine.len().cmp(&theirs.len())
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl FromStr for Name {
    type Err = NameError;

    /// Reads presentation format; a final dot may be left out (RFC 1035 §5.1).
    fn from_str(text: &str) -> Result<Self, NameError> {
        if text == "." {
            return Ok(Self::root());
        }
        let mut wire = Vec::with_capacity(text.len() + 2);
        let mut label = Vec::new();
        let mut bytes = text.bytes();
        let mut open = false;
        while let Some(byte) = bytes.next() {
            open = byte != b'.';
            match byte {
                b'.' => {
                    push_label(&mut wire, &label)?;
                    label.clear();
                }
                b'\\' => label.push(unescape(&mut bytes)?),
                _ => label.push(byte),
            }
        }
        if open {
            push_label(&mut wire, &label)?;
        } else if wire.is_empty() {
            return Err(NameError::EmptyLabel);
        }
        wire.push(0);
        if wire.len() > Self::MAX_LEN {
            return Err(NameError::NameTooLong);
        }
        Ok(Self { wire: wire.into() })
    }
}

fn unescape(bytes: &mut std::str::Bytes<'_>) -> Result<u8, NameError> {
    let first = bytes.next().ok_or(NameError::BadEscape)?;
    if !first.is_ascii_digit() {
        return Ok(first);
    }
    let mut value = u16::from(first - b'0');
    for _ in 0..2 {
        let digit = bytes.next().filter(u8::is_ascii_digit).ok_or(NameError::BadEscape)?;
        value = value * 10 + u16::from(digit - b'0');
    }
    u8::try_from(value).map_err(|_| NameError::BadEscape)
}

impl fmt::Display for Name {
    /// Presentation format with a final dot; anything that is not printable ASCII is escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str(".");
        }
        for label in self.labels() {
            for &octet in label {
                match octet {
                    b'.' | b'\\' | b'"' | b';' | b'(' | b')' | b'@' | b'$' => {
                        write!(f, "\\{}", char::from(octet))?;
                    }
                    b'!'..=b'~' => write!(f, "{}", char::from(octet))?,
                    _ => write!(f, "\\{octet:03}")?,
                }
            }
            f.write_str(".")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Name {
        text.parse().expect(text)
    }

    #[test]
    fn presentation_format_round_trips() {
        for text in [".", "example.", "a.b.c.", r"\000\255.x.", r"a\.b.c.", r"sp\032ace.", "*.x."] {
            assert_eq!(name(text).to_string(), text);
        }
        assert_eq!(name("www.example").to_string(), "www.example.");
    }

    #[test]
    fn bad_text_is_refused() {
        let long = "a".repeat(64);
        let deep = "a.".repeat(128);
        for (text, error) in [
            ("", NameError::EmptyLabel),
            ("a..b", NameError::EmptyLabel),
            (".a", NameError::EmptyLabel),
            (long.as_str(), NameError::LabelTooLong),
            (deep.as_str(), NameError::NameTooLong),
            ("a\\", NameError::BadEscape),
            ("a\\25", NameError::BadEscape),
            ("a\\256", NameError::BadEscape),
        ] {
            assert_eq!(text.parse::<Name>(), Err(error), "{text}");
        }
    }

    #[test]
    fn hostile_wire_names_are_refused() {
        let long: Vec<u8> = [[63].as_slice(), &[b'a'; 63]].concat().repeat(4);
        for (why, wire, error) in [
            ("empty", &b""[..], WireError::Truncated),
            ("label cut short", b"\x03ab", WireError::Truncated),
            ("no root", b"\x01a", WireError::Truncated),
            ("pointer to itself", b"\xc0\x00", WireError::ForwardPointer),
            ("pointer cut short", b"\xc0", WireError::Truncated),
            ("label type 01", b"\x41a\x00", WireError::LabelType),
            ("256 octets", &long, WireError::NameTooLong),
        ] {
            assert_eq!(Name::read(wire, &mut 0), Err(error), "{why}");
        }
        // A loop over two pointers, and a pointer into the labels just read.
        assert_eq!(Name::read(b"\xc0\x02\xc0\x00", &mut 2), Err(WireError::ForwardPointer));
        assert_eq!(Name::read(b"\x01a\xc0\x00", &mut 0), Err(WireError::ForwardPointer));
    }

    #[test]
    fn compressed_names_are_read_and_left_behind() {
        let message = b"\x07example\x03org\x00\x03www\xc0\x00rest";
        let mut pos = 13;
        assert_eq!(Name::read(message, &mut pos), Ok(name("www.example.org.")));
        assert_eq!(&message[pos..], b"rest");
    }

    #[test]
    fn relations_go_by_labels_and_ignore_case() {
        assert!(name("www.Example.").is_below(&name("eXample.")));
        assert!(name("example.").is_at_or_below(&name("EXAMPLE.")));
        assert!(!name("example.").is_below(&name("example.")));
        assert!(!name("badexample.").is_at_or_below(&name("example.")));
        // The octets 7"example" inside a label are no ancestor.
        assert!(!name(r"a\007example.").is_at_or_below(&name("example.")));
        assert!(name("example.").is_below(&Name::root()));
        assert_eq!(name("a.b.c.").common_labels(&name("x.B.c.")), 2);
        assert_eq!(name("a.b.c.").suffix(2), name("b.c."));
        assert_eq!(name("a.b.").ancestors().count(), 3);
        assert_eq!(name("*.a.").rrsig_labels(), 1);
    }

    #[test]
    fn canonical_order_is_that_of_rfc_4034_section_6_1() {
        let sorted = [
            "example.",
            "a.example.",
            "yljkjljk.a.example.",
            "Z.a.example.",
            "zABC.a.EXAMPLE.",
            "z.example.",
            r"\001.z.example.",
            "*.z.example.",
            r"\200.z.example.",
        ];
        for pair in sorted.windows(2) {
            assert!(name(pair[0]) < name(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn dname_substitution_is_that_of_rfc_6672_section_2_2() {
        let cases = [
            ("com.", "example.com.", "example.net.", None),
            ("example.com.", "example.com.", "example.net.", None),
            ("a.example.com.", "example.com.", "example.net.", Some("a.example.net.")),
            ("a.b.example.com.", "example.com.", "example.net.", Some("a.b.example.net.")),
            ("foo.example.com.", "example.com.", ".", Some("foo.")),
            ("ab.example.com.", "b.example.com.", "example.net.", None),
        ];
        for (qname, owner, target, expected) in cases {
            let got = name(qname).substitute(&name(owner), &name(target));
            assert_eq!(got, expected.map(|n| Ok(name(n))), "{qname}");
        }
        let long = name(&format!("{0}.{0}.{0}.x.", "a".repeat(63)));
        let far = name(&"b".repeat(63));
        assert_eq!(long.substitute(&name("x."), &far), Some(Err(NameError::NameTooLong)));
    }

    proptest! {
        /// Whatever the octets, what is read can be shown and read again as the same name.
        #[test]
        fn any_name_survives_presentation(labels in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 0..8)) {
            let name = Name::from_labels(labels.iter().map(Vec::as_slice)).unwrap();
            prop_assert!(name.to_string().parse::<Name>().unwrap().eq_case(&name));
            prop_assert!(Name::from_wire(name.as_wire()).unwrap().eq_case(&name));
        }

        /// Reading hostile bytes ends, and never leaves the message.
        #[test]
        fn reading_garbage_stays_inside(bytes in prop::collection::vec(any::<u8>(), 0..300), start in 0usize..300) {
            let mut pos = start;
            if Name::read(&bytes, &mut pos).is_ok() {
                prop_assert!(pos <= bytes.len() && pos > start);
            }
        }
    }
}
