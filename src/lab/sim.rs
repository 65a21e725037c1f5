//! A resolver in simulated time: mesh, iterator and validator among the servers of a world.
//!
//! No socket, no thread, no clock. A datagram takes [`LATENCY`] each way, a connection as long
//! again; a second of waiting costs nothing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng;

use super::scenario::{Ask, Asked, Resolver, Seen};
use super::text::{LabError, Mistake};
use super::{Reply, Scenario, Transport, World};
use crate::cache::{Answer, Cache, Hit, HotEdns, HotQuery};
use crate::clock::{Mono, Now, Rng, UnixTime};
use crate::config::{Config, load_text};
use crate::iterator::{ExchangeError, Transport as Over};
use crate::mesh::{Action, ClientId, Event, Mesh, Query, Token};
use crate::wire::{Header, MAX_MESSAGE, Message};

/// How long a message is under way, one way.
pub const LATENCY: Duration = Duration::from_millis(10);

/// How long a client waits that gets no answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// When simulations begin: some day in 2026, a whole hour.
const BEGIN: UnixTime = UnixTime(1_790_002_800);

/// How long work for the cache may go on before the next step, after the client has its answer.
const AFTERWARDS: Duration = Duration::from_secs(1);

/// A resolver among the servers of a world, in simulated time.
pub struct Sim {
    world: World,
    config: Config,
    cache: Arc<Cache>,
    mesh: Mesh,
    rng: Rng,
    mono: Mono,
    /// What is under way, by arrival; the second part keeps what was sent first in front.
    under_way: BTreeMap<(Mono, u64), (Token, Arrival)>,
    sent: u64,
    asked: Vec<Asked>,
    answers: Vec<(ClientId, Rc<Answer>)>,
    clients: u64,
}

#[derive(Debug)]
enum Arrival {
    Message(Vec<u8>),
    Failure(ExchangeError),
}

impl Sim {
    /// Begins with an empty cache; `seed` decides every random choice.
    ///
    /// # Errors
    ///
    /// [`LabError`] when the world or the configuration of the scenario is wrong.
    pub fn new(scenario: &Scenario, seed: u64) -> Result<Self, LabError> {
        let world = scenario.world()?;
        // As without a configuration file: a scenario is to see why something failed.
        let text = format!("{}ede: failures\n{}", world.trust(), scenario.config);
        let loaded = load_text(Path::new("scenario"), text);
        let mut config = loaded.map_err(|_| Mistake::Config.at(scenario.line))?.config;
        config.root_hints = world.hints();
        let mut rng = Rng::seed_from_u64(seed);
        let cache = Arc::new(Cache::new(&config, &mut rng));
        Ok(Self {
            world,
            config,
            mesh: Mesh::new(Arc::clone(&cache)),
            cache,
            rng,
            mono: Mono::ZERO,
            under_way: BTreeMap::new(),
            sent: 0,
            asked: Vec::new(),
            answers: Vec::new(),
            clients: 0,
        })
    }

    /// The cache, to look at what was learned.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// What the front answers without asking the mesh.
    fn hit(&self, query: &HotQuery<'_>, out: &mut [u8]) -> Option<Hit> {
        let stale = self.config.serve_expired && self.config.serve_expired_client_timeout == 0;
        match stale {
            true => self.cache.stale_hit(query, self.now(), out),
            false => self.cache.hit(query, self.now(), out),
        }
    }

    fn now(&self) -> Now {
        let seconds = self.mono.as_micros() / 1_000_000;
        Now::new(self.mono, UnixTime(BEGIN.0 + seconds))
    }

    fn handle(&mut self, event: Event<'_>) {
        let now = self.now();
        self.mesh.handle(event, &self.config, now, &mut self.rng);
        while let Some(action) = self.mesh.poll() {
            match action {
                Action::Ask { token, server, transport, query, .. } => {
                    self.send(token, server, transport, &query);
                }
                Action::Close(token) => self.under_way.retain(|_, (other, _)| *other != token),
                Action::Answer { client, answer } => self.answers.push((client, answer)),
                Action::Dropped { .. } => {}
            }
        }
    }

