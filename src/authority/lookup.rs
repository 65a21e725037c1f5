//! What a zone says to a question, as an authoritative server would say it (RFC 1034 §4.3.2, RFC
//! 4035 §3.1, RFC 5155 §7.2, RFC 6672 §3.2).

use super::zone::{Node, Zone};
use crate::wire::{Name, Question, Rcode, Rdata, RecordType, Rrset};

/// Aliases followed within one answer; where they lead beyond that the asker comes back.
const MAX_LINKS: usize = 16;

/// Names looked at in search of the NSEC record before a name. Between two there is glue only.
const MAX_GLUE: usize = 4_096;

/// What a zone says to a question.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reply {
    /// Response code.
    pub rcode: Rcode,
    /// AA: not a referral to somebody else.
    pub authoritative: bool,
    /// Answer section: aliases first, as far as they stay in the zone.
    pub answer: Vec<Rrset>,
    /// Authority section: SOA and proofs of what does not exist, or the delegation.
    pub authority: Vec<Rrset>,
    /// Additional section: addresses of hosts that the rest names, as far as the zone has them.
    pub additional: Vec<Rrset>,
}

/// What a zone has at a name.
enum Found<'z> {
    /// The name belongs to a zone that was delegated at or above it.
    Cut(&'z Name, &'z Node),
    /// It is below a DNAME.
    Dname(&'z Rrset),
    /// It exists: by itself, or by a wildcard.
    Node(&'z Node, Option<Source>),
    /// It exists only because something below it does.
    Empty,
    /// It does not exist; the closest name above that does.
    Nothing(Name),
}

/// The wildcard a name exists by.
#[derive(Clone, Debug)]
struct Source {
    wildcard: Name,
    /// The closest name above that exists.
    encloser: Name,
}

impl Zone {
    /// Answers a question for a name in the zone, with all proofs the zone has; REFUSED for names
    /// outside. For DS at the apex it says what the zone itself knows: that it is the parent's to
    /// say.
    pub fn answer(&self, question: &Question) -> Reply {
        let mut reply = Reply {
            rcode: Rcode::NOERROR,
            authoritative: true,
            answer: Vec::new(),
            authority: Vec::new(),
            additional: Vec::new(),
        };
        let mut name = question.name.clone();
        if !name.is_at_or_below(self.apex()) {
            reply.rcode = Rcode::REFUSED;
            reply.authoritative = false;
            return reply;
        }
        for _ in 0..MAX_LINKS {
            match self.step(&name, question.rtype, &mut reply) {
                Some(next) if next.is_at_or_below(self.apex()) && !leads_back(&reply, &next) => {
                    name = next;
                }
                _ => break,
            }
        }
        reply
    }

    /// Adds what the zone says about one name; where an alias leads.
    fn step(&self, name: &Name, rtype: RecordType, reply: &mut Reply) -> Option<Name> {
        match self.find(name, rtype) {
            // After an alias the asker has to come back anyway.
            Found::Cut(..) if !reply.answer.is_empty() => None,
            Found::Cut(cut, node) => {
                self.refer(cut, node, reply);
                None
            }
            Found::Dname(dname) => substitute(name, dname, reply),
            Found::Node(node, source) => self.give(name, rtype, node, source, reply),
            Found::Empty => {
                self.deny(reply);
                self.prove_no_type(name, None, reply);
                None
            }
            Found::Nothing(encloser) => {
                reply.rcode = Rcode::NXDOMAIN;
                self.deny(reply);
                self.prove_no_name(name, &encloser, reply);
                None
            }
        }
    }

    /// Goes down from the apex, so that nothing below a delegation or a DNAME is seen.
    fn find(&self, name: &Name, rtype: RecordType) -> Found<'_> {
        let mut encloser = self.apex().clone();
        for labels in self.apex().label_count()..=name.label_count() {
            let here = name.suffix(labels);
            let Some((known, node)) = self.nodes.get_key_value(&here) else {
                if !self.is_empty_non_terminal(&here) {
                    break;
                }
                if labels == name.label_count() {
                    return Found::Empty;
                }
                encloser = here;
                continue;
            };
            let last = labels == name.label_count();
            // The parent's side of a cut says what DS there is.
            if node.is_cut(&here, self.apex()) && !(last && rtype == RecordType::DS) {
                return Found::Cut(known, node);
            }
            if last {
                return Found::Node(node, None);
            }
            if let Some(dname) = node.get(RecordType::DNAME) {
                return Found::Dname(dname);
            }
            encloser = here;
        }
        let wildcard = encloser.wildcard_child().ok();
        match wildcard.and_then(|wildcard| Some((self.nodes.get(&wildcard)?, wildcard))) {
            Some((node, wildcard)) => Found::Node(node, Some(Source { wildcard, encloser })),
            None => Found::Nothing(encloser),
        }
    }

    /// Whether a name without records has some below it. In canonical order they follow it.
    fn is_empty_non_terminal(&self, name: &Name) -> bool {
        let mut behind = self.nodes.range(name..);
        behind.next().is_some_and(|(next, _)| next.is_at_or_below(name))
    }

    /// What a name that exists has to give.
    fn give(
        &self,
        name: &Name,
        rtype: RecordType,
        node: &Node,
        source: Option<Source>,
        reply: &mut Reply,
    ) -> Option<Name> {
        let expanded = |set: &Rrset| match &source {
            Some(_) => Rrset { owner: name.clone(), ..set.clone() },
            None => set.clone(),
        };
        let mut sets: Vec<Rrset> = wanted(node, rtype).iter().map(expanded).collect();
        let mut target = None;
        if sets.is_empty()
            && !matches!(rtype, RecordType::NSEC | RecordType::DS)
            && let Some(alias) = node.get(RecordType::CNAME)
        {
            sets.push(expanded(alias));
            target = alias.alias_target();
        }
        if sets.is_empty() {
            self.deny(reply);
            self.prove_no_type(name, source.as_ref(), reply);
            return None;
        }
        self.add_hosts(&sets, reply);
        reply.answer.extend(sets);
        if let Some(source) = &source {
            self.prove_no_closer(name, &source.encloser, reply);
        }
        target
    }

    /// A delegation: its NS, DS or the proof that there is none, and glue.
    fn refer(&self, cut: &Name, node: &Node, reply: &mut Reply) {
        reply.authoritative = false;
        let Some(ns) = node.get(RecordType::NS) else { return };
        self.add_hosts(std::slice::from_ref(ns), reply);
        // Whatever signatures are here are not the parent's.
        reply.authority.push(Rrset { signatures: Vec::new(), ..ns.clone() });
        match node.get(RecordType::DS) {
            Some(ds) => reply.authority.push(ds.clone()),
            None => self.prove_no_type(cut, None, reply),
        }
    }

    /// The SOA of a negative answer, its TTL as RFC 2308 §3 wants it.
    fn deny(&self, reply: &mut Reply) {
        if let (Some(set), Some(soa)) = (self.rrset(self.apex(), RecordType::SOA), self.soa()) {
            reply.authority.push(Rrset { ttl: set.ttl.min(soa.minimum), ..set.clone() });
        }
    }

    //--- Proofs

    /// That a name which exists, by a wildcard perhaps, does not have the type.
    fn prove_no_type(&self, name: &Name, source: Option<&Source>, reply: &mut Reply) {
        let existing = source.map_or(name, |source| &source.wildcard);
        if let Some(chain) = &self.nsec3 {
            match chain.matching(existing, self) {
                Some(record) => add(reply, record),
                // Only opt-out leaves names without a record of their own.
                None => return self.prove_by_encloser(name, &self.closest_hashed(name), reply),
            }
            if let Some(source) = source {
                self.prove_by_encloser(name, &source.encloser, reply);
            }
            return;
        }
        let own = self.rrset(existing, RecordType::NSEC);
        own.or_else(|| self.nsec_before(existing)).into_iter().for_each(|nsec| add(reply, nsec));
        if let Some(source) = source {
            self.prove_no_closer(name, &source.encloser, reply);
        }
    }

    /// That a name does not exist, and neither does a wildcard for it.
    fn prove_no_name(&self, name: &Name, encloser: &Name, reply: &mut Reply) {
        let wildcard = encloser.wildcard_child().ok();
        if let Some(chain) = &self.nsec3 {
            self.prove_by_encloser(name, encloser, reply);
            let record = wildcard.and_then(|wildcard| chain.covering(&wildcard, self));
            record.into_iter().for_each(|record| add(reply, record));
            return;
        }
        for denied in [Some(name), wildcard.as_ref()].into_iter().flatten() {
            self.nsec_before(denied).into_iter().for_each(|nsec| add(reply, nsec));
        }
    }

    /// That there is no name closer to `name` than `encloser`, which is known to exist.
    fn prove_no_closer(&self, name: &Name, encloser: &Name, reply: &mut Reply) {
        let record = match &self.nsec3 {
            Some(chain) => chain.covering(&next_closer(name, encloser), self),
            None => self.nsec_before(name),
        };
        record.into_iter().for_each(|record| add(reply, record));
    }

    /// The closest encloser by its own NSEC3 record, and that there is nothing closer (RFC 5155
    /// §7.2.1).
    fn prove_by_encloser(&self, name: &Name, encloser: &Name, reply: &mut Reply) {
        let Some(chain) = &self.nsec3 else { return };
        let encloser = self.closest_hashed(encloser);
        for record in
            [chain.matching(&encloser, self), chain.covering(&next_closer(name, &encloser), self)]
        {
            record.into_iter().for_each(|record| add(reply, record));
        }
    }

    /// The closest name at or above `name` that has an NSEC3 record of its own.
    fn closest_hashed(&self, name: &Name) -> Name {
        let inside = |name: &Name| name.is_at_or_below(self.apex());
        let hashed = |name: &Name| {
            self.nsec3.as_ref().is_some_and(|chain| chain.matching(name, self).is_some())
        };
        let mut above = name.ancestors().take_while(inside);
        above.find(hashed).unwrap_or_else(|| self.apex().clone())
    }

    /// The NSEC record in whose span a name lies.
    fn nsec_before(&self, name: &Name) -> Option<&Rrset> {
        let before = self.nodes.range(..name).rev().take(MAX_GLUE);
        before.filter_map(|(_, node)| node.get(RecordType::NSEC)).next()
    }

    //--- Hosts

    /// Adds the addresses of hosts that NS, MX and SRV records name.
    fn add_hosts(&self, sets: &[Rrset], reply: &mut Reply) {
        let naming =
            |set: &&Rrset| matches!(set.rtype, RecordType::NS | RecordType::MX | RecordType::SRV);
        for set in sets.iter().filter(naming) {
            for host in set.rdata.iter().filter_map(|rdata| rdata.as_name(set.rtype)) {
                for rtype in [RecordType::A, RecordType::AAAA] {
                    let address = self.rrset(&host, rtype);
                    let known = reply.additional.iter().any(|known| known.is(&host, rtype));
                    reply.additional.extend(address.filter(|_| !known).cloned());
                }
            }
        }
    }
}

