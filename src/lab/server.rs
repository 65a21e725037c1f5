//! An authoritative server, as a function: a query and the time give what goes back.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::Transport;
use super::answer::{Response, iterative, recursive};
use super::faults::{Behavior, Plain};
use super::zone::Zone;
use crate::clock::UnixTime;
use crate::wire::{
    Builder, Edns, Header, Message, Name, Opcode, Question, Rcode, Rdata, RecordType, Rrset,
    Section,
};

/// What forged responses say, so that a test can see whether one was believed.
pub const FORGED: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 66));

/// Largest UDP response to queries without EDNS (RFC 1035 §4.2.1).
const PLAIN_UDP: usize = 512;

/// One thing that a server sends back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reply {
    /// A message, after so much time.
    Message(Duration, Vec<u8>),
    /// The end of the connection; nothing over UDP.
    Close,
}

/// A server: which zones it has, and how it misbehaves.
#[derive(Debug, Default)]
pub struct Server {
    /// Indexes of its zones in the world.
    pub zones: Vec<usize>,
    /// Its misbehavior.
    pub behaviors: Vec<Behavior>,
    asked: AtomicU32,
}

impl Server {
    /// Whether it misbehaves in that way.
    pub fn is(&self, plain: Plain) -> bool {
        self.behaviors.contains(&Behavior::Plain(plain))
    }

    /// Everything it sends in return for one query; nothing, if it is silent.
    pub fn respond(
        &self,
        world: &[Zone],
        query: &[u8],
        transport: Transport,
        now: UnixTime,
    ) -> Vec<Reply> {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        let silent = self.is(Plain::Silent)
            || self.is(Plain::Lossy) && asked.is_multiple_of(2)
            || self.behaviors.contains(&Behavior::SilentOver(transport));
        let Ok(query_read) = Message::parse(query) else { return Vec::new() };
        let Some(question) = query_read.question.as_ref() else { return Vec::new() };
        let drops = self.behaviors.contains(&Behavior::DropType(question.rtype))
            || query_read.edns.is_some() && self.is(Plain::EdnsDrop);
        if silent || drops || query_read.header.qr() {
            return Vec::new();
        }
        if transport == Transport::Tcp && self.is(Plain::TcpClose) {
            return vec![Reply::Close];
        }
        let delay = self.behaviors.iter().find_map(|behavior| match behavior {
            Behavior::Delay(delay) => Some(*delay),
            _ => None,
        });
        let delay = delay.unwrap_or_default();
        let response = self.response(world, &query_read, question, now);
        let bytes = self.encode(&query_read, question, response, transport);
        let mut replies = match transport {
            Transport::Udp => self.forgeries(query, &query_read, question),
            Transport::Tcp => Vec::new(),
        };
        replies.push(bytes);
        replies.into_iter().map(|bytes| Reply::Message(delay, bytes)).collect()
    }

    fn response(
        &self,
        world: &[Zone],
        query: &Message,
        question: &Question,
        now: UnixTime,
    ) -> Response {
        let dnssec = query.edns.as_ref().is_some_and(|edns| edns.dnssec_ok)
            && !self.is(Plain::Strip)
            && !self.is(Plain::EdnsIgnore);
        let dated = dnssec.then_some(now);
        if let Some(refusal) = self.refusal(query, question) {
            return refusal;
        }
        let mut response = if self.is(Plain::Recursive) {
            recursive(world, question, dated)
        } else {
            let zones: Vec<&Zone> = self.zones.iter().filter_map(|i| world.get(*i)).collect();
            iterative(&zones, question, dated)
        };
        if self.is(Plain::EntNxDomain)
            && response.rcode == Rcode::NOERROR
            && response.empty_non_terminal
        {
            response.rcode = Rcode::NXDOMAIN;
        }
        response.aa &= !self.is(Plain::NoAa);
        self.inject(question, &mut response);
        response
    }

    /// What it says instead of an answer, if it never gives one to such a question.
    fn refusal(&self, query: &Message, question: &Question) -> Option<Response> {
        let edns = query.edns.is_some();
        for behavior in &self.behaviors {
            let rcode = match behavior {
                Behavior::Plain(Plain::Refuse) => Rcode::REFUSED,
                Behavior::RefuseType(rtype) if *rtype == question.rtype => Rcode::REFUSED,
                Behavior::Plain(Plain::ServFail) => Rcode::SERVFAIL,
                Behavior::Plain(Plain::NotImp) => Rcode::NOTIMP,
                Behavior::Plain(Plain::FormErr) => Rcode::FORMERR,
                Behavior::Plain(Plain::EdnsFormErr) if edns => Rcode::FORMERR,
                Behavior::Plain(Plain::EdnsNotImp) if edns => Rcode::NOTIMP,
                Behavior::Plain(Plain::EdnsServFail) if edns => Rcode::SERVFAIL,
                Behavior::Plain(Plain::EdnsBadVers) if edns => Rcode::BADVERS,
                Behavior::Plain(Plain::Lame) => Rcode::NOERROR,
                Behavior::Plain(Plain::Upward) => {
                    let root = Name::root();
                    let host = root.prepend(b"a").unwrap_or_else(|_| Name::root());
                    return Some(Response::refer(&root, &host, None));
                }
                Behavior::Refer { zone, server, glue } if question.name.is_at_or_below(zone) => {
                    return Some(Response::refer(zone, server, *glue));
                }
                _ => continue,
            };
            return Some(Response::empty(rcode));
        }
        (query.header.opcode() != Opcode::QUERY).then(|| Response::empty(Rcode::NOTIMP))
    }

