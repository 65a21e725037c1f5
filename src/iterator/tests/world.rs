//! A small Internet in text: who answers what, and a driver that plays it.
//!
//! A rule is a server, a question and a reply. `*com. A` matches any name at or below `com.`, type
//! `*` any type. A reply is made of parts separated by `;`: flags and response codes, behavior,
//! and records behind `an`, `au` or `ad` for their section. What no rule matches gets no reply.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rand::SeedableRng;

use crate::authority::Zones;
use crate::budget::Budget;
use crate::cache::{Answer, Cache};
use crate::clock::{Mono, Now, Rng, UnixTime};
use crate::config::{Config, RootHint};
use crate::iterator::{
    Action, Event, Exchange, ExchangeError, Iteration, Outcome, Response, Transport, View,
};
use crate::status::Reason;
use crate::wire::{
    Builder, Edns, Header, Message, Name, Question, Rcode, Rdata, RecordType, Rrset, Section,
};

/// Round-trip time of every reply.
const RTT: Duration = Duration::from_millis(10);

pub(crate) fn name(text: &str) -> Name {
    text.parse().expect(text)
}

/// `name TYPE`.
pub(crate) fn question(text: &str) -> Question {
    let (owner, rtype) = text.split_once(' ').expect(text);
    Question::new(name(owner), rtype.parse().expect(text))
}

/// A record as an RRset: `owner [TTL] TYPE [rdata]`. Every RRset has TTL 3600 unless it says
/// otherwise; types without a reader get their words as octets.
pub(in crate::iterator) fn rrset(text: &str) -> Rrset {
    let mut words = text.split_whitespace();
    let owner = name(words.next().expect(text));
    let mut rtype = words.next().expect(text);
    let mut ttl = 3600;
    if let Ok(number) = rtype.parse() {
        ttl = number;
        rtype = words.next().expect(text);
    }
    let (rtype, signed) = match rtype.strip_suffix('+') {
        Some(rtype) => (rtype, true),
        None => (rtype, false),
    };
    let rtype: RecordType = rtype.parse().expect(text);
    let rest: Vec<&str> = words.collect();
    let rdata = match rtype {
        RecordType::A | RecordType::AAAA => Rdata::from_ip(rest[0].parse().expect(text)),
        RecordType::NS | RecordType::CNAME | RecordType::DNAME | RecordType::PTR => {
            Rdata::from_name(&name(rest[0]))
        }
        RecordType::SOA => {
            let mut soa = [owner.as_wire(), owner.as_wire()].concat();
            soa.extend_from_slice(&[0; 16]);
            // What follows is MINIMUM.
            let minimum: u32 = rest.first().map_or(0, |word| word.parse().expect(text));
            soa.extend_from_slice(&minimum.to_be_bytes());
            Rdata::from_bytes(soa)
        }
        RecordType::MX => Rdata::from_bytes([&[0, 1][..], name(rest[0]).as_wire()].concat()),
        RecordType::NSEC => Rdata::from_bytes([name(rest[0]).as_wire(), &[0, 1, 0x40]].concat()),
        _ => Rdata::from_bytes(rest.join(" ").into_bytes()),
    };
    let mut rrset = Rrset::new(owner, rtype, ttl, vec![rdata]);
    if signed {
        rrset.signatures.push(signature(rtype, rrset.owner.clone(), 0));
    }
    rrset
}

/// RRSIG RDATA that covers `rtype`; `seed` makes it differ from others.
pub(in crate::iterator) fn signature(rtype: RecordType, signer: Name, seed: u8) -> Rdata {
    let mut bytes = rtype.0.to_be_bytes().to_vec();
    bytes.extend_from_slice(&[13, 2, 0, 0, 14, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, seed]);
    bytes.extend_from_slice(signer.as_wire());
    bytes.push(seed);
    Rdata::from_bytes(bytes)
}

