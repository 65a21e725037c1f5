//! Record data: where the names are, canonical form, and views of the types we act on.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Name, RecordType, WireError};

/// RDATA as wire bytes, every name in it uncompressed.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Rdata(Box<[u8]>);

/// One piece of RDATA.
#[derive(Clone, Copy)]
enum Part {
    /// So many octets.
    Fixed(usize),
    /// A length octet and so many more.
    Text,
    /// A domain name.
    Name,
    /// Whatever is left.
    Rest,
}

use Part::{Fixed, Rest, Text};

/// Types whose RDATA holds names that may be compressed on the wire (RFC 3597 §4), their layout,
/// and whether the canonical form lower-cases the names (RFC 4034 §6.2, RFC 6840 §5.1).
const LAYOUTS: &[(RecordType, &[Part], bool)] = &[
    (RecordType::NS, &[Part::Name], true),
    (RecordType::CNAME, &[Part::Name], true),
    (RecordType::PTR, &[Part::Name], true),
    (RecordType::DNAME, &[Part::Name], true),
    (RecordType::SOA, &[Part::Name, Part::Name, Fixed(20)], true),
    (RecordType::MX, &[Fixed(2), Part::Name], true),
    (RecordType::SRV, &[Fixed(6), Part::Name], true),
    (RecordType::RRSIG, &[Fixed(18), Part::Name, Rest], true),
    (RecordType::NSEC, &[Part::Name, Rest], false),
    (RecordType::MD, &[Part::Name], true),
    (RecordType::MF, &[Part::Name], true),
    (RecordType::MB, &[Part::Name], true),
    (RecordType::MG, &[Part::Name], true),
    (RecordType::MR, &[Part::Name], true),
    (RecordType::MINFO, &[Part::Name, Part::Name], true),
    (RecordType::RP, &[Part::Name, Part::Name], true),
    (RecordType::AFSDB, &[Fixed(2), Part::Name], true),
    (RecordType::RT, &[Fixed(2), Part::Name], true),
    (RecordType::KX, &[Fixed(2), Part::Name], true),
    (RecordType::PX, &[Fixed(2), Part::Name, Part::Name], true),
    (RecordType::NAPTR, &[Fixed(4), Text, Text, Text, Part::Name], true),
    (RecordType::SIG, &[Fixed(18), Part::Name, Rest], true),
    (RecordType::NXT, &[Part::Name, Rest], true),
    (RecordType::A, &[Fixed(4)], false),
    (RecordType::AAAA, &[Fixed(16)], false),
];

fn layout(rtype: RecordType) -> Option<(&'static [Part], bool)> {
    LAYOUTS.iter().find(|row| row.0 == rtype).map(|row| (row.1, row.2))
}

impl Rdata {
    /// Takes RDATA whose names are uncompressed already, as it is.
    pub fn from_bytes(bytes: impl Into<Box<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// RDATA that is just a name: NS, CNAME, PTR, DNAME.
    pub fn from_name(name: &Name) -> Self {
        Self(name.as_wire().into())
    }

    /// RDATA of an A or AAAA record.
    pub fn from_ip(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self(Box::from(ip.octets())),
            IpAddr::V6(ip) => Self(Box::from(ip.octets())),
        }
    }

    /// Reads `len` octets of RDATA at `start` of `message`, decompressing the names of types that
    /// may be compressed. Other types are taken as they are (RFC 3597 §4).
    ///
    /// # Errors
    ///
    /// [`WireError`] when the data does not have the form of its type.
    pub(super) fn read(
        message: &[u8],
        start: usize,
        len: usize,
        rtype: RecordType,
    ) -> Result<Self, WireError> {
        let end = start + len;
        let raw = message.get(start..end).ok_or(WireError::Truncated)?;
        let Some((parts, _)) = layout(rtype) else { return Ok(Self(raw.into())) };
        let mut out = Vec::with_capacity(len + 32);
        let mut at = start;
        for part in parts {
            match part {
                Part::Name => {
                    let name = Name::read(&message[..end], &mut at)?;
                    out.extend_from_slice(name.as_wire());
                }
                other => {
                    let next = at + other.octets(&message[at..end]).ok_or(WireError::Rdata)?;
                    out.extend_from_slice(message.get(at..next).ok_or(WireError::Rdata)?);
                    at = next;
                }
            }
            if at > end {
                return Err(WireError::Rdata);
            }
        }
        if at == end { Ok(Self(out.into())) } else { Err(WireError::Rdata) }
    }

