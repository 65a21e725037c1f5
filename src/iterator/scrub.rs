//! Reducing a response to what its server may say about the question.
//!
//! Nothing is taken because it came along. From the answer section stays the chain that begins at
//! QNAME, as long as it stays inside the bailiwick; from the authority section what a referral or
//! a denial needs; from the additional section addresses of names that what stays refers to.
//! Everything else is how caches get poisoned (RFC 5452 §6, CVE-2025-11411).

use std::collections::{HashMap, HashSet};

use super::private::remove_private;
use crate::config::Config;
use crate::wire::{Class, Message, Name, Question, Rdata, Record, RecordType, Rrset};

/// What may be taken from a response.
#[derive(Clone, Copy)]
pub(super) struct Bailiwick<'a> {
    /// The zone the server was asked for.
    pub(super) zone: &'a Name,
    /// QNAME as it was asked for.
    pub(super) qname: &'a Name,
    /// Zones with servers of their own in the configuration begin new bailiwicks.
    pub(super) config: &'a Config,
}

impl Bailiwick<'_> {
    /// Whether the server may speak about `name`: at or below its zone, and not in a zone that the
    /// configuration gives to other servers (MaginotDNS, CVE-2021-25220), unless it was asked about
    /// that zone on purpose: as its parent, or in place of servers that failed.
    pub(super) fn contains(&self, name: &Name) -> bool {
        let elsewhere = |other: &Name| {
            other.is_below(self.zone)
                && name.is_at_or_below(other)
                && !self.qname.is_at_or_below(other)
        };
        name.is_at_or_below(self.zone)
            && !self.config.forward_zones.iter().any(|zone| elsewhere(&zone.name))
            && !self.config.stub_zones.iter().any(|zone| elsewhere(&zone.name))
    }
}

/// How the chain of aliases in an answer section ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ChainEnd {
    /// With what the question asks for.
    Answer,
    /// With an alias whose target is not here.
    Alias,
    /// With a DNAME substitution that is too long for a name (RFC 6672 §2.2).
    TooLong,
    /// It never began: nothing at QNAME.
    Nothing,
}

/// A response, scrubbed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Scrubbed {
    /// The chain from QNAME, in order.
    pub(super) answer: Vec<Rrset>,
    /// SOA, NS, DS, NSEC and NSEC3 inside the bailiwick.
    pub(super) authority: Vec<Rrset>,
    /// Where the chain leads; QNAME when there is no alias.
    pub(super) target: Name,
    /// How the chain ends.
    pub(super) end: ChainEnd,
    /// Whether the authority section named servers of a zone above the one asked for: the server
    /// does not know that zone.
    pub(super) upward: bool,
}

/// Scrubs `message`, a reply to `question` from a server of the zone of `bailiwick`.
pub(super) fn scrub(message: &Message, question: &Question, bailiwick: Bailiwick<'_>) -> Scrubbed {
    let mut chain = Chain {
        records: &message.answer,
        class: question.class,
        bailiwick,
        answer: Vec::new(),
        name: question.name.clone(),
    };
    let end = chain.follow(question.rtype);
    let Chain { mut answer, name: target, .. } = chain;
    let kept = message.authority.iter().filter(|record| {
        record.class == question.class
            && is_authority_type(record)
            && bailiwick.contains(&record.owner)
            && is_about(record, &question.name, &target)
    });
    let mut authority = group(kept, bailiwick.config.iter_scrub_rrsig);
    // Signatures whose RRset is not here prove nothing.
    authority.retain(|rrset| !rrset.rdata.is_empty());
    for rrset in answer.iter_mut().chain(&mut authority) {
        find_signatures(rrset, message, bailiwick.config.iter_scrub_rrsig);
    }
    let upward = message
        .authority
        .iter()
        .any(|record| record.rtype == RecordType::NS && bailiwick.zone.is_below(&record.owner));
    Scrubbed { answer, authority, target, end, upward }
}

