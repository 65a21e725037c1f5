//! Courses of rollovers: what is seen when, and what becomes of each key.

use super::*;
use crate::clock::Mono;
use crate::config::{AnchorFile, AnchorKind};
use crate::wire::{Class, Dnskey, Record, RecordType, Rrset};

const DAY: u64 = 86_400;
const BEGIN: u64 = 1_700_000_000;
const TTL: u32 = 172_800;

/// A world where the last octets of a signature name the keys that made it.
struct Seen;

impl Judge for Seen {
    fn is_trusted(&mut self, rrset: &Rrset, anchors: &[TrustAnchor]) -> bool {
        let by = signers(rrset);
        anchors.iter().any(|anchor| by.contains(anchor.rdata.as_bytes().last().unwrap()))
    }

    fn is_signed_by(&mut self, rrset: &Rrset, dnskey: &Rdata) -> bool {
        signers(rrset).contains(dnskey.as_bytes().last().unwrap())
    }

    fn is_supported(&self, algorithm: u8) -> bool {
        algorithm == 15
    }

    fn is_digest(&self, ds: &Rdata, _zone: &Name, dnskey: &Rdata) -> bool {
        ds.as_bytes().last() == dnskey.as_bytes().last()
    }
}

fn signers(rrset: &Rrset) -> Vec<u8> {
    rrset.signatures.iter().flat_map(|rdata| rdata.as_bytes()[19..].to_vec()).collect()
}

/// A key by its letter: capital with SEP, `!` revoked, `?` of an unknown algorithm.
fn key(text: &str) -> Rdata {
    let letter = text.as_bytes()[0];
    let sep = if letter.is_ascii_uppercase() { Dnskey::SEP } else { 0 };
    let revoke = if text.ends_with('!') { Dnskey::REVOKE } else { 0 };
    let flags = (Dnskey::ZONE | sep | revoke).to_be_bytes();
    let algorithm = if text.ends_with('?') { 200 } else { 15 };
    Rdata::from_bytes([&flags[..], &[3, algorithm, letter]].concat())
}

fn zone() -> Name {
    "example.".parse().unwrap()
}

/// The keys before `/`, signed by the letters behind it.
fn dnskeys(text: &str, now: u64) -> Rrset {
    let (keys, signers) = text.split_once('/').unwrap();
    let keys = keys.split_whitespace().map(key).collect();
    let mut rrset = Rrset::new(zone(), RecordType::DNSKEY, 60, keys);
    let time = |time: u64| u32::try_from(time).unwrap().to_be_bytes();
    let head = [
        &RecordType::DNSKEY.0.to_be_bytes()[..],
        &[15, 1],
        &TTL.to_be_bytes(),
        &time(now + 100 * DAY),
        &time(now),
        &[0, 0],
        &[0],
    ];
    rrset.signatures =
        vec![Rdata::from_bytes([&head.concat(), signers.trim().as_bytes()].concat())];
    rrset
}

fn record(rtype: RecordType, rdata: Rdata) -> Record {
    Record { owner: zone(), rtype, class: Class::IN, ttl: TTL, rdata }
}

struct Course {
    rollover: Rollover,
    config: Config,
    now: u64,
}

impl Course {
    /// Begins with keys, or with digests of those followed by `#`.
    fn new(begin: &str, config: Config) -> Self {
        let record = |text: &str| match text.strip_suffix('#') {
            Some(letter) => {
                let ds = [&[0, 0, 15, 2][..], letter.as_bytes()].concat();
                record(RecordType::DS, Rdata::from_bytes(ds))
            }
            None => record(RecordType::DNSKEY, key(text)),
        };
        let records = begin.split_whitespace().map(|text| (record(text), String::new())).collect();
        let file = AnchorFile { path: "example.key".into(), header: Vec::new(), records };
        let config =
            Config { anchor_files: vec![file], followed: Followed::new(Vec::new()), ..config };
        let rollover = Rollover::new(&config, Rng::seed_from_u64(1));
        Self { rollover, config, now: BEGIN }
    }

    fn at(&self) -> Now {
        Now::new(Mono::ZERO, UnixTime(self.now))
    }

    /// After `days` the zone says that; `-` for no answer.
    fn day(&mut self, days: i64, says: &str) {
        self.now = self.now.checked_add_signed(days * 86_400).unwrap();
        let rrset = (says != "-").then(|| dnskeys(says, self.now));
        self.rollover.observe(&zone(), rrset.as_ref(), &mut Seen, self.at());
    }

