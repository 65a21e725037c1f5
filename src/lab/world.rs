//! A whole Internet, read from a text: zones, servers, root hints and trust anchors.
//!
//! ```text
//! $ZONE . 192.0.2.1                 ; a zone and the addresses of its server
//! $ZONE example. 192.0.2.2          ; delegated, and vouched for, by the zone above
//! $NSEC3 iterations 1 salt abcd
//! www     A 192.0.2.80              ; records as in a zone file, relative names too
//! $BREAK expired www A              ; something that is wrong with it
//! $SERVER 192.0.2.2 delay 100       ; and with its server
//! ```
//!
//! What a zone needs is made where the text does not say it: SOA, NS and the addresses of the name
//! server, the delegation in the parent zone with glue and DS, keys. Zones are signed with
//! Ed25519 unless they say otherwise.
//!
//! | line | meaning |
//! |---|---|
//! | `$ZONE NAME ADDRESS…` | a zone begins; without `NS` records one is made, with these addresses |
//! | `$SIGN ALGORITHM [csk] [seed WORD] [twins N] [no-zone-bit] [revoked]` | its keys |
//! | `$UNSIGNED` | it has none |
//! | `$NSEC3 [iterations N] [salt HEX] [opt-out]` | it denies with NSEC3 |
//! | `$DS none`, `$DS KIND…` | what the parent says of its keys, see [`DsKind`] |
//! | `$ANCHOR`, `$NOANCHOR` | it is a trust anchor (the root is unless it says no) |
//! | `$AGAIN NAME` | goes on with a zone that began before |
//! | `$NODELEGATION` | the parent zone does not know it |
//! | `$BREAK KIND [OWNER [TYPE]]` | a fault, see [`FaultKind`](super::FaultKind) |
//! | `$FILL OWNER OCTETS` | TXT records of about that size |
//! | `$GENERATE FROM-TO LINE` | records, with `$` standing for the number |
//! | `$ORIGIN NAME`, `$TTL SECONDS` | as in a zone file |
//! | `$SERVER ADDRESS BEHAVIOR` | a misbehavior, see [`Behavior`] |

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::Transport;
use super::denial::Denial;
use super::faults::{Behavior, DsKind, Fault, Plain};
use super::server::{Reply, Server};
use super::signer::Algorithm;
use super::text::{self, LabError, Line, Mistake, Records};
use super::zone::{KeyPlan, Keys, Zone};
use crate::clock::UnixTime;
use crate::config::{AnchorKind, RootHint, TrustAnchor};
use crate::wire::{Class, Dnskey, Ds, Name, Rdata, Record, RecordType};

/// TTL of records that do not say theirs, in seconds.
const TTL: u32 = 300;

/// Zones and their servers, by address.
#[derive(Debug, Default)]
pub struct World {
    zones: Vec<Zone>,
    servers: BTreeMap<IpAddr, Server>,
    anchors: Vec<TrustAnchor>,
}

impl World {
    /// Reads the text and makes keys for its zones.
    ///
    /// # Errors
    ///
    /// [`LabError`] with the line and what is wrong there.
    pub fn new(text: &str) -> Result<Self, LabError> {
        Self::from_lines(&text::lines(text, 1)?)
    }

    /// The same from lines that were split already.
    ///
    /// # Errors
    ///
    /// [`LabError`] with the line and what is wrong there.
    pub fn from_lines(lines: &[Line]) -> Result<Self, LabError> {
        let mut reader = Reader::default();
        for line in lines {
            reader.line(line)?;
        }
        reader.finish()
    }

    /// What the server at that address sends back.
    pub fn respond(
        &self,
        to: IpAddr,
        query: &[u8],
        transport: Transport,
        now: UnixTime,
    ) -> Vec<Reply> {
        let server = self.servers.get(&to);
        server.map_or_else(Vec::new, |server| server.respond(&self.zones, query, transport, now))
    }

    /// Whether there is a server at that address to which a connection can be made.
    pub fn reaches(&self, to: IpAddr) -> bool {
        self.servers.get(&to).is_some_and(|server| !server.is(Plain::Unreachable))
    }