/// Adds signatures that stand in another section than their RRset, up to `max` in all (0: any
/// number). Verifying them does not depend on where they stood.
fn find_signatures(rrset: &mut Rrset, message: &Message, max: usize) {
    let max = if max == 0 { usize::MAX } else { max };
    let everywhere = message.answer.iter().chain(&message.authority).chain(&message.additional);
    for record in everywhere {
        if rrset.signatures.len() >= max {
            return;
        }
        if record.rtype == RecordType::RRSIG
            && record.owner == rrset.owner
            && record.class == rrset.class
            && record.rdata.covered_type() == Some(rrset.rtype)
            && !rrset.signatures.contains(&record.rdata)
        {
            rrset.signatures.push(record.rdata.clone());
        }
    }
}

/// Types that belong into the authority section of referrals and denials.
fn is_authority_type(record: &Record) -> bool {
    use RecordType as T;
    let rtype = match record.rtype {
        T::RRSIG => record.rdata.covered_type().unwrap_or(T::RRSIG),
        other => other,
    };
    matches!(rtype, T::SOA | T::NS | T::DS | T::NSEC | T::NSEC3)
}

/// NS and SOA records say something about the question only when they stand above it; records to
/// the side are dropped. DS may stand at the cut it belongs to, proofs anywhere in the zone.
fn is_about(record: &Record, qname: &Name, target: &Name) -> bool {
    let rtype = match record.rtype {
        RecordType::RRSIG => record.rdata.covered_type().unwrap_or(RecordType::RRSIG),
        other => other,
    };
    match rtype {
        RecordType::NS | RecordType::SOA | RecordType::DS => {
            qname.is_at_or_below(&record.owner) || target.is_at_or_below(&record.owner)
        }
        _ => true,
    }
}

/// The walk from QNAME along the aliases of an answer section.
struct Chain<'a> {
    records: &'a [Record],
    class: Class,
    bailiwick: Bailiwick<'a>,
    answer: Vec<Rrset>,
    name: Name,
}

