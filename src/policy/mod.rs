//! What happens to a client's query before anything is looked up, and to the answer before it goes
//! out.
//!
//! A [`Policy`] is made of a [`Config`] once and never changes, but for the content of response
//! policy zones. Deciding that a query goes on, as nearly all do, allocates nothing.
//!
//! A query is dropped, refused, answered from the configuration, or goes on ([`Policy::decide`]).
//! Where it goes on and its answer is subject to policy, there is a [`Lens`], and the answer has to
//! go through a [`Screening`]. `docs/policy.md` has the order in which things are decided.
//!
//! # RFCs
//!
//! 6303, 6761 (names that are answered locally), 8482 (ANY), 4892 (`id.server`).

mod alias;
mod blocks;
mod chaos;
mod clients;
mod cookies;
mod defaults;
mod local;
mod responses;
mod rpz;
mod screening;
#[cfg(test)]
mod screening_tests;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::cache::Answer;
use crate::config::{AccessAction, Config, LocalZone, View};
use crate::status::{Reason, SecurityStatus};
use crate::wire::{Class, Name, Question, Rcode, Rdata, RecordType, Rrset};

use chaos::Chaos;
pub use clients::Client;
use clients::{Clients, Sight};
pub use cookies::{Cookie, Cookies, Standing};
pub use defaults::lan_zones;
use local::{InView, LocalZones};
use responses::{Effect, Found, Responses};
pub use rpz::Hit;
use rpz::{Action, PolicyZones, Trigger};
pub use screening::{Audience, Link, Screening, Step};

/// Seconds the answer to ANY may be kept: long, since it says nothing that changes.
const ANY_TTL: u32 = 3600;

/// Access control, local zones, and what the resolver says about itself.
#[derive(Debug)]
pub struct Policy {
    clients: Clients,
    zones: LocalZones,
    views: Vec<ViewPolicy>,
    responses: Responses,
    policy_zones: Arc<PolicyZones>,
    chaos: Chaos,
    deny_any: bool,
}

/// What is different for those who see a view.
#[derive(Debug)]
struct ViewPolicy {
    /// Look outside for what is not in it.
    first: bool,
    /// None: the view says nothing about names.
    zones: Option<LocalZones>,
    responses: Responses,
}

/// Through what an answer is looked at for a client; answers are the same for equal ones.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Lens {
    sight: u32,
    /// Policy zones apply.
    rpz: bool,
    /// It goes over TCP.
    stream: bool,
}

/// A query, as far as policy looks at it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// QNAME in wire form, uncompressed, checked.
    pub name_wire: &'a [u8],
    /// QTYPE.
    pub rtype: RecordType,
    /// QCLASS.
    pub class: Class,
    /// RD.
    pub recursion_desired: bool,
    /// It came over TCP or TLS, so that the client's address is proven.
    pub stream: bool,
    /// What its DNS cookie is worth; `None`: it has none, or nobody looks at cookies.
    pub cookie: Option<Standing>,
}

/// What becomes of a query.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Decision {
    /// Answer it, from the cache or by resolving. Through a lens: the answer is subject to policy.
    Resolve(Option<Lens>),
    /// Answer it if the cache can; the client did not ask for recursion.
    CacheOnly(Option<Lens>),
    /// No answer.
    Drop,
    /// REFUSED.
    Refuse(Reason),
    /// An empty answer with TC, so that the client comes back over TCP.
    Truncate,
    /// BADCOOKIE: the client is to come back with the cookie that it gets.
    BadCookie,
    /// REFUSED with TC: the client is to come back over TCP.
    ProveAddress,
    /// Local data, or its absence: an authoritative answer.
    Local(Box<Answer>),
    /// What a zone that is served here says (`auth-zone:`).
    Copied(Box<Answer>),
    /// The name is made an alias: resolve its target and put this before it.
    Alias(Box<Rrset>),
}

impl Policy {
    /// The policy of a configuration on a machine with that host name. Its policy zones are empty.
    pub fn new(config: &Config, host: &str) -> Self {
        let view = |view: &View| ViewPolicy {
            first: view.first,
            zones: (!view.zones.is_empty() || !view.data.is_empty())
                .then(|| LocalZones::of_view(view, config.unblock_lan_zones)),
            responses: Responses::new(&view.responses),
        };
        Self {
            clients: Clients::new(config),
            zones: LocalZones::new(config),
            views: config.policy.views.iter().map(view).collect(),
            responses: Responses::new(&config.policy.responses),
            policy_zones: Arc::new(PolicyZones::new(&config.policy.rpz)),
            chaos: Chaos::new(config, host),
            deny_any: config.deny_any,
        }
    }

    /// The same with the policy zones of another policy, whose configuration has the same ones.
    #[must_use]
    pub fn with_policy_zones_of(self, other: &Self) -> Self {
        Self { policy_zones: Arc::clone(&other.policy_zones), ..self }
    }

    /// Who asks at our address `local`, when that is known. With [`AccessAction::Deny`] and
    /// [`AccessAction::Refuse`] there is nothing else to ask.
    pub fn client(&self, client: IpAddr, local: Option<SocketAddr>) -> Client {
        self.clients.of(client, local)
    }

