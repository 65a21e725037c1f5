//! Denials by NSEC: RFC 4035 §5.4, RFC 4592, RFC 6840 §4, RFC 9824.

use super::super::testing::*;
use crate::cache::Answer;
use crate::status::SecurityStatus::{self, Bogus, Insecure, Secure};
use crate::wire::{Rcode, RecordType as T, Rrset};

const A: &[T] = &[T::A, T::RRSIG, T::NSEC];
const APEX: &[T] = TEST_NSEC;

/// The zone: apex, `a`, `*.w`, `b.ent`, `cut` (a delegation), `dn` (a DNAME), `z`; in that order
/// with `a < cut < dn < b.ent < *.w < z`.
fn records(spec: &[(&str, &str, &[T])]) -> Vec<Rrset> {
    let full = |text: &str| {
        if text.is_empty() { "zone.test.".to_owned() } else { format!("{text}.zone.test.") }
    };
    spec.iter().map(|(owner, next, types)| nsec(&full(owner), &full(next), types)).collect()
}

/// Judges a negative answer that the zone signed, its SOA included.
fn judge(world: &mut World, qname: &str, rtype: T, rcode: Rcode, proofs: Vec<Rrset>) -> Answer {
    let proofs = proofs.into_iter().chain([soa("zone.test.")]);
    let proofs = proofs.map(|rrset| world.zone.sign(rrset, "zone.test.")).collect();
    world.judge(qname, rtype, rcode, vec![], proofs)
}