/// RRsets as text, without TTL, to compare with.
pub(crate) fn show(rrsets: &[Rrset]) -> String {
    let one = |rrset: &Rrset| {
        let rdata = rrset.rdata.iter().map(|rdata| match rrset.rtype {
            RecordType::A | RecordType::AAAA => format!(" {rdata:?}"),
            RecordType::NS | RecordType::CNAME | RecordType::DNAME => {
                rdata.as_name(rrset.rtype).map(|name| format!(" {name}")).unwrap_or_default()
            }
            _ => String::new(),
        });
        format!("{} {}{}", rrset.owner, rrset.rtype, rdata.collect::<String>())
    };
    rrsets.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// A message as a server sends it in reply to `question`; `reply` as in a rule.
pub(in crate::iterator) fn message(question: &Question, reply: &str) -> Message {
    let mut builder = Builder::new(Header::default(), 512);
    builder.question(question);
    let query = Message::parse(&builder.finish(None)).expect("our own query");
    Message::parse(&Script::parse(reply).message(&query, |header| header)).expect(reply)
}

/// A scripted reply.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    bits: Header,
    rcode: Rcode0,
    sections: [Vec<Rrset>; 3],
    words: Vec<String>,
}

/// Response code with a default.
#[derive(Clone, Copy, Debug, Default)]
struct Rcode0(u16);

impl Script {
    pub(crate) fn parse(text: &str) -> Self {
        let mut script = Self::default();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let (word, rest) = part.split_once(' ').unwrap_or((part, ""));
            match word {
                "AA" => script.bits = script.bits.with_aa(true),
                "RA" => script.bits = script.bits.with_ra(true),
                "TC" => script.bits = script.bits.with_tc(true),
                "an" => script.sections[0].push(rrset(rest)),
                "au" => script.sections[1].push(rrset(rest)),
                "ad" => script.sections[2].push(rrset(rest)),
                code if code.parse::<Rcode>().is_ok() => {
                    script.rcode = Rcode0(code.parse::<Rcode>().expect(code).0);
                }
                behavior => script.words.push(behavior.to_owned()),
            }
        }
        script
    }

    fn says(&self, word: &str) -> bool {
        self.words.iter().any(|known| known == word)
    }

    /// The messages this reply is, one after the other.
    pub(crate) fn messages(&self, query: &Message, transport: Transport) -> Vec<Vec<u8>> {
        if self.says("silent") || self.says("no-tcp") && transport == Transport::Tcp {
            return Vec::new();
        }
        let mut junk: Vec<Vec<u8>> = Vec::new();
        for word in &self.words {
            match word.as_str() {
                "runt" => junk.push(vec![1, 2, 3]),
                "wrong-id" => junk.push(
                    self.message(query, |header| Header { id: header.id ^ 0x5555, ..header }),
                ),
                "not-a-reply" => junk.push(self.message(query, |header| header.with_qr(false))),
                _ => {}
            }
        }
        if self.says("junk-only") {
            return junk;
        }
        junk.push(self.message(query, |header| header));
        if self.says("tc-on-udp") && transport == Transport::Udp {
            let cut = Self { bits: self.bits.with_tc(true), ..Self::default() };
            return vec![cut.message(query, |header| header)];
        }
        junk
    }

    fn message(&self, query: &Message, edit: impl Fn(Header) -> Header) -> Vec<u8> {
        let formerr = self.says("no-edns") && query.edns.is_some();
        let rcode = if formerr { Rcode::FORMERR } else { Rcode(self.rcode.0) };
        let header = Header { id: query.header.id, ..self.bits }.with_qr(true).with_rcode(rcode);
        let mut builder = Builder::new(edit(header), 65_535);
        let mut question = query.question.clone().expect("a query has a question");
        if self.says("lower-case") {
            question.name = question.name.to_lowercase();
        }
        if !self.says("no-question") {
            builder.question(&question);
        }
        if !formerr {
            let sections = [Section::Answer, Section::Authority, Section::Additional];
            for (section, rrsets) in sections.into_iter().zip(&self.sections) {
                for rrset in rrsets {
                    builder.rrset(section, rrset, true).expect("fits");
                }
            }
        }
        let edns = Edns::new(1232, true);
        builder.finish((query.edns.is_some() && !self.says("no-edns")).then_some(&edns))
    }
}

/// The servers, the resolver's memory, and what was asked.
pub(super) struct World {
    rules: Vec<(IpAddr, String, Script)>,
    pub(super) config: Config,
    pub(super) cache: Cache,
    pub(super) zones: Zones,
    pub(super) budget: Budget,
    pub(super) now: Now,
    pub(super) rng: Rng,
    /// Every query: `server name TYPE`, followed by how it was asked where that is unusual.
    pub(super) asked: Vec<String>,
    /// The queries as sent.
    pub(super) queries: Vec<Message>,
    /// Questions needed and not finished: asking one again is a cycle.
    open: Vec<Question>,
}