impl Chain<'_> {
    fn follow(&mut self, qtype: RecordType) -> ChainEnd {
        let limit = match self.bailiwick.config.iter_scrub_cname {
            0 => self.records.len(),
            limit => limit.min(self.records.len()),
        };
        for links in 0..=limit {
            let stopped = if links == 0 { ChainEnd::Nothing } else { ChainEnd::Alias };
            if !self.bailiwick.contains(&self.name) {
                return stopped;
            }
            let end_at_alias = matches!(qtype, RecordType::CNAME | RecordType::ANY);
            if let Some(dname) = self.dname() {
                // What the server says about the target is not taken along: the target is a
                // question of its own, as with every alias that leads out of a zone.
                return match self.substitute(dname) {
                    ChainEnd::Alias if end_at_alias => ChainEnd::Answer,
                    end => end,
                };
            }
            if self.take(qtype) {
                return ChainEnd::Answer;
            }
            if links == limit {
                return stopped;
            }
            let Some(target) = self.cname() else { return stopped };
            let circle = self.answer.iter().any(|rrset| rrset.is(&target, RecordType::CNAME));
            self.name = target;
            if circle {
                return ChainEnd::Alias;
            }
        }
        ChainEnd::Alias
    }

    /// Takes what answers `qtype` at the current name; false when there is nothing.
    fn take(&mut self, qtype: RecordType) -> bool {
        let at_name = |record: &&Record| record.class == self.class && record.owner == self.name;
        let wanted = self.records.iter().filter(at_name).filter(|record| match qtype {
            RecordType::ANY | RecordType::RRSIG => true,
            _ if record.rtype == RecordType::RRSIG => record.rdata.covered_type() == Some(qtype),
            _ => record.rtype == qtype,
        });
        let mut sets = if qtype == RecordType::RRSIG {
            collect_signatures(wanted)
        } else {
            group(wanted, self.bailiwick.config.iter_scrub_rrsig)
        };
        sets.retain(|rrset| !rrset.rdata.is_empty());
        for rrset in &mut sets {
            self.filter(rrset);
        }
        let found = !sets.is_empty();
        // Filtered to nothing is still an answer: there is nothing to see.
        self.answer.extend(sets.into_iter().filter(|rrset| !rrset.rdata.is_empty()));
        found
    }

    /// Takes the CNAME at the current name; its target.
    fn cname(&mut self) -> Option<Name> {
        let before = self.answer.len();
        if !self.take(RecordType::CNAME) {
            return None;
        }
        let rrset = self.answer.get_mut(before)?;
        // RFC 2181 §10.1: there is one CNAME or none.
        rrset.rdata.truncate(1);
        rrset.alias_target()
    }

    /// The DNAME above the current name, when the answer section has one the server may give.
    fn dname(&self) -> Option<Rrset> {
        let owner = self
            .records
            .iter()
            .filter(|record| record.rtype == RecordType::DNAME && record.class == self.class)
            .map(|record| &record.owner)
            .find(|owner| self.name.is_below(owner) && self.bailiwick.contains(owner))?;
        let records = self.records.iter().filter(|record| {
            record.class == self.class
                && record.owner == *owner
                && (record.rtype == RecordType::DNAME
                    || record.rtype == RecordType::RRSIG
                        && record.rdata.covered_type() == Some(RecordType::DNAME))
        });
        let mut rrset = group(records, self.bailiwick.config.iter_scrub_rrsig).pop()?;
        rrset.rdata.truncate(1);
        Some(rrset)
    }

    /// Takes a DNAME with the CNAME that follows from it (RFC 6672 §3.1), whatever CNAME came
    /// along.
    fn substitute(&mut self, dname: Rrset) -> ChainEnd {
        let target =
            dname.alias_target().and_then(|target| self.name.substitute(&dname.owner, &target));
        let (owner, ttl) = (self.name.clone(), dname.ttl);
        self.answer.push(dname);
        match target {
            Some(Ok(target)) => {
                let given = self
                    .records
                    .iter()
                    .find(|record| record.rtype == RecordType::CNAME && record.owner == owner);
                let ttl = given.map_or(ttl, |record| record.ttl.min(ttl));
                let rdata = vec![Rdata::from_name(&target)];
                self.answer.push(Rrset::new(owner, RecordType::CNAME, ttl, rdata));
                self.name = target;
                ChainEnd::Alias
            }
            Some(Err(_)) => ChainEnd::TooLong,
            None => ChainEnd::Nothing,
        }
    }

    /// Writes the owner name as it was asked for, and takes private addresses and too many name
    /// servers out.
    fn filter(&self, rrset: &mut Rrset) {
        let config = self.bailiwick.config;
        rrset.owner = self.name.clone();
        remove_private(rrset, config);
        let unsigned = rrset.signatures.is_empty();
        if rrset.rtype == RecordType::NS && config.iter_scrub_ns > 0 && unsigned {
            rrset.rdata.truncate(config.iter_scrub_ns);
        }
    }
}

/// The authority section of an answer that is not a referral: its SOA and proofs. NS records that
/// came unasked are left out, with their addresses, unless the configuration wants them
/// (`iter-scrub-promiscuous`). The SOA stays when the answer is `negative`: with an alias that
/// leads elsewhere it would deny the target, which is another question.
pub(super) fn answer_authority(scrubbed: &Scrubbed, negative: bool, config: &Config) -> Vec<Rrset> {
    // Without SOA the NS records are all there is to say about a denial.
    let denied = negative && scrubbed.authority.iter().any(|rrset| rrset.rtype == RecordType::SOA);
    let mut kept: Vec<Rrset> = Vec::new();
    for rrset in &scrubbed.authority {
        let keep = match rrset.rtype {
            RecordType::SOA => negative,
            RecordType::NS => !denied && !config.iter_scrub_promiscuous,
            RecordType::NSEC | RecordType::NSEC3 => true,
            _ => false,
        };
        if keep {
            kept.push(rrset.clone());
        }
    }
    kept
}

