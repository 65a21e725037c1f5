//! Servers that say anything at all.

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};

use super::world::{World, message, name, question};
use crate::cache::Answer;
use crate::clock::Rng;
use crate::config::Config;
use crate::iterator::{Action, Event, Exchange, ExchangeError, ExchangeId, Iteration, Outcome};
use crate::status::Reason;
use crate::wire::{
    Builder, Edns, Header, Message, Question, Rcode, Rdata, RecordType, Rrset, Section,
};

/// Things a server may say, right or wrong, whatever it was asked.
const SAYINGS: &[&str] = &[
    "AA; an www.sub.example.com. A 192.0.2.1",
    "RA; an www.sub.example.com. A 192.0.2.1",
    "AA; an www.sub.example.com. CNAME x.example.com.; an x.example.com. CNAME www.sub.example.com.",
    "AA; an sub.example.com. DNAME www.sub.example.com.",
    "AA; an . DNAME com.",
    "AA; NXDOMAIN; au com. SOA",
    "AA; au sub.example.com. SOA",
    "AA",
    "RA",
    "TC",
    "SERVFAIL",
    "REFUSED",
    "FORMERR",
    "NOTIMP",
    "YXDOMAIN",
    "AA; NXDOMAIN; an www.sub.example.com. CNAME www.sub.example.com.",
    "au . NS k.root.; ad k.root. A 10.1.1.1",
    "au com. NS a.com.; ad a.com. A 10.1.1.2",
    "au com. NS a.net.; au com. NS b.net.; au com. NS c.net.; au com. NS d.net.",
    "au example.com. 0 NS ns.example.com.; ad ns.example.com. A 10.1.1.3",
    "au example.com. NS www.sub.example.com.",
    "au sub.example.com. NS ns.other.net.; au sub.example.com. DS+ digest",
    "au sub.example.com. NS ns.sub.example.com.; au a.example.com. NSEC+ b.example.com.",
    "au www.sub.example.com. NS ns.www.sub.example.com.; ad ns.www.sub.example.com. AAAA 2001:db8::1",
    "AA; an . NS k.root.; ad k.root. A 10.1.1.1",
    "AA; an com. NS a.com.",
];

struct Chaos {
    world: World,
    rng: Rng,
    asked: u32,
}

impl Chaos {
    /// Runs an iteration until it finishes; panics when it does not.
    fn drive(&mut self, iteration: &mut Iteration) -> Outcome {
        let mut open: Vec<Exchange> = Vec::new();
        let mut needs: Vec<Question> = Vec::new();
        for _ in 0..2_000 {
            while let Some(action) = iteration.poll() {
                match action {
                    Action::Ask(exchange) => {
                        self.asked += 1;
                        open.push(exchange);
                    }
                    Action::Close(id) => open.retain(|exchange| exchange.id != id),
                    Action::Need(question) => needs.push(question),
                    Action::Finish(outcome) => {
                        assert!(open.is_empty(), "an exchange was left open");
                        assert!(iteration.poll().is_none(), "something came after the end");
                        return outcome;
                    }
                }
            }
            assert!(open.len() <= 1, "one question at a time");
            if !needs.is_empty() && (open.is_empty() || self.rng.random()) {
                let question = needs.swap_remove(self.rng.random_range(0..needs.len()));
                let answer = self.answer(&question);
                self.world
                    .feed(iteration, Event::Resolved { question: &question, answer: &answer });
            } else if let Some(exchange) = open.first().cloned() {
                self.event(iteration, &exchange, &mut open);
            } else {
                panic!("nothing to do and not finished");
            }
        }
        panic!("endless");
    }

