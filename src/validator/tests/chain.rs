//! The way from an anchor to a zone: RFC 4035 §5.2, RFC 6840 §4.4.

use super::super::testing::*;
use crate::config::{AnchorKind, TrustAnchor};
use crate::status::SecurityStatus::{self, Bogus, Insecure, Secure};
use crate::wire::{Name, Rcode, Rdata, RecordType as T, Rrset};

/// The verdict about a signed answer of `zone.test.`, from the anchor down.
fn judge_signed(world: &mut World) -> (SecurityStatus, Option<u16>) {
    world.forget();
    let rrset = world.zone.sign(a("www.zone.test."), "zone.test.");
    verdict(&world.judge("www.zone.test.", T::A, Rcode::NOERROR, vec![rrset], vec![]))
}

/// The verdict about an unsigned answer.
fn judge_unsigned(world: &mut World, owner: &str) -> (SecurityStatus, Option<u16>) {
    world.forget();
    verdict(&world.judge(owner, T::A, Rcode::NOERROR, vec![a(owner)], vec![]))
}

fn anchor(owner: &str, kind: AnchorKind, rdata: Rdata) -> TrustAnchor {
    TrustAnchor { owner: name(owner), kind, rdata }
}

#[test]
fn any_anchor_of_a_name_will_do_and_those_not_understood_make_it_insecure() {
    use AnchorKind::{Dnskey, Ds};
    let world = World::new();
    let (ds, key) = (world.root.ds(".", 2), world.root.rdata.clone());
    let other = Key::new(77, 257);
    let unknown = Key::of_algorithm(1, 257, 200);
    let cases = [
        ("DS", vec![anchor(".", Ds, ds.clone())], (Secure, None)),
        ("DNSKEY", vec![anchor(".", Dnskey, key.clone())], (Secure, None)),
        (
            "a good and a bad DS",
            vec![anchor(".", Ds, other.ds(".", 2)), anchor(".", Ds, ds.clone())],
            (Secure, None),
        ),
        (
            "bad DNSKEY, good DS",
            vec![anchor(".", Dnskey, other.rdata.clone()), anchor(".", Ds, ds)],
            (Secure, None),
        ),
        ("bad DS", vec![anchor(".", Ds, other.ds(".", 2))], (Bogus, Some(9))),
        ("bad DNSKEY", vec![anchor(".", Dnskey, other.rdata.clone())], (Bogus, Some(9))),
        ("unknown algorithm, DS", vec![anchor(".", Ds, unknown.ds(".", 2))], (Insecure, Some(1))),
        (
            "unknown algorithm, DNSKEY",
            vec![anchor(".", Dnskey, unknown.rdata.clone())],
            (Insecure, Some(1)),
        ),
        (
            "unknown and good",
            vec![anchor(".", Ds, unknown.ds(".", 2)), anchor(".", Dnskey, key)],
            (Secure, None),
        ),
        ("none at all", vec![], (Insecure, None)),
        ("none above", vec![anchor("example.", Ds, other.ds("example.", 2))], (Insecure, None)),
        (
            "an island",
            vec![anchor("ZONE.test.", Ds, world.zone.ds("zone.test.", 2))],
            (Secure, None),
        ),
    ];
    for (why, anchors, expected) in cases {
        let mut world = World::new();
        world.config.trust_anchors = anchors;
        assert_eq!(judge_signed(&mut world), expected, "{why}");
    }
}

#[test]
fn the_closest_anchor_counts_whatever_its_parents_say() {
    let mut world = World::new();
    let island = Key::new(9, 257);
    let dnskey = world.dnskey("isle.plain.test.", &island);
    world.put("isle.plain.test.", T::DNSKEY, vec![dnskey], vec![]);
    let rrset = island.sign(a("www.isle.plain.test."), "isle.plain.test.");
    let sections = |rrset: &Rrset| vec![rrset.clone()];
    let judge = |world: &mut World, rrset: &Rrset| {
        world.forget();
        let answer =
            world.judge("www.isle.plain.test.", T::A, Rcode::NOERROR, sections(rrset), vec![]);
        verdict(&answer)
    };
    assert_eq!(judge(&mut world, &rrset), (Insecure, None), "without an anchor");
    let ds = island.ds("isle.plain.test.", 2);
    world.config.trust_anchors.push(anchor("isle.plain.test.", AnchorKind::Ds, ds));
    assert_eq!(judge(&mut world, &rrset), (Secure, None));

    // A signature by an insecure zone above the anchor does not lead out of it.
    let above = island.sign_on(a("www.isle.plain.test."), Terms::new("plain.test."));
    world.no_ds("www.isle.plain.test.", vec![]);
    assert_eq!(judge(&mut world, &above), (Bogus, Some(12)));
    // Nor does the delegation: the DS question for the anchor itself goes to the parent.
    let denied = world.judge("isle.plain.test.", T::DS, Rcode::NOERROR, vec![], vec![]);
    assert_eq!(verdict(&denied), (Insecure, None));
}