    /// The octets.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// How many octets.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first name in RDATA of `rtype`: the host of NS, MX and SRV, the target of CNAME, DNAME
    /// and PTR; `None` for types without one.
    pub fn as_name(&self, rtype: RecordType) -> Option<Name> {
        let mut at = 0;
        for part in layout(rtype)?.0 {
            match part {
                Part::Name => return Name::read(&self.0, &mut at).ok(),
                other => at += other.octets(self.0.get(at..)?)?,
            }
        }
        None
    }

    /// The address of an A or AAAA record; `None` when it has neither's length.
    pub fn as_ip(&self) -> Option<IpAddr> {
        if let Ok(v4) = <[u8; 4]>::try_from(&*self.0) {
            return Some(IpAddr::V4(Ipv4Addr::from(v4)));
        }
        <[u8; 16]>::try_from(&*self.0).ok().map(|v6| IpAddr::V6(Ipv6Addr::from(v6)))
    }

    /// Type Covered of RRSIG RDATA; `None` when it is too short.
    pub fn covered_type(&self) -> Option<RecordType> {
        self.0.first_chunk().map(|octets| RecordType(u16::from_be_bytes(*octets)))
    }

    /// Pieces of RDATA for a message: names that may be compressed when sent (only those of
    /// RFC 1035, as RFC 3597 §4 demands), and octets that are sent as they are.
    pub(super) fn pieces(&self, rtype: RecordType) -> Vec<Piece<'_>> {
        use RecordType as T;
        let compressible = matches!(
            rtype,
            T::NS | T::CNAME | T::PTR | T::SOA | T::MX | T::MB | T::MG | T::MR | T::MINFO
        );
        let whole = vec![Piece::Octets(&self.0)];
        let Some((parts, _)) = layout(rtype).filter(|_| compressible) else { return whole };
        let mut pieces = Vec::with_capacity(parts.len());
        let mut at = 0;
        for part in parts {
            match part {
                Part::Name => match Name::read(&self.0, &mut at) {
                    Ok(name) => pieces.push(Piece::Name(name)),
                    Err(_) => return whole,
                },
                other => {
                    let rest = self.0.get(at..).unwrap_or_default();
                    let Some(octets) = other.octets(rest).and_then(|len| rest.get(..len)) else {
                        return whole;
                    };
                    at += octets.len();
                    pieces.push(Piece::Octets(octets));
                }
            }
        }
        if at == self.0.len() { pieces } else { whole }
    }
}

/// A piece of RDATA as it goes into a message.
pub(super) enum Piece<'a> {
    Octets(&'a [u8]),
    Name(Name),
}

impl Part {
    /// How many of `rest` this part takes; a name is not measured here.
    fn octets(self, rest: &[u8]) -> Option<usize> {
        match self {
            Self::Fixed(len) => Some(len).filter(|len| *len <= rest.len()),
            Self::Text => rest.first().map(|len| 1 + usize::from(*len)),
            Self::Rest => Some(rest.len()),
            Self::Name => None,
        }
    }
}

impl fmt::Debug for Rdata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (4 | 16, Some(ip)) = (self.0.len(), self.as_ip()) {
            return write!(f, "{ip}");
        }
        match Name::from_wire(&self.0) {
            Ok(name) if !self.0.is_empty() => write!(f, "{name}"),
            _ => write!(f, "\\# {} {}", self.0.len(), data_encoding::HEXLOWER.encode(&self.0)),
        }
    }
}

/// RDATA in canonical form: names lower-cased where RFC 4034 §6.2 as corrected by RFC 6840 §5.1
/// says so. Borrowed when nothing had to change.
pub fn canonical_rdata(rtype: RecordType, rdata: &Rdata) -> std::borrow::Cow<'_, [u8]> {
    let Some((parts, true)) = layout(rtype) else { return rdata.as_bytes().into() };
    let mut out = rdata.as_bytes().to_vec();
    let mut at = 0;
    for part in parts {
        match part {
            Part::Name => {
                let begin = at;
                if Name::read(rdata.as_bytes(), &mut at).is_err() {
                    return rdata.as_bytes().into();
                }
                // Length octets are below 'A', so the whole may be folded.
                out[begin..at].make_ascii_lowercase();
            }
            other => match other.octets(&out[at..]) {
                Some(len) => at = (at + len).min(out.len()),
                None => return rdata.as_bytes().into(),
            },
        }
    }
    out.into()
}

