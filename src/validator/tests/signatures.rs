//! Signatures of the answer: RFC 4035 §5.3.

use super::super::testing::*;
use crate::status::SecurityStatus::{Bogus, Insecure, Secure};
use crate::wire::{Class, Rcode, Rdata, RecordType, Rrset};

fn judge(world: &mut World, rrset: Rrset) -> crate::cache::Answer {
    let (qname, rtype) = (rrset.owner.to_string(), rrset.rtype);
    world.judge(&qname, rtype, Rcode::NOERROR, vec![rrset], vec![])
}

#[test]
fn a_signature_has_to_fit_rfc_4035_section_5_3_1() {
    let terms = || Terms::new("zone.test.");
    let long_ago = NOW - 40 * DAY;
    #[rustfmt::skip]
    let cases = [
        ("good", terms(), (Secure, None)),
        ("another type covered", Terms { covered: Some(RecordType::AAAA), ..terms() }, (Bogus, Some(6))),
        ("signer below the owner", Terms::new("a.www.zone.test."), (Bogus, Some(10))),
        ("signer beside the zone", Terms::new("other.test."), (Bogus, Some(10))),
        ("signer that is no zone", Terms::new("www.zone.test."), (Bogus, Some(10))),
        ("more labels than the owner", terms().labels(4), (Bogus, Some(6))),
        ("fewer labels than the signer", terms().labels(1), (Bogus, Some(6))),
        ("wildcard without proof", terms().labels(2), (Bogus, Some(6))),
        ("unknown algorithm", Terms { algorithm: Some(200), ..terms() }, (Bogus, Some(10))),
        ("no such key", Terms { tag: Some(1), ..terms() }, (Bogus, Some(9))),
        ("expired", terms().dates(long_ago, NOW - 5 * DAY), (Bogus, Some(7))),
        ("not yet valid", terms().dates(NOW + 5 * DAY, NOW + MONTH), (Bogus, Some(8))),
        ("expires before it begins", terms().dates(NOW, NOW - 5 * DAY), (Bogus, Some(25))),
        ("expired, within a tenth of its life", terms().dates(long_ago, NOW - DAY + 60), (Secure, None)),
        ("expired an hour ago, short life", terms().dates(NOW - 3800, NOW - 3500), (Secure, None)),
        ("expired earlier, short life", terms().dates(NOW - 4000, NOW - 3700), (Bogus, Some(7))),
    ];
    for (why, terms, expected) in cases {
        let mut world = World::new();
        // Where a signer that is no zone is believed to be one, the walk goes there.
        let end = nsec("www.zone.test.", "zone.test.", &[RecordType::A]);
        let end = world.zone.sign(end, "zone.test.");
        world.no_ds("www.zone.test.", vec![end]);
        let rrset = world.zone.sign_on(a("www.zone.test."), terms);
        assert_eq!(verdict(&judge(&mut world, rrset)), expected, "{why}");
    }
}

#[test]
fn changed_data_does_not_verify() {
    let mut world = World::new();
    let good = world.zone.sign(a("www.zone.test."), "zone.test.");
    let mut other_owner = good.clone();
    other_owner.owner = name("ftp.zone.test.");
    let mut other_data = good.clone();
    other_data.rdata = vec![Rdata::from_bytes([192, 0, 2, 2])];
    let mut more_data = good.clone();
    more_data.rdata.push(Rdata::from_bytes([192, 0, 2, 2]));
    let mut cut = good.clone();
    let signature = cut.signatures[0].as_bytes();
    cut.signatures[0] = Rdata::from_bytes(&signature[..signature.len() - 1]);
    for (why, rrset) in [
        ("owner", other_owner),
        ("data", other_data),
        ("a record more", more_data),
        ("signature cut short", cut),
    ] {
        assert_eq!(verdict(&judge(&mut world, rrset)), (Bogus, Some(6)), "{why}");
    }
    assert_eq!(verdict(&judge(&mut world, good)), (Secure, None));
}

#[test]
fn one_good_signature_is_enough_rfc_4035_section_5_3_3() {
    let mut world = World::new();
    let good = || a("www.zone.test.");
    let bad = |rrset: Rrset, terms| world.zone.sign_on(rrset, terms);
    let old = bad(good(), Terms::new("zone.test.").dates(NOW - 2 * MONTH, NOW - MONTH));
    let tagless = bad(old, Terms { tag: Some(1), ..Terms::new("zone.test.") });
    let unknown = bad(tagless, Terms { algorithm: Some(200), ..Terms::new("zone.test.") });
    let mut both = world.zone.sign(unknown, "zone.test.");
    let mut wrong = both.signatures[3].as_bytes().to_vec();
    *wrong.last_mut().unwrap() ^= 1;
    both.signatures.insert(0, Rdata::from_bytes(wrong));
    assert_eq!(verdict(&judge(&mut world, both)), (Secure, None));
}