#[test]
fn a_denial_proves_what_the_answer_says() {
    use Rcode as R;
    let (ne, nx) = (R::NOERROR, R::NXDOMAIN);
    let unproven = (Bogus, Some(6));
    let proven = (Secure, None);
    #[rustfmt::skip]
    let cases = [
        // Name errors.
        ("name and wildcard by one record", "q", T::A, nx, records(&[("", "z", APEX)]), nx, proven),
        ("name and wildcard by two", "q", T::A, nx, records(&[("dn", "z", A), ("", "a", APEX)]), nx, proven),
        ("wildcard not denied", "q", T::A, nx, records(&[("dn", "z", A)]), nx, unproven),
        ("wildcard exists", "q", T::A, nx, records(&[("dn", "z", A), ("*", "a", A)]), nx, unproven),
        ("name not denied", "q", T::A, nx, records(&[("", "a", APEX)]), nx, unproven),
        ("below an existing name", "x.a", T::A, nx, records(&[("a", "cut", A)]), nx, proven),
        ("below, wildcard of the wrong encloser denied", "x.a", T::A, nx, records(&[("a", "x.a", A), ("", "a", APEX)]), nx, unproven),
        ("last record of the zone", "zz", T::A, nx, records(&[("z", "", A), ("", "a", APEX)]), nx, proven),
        ("only record of the zone", "q", T::A, nx, records(&[("", "", APEX)]), nx, proven),
        ("next name before the owner is no record", "zz", T::A, nx, records(&[("z", "a", A), ("", "a", APEX)]), nx, unproven),
        ("owner upper case, odd octets", r"\000.q", T::A, nx, records(&[("DN", "Z", A), ("", "A", APEX)]), nx, proven),
        // The wrong side of a cut.
        ("below a delegation", "x.cut", T::A, nx, records(&[("cut", "dn", &[T::NS, T::NSEC]), ("", "a", APEX)]), nx, unproven),
        ("below a DNAME", "x.dn", T::A, nx, records(&[("dn", "z", &[T::DNAME, T::NSEC]), ("", "a", APEX)]), nx, unproven),
        ("beside a delegation", "d", T::A, nx, records(&[("cut", "dn", &[T::NS, T::NSEC]), ("", "a", APEX)]), nx, proven),
        ("at a delegation, type of the child", "cut", T::A, ne, records(&[("cut", "dn", &[T::NS, T::NSEC])]), ne, unproven),
        // No data.
        ("type absent", "a", T::AAAA, ne, records(&[("a", "cut", A)]), ne, proven),
        ("type present", "a", T::A, ne, records(&[("a", "cut", A)]), ne, unproven),
        ("any type present", "a", T::ANY, ne, records(&[("a", "cut", A)]), ne, unproven),
        ("no type present", "a", T::ANY, ne, records(&[("a", "cut", &[T::RRSIG, T::NSEC])]), ne, proven),
        ("alias present", "a", T::AAAA, ne, records(&[("a", "cut", &[T::CNAME, T::NSEC])]), ne, unproven),
        ("DNAME at the name itself", "dn", T::A, ne, records(&[("dn", "z", &[T::DNAME, T::NSEC])]), ne, proven),
        ("apex", "", T::A, ne, records(&[("", "a", APEX)]), ne, proven),
        ("empty non-terminal", "ent", T::A, ne, records(&[("dn", "b.ent", A)]), ne, proven),
        ("empty non-terminal is no name error", "ent", T::A, nx, records(&[("dn", "b.ent", A), ("", "a", APEX)]), ne, proven),
        ("wildcard without the type", "q.w", T::AAAA, ne, records(&[("*.w", "z", A)]), ne, proven),
        ("wildcard with the type", "q.w", T::A, ne, records(&[("*.w", "z", A)]), ne, unproven),
        ("wildcard without the type, name not denied", "q.w", T::AAAA, ne, records(&[("*.w", "a.w", A)]), ne, unproven),
        ("wildcard of another encloser", "q.w", T::AAAA, ne, records(&[("dn", "z", A), ("*", "a", A)]), ne, proven),
        ("record of another name", "q", T::A, ne, records(&[("a", "cut", A)]), ne, unproven),
        // The response code does not matter.
        ("no data said to be a name error", "a", T::AAAA, nx, records(&[("a", "cut", A)]), ne, proven),
        ("name error said to be no data", "q", T::A, ne, records(&[("", "z", APEX)]), nx, proven),
        // Compact denial.
        ("NXNAME", "q", T::A, ne, records(&[("q", r"\000.q", &[T::RRSIG, T::NSEC, T::NXNAME])]), ne, proven),
        ("NXNAME with its response code", "q", T::A, nx, records(&[("q", r"\000.q", &[T::RRSIG, T::NSEC, T::NXNAME])]), nx, proven),
        // Nothing.
        ("no records", "q", T::A, nx, records(&[]), nx, (Bogus, Some(12))),
    ];
    for (why, label, rtype, rcode, proofs, expected_rcode, expected) in cases {
        let mut world = World::new();
        let dot = if label.is_empty() { "" } else { "." };
        let qname = format!("{label}{dot}zone.test.");
        let count = proofs.len();
        let answer = judge(&mut world, &qname, rtype, rcode, proofs);
        assert_eq!((verdict(&answer), answer.rcode), (expected, expected_rcode), "{why}");
        if answer.status == Secure {
            assert_eq!(answer.authority.len(), count + 1, "{why}: the proof is kept");
        }
    }
}

#[test]
fn ds_is_denied_by_the_parent_and_everything_else_by_the_child() {
    let by = |world: &World, rrset: Rrset, zone: &str| world.key(zone).sign(rrset, zone);
    let mut world = World::new();
    let parent = by(&world, nsec("zone.test.", "zz.test.", &[T::NS, T::NSEC]), "test.");
    let child = by(&world, nsec("zone.test.", "a.zone.test.", APEX), "zone.test.");
    let deleg = by(&world, nsec("zone.test.", "zz.test.", &[T::NS, T::DS, T::NSEC]), "test.");
    #[rustfmt::skip]
    let cases: [(&str, T, &Rrset, SecurityStatus); 5] = [
        ("DS by the parent", T::DS, &parent, Secure),
        ("DS by the child", T::DS, &child, Bogus),
        ("DS that is there", T::DS, &deleg, Bogus),
        ("TXT by the child", T::TXT, &child, Secure),
        ("TXT by the parent", T::TXT, &deleg, Bogus),
    ];
    for (why, rtype, proof, status) in cases {
        world.forget();
        let answer = world.judge("zone.test.", rtype, Rcode::NOERROR, vec![], vec![proof.clone()]);
        assert_eq!(answer.status, status, "{why}");
    }
    // The root has no parent.
    let apex = by(&world, nsec(".", "test.", APEX), ".");
    let answer = world.judge(".", T::DS, Rcode::NOERROR, vec![], vec![apex]);
    assert_eq!(answer.status, Secure);
}