impl World {
    /// A world with one root server, 10.0.0.1, and the usual way down to `example.com.` on
    /// 10.0.2.1, followed by `rules`.
    pub(super) fn new(rules: &[(&str, &str, &str)]) -> Self {
        Self::with_config(Config { qname_minimisation: false, ..Config::default() }, rules)
    }

    pub(super) fn with_config(mut config: Config, rules: &[(&str, &str, &str)]) -> Self {
        config.root_hints =
            vec![RootHint { name: name("k.root."), addrs: vec!["10.0.0.1".parse().unwrap()] }];
        let mut rng = Rng::seed_from_u64(42);
        let now = Now::new(Mono::from_micros(1_000_000), UnixTime(1_700_000_000));
        let cache = Cache::new(&config, &mut rng);
        let budget = Budget::new(now.mono, 48);
        let mut world = Self {
            zones: Zones::default(),
            rules: Vec::new(),
            config,
            cache,
            budget,
            now,
            rng,
            asked: Vec::new(),
            queries: Vec::new(),
            open: Vec::new(),
        };
        let usual = [
            ("10.0.0.1", ". NS", "AA; an . NS k.root.; ad k.root. A 10.0.0.1"),
            ("10.0.0.1", "*com. *", "au com. NS a.gtld.com.; ad a.gtld.com. A 10.0.1.1"),
            ("10.0.0.1", "*net. *", "au net. NS a.gtld.net.; ad a.gtld.net. A 10.0.1.2"),
            (
                "10.0.1.1",
                "*example.com. *",
                "au example.com. NS ns.example.com.; ad ns.example.com. A 10.0.2.1",
            ),
        ];
        // The first match wins, so that a test can replace what is usual.
        for (server, question, reply) in rules.iter().chain(&usual) {
            let server = server.parse().expect(server);
            world.rules.push((server, (*question).to_owned(), Script::parse(reply)));
        }
        world
    }

    /// Resolves as a client's question with a budget of its own.
    pub(super) fn resolve(&mut self, text: &str) -> Outcome {
        self.budget = Budget::new(self.now.mono, 48);
        self.run(question(text), 0)
    }

    /// Resolves; the answer section as text.
    pub(super) fn answer(&mut self, text: &str) -> String {
        match self.resolve(text) {
            Outcome::Response(response) => {
                format!("{} {}", response.answer.rcode, show(&response.answer.answer))
                    .trim_end()
                    .to_owned()
            }
            Outcome::Failed(reason) => format!("{reason:?}"),
            Outcome::Barred => "barred".to_owned(),
        }
    }

    /// Resolves; the whole response.
    pub(super) fn response(&mut self, text: &str) -> Response {
        match self.resolve(text) {
            Outcome::Response(response) => response,
            Outcome::Failed(reason) => panic!("{text}: {reason:?}"),
            Outcome::Barred => panic!("{text}: barred"),
        }
    }

    /// Lets time pass.
    pub(super) fn wait(&mut self, time: Duration) {
        self.now.mono = self.now.mono + time;
        self.now.unix = UnixTime(self.now.unix.0 + time.as_secs());
    }

    /// Runs one iteration to its end, needs included.
    pub(super) fn run(&mut self, question: Question, depth: u8) -> Outcome {
        let mut iteration = Iteration::new(question, depth);
        self.feed(&mut iteration, Event::Start);
        self.drive(&mut iteration, depth)
    }

    /// Plays on until the iteration finishes.
    pub(super) fn drive(&mut self, iteration: &mut Iteration, depth: u8) -> Outcome {
        let mut asking: VecDeque<Exchange> = VecDeque::new();
        let mut needs: VecDeque<Question> = VecDeque::new();
        for _ in 0..1_000 {
            while let Some(action) = iteration.poll() {
                match action {
                    Action::Ask(exchange) => asking.push_back(exchange),
                    Action::Close(id) => asking.retain(|exchange| exchange.id != id),
                    Action::Need(question) => needs.push_back(question),
                    Action::Finish(outcome) => {
                        assert!(asking.is_empty(), "an exchange was left open");
                        return outcome;
                    }
                }
            }
            if let Some(question) = needs.pop_front() {
                let answer = self.need(&question, depth);
                self.feed(iteration, Event::Resolved { question: &question, answer: &answer });
            } else if let Some(exchange) = asking.pop_front() {
                self.exchange(iteration, &exchange);
                asking.clear();
            } else {
                panic!("nothing to do and not finished; asked {:?}", self.asked);
            }
        }
        panic!("endless: {:?}", self.asked);
    }

