//! What one client gets: the cache's bytes cut to size with the options it asked for, or an answer
//! without records to something that was no proper query.
//!
//! The cache writes answers, those of hits and, by [`Cache::render`], all others, so that the first
//! client to ask sees the same as the second. RFC 4035 §3.2 and RFC 6840 §5.7 and §5.8 (AD, CD, DO)
//! are its part. Here is what depends on the transport.

use crate::cache::{Answer, Cache, Hit, HotQuery, Manner};
use crate::clock::Now;
use crate::config::{Config, Ede};
use crate::status::Reason;
use crate::wire::{Edns, EdnsOption, Header, MAX_MESSAGE, Question, Rcode};

use super::query::{ClientEdns, CookieOption, Fault, NSID};

/// Octets of OPT without options.
const OPT_LEN: usize = 11;
/// Flags as in [`Header::bits`].
pub(super) const AA: u16 = 0x0400;
pub(super) const TC: u16 = 0x0200;
pub(super) const RA: u16 = 0x0080;
/// Octets that most answers do not exceed.
const USUAL: usize = 4096;

/// Who is answered, and how.
#[derive(Clone, Debug)]
pub struct Recipient {
    /// Header of the query.
    pub header: Header,
    /// The question in the client's case.
    pub question: Question,
    /// OPT of the query.
    pub edns: Option<ClientEdns>,
    /// Octets the answer may have.
    pub limit: usize,
    /// It goes over TCP, where the keepalive option has a meaning.
    pub stream: bool,
}

impl Recipient {
    /// As the cache wants it.
    pub fn hot(&self) -> HotQuery<'_> {
        HotQuery {
            id: self.header.id,
            flags: self.header.bits,
            name_wire: self.question.name.as_wire(),
            rtype: self.question.rtype,
            class: self.question.class,
            edns: self.edns.map(ClientEdns::hot),
        }
    }
}

/// Octets a client can take over UDP: what it says, at least 512, at most what we send.
pub fn udp_limit(edns: Option<ClientEdns>, config: &Config) -> usize {
    let size = edns.map_or(512, |edns| edns.udp_size.max(512));
    size.min(config.max_udp_size).into()
}

/// Writes an answer for one client, and says which response code that client sees.
///
/// An answer that is too large even for TCP becomes SERVFAIL.
pub fn render(
    cache: &Cache,
    answer: &Answer,
    to: &Recipient,
    config: &Config,
    now: Now,
) -> (Vec<u8>, Rcode) {
    let mut out = Vec::new();
    for size in [USUAL, MAX_MESSAGE] {
        out.resize(size, 0);
        if let Some(hit) = cache.render(answer, &to.hot(), now, &mut out) {
            if answer.manner.truncated && !to.stream {
                return (encode_truncated(to, config), Rcode::NOERROR);
            }
            set_flags(answer.manner, &mut out);
            let len = finish(&hit, &mut out, to.edns, to.stream, to.limit, config);
            out.truncate(len);
            return (out, hit.rcode);
        }
    }
    (encode_empty(Rcode::SERVFAIL, to, config), Rcode::SERVFAIL)
}

/// An answer without records.
fn encode_empty(rcode: Rcode, to: &Recipient, config: &Config) -> Vec<u8> {
    let question_end = Header::LEN + to.question.name.len() + 4;
    let fault = Fault::Reply { rcode, reason: None, question_end, edns: to.edns };
    let header = Header { counts: [1, 0, 0, 0], ..to.header };
    let mut query = header.to_bytes().to_vec();
    query.extend_from_slice(to.question.name.as_wire());
    query.extend_from_slice(&to.question.rtype.0.to_be_bytes());
    query.extend_from_slice(&to.question.class.0.to_be_bytes());
    encode_fault(fault, &query, config).unwrap_or_default()
}

/// An answer without records that makes the client come back over TCP.
fn encode_truncated(to: &Recipient, config: &Config) -> Vec<u8> {
    let mut out = encode_empty(Rcode::NOERROR, to, config);
    set_bits(&mut out, TC, 0);
    out
}

/// Sets and clears flags of a message.
fn set_bits(out: &mut [u8], set: u16, clear: u16) {
    if let Some(bits) = out.get_mut(2..4).and_then(|bits| bits.first_chunk_mut::<2>()) {
        *bits = (u16::from_be_bytes(*bits) & !clear | set).to_be_bytes();
    }
}

