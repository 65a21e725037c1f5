//! What clients get, and what stays as it was.

use proptest::prelude::*;

use super::*;
use crate::cache::testing::{
    Client, a, answer, at, cache, cname, name, ns, nsec, nxdomain, question, signed, soa,
};
use crate::cache::{Answer, Cache};
use crate::config::Config;
use crate::wire::{Message, Question, Rdata, Record, Rrset, group_rrsets};

use SecurityStatus::{Bogus, Indeterminate, Insecure, Secure};

fn with(answer: &Answer, change: impl FnOnce(&mut Config)) -> Cache {
    let cache = cache(change);
    cache.store_answer(answer, at(0));
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
        ("secure, CD and AD",          answer("www.example. A", Secure, www()),   cd().with_ad(),          Some(Rcode::NOERROR),  true,  3),
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
        let cache = with(&stored, |_| {});
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
    let cache = with(&stored(Bogus), |config| config.ignore_cd_flag = true);
    let (message, _) = client.ask(&cache, 1).unwrap();
    assert_eq!((message.rcode, message.header.cd()), (Rcode::SERVFAIL, true));

    let client = Client::new("www.example. A").with_ad();
    let cache = with(&stored(Bogus), |config| config.val_permissive_mode = true);
    let (message, _) = client.ask(&cache, 1).unwrap();
    assert_eq!((message.rcode, message.header.ad()), (Rcode::NOERROR, false));

    let iterator_only = |config: &mut Config| {
        config.module_config = vec![crate::config::Module::Iterator];
    };
    let cache = with(&stored(Indeterminate), iterator_only);
    assert_eq!(client.ask(&cache, 1).unwrap().0.answer.len(), 3);
}

