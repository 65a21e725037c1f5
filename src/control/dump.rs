//! The cache as text, in Unbound's format: what `dump_cache` writes, `load_cache` of either reads.
//!
//! ```text
//! START_RRSET_CACHE
//! ;rrset 300 1 0 8 3              TTL, records, signatures, trust, security
//! www.example. 300 IN A 192.0.2.1
//! END_RRSET_CACHE
//! START_MSG_CACHE
//! msg www.example. IN A 33152 1 300 3 1 0 0 -1
//! www.example. IN A 0             the RRsets of its sections, in order
//! END_MSG_CACHE
//! EOF
//! ```
//!
//! Written piece by piece as the client reads: only the names are listed beforehand.

use std::collections::HashSet;
use std::fmt::Write;
use std::sync::Arc;

use super::Control;
use super::change::name;
use super::table::{Args, Chunks};
use crate::cache::{Answer, Cache, DelegationPoint, Rank};
use crate::clock::Now;
use crate::config::write_rrset;
use crate::status::SecurityStatus;
use crate::wire::{Name, Nsec, Question, Rdata, RecordType, Rrset};

/// Entries written at once.
const PIECE: usize = 256;
/// QR, RD and RA, as answers were sent.
const FLAGS: u16 = 0x8180;
/// Flag of a reference and word of an RRset: the NSEC record stands at the apex of its zone.
const APEX: u32 = 1;

/// Unbound's numbers for ranks.
pub(super) const TRUST: [(Rank, u32); 7] = [
    (Rank::AdditionalNoAa, 1),
    (Rank::AuthorityNoAa, 2),
    (Rank::AdditionalAa, 3),
    (Rank::AnswerNoAa, 5),
    (Rank::AuthorityAa, 7),
    (Rank::AnswerAa, 8),
    (Rank::Secure, 11),
];

/// Unbound's numbers for verdicts.
pub(super) const SECURITY: [(SecurityStatus, u32); 4] = [
    (SecurityStatus::Indeterminate, 0),
    (SecurityStatus::Bogus, 1),
    (SecurityStatus::Insecure, 3),
    (SecurityStatus::Secure, 5),
];

fn number_of<T: PartialEq>(table: &[(T, u32)], value: &T) -> u32 {
    table.iter().find(|row| row.0 == *value).map_or(0, |row| row.1)
}

/// What is written, and what was: an RRset is written once, wherever it is found.
struct Writer {
    cache: Arc<Cache>,
    now: Now,
    written: HashSet<(Name, RecordType)>,
}

/// `dump_cache`
pub(super) fn cache(control: &Control, _: &Args<'_>) -> Result<Chunks, String> {
    Ok(dump(&control.cache, Now::system()))
}

fn dump(cache: &Arc<Cache>, now: Now) -> Chunks {
    let mut writer = Writer { cache: Arc::clone(cache), now, written: HashSet::new() };
    let questions = Arc::new(cache.answer_keys());
    let asked = Arc::clone(&questions);
    let mut work: Vec<Box<dyn Iterator<Item = Entry> + Send>> = vec![
        Box::new(std::iter::once(Entry::Word("START_RRSET_CACHE\n"))),
        Box::new(cache.rrset_keys().into_iter().map(Entry::Rrset)),
        Box::new(cache.delegation_keys().into_iter().map(Entry::Delegation)),
        Box::new((0..questions.len()).map(Entry::Sections)),
        Box::new(std::iter::once(Entry::Word("END_RRSET_CACHE\nSTART_MSG_CACHE\n"))),
        Box::new((0..questions.len()).map(Entry::Message)),
        Box::new(std::iter::once(Entry::Word("END_MSG_CACHE\nEOF\n"))),
    ];
    work.reverse();
    Box::new(std::iter::from_fn(move || {
        let mut out = String::new();
        for _ in 0..PIECE {
            let entry = loop {
                match work.last_mut()?.next() {
                    Some(entry) => break entry,
                    None => {
                        work.pop();
                        if work.is_empty() {
                            return Some(out).filter(|out| !out.is_empty());
                        }
                    }
                }
            };
            writer.entry(entry, &asked, &mut out);
        }
        Some(out)
    }))
}

