//! A stored answer as octets: the finished wire answer once or twice, and where to patch it.
//!
//! ```text
//! status 1 │ reason 1 │ failures 1 │ flags 1 │ rcode 2 │ stale until 8 │ stored 8 │ expires 8 │
//! signed until 8
//! per variant: lengths and places (16)
//! per variant: offsets of TTLs (2 each), message
//! ```
//!
//! The first variant is for DO, with everything. The second, for clients without DO, leaves out
//! signatures and proofs (RFC 4035 §3.2.1); it is there only when it differs.
//!
//! A message has no OPT and a meaningless id. Since RRsets stand section by section and
//! compression points backwards, it may be cut at the end of a section.

use super::answer::{Answer, Manner};
use super::codec::{Reader, put_len};
use super::settings::{Settings, denies};
use crate::clock::{Now, UnixTime};
use crate::status::{Reason, SecurityStatus};
use crate::wire::{
    Builder, Header, MAX_MESSAGE, Message, Name, Question, Rcode, RecordType, Rrset, Section,
    group_rrsets,
};

/// Flag: there is a second variant.
const HAS_PLAIN: u8 = 1;
/// Flag: it says that something does not exist.
const DENIES: u8 = 2;

/// A stored answer, read in place.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) status: SecurityStatus,
    pub(super) reason: Option<Reason>,
    /// For failures: how many there were in a row.
    pub(super) failures: u8,
    /// Whether it says that something does not exist.
    pub(super) denies: bool,
    pub(super) rcode: Rcode,
    pub(super) stored: UnixTime,
    pub(super) expires: UnixTime,
    /// Until when it may be served although it has expired; not after `expires` when never.
    pub(super) stale_until: UnixTime,
    /// When the first of its signatures expires.
    pub(super) signed_until: UnixTime,
    full: Variant<'a>,
    plain: Option<Variant<'a>>,
}

/// One finished message.
#[derive(Clone, Copy)]
pub(super) struct Variant<'a> {
    pub(super) wire: &'a [u8],
    /// Offsets of TTL fields, two octets each, ascending.
    ttls: &'a [u8],
    pub(super) question_end: usize,
    pub(super) answer_end: usize,
    pub(super) authority_end: usize,
    /// The first octets of the message that a minimal response keeps.
    pub(super) minimal_end: usize,
    pub(super) rotation: Rotation,
}

/// Records of equal length that nothing points into, so that they can change places: the
/// addresses of the answer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Rotation {
    pub(super) at: usize,
    pub(super) len: usize,
    pub(super) count: usize,
}

impl<'a> Entry<'a> {
    /// Reads what [`encode`] wrote.
    pub(super) fn read(value: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(value);
        let status = SecurityStatus::from_u8(reader.u8()?)?;
        let reason = Some(reader.u8()?).filter(|n| *n != 0).and_then(Reason::from_u8);
        let failures = reader.u8()?;
        let flags = reader.u8()?;
        let rcode = Rcode(reader.u16()?);
        let stale_until = UnixTime(reader.u64()?);
        let stored = UnixTime(reader.u64()?);
        let expires = UnixTime(reader.u64()?);
        let signed_until = UnixTime(reader.u64()?);
        let full = Places::read(&mut reader)?;
        let plain = if flags & HAS_PLAIN != 0 { Some(Places::read(&mut reader)?) } else { None };
        let full = full.read_variant(&mut reader)?;
        let plain = match plain {
            Some(places) => Some(places.read_variant(&mut reader)?),
            None => None,
        };
        let denies = flags & DENIES != 0;
        Some(Self {
            status,
            reason,
            failures,
            denies,
            rcode,
            stored,
            expires,
            stale_until,
            signed_until,
            full,
            plain,
        })
    }