    /// Letters and states of the keys, newest first: a waited for, v valid, m missing, r revoked.
    fn states(&self) -> String {
        let inner = self.rollover.lock();
        let state = |key: &point::Key| {
            let letter = char::from(*key.rdata.as_bytes().last().unwrap());
            let state = ["?", "a", "v", "m", "r"][key.state as usize];
            let digest = if key.kind == AnchorKind::Ds { "#" } else { "" };
            format!("{letter}{digest}{state}")
        };
        let keys: Vec<_> = inner.files[0].point.keys.iter().map(state).collect();
        keys.join(" ")
    }

    fn point(&self) -> Point {
        self.rollover.lock().files[0].point.clone()
    }
}

#[test]
fn keys_go_through_their_states() {
    // How it begins; what the zone says after so many days, and the states then.
    type Steps = &'static [(i64, &'static str, &'static str)];
    let cases: &[(&str, &str, Steps)] = &[
        (
            "a whole rollover",
            "A z",
            &[
                (0, "A z / Az", "Av"),
                (30, "A B z / A", "Ba Av"),
                (10, "A B z / A", "Ba Av"),
                (20, "A B z / A", "Ba Av"),
                (1, "A B z / A", "Bv Av"),
                (1, "A! B z / AB", "Bv Ar"),
                (30, "B z / B", "Bv Ar"),
                (1, "B z / B", "Bv"),
            ],
        ),
        ("digests stand for keys until these are seen", "A#", &[(0, "A C z / A", "Ca Av")]),
        ("a digest of no key with SEP stays", "z#", &[(0, "A z / z", "Aa z#v")]),
        ("other keys vouch for those with SEP", "z", &[(0, "A z / z", "Av")]),
        (
            "a new key does not vouch for itself",
            "A",
            &[
                (0, "A / A", "Av"),
                (1, "A B / A", "Ba Av"),
                (10, "A B / B", "Ba Av"),
                (30, "A B C / B", "Ba Av"),
            ],
        ),
        (
            "time alone makes a key valid",
            "A",
            &[
                (0, "A / A", "Av"),
                (1, "A B / A", "Ba Av"),
                (1, "A B / A", "Ba Av"),
                (31, "B / B", "Bv Am"),
            ],
        ),
        (
            "one sighting is not enough",
            "A",
            &[
                (0, "A / A", "Av"),
                (1, "A B / A", "Ba Av"),
                (31, "B / B", "Ba Av"),
                (1, "A B / A", "Bv Av"),
            ],
        ),
        (
            "without an answer the time goes on",
            "A",
            &[
                (0, "A / A", "Av"),
                (1, "A B / A", "Ba Av"),
                (1, "A B / A", "Ba Av"),
                (31, "-", "Bv Av"),
            ],
        ),
        (
            "a clock that goes backwards makes nothing valid",
            "A",
            &[
                (100, "A / A", "Av"),
                (1, "A B / A", "Ba Av"),
                (1, "A B / A", "Ba Av"),
                (-90, "A B / A", "Ba Av"),
            ],
        ),
        (
            "a new key that goes begins anew",
            "A",
            &[
                (0, "A / A", "Av"),
                (1, "A B / A", "Ba Av"),
                (20, "A / A", "Av"),
                (20, "A B / A", "Ba Av"),
                (20, "A B / A", "Ba Av"),
            ],
        ),
        (
            "a missing key returns, and may sign meanwhile",
            "A",
            &[(0, "A z / A", "Av"), (1, "z / A", "Am"), (400, "z / A", "Am"), (1, "A z / A", "Av")],
        ),
        (
            "a missing key is forgotten when another is valid",
            "A B",
            &[
                (0, "A B / A", "Bv Av"),
                (1, "B / B", "Bv Am"),
                (366, "B / B", "Bv Am"),
                (1, "B / B", "Bv"),
            ],
        ),
        (
            "a missing key that is revoked",
            "A B",
            &[(0, "A B / A", "Bv Av"), (1, "B / B", "Bv Am"), (1, "A! B / AB", "Bv Ar")],
        ),
        (
            "what revokes itself is believed, whoever else has signed",
            "A B",
            &[(0, "A B / A", "Bv Av"), (1, "A! B / A", "Bv Ar")],
        ),
        (
            "only the key itself revokes it",
            "A B",
            &[(0, "A B / A", "Bv Av"), (1, "A! B / B", "Bv Av")],
        ),
        (
            "once revoked, for ever",
            "A B",
            &[
                (0, "A B / A", "Bv Av"),
                (1, "A! B / AB", "Bv Ar"),
                (20, "A B / AB", "Bv Ar"),
                (20, "A B C / A", "Bv Ar"),
                (31, "B / B", "Bv"),
            ],
        ),
        (
            "a new key that is revoked was never there",
            "A",
            &[(0, "A / A", "Av"), (1, "A B / A", "Ba Av"), (1, "A B! / AB", "Av")],
        ),
        (
            "algorithms that nobody knows",
            "A",
            &[(0, "A B? / A", "Av"), (40, "A B? / A", "Av"), (1, "A! B? / A", "Ar")],
        ),
    ];
    for (why, begin, steps) in cases {
        let mut course = Course::new(begin, Config::default());
        for (number, (days, says, states)) in steps.iter().enumerate() {
            course.day(*days, says);
            assert_eq!(course.states(), *states, "{why}, step {number}");
        }
    }
}