    /// Decides about a query of a client at that address.
    pub fn decide(&self, asked: &Asked<'_>, client: Client, ip: IpAddr) -> Decision {
        self.decide_with(asked, client, ip, || None)
    }

    /// As [`Policy::decide`], where `copied` says what a zone that is served here has to say. That
    /// comes behind local data and policy zones, and before the question whether the client may have
    /// recursion, which it does not need.
    pub fn decide_with(
        &self,
        asked: &Asked<'_>,
        client: Client,
        ip: IpAddr,
        copied: impl FnOnce() -> Option<Answer>,
    ) -> Decision {
        let access = client.access;
        match access {
            AccessAction::Deny => return Decision::Drop,
            AccessAction::Refuse => return Decision::Refuse(Reason::Prohibited),
            AccessAction::AllowCookie if !asked.stream => match asked.cookie {
                Some(Standing::Valid) => {}
                Some(_) => return Decision::BadCookie,
                // TCP proves the address as well.
                None => return Decision::ProveAddress,
            },
            _ => {}
        }
        if matches!(asked.rtype, RecordType::AXFR | RecordType::IXFR) {
            return Decision::Refuse(Reason::Blocked);
        }
        match asked.class {
            Class::IN => {}
            Class::CH => {
                let name = asked.question().map(|question| question.name);
                let refused = Decision::Refuse(Reason::Blocked);
                return name.map_or(refused, |name| self.chaos.decide(&name, asked.rtype));
            }
            _ => return Decision::Refuse(Reason::Blocked),
        }
        if self.deny_any
            && asked.rtype == RecordType::ANY
            && let Some(question) = asked.question()
        {
            return Decision::Local(Box::new(any(question)));
        }
        let sight = self.clients.sight(client.sight);
        if let Some(decision) = self.local(asked, ip, sight) {
            return decision;
        }
        let mut lens = self.lens(client, asked);
        if let Some(through) = &mut lens
            && through.rpz
            && let Some(decision) = self.at_query(asked, ip, sight, through)
        {
            return decision;
        }
        if let Some(answer) = copied() {
            return Decision::Copied(Box::new(answer));
        }
        match (access, asked.recursion_desired) {
            (AccessAction::DenyNonLocal, _) => Decision::Drop,
            (AccessAction::RefuseNonLocal, _) => Decision::Refuse(Reason::Prohibited),
            (_, true) | (AccessAction::AllowSetrd, false) => Decision::Resolve(lens),
            (AccessAction::AllowSnoop, false) => Decision::CacheOnly(lens),
            (_, false) => Decision::Refuse(Reason::NotAuthoritative),
        }
    }

    /// Every local zone, in canonical order, those that are always there included.
    pub fn local_zones(&self) -> Vec<LocalZone> {
        self.zones.list()
    }

    /// Every RRset of local data, in canonical order of its owners, that of the zones which are
    /// always there included.
    pub fn local_data(&self) -> Vec<Rrset> {
        self.zones.data()
    }

    /// Whether there is local data of that very name.
    pub fn has_local_data(&self, owner: &Name) -> bool {
        self.zones.has_data(owner)
    }

    /// Zones and data of a view, as [`Policy::local_zones`] and [`Policy::local_data`] list those of
    /// everybody.
    pub fn local_of_view(view: &View, config: &Config) -> (Vec<LocalZone>, Vec<Rrset>) {
        let zones = LocalZones::of_view(view, config.unblock_lan_zones);
        (zones.list(), zones.data())
    }

    /// Through what the answer to a query has to be looked at; `None`: nothing could change it.
    pub fn lens(&self, client: Client, asked: &Asked<'_>) -> Option<Lens> {
        let sight = self.clients.sight(client.sight);
        let rpz = self.policy_zones.concern(&sight.tags);
        let has_addresses =
            matches!(asked.rtype, RecordType::A | RecordType::AAAA | RecordType::ANY);
        let responses = has_addresses
            && (!self.responses.is_empty()
                || self.view(sight).is_some_and(|view| !view.responses.is_empty()));
        (rpz || responses).then_some(Lens { sight: client.sight, rpz, stream: asked.stream })
    }

    /// A lens that changes nothing, for aliases of local data.
    pub fn clear_lens(client: Client, stream: bool) -> Lens {
        Lens { sight: client.sight, rpz: false, stream }
    }

