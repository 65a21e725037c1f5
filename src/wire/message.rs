//! Whole messages, read into memory of their own. The hot path reads headers in place instead.

use super::{Class, Edns, Name, Opcode, Question, Rcode, Rdata, Record, RecordType, WireError};

/// Octets a message can have at most.
pub const MAX_MESSAGE: usize = 65_535;

/// The 12 octets every message begins with (RFC 1035 §4.1.1).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Header {
    /// Query id.
    pub id: u16,
    /// Flags, opcode and response code as they are.
    pub bits: u16,
    /// QDCOUNT, ANCOUNT, NSCOUNT, ARCOUNT.
    pub counts: [u16; 4],
}

macro_rules! flags {
    ($($(#[$doc:meta])* $get:ident $set:ident $mask:literal),* $(,)?) => {
        $($(#[$doc])* pub const fn $get(&self) -> bool { self.bits & $mask != 0 }
        /// Sets or clears that flag.
        #[must_use]
        pub const fn $set(mut self, on: bool) -> Self {
            self.bits = if on { self.bits | $mask } else { self.bits & !$mask };
            self
        })*
    };
}

impl Header {
    /// Octets of a header.
    pub const LEN: usize = 12;

    flags! {
        /// QR: this is a response.
        qr with_qr 0x8000,
        /// AA: the server is authoritative.
        aa with_aa 0x0400,
        /// TC: the message was cut short.
        tc with_tc 0x0200,
        /// RD: recursion is desired.
        rd with_rd 0x0100,
        /// RA: recursion is available.
        ra with_ra 0x0080,
        /// AD: the data is authentic (RFC 4035 §3.2.3).
        ad with_ad 0x0020,
        /// CD: checking disabled (RFC 4035 §3.2.2).
        cd with_cd 0x0010,
    }

    /// Reads the header in place; `None` when there are fewer than 12 octets.
    pub fn read(message: &[u8]) -> Option<Self> {
        let word = |i: usize| u16::from_be_bytes([message[i], message[i + 1]]);
        (message.len() >= Self::LEN).then(|| Self {
            id: word(0),
            bits: word(2),
            counts: [word(4), word(6), word(8), word(10)],
        })
    }

    /// The opcode.
    pub const fn opcode(&self) -> Opcode {
        Opcode((self.bits >> 11 & 0xf) as u8)
    }

    /// Replaces the opcode.
    #[must_use]
    pub const fn with_opcode(mut self, opcode: Opcode) -> Self {
        self.bits = self.bits & 0x87ff | (opcode.0 as u16 & 0xf) << 11;
        self
    }

    /// The lower four bits of the response code.
    pub const fn rcode(&self) -> Rcode {
        Rcode(self.bits & 0xf)
    }

    /// Replaces the lower four bits of the response code.
    #[must_use]
    pub const fn with_rcode(mut self, rcode: Rcode) -> Self {
        self.bits = self.bits & 0xfff0 | rcode.low();
        self
    }

    /// The 12 octets.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        let words = [self.id, self.bits].into_iter().chain(self.counts);
        for (octets, word) in out.chunks_exact_mut(2).zip(words) {
            octets.copy_from_slice(&word.to_be_bytes());
        }
        out
    }
}

/// A message, taken apart.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// Header as it came; counts may be larger than what is here when TC is set.
    pub header: Header,
    /// Response code with the bits of EDNS.
    pub rcode: Rcode,
    /// The question, when there is exactly one.
    pub question: Option<Question>,
    /// Answer section.
    pub answer: Vec<Record>,
    /// Authority section.
    pub authority: Vec<Record>,
    /// Additional section without OPT.
    pub additional: Vec<Record>,
    /// OPT, when there is one.
    pub edns: Option<Edns>,
}

impl Message {
    /// Takes a message apart. Octets after the last record are ignored, as every resolver does.
    /// A message with TC may end in the middle of a record; what is whole is kept.
    ///
    /// # Errors
    ///
    /// [`WireError`] naming the first thing that is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let header = Header::read(bytes).ok_or(WireError::Truncated)?;
        let mut pos = Header::LEN;
        let [questions, counts @ ..] = header.counts;
        let mut question = None;
        for _ in 0..questions {
            question = Some(read_question(bytes, &mut pos)?);
        }
        let mut edns = None;
        let mut sections = [Vec::new(), Vec::new(), Vec::new()];
        'sections: for (section, count) in counts.into_iter().enumerate() {
            for _ in 0..count {
                match read_record(bytes, &mut pos) {
                    Ok(Read::Record(record)) => sections[section].push(record),
                    Ok(Read::Opt(opt)) if edns.is_none() && section == 2 => edns = Some(opt),
                    Ok(Read::Opt(_)) => return Err(WireError::Opt),
                    Err(_) if header.tc() => break 'sections,
                    Err(error) => return Err(error),
                }
            }
        }
        let [answer, authority, additional] = sections;
        let high = edns.as_ref().map_or(0, |edns: &Edns| u16::from(edns.rcode_high));
        Ok(Self {
            header,
            rcode: Rcode(high << 4 | header.rcode().0),
            question: question.filter(|_| questions == 1),
            answer,
            authority,
            additional,
            edns,
        })
    }
}