    /// The addresses of all servers.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.servers.keys().copied()
    }

    /// The name servers of the root with their addresses.
    pub fn hints(&self) -> Vec<RootHint> {
        let root = self.zones.iter().find(|zone| zone.origin.is_root());
        let hosts = root.and_then(|zone| zone.rrset(&zone.origin, RecordType::NS));
        let hosts = hosts.into_iter().flat_map(|ns| &ns.rdata);
        hosts
            .filter_map(|host| {
                let name = host.as_name(RecordType::NS)?;
                Some(RootHint { addrs: self.host_addresses(&name), name })
            })
            .collect()
    }

    fn host_addresses(&self, host: &Name) -> Vec<IpAddr> {
        let mut out = Vec::new();
        for zone in &self.zones {
            for rtype in [RecordType::A, RecordType::AAAA] {
                let rdata = zone.rrset(host, rtype).into_iter().flat_map(|rrset| &rrset.rdata);
                out.extend(rdata.filter_map(Rdata::as_ip));
            }
        }
        out.sort_unstable();
        out.dedup();
        out
    }

    /// The trust anchors as lines of unbound.conf.
    pub fn trust(&self) -> String {
        let mut out = String::from("server:\n");
        for anchor in &self.anchors {
            let Some(ds) = Ds::parse(&anchor.rdata) else { continue };
            let digest = data_encoding::HEXUPPER.encode(ds.digest);
            let Ds { key_tag, algorithm, digest_type, .. } = ds;
            let owner = &anchor.owner;
            out.push_str(&format!(
                "trust-anchor: \"{owner} DS {key_tag} {algorithm} {digest_type} {digest}\"\n"
            ));
        }
        out
    }

    /// The name servers of the root as a hints file.
    pub fn hints_file(&self) -> String {
        let mut out = String::new();
        for hint in self.hints() {
            out.push_str(&format!(". 3600 NS {}\n", hint.name));
            for address in &hint.addrs {
                let rtype = if address.is_ipv4() { "A" } else { "AAAA" };
                out.push_str(&format!("{} 3600 {rtype} {address}\n", hint.name));
            }
        }
        out
    }

    /// Digests of the keys that are to be trusted.
    pub fn anchors(&self) -> &[TrustAnchor] {
        &self.anchors
    }

    /// Changes how the server at that address behaves from now on.
    pub fn set_behaviors(&mut self, to: IpAddr, behaviors: Vec<Behavior>) {
        self.servers.entry(to).or_default().behaviors = behaviors;
    }

    /// Removes an RRset, or all of an owner, from every zone that has it.
    pub fn remove(&mut self, owner: &Name, rtype: Option<RecordType>) {
        for zone in self.zones.iter_mut().filter(|zone| owner.is_at_or_below(&zone.origin)) {
            zone.remove(owner, rtype);
            zone.finish();
        }
    }

    /// Adds a record to the zone it belongs to.
    pub fn insert(&mut self, record: Record) {
        let zones = self.zones.iter_mut().filter(|z| record.owner.is_at_or_below(&z.origin));
        if let Some(zone) = zones.max_by_key(|zone| zone.origin.label_count()) {
            zone.insert(record);
            zone.finish();
        }
    }
}

/// A zone while it is read.
struct Draft {
    line: usize,
    origin: Name,
    addresses: Vec<IpAddr>,
    records: Vec<Record>,
    plan: Option<KeyPlan>,
    denial: Denial,
    ds: Vec<DsKind>,
    anchor: bool,
    delegated: bool,
    faults: Vec<Fault>,
}

#[derive(Default)]
struct Reader {
    drafts: Vec<Draft>,
    behaviors: Vec<(IpAddr, Behavior)>,
    /// The zone that lines belong to, and how its records are read.
    current: Option<(usize, Records)>,
}