    /// Takes the content of a policy zone; false when there is none of that name. It holds from the
    /// next query on.
    pub fn load_policy_zone<'a>(
        &self,
        apex: &Name,
        rrsets: impl Iterator<Item = &'a Rrset>,
    ) -> bool {
        self.policy_zones.load(apex, rrsets)
    }

    /// Turns a policy zone on or off (`rpz_enable`, `rpz_disable`); false when there is none of
    /// that name.
    pub fn enable_policy_zone(&self, apex: &Name, enabled: bool) -> bool {
        self.policy_zones.set_enabled(apex, enabled)
    }

    /// Whether somebody with that lens is subject to entries about the servers that are asked.
    pub fn guards(&self, lens: Lens) -> bool {
        lens.rpz && self.policy_zones.look_at_servers(&self.clients.sight(lens.sight).tags)
    }

    /// The entry about servers that are to be asked for `question`, if there is one.
    pub fn at_servers(
        &self,
        lens: Lens,
        question: &Question,
        names: &[Name],
        addresses: &[IpAddr],
    ) -> Option<Hit> {
        let tags = &self.clients.sight(lens.sight).tags;
        self.policy_zones.at_servers(names, addresses, tags, question).filter(|_| lens.rpz)
    }

    //--- Parts

    fn view(&self, sight: &Sight) -> Option<&ViewPolicy> {
        self.views.get(sight.view?)
    }

    /// What local zones say: those of the view, and those outside unless the view is to be enough.
    fn local(&self, asked: &Asked<'_>, ip: IpAddr, sight: &Sight) -> Option<Decision> {
        if let Some(view) = self.view(sight)
            && let Some(zones) = &view.zones
        {
            match zones.decide_in_view(asked, ip) {
                InView::Covered(decision) => return decision,
                InView::Outside if !view.first => return None,
                InView::Outside => {}
            }
        }
        self.zones.decide(asked, ip, sight)
    }

    /// What policy zones say about the client or the name.
    fn at_query(
        &self,
        asked: &Asked<'_>,
        ip: IpAddr,
        sight: &Sight,
        lens: &mut Lens,
    ) -> Option<Decision> {
        let question = asked.question()?;
        let lower = question.name.to_lowercase();
        let hit = self.policy_zones.at_query(lower.as_wire(), ip, &sight.tags, &question)?;
        let deny = |rcode| {
            let mut answer = Answer::empty(question.clone(), rcode);
            answer.reason = Some(Reason::Blocked);
            answer.status = SecurityStatus::Insecure;
            answer.manner.hides_recursion = hit.hides_recursion && rcode == Rcode::NXDOMAIN;
            answer
        };
        Some(match &hit.action {
            Action::Passthru => {
                lens.rpz = false;
                return None;
            }
            Action::TcpOnly if asked.stream => return None,
            Action::TcpOnly => Decision::Truncate,
            Action::Drop => Decision::Drop,
            Action::Nxdomain => Decision::Local(Box::new(deny(Rcode::NXDOMAIN))),
            Action::Nodata => Decision::Local(Box::new(deny(Rcode::NOERROR))),
            Action::Data(sets) => {
                let soa = hit.soa.clone().filter(|_| hit.trigger == Trigger::Client);
                let found = screening::data_for(sets, &question.name, question.rtype);
                let mut decision = match found {
                    Some(rrset) => local::positive(question.clone(), rrset),
                    None => Decision::Local(Box::new(deny(Rcode::NOERROR))),
                };
                if let Decision::Local(answer) = &mut decision {
                    answer.additional.extend(soa);
                    if !answer.answer.is_empty() {
                        answer.reason = Some(Reason::Forged);
                    }
                }
                decision
            }
        })
    }

    /// What policy zones say about a name that an alias leads to.
    fn at_name(&self, name: &Name, lens: Lens, question: &Question) -> Option<Hit> {
        self.policy_zones.at_name(name, &self.clients.sight(lens.sight).tags, question)
    }

    /// What `response-ip:` says, in the view and then outside of it.
    fn at_addresses(
        &self,
        found: &[Found],
        section: &[Rrset],
        lens: Lens,
        question: &Question,
    ) -> Option<(usize, Effect)> {
        let sight = self.clients.sight(lens.sight);
        if let Some(view) = self.view(sight)
            && !view.responses.is_empty()
        {
            let in_view = view.responses.at_addresses(found, section, None, question);
            if in_view.is_some() {
                return in_view;
            }
        }
        if self.view(sight).is_some_and(|view| !view.first) {
            return None;
        }
        self.responses.at_addresses(found, section, Some(sight), question)
    }

    /// What policy zones say about addresses: which of them, and the entry.
    fn at_policy_addresses(
        &self,
        found: &[Found],
        lens: Lens,
        question: &Question,
    ) -> Option<(usize, Hit)> {
        if !lens.rpz {
            return None;
        }
        let tags = &self.clients.sight(lens.sight).tags;
        let addresses: Vec<IpAddr> = found.iter().map(|found| found.ip).collect();
        self.policy_zones.at_addresses(&addresses, tags, question)
    }
}

impl Asked<'_> {
    /// The question with memory of its own; `None` when the name is no name.
    pub fn question(&self) -> Option<Question> {
        let name = Name::from_wire(self.name_wire).ok()?;
        Some(Question { name, rtype: self.rtype, class: self.class })
    }
}

/// The answer to ANY that says nothing (RFC 8482 §4.2).
fn any(question: Question) -> Answer {
    let hinfo = Rdata::from_bytes(*b"\x07RFC8482\x00");
    let rrset = Rrset::new(question.name.clone(), RecordType::HINFO, ANY_TTL, vec![hinfo]);
    let mut answer = Answer::empty(question, Rcode::NOERROR);
    answer.answer.push(rrset);
    answer
}