/// The RRsets of a name that a question asks for. Of ANY the usual ones, or else any one (RFC 8482
/// §4.1); of RRSIG all there are.
fn wanted(node: &Node, rtype: RecordType) -> Vec<Rrset> {
    const USUAL: [RecordType; 5] =
        [RecordType::SOA, RecordType::MX, RecordType::A, RecordType::AAAA, RecordType::CNAME];
    match rtype {
        RecordType::ANY => {
            let usual: Vec<_> =
                USUAL.iter().filter_map(|usual| node.get(*usual)).cloned().collect();
            if usual.is_empty() {
                node.rrsets().first().cloned().into_iter().collect()
            } else {
                usual
            }
        }
        RecordType::RRSIG => {
            let mut rdata: Vec<Rdata> = Vec::new();
            for set in node.rrsets() {
                let own = (set.rtype == RecordType::RRSIG).then_some(&set.rdata);
                rdata.extend(own.into_iter().flatten().chain(&set.signatures).cloned());
            }
            let ttl = node.rrsets().iter().map(|set| set.ttl).min().unwrap_or(0);
            let owner = node.rrsets().first().map(|set| set.owner.clone());
            let set = owner.map(|owner| Rrset::new(owner, rtype, ttl, rdata));
            set.filter(|set| !set.rdata.is_empty()).into_iter().collect()
        }
        _ => node.get(rtype).cloned().into_iter().collect(),
    }
}

/// The DNAME and the alias it makes of the name; where that leads. YXDOMAIN when that is too long.
fn substitute(name: &Name, dname: &Rrset, reply: &mut Reply) -> Option<Name> {
    let target = name.substitute(&dname.owner, &dname.alias_target()?)?;
    reply.answer.push(dname.clone());
    let Ok(target) = target else {
        reply.rcode = Rcode::YXDOMAIN;
        return None;
    };
    let rdata = vec![Rdata::from_name(&target)];
    reply.answer.push(Rrset::new(name.clone(), RecordType::CNAME, dname.ttl, rdata));
    Some(target)
}

/// Whether the answer went through that name already.
fn leads_back(reply: &Reply, next: &Name) -> bool {
    reply.answer.iter().any(|set| set.is(next, RecordType::CNAME))
}

/// Adds a proof once.
fn add(reply: &mut Reply, proof: &Rrset) {
    if !reply.authority.iter().any(|known| known.is(&proof.owner, proof.rtype)) {
        reply.authority.push(proof.clone());
    }
}

/// The name one label longer than `encloser` on the way to `name` (RFC 5155 §1.3).
fn next_closer(name: &Name, encloser: &Name) -> Name {
    name.suffix(encloser.label_count() + 1)
}
