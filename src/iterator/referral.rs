//! Reading a referral: the zone cut, its servers, their glue, and what the parent says about DS.

use std::net::IpAddr;

use rand::seq::SliceRandom;

use super::private::remove_private;
use super::scrub::{Bailiwick, Scrubbed, group};
use super::targets::reaches_ip4;
use crate::budget::{ADDRESSES_PER_CUT, ADDRESSES_PER_NAME, NS_NAMES_KEPT};
use crate::cache::{Answer, DelegationPoint, DelegationSource};
use crate::clock::{Now, Rng, UnixTime};
use crate::config::Config;
use crate::wire::{Message, Name, Question, Rcode, RecordType, Rrset};

/// Seconds a delegation is used at most before the parent is asked again (ghost domains).
const MAX_DELEGATION_TTL: u32 = 86_400;

/// NS names of one referral that are looked at (NRDelegationAttack, CVE-2022-3204).
const NS_NAMES_SEEN: usize = NS_NAMES_KEPT.max as usize;

/// What a referral says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Referral {
    /// The cut and its servers.
    pub(super) point: DelegationPoint,
    /// What the parent says about the DS RRset of the cut: the RRset, or the proof that there is
    /// none; nothing when it says nothing.
    pub(super) ds: Option<Answer>,
}

/// The referral whose NS RRset has place `at` in the authority section of `scrubbed`. It never
/// outlives `parent_expires`.
pub(super) fn read(
    at: usize,
    message: &Message,
    scrubbed: &Scrubbed,
    bailiwick: Bailiwick<'_>,
    parent_expires: UnixTime,
    now: Now,
    rng: &mut Rng,
) -> Option<Referral> {
    let ns = scrubbed.authority.get(at)?;
    let config = bailiwick.config;
    let ttl = ns.ttl.min(config.cache_max_ttl).max(config.cache_min_ttl).min(MAX_DELEGATION_TTL);
    let names = server_names(ns);
    let glue = glue(message, &names, bailiwick);
    let servers = choose(names, &glue, config, rng);
    let glue = bound(glue, &servers);
    let point = DelegationPoint {
        zone: ns.owner.clone(),
        servers,
        glue,
        addresses: Vec::new(),
        expires: now.unix.plus(ttl).min(parent_expires),
        source: DelegationSource::Referral,
    };
    Some(Referral { ds: ds(&ns.owner, scrubbed), point })
}