#[test]
fn a_zone_above_may_prove_that_an_anchored_name_does_not_exist() {
    let mut world = World::new();
    let ds = world.zone.ds("gone.test.", 2);
    world.config.trust_anchors.push(anchor("gone.test.", AnchorKind::Ds, ds));
    let denial =
        |world: &World| vec![world.test.sign(nsec("test.", "zz.test.", TEST_NSEC), "test.")];
    let proof = denial(&world);
    let answer = world.judge("www.gone.test.", T::A, Rcode::NXDOMAIN, vec![], proof);
    assert_eq!((verdict(&answer), answer.rcode), ((Secure, None), Rcode::NXDOMAIN));
    // But not that nobody vouches for it.
    world.forget();
    let no_ds = nsec("test.", "zz.test.", &[T::NS, T::NSEC]);
    world.no_ds("test.", vec![world.root.sign(no_ds, ".")]);
    let proof = denial(&world);
    let answer = world.judge("www.gone.test.", T::A, Rcode::NXDOMAIN, vec![], proof);
    assert_eq!(answer.status, Bogus);
}

#[test]
fn a_ds_rrset_is_asked_for_explicitly_before_a_retry_is_spent() {
    let mut world = World::new();
    let ds = Rrset::new(name("zone.test."), T::DS, 3600, vec![world.zone.ds("zone.test.", 2)]);
    world.put("zone.test.", T::DS, vec![ds], vec![]);
    assert_eq!(judge_signed(&mut world), (Bogus, Some(10)));
    let again = |world: &World| world.asked.iter().filter(|asked| asked.starts_with('!')).count();
    assert_eq!(again(&world), 2, "{:?}", world.asked);
    world.config.val_max_restart = 0;
    assert_eq!(judge_signed(&mut world), (Bogus, Some(10)));
    assert_eq!(again(&world), 1, "{:?}", world.asked);
}

#[test]
fn negative_trust_anchors_end_trust_until_the_next_anchor() {
    let mut world = World::new();
    let insecure = |names: &[&str]| names.iter().map(|text| name(text)).collect::<Vec<Name>>();
    for (why, names, expected) in [
        ("the zone", vec!["zone.test."], (Insecure, None)),
        ("its parent", vec!["test."], (Insecure, None)),
        ("another zone", vec!["other.test."], (Secure, None)),
        ("the root, which has an anchor", vec!["."], (Insecure, None)),
    ] {
        world.config.domain_insecure = insecure(&names);
        assert_eq!(judge_signed(&mut world), expected, "{why}");
    }
    let ds = world.zone.ds("zone.test.", 2);
    world.config.trust_anchors.push(anchor("zone.test.", AnchorKind::Ds, ds));
    assert_eq!(judge_signed(&mut world), (Secure, None), "an anchor below it");
}

#[test]
fn harden_dnssec_stripped_decides_about_anchored_zones_without_signatures() {
    let mut world = World::new();
    for strip in ["no DNSKEY", "no RRSIG", "failure"] {
        match strip {
            "no DNSKEY" => world.put(".", T::DNSKEY, vec![], vec![]),
            "no RRSIG" => {
                let key = rrset(".", T::DNSKEY, &[world.root.rdata.as_bytes()]);
                world.put(".", T::DNSKEY, vec![key], vec![]);
            }
            _ => drop(world.answers.remove(&question(".", T::DNSKEY))),
        }
        world.config.harden_dnssec_stripped = true;
        assert_eq!(judge_signed(&mut world).0, Bogus, "{strip}");
        world.config.harden_dnssec_stripped = false;
        let expected = if strip == "failure" { Bogus } else { Insecure };
        assert_eq!(judge_signed(&mut world).0, expected, "{strip}, not hardened");
    }
}

