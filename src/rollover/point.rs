//! The state machine of one trust point: which keys are waited for, trusted, missed, revoked.
//!
//! ```text
//!            seen                  seen for long enough            gone
//!  (nothing) ────► AddPend ──────────────────────────────► Valid ◄──────► Missing
//!      ▲              │ gone, revoked                        │   seen        │
//!      └──────────────┘                                      └──► Revoked ◄──┘ revoked
//!                                                                    │ for long enough
//!                                                                    ▼
//!                                                                (nothing)
//! ```

use rand::RngExt;

use super::Judge;
use crate::clock::{Rng, UnixTime};
use crate::config::{AnchorKind, Config, TrustAnchor};
use crate::wire::{Dnskey, Name, Rdata, RecordType, Rrset, Rrsig};

/// A key has to be seen that often, however long it was waited for: a clock that jumps must not
/// make one sighting enough.
const SIGHTINGS: u32 = 2;
/// Keys of one point that are remembered; more are not taken up.
const KEYS: usize = 64;
/// Seconds between probes of a point that nothing is known of, and least of any (RFC 5011 §2.3).
pub(super) const HOUR: u32 = 3600;
const DAY: u32 = 24 * HOUR;

/// Where a key stands (RFC 5011 §4.2), by the number it has in the file. Start and Removed are not
/// being there at all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    /// New: seen, and waited for.
    AddPend = 1,
    /// Trusted.
    Valid = 2,
    /// Trusted, and no longer there.
    Missing = 3,
    /// Never to be trusted again.
    Revoked = 4,
}

/// One key, or the digest of one that the file began with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Key {
    pub(super) kind: AnchorKind,
    pub(super) rdata: Rdata,
    pub(super) ttl: u32,
    pub(super) state: State,
    /// How often it was seen while it was waited for.
    pub(super) count: u32,
    /// When its state began; 0 when it was written by the operator and not seen yet.
    pub(super) since: UnixTime,
}

impl Key {
    fn dnskey(&self) -> Option<Dnskey<'_>> {
        (self.kind == AnchorKind::Dnskey).then(|| Dnskey::parse(&self.rdata))?
    }

    fn is_entry_point(&self) -> bool {
        self.dnskey().is_some_and(|key| key.flags & Dnskey::SEP != 0)
    }

    fn is_trusted(&self) -> bool {
        matches!(self.state, State::Valid | State::Missing)
    }

    /// Whether it is that key, revoked or not: revoking changes the tag, not the key.
    fn is(&self, other: &Dnskey<'_>) -> bool {
        self.dnskey().is_some_and(|key| {
            key.flags | Dnskey::REVOKE == other.flags | Dnskey::REVOKE
                && (key.protocol, key.algorithm, key.public_key)
                    == (other.protocol, other.algorithm, other.public_key)
        })
    }

    fn becomes(&mut self, state: State, now: UnixTime) {
        (self.state, self.since) = (state, now);
    }

    /// Whether its state has lasted longer than `seconds`; never when the clock went backwards.
    fn lasts(&self, seconds: u32, now: UnixTime) -> bool {
        self.since.until(now) > seconds
    }

    /// From AddPend to Valid, when its time has come (RFC 5011 §2.4.1).
    fn add_time(&mut self, terms: &Terms, now: UnixTime) {
        let seen = self.count >= SIGHTINGS;
        if self.state == State::AddPend && seen && self.lasts(terms.add_holddown, now) {
            self.becomes(State::Valid, now);
            self.count = 0;
        }
    }
}

/// How long things take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    add_holddown: u32,
    del_holddown: u32,
    keep_missing: u32,
    permit_small: bool,
}

impl Terms {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            add_holddown: config.add_holddown,
            del_holddown: config.del_holddown,
            keep_missing: config.keep_missing,
            permit_small: config.permit_small_holddown,
        }
    }

    /// Not less than an hour, unless that is allowed.
    fn at_least(&self, seconds: u32) -> u32 {
        seconds.max(if self.permit_small { 1 } else { HOUR })
    }
}

/// One zone whose keys are followed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Point {
    /// In lower case.
    pub(super) zone: Name,
    /// The newest first.
    pub(super) keys: Vec<Key>,
    /// All keys were revoked: there is no anchor, and nothing to follow any more.
    pub(super) gone: bool,
    /// When the keys were asked for last, 0 for never; so for the other times.
    pub(super) last_queried: UnixTime,
    pub(super) last_success: UnixTime,
    pub(super) next_probe: UnixTime,
    /// Probes that did not verify, since the last that did.
    pub(super) failed: u32,
    /// Seconds from one probe to the next, after one that verified and one that did not.
    pub(super) query_interval: u32,
    pub(super) retry_time: u32,
}

