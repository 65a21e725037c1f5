//! Scripted servers around a mesh. Rules are those of the iterator's tests, with one more word:
//! `no-socket`.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng;

use crate::cache::{Answer, Cache};
use crate::clock::{Mono, Now, Rng, UnixTime};
use crate::config::{Config, RootHint};
use crate::iterator::tests::world::{Script, name, question};
use crate::iterator::{ExchangeError, Transport};
use crate::mesh::{Action, ClientId, Event, Mesh, Query, Token};
use crate::status::SecurityStatus;
use crate::wire::{Message, Rcode};

/// Time between a query and its reply.
const RTT: Duration = Duration::from_millis(10);
/// Simulated time after which everything must have come to an end.
const PATIENCE: Duration = Duration::from_secs(60);

/// The servers, the mesh, and what happened.
pub(super) struct World {
    pub(super) mesh: Mesh,
    pub(super) cache: Arc<Cache>,
    pub(super) config: Config,
    pub(super) now: Now,
    /// Every query: `server name TYPE`.
    pub(super) asked: Vec<String>,
    /// Exchanges that were not closed.
    pub(super) open: HashSet<Token>,
    /// How many of them there were at once.
    pub(super) most_open: usize,
    rng: Rng,
    rules: Vec<(IpAddr, String, String)>,
    /// What will arrive: when, on which exchange, and the message; none is a lack of sockets.
    arrivals: Vec<(Mono, Token, Option<Vec<u8>>)>,
    asked_at: HashMap<ClientId, Mono>,
    answers: HashMap<ClientId, (Mono, Rc<Answer>)>,
    /// Clients that got no answer.
    pub(super) dropped: Vec<ClientId>,
}

impl World {
    /// A world with one root server, 10.0.0.1, servers of `com.` on 10.0.1.1, of `net.` on
    /// 10.0.1.2 and of `example.com.` on 10.0.2.1, and with `rules`.
    pub(super) fn new(mut config: Config, rules: &[(&str, &str, &str)]) -> Self {
        config.root_hints =
            vec![RootHint { name: name("k.root."), addrs: vec!["10.0.0.1".parse().unwrap()] }];
        let mut rng = Rng::seed_from_u64(42);
        let cache = Arc::new(Cache::new(&config, &mut rng));
        let mut world = Self {
            mesh: Mesh::new(Arc::clone(&cache)),
            cache,
            config,
            now: Now::new(Mono::from_micros(1_000_000), UnixTime(1_700_000_000)),
            asked: Vec::new(),
            open: HashSet::new(),
            most_open: 0,
            rng,
            rules: Vec::new(),
            arrivals: Vec::new(),
            asked_at: HashMap::new(),
            answers: HashMap::new(),
            dropped: Vec::new(),
        };
        let usual = [
            (
                "10.0.1.1",
                "*example.com. *",
                "au example.com. NS ns.example.com.; ad ns.example.com. A 10.0.2.1",
            ),
            ("10.0.0.1", "*net. *", "au net. NS a.gtld.net.; ad a.gtld.net. A 10.0.1.2"),
            ("10.0.0.1", "*com. *", "au com. NS a.gtld.com.; ad a.gtld.com. A 10.0.1.1"),
            ("10.0.0.1", ". NS", "AA; an . NS k.root.; ad k.root. A 10.0.0.1"),
        ];
        for (server, question, reply) in usual.iter().chain(rules.iter().rev()) {
            world.rule(server, question, reply);
        }
        world
    }

    /// From now on `server` replies so; the last rule that matches counts.
    pub(super) fn rule(&mut self, server: &str, question: &str, reply: &str) {
        let server = server.parse().expect(server);
        self.rules.push((server, question.to_owned(), reply.to_owned()));
    }

    //--- Clients

    pub(super) fn query(&self, text: &str) -> Query {
        let client = ClientId(u64::try_from(self.asked_at.len()).unwrap());
        Query {
            client,
            question: question(text),
            checking_disabled: false,
            refresh: false,
            arrived: self.now.mono,
            screening: None,
        }
    }

    pub(super) fn send(&mut self, query: Query) -> ClientId {
        let client = query.client;
        self.asked_at.insert(client, self.now.mono);
        self.feed(Event::Query(query));
        client
    }

    pub(super) fn ask(&mut self, text: &str) -> ClientId {
        self.send(self.query(text))
    }

    pub(super) fn ask_unvalidated(&mut self, text: &str) -> ClientId {
        self.send(Query { checking_disabled: true, ..self.query(text) })
    }

    pub(super) fn is_answered(&self, client: ClientId) -> bool {
        self.answers.contains_key(&client)
    }

    pub(super) fn answer(&self, client: ClientId) -> &Answer {
        let answer = self.answers.get(&client);
        &answer.unwrap_or_else(|| panic!("{client:?} has no answer; asked {:#?}", self.asked)).1
    }