    /// The message for a client with or without DO.
    pub(super) fn variant(&self, dnssec_ok: bool) -> &Variant<'a> {
        self.plain.as_ref().filter(|_| !dnssec_ok).unwrap_or(&self.full)
    }

    /// Whether this is nothing but a failure to resolve.
    pub(super) fn is_failure(&self) -> bool {
        self.rcode == Rcode::SERVFAIL
    }

    /// The whole answer to `question`, TTLs counted down; `None` when the entry is damaged.
    pub(super) fn decode(&self, question: &Question, now: Now) -> Option<Answer> {
        let message = Message::parse(self.full.wire).ok()?;
        let age = self.stored.until(now.unix);
        let section = |records| {
            let mut rrsets = group_rrsets(records);
            rrsets.iter_mut().for_each(|rrset| rrset.ttl = rrset.ttl.saturating_sub(age));
            rrsets
        };
        Some(Answer {
            question: question.clone(),
            rcode: self.rcode,
            answer: section(&message.answer),
            authority: section(&message.authority),
            additional: section(&message.additional),
            status: self.status,
            reason: self.reason,
            manner: Manner::default(),
        })
    }
}

impl Variant<'_> {
    /// Offsets of the TTL fields, ascending.
    pub(super) fn ttls(&self) -> impl Iterator<Item = usize> {
        let (pairs, _) = self.ttls.as_chunks();
        pairs.iter().map(|pair| u16::from_be_bytes(*pair).into())
    }
}

/// Lengths and places of a variant, before its octets.
struct Places {
    wire: usize,
    ttls: usize,
    question_end: usize,
    answer_end: usize,
    authority_end: usize,
    minimal_end: usize,
    rotation: Rotation,
}

impl Places {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            wire: reader.len()?,
            ttls: reader.len()?,
            question_end: reader.len()?,
            answer_end: reader.len()?,
            authority_end: reader.len()?,
            minimal_end: reader.len()?,
            rotation: Rotation {
                at: reader.len()?,
                len: reader.u8()?.into(),
                count: reader.u8()?.into(),
            },
        })
    }

    fn write(&self, out: &mut Vec<u8>) -> Option<()> {
        let Rotation { at, len, count } = self.rotation;
        let ends = [self.question_end, self.answer_end, self.authority_end, self.minimal_end];
        for word in [self.wire, self.ttls].into_iter().chain(ends).chain([at]) {
            put_len(out, word)?;
        }
        out.extend([u8::try_from(len).ok()?, u8::try_from(count).ok()?]);
        Some(())
    }

    /// Takes the octets of the variant, checked against its places so that nothing that uses them
    /// has to.
    fn read_variant<'a>(self, reader: &mut Reader<'a>) -> Option<Variant<'a>> {
        let ttls = reader.take(2 * self.ttls)?;
        let wire = reader.take(self.wire)?;
        let ends = [self.question_end, self.answer_end, self.authority_end, wire.len()];
        let rotation_end = self.rotation.at + self.rotation.len * self.rotation.count;
        let sound = ends.is_sorted()
            && self.question_end > Header::LEN
            && (self.question_end..=wire.len()).contains(&self.minimal_end)
            && rotation_end <= self.answer_end;
        sound.then_some(Variant {
            wire,
            ttls,
            question_end: self.question_end,
            answer_end: self.answer_end,
            authority_end: self.authority_end,
            minimal_end: self.minimal_end,
            rotation: self.rotation,
        })
    }
}

/// What an entry says besides the answer itself.
#[derive(Clone, Copy)]
pub(super) struct Validity {
    pub(super) stored: UnixTime,
    pub(super) expires: UnixTime,
    /// See [`Entry::stale_until`].
    pub(super) stale_until: UnixTime,
    pub(super) failures: u8,
}

/// Where an entry says until when it may be served although it has expired.
const STALE_UNTIL: usize = 6;

/// Changes until when a stored entry may be served although it has expired.
pub(super) fn set_stale_until(value: &mut [u8], until: UnixTime) {
    if let Some(field) = value.get_mut(STALE_UNTIL..).and_then(<[u8]>::first_chunk_mut) {
        *field = until.0.to_be_bytes();
    }
}