#[test]
fn when_all_keys_are_revoked_nothing_is_anchored() {
    let mut course = Course::new("A B", Config::default());
    course.day(0, "A B / A");
    assert_eq!(course.config.anchors().len(), 2);
    course.day(1, "A! B! / AB");
    assert!(course.config.anchors().is_empty());
    assert_eq!(course.rollover.next_probe(), None);
    assert!(!course.rollover.follows(&zone()));
    let written = course.rollover.unsaved();
    assert!(written[0].content.contains("\n;;REVOKED\n"), "{}", written[0].content);
    // Nothing brings it back but the operator.
    course.day(1, "A B / A");
    assert!(course.config.anchors().is_empty());
}

#[test]
fn the_times_of_section_2_3() {
    let small = Config { permit_small_holddown: true, ..Config::default() };
    // TTL and seconds until a signature expires; the interval, and that after a failure.
    for (config, ttl, left, interval, retry) in [
        (Config::default(), 172_800, 100 * DAY, 86_400, 17_280),
        (Config::default(), 10_800, 30 * DAY, 5400, 3600),
        (Config::default(), 60, 30 * DAY, 3600, 3600),
        (Config::default(), 8_640_000, 300 * DAY, 1_296_000, 86_400),
        (Config::default(), 172_800, DAY, 43_200, 8640),
        (small, 60, DAY, 30, 6),
    ] {
        let mut course = Course::new("A", config);
        let mut rrset = dnskeys("A / A", course.now);
        let mut signature = rrset.signatures[0].as_bytes().to_vec();
        signature[4..8].copy_from_slice(&u32::to_be_bytes(ttl));
        let expires = u32::try_from(course.now + left).unwrap();
        signature[8..12].copy_from_slice(&expires.to_be_bytes());
        rrset.signatures = vec![Rdata::from_bytes(signature)];
        course.rollover.observe(&zone(), Some(&rrset), &mut Seen, course.at());
        let point = course.point();
        assert_eq!((point.query_interval, point.retry_time), (interval, retry), "{ttl} {left}");
        let wait = course.at().unix.until(point.next_probe);
        assert!((interval - interval / 10..=interval).contains(&wait), "{wait} of {interval}");
        // What has begun and comes to nothing is tried again sooner.
        course.now = point.next_probe.0;
        assert_eq!(course.rollover.due(course.at()), [zone()]);
        let wait = course.at().unix.until(course.rollover.next_probe().unwrap());
        assert!((retry - retry / 10..=retry).contains(&wait), "{wait} of {retry}");
        assert!(course.rollover.due(course.at()).is_empty());
    }
}

#[test]
fn failures_are_counted_once_something_was_proven() {
    let mut course = Course::new("A", Config::default());
    course.day(0, "A / B");
    course.day(0, "-");
    assert!(course.rollover.unsaved().is_empty(), "the file stays as the operator wrote it");
    course.day(1, "A / A");
    assert_eq!(course.rollover.unsaved().len(), 1);
    course.day(1, "-");
    assert!(course.rollover.unsaved().is_empty(), "nothing new");
    course.day(1, "A / B");
    course.day(0, "A / B");
    assert_eq!(course.point().failed, 2);
    assert!(course.rollover.unsaved()[0].content.contains(";;query_failed: 2\n"));
    course.day(1, "A / A");
    assert_eq!(course.point().failed, 0);
}

#[test]
fn a_reload_takes_the_file_unless_it_is_behind() {
    let mut course = Course::new("A", Config::default());
    course.day(0, "A / A");
    course.day(1, "A B / A");
    let unsaved = course.rollover.unsaved();
    course.rollover.not_saved(&unsaved[0]);
    course.rollover.reconfigure(&course.config);
    assert_eq!(course.states(), "Ba Av", "what could not be saved is not lost");
    course.rollover.unsaved();
    course.rollover.reconfigure(&course.config);
    assert_eq!(course.states(), "Av", "the file as the configuration has it");
}