    pub(super) fn rcode(&self, client: ClientId) -> Rcode {
        self.answer(client).rcode
    }

    pub(super) fn status(&self, client: ClientId) -> SecurityStatus {
        self.answer(client).status
    }

    /// The response code with the status, or with the reason of a failure.
    pub(super) fn outcome(&self, client: ClientId) -> String {
        let answer = self.answer(client);
        match answer.reason.filter(|_| answer.is_failure()) {
            Some(reason) => format!("{} {reason:?}", answer.rcode),
            None => format!("{} {:?}", answer.rcode, answer.status),
        }
    }

    /// How long the client waited.
    pub(super) fn elapsed(&self, client: ClientId) -> Duration {
        self.answers[&client].0.since(self.asked_at[&client])
    }

    /// How many queries began with `text`.
    pub(super) fn count(&self, text: &str) -> usize {
        let is = |line: &&String| {
            line.strip_prefix(text).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        };
        self.asked.iter().filter(is).count()
    }

    //--- Time

    /// Plays on until nothing is in flight.
    pub(super) fn run(&mut self) {
        let end = self.now.mono + PATIENCE;
        while !(self.mesh.is_empty() && self.mesh.clients() == 0) {
            assert!(self.step(end), "endless: {:#?}", self.asked);
        }
        assert!(self.open.is_empty(), "exchanges were left open");
    }

    /// Plays on for `time`.
    pub(super) fn run_for(&mut self, time: Duration) {
        let end = self.now.mono + time;
        while self.step(end) {}
        self.advance(end);
    }

    /// Lets the next thing happen, if one does until `end`.
    fn step(&mut self, end: Mono) -> bool {
        let next = (0..self.arrivals.len()).min_by_key(|at| self.arrivals[*at].0);
        let arrives = next.map(|at| self.arrivals[at].0);
        let Some(at) = arrives.into_iter().chain(self.mesh.deadline()).min() else { return false };
        if at > end {
            return false;
        }
        self.advance(at);
        match next.filter(|_| arrives == Some(at)) {
            Some(next) => {
                let (_, token, bytes) = self.arrivals.remove(next);
                match bytes {
                    Some(bytes) => self.feed(Event::Datagram { token, bytes: &bytes }),
                    None => self.feed(Event::Failed { token, error: ExchangeError::NoSocket }),
                }
            }
            None => self.feed(Event::Tick),
        }
        true
    }

    fn advance(&mut self, to: Mono) {
        if to > self.now.mono {
            let micros = self.now.unix.0 * 1_000_000 + self.now.mono.as_micros() % 1_000_000;
            let passed = u64::try_from(to.since(self.now.mono).as_micros()).unwrap();
            self.now = Now::new(to, UnixTime((micros + passed) / 1_000_000));
        }
    }

    fn feed(&mut self, event: Event<'_>) {
        self.mesh.handle(event, &self.config, self.now, &mut self.rng);
        while let Some(action) = self.mesh.poll() {
            self.perform(action);
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Ask { token, server, transport, query, .. } => {
                let query = Message::parse(&query).expect("our own query");
                let asked = query.question.clone().expect("a query has a question");
                self.asked.push(format!("{} {} {}", server.ip(), asked.name, asked.rtype));
                assert!(self.open.insert(token), "{token:?} twice");
                self.most_open = self.most_open.max(self.open.len());
                self.reply(token, server.ip(), transport, &query);
            }
            Action::Close(token) => {
                assert!(self.open.remove(&token), "{token:?} closed twice");
                self.arrivals.retain(|arrival| arrival.1 != token);
            }
            Action::Answer { client, answer } => {
                let before = self.answers.insert(client, (self.now.mono, answer));
                assert!(before.is_none(), "{client:?} was answered twice");
            }
            Action::Dropped { client } => self.dropped.push(client),
        }
    }

    fn reply(&mut self, token: Token, server: IpAddr, transport: Transport, query: &Message) {
        let asked = query.question.as_ref().expect("a query has a question");
        let matches = |rule: &&(IpAddr, String, String)| {
            let (owner, rtype) = rule.1.split_once(' ').expect(&rule.1);
            let owner_matches = match owner.strip_prefix('*') {
                Some(zone) => asked.name.is_at_or_below(&name(zone)),
                None => asked.name == name(owner),
            };
            let rtype_matches = rtype == "*" || asked.rtype == rtype.parse().expect(rtype);
            rule.0 == server && owner_matches && rtype_matches
        };
        let Some((_, _, reply)) = self.rules.iter().rev().find(matches) else { return };
        if reply == "no-socket" {
            self.arrivals.push((self.now.mono + RTT, token, None));
            return;
        }
        for bytes in Script::parse(reply).messages(query, transport) {
            self.arrivals.push((self.now.mono + RTT, token, Some(bytes)));
        }
    }
}