impl Reader {
    fn line(&mut self, line: &Line) -> Result<(), LabError> {
        let number = line.number;
        let at = |mistake: Mistake| mistake.at(number);
        match line.word(0, "a word")? {
            "$ZONE" => return self.begin_zone(line),
            "$AGAIN" => return self.again(line),
            "$SERVER" => {
                let address = address(line, 1)?;
                self.behaviors.push((address, Behavior::read(&line.after(2))?));
                return Ok(());
            }
            _ => {}
        }
        let no_zone = || at(Mistake::NoZone);
        let (index, records) = self.current.as_mut().ok_or_else(no_zone)?;
        let draft = self.drafts.get_mut(*index).ok_or_else(no_zone)?;
        match line.word(0, "a word")? {
            "$SIGN" => draft.plan = Some(key_plan(line)?),
            "$UNSIGNED" => draft.plan = None,
            "$NSEC3" => draft.denial = nsec3(line)?,
            "$DS" => draft.ds = ds_kinds(line)?,
            "$ANCHOR" => draft.anchor = true,
            "$NOANCHOR" => draft.anchor = false,
            "$NODELEGATION" => draft.delegated = false,
            "$BREAK" => draft.faults.push(Fault::read(&line.after(1), &draft.origin)?),
            "$ORIGIN" => {
                let origin = text::name(line.word(1, "a name")?, &records.origin);
                records.origin = origin.map_err(|e| at(e.into()))?;
            }
            "$TTL" => {
                let ttl = line.word(1, "seconds")?.parse();
                records.ttl = ttl.map_err(|_| at(Mistake::Expected("seconds")))?;
            }
            "$FILL" => fill(line, records, &mut draft.records)?,
            "$GENERATE" => generate(line, records, &mut draft.records)?,
            _ => draft.records.push(records.record(line)?),
        }
        Ok(())
    }

    fn begin_zone(&mut self, line: &Line) -> Result<(), LabError> {
        let origin = text::name(line.word(1, "a name")?, &Name::root())
            .map_err(|error| Mistake::from(error).at(line.number))?;
        let count = line.tokens.len().saturating_sub(2);
        let addresses = (0..count).map(|i| address(line, i + 2)).collect::<Result<_, _>>()?;
        self.current = Some((self.drafts.len(), Records::new(origin.clone(), TTL)));
        self.drafts.push(Draft {
            line: line.number,
            addresses,
            records: Vec::new(),
            plan: Some(KeyPlan::default()),
            denial: Denial::Nsec,
            ds: vec![DsKind::Sha256],
            anchor: origin.is_root(),
            delegated: true,
            faults: Vec::new(),
            origin,
        });
        Ok(())
    }

    fn again(&mut self, line: &Line) -> Result<(), LabError> {
        let origin = text::name(line.word(1, "a name")?, &Name::root())
            .map_err(|error| Mistake::from(error).at(line.number))?;
        let index = self.drafts.iter().rposition(|draft| draft.origin == origin);
        let index = index.ok_or_else(|| Mistake::NoZone.at(line.number))?;
        self.current = Some((index, Records::new(origin, TTL)));
        Ok(())
    }

    fn finish(self) -> Result<World, LabError> {
        let mut world = World::default();
        let mut keys: BTreeMap<(Name, String), Arc<Keys>> = BTreeMap::new();
        for draft in &self.drafts {
            world.add(draft, &mut keys)?;
        }
        for (address, behavior) in self.behaviors {
            world.servers.entry(address).or_default().behaviors.push(behavior);
        }
        for (i, draft) in self.drafts.iter().enumerate() {
            if draft.delegated && !draft.origin.is_root() {
                world.delegate(i, &draft.ds);
            }
        }
        for zone in &mut world.zones {
            zone.finish();
        }
        if world.hints().iter().all(|hint| hint.addrs.is_empty()) {
            return Err(Mistake::NoRoot.at(1));
        }
        Ok(world)
    }
}

impl World {
    fn add(
        &mut self,
        draft: &Draft,
        known: &mut BTreeMap<(Name, String), Arc<Keys>>,
    ) -> Result<(), LabError> {
        let keys = match &draft.plan {
            None => None,
            Some(plan) => {
                let same = (draft.origin.clone(), format!("{plan:?}"));
                Some(match known.get(&same) {
                    Some(keys) => Arc::clone(keys),
                    None => {
                        let keys = Keys::new(&draft.origin, plan);
                        let keys = Arc::new(keys.map_err(|mistake| mistake.at(draft.line))?);
                        known.insert(same, Arc::clone(&keys));
                        keys
                    }
                })
            }
        };
        if let Some(keys) = keys.as_ref().filter(|_| draft.anchor) {
            self.anchors.push(TrustAnchor {
                owner: draft.origin.to_lowercase(),
                kind: AnchorKind::Ds,
                rdata: keys.sep().ds(&draft.origin, 2),
            });
        }
        let mut zone = Zone::new(draft.origin.clone(), keys, draft.denial.clone());
        zone.faults.clone_from(&draft.faults);
        draft.records.iter().for_each(|record| zone.insert(record.clone()));
        if zone.rrset(&zone.origin, RecordType::NS).is_none() {
            name_server(&mut zone, &draft.addresses);
        }
        let index = self.zones.len();
        for address in &draft.addresses {
            let server = self.servers.entry(*address).or_default();
            if server.zones.iter().any(|i| self.zones[*i].origin == zone.origin) {
                return Err(Mistake::Twice.at(draft.line));
            }
            server.zones.push(index);
        }
        self.zones.push(zone);
        Ok(())
    }

