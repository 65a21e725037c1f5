//! Reading a client's query in place.
//!
//! Nothing is copied and nothing allocated: a [`Query`] borrows the datagram. What is not a query
//! is told apart by what has to happen: silence, or an answer with a response code.
//!
//! # RFCs
//!
//! 1035 §4.1, 6891 §6.1 and §7 (OPT, BADVERS), 7828 (TCP keepalive), 5001 (NSID), 7873 §5.2
//! (cookies), 9824 (NXNAME).

use crate::cache::{HotEdns, HotQuery};
use crate::policy::{Asked, Cookie, Standing};
use crate::status::Reason;
use crate::wire::{
    Class, EdnsOption, Header, MAX_EDNS_OPTIONS, Name, Opcode, Question, Rcode, RecordType,
};

/// Name Server Identifier (RFC 5001).
pub(super) const NSID: u16 = 3;

/// A query of opcode QUERY with one question.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// Header as it came.
    pub header: Header,
    /// QNAME in wire form, uncompressed, in the client's case.
    pub name_wire: &'a [u8],
    /// QTYPE.
    pub rtype: RecordType,
    /// QCLASS.
    pub class: Class,
    /// OPT, when there is one.
    pub edns: Option<ClientEdns>,
}

/// What the client's OPT record says, as far as it matters here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ClientEdns {
    /// UDP payload size, in octets, as it came.
    pub udp_size: u16,
    /// DNSSEC OK.
    pub dnssec_ok: bool,
    /// The keepalive option is there (RFC 7828).
    pub keepalive: bool,
    /// The NSID option is there (RFC 5001).
    pub nsid: bool,
    /// The cookie option (RFC 7873), the first when there are several.
    pub cookie: CookieOption,
}

/// The cookie option of a query, and what goes back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CookieOption {
    /// There is none, or it is not looked at.
    None,
    /// Its length is impossible.
    Malformed,
    /// As it came.
    Asked(Cookie),
    /// What the answer carries.
    Given([u8; 24]),
}

/// What has to happen with something that is not a query to be resolved.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// No answer: it is an answer itself, or too short to be anything. Answering answers makes
    /// loops (RUSTSEC-2023-0041).
    Silence,
    /// An answer without records.
    Reply {
        /// The response code.
        rcode: Rcode,
        /// What an Extended DNS Error says.
        reason: Option<Reason>,
        /// Octets up to the end of the question; 12 when it could not be read.
        question_end: usize,
        /// The query has EDNS, so the answer has.
        edns: Option<ClientEdns>,
    },
}

impl<'a> Query<'a> {
    /// Reads a message from a client.
    ///
    /// Octets after the last record are ignored.
    ///
    /// # Errors
    ///
    /// [`Fault`] says what to do instead of resolving.
    pub fn parse(message: &'a [u8]) -> Result<Self, Fault> {
        let header = Header::read(message).ok_or(Fault::Silence)?;
        if header.qr() {
            return Err(Fault::Silence);
        }
        if header.opcode() != Opcode::QUERY {
            return Err(fault(Rcode::NOTIMP, Header::LEN, None));
        }
        let [questions, answers, authorities, additionals] = header.counts;
        let malformed = fault(Rcode::FORMERR, Header::LEN, None);
        if questions != 1 || answers != 0 || authorities != 0 || additionals > 1 || header.tc() {
            return Err(malformed);
        }
        let (name_wire, rest) = split_name(&message[Header::LEN..]).ok_or(malformed)?;
        let (rtype, rest) = split_u16(rest).ok_or(malformed)?;
        let (class, rest) = split_u16(rest).ok_or(malformed)?;
        let question_end = message.len() - rest.len();
        let edns = match additionals {
            0 => None,
            _ => read_opt(rest).map_err(|rcode| {
                let edns = (rcode == Rcode::BADVERS).then_some(ClientEdns::NONE);
                fault(rcode, question_end, edns)
            })?,
        };
        let rtype = RecordType(rtype);
        if let Some(reason) = refused_type(rtype) {
            let rcode = Rcode::FORMERR;
            return Err(Fault::Reply { rcode, reason, question_end, edns });
        }
        Ok(Self { header, name_wire, rtype, class: Class(class), edns })
    }

    /// DO.
    pub fn dnssec_ok(&self) -> bool {
        self.edns.is_some_and(|edns| edns.dnssec_ok)
    }

    /// Octets up to the end of the question.
    pub fn question_end(&self) -> usize {
        Header::LEN + self.name_wire.len() + 4
    }

    /// The question with memory of its own.
    pub fn question(&self) -> Question {
        // The name was checked when it was read, so that the root never stands in for it.
        let name = Name::from_wire(self.name_wire).unwrap_or_else(|_| Name::root());
        Question { name, rtype: self.rtype, class: self.class }
    }

