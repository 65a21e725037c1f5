//! Answering from stored wire bytes: copy, patch, append OPT. No allocation.
//!
//! Patched are the id, the flags, the question, the TTLs, and the order of addresses. Everything
//! else is as it was stored.
//!
//! # RFCs
//!
//! 4035 §3.2 (AD, CD, DO), 6840 §5.7 and §5.8 (AD), 6891 §6 (OPT), 8767 (expired data), 8914
//! (Extended DNS Errors).

use super::entry::{Entry, Rotation};
use super::settings::Settings;
use crate::clock::Now;
use crate::status::{Reason, SecurityStatus};
use crate::wire::{Class, EdnsOption, Header, Rcode, RecordType};

/// A query as the hot path reads it, without memory of its own.
#[derive(Clone, Copy, Debug)]
pub struct HotQuery<'a> {
    /// Query id.
    pub id: u16,
    /// Flags as in [`Header::bits`](crate::wire::Header::bits); RD, AD and CD matter.
    pub flags: u16,
    /// QNAME as sent: uncompressed wire form with the root label, checked.
    pub name_wire: &'a [u8],
    /// QTYPE.
    pub rtype: RecordType,
    /// QCLASS.
    pub class: Class,
    /// What OPT said, when there was one.
    pub edns: Option<HotEdns>,
}

/// The parts of OPT that a hit needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HotEdns {
    /// UDP payload size the client can take, in octets, as it came.
    pub udp_size: u16,
    /// DNSSEC OK.
    pub dnssec_ok: bool,
}

/// What was written for a client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hit {
    /// Octets written, OPT included.
    pub len: usize,
    /// Response code, as the client was told.
    pub rcode: Rcode,
    /// Where the question ends.
    pub question_end: usize,
    /// Where the answer section ends.
    pub answer_end: usize,
    /// Where the authority section ends.
    pub authority_end: usize,
    /// Where OPT begins; equal to `len` when there is none. It is the last record, so that options
    /// can be appended.
    pub opt_at: usize,
    /// Status of the data, whatever the client was told.
    pub status: SecurityStatus,
    /// Seconds until the answer expires; 0 when it has.
    pub ttl_left: u32,
    /// The answer has expired and is served nevertheless (RFC 8767): refresh it.
    pub expired: bool,
    /// The answer expires soon: refresh it.
    pub prefetch_due: bool,
}

/// Extended DNS Errors in one answer at most.
const MAX_EDES: usize = 2;

impl HotQuery<'_> {
    fn header(&self) -> Header {
        Header { bits: self.flags, ..Header::default() }
    }

    fn dnssec_ok(&self) -> bool {
        self.edns.is_some_and(|edns| edns.dnssec_ok)
    }

    /// Whether the client does its own validation, and we let it.
    fn checking_disabled(&self, settings: &Settings) -> bool {
        self.header().cd() && !settings.ignore_cd
    }
}

/// Octets of OPT without options.
const OPT_LEN: usize = 11;

/// Whether a client that asked like this may have the answer. Data that nobody has validated is
/// for those who do it themselves.
pub(super) fn may_have(entry: &Entry<'_>, query: &HotQuery<'_>, settings: &Settings) -> bool {
    entry.status != SecurityStatus::Indeterminate
        || entry.is_failure()
        || !settings.validates
        || query.checking_disabled(settings)
}

