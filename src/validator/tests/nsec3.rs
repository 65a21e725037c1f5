//! Denials by NSEC3: RFC 5155 §8, RFC 9276.

use data_encoding::BASE32HEX_NOPAD;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::super::testing::*;
use crate::budget::Budget;
use crate::cache::Answer;
use crate::clock::Mono;
use crate::status::SecurityStatus::{Bogus, Insecure, Secure};
use crate::wire::{Rcode, RecordType as T, Rrset};

/// A zone with NSEC3: names and types, hashed with the salt 0xaabb.
pub(super) struct Hashed {
    zone: &'static str,
    iterations: u16,
    opt_out: bool,
    /// Hash and types of each name, in order of hashes.
    chain: Vec<(Vec<u8>, &'static [T])>,
}

/// `zone.test.`: apex, a, w (an empty non-terminal), *.w, cut (a delegation), ds (a secure one).
const NAMES: &[(&str, &[T])] = &[
    ("zone.test.", &[T::NS, T::SOA, T::DNSKEY]),
    ("a.zone.test.", &[T::A]),
    ("w.zone.test.", &[]),
    ("*.w.zone.test.", &[T::A]),
    ("cut.zone.test.", &[T::NS]),
    ("ds.zone.test.", &[T::NS, T::DS]),
];

impl Hashed {
    pub(super) fn new(iterations: u16, opt_out: bool) -> Self {
        let mut hashed = Self { zone: "zone.test.", iterations, opt_out, chain: Vec::new() };
        let chain = NAMES.iter().map(|(name, types)| (hashed.hash(name), *types));
        hashed.chain = chain.collect();
        hashed.chain.sort();
        hashed
    }

    fn hash(&self, text: &str) -> Vec<u8> {
        let mut hash = name(text).to_lowercase().as_wire().to_vec();
        for _ in 0..=self.iterations {
            hash.extend([0xaa, 0xbb]);
            hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &hash).as_ref().to_vec();
        }
        hash
    }

    pub(super) fn len(&self) -> usize {
        self.chain.len()
    }

    /// The record whose owner is at that place.
    pub(super) fn record(&self, at: usize) -> Rrset {
        let (owner, types) = &self.chain[at];
        let (next, _) = &self.chain[(at + 1) % self.chain.len()];
        let mut rdata = vec![1, u8::from(self.opt_out)];
        rdata.extend(self.iterations.to_be_bytes());
        rdata.extend([2, 0xaa, 0xbb, 20]);
        rdata.extend(next);
        rdata.extend(bitmap(types));
        let owner = BASE32HEX_NOPAD.encode(owner).to_ascii_lowercase();
        rrset(&format!("{owner}.{}", self.zone), T::NSEC3, &[&rdata])
    }

    /// The record at the hash of a name.
    pub(super) fn matching(&self, text: &str) -> Rrset {
        let hash = self.hash(text);
        self.record(self.chain.iter().position(|(owner, _)| *owner == hash).unwrap())
    }

    /// The record that covers the hash of a name.
    pub(super) fn covering(&self, text: &str) -> Rrset {
        let hash = self.hash(text);
        assert!(self.chain.iter().all(|(owner, _)| *owner != hash), "{text} is covered");
        let before = self.chain.iter().rposition(|(owner, _)| *owner < hash);
        self.record(before.unwrap_or(self.chain.len() - 1))
    }
}

fn judge(world: &mut World, qname: &str, rtype: T, rcode: Rcode, proofs: &[Rrset]) -> Answer {
    let mut authority: Vec<Rrset> = Vec::new();
    for rrset in proofs {
        if !authority.iter().any(|known| known.owner == rrset.owner) {
            authority.push(world.zone.sign(rrset.clone(), "zone.test."));
        }
    }
    authority.push(world.zone.sign(soa("zone.test."), "zone.test."));
    world.judge(qname, rtype, rcode, vec![], authority)
}