    fn send(&mut self, token: Token, server: SocketAddr, transport: Over, query: &[u8]) {
        let to = server.ip();
        let transport = match transport {
            Over::Udp => Transport::Udp,
            // There is no TLS in the simulation.
            Over::Tcp | Over::Tls => Transport::Tcp,
        };
        if self.config.do_not_query_address.iter().any(|block| block.contains(to)) {
            return self.arrive(token, Duration::ZERO, Arrival::Failure(ExchangeError::Prohibited));
        }
        if let Some(question) = Message::parse(query).ok().and_then(|query| query.question) {
            self.asked.push(Asked { server: to, question, transport });
        }
        if !self.world.reaches(to) {
            return self.arrive(token, LATENCY, Arrival::Failure(ExchangeError::Refused));
        }
        let round_trips = match transport {
            Transport::Udp => 2,
            Transport::Tcp => 4,
        };
        for reply in self.world.respond(to, query, transport, self.now().unix) {
            let (after, arrival) = match reply {
                Reply::Message(after, bytes) => (after, Arrival::Message(bytes)),
                Reply::Close => (Duration::ZERO, Arrival::Failure(ExchangeError::Closed)),
            };
            self.arrive(token, LATENCY * round_trips + after, arrival);
        }
    }

    fn arrive(&mut self, token: Token, after: Duration, arrival: Arrival) {
        self.sent += 1;
        self.under_way.insert((self.mono + after, self.sent), (token, arrival));
    }

    /// Goes on to whatever comes next, if that is before `end`; whether something came.
    fn step(&mut self, end: Mono) -> bool {
        let arrival = self.under_way.first_key_value().map(|((at, _), _)| *at);
        let deadline = self.mesh.deadline();
        let next = arrival.into_iter().chain(deadline).min();
        let Some(next) = next.filter(|next| *next <= end) else { return false };
        self.mono = self.mono.max(next);
        if arrival != Some(next) {
            self.handle(Event::Tick);
            return true;
        }
        match self.under_way.pop_first() {
            Some((_, (token, Arrival::Message(bytes)))) => {
                self.handle(Event::Datagram { token, bytes: &bytes });
            }
            Some((_, (token, Arrival::Failure(error)))) => {
                self.handle(Event::Failed { token, error });
            }
            None => {}
        }
        true
    }
}

impl Resolver for Sim {
    fn ask(&mut self, ask: &Ask) -> Vec<Seen> {
        self.asked.clear();
        let mut out = vec![0; MAX_MESSAGE];
        let query = hot(ask);
        if let Some(hit) = self.hit(&query, &mut out) {
            return vec![Seen::read(&out[..hit.len], 0); ask.times.into()];
        }
        let began = self.mono;
        for _ in 0..ask.times {
            self.clients += 1;
            self.handle(Event::Query(Query {
                client: ClientId(self.clients),
                question: ask.question.clone(),
                checking_disabled: ask.checking_disabled,
                refresh: false,
                arrived: began,
                screening: None,
            }));
        }
        let mut seen = Vec::new();
        let mut end = began + PATIENCE;
        loop {
            let took = u64::try_from(self.mono.since(began).as_millis()).unwrap_or(u64::MAX);
            let now = self.now();
            for (_, answer) in self.answers.drain(..) {
                let hit = self.cache.render(&answer, &query, now, &mut out);
                seen.push(hit.map_or(Seen::nothing(), |hit| Seen::read(&out[..hit.len], took)));
                // What is still going on for the cache may end, so that steps are apart.
                end = self.mono + AFTERWARDS;
            }
            let all = seen.len() == ask.times.into();
            if all && self.mesh.is_empty() || !self.step(end) {
                seen.resize(ask.times.into(), Seen::nothing());
                return seen;
            }
        }
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.clone()
    }

    fn advance(&mut self, seconds: u32) {
        self.mono = self.mono + Duration::from_secs(seconds.into());
        self.handle(Event::Tick);
    }

    fn change(&mut self, change: &mut dyn FnMut(&mut World)) {
        change(&mut self.world);
    }
}

/// The query as the front hands it to the cache; the client knows EDNS and takes any size.
fn hot(ask: &Ask) -> HotQuery<'_> {
    let header =
        Header::default().with_rd(true).with_ad(ask.wants_ad).with_cd(ask.checking_disabled);
    HotQuery {
        id: 0,
        flags: header.bits,
        name_wire: ask.question.name.as_wire(),
        rtype: ask.question.rtype,
        class: ask.question.class,
        edns: Some(HotEdns { udp_size: u16::MAX, dnssec_ok: ask.dnssec_ok }),
    }
}