    /// Makes the zone above know the zone: NS and glue unless it says something itself, and DS.
    fn delegate(&mut self, index: usize, ds: &[DsKind]) {
        let child = self.zones[index].clone();
        let above = self.zones.iter().map(|zone| &zone.origin);
        let Some(parent) = above
            .filter(|origin| child.origin.is_below(origin))
            .max_by_key(|origin| origin.label_count())
            .cloned()
        else {
            return;
        };
        for zone in self.zones.iter_mut().filter(|zone| zone.origin == parent) {
            if zone.rrset(&child.origin, RecordType::NS).is_none() {
                copy_delegation(zone, &child);
            }
            if zone.keys().is_none() || zone.rrset(&child.origin, RecordType::DS).is_some() {
                continue;
            }
            for kind in ds {
                if let Some(rdata) = ds_rdata(&child, *kind) {
                    zone.insert(record(&child.origin, RecordType::DS, 3600, rdata));
                }
            }
        }
    }
}

/// NS of a zone that does not say who serves it: `ns1` in the zone, `a.root.` for the root.
fn name_server(zone: &mut Zone, addresses: &[IpAddr]) {
    let labels: &[&[u8]] = if zone.origin.is_root() { &[b"a", b"root"] } else { &[b"ns1"] };
    let labels = labels.iter().copied().chain(zone.origin.labels());
    let Ok(host) = Name::from_labels(labels) else { return };
    let origin = zone.origin.clone();
    zone.insert(record(&origin, RecordType::NS, 3600, Rdata::from_name(&host)));
    for address in addresses {
        let rtype = if address.is_ipv4() { RecordType::A } else { RecordType::AAAA };
        zone.insert(record(&host, rtype, 3600, Rdata::from_ip(*address)));
    }
}

fn copy_delegation(parent: &mut Zone, child: &Zone) {
    let Some(ns) = child.rrset(&child.origin, RecordType::NS) else { return };
    for rdata in &ns.rdata {
        parent.insert(record(&child.origin, RecordType::NS, ns.ttl, rdata.clone()));
        let Some(host) = rdata.as_name(RecordType::NS).filter(|h| h.is_at_or_below(&child.origin))
        else {
            continue;
        };
        for rtype in [RecordType::A, RecordType::AAAA] {
            for glue in child.rrset(&host, rtype).into_iter().flat_map(|rrset| &rrset.rdata) {
                parent.insert(record(&host, rtype, ns.ttl, glue.clone()));
            }
        }
    }
}

fn ds_rdata(child: &Zone, kind: DsKind) -> Option<Rdata> {
    let keys = child.keys();
    let sep = keys.map(|keys| keys.sep());
    let changed = |at: usize, to: fn(u8) -> u8| {
        let mut octets = sep?.ds(&child.origin, 2).as_bytes().to_vec();
        if let Some(octet) = octets.get_mut(at) {
            *octet = to(*octet);
        }
        Some(Rdata::from_bytes(octets))
    };
    match kind {
        DsKind::Sha256 => Some(sep?.ds(&child.origin, 2)),
        DsKind::Sha1 => Some(sep?.ds(&child.origin, 1)),
        DsKind::Sha384 => Some(sep?.ds(&child.origin, 4)),
        DsKind::WrongDigest => changed(4, |octet| octet ^ 1),
        DsKind::UnknownAlgorithm => changed(2, |_| Algorithm::Unknown.number()),
        DsKind::UnknownDigest => changed(3, |_| 200),
        DsKind::WrongKey => match keys {
            Some(keys) => Some(keys.foreign().ds(&child.origin, 2)),
            None => {
                let keys = Keys::new(&child.origin, &KeyPlan::default()).ok()?;
                Some(keys.sep().ds(&child.origin, 2))
            }
        },
    }
}

