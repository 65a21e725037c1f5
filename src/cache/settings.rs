//! The options the cache goes by, and how long things live.

use super::RttLimits;
use super::answer::Answer;
use crate::clock::UnixTime;
use crate::config::{Config, Ede, ValDate};
use crate::status::SecurityStatus;
use crate::wire::{Rcode, RecordType, Rrset, Rrsig, Section, Soa};

/// Seconds a failure is remembered first (RFC 9520 §3.2: one second at least).
const FIRST_FAILURE: u32 = 5;
/// Seconds a failure is remembered at most (RFC 9520 §3.2 allows five minutes).
const LONGEST_FAILURE: u32 = 60;
/// Seconds a denial without SOA lives. RFC 2308 §5 would not keep it at all; that invites floods.
const DENIAL_WITHOUT_SOA: u32 = 5;

/// The options the cache goes by; replaced whole on reload.
pub(super) struct Settings {
    pub(super) max_ttl: u32,
    pub(super) min_ttl: u32,
    max_negative_ttl: u32,
    min_negative_ttl: u32,
    bogus_ttl: u32,
    pub(super) validates: bool,
    pub(super) synthesizes: bool,
    pub(super) ignore_cd: bool,
    pub(super) permissive: bool,
    pub(super) ede: Ede,
    pub(super) minimal_responses: bool,
    pub(super) roundrobin: bool,
    pub(super) prefetch: bool,
    pub(super) original_ttl: bool,
    pub(super) serve_expired: bool,
    pub(super) stale_reply_ttl: u32,
    stale_ttl: u32,
    pub(super) stale_ttl_reset: bool,
    val_date: ValDate,
    pub(super) edns_size: u16,
    pub(super) host_ttl: u32,
    pub(super) rtt: RttLimits,
}

impl Settings {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            max_ttl: config.cache_max_ttl,
            min_ttl: config.cache_min_ttl,
            max_negative_ttl: config.cache_max_negative_ttl,
            min_negative_ttl: config.cache_min_negative_ttl,
            bogus_ttl: config.val_bogus_ttl,
            validates: config.validates(),
            synthesizes: config.synthesizes(),
            ignore_cd: config.ignore_cd_flag,
            permissive: config.val_permissive_mode,
            ede: config.ede,
            minimal_responses: config.minimal_responses,
            roundrobin: config.rrset_roundrobin,
            prefetch: config.prefetch,
            original_ttl: config.serve_original_ttl,
            serve_expired: config.serve_expired,
            stale_reply_ttl: config.serve_expired_reply_ttl,
            stale_ttl: config.serve_expired_ttl,
            stale_ttl_reset: config.serve_expired_ttl_reset,
            val_date: config.val_override_date,
            edns_size: config.edns_buffer_size,
            host_ttl: config.infra_host_ttl,
            rtt: RttLimits {
                unknown: config.unknown_server_time_limit,
                min: config.infra_cache_min_rtt,
                max: config.infra_cache_max_rtt,
            },
        }
    }

    /// Seconds an expired answer may still be used (RFC 8767).
    pub(super) fn stale_for(&self) -> u32 {
        match (self.serve_expired, self.stale_ttl) {
            (false, _) => 0,
            (true, 0) => u32::MAX,
            (true, ttl) => ttl,
        }
    }

    /// Until when the signatures of a secure answer stay valid, which is longer than its TTLs in
    /// most cases. Of several signatures of an RRset the one that expires first counts.
    pub(super) fn signed_until(&self, answer: &Answer, now: UnixTime) -> UnixTime {
        let date = match self.val_date {
            ValDate::Real => now.serial(),
            ValDate::At(date) => date,
            ValDate::Ignored => return UnixTime(u64::MAX),
        };
        let signatures = answer.rrsets().flat_map(|rrset| &rrset.signatures);
        let left = signatures.filter_map(Rrsig::parse).map(|signature| {
            // RFC 4034 §3.1.5: serial arithmetic; the upper half is the past.
            let left = signature.expiration.wrapping_sub(date);
            if left > u32::MAX / 2 { 0 } else { left }
        });
        now.plus(left.min().unwrap_or(0))
    }

    /// TTL of an RRset: the floor first, so that the cap wins.
    pub(super) fn ttl(&self, ttl: u32) -> u32 {
        ttl.max(self.min_ttl).min(self.max_ttl)
    }

    /// TTL of an RRset as part of an answer. The SOA of a denial lives as long as the denial.
    pub(super) fn ttl_in(&self, answer: &Answer, section: Section, rrset: &Rrset) -> u32 {
        let ttl = match section {
            Section::Authority if rrset.rtype == RecordType::SOA && denies(answer) => {
                self.denial(rrset)
            }
            _ => self.ttl(rrset.ttl),
        };
        if answer.status == SecurityStatus::Bogus { ttl.min(self.bogus_ttl) } else { ttl }
    }

    /// TTL of an RRset as clients are shown it at first: as it came with `serve-original-ttl`.
    pub(super) fn ttl_shown(&self, answer: &Answer, section: Section, rrset: &Rrset) -> u32 {
        if self.original_ttl { rrset.ttl } else { self.ttl_in(answer, section, rrset) }
    }

    /// TTL of a denial with that SOA: the smaller of its TTL and its MINIMUM (RFC 2308 §5).
    fn denial(&self, soa: &Rrset) -> u32 {
        let minimum = soa.rdata.first().and_then(Soa::parse).map_or(0, |soa| soa.minimum);
        soa.ttl
            .min(minimum)
            .max(self.min_negative_ttl)
            .max(self.min_ttl)
            .min(self.max_negative_ttl)
            .min(self.max_ttl)
    }

    /// Seconds an answer may be used; 0: only for the query it was fetched for. `failures` is how
    /// many failures in a row this would be.
    pub(super) fn lifetime(&self, answer: &Answer, failures: u8) -> u32 {
        if answer.is_failure() {
            let doublings = failures.saturating_sub(1).min(16);
            return (FIRST_FAILURE << doublings).min(LONGEST_FAILURE);
        }
        if answer.status == SecurityStatus::Bogus {
            return self.bogus_ttl;
        }
        let has_soa = answer.authority.iter().any(|rrset| rrset.rtype == RecordType::SOA);
        let cap = if denies(answer) && !has_soa { DENIAL_WITHOUT_SOA } else { self.max_ttl };
        let sections = [
            (Section::Answer, &answer.answer),
            (Section::Authority, &answer.authority),
            (Section::Additional, &answer.additional),
        ];
        sections
            .into_iter()
            .flat_map(|(section, rrsets)| rrsets.iter().map(move |rrset| (section, rrset)))
            .map(|(section, rrset)| self.ttl_in(answer, section, rrset))
            .fold(cap, u32::min)
    }
}