/// Writes the answer for a client; `None` when `out` is too small, or the entry is for another
/// name. `cached`: this is not the first client to be told. That the data has expired is for the
/// caller to tell the client (RFC 8914 §4.4).
pub(super) fn write(
    entry: &Entry<'_>,
    query: &HotQuery<'_>,
    cached: bool,
    settings: &Settings,
    now: Now,
    out: &mut [u8],
) -> Option<Hit> {
    let bogus = entry.status == SecurityStatus::Bogus;
    let withheld = bogus && !query.checking_disabled(settings) && !settings.permissive;
    let expired = cached && entry.expires <= now.unix;
    let variant = entry.variant(query.dnssec_ok());
    let end = match (withheld, settings.minimal_responses) {
        (true, _) => variant.question_end,
        (false, true) => variant.minimal_end,
        (false, false) => variant.wire.len(),
    };
    out.get_mut(..end)?.copy_from_slice(&variant.wire[..end]);

    let question = out.get_mut(Header::LEN..variant.question_end)?;
    let (name, fields) = question.split_at_mut_checked(question.len().checked_sub(4)?)?;
    if !name.eq_ignore_ascii_case(query.name_wire) {
        return None;
    }
    name.copy_from_slice(query.name_wire);
    fields[..2].copy_from_slice(&query.rtype.0.to_be_bytes());

    let age = entry.stored.until(now.unix);
    for at in variant.ttls().take_while(|at| *at < end) {
        let field = out.get_mut(at..at + 4)?.first_chunk_mut()?;
        let ttl = match (expired, settings.original_ttl) {
            (true, _) => settings.stale_reply_ttl,
            (false, true) => u32::from_be_bytes(*field),
            (false, false) => u32::from_be_bytes(*field).saturating_sub(age),
        };
        *field = ttl.to_be_bytes();
    }
    if settings.roundrobin && !withheld {
        rotate(variant.rotation, query.id, out);
    }

    let rcode = if withheld { Rcode::SERVFAIL } else { entry.rcode };
    let [_, answers, authorities, additionals] = Header::read(variant.wire)?.counts;
    let shown = |count: u16, begins: usize| if end > begins { count } else { 0 };
    let counts = [
        1,
        shown(answers, variant.question_end),
        shown(authorities, variant.answer_end),
        shown(additionals, variant.authority_end) + u16::from(query.edns.is_some()),
    ];
    let proven = entry.status == SecurityStatus::Secure
        && !expired
        && matches!(rcode, Rcode::NOERROR | Rcode::NXDOMAIN);
    let wants_ad = query.header().ad() || query.dnssec_ok();
    let header = Header { id: query.id, bits: 0, counts }
        .with_qr(true)
        .with_ra(true)
        .with_rd(query.header().rd())
        .with_cd(query.header().cd())
        .with_ad(proven && wants_ad && counts[1] + counts[2] > 0)
        .with_rcode(rcode);
    out[..Header::LEN].copy_from_slice(&header.to_bytes());

    let mut reasons = [None; MAX_EDES];
    if settings.ede {
        let remembered = cached && entry.is_failure();
        reasons = [entry.reason, remembered.then_some(Reason::CachedFailure)];
    }
    let len = match query.edns {
        Some(edns) => write_opt(out, end, edns, rcode, reasons, settings)?,
        None => end,
    };
    let ttl_left = now.unix.until(entry.expires);
    let lifetime = entry.stored.until(entry.expires);
    Some(Hit {
        len,
        rcode,
        question_end: variant.question_end,
        answer_end: variant.answer_end.min(end),
        authority_end: variant.authority_end.min(end),
        opt_at: end,
        status: entry.status,
        ttl_left,
        expired,
        prefetch_due: settings.prefetch
            && !entry.is_failure()
            && !bogus
            && ttl_left <= lifetime / 10,
    })
}

/// Brings another address to the front, which one depends on the id of the query.
fn rotate(Rotation { at, len, count }: Rotation, id: u16, out: &mut [u8]) {
    if count > 1
        && let Some(records) = out.get_mut(at..at + len * count)
    {
        records.rotate_left(len * (usize::from(id) % count));
    }
}