/// Patches flags as policy wants them.
fn set_flags(manner: Manner, out: &mut [u8]) {
    let set = if manner.authoritative { AA } else { 0 };
    let clear = if manner.hides_recursion { RA } else { 0 };
    set_bits(out, set, clear);
}

/// Makes the bytes the cache wrote fit `limit` octets, and adds the options the client asked for
/// where there is room; returns the length.
pub fn finish(
    hit: &Hit,
    out: &mut [u8],
    edns: Option<ClientEdns>,
    stream: bool,
    limit: usize,
    config: &Config,
) -> usize {
    let opt_end = hit.opt_at + OPT_LEN;
    if hit.len > limit && opt_end <= limit && hit.opt_at < hit.len {
        // What only explains goes before anything that was asked for (Unbound looped here:
        // CVE-2024-1931).
        out[opt_end - 2..opt_end].fill(0);
        return opt_end;
    }
    let mut len = cut(hit, out, limit);
    let Some(edns) = edns.filter(|_| len == hit.len) else { return len };
    let stale = match hit.rcode {
        Rcode::NXDOMAIN => Reason::StaleNxDomain,
        _ => Reason::StaleAnswer,
    };
    let stale = stale.ede().0.to_be_bytes();
    let stale = (hit.expired && config.ede != Ede::Off && config.ede_serve_expired)
        .then_some((EdnsOption::EDE, stale.as_slice()));
    let nsid = config.nsid.as_ref().filter(|_| edns.nsid);
    let nsid = nsid.map(|nsid| (NSID, nsid.0.as_slice()));
    let units = keepalive_units(config).to_be_bytes();
    let keepalive = (edns.keepalive && stream && config.edns_tcp_keepalive)
        .then_some((EdnsOption::TCP_KEEPALIVE, units.as_slice()));
    let cookie = match &edns.cookie {
        CookieOption::Given(full) => Some((EdnsOption::COOKIE, full.as_slice())),
        _ => None,
    };
    for (code, data) in [cookie, stale, nsid, keepalive].into_iter().flatten() {
        if let Some(longer) = add_option(out, len, hit.opt_at, limit, code, data) {
            len = longer;
        }
    }
    len
}

/// Cuts a hit down to `limit` octets: first the additional section goes, then everything, with TC
/// (RFC 2181 §9). Returns how many octets are left.
fn cut(hit: &Hit, out: &mut [u8], limit: usize) -> usize {
    let Some(header) = Header::read(out).filter(|_| hit.len > limit) else { return hit.len };
    let opt = hit.len - hit.opt_at;
    let truncated = hit.authority_end + opt > limit;
    let keep = if truncated { hit.question_end } else { hit.authority_end };
    let [questions, answers, authorities, _] = header.counts;
    let kept = if truncated { [0, 0] } else { [answers, authorities] };
    let counts = [questions, kept[0], kept[1], u16::from(opt > 0)];
    let header = Header { counts, ..header }.with_tc(truncated);
    out.copy_within(hit.opt_at..hit.len, keep);
    if let Some(head) = out.first_chunk_mut() {
        *head = header.to_bytes();
    }
    keep + opt
}

/// How long an idle connection stays open, in units of 100 ms (RFC 7828 §3.1).
fn keepalive_units(config: &Config) -> u16 {
    u16::try_from(config.edns_tcp_keepalive_timeout / 100).unwrap_or(u16::MAX)
}

/// Appends an option to OPT, the last record; `None` when there is no OPT or no room.
fn add_option(
    out: &mut [u8],
    len: usize,
    opt_at: usize,
    limit: usize,
    code: u16,
    data: &[u8],
) -> Option<usize> {
    let added = u16::try_from(4 + data.len()).ok()?;
    let end = len + usize::from(added);
    if opt_at == len || end > limit.min(out.len()) {
        return None;
    }
    // RDLENGTH is the last field before the options.
    let rdlen = out.get_mut(opt_at + OPT_LEN - 2..opt_at + OPT_LEN)?.first_chunk_mut::<2>()?;
    *rdlen = u16::from_be_bytes(*rdlen).checked_add(added)?.to_be_bytes();
    let (head, tail) = out.get_mut(len..end)?.split_at_mut(4);
    head[..2].copy_from_slice(&code.to_be_bytes());
    head[2..].copy_from_slice(&(added - 4).to_be_bytes());
    tail.copy_from_slice(data);
    Some(end)
}

