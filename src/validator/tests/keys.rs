//! DS and DNSKEY RRsets: RFC 4035 §5.2, RFC 4509, RFC 6840 §5.

use super::super::testing::*;
use crate::budget::{Budget, CRYPTO_FAILURES};
use crate::cache::Answer;
use crate::clock::Mono;
use crate::status::Reason;
use crate::status::SecurityStatus::{self, Bogus, Insecure, Secure};
use crate::wire::{Dnskey, Rcode, Rdata, RecordType, Rrset};

/// The verdict about an ordinary answer of `zone.test.`, from the anchor down.
fn judge(world: &mut World) -> (SecurityStatus, Option<u16>) {
    world.forget();
    let rrset = world.zone.sign(a("www.zone.test."), "zone.test.");
    verdict(&world.judge("www.zone.test.", RecordType::A, Rcode::NOERROR, vec![rrset], vec![]))
}

/// DS RDATA with one field replaced.
fn edited(ds: &Rdata, at: usize, octet: u8) -> Rdata {
    let mut octets = ds.as_bytes().to_vec();
    octets[at] = octet;
    Rdata::from_bytes(octets)
}

#[test]
fn the_ds_rrset_decides_what_is_expected_of_the_child() {
    let world = World::new();
    let good = world.zone.ds("zone.test.", 2);
    let (sha1, sha384) = (world.zone.ds("zone.test.", 1), world.zone.ds("zone.test.", 4));
    let short = Rdata::from_bytes(&good.as_bytes()[..35]);
    let wrong = edited(&good, 10, !good.as_bytes()[10]);
    let unknown_algorithm = edited(&good, 2, 200);
    let unknown_digest = edited(&good, 3, 9);
    let wrong_tag = edited(&good, 0, !good.as_bytes()[0]);
    let [ecdsa, dsa, private] = [13, 3, 253].map(|algorithm| edited(&good, 2, algorithm));
    #[rustfmt::skip]
    let cases: [(&str, Vec<&Rdata>, SecurityStatus, Option<u16>); 16] = [
        ("SHA-256", vec![&good], Secure, None),
        ("SHA-384", vec![&sha384], Secure, None),
        ("SHA-1 alone", vec![&sha1], Secure, None),
        ("wrong digest", vec![&wrong], Bogus, Some(9)),
        ("wrong and good", vec![&wrong, &good], Secure, None),
        ("SHA-1 does not stand in for a wrong SHA-256, RFC 4509 section 3", vec![&wrong, &sha1], Bogus, Some(9)),
        ("digest of the wrong length is none", vec![&short, &sha1], Secure, None),
        ("digest of the wrong length alone", vec![&short], Bogus, Some(9)),
        ("wrong tag", vec![&wrong_tag], Bogus, Some(9)),
        ("another known algorithm", vec![&ecdsa], Bogus, Some(9)),
        ("unknown algorithm", vec![&unknown_algorithm], Insecure, Some(1)),
        ("DSA", vec![&dsa], Insecure, Some(1)),
        ("PRIVATEDNS", vec![&private], Insecure, Some(1)),
        ("unknown digest", vec![&unknown_digest], Insecure, Some(2)),
        ("unknown ones next to a good one", vec![&unknown_algorithm, &unknown_digest, &good], Secure, None),
        ("unknown ones next to a wrong one", vec![&unknown_algorithm, &unknown_digest, &wrong], Bogus, Some(9)),
    ];
    for (why, ds, status, ede) in cases {
        let mut world = World::new();
        world.delegate("test.", "zone.test.", ds.into_iter().cloned().collect());
        assert_eq!(judge(&mut world), (status, ede), "{why}");
    }
}

#[test]
fn sha1_counts_for_nothing_when_the_operator_says_so_rfc_9905() {
    let world = World::new();
    let [sha1, sha256] = [1, 2].map(|digest_type| world.zone.ds("zone.test.", digest_type));
    let rsa_sha1 = edited(&sha256, 2, 7);
    for (why, ds, accepted, refused) in [
        ("digest alone", vec![&sha1], (Secure, None), (Insecure, Some(2))),
        ("digest next to a better one", vec![&sha1, &sha256], (Secure, None), (Secure, None)),
        ("algorithm alone", vec![&rsa_sha1], (Bogus, Some(9)), (Insecure, Some(1))),
        (
            "algorithm next to a better one",
            vec![&rsa_sha1, &sha256],
            (Secure, None),
            (Secure, None),
        ),
    ] {
        for (val_accept_sha1, expected) in [(true, accepted), (false, refused)] {
            let mut world = World::new();
            world.config.val_accept_sha1 = val_accept_sha1;
            world.delegate("test.", "zone.test.", ds.iter().copied().cloned().collect());
            assert_eq!(judge(&mut world), expected, "{why}, accepted: {val_accept_sha1}");
        }
    }
}

