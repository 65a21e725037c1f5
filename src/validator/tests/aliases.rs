//! CNAME and DNAME: RFC 4035 §5, RFC 6672 §5.3; and what is left of an answer.

use super::super::testing::*;
use crate::cache::Answer;
use crate::status::SecurityStatus::{Bogus, Insecure, Secure};
use crate::wire::{Rcode, RecordType as T, Rrset};

fn signed(world: &World, rrset: Rrset) -> Rrset {
    world.zone.sign(rrset, "zone.test.")
}

fn cname(owner: &str, to: &str) -> Rrset {
    pointing(owner, T::CNAME, to)
}

#[test]
fn an_answer_is_as_good_as_its_worst_link() {
    let mut world = World::new();
    let s = |rrset| signed(&world, rrset);
    let no_cut = s(nsec("b.zone.test.", "zone.test.", &[T::A]));
    let first = s(cname("a.zone.test.", "b.zone.test."));
    #[rustfmt::skip]
    let cases = [
        ("secure to secure", vec![first.clone(), s(a("b.zone.test."))], Secure),
        ("secure to insecure", vec![s(cname("a.zone.test.", "www.plain.test.")), a("www.plain.test.")], Insecure),
        ("secure to unsigned", vec![first.clone(), a("b.zone.test.")], Bogus),
        ("unsigned to secure", vec![cname("a.zone.test.", "b.zone.test."), s(a("b.zone.test."))], Bogus),
        ("two links", vec![first, s(cname("b.zone.test.", "c.zone.test.")), s(a("c.zone.test."))], Secure),
    ];
    world.no_ds("a.zone.test.", vec![no_cut.clone()]);
    world.no_ds("b.zone.test.", vec![no_cut]);
    for (why, sections, status) in cases {
        let count = sections.len();
        let answer = world.judge("a.zone.test.", T::A, Rcode::NOERROR, sections, vec![]);
        assert_eq!((answer.status, answer.answer.len()), (status, count), "{why}");
    }
}

#[test]
fn an_alias_without_its_target_is_judged_alone() {
    let mut world = World::new();
    let alias = signed(&world, cname("a.zone.test.", "b.zone.test."));
    let soa = signed(&world, soa("zone.test."));
    let denial = signed(&world, nsec("a.zone.test.", "z.zone.test.", &[T::CNAME, T::NSEC]));
    let wildcard = signed(&world, nsec("zone.test.", "a.zone.test.", TEST_NSEC));
    let mut judge = |rcode, authority: Vec<Rrset>| {
        world.judge("a.zone.test.", T::A, rcode, vec![alias.clone()], authority)
    };
    let alone = judge(Rcode::NOERROR, vec![]);
    assert_eq!((alone.status, alone.rcode), (Secure, Rcode::NOERROR));

    // The same response may deny the target.
    let whole = judge(Rcode::NXDOMAIN, vec![soa.clone(), denial.clone(), wildcard]);
    assert_eq!((whole.status, whole.rcode), (Secure, Rcode::NXDOMAIN));
    assert_eq!(whole.authority.len(), 3);

    // When that does not hold, it is as if it had not been said.
    let unproven = judge(Rcode::NXDOMAIN, vec![soa, denial]);
    assert_eq!((unproven.status, unproven.rcode), (Secure, Rcode::NOERROR));
    assert_eq!(unproven.authority, []);
}

#[test]
fn insecure_aliases_keep_a_denial_that_is_insecure_too() {
    let mut world = World::new();
    let alias = || vec![cname("a.plain.test.", "b.plain.test.")];
    let soa = vec![soa("plain.test.")];
    let answer = world.judge("a.plain.test.", T::A, Rcode::NXDOMAIN, alias(), soa);
    assert_eq!((answer.status, answer.rcode), (Insecure, Rcode::NXDOMAIN));
    assert_eq!(answer.authority.len(), 1);
    let answer = world.judge("a.plain.test.", T::A, Rcode::NXDOMAIN, alias(), vec![]);
    assert_eq!((answer.status, answer.rcode), (Insecure, Rcode::NOERROR));
}