/// The octets of an entry; `None` when the answer has no place in a message.
pub(super) fn encode(answer: &Answer, validity: Validity, settings: &Settings) -> Option<Vec<u8>> {
    let full = build(answer, true, settings)?;
    let plain = build(answer, false, settings)?;
    let same = full.wire == plain.wire;
    let variants = if same { vec![full] } else { vec![full, plain] };

    let mut out = Vec::with_capacity(64 + variants.iter().map(Built::len).sum::<usize>());
    out.push(answer.status as u8);
    out.push(answer.reason.map_or(0, |reason| reason as u8));
    out.push(validity.failures);
    let flag = |on: bool, flag: u8| if on { flag } else { 0 };
    out.push(flag(!same, HAS_PLAIN) | flag(denies(answer), DENIES));
    out.extend_from_slice(&answer.rcode.0.to_be_bytes());
    let signed_until = settings.signed_until(answer, validity.stored);
    for time in [validity.stale_until, validity.stored, validity.expires, signed_until] {
        out.extend_from_slice(&time.0.to_be_bytes());
    }
    for variant in &variants {
        variant.places.write(&mut out)?;
    }
    for variant in &variants {
        variant.ttls.iter().for_each(|at| out.extend_from_slice(&at.to_be_bytes()));
        out.extend_from_slice(&variant.wire);
    }
    Some(out)
}

struct Built {
    wire: Vec<u8>,
    ttls: Vec<u16>,
    places: Places,
}

impl Built {
    fn len(&self) -> usize {
        self.wire.len() + 2 * self.ttls.len() + 16
    }
}

/// Builds the message for clients with or without DO.
fn build(answer: &Answer, dnssec_ok: bool, settings: &Settings) -> Option<Built> {
    let header = Header::default().with_qr(true).with_ra(true).with_rcode(answer.rcode);
    let mut builder = Builder::new(header, MAX_MESSAGE);
    let name = name_as_stored(answer);
    builder.question(&Question { name, ..answer.question.clone() });
    let question_end = builder.len();

    let mut rotation = Rotation::default();
    // A denial is complete with its SOA and proofs.
    let spare = |section: Section, rrset: &Rrset| {
        let denial = section == Section::Authority && denies(answer);
        denial && settings.minimal_responses && rrset.rtype == RecordType::NS
    };
    let mut section = |section: Section, rrsets: &[Rrset]| {
        let shown = rrsets.iter().filter(|rrset| is_shown(answer, rrset, dnssec_ok));
        for rrset in shown.filter(|rrset| !spare(section, rrset)) {
            let at = builder.len();
            let ttl = settings.ttl_shown(answer, section, rrset);
            builder.rrset_with_ttl(section, rrset, ttl, dnssec_ok).ok()?;
            if section == Section::Answer
                && let Some(found) = rotatable(rrset, dnssec_ok, at, builder.len())
            {
                rotation = found;
            }
        }
        Some(builder.len())
    };
    let answer_end = section(Section::Answer, &answer.answer)?;
    let authority_end = section(Section::Authority, &answer.authority)?;
    section(Section::Additional, &answer.additional)?;

    let ttls = builder.ttl_offsets().to_vec();
    let wire = builder.finish(None);
    let minimal_end = match needs(answer, dnssec_ok) {
        Needs::Everything => wire.len(),
        Needs::Authority => authority_end,
        Needs::Answer => answer_end,
    };
    let places = Places {
        wire: wire.len(),
        ttls: ttls.len(),
        question_end,
        answer_end,
        authority_end,
        minimal_end,
        rotation,
    };
    Some(Built { wire, ttls, places })
}

/// The question's name with the case of the owner names it shares labels with, so that those are
/// compressed to it. A client gets its own case back.
fn name_as_stored(answer: &Answer) -> Name {
    let asked = &answer.question.name;
    let shared = |rrset: &Rrset| (asked.common_labels(&rrset.owner), rrset.owner.clone());
    let Some((common, owner)) = answer.rrsets().map(shared).max_by_key(|(common, _)| *common)
    else {
        return asked.clone();
    };
    let own = asked.label_count() - common;
    let suffix = owner.suffix(common);
    Name::from_labels(asked.labels().take(own).chain(suffix.labels()))
        .unwrap_or_else(|_| asked.clone())
}