/// Octets of fixed-size fields, read from the front.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn u8(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn u16(&mut self) -> Option<u16> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u16::from_be_bytes(*first))
    }

    fn u32(&mut self) -> Option<u32> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*first))
    }

    fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (first, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(first)
    }

    fn name(&mut self) -> Option<Name> {
        let mut at = 0;
        let name = Name::read(self.0, &mut at).ok()?;
        self.0 = &self.0[at..];
        Some(name)
    }
}

/// SOA RDATA (RFC 1035 §3.3.13).
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "fields as in RFC 1035 §3.3.13")]
pub struct Soa {
    pub mname: Name,
    pub rname: Name,
    pub serial: u32,
    pub refresh: u32,
    pub retry: u32,
    pub expire: u32,
    pub minimum: u32,
}

impl Soa {
    /// Reads RDATA; `None` when it is malformed.
    pub fn parse(rdata: &Rdata) -> Option<Self> {
        let mut fields = Fields(rdata.as_bytes());
        Some(Self {
            mname: fields.name()?,
            rname: fields.name()?,
            serial: fields.u32()?,
            refresh: fields.u32()?,
            retry: fields.u32()?,
            expire: fields.u32()?,
            minimum: fields.u32()?,
        })
    }
}

/// DNSKEY RDATA (RFC 4034 §2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Dnskey<'a> {
    /// Flags: 0x0100 Zone Key, 0x0001 SEP, 0x0080 REVOKE.
    pub flags: u16,
    /// Must be 3.
    pub protocol: u8,
    /// Algorithm number.
    pub algorithm: u8,
    /// Public key in the form of its algorithm.
    pub public_key: &'a [u8],
    /// Key tag (RFC 4034 appendix B).
    pub key_tag: u16,
}

impl<'a> Dnskey<'a> {
    /// Flag: the key may sign RRsets of its zone.
    pub const ZONE: u16 = 0x0100;
    /// Flag: the key is revoked (RFC 5011 §2.1).
    pub const REVOKE: u16 = 0x0080;
    /// Flag: secure entry point; a hint only.
    pub const SEP: u16 = 0x0001;

    /// Reads RDATA; `None` when it is too short.
    pub fn parse(rdata: &'a Rdata) -> Option<Self> {
        let mut fields = Fields(rdata.as_bytes());
        Some(Self {
            flags: fields.u16()?,
            protocol: fields.u8()?,
            algorithm: fields.u8()?,
            public_key: fields.0,
            key_tag: key_tag(rdata.as_bytes()),
        })
    }
}

/// RFC 4034 appendix B; appendix B.1 for algorithm 1.
fn key_tag(rdata: &[u8]) -> u16 {
    if let (Some(1), [.., a, b, _]) = (rdata.get(3), rdata) {
        return u16::from_be_bytes([*a, *b]);
    }
    let sum: u32 = rdata
        .iter()
        .enumerate()
        .map(|(i, octet)| if i & 1 == 0 { u32::from(*octet) << 8 } else { u32::from(*octet) })
        .fold(0, u32::wrapping_add);
    (sum.wrapping_add(sum >> 16 & 0xffff) & 0xffff) as u16
}

/// DS RDATA (RFC 4034 §5).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "fields as in RFC 4034 §5.1")]
pub struct Ds<'a> {
    pub key_tag: u16,
    pub algorithm: u8,
    pub digest_type: u8,
    pub digest: &'a [u8],
}

impl<'a> Ds<'a> {
    /// Reads RDATA; `None` when it is too short.
    pub fn parse(rdata: &'a Rdata) -> Option<Self> {
        let mut fields = Fields(rdata.as_bytes());
        Some(Self {
            key_tag: fields.u16()?,
            algorithm: fields.u8()?,
            digest_type: fields.u8()?,
            digest: fields.0,
        })
    }
}