#[test]
fn only_clients_with_do_see_what_proves() {
    use RecordType as T;
    let mut wildcard = answer("www.example. A", Secure, vec![signed(a("www.example.", 300))]);
    wildcard.authority = vec![ns("example.", 300, "ns.example."), signed(nsec("v.example.", 300))];
    wildcard.additional = vec![a("ns.example.", 300)];
    let asked = answer("a.example. NSEC", Secure, vec![signed(nsec("a.example.", 300))]);
    let servers = Answer {
        additional: vec![a("ns.example.", 300)],
        ..answer("example. NS", Insecure, vec![ns("example.", 300, "ns.example.")])
    };
    let denial = nxdomain("x.example. A", Secure);
    let all: &[T] = &[T::A, T::A, T::A];
    let none = Vec::<T>::new;
    #[rustfmt::skip]
    let cases = [
        // stored     DO     minimal  answer                              authority                              additional
        (&wildcard, false, false, all.to_vec(),                       vec![T::NS],                           3),
        (&wildcard, false, true,  all.to_vec(),                       none(),                                0),
        (&wildcard, true,  false, [all, &[T::RRSIG]].concat(),        vec![T::NS, T::NSEC, T::RRSIG],        3),
        (&wildcard, true,  true,  [all, &[T::RRSIG]].concat(),        vec![T::NS, T::NSEC, T::RRSIG],        3),
        (&denial,   false, true,  none(),                             vec![T::SOA],                          0),
        (&denial,   true,  true,  none(),                             vec![T::SOA, T::RRSIG, T::NSEC, T::RRSIG], 0),
        (&asked,    false, true,  vec![T::NSEC],                      none(),                                0),
        (&servers,  false, true,  vec![T::NS],                        none(),                                3),
    ];
    for (stored, dnssec_ok, minimal, answers, authority, additional) in cases {
        let cache = with(stored, |config| config.minimal_responses = minimal);
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
    let told = |stored: &Answer, ede| {
        let cache = with(stored, |config| config.ede = ede);
        edes(&Client::new("www.example. A").with_do().ask(&cache, 1).unwrap().0)
    };
    for (stored, all, failures) in [
        (bogus, vec![7], vec![7]),
        (failure, vec![22, 13], vec![22, 13]),
        (insecure, vec![1], vec![]),
    ] {
        let cache = with(&stored, |_| {});
        assert_eq!(told(&stored, Ede::All), all);
        assert_eq!(told(&stored, Ede::Failures), failures);
        assert_eq!(told(&stored, Ede::Off), []);
        let (untold, _) = Client::new("www.example. A").ask(&cache, 1).unwrap();
        assert_eq!(untold.edns, None, "no OPT for who sent none (RFC 6891 §6.1.1)");
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
    let cache = with(&stored, |config| config.minimal_responses = false);
    let (message, hit) = Client::new("www.example. A").ask(&cache, 100).unwrap();
    let ttls: Vec<_> = message.answer.iter().map(|record| record.ttl).collect();
    assert_eq!(ttls, [900, 200, 200, 200]);
    assert_eq!((message.authority[0].ttl, hit.ttl_left, hit.expired), (400, 200, false));
    assert!(Client::new("www.example. A").ask(&cache, 300).is_none());

    let cache = with(&stored, |config| config.serve_original_ttl = true);
    let (message, _) = Client::new("www.example. A").ask(&cache, 100).unwrap();
    assert_eq!(message.answer[0].ttl, 1_000);
    let bounded = |config: &mut Config| {
        config.serve_original_ttl = true;
        config.serve_expired = true;
        config.cache_min_ttl = 2_000;
    };
    let cache = with(&stored, bounded);
    for seconds in [100, 2_001] {
        let (message, hit) = Client::new("www.example. A").ask_stale(&cache, seconds).unwrap();
        assert_eq!((message.answer[0].ttl, hit.expired), (1_000, seconds > 2_000));
    }
}

#[test]
fn expired_data_is_proven_as_long_as_its_signatures_are_valid() {
    let mut rrset = signed(a("www.example.", 300));
    let end = u32::try_from(at(400).unix.0).unwrap();
    let mut rdata = rrset.signatures[0].as_bytes().to_vec();
    rdata[8..12].copy_from_slice(&end.to_be_bytes());
    rrset.signatures = vec![Rdata::from_bytes(rdata)];
    let client = Client::new("www.example. A").with_ad();
    for (status, seconds, ad) in
        [(Secure, 299, true), (Secure, 399, true), (Secure, 400, false), (Insecure, 399, false)]
    {
        let stored = answer("www.example. A", status, vec![rrset.clone()]);
        let cache = with(&stored, |config| config.serve_expired = true);
        let (message, hit) = client.ask_stale(&cache, seconds).unwrap();
        assert_eq!((message.header.ad(), hit.expired), (ad, seconds >= 300), "{seconds}");
    }
}

#[test]
fn a_popular_answer_is_refreshed_in_its_last_tenth() {
    let stored = answer("www.example. A", Insecure, vec![a("www.example.", 300)]);
    let cache = with(&stored, |config| config.prefetch = true);
    let client = Client::new("www.example. A");
    let due = [0, 269, 270, 299].map(|now| client.ask(&cache, now).unwrap().1.refresh_due);
    assert_eq!(due, [false, false, true, true]);
    let cache = with(&stored, |_| {});
    assert!(!client.ask(&cache, 299).unwrap().1.refresh_due, "off by default");
}

#[test]
fn addresses_take_turns_at_being_the_first() {
    let stored = answer("www.example. A", Secure, vec![signed(a("www.example.", 300))]);
    for (on, distinct) in [(true, 3), (false, 1)] {
        let cache = with(&stored, |config| config.rrset_roundrobin = on);
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
    let cache = with(&stored, |_| {});
    for client in
        [Client::new("www.example. A").with_do().with_cd(), Client::new("www.example. A").with_do()]
    {
        let whole = client.ask(&cache, 0).unwrap().1.len;
        let mut out = [0; 600];
        for size in 0..600 {
            let hit = cache.hit(&client.hot(), at(0), &mut out[..size]);
            assert_eq!(hit.map(|hit| hit.len), (size >= whole).then_some(whole), "{size}");
        }
    }
}

#[test]
fn who_waited_is_told_the_same_as_who_comes_later() {
    let mut bogus = answer("www.example. A", Bogus, vec![a("www.example.", 300)]);
    bogus.reason = Some(Reason::SignatureExpired);
    let secure = answer("www.example. A", Secure, vec![signed(a("www.example.", 300))]);
    for stored in [bogus, secure, nxdomain("www.example. A", Secure)] {
        let cache = with(&stored, |config| config.ede = Ede::Failures);
        let plain = Client::new("Www.example. A");
        for client in [plain.clone(), plain.clone().with_do(), plain.with_cd()] {
            let (mut first, mut second) = ([0; 1_000], [0; 1_000]);
            let rendered = cache.render(&stored, &client.hot(), at(0), &mut first);
            assert_eq!(rendered, cache.hit(&client.hot(), at(0), &mut second));
            assert_eq!(first, second);
        }
    }
    // What is not stored can be told, too; and a failure is not a cached one the first time.
    let cache = cache(|config| config.ede = Ede::Failures);
    let client = Client::new("www.example. A").with_do();
    let brief = answer("www.example. A", Insecure, vec![a("www.example.", 0)]);
    let mut out = [0; 1_000];
    let hit = cache.render(&brief, &client.hot(), at(0), &mut out).unwrap();
    let message = Message::parse(&out[..hit.len]).unwrap();
    assert_eq!((message.answer.len(), message.answer[0].ttl, hit.expired), (3, 0, false));
    let failure = Answer::failure(question("www.example. A"), Reason::NetworkError);
    let hit = cache.render(&failure, &client.hot(), at(0), &mut out).unwrap();
    assert_eq!(edes(&Message::parse(&out[..hit.len]).unwrap()), [22]);
}

#[test]
fn only_class_in_is_answered() {
    let stored = answer("www.example. A", Secure, vec![a("www.example.", 300)]);
    let cache = with(&stored, |_| {});
    let client = Client::new("www.example. A");
    let chaos = HotQuery { class: Class::CH, ..client.hot() };
    assert!(cache.hit(&chaos, at(0), &mut [0; 512]).is_none());
    let too_long = HotQuery { name_wire: &[1; 300], ..client.hot() };
    assert!(cache.hit(&too_long, at(0), &mut [0; 512]).is_none());
}

fn arb_client() -> impl Strategy<Value = Client> {
    let flags = any::<u16>().prop_map(|bits| Header { bits: bits & 0x0130, ..Header::default() });
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
        let cache = with(&stored, |config| config.minimal_responses = minimal);
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
