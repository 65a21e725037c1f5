//! Building messages: sections in order, names compressed, whole RRsets or nothing.

use super::rdata::Piece;
use super::{Edns, Header, MAX_MESSAGE, Name, Question, Rdata, RecordType, Rrset, WireError};

/// The sections records go into, in their order.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[expect(missing_docs, reason = "as in RFC 1035 §4.1")]
pub enum Section {
    Answer = 1,
    Authority = 2,
    Additional = 3,
}

/// Names remembered as targets of compression. More would cost time quadratic in what an attacker
/// chooses (CVE-2024-8508).
const MAX_TARGETS: usize = 120;

/// Writes one message.
///
/// The limit includes the OPT record, for which room is reserved up front, so that it always fits.
pub struct Builder {
    out: Vec<u8>,
    header: Header,
    limit: usize,
    /// Offsets of names and their suffixes already written.
    targets: Vec<u16>,
    /// Offsets of TTL fields written.
    ttls: Vec<u16>,
    section: Section,
}

impl Builder {
    /// Begins a message of at most `limit` octets (capped at 65,535).
    pub fn new(header: Header, limit: usize) -> Self {
        let mut out = Vec::with_capacity(512);
        out.extend_from_slice(&[0; Header::LEN]);
        Self {
            out,
            header: Header { counts: [0; 4], ..header },
            limit: limit.min(MAX_MESSAGE),
            targets: Vec::new(),
            ttls: Vec::new(),
            section: Section::Answer,
        }
    }

    /// Appends the question; its name keeps its case.
    pub fn question(&mut self, question: &Question) {
        self.name(&question.name, true);
        self.out.extend_from_slice(&question.rtype.0.to_be_bytes());
        self.out.extend_from_slice(&question.class.0.to_be_bytes());
        self.header.counts[0] += 1;
    }

    /// Keeps `octets` free at the end, for OPT.
    pub fn reserve(&mut self, octets: usize) {
        self.limit = self.limit.saturating_sub(octets);
    }

    /// Appends an RRset, with its signatures when `signatures`; all of it or nothing.
    ///
    /// # Errors
    ///
    /// [`WireError::TooLong`] when it does not fit; the message is as before then.
    ///
    /// # Panics
    ///
    /// In debug builds, when sections are not in order.
    pub fn rrset(
        &mut self,
        section: Section,
        rrset: &Rrset,
        signatures: bool,
    ) -> Result<(), WireError> {
        self.rrset_with_ttl(section, rrset, rrset.ttl, signatures)
    }

    /// As [`Builder::rrset`], with `ttl` in place of the RRset's.
    ///
    /// # Errors
    ///
    /// [`WireError::TooLong`] when it does not fit; the message is as before then.
    ///
    /// # Panics
    ///
    /// In debug builds, when sections are not in order.
    pub fn rrset_with_ttl(
        &mut self,
        section: Section,
        rrset: &Rrset,
        ttl: u32,
        signatures: bool,
    ) -> Result<(), WireError> {
        debug_assert!(section >= self.section, "sections are written in order");
        self.section = section;
        let mark = (self.out.len(), self.targets.len(), self.ttls.len());
        let count = self.header.counts[section as usize];
        for rdata in &rrset.rdata {
            self.record(section, rrset, rrset.rtype, ttl, rdata);
        }
        for rdata in rrset.signatures.iter().filter(|_| signatures) {
            self.record(section, rrset, RecordType::RRSIG, ttl, rdata);
        }
        if self.out.len() <= self.limit {
            return Ok(());
        }
        self.out.truncate(mark.0);
        self.targets.truncate(mark.1);
        self.ttls.truncate(mark.2);
        self.header.counts[section as usize] = count;
        Err(WireError::TooLong)
    }

    fn record(
        &mut self,
        section: Section,
        rrset: &Rrset,
        rtype: RecordType,
        ttl: u32,
        rdata: &Rdata,
    ) {
        if self.out.len() > self.limit {
            return; // Does not fit already; the caller rolls back.
        }
        self.name(&rrset.owner, true);
        self.out.extend_from_slice(&rtype.0.to_be_bytes());
        self.out.extend_from_slice(&rrset.class.0.to_be_bytes());
        self.ttls.push(u16::try_from(self.out.len()).unwrap_or(u16::MAX));
        self.out.extend_from_slice(&ttl.to_be_bytes());
        let len_at = self.out.len();
        self.out.extend_from_slice(&[0, 0]);
        for piece in rdata.pieces(rtype) {
            match piece {
                Piece::Octets(octets) => self.out.extend_from_slice(octets),
                Piece::Name(name) => self.name(&name, true),
            }
        }
        let len = u16::try_from(self.out.len() - len_at - 2).unwrap_or(u16::MAX);
        self.out[len_at..len_at + 2].copy_from_slice(&len.to_be_bytes());
        let count = &mut self.header.counts[section as usize];
        *count = count.saturating_add(1);
    }

    /// Sets or clears TC.
    pub fn truncated(&mut self, on: bool) {
        self.header = self.header.with_tc(on);
    }

    /// Where the TTL fields are: offsets from the start of the message.
    pub fn ttl_offsets(&self) -> &[u16] {
        &self.ttls
    }