#[test]
fn no_more_than_two_signatures_of_an_rrset_may_fail() {
    let mut world = World::new();
    let good = world.zone.sign(a("www.zone.test."), "zone.test.");
    let mut flooded = good.clone();
    // Whatever comes after two failures is not looked at, not even the good one; and the sort
    // decides which come first, not the sender.
    flooded.signatures.clear();
    for flip in 0..100 {
        let mut wrong = good.signatures[0].as_bytes().to_vec();
        let at = wrong.len() - 64;
        wrong[at] ^= 1 + flip;
        flooded.signatures.push(Rdata::from_bytes(wrong));
    }
    let mut budget = crate::budget::Budget::new(crate::clock::Mono::ZERO, 48);
    let question = question("www.zone.test.", RecordType::A);
    let answer = crate::cache::Answer {
        answer: vec![flooded],
        ..crate::cache::Answer::empty(question, Rcode::NOERROR)
    };
    let answer = world.validate_within(answer, &mut budget);
    assert_eq!(verdict(&answer), (Bogus, Some(6)));
    assert!(budget.spend_crypto_failures(2).is_ok(), "two of four failures are left");
    assert!(budget.spend_crypto_failures(1).is_err());
}

#[test]
fn ttl_is_the_least_of_received_signed_and_left_rfc_4035_section_5_3_3() {
    for (why, received, signed, left, expected) in [
        ("as received", 60, 3600, MONTH, 60),
        ("as signed", 7200, 3600, MONTH, 3600),
        ("until it expires", 3600, 3600, 100, 100),
    ] {
        let mut world = World::new();
        let terms = Terms { ttl: signed, ..Terms::new("zone.test.") };
        let rrset = Rrset { ttl: received, ..a("www.zone.test.") };
        let rrset = world.zone.sign_on(rrset, terms.dates(NOW - DAY, NOW + left));
        assert_eq!(expiration(&rrset), NOW + left);
        let answer = judge(&mut world, rrset);
        assert_eq!((answer.status, answer.answer[0].ttl), (Secure, expected), "{why}");
    }
}

#[test]
fn canonical_form_does_not_depend_on_case_order_or_duplicates_rfc_4034_section_6() {
    let mut world = World::new();
    let mx =
        rrset("zone.test.", RecordType::MX, &[b"\0\x0a\x01m\x04zone\x04test\0", b"\0\x01\x01b\0"]);
    let mut mx = world.zone.sign(mx, "zone.test.");
    mx.owner = name("ZONE.Test.");
    mx.rdata = vec![
        Rdata::from_bytes(*b"\0\x01\x01B\0"),
        Rdata::from_bytes(*b"\0\x0a\x01M\x04ZONE\x04test\0"),
        Rdata::from_bytes(*b"\0\x0a\x01m\x04zone\x04test\0"),
    ];
    assert_eq!(verdict(&judge(&mut world, mx)), (Secure, None));

    // The next name of NSEC keeps its case (RFC 6840 §5.1).
    let nsec = nsec("www.zone.test.", "ZONE.test.", &[RecordType::A]);
    let nsec = world.zone.sign(nsec, "zone.test.");
    assert_eq!(verdict(&judge(&mut world, nsec.clone())), (Secure, None));
    let folded = nsec.rdata[0].as_bytes().to_ascii_lowercase();
    let folded = Rrset { rdata: vec![Rdata::from_bytes(folded)], ..nsec };
    assert_eq!(verdict(&judge(&mut world, folded)), (Bogus, Some(6)));
}

#[test]
fn the_asterisk_itself_is_no_expansion_rfc_4034_section_3_1_3() {
    let mut world = World::new();
    let rrset = world.zone.sign(a("*.zone.test."), "zone.test.");
    assert_eq!(rrset.signatures[0].as_bytes()[3], 2);
    assert_eq!(verdict(&judge(&mut world, rrset)), (Secure, None));
}

#[test]
fn signatures_are_not_validated_and_other_classes_neither() {
    let mut world = World::new();
    let rrsig = Rrset { rtype: RecordType::RRSIG, ..a("www.zone.test.") };
    assert_eq!(verdict(&judge(&mut world, rrsig)), (Insecure, None));
    let mut answer =
        crate::cache::Answer::empty(question("zone.test.", RecordType::A), Rcode::NOERROR);
    answer.question.class = Class::CH;
    assert_eq!(verdict(&world.validate(answer)), (Insecure, None));
}

#[test]
fn dates_are_ignored_when_configured() {
    let mut world = World::new();
    world.ignore_dates();
    let terms = Terms::new("zone.test.").dates(NOW - 2 * MONTH, NOW - MONTH);
    let rrset = world.zone.sign_on(a("www.zone.test."), terms);
    let answer = judge(&mut world, rrset);
    assert_eq!((answer.status, answer.answer[0].ttl), (Secure, 3600));
}

#[test]
fn any_is_validated_up_to_24_rrsets() {
    let mut world = World::new();
    let mut sets: Vec<_> = (1000..1030)
        .map(|rtype| Rrset { rtype: RecordType(rtype), ..a("zone.test.") })
        .map(|rrset| world.zone.sign(rrset, "zone.test."))
        .collect();
    sets.reverse();
    let answer = world.judge("zone.test.", RecordType::ANY, Rcode::NOERROR, sets.clone(), vec![]);
    assert_eq!((answer.status, answer.answer.len()), (Secure, 24));
    sets[29].signatures.clear();
    let answer = world.judge("zone.test.", RecordType::ANY, Rcode::NOERROR, sets, vec![]);
    assert_eq!(answer.status, Bogus, "each of them counts");
}