enum Entry {
    Word(&'static str),
    Rrset((Name, RecordType)),
    Delegation(Name),
    /// The RRsets of the answer with that number.
    Sections(usize),
    /// The answer itself.
    Message(usize),
}

impl Writer {
    fn entry(&mut self, entry: Entry, questions: &[Question], out: &mut String) {
        match entry {
            Entry::Word(word) => out.push_str(word),
            Entry::Rrset((owner, rtype)) => {
                if let Some(found) = self.cache.rrset(&owner, rtype, self.now) {
                    self.rrset(&found.rrset, found.rank, found.status, out);
                }
            }
            Entry::Delegation(zone) => {
                let point = self.cache.delegation(&zone, self.now);
                if let Some(point) = point.filter(|point| point.zone == zone) {
                    self.delegation(&point, out);
                }
            }
            Entry::Sections(index) => {
                if let Some(answer) = self.answer(questions.get(index)) {
                    let rank = match answer.status {
                        SecurityStatus::Secure => Rank::Secure,
                        _ => Rank::AnswerAa,
                    };
                    for rrset in sections(&answer).into_iter().flatten() {
                        self.rrset(rrset, rank, answer.status, out);
                    }
                }
            }
            Entry::Message(index) => {
                if let Some(answer) = self.answer(questions.get(index)) {
                    self.message(&answer, out);
                }
            }
        }
    }

    fn answer(&self, question: Option<&Question>) -> Option<Answer> {
        let found = self.cache.answer(question?, self.now)?;
        Some(found.value).filter(|answer| !answer.is_failure())
    }

    fn rrset(&mut self, rrset: &Rrset, rank: Rank, status: SecurityStatus, out: &mut String) {
        let new = self.written.insert((rrset.owner.clone(), rrset.rtype));
        if !new || rrset.ttl == 0 || rrset.rdata.is_empty() {
            return;
        }
        let (trust, security) = (number_of(&TRUST, &rank), number_of(&SECURITY, &status));
        let apex = if flags(rrset) == APEX { " nsec_apex" } else { "" };
        let (records, signatures) = (rrset.rdata.len(), rrset.signatures.len());
        let ttl = rrset.ttl;
        let _ = writeln!(out, ";rrset{apex} {ttl} {records} {signatures} {trust} {security}");
        write_rrset(out, rrset);
    }

    /// A delegation as the NS RRset of a referral with its glue.
    fn delegation(&mut self, point: &DelegationPoint, out: &mut String) {
        for (rrset, rank) in as_rrsets(point, self.now) {
            self.rrset(&rrset, rank, SecurityStatus::Indeterminate, out);
        }
    }