/// Appends OPT with Extended DNS Errors; returns the end.
fn write_opt(
    out: &mut [u8],
    at: usize,
    edns: HotEdns,
    rcode: Rcode,
    reasons: [Option<Reason>; MAX_EDES],
    settings: &Settings,
) -> Option<usize> {
    let (fixed, mut rest) = out.get_mut(at..)?.split_at_mut_checked(OPT_LEN)?;
    let mut options = 0u16;
    for reason in reasons.into_iter().flatten() {
        let text = reason.text().as_bytes();
        let len = u16::try_from(text.len() + 2).ok()?;
        let (option, tail) = rest.split_at_mut_checked(4 + usize::from(len))?;
        for (field, word) in [EdnsOption::EDE, len, reason.ede().0].into_iter().enumerate() {
            option[2 * field..2 * field + 2].copy_from_slice(&word.to_be_bytes());
        }
        option[6..].copy_from_slice(text);
        options += 4 + len;
        rest = tail;
    }
    let [size_high, size_low] = settings.edns_size.to_be_bytes();
    let [len_high, len_low] = options.to_be_bytes();
    // RFC 3225 §3: DO is copied.
    let flags = if edns.dnssec_ok { 0x80 } else { 0 };
    fixed.copy_from_slice(&[
        0,
        0,
        41,
        size_high,
        size_low,
        rcode.high(),
        0,
        flags,
        0,
        len_high,
        len_low,
    ]);
    Some(at + OPT_LEN + usize::from(options))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cache::testing::{
        Client, a, answer, at, cache, cname, name, ns, nsec, nxdomain, question, signed, soa,
    };
    use crate::cache::{Answer, Cache};
    use crate::config::Config;
    use crate::wire::{Message, Question, Rdata, Record, Rrset, group_rrsets};

    use SecurityStatus::{Bogus, Indeterminate, Insecure, Secure};

    fn with(answers: &[Answer], change: impl FnOnce(&mut Config)) -> Cache {
        let cache = cache(change);
        answers.iter().for_each(|answer| cache.store_answer(answer, at(0)));
        cache
    }

    fn types(records: &[Record]) -> Vec<RecordType> {
        records.iter().map(|record| record.rtype).collect()
    }

    fn edes(message: &Message) -> Vec<u16> {
        let options = message.edns.iter().flat_map(|edns| &edns.options);
        options.map(|option| u16::from_be_bytes([option.data[0], option.data[1]])).collect()
    }

    #[test]
    fn flags_follow_rfc_4035_and_6840() {
        let www = || vec![signed(a("www.example.", 300))];
        let bare = Answer { status: Secure, ..Answer::empty(question("x. A"), Rcode::NOERROR) };
        let plain = Client::new("www.example. A");
        let cd = || plain.clone().with_cd();
        #[rustfmt::skip]
        let cases = [
            // name of the case            stored                                client             rcode              AD     answers
            ("secure, nothing asked",      answer("www.example. A", Secure, www()),   plain.clone(),           Some(Rcode::NOERROR),  false, 3),
            ("secure, AD: RFC 6840 §5.7",  answer("www.example. A", Secure, www()),   plain.clone().with_ad(), Some(Rcode::NOERROR),  true,  3),
            ("secure, DO: RFC 6840 §5.8",  answer("www.example. A", Secure, www()),   plain.clone().with_do(), Some(Rcode::NOERROR),  true,  4),
            ("insecure, AD",               answer("www.example. A", Insecure, www()), plain.clone().with_ad(), Some(Rcode::NOERROR),  false, 3),
            ("bogus",                      answer("www.example. A", Bogus, www()),    plain.clone().with_ad(), Some(Rcode::SERVFAIL), false, 0),
            ("bogus, CD: RFC 4035 §3.2.2", answer("www.example. A", Bogus, www()),    cd().with_ad(),          Some(Rcode::NOERROR),  false, 3),
            ("nobody looked",              answer("www.example. A", Indeterminate, www()), plain.clone(),      None,                  false, 0),
            ("nobody looked, CD",          answer("www.example. A", Indeterminate, www()), cd().with_ad(),     Some(Rcode::NOERROR),  false, 3),
            ("failure, CD",                Answer::failure(question("www.example. A"), Reason::NetworkError), cd(), Some(Rcode::SERVFAIL), false, 0),
            ("secure denial",              nxdomain("www.example. A", Secure),        plain.clone().with_ad(), Some(Rcode::NXDOMAIN), true,  0),
            ("nothing that could be true", Answer { question: question("www.example. A"), ..bare }, plain.clone().with_ad(), Some(Rcode::NOERROR), false, 0),
        ];
        for (case, stored, client, rcode, ad, answers) in cases {
            let cache = with(&[stored], |_| {});
            let found = client.ask(&cache, 1).map(|(message, _)| message);
            assert_eq!(found.as_ref().map(|message| message.rcode), rcode, "{case}");
            let Some(message) = found else { continue };
            assert_eq!((message.header.ad(), message.answer.len()), (ad, answers), "{case}");
            assert_eq!(message.header.cd(), client.flags.cd(), "{case}");
            assert!(message.header.qr() && message.header.ra() && message.header.rd(), "{case}");
            assert!(!message.header.aa() && !message.header.tc(), "{case}");
        }
    }

    #[test]
    fn options_change_who_may_have_what() {
        let stored = |status| answer("www.example. A", status, vec![a("www.example.", 300)]);
        let client = Client::new("www.example. A").with_cd();
        let cache = with(&[stored(Bogus)], |config| config.ignore_cd_flag = true);
        let (message, _) = client.ask(&cache, 1).unwrap();
        assert_eq!((message.rcode, message.header.cd()), (Rcode::SERVFAIL, true));

        let client = Client::new("www.example. A").with_ad();
        let cache = with(&[stored(Bogus)], |config| config.val_permissive_mode = true);
        let (message, _) = client.ask(&cache, 1).unwrap();
        assert_eq!((message.rcode, message.header.ad()), (Rcode::NOERROR, false));

        let iterator_only = |config: &mut Config| {
            config.module_config = vec![crate::config::Module::Iterator];
        };
        let cache = with(&[stored(Indeterminate)], iterator_only);
        assert_eq!(client.ask(&cache, 1).unwrap().0.answer.len(), 3);
    }

    #[test]
    fn only_clients_with_do_see_what_proves() {
        use RecordType as T;
        let mut wildcard = answer("www.example. A", Secure, vec![signed(a("www.example.", 300))]);
        wildcard.authority =
            vec![ns("example.", 300, "ns.example."), signed(nsec("v.example.", 300))];
        wildcard.additional = vec![a("ns.example.", 300)];
        let asked = answer("a.example. NSEC", Secure, vec![signed(nsec("a.example.", 300))]);
        let servers = Answer {
            additional: vec![a("ns.example.", 300)],
            ..answer("example. NS", Insecure, vec![ns("example.", 300, "ns.example.")])
        };
        let denial = nxdomain("x.example. A", Secure);
        let all: &[T] = &[T::A, T::A, T::A];
        #[rustfmt::skip]
        let cases: Vec<(&Answer, bool, bool, Vec<T>, Vec<T>, usize)> = vec![
            // stored     DO     minimal  answer                              authority                              additional
            (&wildcard, false, false, all.to_vec(),                       vec![T::NS],                           3),
            (&wildcard, false, true,  all.to_vec(),                       vec![],                                0),
            (&wildcard, true,  false, [all, &[T::RRSIG]].concat(),        vec![T::NS, T::NSEC, T::RRSIG],        3),
            (&wildcard, true,  true,  [all, &[T::RRSIG]].concat(),        vec![T::NS, T::NSEC, T::RRSIG],        0),
            (&denial,   false, true,  vec![],                             vec![T::SOA],                          0),
            (&denial,   true,  true,  vec![],                             vec![T::SOA, T::RRSIG, T::NSEC, T::RRSIG], 0),
            (&asked,    false, true,  vec![T::NSEC],                      vec![],                                0),
            (&servers,  false, true,  vec![T::NS],                        vec![],                                3),
        ];
        for (stored, dnssec_ok, minimal, answers, authority, additional) in cases {
            let cache = with(&[stored.clone()], |config| config.minimal_responses = minimal);
            let mut client = Client { question: stored.question.clone(), ..Client::new("x. A") };
            client.edns = Some(dnssec_ok);
            let case = format!("{} DO {dnssec_ok} minimal {minimal}", stored.question);
            let (message, hit) = client.ask(&cache, 1).expect(&case);
            assert_eq!(types(&message.answer), answers, "{case}");
            assert_eq!(types(&message.authority), authority, "{case}");
            assert_eq!(message.additional.len(), additional, "{case}");
            let edns = message.edns.expect("OPT answers OPT");
            assert_eq!((edns.dnssec_ok, edns.udp_size), (dnssec_ok, 1232), "{case}: RFC 3225 §3");
            assert!(hit.question_end <= hit.answer_end && hit.answer_end <= hit.authority_end);
            assert!(hit.authority_end <= hit.opt_at && hit.opt_at + OPT_LEN == hit.len, "{case}");
        }
    }

    #[test]
    fn failures_say_why_to_those_who_can_hear_it() {
        let mut bogus = answer("www.example. A", Bogus, vec![a("www.example.", 300)]);
        bogus.reason = Some(Reason::SignatureExpired);
        let failure = Answer::failure(question("www.example. A"), Reason::NetworkError);
        let mut insecure = answer("www.example. A", Insecure, vec![a("www.example.", 300)]);
        insecure.reason = Some(Reason::UnsupportedAlgorithm);
        for (stored, expected) in [(bogus, vec![7]), (failure, vec![22, 13]), (insecure, vec![1])] {
            let cache = with(std::slice::from_ref(&stored), |_| {});
            let (told, _) = Client::new("www.example. A").with_do().ask(&cache, 1).unwrap();
            assert_eq!(edes(&told), expected);
            let (untold, _) = Client::new("www.example. A").ask(&cache, 1).unwrap();
            assert_eq!(untold.edns, None, "no OPT for who sent none (RFC 6891 §6.1.1)");
            let quiet = with(&[stored], |config| config.ede = false);
            let (told, _) = Client::new("www.example. A").with_do().ask(&quiet, 1).unwrap();
            assert_eq!(edes(&told), []);
        }
    }

    #[test]
    fn ttls_count_down_with_the_answer() {
        let mut stored = answer(
            "www.example. A",
            Insecure,
            vec![cname("www.example.", 1_000, "x.example."), a("x.example.", 300)],
        );
        stored.authority = vec![ns("example.", 500, "ns.example.")];
        let cache = with(&[stored.clone()], |config| config.minimal_responses = false);
        let (message, hit) = Client::new("www.example. A").ask(&cache, 100).unwrap();
        let ttls: Vec<_> = message.answer.iter().map(|record| record.ttl).collect();
        assert_eq!(ttls, [900, 200, 200, 200]);
        assert_eq!((message.authority[0].ttl, hit.ttl_left, hit.expired), (400, 200, false));
        assert!(Client::new("www.example. A").ask(&cache, 300).is_none());

        let cache = with(&[stored], |config| config.serve_original_ttl = true);
        let (message, _) = Client::new("www.example. A").ask(&cache, 100).unwrap();
        assert_eq!(message.answer[0].ttl, 1_000);
    }

    #[test]
    fn a_popular_answer_is_refreshed_in_its_last_tenth() {
        let stored = answer("www.example. A", Insecure, vec![a("www.example.", 300)]);
        let cache = with(&[stored.clone()], |config| config.prefetch = true);
        let client = Client::new("www.example. A");
        let due = [0, 269, 270, 299].map(|now| client.ask(&cache, now).unwrap().1.prefetch_due);
        assert_eq!(due, [false, false, true, true]);
        let cache = with(&[stored], |_| {});
        assert!(!client.ask(&cache, 299).unwrap().1.prefetch_due, "off by default");
    }

    #[test]
    fn addresses_take_turns_at_being_the_first() {
        let stored = answer("www.example. A", Secure, vec![signed(a("www.example.", 300))]);
        for (on, distinct) in [(true, 3), (false, 1)] {
            let cache = with(&[stored.clone()], |config| config.rrset_roundrobin = on);
            let mut firsts = Vec::new();
            for id in 0..9 {
                let client = Client { id, ..Client::new("www.example. A") }.with_do();
                let (message, _) = client.ask(&cache, 0).unwrap();
                let [mut rrset]: [Rrset; 1] = group_rrsets(&message.answer).try_into().unwrap();
                firsts.push(rrset.rdata[0].clone());
                rrset.rdata.sort();
                assert_eq!(rrset, stored.answer[0], "nothing but the order");
            }
            firsts.sort();
            firsts.dedup();
            assert_eq!(firsts.len(), distinct);
        }
    }

    #[test]
    fn a_buffer_of_any_size_is_enough_or_refused() {
        let mut stored = nxdomain("www.example. A", Bogus);
        stored.reason = Some(Reason::BogusSignature);
        let cache = with(&[stored], |_| {});
        for client in [
            Client::new("www.example. A").with_do().with_cd(),
            Client::new("www.example. A").with_do(),
        ] {
            let whole = client.ask(&cache, 0).unwrap().1.len;
            let mut out = [0; 600];
            for size in 0..600 {
                let hit = cache.hit(&client.hot(), at(0), &mut out[..size]);
                assert_eq!(hit.map(|hit| hit.len), (size >= whole).then_some(whole), "{size}");
            }
        }
    }

    #[test]
    fn only_class_in_is_answered() {
        let stored = answer("www.example. A", Secure, vec![a("www.example.", 300)]);
        let cache = with(&[stored], |_| {});
        let client = Client::new("www.example. A");
        let chaos = HotQuery { class: Class::CH, ..client.hot() };
        assert!(cache.hit(&chaos, at(0), &mut [0; 512]).is_none());
        let too_long = HotQuery { name_wire: &[1; 300], ..client.hot() };
        assert!(cache.hit(&too_long, at(0), &mut [0; 512]).is_none());
    }

    fn arb_client() -> impl Strategy<Value = Client> {
        let flags =
            any::<u16>().prop_map(|bits| Header { bits: bits & 0x0130, ..Header::default() });
        (any::<u16>(), flags, any::<Option<bool>>(), any::<u64>()).prop_map(
            |(id, flags, edns, case)| {
                let mut bit = 0;
                let name = name("www.sub.example.").with_case(|| {
                    bit += 1;
                    case >> (bit % 64) & 1 == 1
                });
                Client { question: Question { name, ..question("x. A") }, id, flags, edns }
            },
        )
    }

    fn arb_stored() -> impl Strategy<Value = Answer> {
        let ttl = 1u32..100_000;
        let status = prop::sample::select(vec![Insecure, Secure]);
        (status, ttl.clone(), ttl, any::<[bool; 4]>()).prop_map(|(status, one, two, shape)| {
            let [alias, sign, denial, wildcard] = shape;
            let asked = "www.sub.example.";
            let end = if alias { "x.example." } else { asked };
            let mut stored = answer("www.sub.example. A", status, Vec::new());
            stored.answer.extend(alias.then(|| cname(asked, one, end)));
            stored.answer.extend((!denial).then(|| a(end, two)));
            stored.authority.extend(denial.then(|| soa("example.", one, two)));
            stored.authority.extend(wildcard.then(|| nsec("a.example.", two)));
            stored.additional = vec![a("ns.example.", one)];
            if sign {
                let sections = [&mut stored.answer, &mut stored.authority];
                sections.into_iter().flatten().for_each(|rrset| *rrset = signed(rrset.clone()));
            }
            stored
        })
    }

    proptest! {
        /// Patching a stored answer for a client changes id, flags, the case of the question,
        /// TTLs and the order of addresses, and nothing else; OPT is there when asked for.
        #[test]
        fn patching_changes_only_what_a_client_may_change(
            stored in arb_stored(), client in arb_client(), age in 0u32..120_000, minimal in any::<bool>()
        ) {
            let cache = with(&[stored.clone()], |config| config.minimal_responses = minimal);
            let lifetime = cache.settings.load().lifetime(&stored, 0);
            let found = client.ask(&cache, age.into());
            prop_assert_eq!(found.is_some(), age < lifetime);
            let Some((message, hit)) = found else { return Ok(()) };

            prop_assert_eq!(message.header.id, client.id);
            prop_assert_eq!(message.header.rd(), client.flags.rd());
            prop_assert_eq!(message.header.cd(), client.flags.cd());
            let sent = message.question.clone().unwrap();
            prop_assert!(sent.name.eq_case(&client.question.name));
            prop_assert_eq!(&sent, &client.question);
            prop_assert_eq!(message.edns.as_ref().map(|edns| edns.dnssec_ok), client.edns);
            prop_assert_eq!(hit.ttl_left, lifetime - age);

            // The same for the reference client at the beginning, without what may change.
            let reference = Client { question: stored.question.clone(), id: 0, ..client };
            let (before, _) = reference.ask(&cache, 0).unwrap();
            let flat = |message: &Message, age: u32| {
                let section = |records: &[Record]| {
                    let mut rrsets = group_rrsets(records);
                    for rrset in &mut rrsets {
                        rrset.ttl += age;
                        // Names that are compressed to the question have its case.
                        let fold = |rdata: &Rdata| Rdata::from_bytes(rdata.as_bytes().to_ascii_lowercase());
                        rrset.rdata = rrset.rdata.iter().map(fold).collect();
                        rrset.rdata.sort();
                    }
                    rrsets
                };
                [&message.answer, &message.authority, &message.additional].map(|s| section(s))
            };
            prop_assert_eq!(flat(&message, age), flat(&before, 0));
            prop_assert_eq!(message.header.bits, before.header.bits);
            prop_assert_eq!(message.rcode, stored.rcode);
        }
    }
}