#[test]
fn a_denial_proves_what_the_answer_says() {
    let (h, o) = (Hashed::new(3, false), Hashed::new(3, true));
    let (m, c) = (|n| h.matching(n), |n| h.covering(n));
    let (mo, co) = (|n| o.matching(n), |n| o.covering(n));
    let apex = "zone.test.";
    let (ne, nx) = (Rcode::NOERROR, Rcode::NXDOMAIN);
    #[rustfmt::skip]
    let cases = [
        // Name errors (RFC 5155 §8.4).
        ("name error", "q.zone.test.", T::A, nx, vec![m(apex), c("q.zone.test."), c("*.zone.test.")], Secure),
        ("name error far down", "x.y.q.zone.test.", T::A, nx, vec![m(apex), c("q.zone.test."), c("*.zone.test.")], Secure),
        ("opt-out", "q.zone.test.", T::A, nx, vec![mo(apex), co("q.zone.test."), co("*.zone.test.")], Insecure),
        ("below a delegation", "x.cut.zone.test.", T::A, nx, vec![m("cut.zone.test."), c("x.cut.zone.test."), c("*.cut.zone.test.")], Bogus),
        // No data (§8.5 to §8.7).
        ("type absent", "a.zone.test.", T::AAAA, ne, vec![m("a.zone.test.")], Secure),
        ("type present", "a.zone.test.", T::A, ne, vec![m("a.zone.test.")], Bogus),
        ("delegation", "cut.zone.test.", T::A, ne, vec![m("cut.zone.test.")], Bogus),
        ("no DS", "cut.zone.test.", T::DS, ne, vec![m("cut.zone.test.")], Secure),
        ("no DS, with DS", "ds.zone.test.", T::DS, ne, vec![m("ds.zone.test.")], Bogus),
        ("no DS, by opt-out", "q.zone.test.", T::DS, ne, vec![mo(apex), co("q.zone.test.")], Insecure),
        ("empty non-terminal", "w.zone.test.", T::A, ne, vec![m("w.zone.test.")], Secure),
        ("empty non-terminal of insecure delegations", "q.zone.test.", T::A, ne, vec![mo(apex), co("q.zone.test.")], Insecure),
        ("wildcard", "q.w.zone.test.", T::AAAA, ne, vec![m("w.zone.test."), c("q.w.zone.test."), m("*.w.zone.test.")], Secure),
        ("wildcard with the type", "q.w.zone.test.", T::A, ne, vec![m("w.zone.test."), c("q.w.zone.test."), m("*.w.zone.test.")], Bogus),
        ("wildcard, without closest encloser", "q.w.zone.test.", T::AAAA, ne, vec![c("q.w.zone.test."), m("*.w.zone.test.")], Bogus),
        // The response code does not matter.
        ("no data said to be a name error", "a.zone.test.", T::AAAA, nx, vec![m("a.zone.test.")], Secure),
    ];
    for (why, qname, rtype, rcode, proofs, status) in cases {
        let mut world = World::new();
        let answer = judge(&mut world, qname, rtype, rcode, &proofs);
        assert_eq!(answer.status, status, "{why}");
    }
}

#[test]
fn a_name_error_needs_all_of_its_records() {
    let qname = "x.y.a.zone.test.";
    let proof = |h: &Hashed| {
        [h.matching("a.zone.test."), h.covering("y.a.zone.test."), h.covering("*.a.zone.test.")]
    };
    // In a chain this short, records easily do double duty; not so in this one.
    let [m, n, w] = (0..100)
        .map(|iterations| proof(&Hashed::new(iterations, false)))
        .find(|[m, n, w]| m.owner != n.owner && n.owner != w.owner && w.owner != m.owner)
        .unwrap();
    let mut world = World::new();
    for (why, records, status) in [
        ("complete", vec![m.clone(), n.clone(), w.clone()], Secure),
        ("without the closest encloser", vec![n.clone(), w.clone()], Bogus),
        ("without the next closer name", vec![m.clone(), w], Bogus),
        ("without the wildcard", vec![m, n], Bogus),
    ] {
        let answer = judge(&mut world, qname, T::A, Rcode::NXDOMAIN, &records);
        assert_eq!(answer.status, status, "{why}");
    }
}

