//! Answers from proofs that came with other answers: RFC 8198, RFC 9077.

use std::path::Path;

use super::super::synthesize;
use super::super::testing::*;
use super::nsec3::Hashed;
use crate::budget::Budget;
use crate::cache::Answer;
use crate::clock::{Mono, Now, UnixTime};
use crate::config::load_text;
use crate::status::SecurityStatus::Secure;
use crate::validator::View;
use crate::wire::{Rcode, RecordType as T, Rrset};

const A: &[T] = &[T::A, T::RRSIG, T::NSEC];

/// The zone: apex, `a`, `cut` (a delegation), `dn` (a DNAME), `b.ent`, `*.w`, `z`.
fn zone() -> Vec<Rrset> {
    [
        ("zone.test.", "a.zone.test.", TEST_NSEC),
        ("a.zone.test.", "cut.zone.test.", A),
        ("cut.zone.test.", "dn.zone.test.", &[T::NS, T::NSEC]),
        ("dn.zone.test.", "b.ent.zone.test.", &[T::DNAME, T::NSEC]),
        ("b.ent.zone.test.", "*.w.zone.test.", A),
        ("*.w.zone.test.", "z.zone.test.", A),
        ("z.zone.test.", "zone.test.", A),
    ]
    .map(|(owner, next, types)| nsec(owner, next, types))
    .into()
}

/// Lets the world see these proofs in an answer about something else.
fn teach(world: &mut World, qname: &str, rtype: T, proofs: Vec<Rrset>) {
    let mut soa = soa("zone.test.");
    soa.ttl = 600;
    let proofs = proofs.into_iter().chain([soa]);
    let authority = proofs.map(|rrset| world.zone.sign(rrset, "zone.test.")).collect();
    let answer = world.judge(qname, rtype, Rcode::NOERROR, vec![], authority);
    assert_eq!(answer.status, Secure);
}

fn ask_within(world: &World, qname: &str, rtype: T, budget: &mut Budget) -> Option<Answer> {
    let now = Now::new(Mono::ZERO, UnixTime(world.now.into()));
    let (cache, config, rollover) = (&world.cache, &world.config, &world.rollover);
    let mut view = View { cache, config, budget, rollover };
    synthesize(&question(qname, rtype), &mut view, now)
}

fn ask(world: &World, qname: &str, rtype: T) -> Option<Answer> {
    ask_within(world, qname, rtype, &mut Budget::new(Mono::ZERO, 48))
}

/// Response code and number of answer RRsets, when there is an answer.
fn brief(answer: Option<Answer>) -> Option<(Rcode, usize)> {
    answer.map(|answer| {
        assert_eq!((answer.status, answer.reason), (Secure, None));
        (answer.rcode, answer.answer.len())
    })
}

const NX: Option<(Rcode, usize)> = Some((Rcode::NXDOMAIN, 0));
const NO_DATA: Option<(Rcode, usize)> = Some((Rcode::NOERROR, 0));

#[test]
fn names_and_types_are_denied_by_nsec_records_known_already() {
    let mut world = World::new();
    teach(&mut world, "a.zone.test.", T::TXT, zone());
    for (why, qname, rtype, expected) in [
        ("name error", "b.zone.test.", T::A, NX),
        ("upper case", "B.ZONE.test.", T::A, NX),
        ("name error below a name", "x.a.zone.test.", T::A, NX),
        ("after the last", "zz.zone.test.", T::A, NX),
        ("no data", "a.zone.test.", T::AAAA, NO_DATA),
        ("data", "a.zone.test.", T::A, None),
        ("apex", "zone.test.", T::AAAA, NO_DATA),
        ("empty non-terminal", "ent.zone.test.", T::A, NO_DATA),
        ("wildcard without the type", "q.w.zone.test.", T::AAAA, NO_DATA),
        ("wildcard whose data is not known", "q.w.zone.test.", T::A, None),
        ("below a delegation", "x.cut.zone.test.", T::A, None),
        ("the child's side of a delegation", "cut.zone.test.", T::A, None),
        ("DS at a delegation", "cut.zone.test.", T::DS, NO_DATA),
        ("DS at the apex is the parent's", "zone.test.", T::DS, None),
        ("below a DNAME", "x.dn.zone.test.", T::A, None),
        ("another zone", "x.test.", T::A, None),
        ("all types", "b.zone.test.", T::ANY, None),
        ("signatures", "b.zone.test.", T::RRSIG, None),
    ] {
        assert_eq!(brief(ask(&world, qname, rtype)), expected, "{why}");
    }
}