fn record(owner: &Name, rtype: RecordType, ttl: u32, rdata: Rdata) -> Record {
    Record { owner: owner.clone(), rtype, class: Class::IN, ttl, rdata }
}

/// The address that is word `i`.
pub(super) fn address(line: &Line, i: usize) -> Result<IpAddr, LabError> {
    let word = line.word(i, "an address")?;
    word.parse().map_err(|_| Mistake::Expected("an address").at(line.number))
}

fn number<T: std::str::FromStr>(word: Option<&str>, line: &Line) -> Result<T, LabError> {
    let number = word.and_then(|word| word.parse().ok());
    number.ok_or_else(|| Mistake::Expected("a number").at(line.number))
}

fn key_plan(line: &Line) -> Result<KeyPlan, LabError> {
    let at = |what| Mistake::Expected(what).at(line.number);
    let mut plan = KeyPlan {
        algorithm: Algorithm::from_word(line.word(1, "an algorithm")?)
            .ok_or_else(|| at("an algorithm"))?,
        ..KeyPlan::default()
    };
    let mut words = line.words(2);
    while let Some(word) = words.next() {
        match word {
            "csk" => plan.single = true,
            "seed" => plan.seed = words.next().ok_or_else(|| at("a seed"))?.to_owned(),
            "twins" => plan.twins = number(words.next(), line)?,
            "no-zone-bit" => plan.flags &= !Dnskey::ZONE,
            "revoked" => plan.flags |= Dnskey::REVOKE,
            _ => return Err(at("csk, seed, twins, no-zone-bit or revoked")),
        }
    }
    Ok(plan)
}

fn nsec3(line: &Line) -> Result<Denial, LabError> {
    let at = |what| Mistake::Expected(what).at(line.number);
    let (mut iterations, mut salt, mut opt_out) = (0, Vec::new(), false);
    let mut words = line.words(1);
    while let Some(word) = words.next() {
        match word {
            "iterations" => iterations = number(words.next(), line)?,
            "opt-out" => opt_out = true,
            "salt" => {
                let hex = words.next().unwrap_or_default().as_bytes();
                let octets = data_encoding::HEXLOWER_PERMISSIVE.decode(hex);
                salt = octets.map_err(|_| at("hexadecimal digits"))?;
            }
            _ => return Err(at("iterations, salt or opt-out")),
        }
    }
    Ok(Denial::Nsec3 { iterations, salt, opt_out })
}

fn ds_kinds(line: &Line) -> Result<Vec<DsKind>, LabError> {
    if line.word(1, "a kind of DS")? == "none" {
        return Ok(Vec::new());
    }
    let kinds = line.words(1).map(DsKind::from_word).collect::<Option<_>>();
    kinds.ok_or_else(|| Mistake::Expected("a kind of DS").at(line.number))
}

/// TXT records of 200 octets each, up to about the size asked for.
fn fill(line: &Line, records: &Records, out: &mut Vec<Record>) -> Result<(), LabError> {
    let owner = text::name(line.word(1, "an owner")?, &records.origin)
        .map_err(|e| Mistake::from(e).at(line.number))?;
    let octets: usize = number(line.words(2).next(), line)?;
    // Owner pointer, type, class, TTL, length, length of the string: 13 octets more.
    for i in 0..octets.div_ceil(213) {
        let text = [&[200], format!("{i:0>200}").as_bytes()].concat();
        out.push(record(&owner, RecordType::TXT, records.ttl, Rdata::from_bytes(text)));
    }
    Ok(())
}

fn generate(line: &Line, records: &mut Records, out: &mut Vec<Record>) -> Result<(), LabError> {
    let range = line.word(1, "a range")?;
    let (from, to) =
        range.split_once('-').ok_or_else(|| Mistake::Expected("a range").at(line.number))?;
    let (from, to): (u32, u32) = (number(Some(from), line)?, number(Some(to), line)?);
    for i in from..=to {
        let mut one = Line { indented: false, ..line.after(2) };
        for token in &mut one.tokens {
            token.text = token.text.replace('$', &i.to_string());
        }
        out.push(records.record(&one)?);
    }
    Ok(())
}