#[test]
fn a_wildcard_answer_needs_its_next_closer_name_denied() {
    let (h, o) = (Hashed::new(1, false), Hashed::new(1, true));
    for (why, proof, status) in [
        ("denied", h.covering("q.w.zone.test."), Secure),
        ("denied by opt-out, RFC 5155 section 8.8", o.covering("q.w.zone.test."), Insecure),
        ("not denied", h.matching("a.zone.test."), Bogus),
    ] {
        let mut world = World::new();
        let rrset = a("q.w.zone.test.");
        let rrset = world.zone.sign_on(rrset, Terms::new("zone.test.").labels(3));
        let proof = world.zone.sign(proof, "zone.test.");
        let answer = world.judge("q.w.zone.test.", T::A, Rcode::NOERROR, vec![rrset], vec![proof]);
        // A record that covers by chance what it should not would make the case void.
        assert_eq!(answer.status, status, "{why}");
    }
}

#[test]
fn records_that_are_not_quite_right_prove_nothing() {
    let h = Hashed::new(1, false);
    let good = h.matching("a.zone.test.");
    let edit = |at: usize, octet: u8| {
        let mut rdata = good.rdata[0].as_bytes().to_vec();
        rdata[at] = octet;
        Rrset { rdata: vec![crate::wire::Rdata::from_bytes(rdata)], ..good.clone() }
    };
    let label = good.owner.labels().next().unwrap().to_vec();
    let label = String::from_utf8(label).unwrap();
    let moved = |owner: &str| Rrset { owner: name(owner), ..good.clone() };
    for (why, record, status) in [
        ("as it should be", good.clone(), Secure),
        ("upper case", moved(&format!("{}.zone.test.", label.to_ascii_uppercase())), Secure),
        ("unknown hash algorithm", edit(0, 2), Bogus),
        ("unknown flags", edit(1, 2), Bogus),
        ("opt-out flag is known", edit(1, 1), Secure),
        ("other salt", edit(5, 0xab), Bogus),
        ("owner two labels below the zone", moved(&format!("{label}.x.zone.test.")), Bogus),
        ("owner is no hash", moved("xyz.zone.test."), Bogus),
        ("owner is half a hash", moved(&format!("{}.zone.test.", &label[..16])), Bogus),
    ] {
        let mut world = World::new();
        let answer = judge(&mut world, "a.zone.test.", T::TXT, Rcode::NOERROR, &[record]);
        assert_eq!(answer.status, status, "{why}");
    }
}

#[test]
fn a_proof_is_by_records_with_the_same_parameters() {
    let (one, two) = (Hashed::new(1, false), Hashed::new(2, false));
    let proof = |h: &Hashed| {
        [h.matching("a.zone.test."), h.covering("q.a.zone.test."), h.covering("*.a.zone.test.")]
    };
    let ([m1, n1, w1], [m2, n2, w2]) = (proof(&one), proof(&two));
    for (why, records, status) in [
        ("one chain", vec![m1.clone(), n1.clone(), w1.clone()], Secure),
        ("mixed", vec![m1.clone(), n2.clone(), w2.clone()], Bogus),
        ("both chains, one of them incomplete", vec![m1, m2, n2, w2, n1], Secure),
    ] {
        let mut world = World::new();
        let answer = judge(&mut world, "q.a.zone.test.", T::A, Rcode::NXDOMAIN, &records);
        assert_eq!(answer.status, status, "{why}");
    }
}