#[test]
fn keys_of_other_kinds_do_not_count_rfc_4034_section_2_1() {
    for (why, flags, protocol, status, ede) in [
        ("zone key", 0x100, 3, Secure, None),
        ("secure entry point", 0x101, 3, Secure, None),
        ("unknown flags", 0x8102, 3, Secure, None),
        ("no zone key", 0x001, 3, Bogus, Some(11)),
        ("revoked, RFC 5011 section 2.1", 0x181, 3, Bogus, Some(9)),
        ("protocol 2", 0x100, 2, Bogus, Some(9)),
    ] {
        let mut world = World::new();
        let mut key = Key::new(9, flags);
        let mut octets = key.rdata.as_bytes().to_vec();
        octets[2] = protocol;
        key.rdata = Rdata::from_bytes(octets);
        world.zone = key;
        let dnskey = world.dnskey("zone.test.", &world.zone);
        world.put("zone.test.", RecordType::DNSKEY, vec![dnskey], vec![]);
        world.delegate("test.", "zone.test.", vec![world.zone.ds("zone.test.", 2)]);
        assert_eq!(judge(&mut world), (status, ede), "{why}");
    }
}

#[test]
fn a_key_that_the_ds_vouches_for_signs_the_dnskey_rrset() {
    let other = Key::new(8, 256);
    let signed_by = |world: &World, keys: &[&Key]| {
        let all = [world.zone.rdata.as_bytes(), other.rdata.as_bytes()];
        let set = rrset("zone.test.", RecordType::DNSKEY, &all);
        keys.iter().fold(set, |set, key| key.sign(set, "zone.test."))
    };
    let mut world = World::new();
    let mut wrong = signed_by(&world, &[&world.zone]);
    wrong.rdata.pop();
    for (why, dnskey, status, ede) in [
        ("by both", signed_by(&world, &[&other, &world.zone]), Secure, None),
        ("by the one in the DS", signed_by(&world, &[&world.zone]), Secure, None),
        ("by the other alone", signed_by(&world, &[&other]), Bogus, Some(10)),
        ("by nobody", signed_by(&world, &[]), Bogus, Some(10)),
        ("a key removed", wrong, Bogus, Some(6)),
    ] {
        world.put("zone.test.", RecordType::DNSKEY, vec![dnskey], vec![]);
        assert_eq!(judge(&mut world), (status, ede), "{why}");
    }

    // Then every key of the RRset is good for data.
    let dnskey = signed_by(&world, &[&world.zone]);
    world.put("zone.test.", RecordType::DNSKEY, vec![dnskey], vec![]);
    world.forget();
    let rrset = other.sign(a("www.zone.test."), "zone.test.");
    let answer = world.judge("www.zone.test.", RecordType::A, Rcode::NOERROR, vec![rrset], vec![]);
    assert_eq!(verdict(&answer), (Secure, None));
}

#[test]
fn a_zone_whose_ds_names_a_known_algorithm_never_becomes_insecure_by_its_keys() {
    // The key and its signatures say they are of an algorithm nobody knows.
    let mut world = World::new();
    let ds = world.zone.ds("zone.test.", 2);
    world.zone = Key::of_algorithm(3, 256, 200);
    let dnskey = world.dnskey("zone.test.", &world.zone);
    world.put("zone.test.", RecordType::DNSKEY, vec![dnskey], vec![]);
    world.delegate("test.", "zone.test.", vec![ds]);
    assert_eq!(judge(&mut world), (Bogus, Some(9)));
}

#[test]
fn algorithms_need_not_be_complete_rfc_6840_section_5_11() {
    let mut world = World::new();
    let good = world.zone.ds("zone.test.", 2);
    world.delegate("test.", "zone.test.", vec![edited(&good, 2, 13), good]);
    assert_eq!(judge(&mut world), (Secure, None));
    world.config.harden_algo_downgrade = true;
    assert_eq!(judge(&mut world), (Bogus, Some(6)), "unless harden-algo-downgrade wants it");
}

#[test]
fn key_floods_are_refused_unseen() {
    let mut world = World::new();
    let mut set = rrset("zone.test.", RecordType::DNSKEY, &[world.zone.rdata.as_bytes()]);
    set.rdata.extend((0..64u8).map(|i| Rdata::from_bytes(vec![1, 0, 3, 15, i])));
    let set = world.zone.sign(set, "zone.test.");
    world.put("zone.test.", RecordType::DNSKEY, vec![set], vec![]);
    assert_eq!(judge(&mut world), (Bogus, Some(6)));
}