    /// As the cache wants it.
    pub fn hot(&self) -> HotQuery<'a> {
        HotQuery {
            id: self.header.id,
            flags: self.header.bits,
            name_wire: self.name_wire,
            rtype: self.rtype,
            class: self.class,
            edns: self.edns.map(ClientEdns::hot),
        }
    }

    /// As policy wants it.
    pub fn asked(&self, stream: bool, cookie: Option<Standing>) -> Asked<'a> {
        Asked {
            cookie,
            name_wire: self.name_wire,
            rtype: self.rtype,
            class: self.class,
            recursion_desired: self.header.rd(),
            stream,
        }
    }
}

impl ClientEdns {
    /// OPT of which nothing is known but that it was there.
    pub const NONE: Self = Self {
        udp_size: 512,
        dnssec_ok: false,
        keepalive: false,
        nsid: false,
        cookie: CookieOption::None,
    };

    /// As the cache wants it.
    pub const fn hot(self) -> HotEdns {
        HotEdns { udp_size: self.udp_size, dnssec_ok: self.dnssec_ok }
    }
}

const fn fault(rcode: Rcode, question_end: usize, edns: Option<ClientEdns>) -> Fault {
    Fault::Reply { rcode, reason: None, question_end, edns }
}

/// Types that cannot be asked for (RFC 6895 §3.1), with the reason a client is told. ANY, AXFR and
/// IXFR are for policy.
fn refused_type(rtype: RecordType) -> Option<Option<Reason>> {
    match rtype {
        RecordType::NXNAME => Some(Some(Reason::InvalidQueryType)),
        RecordType::OPT | RecordType::TKEY | RecordType::TSIG => Some(None),
        RecordType::MAILA | RecordType::MAILB => Some(None),
        RecordType(128..=248) => Some(None),
        _ => None,
    }
}

/// The name at the front. In a query there is nothing a compression pointer could point to.
fn split_name(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 0;
    loop {
        let len = *bytes.get(at)?;
        if usize::from(len) > Name::MAX_LABEL {
            return None;
        }
        at += 1 + usize::from(len);
        if at > Name::MAX_LEN {
            return None;
        }
        if len == 0 {
            return bytes.split_at_checked(at);
        }
    }
}

fn split_u16(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (first, rest) = bytes.split_first_chunk()?;
    Some((u16::from_be_bytes(*first), rest))
}