/// The names in an NS RRset, each once whatever its letter case.
fn server_names(ns: &Rrset) -> Vec<Name> {
    let mut names: Vec<Name> = Vec::new();
    for name in ns.rdata.iter().take(NS_NAMES_SEEN).filter_map(|rdata| rdata.as_name(ns.rtype)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Addresses of `names` in the additional section. With `harden-glue` only of names the server
/// may speak about.
fn glue(message: &Message, names: &[Name], bailiwick: Bailiwick<'_>) -> Vec<(Name, IpAddr)> {
    let config = bailiwick.config;
    let records = message.additional.iter().filter(|record| {
        matches!(record.rtype, RecordType::A | RecordType::AAAA)
            && record.class == crate::wire::Class::IN
            && names.contains(&record.owner)
            && (!config.harden_glue || bailiwick.contains(&record.owner))
    });
    addresses(group(records, 1), config)
}

/// The addresses in A and AAAA RRsets, without private ones and families that are off.
pub(super) fn addresses(sets: Vec<Rrset>, config: &Config) -> Vec<(Name, IpAddr)> {
    let mut found = Vec::new();
    for mut rrset in sets {
        remove_private(&mut rrset, config);
        let usable = |ip: &IpAddr| if ip.is_ipv4() { reaches_ip4(config) } else { config.do_ip6 };
        let ips = rrset.rdata.iter().filter_map(|rdata| rdata.as_ip()).filter(usable);
        let per_name = usize::from(ADDRESSES_PER_NAME.default);
        found.extend(ips.take(per_name).map(|ip| (rrset.owner.clone(), ip)));
    }
    found
}

/// At most [`NS_NAMES_KEPT`] names at random, those with glue before those without: a name
/// without costs a lookup.
fn choose(
    mut names: Vec<Name>,
    glue: &[(Name, IpAddr)],
    config: &Config,
    rng: &mut Rng,
) -> Vec<Name> {
    let mut keep = usize::from(NS_NAMES_KEPT.default);
    if config.iter_scrub_ns > 0 {
        keep = keep.min(config.iter_scrub_ns);
    }
    if names.len() > keep {
        names.shuffle(rng);
        names.sort_by_key(|name| !glue.iter().any(|(owner, _)| owner == name));
        names.truncate(keep);
    }
    names
}

/// Glue of the names kept, at most [`ADDRESSES_PER_CUT`] distinct addresses: many names with one
/// address are one server (CVE-2026-3592).
fn bound(glue: Vec<(Name, IpAddr)>, servers: &[Name]) -> Vec<(Name, IpAddr)> {
    let mut distinct: Vec<IpAddr> = Vec::new();
    let mut kept = glue;
    kept.retain(|(name, ip)| {
        if !servers.contains(name) {
            return false;
        }
        let known = distinct.contains(ip);
        if !known && distinct.len() < usize::from(ADDRESSES_PER_CUT.default) {
            distinct.push(*ip);
            return true;
        }
        known
    });
    kept
}

/// What the authority section says about DS at `child`: only the parent can say it, and the
/// validator will want to know.
fn ds(child: &Name, scrubbed: &Scrubbed) -> Option<Answer> {
    let question = Question::new(child.clone(), RecordType::DS);
    let mut answer = Answer::empty(question, Rcode::NOERROR);
    if let Some(ds) = scrubbed.authority.iter().find(|rrset| rrset.is(child, RecordType::DS)) {
        answer.answer.push(ds.clone());
        return Some(answer);
    }
    let proofs = scrubbed.authority.iter().filter(|rrset| {
        matches!(rrset.rtype, RecordType::NSEC | RecordType::NSEC3) && !rrset.signatures.is_empty()
    });
    answer.authority.extend(proofs.cloned());
    (!answer.authority.is_empty()).then_some(answer)
}

/// The root's own delegation, or that of a primed stub zone, from the answer to a question for
/// its NS RRset (RFC 9609 §3.3). Names without an address in the answer keep that of the hints.
pub(super) fn primed(
    answer: &Answer,
    hints: &DelegationPoint,
    config: &Config,
    now: Now,
) -> Option<DelegationPoint> {
    let ns = answer.rrset().filter(|rrset| rrset.rtype == RecordType::NS)?;
    let servers: Vec<Name> =
        ns.rdata.iter().take(NS_NAMES_SEEN).filter_map(|rdata| rdata.as_name(ns.rtype)).collect();
    let mut glue = addresses(answer.additional.clone(), config);
    glue.retain(|(name, _)| servers.contains(name));
    for (name, ip) in &hints.glue {
        if servers.contains(name) && !glue.iter().any(|(known, _)| known == name) {
            glue.push((name.clone(), *ip));
        }
    }
    // Servers without any address would leave us with no way to look them up.
    if glue.is_empty() {
        return None;
    }
    let ttl = ns.ttl.min(config.cache_max_ttl).max(config.cache_min_ttl).min(MAX_DELEGATION_TTL);
    Some(DelegationPoint {
        zone: ns.owner.clone(),
        servers,
        glue,
        addresses: Vec::new(),
        expires: now.unix.plus(ttl),
        source: DelegationSource::Priming,
    })
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::clock::Mono;
    use crate::iterator::scrub::scrub;
    use crate::iterator::tests::world::{message, name, question, show};

    const NOW: Now = Now::new(Mono::ZERO, UnixTime(1_000));

    fn referral(config: &Config, parent_expires: u64, reply: &str) -> Referral {
        let (asked, zone) = (question("www.child.example. A"), name("example."));
        let message = message(&asked, reply);
        let bailiwick = Bailiwick { zone: &zone, qname: &asked.name, config };
        let scrubbed = scrub(&message, &asked, bailiwick);
        let at = scrubbed.authority.iter().position(|rrset| rrset.rtype == RecordType::NS);
        let mut rng = Rng::seed_from_u64(5);
        let parent = UnixTime(parent_expires);
        read(at.expect("NS"), &message, &scrubbed, bailiwick, parent, NOW, &mut rng).expect("read")
    }

    #[test]
    fn delegations_end_with_their_parents_and_after_a_day_at_most() {
        let floor = Config { cache_min_ttl: 600, ..Config::default() };
        let cap = Config { cache_max_ttl: 30, ..Config::default() };
        for (case, config, ttl, parent, expected) in [
            ("its own TTL", Config::default(), 300, 9_999, 1_300),
            ("the parent's end", Config::default(), 300, 1_010, 1_010),
            ("a day", Config::default(), 1_000_000, 9_999_999, 87_400),
            ("nothing", Config::default(), 0, 9_999, 1_000),
            ("the configured floor", floor.clone(), 300, 9_999, 1_600),
            ("but not beyond the parent", floor, 300, 1_010, 1_010),
            ("the configured cap", cap, 300, 9_999, 1_030),
        ] {
            let reply = format!("au child.example. {ttl} NS ns.child.example.");
            let got = referral(&config, parent, &reply);
            assert_eq!(got.point.expires, UnixTime(expected), "{case}");
        }
    }

    #[test]
    fn glue_is_what_the_parent_may_give_of_servers_it_named() {
        let off6 = Config { do_ip6: false, ..Config::default() };
        let soft = Config { harden_glue: false, ..Config::default() };
        let private =
            Config { private_address: vec!["10.0.0.0/8".parse().unwrap()], ..Config::default() };
        let ns = "au child.example. NS ns.child.example.; au child.example. NS ns.test.";
        for (case, config, glue, expected) in [
            ("in the child", &soft, "ad ns.child.example. A 192.0.2.1", &["192.0.2.1"][..]),
            ("of others", &Config::default(), "ad ns.test. A 6.6.6.6", &[]),
            ("of others, not hardened", &soft, "ad ns.test. A 6.6.6.6", &["6.6.6.6"]),
            ("of no server", &soft, "ad www.child.example. A 6.6.6.6", &[]),
            ("family off", &off6, "ad ns.child.example. AAAA 2001:db8::1", &[]),
            ("private", &private, "ad ns.child.example. A 10.1.2.3", &[]),
            ("in the answer section", &soft, "an ns.child.example. A 6.6.6.6", &[]),
        ] {
            let got = referral(config, 9_999, &format!("{ns}; {glue}"));
            let ips: Vec<String> = got.point.glue.iter().map(|(_, ip)| ip.to_string()).collect();
            assert_eq!(ips, expected, "{case}");
            assert_eq!(got.point.zone, name("child.example."), "{case}");
        }
    }

    #[test]
    fn names_and_addresses_are_bounded_cve_2022_3204() {
        let ns = |n: usize| format!("au child.example. NS ns{n}.child.example.");
        let ad = |n: usize, i: usize| format!("ad ns{n}.child.example. A 10.{n}.0.{i}");
        let names: Vec<String> = (0..100).map(ns).collect();
        let glue: Vec<String> = (0..40).flat_map(|n| (0..6).map(move |i| ad(n, i))).collect();
        let reply = format!("{}; {}", names.join("; "), glue.join("; "));
        let got = referral(&Config::default(), 9_999, &reply).point;
        assert_eq!(got.servers.len(), 13);
        assert!(
            got.servers.iter().all(|server| {
                (0..32).any(|n| *server == name(&format!("ns{n}.child.example.")))
            })
        );
        assert_eq!(got.glue.len(), 16);
        let of_one = got.glue.iter().filter(|(owner, _)| *owner == got.glue[0].0).count();
        assert!(of_one <= 4, "{of_one} addresses of one server");

        let few = Config { iter_scrub_ns: 2, ..Config::default() };
        assert_eq!(referral(&few, 9_999, &reply).point.servers.len(), 2);
    }

    #[test]
    fn letter_case_does_not_make_another_server() {
        let reply =
            "au child.example. NS ns.child.example.; au child.example. NS NS.Child.example.";
        assert_eq!(referral(&Config::default(), 9_999, reply).point.servers.len(), 1);
    }

    #[test]
    fn servers_with_glue_are_kept_before_others() {
        let names: Vec<String> =
            (0..30).map(|n| format!("au child.example. NS ns{n}.child.example.")).collect();
        let reply = format!("{}; ad ns29.child.example. A 192.0.2.29", names.join("; "));
        let got = referral(&Config::default(), 9_999, &reply).point;
        assert!(got.servers.contains(&name("ns29.child.example.")));
    }

    #[test]
    fn the_parent_has_the_word_on_ds() {
        let ns = "au child.example. NS ns.child.example.";
        for (case, says, answer, authority) in [
            ("nothing", "", "", ""),
            ("DS", "au child.example. DS+ digest", "child.example. DS", ""),
            ("a proof", "au child.example. NSEC+ d.example.", "", "child.example. NSEC"),
            (
                "DS and a proof",
                "au child.example. DS+ digest; au x.example. NSEC+ y.example.",
                "child.example. DS",
                "",
            ),
            ("an unsigned proof proves nothing", "au child.example. NSEC d.example.", "", ""),
            ("DS of another", "au www.child.example. DS+ digest", "", ""),
        ] {
            let got = referral(&Config::default(), 9_999, &format!("{ns}; {says}"));
            let sections = got.ds.map(|ds| (show(&ds.answer), show(&ds.authority)));
            let expected = (answer.to_owned(), authority.to_owned());
            let nothing = answer.is_empty() && authority.is_empty();
            assert_eq!(sections, (!nothing).then_some(expected), "{case}");
        }
    }
}
