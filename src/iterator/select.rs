//! Which server to ask: one of the fast ones at random, the doubtful ones last.

use rand::RngExt;
use rand::seq::IndexedRandom;

use super::targets::{Cut, Fault, Target};
use super::{View, delegation};
use crate::clock::{Now, Rng};
use crate::config::Config;

/// Servers within so many milliseconds of the best are as good as it: choosing among them at
/// random spreads load and makes forgery harder (RFC 5452 §9.1, as Unbound does).
const BAND: u64 = 400;
/// A server that was asked already for this question comes after those that were not.
const TRIED: u64 = 500;
/// What does not give signatures although it should, or has been silent for long, comes after
/// everything healthy; what is lame after that.
const DNSSEC_LAME: u64 = 200_000;
const PAUSED: u64 = 400_000;
const LAME: u64 = 800_000;
/// Servers of bogus data come last.
const BLAMED: u64 = 1_600_000;

/// Queries sent to a server that has a way around it: of a zone with `forward-first`, or of the
/// root while it is primed.
const TRIES_WITH_WAY_AROUND: u32 = 2;

/// A candidate with its merit: milliseconds, less is better.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Candidate {
    at: usize,
    merit: u64,
    v6: bool,
}

/// The place of the target to ask next; `None` when there is nobody left to ask.
pub(super) fn select(
    cut: &Cut,
    blamed: &[std::net::SocketAddr],
    view: &View<'_>,
    now: Now,
    rng: &mut Rng,
) -> Option<usize> {
    let mut candidates: Vec<Candidate> = Vec::with_capacity(cut.targets.len());
    for (at, target) in cut.targets.iter().enumerate() {
        if may_ask_again(target, cut, view.config) {
            let mut merit = merit(target, cut, view, now);
            if blamed.contains(&target.server) {
                merit += BLAMED;
            }
            candidates.push(Candidate { at, merit, v6: target.server.is_ipv6() });
        }
    }
    choose(candidates, view.config, rng)
}

/// Picks one of the candidates within the band of the best.
fn choose(mut candidates: Vec<Candidate>, config: &Config, rng: &mut Rng) -> Option<usize> {
    candidates.sort_by_key(|candidate| candidate.merit);
    let best = candidates.first()?.merit;
    candidates.retain(|candidate| candidate.merit < best + BAND);
    if config.prefer_ip4 != config.prefer_ip6 {
        let preferred = |candidate: &Candidate| candidate.v6 == config.prefer_ip6;
        if candidates.iter().any(preferred) {
            candidates.retain(preferred);
        }
    }
    let permil = config.fast_server_permil;
    if permil > 0 && rng.random_range(0..1000) < permil {
        candidates.truncate(usize::try_from(config.fast_server_num.max(1)).unwrap_or(usize::MAX));
    }
    candidates.choose(rng).map(|candidate| candidate.at)
}

/// Whether a target that failed may be asked once more.
fn may_ask_again(target: &Target, cut: &Cut, config: &Config) -> bool {
    let tries = u32::from(target.tries);
    // Where there is a way around these servers, do not use up the client's time on them.
    let first = delegation::clause(&cut.point, config).is_some_and(|zone| zone.first);
    let around = first || cut.priming;
    let usual = config.outbound_msg_retry.max(1);
    let most = if around { usual.min(TRIES_WITH_WAY_AROUND) } else { usual };
    let most = if target.probe { 1 } else { most };
    if target.excluded || tries >= most {
        return false;
    }
    match target.fault {
        // It may be a passing trouble, but only when there is nobody else to ask, and once.
        Some(Fault::ServFail) => cut.targets.len() == 1 && tries < 2,
        _ => true,
    }
}

fn merit(target: &Target, cut: &Cut, view: &View<'_>, now: Now) -> u64 {
    let server = view.cache.infra(target.server, cut.zone(), now);
    let timeout = u64::try_from(server.timeout(now).as_millis()).unwrap_or(u64::MAX);
    let mut merit = timeout.min(DNSSEC_LAME - 1) + TRIED * u64::from(target.tries);
    if server.is_dnssec_lame(now) {
        merit += DNSSEC_LAME;
    }
    if server.is_paused(now) {
        merit += PAUSED;
    }
    if server.is_lame(now) {
        merit += LAME;
    }
    merit
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn candidate(at: usize, merit: u64, v6: bool) -> Candidate {
        Candidate { at, merit, v6 }
    }

    /// Every place that is chosen in many draws.
    fn chosen(candidates: &[Candidate], config: &Config) -> Vec<usize> {
        let mut rng = Rng::seed_from_u64(11);
        let mut places: Vec<usize> =
            (0..200).filter_map(|_| choose(candidates.to_vec(), config, &mut rng)).collect();
        places.sort_unstable();
        places.dedup();
        places
    }

    #[test]
    fn any_server_within_the_band_of_the_best_may_be_chosen() {
        let (v4, v6) = (false, true);
        let plain = Config::default();
        let prefer_6 = Config { prefer_ip6: true, ..Config::default() };
        let prefer_4 = Config { prefer_ip4: true, ..Config::default() };
        let both = Config { prefer_ip4: true, prefer_ip6: true, ..Config::default() };
        let fastest = Config { fast_server_permil: 1000, fast_server_num: 1, ..Config::default() };
        let three = [candidate(0, 10, v4), candidate(1, 409, v6), candidate(2, 410, v4)];
        let cases: [(&str, &[Candidate], &Config, &[usize]); 8] = [
            ("nobody", &[], &plain, &[]),
            ("one", &[candidate(5, 9_999, v4)], &plain, &[5]),
            ("the band is 400 ms", &three, &plain, &[0, 1]),
            ("unknown and known", &[candidate(0, 376, v4), candidate(1, 50, v4)], &plain, &[0, 1]),
            ("a family is preferred inside the band", &three, &prefer_6, &[1]),
            ("the other", &three, &prefer_4, &[0]),
            ("both is none", &three, &both, &[0, 1]),
            ("fastest only", &three, &fastest, &[0]),
        ];
        for (case, candidates, config, expected) in cases {
            assert_eq!(chosen(candidates, config), expected, "{case}");
        }
    }
}