/// Reads the one additional record; `None` when it is something else than OPT.
fn read_opt(bytes: &[u8]) -> Result<Option<ClientEdns>, Rcode> {
    let malformed = Rcode::FORMERR;
    let (owner, rest) = split_name(bytes).ok_or(malformed)?;
    let (rtype, rest) = split_u16(rest).ok_or(malformed)?;
    let (udp_size, rest) = split_u16(rest).ok_or(malformed)?;
    let (&[_, version, flags, _], rest) = rest.split_first_chunk().ok_or(malformed)?;
    let (len, rest) = split_u16(rest).ok_or(malformed)?;
    let mut options = rest.get(..usize::from(len)).ok_or(malformed)?;
    if RecordType(rtype) != RecordType::OPT {
        return Ok(None);
    }
    if owner.len() != 1 {
        return Err(malformed);
    }
    if version != 0 {
        return Err(Rcode::BADVERS);
    }
    let mut edns = ClientEdns { udp_size, dnssec_ok: flags & 0x80 != 0, ..ClientEdns::NONE };
    for _ in 0..MAX_EDNS_OPTIONS {
        if options.is_empty() {
            break;
        }
        let (code, rest) = split_u16(options).ok_or(malformed)?;
        let (len, rest) = split_u16(rest).ok_or(malformed)?;
        let (data, behind) = rest.split_at_checked(len.into()).ok_or(malformed)?;
        options = behind;
        if code == EdnsOption::COOKIE && edns.cookie == CookieOption::None {
            edns.cookie = Cookie::read(data).map_or(CookieOption::Malformed, CookieOption::Asked);
        }
        edns.keepalive |= code == EdnsOption::TCP_KEEPALIVE;
        edns.nsid |= code == NSID;
    }
    if options.is_empty() { Ok(Some(edns)) } else { Err(malformed) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEAD: &[u8] = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00";
    const HEAD_OPT: &[u8] = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01";
    const WWW_A: &[u8] = b"\x03www\x07Example\x00\x00\x01\x00\x01";

    fn rcode(message: &[u8]) -> Option<Rcode> {
        match Query::parse(message) {
            Ok(_) => None,
            Err(Fault::Silence) => Some(Rcode(99)),
            Err(Fault::Reply { rcode, question_end, .. }) => {
                assert!(question_end <= message.len());
                Some(rcode)
            }
        }
    }

    fn with_type(rtype: u8) -> Vec<u8> {
        [HEAD, b"\x00\x00", &[rtype], b"\x00\x01"].concat()
    }

    fn opt(version: u8, options: &[u8]) -> Vec<u8> {
        let len = u16::try_from(options.len()).unwrap().to_be_bytes();
        let opt = [b"\x00\x00\x29\x04\xd0\x00", &[version][..], b"\x80\x00", &len, options];
        [HEAD_OPT, WWW_A, &opt.concat()].concat()
    }

    #[test]
    fn what_is_no_query_is_answered_or_not_as_it_deserves() {
        let patched = |at: usize, octet: u8| {
            let mut message = [HEAD, WWW_A].concat();
            message[at] = octet;
            message
        };
        const SILENCE: Option<Rcode> = Some(Rcode(99));
        const FORMERR: Option<Rcode> = Some(Rcode::FORMERR);
        #[rustfmt::skip]
        let cases = [
            ("a query",                  [HEAD, WWW_A].concat(),           None),
            ("nothing",                  vec![],                           SILENCE),
            ("shorter than a header",    HEAD[..11].to_vec(),              SILENCE),
            ("a response",               patched(2, 0x81),                 SILENCE),
            ("a response of garbage",    vec![0xff; 40],                   SILENCE),
            ("a notification",           patched(2, 0x20),                 Some(Rcode::NOTIMP)),
            ("no question",              patched(5, 0),                    FORMERR),
            ("two questions",            patched(5, 2),                    FORMERR),
            ("an answer",                patched(7, 1),                    FORMERR),
            ("truncated",                patched(2, 0x03),                 FORMERR),
            ("two additional records",   patched(11, 2),                   FORMERR),
            ("no name",                  HEAD.to_vec(),                    FORMERR),
            ("a pointer",                [HEAD, b"\xc0\x0c\0\x01\0\x01"].concat(), FORMERR),
            ("half a type",              [HEAD, b"\x00\x00"].concat(),     FORMERR),
            ("OPT missing",              [HEAD_OPT, WWW_A].concat(),       FORMERR),
            ("type OPT",                 with_type(41),                    FORMERR),
            ("type NXNAME",              with_type(128),                   FORMERR),
            ("type TSIG",                with_type(250),                   FORMERR),
            ("type ANY",                 with_type(255),                   None),
            ("EDNS",                     opt(0, b""),                      None),
            ("EDNS version 1",           opt(1, b""),                      Some(Rcode::BADVERS)),
            ("32 options",               opt(0, &[0; 128]),                None),
            ("33 options",               opt(0, &[0; 132]),                FORMERR),
            ("option cut short",         opt(0, b"\x00\x03\x00\x01"),      FORMERR),
        ];
        for (case, message, want) in cases {
            assert_eq!(rcode(&message), want, "{case}");
        }
    }

    #[test]
    fn a_name_has_at_most_255_octets() {
        let name = |last: usize| {
            let mut name = [&[63; 1][..], &[b'a'; 63]].concat().repeat(3);
            name.push(u8::try_from(last).unwrap());
            name.extend(vec![b'b'; last]);
            name.push(0);
            [HEAD, &name, b"\x00\x01\x00\x01"].concat()
        };
        assert_eq!(rcode(&name(61)), None);
        assert_eq!(rcode(&name(62)), Some(Rcode::FORMERR));
    }

    #[test]
    fn options_are_seen() {
        let message = opt(0, b"\x00\x0b\x00\x00\x00\x03\x00\x00");
        let query = Query::parse(&message).unwrap();
        let edns = query.edns.unwrap();
        assert!(edns.keepalive && edns.nsid && edns.dnssec_ok && query.dnssec_ok());
        assert_eq!(edns.udp_size, 1232);
        assert_eq!(query.question().to_string(), "www.Example. IN A");
        assert_eq!(&message[..query.question_end()], &[HEAD_OPT, WWW_A].concat());
    }

    #[test]
    fn the_reason_for_refusing_nxname_is_told() {
        let Err(Fault::Reply { reason, .. }) = Query::parse(&with_type(128)) else { panic!() };
        assert_eq!(reason, Some(Reason::InvalidQueryType));
    }

    proptest! {
        /// Whatever is taken for a query has a name that is one, and ends inside the message.
        #[test]
        fn queries_are_inside_their_message(mut message in prop::collection::vec(0u8..66, 12..300)) {
            message[2] = 1;
            let additionals = message[4] & 1;
            message[4..12].copy_from_slice(&[0, 1, 0, 0, 0, 0, 0, additionals]);
            if let Ok(query) = Query::parse(&message) {
                prop_assert!(query.question_end() <= message.len());
                prop_assert!(Name::from_wire(query.name_wire).is_ok());
            }
        }
    }
}