/// What a forged RRset costs when the zone has these keys besides the right one.
fn failures_of_a_forgery(more: Vec<Rdata>) -> u32 {
    let mut world = World::new();
    let mut set = rrset("zone.test.", RecordType::DNSKEY, &[world.zone.rdata.as_bytes()]);
    set.rdata.extend(more);
    let set = world.zone.sign(set, "zone.test.");
    world.put("zone.test.", RecordType::DNSKEY, vec![set], vec![]);
    let mut forged = world.zone.sign(a("www.zone.test."), "zone.test.");
    forged.rdata = vec![Rdata::from_bytes([192, 0, 2, 9])];
    let mut budget = Budget::new(Mono::ZERO, 48);
    let empty = Answer::empty(question("www.zone.test.", RecordType::A), Rcode::NOERROR);
    let answer = world.validate_within(Answer { answer: vec![forged], ..empty }, &mut budget);
    assert_eq!(answer.reason, Some(Reason::BogusSignature));
    let mut left = 0;
    while budget.spend_crypto_failures(1).is_ok() {
        left += 1;
    }
    CRYPTO_FAILURES.default - left
}

#[test]
fn keys_of_one_tag_cost_two_tries_and_malformed_ones_are_not_free() {
    let good = Key::new(3, 256);
    let octets = good.rdata.as_bytes();
    // What is summed for the tag may be swapped.
    let twins = (0..4).map(|i| {
        let mut twin = octets.to_vec();
        twin.swap(4 + 2 * i, 20 + 2 * i);
        Rdata::from_bytes(twin)
    });
    let twins: Vec<_> = twins.collect();
    // Half a key, whose tag is made to fit by its last octets (CVE-2025-8677).
    let with_tail = |tail: u16| Rdata::from_bytes([&octets[..18], &tail.to_be_bytes()].concat());
    let half = (0..=u16::MAX)
        .map(with_tail)
        .find(|half| Dnskey::parse(half).unwrap().key_tag == good.tag())
        .unwrap();
    for key in twins.iter().chain([&half]) {
        assert_eq!(Dnskey::parse(key).unwrap().key_tag, good.tag());
    }
    assert_eq!(failures_of_a_forgery(vec![]), 1);
    assert_eq!(failures_of_a_forgery(twins), 2);
    assert_eq!(failures_of_a_forgery(vec![half]), 2);
}

#[test]
fn the_dnskey_rrset_can_be_what_is_asked_for() {
    let mut world = World::new();
    let dnskey = world.dnskey("zone.test.", &world.zone);
    let answer =
        world.judge("zone.test.", RecordType::DNSKEY, Rcode::NOERROR, vec![dnskey], vec![]);
    assert_eq!(verdict(&answer), (Secure, None));
    assert!(!world.asked.contains(&"zone.test. DNSKEY".to_owned()), "{:?}", world.asked);
}

#[test]
fn failures_to_fetch_are_told_from_bad_answers() {
    let mut world = World::new();
    world.answers.remove(&question("zone.test.", RecordType::DNSKEY));
    assert_eq!(judge(&mut world), (Bogus, Some(9)));
    world.answers.remove(&question("zone.test.", RecordType::DS));
    assert_eq!(judge(&mut world), (Bogus, Some(6)));
    assert!(world.asked.iter().all(|asked| !asked.starts_with('!')), "{:?}", world.asked);
}

#[test]
fn an_answer_that_does_not_verify_is_asked_for_once_more_elsewhere() {
    let mut world = World::new();
    let mut dnskey = world.dnskey("zone.test.", &world.zone);
    dnskey.signatures.clear();
    world.put("zone.test.", RecordType::DNSKEY, vec![dnskey], vec![]);
    assert_eq!(judge(&mut world), (Bogus, Some(10)));
    let again: Vec<_> = world.asked.iter().filter(|asked| asked.starts_with('!')).collect();
    assert_eq!(again, ["!zone.test. DNSKEY"]);
}

#[test]
fn an_rrset_without_its_key_rrset_in_the_zone_is_bogus() {
    let mut world = World::new();
    let empty: Vec<Rrset> = Vec::new();
    world.put("zone.test.", RecordType::DNSKEY, empty, vec![soa("zone.test.")]);
    assert_eq!(judge(&mut world), (Bogus, Some(9)));
}
