//! Whatever is stored, the memory of the cache stays within what unbound.conf allows, and goes on
//! to work.

use std::alloc::{GlobalAlloc, Layout, System};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};

use prebound::cache::{
    Answer, Cache, DelegationPoint, DelegationSource, KeyEntry, KeyState, Rank, Usage,
};
use prebound::clock::{Mono, Now, Rng, UnixTime};
use prebound::config::Config;
use prebound::status::{Reason, SecurityStatus};
use prebound::wire::{Name, Question, Rcode, Rdata, RecordType, Rrset};
use rand::SeedableRng;

/// Octets allocated at this moment by the whole test.
static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: forwards to `System` unchanged; the counter does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: same contract as ours.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: same contract as ours.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: same contract as ours.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MIB: usize = 1 << 20;
const HOSTS: usize = 2_000;
const NOW: Now = Now::new(Mono::ZERO, UnixTime(1_700_000_000));

fn name(text: &str) -> Name {
    text.parse().expect(text)
}

/// One RRset of about `octets`, in records of up to 1,000.
fn rrset(owner: &Name, octets: usize) -> Rrset {
    let records = (0..octets.div_ceil(1_000))
        .map(|i| Rdata::from_bytes([&i.to_be_bytes()[..], &vec![9; octets.min(1_000)]].concat()))
        .collect();
    Rrset::new(owner.clone(), RecordType(65_280), 3_600, records)
}

fn answer(owner: &Name, octets: usize) -> Answer {
    let question = Question::new(owner.clone(), RecordType(65_280));
    let mut answer = Answer::empty(question, Rcode::NOERROR);
    answer.status = SecurityStatus::Secure;
    answer.answer.push(rrset(owner, octets));
    answer
}

/// Fills every store with entries for the `i`th name.
fn attack(cache: &Cache, i: usize, octets: usize) {
    // Long names, as many as one likes.
    let owner = name(&format!("{i}.{}.{}.example.", "x".repeat(60), "y".repeat(60)));
    cache.store_answer(&answer(&owner, octets), NOW);
    let missing = Question::new(name(&format!("f{i}.example.")), RecordType::A);
    cache.store_answer(&Answer::failure(missing, Reason::NetworkError), NOW);
    cache.store_rrset(&rrset(&owner, octets), Rank::AnswerAa, SecurityStatus::Insecure, NOW);
    let ip = IpAddr::V4(Ipv4Addr::from(u32::try_from(i).expect("a small number")));
    let servers: Vec<_> = (0..1 + octets / 500).map(|n| name(&format!("ns{n}.example."))).collect();
    cache.store_delegation(
        &DelegationPoint {
            zone: owner.clone(),
            glue: servers.iter().map(|server| (server.clone(), ip)).collect(),
            servers,
            addresses: Vec::new(),
            expires: NOW.unix.plus(3_600),
            source: DelegationSource::Referral,
        },
        NOW,
    );
    cache.update_infra(SocketAddr::new(ip, 53), &owner, NOW, |server| server.lost(NOW));
    let dnskeys = rrset(&owner, octets).rdata;
    let state = KeyState::Secure { dnskeys };
    cache.store_keys(KeyEntry { zone: owner, state, expires: NOW.unix.plus(3_600) });
}

#[test]
fn growth_attacks_end_at_the_configured_sizes() {
    let config = Config {
        msg_cache_size: 4 * MIB,
        rrset_cache_size: 8 * MIB,
        key_cache_size: 2 * MIB,
        infra_cache_numhosts: HOSTS,
        ..Config::default()
    };
    for (case, octets, names) in
        [("many names", 4, 40_000), ("medium", 1_500, 8_000), ("large RRsets", 20_000, 1_500)]
    {
        let before = ALLOCATED.load(Ordering::Relaxed);
        let cache = Cache::new(&config, &mut Rng::seed_from_u64(1));
        for i in 0..names {
            attack(&cache, i, octets);
        }
        let usage = cache.usage();
        for (store, usage, bound) in [
            ("answers", usage.answers, 4 * MIB),
            ("RRsets", usage.rrsets, 6 * MIB),
            ("delegations", usage.delegations, 2 * MIB),
            ("keys", usage.keys, 2 * MIB),
            ("servers", usage.infra, HOSTS),
        ] {
            let Usage { entries, used, bound: stated } = usage;
            assert!(used <= stated && stated <= bound, "{case}, {store}: {usage:?}");
            assert!(used > bound / 2 || entries == names, "{case}, {store}: {usage:?} is used");
        }
        // Answers, RRsets and delegations lie in a mapping of a fixed size, next to which there are
        // only locks. Servers are counted in entries: address, zone and what is known take about
        // 600 octets.
        let allocated = ALLOCATED.load(Ordering::Relaxed) - before;
        let bound = 2 * MIB + HOSTS * 600 + MIB / 16;
        assert!(allocated <= bound, "{case}: {allocated} of {bound} octets");

        // It still works: what came last is there.
        let owner = name("www.example.");
        let stored = answer(&owner, 100);
        cache.store_answer(&stored, NOW);
        assert_eq!(cache.answer(&stored.question, NOW).map(|found| found.value), Some(stored));
        attack(&cache, names, octets);
        let last = name(&format!("{names}.{}.{}.example.", "x".repeat(60), "y".repeat(60)));
        assert!(cache.rrset(&last, RecordType(65_280), NOW).is_some(), "{case}");
        assert_eq!(cache.delegation(&last, NOW).map(|point| point.zone), Some(last.clone()));
        assert!(cache.keys(&last, NOW).is_some(), "{case}");
    }
}