/// RRSIG RDATA (RFC 4034 §3).
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "fields as in RFC 4034 §3.1")]
pub struct Rrsig<'a> {
    pub type_covered: RecordType,
    pub algorithm: u8,
    pub labels: u8,
    pub original_ttl: u32,
    pub expiration: u32,
    pub inception: u32,
    pub key_tag: u16,
    pub signer: Name,
    pub signature: &'a [u8],
}

impl<'a> Rrsig<'a> {
    /// Reads RDATA; `None` when it is malformed.
    pub fn parse(rdata: &'a Rdata) -> Option<Self> {
        let mut fields = Fields(rdata.as_bytes());
        Some(Self {
            type_covered: RecordType(fields.u16()?),
            algorithm: fields.u8()?,
            labels: fields.u8()?,
            original_ttl: fields.u32()?,
            expiration: fields.u32()?,
            inception: fields.u32()?,
            key_tag: fields.u16()?,
            signer: fields.name()?,
            signature: fields.0,
        })
    }
}

/// NSEC RDATA (RFC 4034 §4).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Nsec<'a> {
    /// Next owner name in canonical order.
    pub next: Name,
    /// Types that exist at the owner.
    pub types: TypeBitmap<'a>,
}

impl<'a> Nsec<'a> {
    /// Reads RDATA; `None` when it is malformed.
    pub fn parse(rdata: &'a Rdata) -> Option<Self> {
        let mut fields = Fields(rdata.as_bytes());
        Some(Self { next: fields.name()?, types: TypeBitmap::parse(fields.0)? })
    }
}

/// NSEC3 RDATA (RFC 5155 §3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Nsec3<'a> {
    /// Hash algorithm; 1 is SHA-1.
    pub algorithm: u8,
    /// Flags; 1 is Opt-Out.
    pub flags: u8,
    /// Additional iterations.
    pub iterations: u16,
    /// Salt: 0 to 255 octets.
    pub salt: &'a [u8],
    /// Hash of the next owner name, raw.
    pub next_hash: &'a [u8],
    /// Types that exist at the original owner name.
    pub types: TypeBitmap<'a>,
}

impl<'a> Nsec3<'a> {
    /// Flag: unsigned delegations may lie in the span.
    pub const OPT_OUT: u8 = 1;

    /// Reads RDATA; `None` when it is malformed.
    pub fn parse(rdata: &'a Rdata) -> Option<Self> {
        let mut fields = Fields(rdata.as_bytes());
        let (algorithm, flags, iterations) = (fields.u8()?, fields.u8()?, fields.u16()?);
        let salt_len = fields.u8()?;
        let salt = fields.bytes(salt_len.into())?;
        let hash_len = fields.u8()?;
        let next_hash = fields.bytes(hash_len.into())?;
        let types = TypeBitmap::parse(fields.0)?;
        Some(Self { algorithm, flags, iterations, salt, next_hash, types })
    }
}

/// The type bitmap of NSEC and NSEC3 (RFC 4034 §4.1.2), its form checked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TypeBitmap<'a>(&'a [u8]);

impl<'a> TypeBitmap<'a> {
    /// Checks the form: windows ascending, 1 to 32 octets each; `None` when it is malformed.
    pub fn parse(octets: &'a [u8]) -> Option<Self> {
        let mut rest = octets;
        let mut least = 0;
        while let [window, len @ 1..=32, tail @ ..] = rest {
            if u16::from(*window) < least {
                return None;
            }
            least = u16::from(*window) + 1;
            rest = tail.get(usize::from(*len)..)?;
        }
        rest.is_empty().then_some(Self(octets))
    }

    /// The types whose bits are set, in ascending order.
    pub fn iter(self) -> impl Iterator<Item = RecordType> {
        let mut rest = self.0;
        let windows = std::iter::from_fn(move || {
            let [window, len, tail @ ..] = rest else { return None };
            let (bits, after) = tail.split_at_checked(usize::from(*len))?;
            rest = after;
            Some((*window, bits))
        });
        windows.flat_map(|(window, bits)| {
            (0..=u8::MAX)
                .filter(|low| {
                    let octet = bits.get(usize::from(low / 8)).unwrap_or(&0);
                    octet & (0x80 >> (low % 8)) != 0
                })
                .map(move |low| RecordType(u16::from_be_bytes([window, low])))
        })
    }

