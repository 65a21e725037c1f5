//! A writer may be killed at any moment: whatever can be read from its cache afterwards is whole,
//! and the next writer goes on with it.
//!
//! This program is parent and child. The child takes over the cache that is its standard input and
//! changes it as fast as it can; the parent kills it, takes the cache over, reads everything, and
//! starts the next. `PREBOUND_KILLS` says how often.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says what it expects")]

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, process, thread};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use prebound::cache::{Answer, Cache, Rank, Unfit};
use prebound::clock::{Mono, Now, Rng, UnixTime};
use prebound::config::Config;
use prebound::status::SecurityStatus;
use prebound::wire::{Name, Question, Rcode, Rdata, RecordType, Rrset};
use rand::{RngExt, SeedableRng};

/// Set for the child, to a seed.
const CHILD: &str = "PREBOUND_TEST_CHILD";
const KILLS: &str = "PREBOUND_KILLS";
const NOW: Now = Now::new(Mono::ZERO, UnixTime(1_700_000_000));
/// Names that are written; about twice as many as there is room for.
const NAMES: u32 = 600;
const RTYPE: RecordType = RecordType(65_280);

fn main() {
    match env::var(CHILD).as_deref() {
        Ok("abort") => die(process::abort),
        Ok("wait") => die(|| {
            loop {
                thread::park()
            }
        }),
        Ok(seed) => write(seed.parse().unwrap()),
        Err(_) => {
            torture();
            faults();
        }
    }
}

/// Small, so that all the time something is recycled.
fn config() -> Config {
    Config { msg_cache_size: 128 << 10, rrset_cache_size: 160 << 10, ..Config::default() }
}

fn name(i: u32) -> Name {
    format!("n{i}.example.").parse().unwrap()
}

/// An RRset whose every octet follows from its first record.
fn rrset(i: u32, version: u32, records: u8, len: u8) -> Rrset {
    let head = [&i.to_be_bytes()[..], &version.to_be_bytes(), &[records, len]].concat();
    let rdata = (0..records)
        .map(|n| Rdata::from_bytes([&head[..], &vec![n ^ head[7]; len.into()], &[n]].concat()))
        .collect();
    Rrset::new(name(i), RTYPE, 3_600, rdata)
}

fn is_whole(i: u32, found: &Rrset) -> bool {
    let first = found.rdata.first().map(Rdata::as_bytes).unwrap();
    let version = u32::from_be_bytes(first[4..8].try_into().unwrap());
    found.rdata == rrset(i, version, first[8], first[9]).rdata
}

/// The child: never ends by itself.
fn write(seed: u64) {
    let rng = &mut Rng::seed_from_u64(seed);
    let file = std::io::stdin().as_fd().try_clone_to_owned().unwrap();
    let cache = Cache::take_over(file, &config(), NOW, rng).unwrap();
    println!("writing");
    for version in 0.. {
        let i = rng.random_range(0..NAMES);
        let rrset = rrset(i, version, rng.random_range(1..20), rng.random());
        let question = Question::new(name(i), RTYPE);
        match rng.random_range(0..16) {
            0 => cache.remove_answer(&question),
            1 => drop(cache.flush_name(&name(i))),
            // Who reads decides what is carried over.
            2..6 => drop(cache.answer(&question, NOW)),
            6..9 => drop(cache.rrset(&name(i), RTYPE, NOW)),
            9..12 => cache.store_rrset(&rrset, Rank::AnswerAa, SecurityStatus::Insecure, NOW),
            _ => {
                let mut answer = Answer::empty(question, Rcode::NOERROR);
                answer.status = SecurityStatus::Insecure;
                answer.answer.push(rrset);
                cache.store_answer(&answer, NOW);
            }
        }
    }
}

/// The parent.
fn torture() {
    let kills: u64 = env::var(KILLS).map_or(40, |kills| kills.parse().unwrap());
    let rng = &mut Rng::seed_from_u64(42);
    let first = Cache::in_file(&config(), rng).unwrap();
    let file: OwnedFd = first.descriptor().unwrap().try_clone_to_owned().unwrap();
    drop(first);
    let (mut read, mut dead_while_full) = (0, 0);
    for seed in 0..kills {
        kill_one(&file, seed, rng);
        let cache = Cache::take_over(file.try_clone().unwrap(), &config(), NOW, rng).unwrap();
        // It is not the cache that is under suspicion here.
        cache.proven();
        let before = read;
        for i in 0..NAMES {
            if let Some(found) = cache.rrset(&name(i), RTYPE, NOW) {
                assert!(is_whole(i, &found.rrset), "kill {seed}, RRset {i}: {found:?}");
                read += 1;
            }
            if let Some(found) = cache.answer(&Question::new(name(i), RTYPE), NOW) {
                let rrset = found.value.answer.first().unwrap();
                assert!(is_whole(i, rrset), "kill {seed}, answer {i}: {rrset:?}");
                read += 1;
            }
        }
        dead_while_full += u64::from(read - before > 50);
    }
    assert!(dead_while_full > kills / 2, "{dead_while_full} of {kills} had written enough");
    println!("region_kill: {kills} kills, {read} entries read, all whole");
}

/// The child: watches for memory faults, and ends in its own way.
fn die(how: fn() -> !) {
    let file = std::io::stdin().as_fd().try_clone_to_owned().unwrap();
    let cache = Cache::take_over(file, &config(), NOW, &mut Rng::seed_from_u64(1)).unwrap();
    cache.watch_faults().unwrap();
    println!("watching");
    how();
}

/// A memory fault is noted for the next process; the end is what it would have been.
fn faults() {
    #[rustfmt::skip]
    let cases = [
        ("the C library finds damage", "abort", None,                  Signal::SIGABRT, Some(Unfit::Fault(6))),
        ("the processor does",         "wait",  Some(Signal::SIGSEGV), Signal::SIGSEGV, Some(Unfit::Fault(11))),
        ("out of patience",            "wait",  Some(Signal::SIGABRT), Signal::SIGABRT, None),
        ("killed",                     "wait",  Some(Signal::SIGKILL), Signal::SIGKILL, None),
    ];
    let rng = &mut Rng::seed_from_u64(1);
    for (case, how, sent, died_of, expected) in cases {
        let first = Cache::in_file(&config(), rng).unwrap();
        let file: OwnedFd = first.descriptor().unwrap().try_clone_to_owned().unwrap();
        drop(first);
        let mut child = start(&file, how);
        if let Some(signal) = sent {
            kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
        }
        assert_eq!(child.wait().unwrap().signal(), Some(died_of as i32), "{case}");
        let next = Cache::take_over(file, &config(), NOW, rng);
        assert_eq!(next.err(), expected, "{case}");
    }
    println!("region_kill: memory faults are noted");
}

/// Starts a child that has the file, and waits until it has taken the cache over.
fn start(file: &OwnedFd, role: &str) -> Child {
    let mut child = Command::new(env::current_exe().unwrap())
        .env(CHILD, role)
        .stdin(Stdio::from(File::from(file.try_clone().unwrap())))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut begun = [0; 1];
    child.stdout.take().unwrap().read_exact(&mut begun).unwrap();
    child
}

/// Starts a child and kills it, some time after it has begun to write.
fn kill_one(file: &OwnedFd, seed: u64, rng: &mut Rng) {
    let mut child = start(file, &seed.to_string());
    // Not to wait for something: the moment of death is what is tried.
    thread::sleep(Duration::from_micros(rng.random_range(0..8_000)));
    child.kill().unwrap();
    child.wait().unwrap();
}