    /// Octets written so far, OPT not included.
    #[expect(clippy::len_without_is_empty, reason = "a message has a header")]
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Ends the message, with OPT as the last record when given.
    pub fn finish(mut self, edns: Option<&Edns>) -> Vec<u8> {
        if let Some(edns) = edns {
            edns.write(&mut self.out);
            self.header.counts[3] = self.header.counts[3].saturating_add(1);
        }
        self.out[..Header::LEN].copy_from_slice(&self.header.to_bytes());
        self.out
    }

    /// Appends a name, its longest suffix already written replaced by a pointer.
    fn name(&mut self, name: &Name, compress: bool) {
        let wire = name.as_wire();
        let mut at = 0;
        while wire[at] != 0 {
            if compress && let Some(target) = self.find(&wire[at..]) {
                self.out.extend_from_slice(&(0xc000 | target).to_be_bytes());
                return;
            }
            if let Some(here) = u16::try_from(self.out.len()).ok().filter(|here| *here < 0x4000)
                && self.targets.len() < MAX_TARGETS
            {
                self.targets.push(here);
            }
            let next = at + 1 + usize::from(wire[at]);
            self.out.extend_from_slice(&wire[at..next]);
            at = next;
        }
        self.out.push(0);
    }

    fn find(&self, suffix: &[u8]) -> Option<u16> {
        self.targets.iter().copied().find(|target| self.is_at(usize::from(*target), suffix))
    }

    /// Whether the name written at `at` is `suffix`, octet for octet, so that case is kept.
    fn is_at(&self, mut at: usize, mut suffix: &[u8]) -> bool {
        loop {
            // The name being written is a target too and ends in the middle.
            let Some(&octet) = self.out.get(at) else { return false };
            if octet >> 6 == 3 {
                let Some(&low) = self.out.get(at + 1) else { return false };
                at = usize::from(octet & 0x3f) << 8 | usize::from(low);
                continue;
            }
            let len = 1 + usize::from(octet);
            if suffix.len() < len || self.out.get(at..at + len) != Some(&suffix[..len]) {
                return false;
            }
            if octet == 0 {
                return true;
            }
            (at, suffix) = (at + len, &suffix[len..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{EdnsOption, Message, Rcode, group_rrsets};

    fn rrset(owner: &str, rtype: RecordType, rdata: &[&[u8]]) -> Rrset {
        let rdata = rdata.iter().map(|octets| Rdata::from_bytes(*octets)).collect();
        Rrset::new(owner.parse().unwrap(), rtype, 300, rdata)
    }

    #[test]
    fn what_is_built_is_read_again() {
        let question = Question::new("www.Example.org.".parse().unwrap(), RecordType::A);
        let mut answer =
            rrset("www.Example.org.", RecordType::A, &[&[192, 0, 2, 1], &[192, 0, 2, 2]]);
        answer.signatures.push(Rdata::from_bytes([&[0, 1][..], &[0; 16], &[0], b"sig"].concat()));
        let ns = rrset("example.org.", RecordType::NS, &[b"\x02ns\x07example\x03org\x00"]);
        let header = Header { id: 9, ..Header::default() }.with_qr(true).with_ra(true);

        let mut builder = Builder::new(header, 512);
        builder.question(&question);
        builder.rrset(Section::Answer, &answer, true).unwrap();
        builder.rrset(Section::Authority, &ns, true).unwrap();
        let mut edns = Edns::new(1232, true);
        edns.options.push(EdnsOption::ede(6, "why"));
        let ttls = builder.ttl_offsets().to_vec();
        let bytes = builder.finish(Some(&edns));

        let message = Message::parse(&bytes).unwrap();
        assert_eq!(message.question, Some(question));
        assert_eq!(group_rrsets(&message.answer), [answer]);
        assert_eq!(group_rrsets(&message.authority), [ns]);
        assert_eq!((message.edns, message.rcode), (Some(edns), Rcode::NOERROR));
        assert_eq!(ttls.len(), 4);
        for at in ttls.into_iter().map(usize::from) {
            assert_eq!(bytes[at..at + 4], 300u32.to_be_bytes());
        }
        assert!(bytes.len() < 150, "names are compressed: {}", bytes.len());
    }

    #[test]
    fn a_name_may_repeat_its_own_labels() {
        for text in ["a.a.", "a.a.a.a.", "a.b.a.b.", "aa.a.aa.a."] {
            let question = Question::new(text.parse().unwrap(), RecordType::A);
            let mut builder = Builder::new(Header::default(), 512);
            builder.question(&question);
            let bytes = builder.finish(None);
            assert_eq!(Message::parse(&bytes).unwrap().question, Some(question), "{text}");
        }
    }

    #[test]
    fn an_rrset_that_does_not_fit_leaves_no_trace() {
        let big = rrset("example.", RecordType::TXT, &[&[100; 101], &[99; 100]]);
        let small = rrset("example.", RecordType::A, &[&[1, 2, 3, 4]]);
        let mut builder = Builder::new(Header::default(), 100);
        builder.reserve(11);
        assert_eq!(builder.rrset(Section::Answer, &big, true), Err(WireError::TooLong));
        builder.rrset(Section::Answer, &small, true).unwrap();
        let bytes = builder.finish(Some(&Edns::new(1232, false)));
        assert!(bytes.len() <= 100);
        assert_eq!(group_rrsets(&Message::parse(&bytes).unwrap().answer), [small]);
    }
}
