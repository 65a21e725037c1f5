//! One query under way, and whether what arrives is the reply.
//!
//! A datagram that fails any check changes nothing but a counter: the right reply may still come
//! (RFC 5452 §9.1; TuDoor, 2024). When the counter is full somebody is guessing, and the query is
//! asked again over a stream.

use std::net::SocketAddr;

use super::query::Query;
use super::{ExchangeId, Transport};
use crate::budget::WRONG_REPLIES;
use crate::clock::Mono;
use crate::wire::{Header, Message, Opcode, Rcode};

/// A query that waits for its reply.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    /// The exchange.
    pub(super) id: ExchangeId,
    /// Whom we asked.
    pub(super) server: SocketAddr,
    /// How.
    pub(super) transport: Transport,
    /// What.
    pub(super) query: Query,
    /// When.
    pub(super) sent: Mono,
    /// Datagrams that were not the reply.
    wrong: u8,
    /// The response code of something that could have been the reply of a sloppy server: right
    /// id, no question. Used when nothing better comes in time.
    last_resort: Option<Rcode>,
}

/// What an arriving datagram is.
#[derive(Clone, Debug)]
pub(super) enum Verdict {
    /// The reply.
    Reply(Box<Message>),
    /// Something else. Go on waiting.
    Ignored,
    /// One wrong datagram too many on this port: somebody is guessing.
    Suspicious,
    /// The reply as far as can be told, but for the letter case of QNAME: a server that does not
    /// keep case, or a forgery.
    CaseChanged,
}

impl Pending {
    /// A query sent at `sent`.
    pub(super) fn new(
        id: ExchangeId,
        server: SocketAddr,
        transport: Transport,
        query: Query,
        sent: Mono,
    ) -> Self {
        Self { id, server, transport, query, sent, wrong: 0, last_resort: None }
    }

    /// Decides whether `bytes` is the reply.
    pub(super) fn examine(&mut self, bytes: &[u8]) -> Verdict {
        let Some(header) = Header::read(bytes) else { return self.wrong() };
        if header.id != self.query.id || !header.qr() || header.opcode() != Opcode::QUERY {
            return self.wrong();
        }
        let Ok(message) = Message::parse(bytes) else { return self.wrong() };
        let Some(question) = &message.question else {
            // FORMERR, NOTIMP and REFUSED come without a question from some servers. A forger
            // could send the same, so wait for better.
            if header.counts[0] == 0 && header.rcode() != Rcode::NOERROR {
                let rcode = header.rcode();
                self.last_resort = self.last_resort.or(Some(rcode));
            }
            return self.wrong();
        };
        if *question != self.query.question {
            return self.wrong();
        }
        if self.query.style.random_case && !question.name.eq_case(&self.query.question.name) {
            return Verdict::CaseChanged;
        }
        Verdict::Reply(Box::new(message))
    }

    /// What to make of an exchange whose time is over: the response code of a reply that was not
    /// good enough while there was hope.
    pub(super) fn last_resort(&self) -> Option<Rcode> {
        self.last_resort
    }

    fn wrong(&mut self) -> Verdict {
        self.wrong = self.wrong.saturating_add(1);
        if self.wrong >= WRONG_REPLIES.default { Verdict::Suspicious } else { Verdict::Ignored }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::clock::Rng;
    use crate::config::Config;
    use crate::iterator::query::Style;
    use crate::wire::{Builder, Question, RecordType};

    fn pending(random_case: bool) -> Pending {
        let question = Question::new("www.example.com.".parse().unwrap(), RecordType::A);
        let style = Style { recursion: false, checking_disabled: true, edns: true, random_case };
        let query = Query::new(
            &question,
            style,
            Vec::new(),
            &Config::default(),
            &mut Rng::seed_from_u64(7),
        );
        let server = "192.0.2.1:53".parse().unwrap();
        Pending::new(ExchangeId(1), server, Transport::Udp, query, Mono::ZERO)
    }

    fn reply(
        pending: &Pending,
        question: Option<&Question>,
        edit: fn(Header) -> Header,
    ) -> Vec<u8> {
        let header = Header { id: pending.query.id, ..Header::default() }.with_qr(true);
        let mut builder = Builder::new(edit(header), 512);
        if let Some(question) = question {
            builder.question(question);
        }
        builder.finish(None)
    }

    #[test]
    fn only_the_reply_is_the_reply_rfc_5452_section_9_1() {
        let mut pending = pending(false);
        let right = pending.query.question.clone();
        let other_name = Question { name: "www.example.org.".parse().unwrap(), ..right.clone() };
        let other_type = Question { rtype: RecordType::AAAA, ..right.clone() };
        let other_class = Question { class: crate::wire::Class::CH, ..right.clone() };
        let same = |header: Header| header;
        let cut = reply(&pending, Some(&right), same)[..20].to_vec();
        let junk: Vec<(&str, Vec<u8>)> = vec![
            ("runt", vec![1, 2, 3, 4, 5]),
            ("empty", Vec::new()),
            ("wrong id", reply(&pending, Some(&right), |h| Header { id: h.id ^ 1, ..h })),
            ("a query", reply(&pending, Some(&right), |h| h.with_qr(false))),
            ("opcode", reply(&pending, Some(&right), |h| h.with_opcode(Opcode::NOTIFY))),
            ("other name", reply(&pending, Some(&other_name), same)),
            ("other type", reply(&pending, Some(&other_type), same)),
            ("other class", reply(&pending, Some(&other_class), same)),
            ("question cut short", cut),
            ("no question", reply(&pending, None, same)),
        ];
        for (case, bytes) in junk {
            pending.wrong = 0;
            assert!(matches!(pending.examine(&bytes), Verdict::Ignored), "{case}");
            let good = reply(&pending, Some(&right), same);
            assert!(matches!(pending.examine(&good), Verdict::Reply(_)), "{case}, then good");
        }
        assert_eq!(pending.last_resort(), None);
    }

    #[test]
    fn guessing_is_noticed() {
        let mut pending = pending(false);
        for _ in 1..WRONG_REPLIES.default {
            assert!(matches!(pending.examine(b"junk"), Verdict::Ignored));
        }
        assert!(matches!(pending.examine(b"junk"), Verdict::Suspicious));
    }

    #[test]
    fn an_error_without_question_is_kept_for_the_end() {
        let mut pending = pending(false);
        let refused = reply(&pending, None, |h| h.with_rcode(Rcode::REFUSED));
        assert!(matches!(pending.examine(&refused), Verdict::Ignored));
        assert_eq!(pending.last_resort(), Some(Rcode::REFUSED));
    }

    #[test]
    fn changed_case_is_told_apart_from_a_wrong_question() {
        let mut pending = pending(true);
        let mut lower = pending.query.question.clone();
        lower.name = lower.name.to_lowercase();
        let same = |header: Header| header;
        let mangled = reply(&pending, Some(&lower), same);
        assert!(matches!(pending.examine(&mangled), Verdict::CaseChanged));
        let exact = pending.query.question.clone();
        let good = reply(&pending, Some(&exact), same);
        assert!(matches!(pending.examine(&good), Verdict::Reply(_)));
    }
}