#[test]
fn a_wildcard_alias_needs_a_proof_of_its_own() {
    let mut world = World::new();
    let alias = cname("q.w.zone.test.", "a.zone.test.");
    let alias = world.zone.sign_on(alias, Terms::new("zone.test.").labels(3));
    let target = signed(&world, a("a.zone.test."));
    let proof = signed(&world, nsec("*.w.zone.test.", "z.zone.test.", &[T::CNAME]));
    for (why, authority, status) in [("proof", vec![proof], Secure), ("none", vec![], Bogus)] {
        let sections = vec![alias.clone(), target.clone()];
        let answer = world.judge("q.w.zone.test.", T::A, Rcode::NOERROR, sections, authority);
        assert_eq!(answer.status, status, "{why}");
    }
}

#[test]
fn a_cname_made_from_a_dname_is_what_the_dname_says_rfc_6672_section_5_3_1() {
    let mut world = World::new();
    let dname = signed(&world, pointing("d.zone.test.", T::DNAME, "e.zone.test."));
    let unsigned = Rrset { signatures: vec![], ..dname.clone() };
    let target = signed(&world, a("x.e.zone.test."));
    let no_cut = signed(&world, nsec("d.zone.test.", "z.zone.test.", &[T::DNAME]));
    world.no_ds("d.zone.test.", vec![no_cut]);
    #[rustfmt::skip]
    let cases = [
        ("right", vec![dname.clone(), cname("x.d.zone.test.", "x.e.zone.test."), target.clone()], Secure, None),
        ("right but for case", vec![dname.clone(), cname("x.d.zone.test.", "X.E.zone.test."), target.clone()], Secure, None),
        ("wrong", vec![dname.clone(), cname("x.d.zone.test.", "y.e.zone.test.")], Bogus, Some(6)),
        ("unsigned", vec![unsigned, cname("x.d.zone.test.", "x.e.zone.test."), target], Bogus, Some(10)),
        ("alone", vec![dname], Secure, None),
    ];
    for (why, sections, status, ede) in cases {
        let answer = world.judge("x.d.zone.test.", T::A, Rcode::NOERROR, sections, vec![]);
        assert_eq!(verdict(&answer), (status, ede), "{why}");
    }
}

#[test]
fn dnames_at_the_name_expanded_or_too_long() {
    let mut world = World::new();
    // The owner itself is not redirected.
    let here = signed(&world, pointing("d.zone.test.", T::DNAME, "e.zone.test."));
    let txt = signed(&world, rrset("d.zone.test.", T::TXT, &[b"\x01x"]));
    let answer =
        world.judge("d.zone.test.", T::TXT, Rcode::NOERROR, vec![here.clone(), txt], vec![]);
    assert_eq!((answer.status, answer.answer.len()), (Secure, 1));
    let answer = world.judge("d.zone.test.", T::DNAME, Rcode::NOERROR, vec![here], vec![]);
    assert_eq!((answer.status, answer.answer.len()), (Secure, 1));

    // A wildcard DNAME redirects nothing, proof or not.
    let wild = pointing("q.w.zone.test.", T::DNAME, "e.zone.test.");
    let wild = world.zone.sign_on(wild, Terms::new("zone.test.").labels(3));
    let proof = signed(&world, nsec("*.w.zone.test.", "z.zone.test.", &[T::DNAME]));
    let sections = vec![wild, cname("x.q.w.zone.test.", "x.e.zone.test.")];
    let answer = world.judge("x.q.w.zone.test.", T::A, Rcode::NOERROR, sections, vec![proof]);
    assert_eq!(answer.status, Bogus);

    // The substitution does not fit.
    let long = format!("{0}.{0}.{0}.", "a".repeat(60));
    let dname = signed(&world, pointing("d.zone.test.", T::DNAME, &long));
    let qname = format!("{0}.{0}.d.zone.test.", "b".repeat(60));
    let answer = world.judge(&qname, T::A, Rcode::YXDOMAIN, vec![dname], vec![]);
    assert_eq!((answer.status, answer.rcode, answer.answer.len()), (Secure, Rcode::YXDOMAIN, 1));
}

