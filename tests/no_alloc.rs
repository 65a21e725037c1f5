//! The hit path allocates nothing. Not "little": nothing.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use arc_swap::ArcSwap;
use prebound::cache::{Answer, Cache, HotEdns, HotQuery};
use prebound::clock::{Mono, Now, Rng, UnixTime};
use prebound::config::Config;
use prebound::engine::zones::Keeper;
use prebound::frontend::{Ask, Outcome, Resolver, Shared, Source, Worker};
use prebound::metrics::Metrics;
use prebound::policy::{Cookies, Policy};
use prebound::status::{Reason, SecurityStatus};
use prebound::wire::{Builder, Class, Edns, Header, Question, Rcode, Rdata, RecordType, Rrset};
use rand::SeedableRng;

thread_local!(static ALLOCATIONS: Cell<u64> = const { Cell::new(0) });

struct Counting;

// SAFETY: forwards to `System` unchanged; the counter does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: same contract as ours.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: same contract as ours.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: same contract as ours.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const NOW: Now = Now::new(Mono::ZERO, UnixTime(1_700_000_000));

fn question(name: &str) -> Question {
    Question::new(name.parse().expect(name), RecordType::A)
}

fn rrset(owner: &str, rtype: RecordType, rdata: &[u8]) -> Rrset {
    let mut rrset =
        Rrset::new(owner.parse().expect(owner), rtype, 300, vec![Rdata::from_bytes(rdata)]);
    let signature = [&rtype.0.to_be_bytes()[..], &[0; 16], b"\x07example\x00", &[7; 64]].concat();
    rrset.signatures.push(Rdata::from_bytes(signature));
    rrset
}

/// Every kind of answer: positive, denial, bogus, failure.
fn warm() -> Cache {
    let config = Config { minimal_responses: false, ..Config::default() };
    let cache = Cache::new(&config, &mut Rng::seed_from_u64(1));
    let mut positive = Answer::empty(question("www.example."), Rcode::NOERROR);
    positive.status = SecurityStatus::Secure;
    positive.answer.push(rrset("www.example.", RecordType::A, &[192, 0, 2, 1]));
    positive.answer[0].rdata.push(Rdata::from_bytes([192, 0, 2, 2]));
    positive.additional.push(rrset("ns.example.", RecordType::AAAA, &[1; 16]));
    let mut denial = Answer::empty(question("nx.example."), Rcode::NXDOMAIN);
    denial.status = SecurityStatus::Secure;
    let soa = [b"\x00\x00".as_slice(), &[0, 0, 1, 0].repeat(5)].concat();
    denial.authority.push(rrset("example.", RecordType::SOA, &soa));
    let mut bogus = Answer { question: question("bogus.example."), ..positive.clone() };
    bogus.status = SecurityStatus::Bogus;
    bogus.reason = Some(Reason::SignatureExpired);
    let failure = Answer::failure(question("failed.example."), Reason::NetworkError);
    for answer in [positive, denial, bogus, failure] {
        cache.store_answer(&answer, NOW);
    }
    cache
}

#[test]
fn a_hit_does_not_allocate() {
    let cache = warm();
    let mut out = [0; 4_096];
    let flags = Header::default().with_rd(true).with_ad(true);
    let names = ["www.example.", "NX.example.", "bogus.example.", "failed.example."];
    let questions = names.map(question);
    // A thread makes itself known to the shared configuration once.
    assert!(cache.hit(&query(&questions[0], flags, None), NOW, &mut out).is_some());
    let before = ALLOCATIONS.get();

    for _ in 0..1_000 {
        for question in &questions {
            for edns in [None, Some(false), Some(true)] {
                for flags in [flags, flags.with_cd(true)] {
                    let hit = cache.hit(&query(question, flags, edns), NOW, &mut out);
                    assert!(hit.is_some_and(|hit| hit.len > Header::LEN));
                }
            }
        }
    }
    assert_eq!(ALLOCATIONS.get(), before);

    // And a miss allocates nothing either; the counter does count.
    let missing = question("missing.example.");
    let before = ALLOCATIONS.get();
    assert!(cache.hit(&query(&missing, flags, None), NOW, &mut out).is_none());
    assert_eq!(ALLOCATIONS.get(), before);
    assert!(cache.answer(&questions[0], NOW).is_some());
    assert!(ALLOCATIONS.get() > before, "decoding does allocate");
}

fn query(question: &Question, flags: Header, dnssec_ok: Option<bool>) -> HotQuery<'_> {
    HotQuery {
        id: 4_711,
        flags: flags.bits,
        name_wire: question.name.as_wire(),
        rtype: question.rtype,
        class: Class::IN,
        edns: dnssec_ok.map(|dnssec_ok| HotEdns { udp_size: 1_232, dnssec_ok }),
    }
}

/// Nobody is asked when the cache answers.
#[derive(Clone)]
struct Nobody;

impl Resolver for Nobody {
    fn resolve(&self, _: Ask) -> impl Future<Output = Rc<Answer>> + 'static {
        std::future::pending()
    }
}

#[test]
fn from_datagram_to_datagram_a_hit_does_not_allocate() {
    let config = Config { edns_tcp_keepalive: true, ..Config::default() };
    let shared = Arc::new(Shared {
        policy: ArcSwap::from_pointee(Policy::new(&config, "host")),
        cookies: ArcSwap::from_pointee(Cookies::new(
            &config.cookie_secrets,
            &mut Rng::seed_from_u64(1),
        )),
        cache: Arc::new(warm()),
        zones: Arc::default(),
        keeper: Keeper::default(),
        metrics: Arc::new(Metrics::new(1)),
        config: Arc::new(ArcSwap::from_pointee(config)),
    });
    let worker = Worker::new(shared, 0, Nobody);
    let queries =
        ["www.example.", "NX.example.", "bogus.example.", "failed.example."].map(|name| {
            let mut builder = Builder::new(Header::default().with_rd(true), 512);
            builder.question(&question(name));
            builder.finish(Some(&Edns::new(1232, true)))
        });
    let client = SocketAddr::from((Ipv4Addr::LOCALHOST, 4_711));
    let mut out = [0; 4_096];
    let mut ask = |query: &[u8], stream| match worker.handle(
        query,
        Source { client, stream, keepalive: false, local: None },
        NOW,
        &mut out,
    ) {
        Outcome::Answered(len) => len,
        _ => 0,
    };
    assert!(ask(&queries[0], false) > Header::LEN);
    let before = ALLOCATIONS.get();

    for _ in 0..1_000 {
        for query in &queries {
            for stream in [false, true] {
                assert!(ask(query, stream) > Header::LEN);
            }
        }
    }
    assert_eq!(ALLOCATIONS.get(), before);
}