#[test]
fn only_a_proof_by_the_parent_makes_a_delegation_insecure() {
    let delegation = |types: &[T]| nsec("zone.test.", "zzz.test.", types);
    let apex = nsec("zone.test.", "a.zone.test.", TEST_NSEC);
    #[rustfmt::skip]
    let cases = [
        ("NS without DS and SOA", "test.", vec![delegation(&[T::NS, T::NSEC])], Insecure, None),
        ("no proof", "test.", vec![], Bogus, Some(12)),
        ("SOA alone", "test.", vec![soa("test.")], Bogus, Some(12)),
        ("DS bit set", "test.", vec![delegation(&[T::NS, T::DS, T::NSEC])], Bogus, Some(6)),
        ("SOA bit set", "test.", vec![delegation(&[T::NS, T::SOA, T::NSEC])], Bogus, Some(6)),
        ("apex of the child, by the child", "zone.test.", vec![apex], Bogus, Some(12)),
        ("not a delegation", "test.", vec![delegation(&[T::A, T::NSEC])], Bogus, Some(10)),
        ("an empty non-terminal", "test.", vec![nsec("a.test.", "b.www.zone.test.", &[T::A])], Bogus, Some(10)),
        ("does not exist", "test.", vec![nsec("a.test.", "zzz.test.", &[T::A])], Bogus, Some(10)),
        ("denied by a delegation above, RFC 6840 section 4.1", "test.", vec![nsec("test.", "zzz.test.", &[T::NS])], Bogus, Some(6)),
        ("another name", "test.", vec![nsec("a.test.", "b.test.", &[T::NS])], Bogus, Some(6)),
    ];
    for (why, signer, authority, status, ede) in cases {
        let mut world = World::new();
        let key = world.key(signer);
        let authority = authority.into_iter().map(|rrset| key.sign(rrset, signer)).collect();
        world.no_ds("zone.test.", authority);
        let deeper = nsec("www.zone.test.", "zzz.test.", &[T::A]);
        let deeper = world.test.sign(deeper, "test.");
        world.no_ds("www.zone.test.", vec![deeper]);
        assert_eq!(judge_unsigned(&mut world, "www.zone.test."), (status, ede), "{why}");
    }
}

#[test]
fn a_wildcard_nsec_proves_no_delegation() {
    let mut world = World::new();
    let expanded = nsec("zone.test.", "zzz.test.", &[T::NS, T::NSEC]);
    let expanded = world.test.sign_on(expanded, Terms::new("test.").labels(1));
    world.no_ds("zone.test.", vec![expanded]);
    assert_eq!(judge_unsigned(&mut world, "www.zone.test."), (Bogus, Some(6)));
    // Nor does a wildcard make one.
    let ds = Rrset::new(name("zone.test."), T::DS, 3600, vec![world.zone.ds("zone.test.", 2)]);
    let ds = world.test.sign_on(ds, Terms::new("test.").labels(1));
    world.put("zone.test.", T::DS, vec![ds], vec![]);
    assert_eq!(judge_signed(&mut world), (Bogus, Some(6)));
}

#[test]
fn insecure_zones_need_no_signatures_and_forged_ones_are_ignored() {
    let mut world = World::new();
    assert_eq!(judge_unsigned(&mut world, "www.plain.test."), (Insecure, None));
    assert_eq!(judge_unsigned(&mut world, "a.b.c.plain.test."), (Insecure, None));
    // Signatures by zones above that did not sign it, by the zone itself, and by nobody.
    for signer in ["test.", ".", "plain.test.", "www.plain.test.", "elsewhere."] {
        let forged = Key::new(42, 256).sign(a("www.plain.test."), signer);
        world.forget();
        let answer = world.judge("www.plain.test.", T::A, Rcode::NOERROR, vec![forged], vec![]);
        assert_eq!(verdict(&answer), (Insecure, None), "{signer}");
        assert_eq!(answer.answer.len(), 1);
    }
}

#[test]
fn unsigned_data_of_a_signed_zone_is_bogus() {
    let mut world = World::new();
    let no_cut = nsec("www.zone.test.", "zone.test.", &[T::A, T::NSEC]);
    let no_cut = world.zone.sign(no_cut, "zone.test.");
    world.no_ds("www.zone.test.", vec![no_cut]);
    assert_eq!(judge_unsigned(&mut world, "www.zone.test."), (Bogus, Some(10)));
    let nothing = nsec("a.zone.test.", "zone.test.", &[T::A, T::NSEC]);
    let nothing = world.zone.sign(nothing, "zone.test.");
    world.no_ds("x.zone.test.", vec![nothing]);
    assert_eq!(judge_unsigned(&mut world, "deep.below.x.zone.test."), (Bogus, Some(10)));
    assert_eq!(world.asked.last().unwrap(), "x.zone.test. DS", "nothing is below x");
}