    pub(super) fn feed(&mut self, iteration: &mut Iteration, event: Event<'_>) {
        let mut view = View {
            cache: &self.cache,
            zones: &self.zones,
            config: &self.config,
            budget: &mut self.budget,
            guard: None,
        };
        iteration.handle(event, &mut view, self.now, &mut self.rng);
    }

    fn need(&mut self, question: &Question, depth: u8) -> Answer {
        if self.open.contains(question) {
            return Answer::failure(question.clone(), Reason::DependencyCycle);
        }
        self.open.push(question.clone());
        let outcome = self.run(question.clone(), depth + 1);
        self.open.pop();
        match outcome {
            Outcome::Response(response) => response.answer,
            Outcome::Failed(reason) => Answer::failure(question.clone(), reason),
            Outcome::Barred => Answer::failure(question.clone(), Reason::Blocked),
        }
    }

    /// Delivers what the server sends until the exchange is closed, or lets it time out.
    fn exchange(&mut self, iteration: &mut Iteration, exchange: &Exchange) {
        let query = Message::parse(&exchange.query).expect("our own query");
        self.note(exchange, &query);
        let script = self.script(exchange.server, &query);
        if script.as_ref().is_some_and(|script| script.says("unreachable")) {
            let error = ExchangeError::Unreachable;
            return self.feed(iteration, Event::Failed { exchange: exchange.id, error });
        }
        if script.as_ref().is_some_and(|script| script.says("no-route")) {
            let error = ExchangeError::NoRoute;
            return self.feed(iteration, Event::Failed { exchange: exchange.id, error });
        }
        let messages =
            script.map(|script| script.messages(&query, exchange.transport)).unwrap_or_default();
        let before = iteration.actions.len();
        for bytes in messages {
            self.wait(RTT);
            self.feed(iteration, Event::Datagram { exchange: exchange.id, bytes: &bytes });
            if iteration.actions.len() > before {
                return;
            }
        }
        self.wait(exchange.timeout);
        self.feed(iteration, Event::TimedOut { exchange: exchange.id });
    }

    fn note(&mut self, exchange: &Exchange, query: &Message) {
        let question = query.question.clone().expect("a query has a question");
        let mut line = format!("{} {} {}", exchange.server.ip(), question.name, question.rtype);
        if exchange.server.port() != 53 {
            line.push_str(&format!(" port {}", exchange.server.port()));
        }
        match exchange.transport {
            Transport::Udp => {}
            Transport::Tcp => line.push_str(" tcp"),
            Transport::Tls => line.push_str(" tls"),
        }
        if let Some(name) = &exchange.tls_name {
            line.push_str(&format!(" as {name}"));
        }
        if query.edns.is_none() {
            line.push_str(" plain");
        }
        if query.header.rd() {
            line.push_str(" rd");
        }
        self.asked.push(line);
        self.queries.push(query.clone());
    }

    fn script(&self, server: SocketAddr, query: &Message) -> Option<Script> {
        let question = query.question.as_ref()?;
        let matches = |rule: &&(IpAddr, String, Script)| {
            let (owner, rtype) = rule.1.split_once(' ').expect(&rule.1);
            let owner_matches = match owner.strip_prefix('*') {
                Some(zone) => question.name.is_at_or_below(&name(zone)),
                None => question.name == name(owner),
            };
            rule.0 == server.ip()
                && owner_matches
                && (rtype == "*" || question.rtype == rtype.parse().expect(rtype))
        };
        self.rules.iter().find(matches).map(|rule| rule.2.clone())
    }

    /// How many queries went to `server`.
    pub(super) fn count(&self, server: &str) -> usize {
        let prefix = format!("{server} ");
        self.asked.iter().filter(|line| line.starts_with(&prefix)).count()
    }
}