impl Point {
    /// A zone that nothing is known of.
    pub(super) fn new(zone: Name) -> Self {
        Self {
            zone,
            keys: Vec::new(),
            gone: false,
            last_queried: UnixTime(0),
            last_success: UnixTime(0),
            next_probe: UnixTime(0),
            failed: 0,
            query_interval: HOUR,
            retry_time: HOUR,
        }
    }

    /// What is trusted.
    pub(super) fn anchors(&self) -> Vec<TrustAnchor> {
        let trusted = self.keys.iter().filter(|key| !self.gone && key.is_trusted());
        let anchor = |key: &Key| TrustAnchor {
            owner: self.zone.clone(),
            kind: key.kind,
            rdata: key.rdata.clone(),
        };
        trusted.map(anchor).collect()
    }

    /// Takes what was answered to the question for the keys of the zone, `None` when nothing was;
    /// whether the file has something new.
    pub(super) fn observe(
        &mut self,
        rrset: Option<&Rrset>,
        judge: &mut dyn Judge,
        terms: &Terms,
        now: UnixTime,
        rng: &mut Rng,
    ) -> bool {
        let before = std::mem::replace(&mut self.last_queried, now);
        for key in &mut self.keys {
            key.add_time(terms, now);
        }
        // Without an answer there is nothing to write: what the file began with may be digests.
        let Some(rrset) = rrset else { return false };
        if self.revoke(rrset, judge, now) && self.anchors().is_empty() {
            self.last_success = now;
            self.failed = 0;
            self.next_probe = UnixTime(0);
            self.gone = true;
            return true;
        }
        if !judge.is_trusted(rrset, &self.anchors()) {
            let known = self.last_success != UnixTime(0);
            self.failed = self.failed.saturating_add(known.into());
            return known;
        }
        self.failed = 0;
        let sighting = now > self.last_success || before == UnixTime(0);
        self.last_success = now;
        self.take_intervals(rrset, terms, now);
        self.next_probe = after(self.query_interval, terms, now, rng);
        self.take_keys(rrset, judge, terms, sighting, now);
        self.clean(terms, now);
        true
    }

    /// When the next probe is due, should the one that begins now come to nothing.
    pub(super) fn retry(&mut self, terms: &Terms, now: UnixTime, rng: &mut Rng) {
        self.next_probe = after(self.retry_time, terms, now, rng);
    }

    /// Keys that revoke themselves are revoked at once, whoever else vouches for the RRset
    /// (RFC 5011 §2.1); whether there were any.
    fn revoke(&mut self, rrset: &Rrset, judge: &mut dyn Judge, now: UnixTime) -> bool {
        let mut any = false;
        for rdata in &rrset.rdata {
            let revoked = Dnskey::parse(rdata).filter(|key| {
                key.flags & (Dnskey::SEP | Dnskey::REVOKE) == Dnskey::SEP | Dnskey::REVOKE
            });
            let Some(revoked) = revoked else { continue };
            let Some(at) = self.keys.iter().position(|key| key.is(&revoked)) else { continue };
            let Some(key) = self.keys.get_mut(at).filter(|key| key.state != State::Revoked) else {
                continue;
            };
            if !judge.is_signed_by(rrset, rdata) {
                continue;
            }
            any = true;
            if key.state == State::AddPend {
                self.keys.remove(at);
            } else {
                key.rdata = rdata.clone();
                key.becomes(State::Revoked, now);
            }
        }
        any
    }

    /// RFC 5011 §2.3: half and a tenth of the TTL or of what is left of the signatures, within
    /// bounds.
    fn take_intervals(&mut self, rrset: &Rrset, terms: &Terms, now: UnixTime) {
        let signatures = || {
            let signatures = rrset.signatures.iter().filter_map(Rrsig::parse);
            signatures.filter(|rrsig| rrsig.type_covered == RecordType::DNSKEY)
        };
        let left = |rrsig: &Rrsig<'_>| rrsig.expiration.wrapping_sub(now.serial());
        let left =
            signatures().map(|rrsig| left(&rrsig)).filter(|left| (1..1 << 31).contains(left));
        let left = left.min().unwrap_or(u32::MAX);
        let ttl = signatures().map(|rrsig| rrsig.original_ttl).min().unwrap_or(rrset.ttl);
        self.query_interval = terms.at_least((15 * DAY).min(ttl / 2).min(left / 2));
        self.retry_time = terms.at_least(DAY.min(ttl / 10).min(left / 10));
    }