#[test]
fn names_and_types_are_denied_by_nsec3_records_known_already() {
    for (opt_out, denied) in [(false, NX), (true, None)] {
        let hashed = Hashed::new(3, opt_out);
        let mut world = World::new();
        let records = (0..hashed.len()).map(|at| hashed.record(at)).collect();
        teach(&mut world, "a.zone.test.", T::TXT, records);
        for (why, qname, rtype, expected) in [
            ("name error", "q.zone.test.", T::A, denied),
            ("name error far down", "x.y.q.zone.test.", T::A, denied),
            ("name error below a name", "x.a.zone.test.", T::A, denied),
            ("no data", "a.zone.test.", T::AAAA, NO_DATA),
            ("data", "a.zone.test.", T::A, None),
            ("empty non-terminal", "w.zone.test.", T::A, NO_DATA),
            (
                "wildcard without the type",
                "q.w.zone.test.",
                T::AAAA,
                if opt_out { None } else { NO_DATA },
            ),
            ("wildcard whose data is not known", "q.w.zone.test.", T::A, None),
            ("below a delegation", "x.cut.zone.test.", T::A, None),
            ("the child's side of a delegation", "cut.zone.test.", T::A, None),
            ("DS at a delegation", "cut.zone.test.", T::DS, NO_DATA),
        ] {
            assert_eq!(brief(ask(&world, qname, rtype)), expected, "{why}, opt-out: {opt_out}");
        }
        let mut none = Budget::new(Mono::ZERO, 48);
        while none.spend_nsec3_blocks(1).is_ok() {}
        let answer = ask_within(&world, "q.zone.test.", T::A, &mut none);
        assert_eq!(answer, None, "hashes are paid for");
    }
}

#[test]
fn a_wildcard_that_was_seen_stands_for_other_names() {
    let hashed = Hashed::new(0, false);
    let (apex, next) = ("w.zone.test.", "q.w.zone.test.");
    for (kind, proofs) in [
        ("NSEC", zone()),
        (
            "NSEC3",
            vec![hashed.matching(apex), hashed.covering(next), hashed.covering("r.w.zone.test.")],
        ),
    ] {
        let mut world = World::new();
        teach(
            &mut world,
            if kind == "NSEC" { "a.zone.test." } else { apex },
            T::TXT,
            proofs.clone(),
        );
        let expanded = Terms::new("zone.test.").labels(3);
        let data = world.zone.sign_on(a("q.w.zone.test."), expanded);
        let proofs = proofs.into_iter().map(|rrset| world.zone.sign(rrset, "zone.test.")).collect();
        let seen = world.judge(next, T::A, Rcode::NOERROR, vec![data.clone()], proofs);
        assert_eq!(seen.status, Secure, "{kind}");

        let answer = ask(&world, "r.w.zone.test.", T::A).unwrap_or_else(|| panic!("{kind}"));
        assert_eq!(answer.answer[0].owner, name("r.w.zone.test."));
        assert_eq!(answer.answer[0].signatures, data.signatures, "{kind}");
        assert_eq!(answer.rcode, Rcode::NOERROR);
        // Whoever validates finds it good.
        let again = world.validate(answer);
        assert_eq!(verdict(&again), (Secure, None), "{kind}");
        assert_eq!(ask(&world, "r.w.zone.test.", T::DS).map(|answer| answer.answer.len()), Some(0));
    }
}

#[test]
fn proofs_end_with_the_negative_ttl_of_their_zone_rfc_9077() {
    let mut world = World::new();
    teach(&mut world, "a.zone.test.", T::TXT, zone());
    // The SOA has TTL 600 and MINIMUM 60, the proofs have TTL 3600.
    world.now += 59;
    let answer = ask(&world, "b.zone.test.", T::A).unwrap();
    assert!(answer.rrsets().all(|rrset| rrset.ttl >= 541), "as the records are: {answer:?}");
    world.now += 1;
    assert_eq!(ask(&world, "b.zone.test.", T::A), None);
}

#[test]
fn what_the_configuration_says_about_a_name_comes_first() {
    type Change = fn(&mut crate::config::Config);
    let elsewhere: Change = |config| {
        let text = "stub-zone:\n name: b.zone.test\n stub-addr: 192.0.2.1\n";
        let loaded = load_text(Path::new("test.conf"), text).unwrap();
        config.stub_zones = loaded.config.stub_zones;
    };
    for (why, change, expected) in [
        ("nothing", (|_| {}) as Change, NX),
        ("off", |config| config.aggressive_nsec = false, None),
        ("negative trust anchor", |config| config.domain_insecure.push(name("zone.test.")), None),
        ("no anchor", |config| config.trust_anchors.clear(), None),
        ("asked elsewhere", elsewhere, None),
    ] {
        let mut world = World::new();
        teach(&mut world, "a.zone.test.", T::TXT, zone());
        change(&mut world.config);
        assert_eq!(brief(ask(&world, "b.zone.test.", T::A)), expected, "{why}");
    }
    let mut world = World::new();
    world.config.aggressive_nsec = false;
    teach(&mut world, "a.zone.test.", T::TXT, zone());
    assert_eq!(world.cache.usage().denials.entries, 0, "off: nothing is remembered");
}

#[test]
fn what_is_flushed_is_asked_for_again() {
    let mut world = World::new();
    teach(&mut world, "a.zone.test.", T::TXT, zone());
    world.cache.flush_name(&name("b.zone.test."));
    assert_eq!(ask(&world, "b.zone.test.", T::A), None);
    assert_eq!(brief(ask(&world, "zz.zone.test.", T::A)), NX);
    world.cache.flush_zone(&name("zone.test."));
    assert_eq!(ask(&world, "zz.zone.test.", T::A), None);
}