/// The addresses in the additional section of names that `rrsets` refer to, inside the bailiwick.
pub(super) fn answer_additional(
    message: &Message,
    rrsets: &[Rrset],
    bailiwick: Bailiwick<'_>,
) -> Vec<Rrset> {
    let mut named: HashSet<Name> = HashSet::new();
    for rrset in rrsets {
        // Aliases lead to questions of their own; their targets' addresses do not belong here.
        if matches!(rrset.rtype, RecordType::CNAME | RecordType::DNAME) {
            continue;
        }
        let names = rrset.rdata.iter().take(MAX_REFERRING);
        named.extend(names.filter_map(|rdata| referred_name(rdata, rrset)));
    }
    if named.is_empty() {
        return Vec::new();
    }
    let records = message.additional.iter().filter(|record| {
        let rtype = match record.rtype {
            RecordType::RRSIG => record.rdata.covered_type().unwrap_or(RecordType::RRSIG),
            other => other,
        };
        matches!(rtype, RecordType::A | RecordType::AAAA)
            && record.class == Class::IN
            && named.contains(&record.owner)
            && bailiwick.contains(&record.owner)
    });
    let mut sets = group(records, bailiwick.config.iter_scrub_rrsig);
    for rrset in &mut sets {
        remove_private(rrset, bailiwick.config);
        find_signatures(rrset, message, bailiwick.config.iter_scrub_rrsig);
    }
    // What is in another section already is not said twice.
    sets.retain(|rrset| {
        let known = rrsets.iter().any(|known| known.is(&rrset.owner, rrset.rtype));
        !rrset.rdata.is_empty() && !known
    });
    sets
}

/// Records of one RRset whose names are looked at for the additional section.
const MAX_REFERRING: usize = 32;

fn referred_name(rdata: &Rdata, rrset: &Rrset) -> Option<Name> {
    use RecordType as T;
    match rrset.rtype {
        T::NS | T::MX | T::SRV | T::KX | T::AFSDB | T::NAPTR => rdata.as_name(rrset.rtype),
        T::SVCB | T::HTTPS => {
            let target = Name::read(rdata.as_bytes().get(2..)?, &mut 0).ok()?;
            // RFC 9460 §2.5.2: "." stands for the owner.
            Some(if target.is_root() { rrset.owner.clone() } else { target })
        }
        _ => None,
    }
}

/// RRSIG records as an RRset of their own, for those who ask for them.
fn collect_signatures<'a>(records: impl Iterator<Item = &'a Record>) -> Vec<Rrset> {
    let mut sets: Vec<Rrset> = Vec::new();
    for record in records.filter(|record| record.rtype == RecordType::RRSIG) {
        match sets.first_mut() {
            Some(set) => {
                set.ttl = set.ttl.min(record.ttl);
                set.rdata.push(record.rdata.clone());
            }
            None => {
                let rdata = vec![record.rdata.clone()];
                sets.push(Rrset::new(record.owner.clone(), RecordType::RRSIG, record.ttl, rdata));
            }
        }
    }
    sets
}