    fn inject(&self, question: &Question, response: &mut Response) {
        for behavior in &self.behaviors {
            let Behavior::Inject { section, below, record } = behavior else { continue };
            if !question.name.is_at_or_below(below) {
                continue;
            }
            let section = match section {
                Section::Answer => &mut response.answer,
                Section::Authority => &mut response.authority,
                Section::Additional => &mut response.additional,
            };
            let rdata = vec![record.rdata.clone()];
            section.push(Rrset::new(record.owner.clone(), record.rtype, record.ttl, rdata));
        }
    }

    fn encode(
        &self,
        query: &Message,
        question: &Question,
        response: Response,
        transport: Transport,
    ) -> Vec<u8> {
        let asks_no_question = self.is(Plain::EdnsFormErr) && response.rcode == Rcode::FORMERR;
        let plain = self.is(Plain::EdnsIgnore) || asks_no_question;
        let edns = query.edns.as_ref().filter(|_| !plain);
        let mut header = Header { id: query.header.id, ..Header::default() }
            .with_qr(true)
            .with_opcode(query.header.opcode())
            .with_aa(response.aa)
            .with_rd(query.header.rd())
            .with_ra(self.is(Plain::Recursive))
            .with_rcode(response.rcode);
        if self.is(Plain::WrongId) {
            header.id ^= 0x5555;
        }
        let mut question = question.clone();
        if self.is(Plain::WrongQuestion) {
            question.name = elsewhere(&question.name);
        }
        if self.is(Plain::LowerCase) {
            question.name = question.name.to_lowercase();
        }
        let truncate = self.is(Plain::TruncateAlways)
            || self.is(Plain::Truncate) && transport == Transport::Udp;
        let limit = self.limit(edns, transport);
        let opt = edns.map(|edns| Edns {
            rcode_high: response.rcode.high(),
            ..Edns::new(1232, edns.dnssec_ok)
        });
        let mut builder = Builder::new(header, limit);
        if !asks_no_question {
            builder.question(&question);
        }
        if let Some(opt) = &opt {
            builder.reserve(opt.wire_len());
        }
        let dnssec = edns.is_some_and(|edns| edns.dnssec_ok);
        write_sections(&mut builder, response, dnssec, truncate, self.is(Plain::LowerCase));
        let mut bytes = builder.finish(opt.as_ref());
        if self.is(Plain::Runt) {
            bytes.truncate(7);
        }
        bytes
    }

    fn limit(&self, edns: Option<&Edns>, transport: Transport) -> usize {
        let own = self.behaviors.iter().find_map(|behavior| match behavior {
            Behavior::UdpSize(octets) => Some(*octets),
            _ => None,
        });
        match (transport, edns) {
            (Transport::Tcp, _) => crate::wire::MAX_MESSAGE,
            (Transport::Udp, None) => PLAIN_UDP.min(own.unwrap_or(PLAIN_UDP)),
            (Transport::Udp, Some(edns)) => {
                usize::from(edns.udp_size).max(PLAIN_UDP).min(own.unwrap_or(usize::MAX))
            }
        }
    }

    /// Datagrams that come before the real response.
    fn forgeries(&self, query: &[u8], read: &Message, question: &Question) -> Vec<Vec<u8>> {
        let id = read.header.id;
        let mut out = Vec::new();
        for behavior in &self.behaviors {
            let Behavior::Plain(plain) = behavior else { continue };
            match plain {
                Plain::SpoofId => out.push(forged(id ^ 0x5555, question)),
                Plain::SpoofFlood => {
                    out.extend((1..=5).map(|n| forged(id.wrapping_add(n), question)));
                }
                Plain::SpoofQuestion => {
                    let name = elsewhere(&question.name);
                    out.push(forged(id, &Question { name, ..question.clone() }));
                }
                Plain::SpoofRunt => out.push(query.get(..7).unwrap_or_default().to_vec()),
                Plain::SpoofQuery => out.push(query.to_vec()),
                _ => {}
            }
        }
        out
    }
}

fn write_sections(
    builder: &mut Builder,
    response: Response,
    dnssec: bool,
    truncate: bool,
    lower: bool,
) {
    builder.truncated(truncate);
    if truncate {
        return;
    }
    let sections = [
        (Section::Answer, response.answer),
        (Section::Authority, response.authority),
        (Section::Additional, response.additional),
    ];
    for (section, rrsets) in sections {
        for mut rrset in rrsets {
            if lower {
                rrset.owner = rrset.owner.to_lowercase();
            }
            // Glue of a referral is needed, other additional records are not (RFC 9471 §3.1).
            let needed = section != Section::Additional || response.glue_needed;
            if builder.rrset(section, &rrset, dnssec).is_err() && needed {
                builder.truncated(true);
                return;
            }
        }
    }
}

/// A response that nobody should believe.
fn forged(id: u16, question: &Question) -> Vec<u8> {
    let header = Header { id, ..Header::default() }.with_qr(true).with_aa(true);
    let mut builder = Builder::new(header, PLAIN_UDP);
    builder.question(question);
    let rdata = vec![Rdata::from_ip(FORGED)];
    let poison = Rrset::new(question.name.clone(), RecordType::A, 86_400, rdata);
    // One short record always fits.
    let _ = builder.rrset(Section::Answer, &poison, false);
    builder.finish(None)
}

/// Another name of about the same form.
fn elsewhere(name: &Name) -> Name {
    let elsewhere = name.parent().and_then(|parent| parent.prepend(b"elsewhere").ok());
    elsewhere.unwrap_or_else(|| name.clone())
}