#[test]
fn alias_loops_end() {
    let mut world = World::new();
    let one = signed(&world, cname("a.zone.test.", "b.zone.test."));
    let two = signed(&world, cname("b.zone.test.", "a.zone.test."));
    let answer = world.judge("a.zone.test.", T::A, Rcode::NOERROR, vec![one, two], vec![]);
    assert_eq!((answer.status, answer.answer.len()), (Secure, 2));
    let this = signed(&world, cname("c.zone.test.", "c.zone.test."));
    let answer = world.judge("c.zone.test.", T::A, Rcode::NOERROR, vec![this], vec![]);
    assert_eq!((answer.status, answer.answer.len()), (Secure, 1));
}

#[test]
fn a_secure_answer_is_cleaned_of_what_is_not_proven() {
    let mut world = World::new();
    let (good, stray) = (signed(&world, a("www.zone.test.")), a("stray.zone.test."));
    let ns = || pointing("zone.test.", T::NS, "ns.zone.test.");
    let glue = || a("ns.zone.test.");
    let judge = |world: &mut World, authority: Vec<Rrset>, additional: Vec<Rrset>| {
        let empty = Answer::empty(question("www.zone.test.", T::A), Rcode::NXDOMAIN);
        let answer = vec![good.clone(), stray.clone()];
        world.validate(Answer { answer, authority, additional, ..empty })
    };
    let (signed_ns, signed_glue) = (signed(&world, ns()), signed(&world, glue()));
    let all = judge(&mut world, vec![signed_ns.clone()], vec![signed_glue.clone()]);
    assert_eq!(all.status, Secure);
    assert_eq!(all.rcode, Rcode::NOERROR, "it is there, whatever the response code says");
    assert_eq!((all.answer.len(), all.authority.len(), all.additional.len()), (1, 1, 1));

    let none = judge(&mut world, vec![ns()], vec![glue()]);
    assert_eq!((none.authority.len(), none.additional.len()), (0, 0), "unsigned");
    let mut wrong = signed_glue.clone();
    wrong.rdata = rrset("x.", T::A, &[&[192, 0, 2, 7]]).rdata;
    let none = judge(&mut world, vec![], vec![wrong]);
    assert_eq!((none.status, none.additional.len()), (Secure, 0), "not verified");

    world.config.val_clean_additional = false;
    assert_eq!(judge(&mut world, vec![], vec![glue()]).additional.len(), 1);
    world.config.val_clean_additional = true;
    world.config.minimal_responses = true;
    let minimal = judge(&mut world, vec![signed_ns], vec![signed_glue]);
    assert_eq!((minimal.authority.len(), minimal.additional.len()), (0, 0));
}

#[test]
fn failures_pass_as_they_are() {
    let mut world = World::new();
    for rcode in [Rcode::SERVFAIL, Rcode::REFUSED, Rcode::FORMERR] {
        let answer = Answer::empty(question("www.zone.test.", T::A), rcode);
        assert_eq!(world.validate(answer.clone()), answer);
    }
}

#[test]
fn bogus_answers_keep_their_data() {
    let mut world = World::new();
    let mut rrset = signed(&world, a("www.zone.test."));
    rrset.rdata = rrset_of(&[192, 0, 2, 3]).rdata;
    let sections = vec![rrset.clone()];
    let answer = world.judge("www.zone.test.", T::A, Rcode::NOERROR, sections, vec![]);
    assert_eq!((answer.status, answer.answer), (Bogus, vec![rrset]));
}

fn rrset_of(address: &[u8]) -> Rrset {
    rrset("www.zone.test.", T::A, &[address])
}