fn read_question(bytes: &[u8], pos: &mut usize) -> Result<Question, WireError> {
    let name = Name::read(bytes, pos)?;
    let rtype = RecordType(read_u16(bytes, pos)?);
    let class = Class(read_u16(bytes, pos)?);
    Ok(Question { name, rtype, class })
}

enum Read {
    Record(Record),
    Opt(Edns),
}

fn read_record(bytes: &[u8], pos: &mut usize) -> Result<Read, WireError> {
    let owner = Name::read(bytes, pos)?;
    let rtype = RecordType(read_u16(bytes, pos)?);
    let class = read_u16(bytes, pos)?;
    let ttl = u32::from(read_u16(bytes, pos)?) << 16 | u32::from(read_u16(bytes, pos)?);
    let len = usize::from(read_u16(bytes, pos)?);
    let start = *pos;
    *pos += len;
    if rtype == RecordType::OPT {
        let rdata = bytes.get(start..start + len).ok_or(WireError::Truncated)?;
        if !owner.is_root() {
            return Err(WireError::Opt);
        }
        return Edns::read(class, ttl, rdata).map(Read::Opt);
    }
    let rdata = Rdata::read(bytes, start, len, rtype)?;
    let ttl = ttl.min(i32::MAX as u32);
    Ok(Read::Record(Record { owner, rtype, class: Class(class), ttl, rdata }))
}

fn read_u16(bytes: &[u8], pos: &mut usize) -> Result<u16, WireError> {
    let octets = bytes.get(*pos..*pos + 2).ok_or(WireError::Truncated)?;
    *pos += 2;
    Ok(u16::from_be_bytes([octets[0], octets[1]]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn flags_and_codes_keep_out_of_each_others_bits() {
        let header = Header { id: 7, ..Header::default() }
            .with_qr(true)
            .with_opcode(Opcode::NOTIFY)
            .with_rcode(Rcode::REFUSED)
            .with_cd(true);
        assert_eq!(Header::read(&header.to_bytes()), Some(header));
        assert_eq!((header.opcode(), header.rcode()), (Opcode::NOTIFY, Rcode::REFUSED));
        assert!(header.qr() && header.cd() && !header.aa() && !header.tc() && !header.rd());
        assert!(!header.with_qr(false).qr());
        assert_eq!(Header::read(&[0; 11]), None);
    }

    proptest! {
        /// Reading hostile bytes ends without a panic, whatever they are.
        #[test]
        fn garbage_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = Message::parse(&bytes);
        }

        /// So are messages whose header is plausible and whose counts lie.
        #[test]
        fn plausible_garbage_is_read_or_refused(counts in any::<[u8; 4]>(), body in prop::collection::vec(0u8..70, 0..600)) {
            let header = Header { id: 1, bits: 0x8180, counts: counts.map(|c| u16::from(c % 8)) };
            let _ = Message::parse(&[&header.to_bytes()[..], &body].concat());
        }
    }
}