    fn message(&self, answer: &Answer, out: &mut String) {
        let Question { name, rtype, class } = &answer.question;
        let flags_word = FLAGS | answer.rcode.0 & 0xf;
        let all = sections(answer);
        let ttl = all.into_iter().flatten().map(|rrset| rrset.ttl).min().unwrap_or(0);
        if ttl == 0 || answer.rcode.0 > 0xf {
            return;
        }
        let [an, ns, ar] = all.map(<[Rrset]>::len);
        let security = number_of(&SECURITY, &answer.status);
        let reason = answer.reason.map_or(-1, |reason| i32::from(reason.ede().0));
        let _ = writeln!(
            out,
            "msg {name} {class} {rtype} {flags_word} 1 {ttl} {security} {an} {ns} {ar} {reason} "
        );
        for rrset in all.into_iter().flatten() {
            let Rrset { owner, class, rtype, .. } = rrset;
            let _ = writeln!(out, "{owner} {class} {rtype} {}", flags(rrset));
        }
    }
}

fn sections(answer: &Answer) -> [&[Rrset]; 3] {
    [&answer.answer, &answer.authority, &answer.additional]
}

/// Unbound keeps the NSEC of both sides of a zone cut, and tells them apart.
fn flags(rrset: &Rrset) -> u32 {
    let soa = |rdata: &Rdata| Nsec::parse(rdata).is_some_and(|n| n.types.contains(RecordType::SOA));
    let apex = rrset.rtype == RecordType::NSEC && rrset.rdata.first().is_some_and(soa);
    if apex { APEX } else { 0 }
}

fn as_rrsets(point: &DelegationPoint, now: Now) -> Vec<(Rrset, Rank)> {
    let ttl = now.unix.until(point.expires);
    let servers = point.servers.iter().map(Rdata::from_name).collect();
    let ns = Rrset::new(point.zone.clone(), RecordType::NS, ttl, servers);
    let mut rrsets: Vec<(Rrset, Rank)> = vec![(ns, Rank::AuthorityNoAa)];
    for (server, ip) in &point.glue {
        let rtype = if ip.is_ipv4() { RecordType::A } else { RecordType::AAAA };
        match rrsets.iter_mut().find(|(rrset, _)| rrset.is(server, rtype)) {
            Some((rrset, _)) => rrset.rdata.push(Rdata::from_ip(*ip)),
            None => {
                let rdata = vec![Rdata::from_ip(*ip)];
                let glue = Rrset::new(server.clone(), rtype, ttl, rdata);
                rrsets.push((glue, Rank::AdditionalNoAa));
            }
        }
    }
    rrsets
}

/// `cache_lookup [+t] NAME...`: what is known at and below names.
pub(super) fn cache_lookup(control: &Control, args: &Args<'_>) -> Result<Chunks, String> {
    let (flags, words) = args.flags("t")?;
    if words.is_empty() {
        return Err(args.needs());
    }
    let names = words.iter().map(|word| name(word)).collect::<Result<Vec<_>, _>>()?;
    for (name, word) in names.iter().zip(words) {
        if name.label_count() < 2 && !flags.contains('t') {
            return Err(format!(
                "error: '{word}' is the root or a top level domain; +t allows that\n"
            ));
        }
    }
    let is_meant = |owner: &Name| names.iter().any(|name| owner.is_at_or_below(name));
    let cache = Arc::clone(&control.cache);
    let rrsets: Vec<_> = cache.rrset_keys().into_iter().filter(|key| is_meant(&key.0)).collect();
    let questions: Vec<_> =
        cache.answer_keys().into_iter().filter(|question| is_meant(&question.name)).collect();
    let mut writer = Writer { cache, now: Now::system(), written: HashSet::new() };
    let entries = rrsets.into_iter().map(Entry::Rrset);
    let all = entries.chain((0..questions.len()).map(Entry::Message));
    Ok(Box::new(all.map(move |entry| {
        let mut out = String::new();
        writer.entry(entry, &questions, &mut out);
        out
    })))
}

/// `dump_infra`
pub(super) fn infra(control: &Control, _: &Args<'_>) -> Result<Chunks, String> {
    let now = Now::system();
    let servers = control.cache.servers(now).into_iter();
    Ok(Box::new(servers.map(move |(server, zone, known)| {
        use crate::cache::EdnsState;

        let rtt = known.rtt.smoothed.unwrap_or(0);
        let rto = known.timeout(now).as_millis();
        let port = if server.port() == 53 { String::new() } else { format!("@{}", server.port()) };
        format!(
            "{}{port} {zone} ttl {} ping {rtt} var {} rtt {} rto {rto} tA {} tAAAA 0 tother 0 \
             ednsknown {} edns {} delay {} lame dnssec {} rec {} A {} other {}\n",
            server.ip(),
            now.unix.until(known.expires),
            known.rtt.variance,
            known.base().as_millis(),
            known.losses_left(now),
            u8::from(known.edns != EdnsState::Unknown),
            // -1 is Unbound's word for a server that does not understand EDNS.
            if known.takes_edns(now) { 0 } else { -1 },
            known.pause_ends().since(now.mono).as_secs(),
            u8::from(known.is_dnssec_lame(now)),
            0,
            u8::from(known.is_lame(now)),
            u8::from(known.is_lame(now)),
        )
    })))
}

/// `lookup NAME`: who would be asked about it.
pub(super) fn lookup(control: &Control, args: &Args<'_>) -> String {
    let name = match name(args.word(0)) {
        Ok(name) => name,
        Err(error) => return error,
    };
    let now = Now::system();
    let head = format!("The following name servers are used for lookup of {name}\n");
    let config = control.config.load();
    let closest = |zones: &[crate::config::ZoneTarget]| {
        let covers = zones.iter().filter(|zone| name.is_at_or_below(&zone.name));
        covers.max_by_key(|zone| zone.name.label_count()).cloned()
    };
    let (forward, stub) = (closest(&config.forward_zones), closest(&config.stub_zones));
    let labels = |zone: &Option<crate::config::ZoneTarget>| {
        zone.as_ref().map_or(0, |zone| zone.name.label_count() + 1)
    };
    let (target, words) = if labels(&forward) >= labels(&stub) {
        (forward, "forwarding request:\n")
    } else {
        (stub, "The stub zone is used:\n")
    };
    let learned = control.cache.delegation(&name, now);
    if let Some(zone) = target {
        let point = DelegationPoint {
            zone: zone.name.clone(),
            servers: zone.hosts.iter().map(|host| host.name.clone()).collect(),
            glue: Vec::new(),
            addresses: zone.addrs.iter().map(|server| server.addr).collect(),
            expires: now.unix,
            source: crate::cache::DelegationSource::Stub,
        };
        return head + words + &described(control, &point, now);
    }
    match learned {
        Some(point) => {
            let mut text = head;
            as_rrsets(&point, now).iter().for_each(|(rrset, _)| write_rrset(&mut text, rrset));
            text + &described(control, &point, now)
        }
        None => head + "no delegation from cache; goes to configured roots\n",
    }
}

fn described(control: &Control, point: &DelegationPoint, now: Now) -> String {
    let mut addresses = point.addresses.clone();
    addresses.extend(point.glue.iter().map(|(_, ip)| std::net::SocketAddr::new(*ip, 53)));
    let without = point.servers.iter().filter(|server| {
        !point.glue.iter().any(|(name, _)| name == *server)
            && control.cache.rrset(server, RecordType::A, now).is_none()
            && control.cache.rrset(server, RecordType::AAAA, now).is_none()
    });
    let mut text = format!(
        "Delegation with {} names, of which {} can be examined to query further addresses.\n\
         It provides {} IP addresses.\n",
        point.servers.len(),
        without.count(),
        addresses.len()
    );
    let known = control.cache.servers(now);
    for address in addresses {
        let port =
            if address.port() == 53 { String::new() } else { format!("@{}", address.port()) };
        let _ = write!(text, "{:<16}\t", format!("{}{port}", address.ip()));
        match known.iter().find(|(server, zone, _)| *server == address && *zone == point.zone) {
            None => text.push_str("not in infra cache.\n"),
            Some((.., server)) => {
                let _ = writeln!(
                    text,
                    "rto {} msec, ttl {}, ping {} var {} rtt {}, tA {}, tAAAA 0, tother 0, {}",
                    server.timeout(now).as_millis(),
                    now.unix.until(server.expires),
                    server.rtt.smoothed.unwrap_or(0),
                    server.rtt.variance,
                    server.base().as_millis(),
                    server.losses_left(now),
                    if server.edns == crate::cache::EdnsState::Unknown {
                        "EDNS unknown."
                    } else if server.takes_edns(now) {
                        "EDNS 0 probed."
                    } else {
                        "noEDNS probed."
                    }
                );
            }
        }
    }
    text
}