    /// Whether the bit of `rtype` is set.
    pub fn contains(self, rtype: RecordType) -> bool {
        let [high, low] = rtype.0.to_be_bytes();
        let mut rest = self.0;
        while let [window, len, tail @ ..] = rest {
            let bits = tail.get(..usize::from(*len)).unwrap_or_default();
            if *window == high {
                return bits
                    .get(usize::from(low / 8))
                    .is_some_and(|octet| octet & (0x80 >> (low % 8)) != 0);
            }
            rest = &tail[bits.len()..];
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_inside_rdata_are_decompressed_and_checked() {
        // "example." at 0, then RDATA at 9.
        let head = b"\x07example\x00";
        let message = |rdata: &[u8]| [head, rdata].concat();
        let read = |rtype, rdata: &[u8]| Rdata::read(&message(rdata), 9, rdata.len(), rtype);

        let mx = read(RecordType::MX, b"\x00\x0a\x01m\xc0\x00").unwrap();
        assert_eq!(mx.as_bytes(), b"\x00\x0a\x01m\x07example\x00");
        assert_eq!(mx.as_name(RecordType::MX), Some("m.example.".parse().unwrap()));
        for (why, rtype, rdata) in [
            ("A of three octets", RecordType::A, &b"\x01\x02\x03"[..]),
            ("octets after the name", RecordType::NS, b"\xc0\x00\x00"),
            ("name beyond the end", RecordType::NS, b"\x05ab"),
            ("SOA cut short", RecordType::SOA, b"\xc0\x00\xc0\x00\x00"),
        ] {
            assert!(read(rtype, rdata).is_err(), "{why}");
        }
        // Unknown types are taken as they are, even if they look like pointers.
        assert_eq!(read(RecordType(65280), b"\xc0\x00").unwrap().as_bytes(), b"\xc0\x00");
    }

    #[test]
    fn canonical_form_folds_the_names_rfc_6840_section_5_1_lists() {
        let fold =
            |rtype, bytes: &[u8]| canonical_rdata(rtype, &Rdata::from_bytes(bytes)).into_owned();
        assert_eq!(fold(RecordType::MX, b"\x00\x41\x01A\x00"), b"\x00\x41\x01a\x00");
        assert_eq!(fold(RecordType::NSEC, b"\x01A\x00\x00\x01\x40"), b"\x01A\x00\x00\x01\x40");
        assert_eq!(fold(RecordType::TXT, b"\x01A"), b"\x01A");
    }

    #[test]
    fn key_tag_is_that_of_rfc_4034_section_5_4() {
        let key = "AQOeiiR0GOMYkDshWoSKz9XzfwJr1AYtsmx3TGkJaNXVbfi/2pHm822aJ5iI9BMzNXxeYCmZDRD99WYwYqUSdjMmmAphXdvxegXd/M5+X7OrzKBaMbCVdFLUUh6DhweJBjEVv5f2wwjM9XzcnOf+EPbtG9DMBmADjFDc2w/rljwvFw==";
        let key = data_encoding::BASE64.decode(key.as_bytes()).unwrap();
        let rdata = Rdata::from_bytes([&[1, 0, 3, 5][..], &key].concat());
        assert_eq!(Dnskey::parse(&rdata).unwrap().key_tag, 60485);
    }

    #[test]
    fn type_bitmaps_are_those_of_rfc_4034_section_4_3() {
        let octets = [&[0, 6, 0x40, 0x01, 0, 0, 0, 0x03, 4, 27][..], &[0; 26], &[0x20]].concat();
        let bitmap = TypeBitmap::parse(&octets).unwrap();
        for rtype in [RecordType::A, RecordType::MX, RecordType::RRSIG, RecordType::NSEC] {
            assert!(bitmap.contains(rtype), "{rtype}");
        }
        assert!(bitmap.contains(RecordType(1234)));
        assert!(!bitmap.contains(RecordType::AAAA) && !bitmap.contains(RecordType(1235)));
        assert_eq!(bitmap.iter().map(|rtype| rtype.0).collect::<Vec<_>>(), [1, 15, 46, 47, 1234]);
        for (why, bad) in [
            ("window of 0 octets", &[0, 0][..]),
            ("window of 33 octets", &[0, 33]),
            ("cut short", &[0, 2, 1]),
            ("windows out of order", &[1, 1, 1, 0, 1, 1]),
        ] {
            assert_eq!(TypeBitmap::parse(bad), None, "{why}");
        }
    }
}