#[test]
fn iterations_above_the_limit_are_insecure_and_never_computed_rfc_9276() {
    for (iterations, expected) in [
        (0, (Secure, None)),
        (150, (Secure, None)),
        (151, (Insecure, Some(27))),
        (2500, (Insecure, Some(27))),
    ] {
        let h = Hashed::new(iterations, false);
        let mut world = World::new();
        let records =
            [h.matching("zone.test."), h.covering("q.zone.test."), h.covering("*.zone.test.")];
        let records = records.map(|rrset| world.zone.sign(rrset, "zone.test."));
        let mut budget = Budget::new(Mono::ZERO, 48);
        let blocks = |budget: &mut Budget| {
            let mut left = 0;
            while budget.spend_nsec3_blocks(1).is_ok() {
                left += 1;
            }
            left
        };
        let full = blocks(&mut budget.clone());
        let empty = Answer::empty(question("q.zone.test.", T::A), Rcode::NXDOMAIN);
        let answer = Answer { authority: records.to_vec(), ..empty };
        let answer = world.validate_within(answer, &mut budget);
        assert_eq!(verdict(&answer), expected, "{iterations}");
        assert_eq!(answer.rcode, Rcode::NXDOMAIN);
        let spent = full - blocks(&mut budget);
        let expected = if iterations > 150 { 0 } else { 3 * (u32::from(iterations) + 1) };
        assert_eq!(spent, expected, "each name is hashed once");

        // It takes a signature to make a zone insecure: forged records do not.
        let forged = records.map(|rrset| Rrset { signatures: vec![], ..rrset });
        let answer = world.judge("q.zone.test.", T::A, Rcode::NXDOMAIN, vec![], forged.to_vec());
        assert_eq!(answer.status, Bogus);
    }
}

#[test]
fn insecure_delegations_by_nsec3_rfc_5155_section_8_9() {
    let (h, o) = (Hashed::new(1, false), Hashed::new(1, true));
    let many = Hashed::new(500, false);
    let apex = "zone.test.";
    #[rustfmt::skip]
    let cases = [
        ("matching", "cut.zone.test.", vec![h.matching("cut.zone.test.")], (Insecure, None)),
        ("matching, with DS", "ds.zone.test.", vec![h.matching("ds.zone.test.")], (Bogus, Some(6))),
        ("opt-out", "q.zone.test.", vec![o.matching(apex), o.covering("q.zone.test.")], (Insecure, None)),
        ("opt-out without closest encloser", "q.a.zone.test.", vec![o.covering("q.a.zone.test.")], (Bogus, Some(6))),
        ("no such name", "q.zone.test.", vec![h.matching(apex), h.covering("q.zone.test.")], (Bogus, Some(10))),
        ("no delegation", "a.zone.test.", vec![h.matching("a.zone.test.")], (Bogus, Some(10))),
        ("iterations", "q.zone.test.", vec![many.matching("a.zone.test.")], (Insecure, Some(27))),
    ];
    for (why, child, proofs, expected) in cases {
        let mut world = World::new();
        let sign = |rrset| world.zone.sign(rrset, "zone.test.");
        let proofs = proofs.into_iter().map(sign).collect();
        let below = sign(h.matching("a.zone.test."));
        world.no_ds(child, proofs);
        world.no_ds(&format!("www.{child}"), vec![below]);
        let owner = child;
        let answer = world.judge(owner, T::A, Rcode::NOERROR, vec![a(owner)], vec![]);
        assert_eq!(verdict(&answer), expected, "{why}");
    }
}

#[test]
fn deep_names_under_many_iterations_end_within_the_budget() {
    // The encloser is looked for from the top, so an honest deep name costs little (CVE-2023-50868).
    let h = Hashed::new(150, false);
    let deep = format!("{}q.zone.test.", "x.".repeat(100));
    let proofs = [h.matching("zone.test."), h.covering("q.zone.test."), h.covering("*.zone.test.")];
    let mut world = World::new();
    let answer = judge(&mut world, &deep, T::A, Rcode::NXDOMAIN, &proofs);
    assert_eq!(verdict(&answer), (Secure, None));
    // Without a match, every ancestor has to be tried, and that is too much.
    let answer = judge(&mut world, &deep, T::A, Rcode::NXDOMAIN, &[h.matching("a.zone.test.")]);
    assert_eq!(verdict(&answer), (Bogus, Some(6)));
}