    fn event(&mut self, iteration: &mut Iteration, exchange: &Exchange, open: &mut Vec<Exchange>) {
        match self.rng.random_range(0..12) {
            0 => {
                open.clear();
                self.world.wait(exchange.timeout);
                self.world.feed(iteration, Event::TimedOut { exchange: exchange.id });
            }
            1 => {
                open.clear();
                let errors = [
                    ExchangeError::Refused,
                    ExchangeError::Unreachable,
                    ExchangeError::Closed,
                    ExchangeError::Prohibited,
                    ExchangeError::NoSocket,
                ];
                let error = errors[self.rng.random_range(0..errors.len())];
                self.world.feed(iteration, Event::Failed { exchange: exchange.id, error });
            }
            2 => {
                // An event of an exchange that never was, or is long over.
                let id = ExchangeId(exchange.id.0.wrapping_add(self.rng.random_range(1..5)));
                self.world.feed(iteration, Event::TimedOut { exchange: id });
                self.world.feed(iteration, Event::Start);
            }
            _ => {
                let bytes = self.reply(&exchange.query);
                self.world.wait(std::time::Duration::from_millis(3));
                self.world
                    .feed(iteration, Event::Datagram { exchange: exchange.id, bytes: &bytes });
            }
        }
    }

    /// One of the sayings in reply to `query`, sometimes with octets changed.
    fn reply(&mut self, query: &[u8]) -> Vec<u8> {
        let query = Message::parse(query).expect("our own query");
        let asked = query.question.clone().expect("a query has a question");
        let said = message(&asked, SAYINGS[self.rng.random_range(0..SAYINGS.len())]);
        let header = Header { id: query.header.id, ..said.header };
        let mut builder = Builder::new(header, 4_096);
        builder.question(&asked);
        let sections = [
            (Section::Answer, &said.answer),
            (Section::Authority, &said.authority),
            (Section::Additional, &said.additional),
        ];
        for (section, records) in sections {
            for record in records {
                let mut rrset = Rrset::new(
                    record.owner.clone(),
                    record.rtype,
                    record.ttl,
                    vec![record.rdata.clone()],
                );
                rrset.class = record.class;
                builder.rrset(section, &rrset, false).expect("fits");
            }
        }
        let mut bytes = builder.finish(query.edns.map(|_| Edns::new(1232, true)).as_ref());
        if self.rng.random_range(0..4) == 0 {
            let at = self.rng.random_range(0..bytes.len());
            bytes[at] = self.rng.random();
        }
        bytes
    }

    fn answer(&mut self, question: &Question) -> Answer {
        let mut answer = Answer::empty(question.clone(), Rcode::NOERROR);
        match self.rng.random_range(0..4) {
            0 => return Answer::failure(question.clone(), Reason::NetworkError),
            1 => answer.rcode = Rcode::NXDOMAIN,
            2 => answer.answer.push(Rrset::new(
                question.name.clone(),
                RecordType::CNAME,
                60,
                vec![Rdata::from_name(&name("alias.net."))],
            )),
            _ => {
                let ip = std::net::IpAddr::from([10, 2, 2, self.rng.random()]);
                let rdata = vec![Rdata::from_ip(ip)];
                answer.answer.push(Rrset::new(question.name.clone(), question.rtype, 60, rdata));
            }
        }
        answer
    }
}

proptest! {
    /// Whatever servers say and in whatever order things happen, an iteration ends, within its
    /// budget, and so does the retry after it; nothing is left open and nothing panics.
    #[test]
    fn whatever_servers_say_it_ends(
        seed in any::<u64>(),
        minimise in any::<bool>(),
        strict in any::<bool>(),
        caps in any::<bool>(),
        verify_glue in any::<bool>(),
        rtype in prop::sample::select(vec!["A", "NS", "DS", "ANY", "CNAME", "RRSIG", "TXT"]),
    ) {
        let config = Config {
            qname_minimisation: minimise,
            qname_minimisation_strict: strict,
            use_caps_for_id: caps,
            harden_unverified_glue: verify_glue,
            ..Config::default()
        };
        let world = World::with_config(config, &[]);
        let mut chaos = Chaos { world, rng: Rng::seed_from_u64(seed), asked: 0 };
        let asked = question(&format!("www.sub.example.com. {rtype}"));
        let mut iteration = Iteration::new(asked.clone(), 0);
        chaos.world.feed(&mut iteration, Event::Start);
        for _ in 0..3 {
            if let Outcome::Response(response) = chaos.drive(&mut iteration) {
                prop_assert_eq!(response.answer.question, asked.clone());
            }
            prop_assert!(chaos.asked <= 48);
            chaos.world.feed(&mut iteration, Event::Retry);
        }
    }
}