/// Whether an RRset is shown to clients with or without DO: what only proves is not, unless it is
/// what was asked for (RFC 4035 §3.2.1).
fn is_shown(answer: &Answer, rrset: &Rrset, dnssec_ok: bool) -> bool {
    dnssec_ok || !rrset.rtype.is_dnssec() || rrset.rtype == answer.question.rtype
}

/// How far a minimal response goes.
enum Needs {
    Answer,
    Authority,
    Everything,
}

/// What a minimal response needs besides the answer section: a denial its SOA and proofs. As in
/// Unbound, nothing is left out when NS or everything was asked for (the addresses are what such
/// a question is about), nor of an answer made from a wildcard, with its proofs.
fn needs(answer: &Answer, dnssec_ok: bool) -> Needs {
    let proof = |rrset: &Rrset| rrset.rtype.is_dnssec();
    match answer.question.rtype {
        RecordType::NS | RecordType::ANY => Needs::Everything,
        _ if denies(answer) => Needs::Authority,
        _ if dnssec_ok && answer.authority.iter().any(proof) => Needs::Everything,
        _ => Needs::Answer,
    }
}

/// Where the addresses of an RRset are that was written from `at` to `end`. They can change places
/// when every owner name is a pointer, and so all records have one length.
fn rotatable(rrset: &Rrset, signatures: bool, at: usize, end: usize) -> Option<Rotation> {
    let rdata_len = match rrset.rtype {
        RecordType::A => 4,
        RecordType::AAAA => 16,
        _ => return None,
    };
    let count = rrset.rdata.len();
    // Pointer, type, class, TTL, length.
    let len = 12 + rdata_len;
    let signed: usize = match signatures {
        true => rrset.signatures.iter().map(|rdata| 12 + rdata.len()).sum(),
        false => 0,
    };
    let even = rrset.rdata.iter().all(|rdata| rdata.len() == rdata_len);
    let fits = at + count * len + signed == end;
    (even && fits && (2..=255).contains(&count)).then_some(Rotation { at, len, count })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cache::testing::{a, answer, at, name, question, signed};
    use crate::config::Config;
    use crate::wire::{Class, Rdata};

    fn entry(answer: &Answer) -> Vec<u8> {
        let (stored, expires, stale_until) = (at(0).unix, at(100).unix, at(200).unix);
        let validity = Validity { stored, expires, stale_until, failures: 3 };
        encode(answer, validity, &Settings::new(&Config::default())).unwrap()
    }

    #[test]
    fn one_message_serves_both_kinds_of_clients_when_nothing_is_signed() {
        let unsigned =
            answer("www.example. A", SecurityStatus::Insecure, vec![a("www.example.", 9)]);
        let mut with_signature = unsigned.clone();
        with_signature.answer = vec![signed(a("www.example.", 9))];
        for (answer, variants) in [(unsigned, 1), (with_signature, 2)] {
            let value = entry(&answer);
            let entry = Entry::read(&value).unwrap();
            let [full, plain] = [true, false].map(|dnssec_ok| entry.variant(dnssec_ok).wire);
            assert_eq!(usize::from(full != plain) + 1, variants);
            assert!(plain.len() <= 33 + 3 * 16, "owners are pointers: {}", plain.len());
        }
    }

    #[test]
    fn case_of_the_question_costs_no_octets() {
        let lower = answer("www.example. A", SecurityStatus::Insecure, vec![a("www.example.", 9)]);
        let mut mixed = lower.clone();
        mixed.question = question("wWw.eXample. A");
        assert_eq!(entry(&lower), entry(&mixed));
    }

    #[test]
    fn a_damaged_entry_is_no_entry() {
        let value = entry(&answer(
            "www.example. A",
            SecurityStatus::Secure,
            vec![signed(a("www.example.", 9))],
        ));
        for len in 0..value.len() {
            assert!(Entry::read(&value[..len]).is_none(), "{len} octets");
        }
    }

    fn arb_rrset() -> impl Strategy<Value = Rrset> {
        let label = prop::sample::select(vec!["", "a.", "B.", "c.d.", "e.a."]);
        let rtype = prop::sample::select(vec![
            (RecordType::A, vec![192, 0, 2, 1]),
            (RecordType::AAAA, vec![7; 16]),
            (RecordType::TXT, b"\x03abc".to_vec()),
            (RecordType::MX, b"\x00\x0a\x02Mx\x07example\x00".to_vec()),
            (RecordType::CNAME, b"\x01x\x01A\x07example\x00".to_vec()),
            (RecordType::NSEC, b"\x01z\x07example\x00\x00\x01\x40".to_vec()),
            (RecordType(65_280), vec![1, 2, 3]),
        ]);
        (label, rtype, 1u8..4, 0u8..3, 100u32..80_000).prop_map(
            |(label, (rtype, rdata), records, signatures, ttl)| {
                let owner = name(&format!("{label}Example."));
                let vary = |i: u8| match rtype {
                    RecordType::CNAME | RecordType::NSEC => rdata.clone(),
                    RecordType::MX => [&[0, i], &rdata[2..]].concat(),
                    _ => [&rdata[..rdata.len() - 1], &[i]].concat(),
                };
                let mut records: Vec<_> =
                    (0..records).map(|i| Rdata::from_bytes(vary(i))).collect();
                records.dedup();
                let mut rrset =
                    Rrset { class: Class::IN, ..Rrset::new(owner, rtype, ttl, records) };
                for i in 0..signatures {
                    let mut one = signed(rrset.clone()).signatures.remove(0).as_bytes().to_vec();
                    one.push(i);
                    rrset.signatures.push(Rdata::from_bytes(one));
                }
                rrset
            },
        )
    }

    fn arb_section() -> impl Strategy<Value = Vec<Rrset>> {
        prop::collection::vec(arb_rrset(), 0..5).prop_map(|mut rrsets| {
            let mut seen = Vec::new();
            rrsets.retain(|rrset| {
                let key = (rrset.owner.clone(), rrset.rtype);
                let new = !seen.contains(&key);
                seen.push(key);
                new
            });
            rrsets
        })
    }

    proptest! {
        /// Whatever is stored comes back as it was, TTLs reduced by its age.
        #[test]
        fn a_stored_answer_round_trips(
            sections in [arb_section(), arb_section(), arb_section()],
            nxdomain in any::<bool>(),
            age in 0u32..100,
        ) {
            let [answer, authority, additional] = sections;
            let rcode = if nxdomain { Rcode::NXDOMAIN } else { Rcode::NOERROR };
            let mut stored = Answer {
                answer, authority, additional,
                status: SecurityStatus::Secure,
                reason: Some(Reason::Nsec3Iterations),
                ..Answer::empty(question("a.eXample. A"), rcode)
            };
            let value = entry(&stored);
            let entry = Entry::read(&value).unwrap();
            prop_assert_eq!((entry.failures, entry.denies), (3, denies(&stored)));
            prop_assert_eq!((entry.stored, entry.expires), (at(0).unix, at(100).unix));
            prop_assert_eq!(entry.stale_until, at(200).unix);
            let mut changed = value.clone();
            set_stale_until(&mut changed, at(300).unix);
            let changed = Entry::read(&changed).unwrap();
            prop_assert_eq!((changed.stale_until, changed.rcode), (at(300).unix, rcode));
            let back = entry.decode(&stored.question, at(age.into())).unwrap();
            let sections = [&mut stored.answer, &mut stored.authority, &mut stored.additional];
            sections.into_iter().flatten().for_each(|rrset| rrset.ttl -= age);
            prop_assert_eq!(back, stored);
        }
    }
}
