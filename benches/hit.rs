//! One hit, from a query taken apart to the answer in the send buffer, without the system calls.
//!
//! Baseline and machine are recorded in `benches/README.md`. A change that moves this by more than
//! 2 % says so in its commit message.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use prebound::cache::{Answer, Cache, HotEdns, HotQuery};
use prebound::clock::{Mono, Now, Rng, UnixTime};
use prebound::config::Config;
use prebound::status::SecurityStatus;
use prebound::wire::{Class, Header, Name, Question, Rcode, Rdata, RecordType, Rrset};
use rand::SeedableRng;

const NAMES: usize = 100_000;
const NOW: Now = Now::new(Mono::ZERO, UnixTime(1_700_000_000));

fn name(i: usize) -> Name {
    format!("www.name{i}.example.com.").parse().expect("a name")
}

/// A cache that holds a signed answer of two addresses for each name.
fn cache() -> Cache {
    let config = Config { msg_cache_size: 128 << 20, ..Config::default() };
    let cache = Cache::new(&config, &mut Rng::seed_from_u64(1));
    for i in 0..NAMES {
        let rdata = [[192, 0, 2, 1], [192, 0, 2, 2]].map(Rdata::from_bytes).to_vec();
        let mut rrset = Rrset::new(name(i), RecordType::A, 300, rdata);
        let signature = [&[0, 1][..], &[0; 16], b"\x07example\x03com\x00", &[7; 64]].concat();
        rrset.signatures.push(Rdata::from_bytes(signature));
        let mut answer = Answer::empty(Question::new(name(i), RecordType::A), Rcode::NOERROR);
        answer.answer.push(rrset);
        answer.status = SecurityStatus::Secure;
        cache.store_answer(&answer, NOW);
    }
    cache
}

fn query(name: &Name, edns: Option<HotEdns>) -> HotQuery<'_> {
    let flags = Header::default().with_rd(true).with_ad(true).bits;
    let name_wire = name.as_wire();
    HotQuery { id: 4_711, flags, name_wire, rtype: RecordType::A, class: Class::IN, edns }
}

fn hit(c: &mut Criterion) {
    let cache = cache();
    let one = name(7);
    // A walk over all names, so that memory is not only that of the nearest cache.
    let many: Vec<_> = (0..NAMES).map(|i| name(i.wrapping_mul(7_919) % NAMES)).collect();
    let missing: Name = "missing.example.com.".parse().expect("a name");
    let edns = |dnssec_ok| Some(HotEdns { udp_size: 1_232, dnssec_ok });
    let mut out = [0; 4_096];

    let mut group = c.benchmark_group("hit");
    group.throughput(Throughput::Elements(1));
    for (case, edns) in [("plain", None), ("edns", edns(false)), ("do", edns(true))] {
        let query = query(&one, edns);
        group.bench_function(case, |b| {
            b.iter(|| cache.hit(black_box(&query), NOW, &mut out).expect("a hit"));
        });
    }
    let mut names = many.iter().cycle();
    group.bench_function("many_names", |b| {
        b.iter(|| {
            let query = query(names.next().expect("a cycle"), edns(false));
            cache.hit(black_box(&query), NOW, &mut out).expect("a hit")
        });
    });
    group.bench_function("miss", |b| {
        b.iter(|| cache.hit(black_box(&query(&missing, None)), NOW, &mut out));
    });
    group.finish();
}

criterion_group!(benches, hit);
criterion_main!(benches);
