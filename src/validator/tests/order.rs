//! The verdict is a function of the records, not of their order.

use proptest::prelude::*;

use super::super::testing::*;
use crate::cache::Answer;
use crate::wire::{Rcode, Rdata, RecordType as T, Rrset};

/// Answers with something to choose from: signatures good and bad, proofs needed and not.
fn scenarios(world: &World) -> Vec<Answer> {
    let sign = |rrset| world.zone.sign(rrset, "zone.test.");
    let old = Terms::new("zone.test.").dates(NOW - 2 * MONTH, NOW - MONTH);
    let tagless = Terms { tag: Some(7), ..Terms::new("zone.test.") };
    let two = rrset("www.zone.test.", T::A, &[&[1, 2, 3, 4], &[5, 6, 7, 8], &[9, 9, 9, 9]]);
    let several = sign(world.zone.sign_on(world.zone.sign_on(two, old), tagless));
    let mut flooded = several.clone();
    for flip in 1..6 {
        let mut wrong = flooded.signatures[2].as_bytes().to_vec();
        let at = wrong.len() - 3;
        wrong[at] ^= flip;
        flooded.signatures.push(Rdata::from_bytes(wrong));
    }
    let wild = world.zone.sign_on(a("q.w.zone.test."), Terms::new("zone.test.").labels(3));
    let proofs = || {
        let spec = [
            ("zone.test.", "a.zone.test."),
            ("a.zone.test.", "c.zone.test."),
            ("*.w.zone.test.", "z.zone.test."),
        ];
        spec.map(|(owner, next)| sign(nsec(owner, next, &[T::A, T::NSEC]))).to_vec()
    };
    let alias = sign(pointing("a.zone.test.", T::CNAME, "www.zone.test."));
    let soa = sign(soa("zone.test."));
    let padding = (0..12).map(|i| nsec(&format!("p{i}.zone.test."), "zone.test.", &[T::A]));
    let padded: Vec<_> = padding.map(sign).chain(proofs()).collect();
    let denial = [proofs(), vec![soa]].concat();
    let make = |qname: &str, rcode, answer: Vec<Rrset>, authority: Vec<Rrset>| Answer {
        answer,
        authority,
        ..Answer::empty(question(qname, T::A), rcode)
    };
    vec![
        make("www.zone.test.", Rcode::NOERROR, vec![several.clone()], vec![]),
        make("www.zone.test.", Rcode::NOERROR, vec![flooded], vec![]),
        make("a.zone.test.", Rcode::NOERROR, vec![alias, several.clone()], vec![]),
        make("q.w.zone.test.", Rcode::NOERROR, vec![wild], proofs()),
        make("b.zone.test.", Rcode::NXDOMAIN, vec![], denial),
        make("b.zone.test.", Rcode::NXDOMAIN, vec![], padded),
        make("q.plain.test.", Rcode::NOERROR, vec![], vec![several]),
    ]
}

/// The answer with everything in another order.
fn shuffled(mut answer: Answer, seed: &[usize]) -> Answer {
    fn shuffle<T>(items: &mut [T], seed: &[usize]) {
        for (i, with) in (0..items.len()).zip(seed.iter().cycle()) {
            items.swap(i, with % items.len());
        }
    }
    for section in [&mut answer.answer, &mut answer.authority] {
        for rrset in section.iter_mut() {
            shuffle(&mut rrset.rdata, seed);
            shuffle(&mut rrset.signatures, seed);
        }
        shuffle(section, seed);
    }
    answer
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_verdict_does_not_depend_on_the_order_of_records(seed in prop::collection::vec(any::<usize>(), 1..20)) {
        let mut world = World::new();
        for answer in scenarios(&world) {
            let plain = world.validate(answer.clone());
            world.forget();
            let other = world.validate(shuffled(answer, &seed));
            world.forget();
            prop_assert_eq!(verdict(&plain), verdict(&other), "{}", plain.question);
            prop_assert_eq!(plain.rcode, other.rcode);
            prop_assert_eq!(plain.answer.len(), other.answer.len());
            prop_assert_eq!(plain.authority.len(), other.authority.len());
        }
    }
}