/// The answer without records that a faulty query deserves; `None` when that is none. `message`
/// is the query.
pub fn encode_fault(fault: Fault, message: &[u8], config: &Config) -> Option<Vec<u8>> {
    let Fault::Reply { rcode, reason, question_end, edns } = fault else { return None };
    let query = Header::read(message)?;
    let questions = u16::from(question_end > Header::LEN);
    let counts = [questions, 0, 0, edns.is_some().into()];
    let header = Header { id: query.id, bits: 0, counts }
        .with_qr(true)
        .with_opcode(query.opcode())
        .with_rd(query.rd())
        .with_cd(query.cd())
        // What cannot be understood, or is refused, is not recursed for.
        .with_ra(matches!(rcode, Rcode::NOERROR | Rcode::SERVFAIL))
        .with_rcode(rcode);
    let mut out = header.to_bytes().to_vec();
    out.extend_from_slice(message.get(Header::LEN..question_end)?);
    if let Some(edns) = edns {
        let mut opt = Edns::new(config.edns_buffer_size, edns.dnssec_ok);
        opt.rcode_high = rcode.high();
        let told = reason.filter(|_| config.ede != Ede::Off);
        opt.options
            .extend(told.map(|reason: Reason| EdnsOption::ede(reason.ede().0, reason.text())));
        if let CookieOption::Given(full) = &edns.cookie {
            opt.options.push(EdnsOption { code: EdnsOption::COOKIE, data: full.to_vec() });
        }
        opt.write(&mut out);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::clock::{Mono, Rng, UnixTime};
    use crate::config::Nsid;
    use crate::status::SecurityStatus;
    use crate::wire::{Message, Rdata, RecordType, Rrset};

    const NOW: Now = Now::new(Mono::ZERO, UnixTime(1_000_000));

    fn question() -> Question {
        Question::new("WWW.example.".parse().unwrap(), RecordType::A)
    }

    fn addresses(count: u16) -> Answer {
        let rdata = (0..count).map(|n| Rdata::from_bytes(u32::from(n).to_be_bytes()));
        let rrset = Rrset::new(question().name, RecordType::A, 300, rdata.collect());
        let mut answer = Answer::empty(question(), Rcode::NOERROR);
        answer.answer.push(rrset);
        answer.status = SecurityStatus::Secure;
        answer
    }

    fn to(limit: usize) -> Recipient {
        let header = Header { id: 77, bits: 0x0110, counts: [1, 0, 0, 1] };
        let edns = Some(ClientEdns { udp_size: 1232, ..ClientEdns::NONE });
        Recipient { header, question: question(), edns, limit, stream: false }
    }

    fn rendered(answer: &Answer, to: &Recipient, config: &Config) -> Message {
        let cache = Cache::new(config, &mut Rng::seed_from_u64(1));
        let (bytes, rcode) = render(&cache, answer, to, config, NOW);
        assert!(bytes.len() <= to.limit, "{} octets", bytes.len());
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(message.rcode, rcode);
        message
    }

    #[test]
    fn id_question_and_flags_are_echoed() {
        let message = rendered(&addresses(1), &to(1232), &Config::default());
        assert_eq!(message.header.id, 77);
        let flags = message.header;
        assert!(flags.qr() && flags.rd() && flags.ra() && flags.cd() && !flags.aa());
        assert!(message.question.unwrap().name.eq_case(&question().name), "case is kept");
        assert_eq!(message.edns.unwrap().udp_size, 1232);
        let old = Recipient { edns: None, ..to(512) };
        assert_eq!(rendered(&addresses(1), &old, &Config::default()).edns, None);
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_tc_says_so() {
        #[rustfmt::skip]
        let cases = [
            // addresses, limit, answers, TC, rcode
            (    20,     1232,    20, false, Rcode::NOERROR),
            (    20,      512,    20, false, Rcode::NOERROR),
            (    20,      300,     0, true,  Rcode::NOERROR),
            (   400,     1232,     0, true,  Rcode::NOERROR),
            (  4000,   65_535,  4000, false, Rcode::NOERROR),
            (  5000,   65_535,     0, false, Rcode::SERVFAIL),
        ];
        for (addresses_, limit, answers, tc, rcode) in cases {
            let message = rendered(&addresses(addresses_), &to(limit), &Config::default());
            let got = (message.answer.len(), message.header.tc(), message.rcode);
            assert_eq!(got, (answers, tc, rcode), "{addresses_} in {limit}");
            assert!(message.edns.is_some(), "OPT always fits");
        }
    }

    #[test]
    fn the_reason_goes_before_anything_that_was_asked_for() {
        let answer = Answer { reason: Some(Reason::UnsupportedDigest), ..addresses(20) };
        let size = 12 + 17 + 20 * 16 + OPT_LEN;
        for (limit, tc, told) in [
            (1232, false, true),
            (size + 1, false, false),
            (size, false, false),
            (size - 1, true, true),
        ] {
            let message =
                rendered(&answer, &to(limit), &Config { ede: Ede::All, ..Config::default() });
            assert_eq!(message.header.tc(), tc, "{limit}");
            let options = message.edns.unwrap().options;
            assert_eq!(!options.is_empty(), told, "{limit}: {options:?}");
        }
    }

    #[test]
    fn options_are_answered_when_asked_and_configured() {
        let nsid = Some(Nsid(b"me".to_vec()));
        let config = Config { nsid, edns_tcp_keepalive: true, ..Config::default() };
        let options = |to: &Recipient, config: &Config| {
            let edns = rendered(&addresses(1), to, config).edns.unwrap();
            edns.options.into_iter().map(|option| (option.code, option.data)).collect::<Vec<_>>()
        };
        let mut to = Recipient { stream: true, ..to(512) };
        assert_eq!(options(&to, &config), []);
        to.edns = Some(ClientEdns { keepalive: true, nsid: true, ..ClientEdns::NONE });
        let nsid = (3, b"me".to_vec());
        assert_eq!(options(&to, &config), [nsid.clone(), (11, vec![0x04, 0xb0])]);
        assert_eq!(options(&Recipient { stream: false, ..to.clone() }, &config), [nsid]);
        assert_eq!(options(&to, &Config::default()), []);
        let tight = 12 + 17 + 16 + OPT_LEN;
        assert_eq!(options(&Recipient { limit: tight, ..to }, &config), []);
    }

    #[test]
    fn faults_are_answered_without_records() {
        let message = b"\x12\x34\x21\x10\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x80\x00\x01";
        let config = Config { ede: Ede::Failures, ..Config::default() };
        assert_eq!(encode_fault(Fault::Silence, message, &config), None);
        let fault = |rcode, question_end, edns| Fault::Reply {
            rcode,
            reason: Some(Reason::InvalidQueryType),
            question_end,
            edns,
        };
        let read = |fault| Message::parse(&encode_fault(fault, message, &config).unwrap()).unwrap();
        let plain = read(fault(Rcode::NOTIMP, 12, None));
        assert_eq!((plain.rcode, plain.question, plain.edns), (Rcode::NOTIMP, None, None));
        assert_eq!(plain.header.opcode().0, 4);
        assert!(plain.header.qr() && plain.header.cd() && plain.header.id == 0x1234);

        let badvers = read(fault(Rcode::BADVERS, message.len(), Some(ClientEdns::NONE)));
        assert_eq!(badvers.rcode, Rcode::BADVERS);
        assert_eq!(badvers.question.unwrap().to_string(), "a. IN NXNAME");
        assert_eq!(badvers.edns.unwrap().options[0].data, [0, 30]);
    }

    #[test]
    fn udp_answers_are_as_long_as_both_sides_allow() {
        let config = Config { max_udp_size: 1400, ..Config::default() };
        for (said, want) in [(None, 512), (Some(0), 512), (Some(1232), 1232), (Some(65_535), 1400)]
        {
            let edns = said.map(|udp_size| ClientEdns { udp_size, ..ClientEdns::NONE });
            assert_eq!(udp_limit(edns, &config), want);
        }
    }
}