#[test]
fn records_reach_no_further_than_their_zone() {
    let mut world = World::new();
    let denied = |world: &mut World, proof: Rrset| {
        let answer = world.judge("q.zone.test.", T::A, Rcode::NXDOMAIN, vec![], vec![proof]);
        verdict(&answer)
    };
    // The next name lies outside of the signer's zone.
    let over = world.zone.sign(nsec("a.zone.test.", "z.test.", A), "zone.test.");
    assert_eq!(denied(&mut world, over), (Bogus, Some(6)));
    // The owner does, and the signature cannot be one.
    let foreign = world.zone.sign(nsec("a.test.", "zzz.test.", A), "zone.test.");
    assert_eq!(denied(&mut world, foreign), (Bogus, Some(6)));
    // Expanded from a wildcard (CVE-2017-15105).
    let expanded = nsec("b.zone.test.", "z.zone.test.", A);
    let expanded = world.zone.sign_on(expanded, Terms::new("zone.test.").labels(2));
    assert_eq!(denied(&mut world, expanded), (Bogus, Some(6)));
}

#[test]
fn what_is_wrong_with_a_proof_is_told() {
    let good = || records(&[("", "z", APEX)]).remove(0);
    let mut world = World::new();
    let old = Terms::new("zone.test.").dates(NOW - 2 * MONTH, NOW - MONTH);
    let old = world.zone.sign_on(good(), old);
    let mut wrong = world.zone.sign(good(), "zone.test.");
    wrong.rdata = records(&[("", "y", APEX)]).remove(0).rdata;
    let no_cut = world.zone.sign(records(&[("q", "z", A)]).remove(0), "zone.test.");
    world.no_ds("q.zone.test.", vec![no_cut]);
    for (why, proof, soa_signed, ede) in [
        ("expired", Some(old), true, 7),
        ("changed", Some(wrong), true, 6),
        ("not signed", Some(good()), true, 10),
        ("nothing signed", Some(good()), false, 10),
        ("absent", None, true, 12),
        ("zone served as unsigned", None, false, 10),
    ] {
        let soa = soa("zone.test.");
        let soa = if soa_signed { world.zone.sign(soa, "zone.test.") } else { soa };
        let authority = proof.into_iter().chain([soa]).collect();
        let answer = world.judge("q.zone.test.", T::A, Rcode::NXDOMAIN, vec![], authority);
        assert_eq!(verdict(&answer), (Bogus, Some(ede)), "{why}");
    }
}

#[test]
fn a_soa_is_kept_when_signed_dropped_when_not_and_bogus_when_wrong() {
    let mut world = World::new();
    let proof = world.zone.sign(records(&[("a", "z", A)]).remove(0), "zone.test.");
    let signed = world.zone.sign(soa("zone.test."), "zone.test.");
    let mut wrong = signed.clone();
    wrong.rdata = soa("other.test.").rdata;
    let unsigned = soa("zone.test.");
    for (why, soa, status, kept) in [
        ("signed", signed, Secure, 2),
        ("unsigned", unsigned, Secure, 1),
        ("wrong", wrong, Bogus, 2),
    ] {
        let authority = vec![soa, proof.clone()];
        let answer = world.judge("a.zone.test.", T::TXT, Rcode::NOERROR, vec![], authority);
        assert_eq!((answer.status, answer.authority.len()), (status, kept), "{why}");
    }
}