/// Groups records into RRsets in order of first appearance, in time linear in their number.
/// Signatures join the RRset they cover, at most `max_signatures` (0: all); those whose RRset is
/// not here end up in an RRset without RDATA.
pub(super) fn group<'a>(
    records: impl Iterator<Item = &'a Record>,
    max_signatures: usize,
) -> Vec<Rrset> {
    let mut sets: Vec<Rrset> = Vec::new();
    let mut index: HashMap<(&Name, RecordType, Class), usize> = HashMap::new();
    let mut seen: HashSet<(usize, bool, &Rdata)> = HashSet::new();
    for record in records {
        let signature = record.rtype == RecordType::RRSIG;
        let rtype = match record.rdata.covered_type() {
            Some(covered) if signature => covered,
            _ => record.rtype,
        };
        let at = *index.entry((&record.owner, rtype, record.class)).or_insert_with(|| {
            let mut set = Rrset::new(record.owner.clone(), rtype, record.ttl, Vec::new());
            set.class = record.class;
            sets.push(set);
            sets.len() - 1
        });
        let Some(set) = sets.get_mut(at).filter(|_| seen.insert((at, signature, &record.rdata)))
        else {
            continue;
        };
        set.ttl = set.ttl.min(record.ttl);
        if !signature {
            set.rdata.push(record.rdata.clone());
        } else if max_signatures == 0 || set.signatures.len() < max_signatures {
            set.signatures.push(record.rdata.clone());
        }
    }
    sets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ZoneTarget;
    use crate::iterator::tests::world::{message, name, question, rrset, show, signature};

    fn scrubbed(asked: &str, zone: &str, config: &Config, reply: &str) -> Scrubbed {
        let (asked, zone) = (question(asked), name(zone));
        let bailiwick = Bailiwick { zone: &zone, qname: &asked.name, config };
        scrub(&message(&asked, reply), &asked, bailiwick)
    }

    #[test]
    fn only_the_chain_from_qname_stays_in_the_answer_section() {
        use ChainEnd::*;

        #[rustfmt::skip]
        let cases = [
            // name of the case      reply to a.example. A, from example.                                            answer                                           end
            ("direct",               "an a.example. A 192.0.2.1",                                                    "a.example. A 192.0.2.1",                        Answer),
            ("nothing",              "",                                                                             "",                                              Nothing),
            ("others only",          "an b.example. A 192.0.2.1; an a.example. TXT hello",                           "",                                              Nothing),
            ("others too",           "an a.example. A 192.0.2.1; an b.example. A 6.6.6.6; an a.example. TXT hello",  "a.example. A 192.0.2.1",                        Answer),
            ("chain, out of order",  "an b.example. A 192.0.2.1; an a.example. CNAME b.example.",                    "a.example. CNAME b.example., b.example. A 192.0.2.1", Answer),
            ("leads out",            "an a.example. CNAME b.test.; an b.test. A 6.6.6.6",                            "a.example. CNAME b.test.",                      Alias),
            ("leads out and back",   "an a.example. CNAME b.test.; an b.test. CNAME c.example.; an c.example. A 6.6.6.6", "a.example. CNAME b.test.",                 Alias),
            ("circle",               "an a.example. CNAME b.example.; an b.example. CNAME a.example.",               "a.example. CNAME b.example., b.example. CNAME a.example.", Alias),
            ("points to itself",     "an a.example. CNAME a.example.",                                               "a.example. CNAME a.example.",                   Alias),
            ("two targets",          "an a.example. CNAME b.example.; an a.example. CNAME c.example.",               "a.example. CNAME b.example.",                   Alias),
            ("DNAME",                "an example. DNAME test.",                                                      "example. DNAME test., a.example. CNAME a.test.", Alias),
            ("DNAME and a lie",      "an example. DNAME test.; an a.example. CNAME evil.",                           "example. DNAME test., a.example. CNAME a.test.", Alias),
            ("DNAME of the parent",  "an . DNAME test.; an a.example. CNAME a.example.test.",                        "a.example. CNAME a.example.test.",              Alias),
            ("DNAME at QNAME",       "an a.example. DNAME test.",                                                    "",                                              Nothing),
        ];
        for (case, reply, answer, end) in cases {
            let got = scrubbed("a.example. A", "example.", &Config::default(), reply);
            assert_eq!((show(&got.answer).as_str(), got.end), (answer, end), "{case}");
        }
    }

    #[test]
    fn types_that_take_everything_or_aliases_themselves() {
        for (case, asked, reply, answer, end) in [
            (
                "ANY",
                "a.example. ANY",
                "an a.example. A+ 192.0.2.1; an a.example. MX b.example.; an b.example. A 6.6.6.6",
                "a.example. A 192.0.2.1, a.example. MX",
                ChainEnd::Answer,
            ),
            (
                "ANY of an alias",
                "a.example. ANY",
                "an a.example. CNAME b.example.; an b.example. A 6.6.6.6",
                "a.example. CNAME b.example.",
                ChainEnd::Answer,
            ),
            (
                "CNAME",
                "a.example. CNAME",
                "an a.example. CNAME b.example.; an b.example. A 6.6.6.6",
                "a.example. CNAME b.example.",
                ChainEnd::Answer,
            ),
            (
                "CNAME below a DNAME",
                "a.example. CNAME",
                "an example. DNAME test.; an a.example. CNAME a.test.",
                "example. DNAME test., a.example. CNAME a.test.",
                ChainEnd::Answer,
            ),
            (
                "DNAME itself",
                "example. DNAME",
                "an example. DNAME test.",
                "example. DNAME test.",
                ChainEnd::Answer,
            ),
            (
                "RRSIG",
                "a.example. RRSIG",
                "an a.example. A+ 192.0.2.1; an a.example. MX+ b.example.",
                "a.example. RRSIG",
                ChainEnd::Answer,
            ),
        ] {
            let got = scrubbed(asked, "example.", &Config::default(), reply);
            assert_eq!((show(&got.answer).as_str(), got.end), (answer, end), "{case}");
        }
    }

    #[test]
    fn long_chains_are_cut() {
        let links: Vec<String> =
            (0..30).map(|n| format!("an n{n}.example. CNAME n{}.example.", n + 1)).collect();
        let got = scrubbed("n0.example. A", "example.", &Config::default(), &links.join("; "));
        assert_eq!((got.answer.len(), got.end), (11, ChainEnd::Alias), "iter-scrub-cname");
        assert_eq!(got.target, name("n11.example."));
    }

    #[test]
    fn zones_of_other_servers_are_other_bailiwicks() {
        let stub = ZoneTarget {
            name: name("b.example."),
            addrs: Vec::new(),
            hosts: Vec::new(),
            first: false,
            tls: false,
            tcp: false,
            no_cache: false,
            prime: false,
        };
        let config = Config { stub_zones: vec![stub], ..Config::default() };
        let reply = "an a.example. CNAME x.b.example.; an x.b.example. A 6.6.6.6";
        let got = scrubbed("a.example. A", "example.", &config, reply);
        assert_eq!(show(&got.answer), "a.example. CNAME x.b.example.");
        // As its parent the server is asked about it on purpose.
        let got = scrubbed("b.example. DS", "example.", &config, "an b.example. DS digest");
        assert_eq!(show(&got.answer), "b.example. DS");
    }

    #[test]
    fn the_authority_section_keeps_what_is_about_the_question() {
        #[rustfmt::skip]
        let cases = [
            ("SOA of the zone",     "au example. SOA",               "example. SOA"),
            ("SOA above",           "au . SOA",                      ""),
            ("SOA to the side",     "au x.example. SOA",             ""),
            ("NS on the way",       "au a.example. NS ns.example.",  "a.example. NS ns.example."),
            ("NS to the side",      "au x.example. NS ns.example.",  ""),
            ("NS of others",        "au test. NS ns.example.",       ""),
            ("DS on the way",       "au a.example. DS digest",       "a.example. DS"),
            ("proofs anywhere",     "au x.example. NSEC+ y.example.", "x.example. NSEC"),
            ("proofs of others",    "au x.test. NSEC+ y.test.",      ""),
            ("addresses",           "au a.example. A 6.6.6.6",       ""),
        ];
        for (case, reply, authority) in cases {
            let got = scrubbed("www.a.example. A", "example.", &Config::default(), reply);
            assert_eq!(show(&got.authority), authority, "{case}");
        }
    }

    #[test]
    fn records_are_grouped_once_and_signatures_are_counted() {
        let mut set = rrset("a.example. A 192.0.2.1");
        set.rdata.push(set.rdata[0].clone());
        set.signatures = (0..20).map(|n| signature(RecordType::A, name("example."), n)).collect();
        let records: Vec<Record> = set
            .rdata
            .iter()
            .map(|rdata| (RecordType::A, rdata))
            .chain(set.signatures.iter().map(|rdata| (RecordType::RRSIG, rdata)))
            .map(|(rtype, rdata)| Record {
                owner: set.owner.clone(),
                rtype,
                class: Class::IN,
                ttl: 60,
                rdata: rdata.clone(),
            })
            .collect();
        let grouped = group(records.iter(), 8);
        assert_eq!(grouped.len(), 1);
        assert_eq!((grouped[0].rdata.len(), grouped[0].signatures.len()), (1, 8));
        assert_eq!(group(records.iter(), 0)[0].signatures.len(), 20);
    }

    #[test]
    fn other_classes_are_dropped() {
        let asked = question("a.example. A");
        let mut reply = message(&asked, "an a.example. A 192.0.2.1; au example. SOA");
        for record in reply.answer.iter_mut().chain(&mut reply.authority) {
            record.class = Class::CH;
        }
        let (zone, config) = (name("example."), Config::default());
        let got =
            scrub(&reply, &asked, Bailiwick { zone: &zone, qname: &asked.name, config: &config });
        assert_eq!((got.answer, got.authority), (Vec::new(), Vec::new()));
    }
}