#[test]
fn an_alias_in_place_of_a_ds_rrset_means_no_cut() {
    let mut world = World::new();
    // zone.test. has an unsigned delegation at `sub`, below a CNAME at `mid`, so to speak.
    let alias = world.zone.sign(pointing("mid.zone.test.", T::CNAME, "elsewhere."), "zone.test.");
    world.put("mid.zone.test.", T::DS, vec![alias.clone()], vec![]);
    let sub = nsec("sub.mid.zone.test.", "zone.test.", &[T::NS, T::NSEC]);
    let sub = world.zone.sign(sub, "zone.test.");
    world.no_ds("sub.mid.zone.test.", vec![sub]);
    assert_eq!(judge_unsigned(&mut world, "www.sub.mid.zone.test."), (Insecure, None));

    let unsigned = Rrset { signatures: vec![], ..alias };
    world.put("mid.zone.test.", T::DS, vec![unsigned], vec![]);
    assert_eq!(judge_unsigned(&mut world, "www.sub.mid.zone.test."), (Bogus, Some(10)));

    // An alias made from a wildcard is proof of nothing without the proof of its own.
    let wild = pointing("mid.zone.test.", T::CNAME, "elsewhere.");
    let wild = world.zone.sign_on(wild, Terms::new("zone.test.").labels(2));
    world.put("mid.zone.test.", T::DS, vec![wild.clone()], vec![]);
    assert_eq!(judge_unsigned(&mut world, "www.sub.mid.zone.test."), (Bogus, Some(6)));
    let nothing_closer = nsec("a.zone.test.", "zone.test.", &[T::A]);
    let nothing_closer = world.zone.sign(nothing_closer, "zone.test.");
    world.put("mid.zone.test.", T::DS, vec![wild], vec![nothing_closer]);
    assert_eq!(judge_unsigned(&mut world, "www.sub.mid.zone.test."), (Insecure, None));

    // Below a DNAME there is nothing at all.
    let dname = world.zone.sign(pointing("zone.test.", T::DNAME, "elsewhere."), "zone.test.");
    let made = pointing("mid.zone.test.", T::CNAME, "mid.elsewhere.");
    world.put("mid.zone.test.", T::DS, vec![dname, made], vec![]);
    assert_eq!(judge_unsigned(&mut world, "www.sub.mid.zone.test."), (Bogus, Some(10)));
}

#[test]
fn a_signer_far_below_is_reached_by_the_cuts_alone() {
    // The DS RRset of a zone twenty labels down is asked for at once: it says who signed it.
    let mut world = World::new();
    let deep = "1.2.3.4.5.6.7.8.9.a.b.c.d.e.f.0.zone.test.";
    let ds = Rrset::new(name(deep), T::DS, 3600, vec![world.zone.ds(deep, 2)]);
    let ds = world.zone.sign(ds, "zone.test.");
    world.put(deep, T::DS, vec![ds], vec![]);
    let dnskey = world.dnskey(deep, &world.zone);
    world.put(deep, T::DNSKEY, vec![dnskey], vec![]);
    let rrset = world.zone.sign(a(deep), deep);
    let answer = world.judge(deep, T::A, Rcode::NOERROR, vec![rrset], vec![]);
    assert_eq!(verdict(&answer), (Secure, None));
    assert!(world.asked.len() <= 10, "{:?}", world.asked);
}

#[test]
fn a_zone_cut_that_is_known_is_the_border_of_its_parent() {
    use crate::cache::{DelegationPoint, DelegationSource};
    use crate::clock::{Mono, Now, UnixTime};
    let mut world = World::new();
    // The parent signed data of the child: a valid signature by the wrong zone.
    let rrset = world.test.sign(a("www.zone.test."), "test.");
    let point = DelegationPoint {
        zone: name("zone.test."),
        servers: vec![name("ns.zone.test.")],
        glue: vec![],
        addresses: vec![],
        expires: UnixTime((NOW + DAY).into()),
        source: DelegationSource::Referral,
    };
    let now = Now::new(Mono::ZERO, UnixTime(NOW.into()));
    world.cache.store_delegation(&point, now);
    let answer = world.judge("www.zone.test.", T::A, Rcode::NOERROR, vec![rrset], vec![]);
    assert_eq!(answer.status, Bogus);
}