#[test]
fn a_wildcard_answer_needs_proof_that_nothing_closer_exists() {
    let mut world = World::new();
    let wild = |owner: &str| {
        world.zone.sign_on(a(owner), Terms::new("zone.test.").labels(3)) // *.w.zone.test.
    };
    #[rustfmt::skip]
    let cases = [
        ("denied", "q.w", records(&[("*.w", "z", A)]), Secure),
        ("far below", "a.b.c.w", records(&[("*.w", "z", A)]), Secure),
        ("no proof", "q.w", records(&[]), Bogus),
        ("another name denied", "q.w", records(&[("a", "cut", A)]), Bogus),
        ("a closer name exists", "x.q.w", records(&[("q.w", "z", A)]), Bogus),
        ("a closer empty non-terminal exists", "x.q.w", records(&[("*.w", "y.q.w", A)]), Bogus),
        ("it is an empty non-terminal", "q.w", records(&[("*.w", "y.q.w", A)]), Bogus),
    ];
    let cases = cases.map(|(why, label, proofs, status)| {
        let owner = format!("{label}.zone.test.");
        let rrset = wild(&owner);
        (why, owner, rrset, proofs, status)
    });
    for (why, owner, rrset, proofs, status) in cases {
        let proofs = proofs.into_iter().map(|p| world.zone.sign(p, "zone.test.")).collect();
        let answer = world.judge(&owner, T::A, Rcode::NOERROR, vec![rrset], proofs);
        assert_eq!(answer.status, status, "{why}");
    }
}

#[test]
fn denials_in_insecure_zones_are_insecure() {
    let mut world = World::new();
    let soa = soa("plain.test.");
    for (qname, rtype) in
        [("q.plain.test.", T::A), ("plain.test.", T::TXT), ("q.plain.test.", T::DS)]
    {
        let answer = world.judge(qname, rtype, Rcode::NXDOMAIN, vec![], vec![soa.clone()]);
        assert_eq!(verdict(&answer), (Insecure, None), "{qname}");
        assert_eq!((answer.rcode, answer.authority.len()), (Rcode::NXDOMAIN, 1));
    }
    let empty = world.judge("q.plain.test.", T::A, Rcode::NOERROR, vec![], vec![]);
    assert_eq!(verdict(&empty), (Insecure, None));
    // A server of the parent that speaks about an insecure child.
    let parents = world.test.sign(self::soa("test."), "test.");
    let answer = world.judge("q.plain.test.", T::A, Rcode::NOERROR, vec![], vec![parents]);
    assert_eq!(verdict(&answer), (Insecure, None));
}

#[test]
fn padding_a_negative_answer_buys_no_work() {
    let mut world = World::new();
    let label = |i: usize| format!("n{i:02}.zone.test.");
    let padding = (0..60).map(|i| nsec(&label(i), &label(i + 1), A));
    let padding: Vec<_> = padding.map(|rrset| world.zone.sign(rrset, "zone.test.")).collect();
    let mut budget = crate::budget::Budget::new(crate::clock::Mono::ZERO, 48);
    let empty = Answer::empty(question("q.zone.test.", T::A), Rcode::NXDOMAIN);
    let answer = world.validate_within(Answer { authority: padding, ..empty }, &mut budget);
    assert_eq!(answer.status, Bogus);
    // Six signatures of the chain and eight of the proof, two units each.
    assert!(budget.spend_crypto(96 - 2 * 14).is_ok());
}

#[test]
fn a_proof_by_a_zone_beside_the_question_is_none() {
    let mut world = World::new();
    let proof = nsec("a.zone.test.", "z.zone.test.", A);
    let proof = world.zone.sign(proof, "zone.test.");
    let answer = world.judge("q.plain.test.", T::A, Rcode::NXDOMAIN, vec![], vec![proof]);
    assert_eq!(verdict(&answer), (Insecure, None));
}