/// Whether the answer says that something does not exist, possibly at the end of aliases.
pub(super) fn denies(answer: &Answer) -> bool {
    answer.rcode == Rcode::NXDOMAIN
        || answer.is_negative()
        || answer.question.rtype != RecordType::ANY && answer.rrset().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::testing::{a, cname, question, soa};
    use crate::status::Reason;

    fn settings(change: impl FnOnce(&mut Config)) -> Settings {
        let mut config = Config::default();
        change(&mut config);
        Settings::new(&config)
    }

    #[test]
    fn an_answer_lives_as_long_as_its_shortest_record() {
        let plain = settings(|_| {});
        let floor = settings(|config| config.cache_min_ttl = 60);
        let low_cap = settings(|config| config.cache_max_negative_ttl = 120);
        let high_floor = settings(|config| config.cache_min_negative_ttl = 900);
        let positive = |ttl| {
            let mut answer = Answer::empty(question("www.example. A"), Rcode::NOERROR);
            answer.answer = vec![cname("www.example.", 7_000, "x.example."), a("x.example.", ttl)];
            answer
        };
        let denial = |rcode, soas: Vec<Rrset>| {
            let mut answer = Answer::empty(question("www.example. A"), rcode);
            answer.authority = soas;
            answer
        };
        let mut aliased_denial = denial(Rcode::NOERROR, vec![soa("example.", 3_600, 600)]);
        aliased_denial.answer = vec![cname("www.example.", 7_000, "x.example.")];
        let mut bogus = positive(3_600);
        bogus.status = SecurityStatus::Bogus;

        #[rustfmt::skip]
        let cases = [
            ("shortest record",           &plain,      positive(300), 300),
            ("other record",              &plain,      positive(8_000), 7_000),
            ("zero",                      &plain,      positive(0), 0),
            ("floor",                     &floor,      positive(10), 60),
            ("denial, MINIMUM",           &plain,      denial(Rcode::NXDOMAIN, vec![soa("example.", 3_600, 600)]), 600),
            ("denial, TTL of the SOA",    &plain,      denial(Rcode::NOERROR, vec![soa("example.", 200, 600)]), 200),
            ("denial, cap",               &plain,      denial(Rcode::NXDOMAIN, vec![soa("example.", 90_000, 90_000)]), 3_600),
            ("denial, configured cap",    &low_cap,    denial(Rcode::NXDOMAIN, vec![soa("example.", 3_600, 600)]), 120),
            ("denial, configured floor",  &high_floor, denial(Rcode::NXDOMAIN, vec![soa("example.", 3_600, 600)]), 900),
            ("denial without SOA",        &plain,      denial(Rcode::NXDOMAIN, vec![]), 5),
            ("alias to nothing",          &plain,      aliased_denial, 600),
            ("bogus",                     &plain,      bogus, 60),
        ];
        for (case, settings, answer, expected) in cases {
            assert_eq!(settings.lifetime(&answer, 0), expected, "{case}");
        }
        let capped = settings(|config| config.cache_max_ttl = 100);
        assert_eq!(capped.lifetime(&positive(300), 0), 100);
    }

    #[test]
    fn failures_in_a_row_are_remembered_longer_up_to_a_minute() {
        let settings = settings(|_| {});
        let failure = Answer::failure(question("x. A"), Reason::NetworkError);
        let seconds = [1, 2, 3, 4, 5, 255].map(|n| settings.lifetime(&failure, n));
        assert_eq!(seconds, [5, 10, 20, 40, 60, 60], "RFC 9520 §3.2");
    }
}