    /// The table of RFC 5011 §4.1, for the keys of an RRset that verified.
    fn take_keys(
        &mut self,
        rrset: &Rrset,
        judge: &dyn Judge,
        terms: &Terms,
        sighting: bool,
        now: UnixTime,
    ) {
        let ttl = rrset.signatures.iter().filter_map(Rrsig::parse).map(|rrsig| rrsig.original_ttl);
        let ttl = ttl.min().unwrap_or(rrset.ttl);
        let entry_point =
            |key: &Dnskey<'_>| key.flags & Dnskey::SEP != 0 && judge.is_supported(key.algorithm);
        let mut present = vec![false; self.keys.len()];
        for rdata in &rrset.rdata {
            let Some(key) = Dnskey::parse(rdata).filter(&entry_point) else { continue };
            match self.keys.iter().position(|known| known.is(&key)) {
                Some(at) => present.get_mut(at).into_iter().for_each(|seen| *seen = true),
                None if key.flags & Dnskey::REVOKE != 0 || self.keys.len() >= KEYS => {}
                None => {
                    let vouched = self.is_vouched(rdata, judge);
                    let (state, count) =
                        if vouched { (State::Valid, 0) } else { (State::AddPend, 1) };
                    let kind = AnchorKind::Dnskey;
                    let rdata = rdata.clone();
                    self.keys.insert(0, Key { kind, rdata, ttl, state, count, since: now });
                    present.insert(0, true);
                }
            }
        }
        let mut present = present.into_iter();
        self.keys.retain_mut(|key| {
            let present = present.next().unwrap_or(false);
            !key.is_entry_point() || turn(key, present, sighting, terms, now)
        });
    }

    /// Whether a digest that the file began with is that of the key.
    fn is_vouched(&self, dnskey: &Rdata, judge: &dyn Judge) -> bool {
        let digests = self.keys.iter().filter(|key| key.kind == AnchorKind::Ds);
        digests.into_iter().any(|ds| judge.is_digest(&ds.rdata, &self.zone, dnskey))
    }

    /// Forgets what has been missing for long, and what the file began with and the zone's own
    /// keys stand for now, as long as something stays that is trusted.
    fn clean(&mut self, terms: &Terms, now: UnixTime) {
        let valid = |key: &Key| key.is_entry_point() && key.state == State::Valid;
        if !self.keys.iter().any(valid) {
            self.begin_from_other_keys(now);
        }
        if !self.keys.iter().any(valid) {
            return;
        }
        self.keys.retain(|key| {
            let old = terms.keep_missing != 0 && key.lasts(terms.keep_missing, now);
            key.is_entry_point() && !(key.state == State::Missing && old)
        });
    }

    /// A file that began with keys without the SEP flag only: these have just vouched for those
    /// that have it, which the following is about.
    fn begin_from_other_keys(&mut self, now: UnixTime) {
        let other = |key: &Key| key.dnskey().is_some() && !key.is_entry_point();
        if self.keys.iter().any(|key| other(key) && key.is_trusted()) {
            for key in self.keys.iter_mut().filter(|key| key.state == State::AddPend) {
                key.becomes(State::Valid, now);
                key.count = 0;
            }
        }
    }
}

/// One key's turn; whether it stays.
fn turn(key: &mut Key, present: bool, sighting: bool, terms: &Terms, now: UnixTime) -> bool {
    match (key.state, present) {
        (State::AddPend, false) => return false,
        (State::AddPend, true) => {
            if sighting && key.since < now {
                key.count = key.count.saturating_add(1);
            }
            key.add_time(terms, now);
        }
        (State::Valid, false) => key.becomes(State::Missing, now),
        // Written by the operator, and seen for the first time.
        (State::Valid, true) if key.since == UnixTime(0) => key.since = now,
        (State::Missing, true) => key.becomes(State::Valid, now),
        // Whether it says so or not: who uses it again has not understood.
        (State::Revoked, true) => key.since = now,
        (State::Revoked, false) => return !key.lasts(terms.del_holddown, now),
        (State::Valid, true) | (State::Missing, false) => {}
    }
    true
}

/// Nine to ten tenths of `seconds` from now, at random, so that not everybody asks at once.
fn after(seconds: u32, terms: &Terms, now: UnixTime, rng: &mut Rng) -> UnixTime {
    let seconds = terms.at_least(seconds);
    let spread = seconds / 10;
    now.plus(seconds - spread + rng.random_range(0..spread.max(1)))
}
