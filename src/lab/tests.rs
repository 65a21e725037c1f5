//! The miniature Internet against the examples of the RFCs.

use super::*;
use crate::clock::UnixTime;
use crate::wire::{
    Builder, Class, Edns, Header, Message, Name, Question, Record, RecordType, Rrsig,
};

const NOW: UnixTime = UnixTime(1_790_000_000);

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn query(qname: &str, qtype: RecordType, edns: Option<Edns>) -> Vec<u8> {
    let mut builder = Builder::new(Header { id: 77, ..Header::default() }, 512);
    builder.question(&Question::new(name(qname), qtype));
    builder.finish(edns.as_ref())
}

fn ask(world: &World, to: &str, qname: &str, qtype: &str) -> Message {
    let query = query(qname, qtype.parse().unwrap(), Some(Edns::new(1232, true)));
    let replies = world.respond(to.parse().unwrap(), &query, Transport::Udp, NOW);
    let [Reply::Message(_, bytes)] = &replies[..] else { panic!("{replies:?}") };
    Message::parse(bytes).unwrap()
}

/// `OWNER TYPE` of each record but RRSIG, relative to `example.`; hashes are shown as the name
/// they are the hash of.
fn shown(records: &[Record], hashed: &[(String, &str)]) -> String {
    let mut out = Vec::new();
    for record in records.iter().filter(|record| record.rtype != RecordType::RRSIG) {
        let owner = record.owner.to_string();
        let first = owner.split('.').next().unwrap_or_default();
        let owner = match hashed.iter().find(|(hash, _)| hash == first) {
            Some((_, of)) => format!("#{of}"),
            None => owner.trim_end_matches("example.").trim_end_matches('.').to_owned(),
        };
        let owner = if owner.is_empty() { "@" } else { &owner };
        out.push(format!("{owner} {}", record.rtype));
    }
    out.join(", ")
}

/// The zone of RFC 4035 appendix A and RFC 5155 appendix A.
const EXAMPLE: &str = "
$ZONE . 192.0.2.1
$ZONE example. 192.0.2.2
DENIAL
@ MX 1 xx
@ NS ns1
@ NS ns2
a NS ns1.a
a NS ns2.a
a DS 57855 8 1 B6DCD485719ADCA18E5F3D48A2331627FDD3636B
ns1.a A 192.0.2.5
ns2.a A 192.0.2.6
ai A 192.0.2.9
b NS ns1.b
ns1.b A 192.0.2.7
ns1 A 192.0.2.2
ns2 A 192.0.2.2
*.w MX 1 ai
x.w MX 1 xx
x.y.w MX 1 xx
xx A 192.0.2.10
xx AAAA 2001:db8::f00:baaa
old DNAME new
alias CNAME ai
";

#[test]
fn responses_are_those_of_rfc_4035_appendix_b() {
    let world = World::new(&EXAMPLE.replace("DENIAL", "")).unwrap();
    #[rustfmt::skip]
    let cases = [
        // RFC 4035 appendix B.1 to B.8, then what is not there
        ("x.w.example.",    "MX",    "NOERROR",  "x.w MX", "", "xx A, xx AAAA"),
        ("ml.example.",     "A",     "NXDOMAIN", "", "@ SOA, b NSEC, @ NSEC", ""),
        ("ns1.example.",    "MX",    "NOERROR",  "", "@ SOA, ns1 NSEC", ""),
        ("mc.a.example.",   "MX",    "NOERROR",  "", "a NS, a NS, a DS", "ns1.a A, ns2.a A"),
        ("mc.b.example.",   "MX",    "NOERROR",  "", "b NS, b NSEC", "ns1.b A"),
        ("a.z.w.example.",  "MX",    "NOERROR",  "a.z.w MX", "x.y.w NSEC", "ai A"),
        ("a.z.w.example.",  "AAAA",  "NOERROR",  "", "@ SOA, x.y.w NSEC, *.w NSEC", ""),
        ("b.example.",      "DS",    "NOERROR",  "", "@ SOA, b NSEC", ""),
        ("y.w.example.",    "A",     "NOERROR",  "", "@ SOA, x.w NSEC", ""),
        ("a.old.example.",  "A",     "NXDOMAIN", "old DNAME, a.old CNAME", "@ SOA, b NSEC, @ NSEC", ""),
        ("old.example.",    "A",     "NOERROR",  "", "@ SOA, old NSEC", ""),
        ("alias.example.",  "A",     "NOERROR",  "alias CNAME, ai A", "", ""),
        ("alias.example.",  "CNAME", "NOERROR",  "alias CNAME", "", ""),
        ("ns1.example.",    "NSEC",  "NOERROR",  "ns1 NSEC", "", ""),
        ("other.",          "A",     "REFUSED",  "", "", ""),
        ("example.",        "AXFR",  "REFUSED",  "", "", ""),
    ];
    for (qname, qtype, rcode, answer, authority, additional) in cases {
        let got = ask(&world, "192.0.2.2", qname, qtype);
        let case = format!("{qname} {qtype}");
        assert_eq!(got.rcode.to_string(), rcode, "{case}");
        assert_eq!(shown(&got.answer, &[]), answer, "answer of {case}");
        assert_eq!(shown(&got.authority, &[]), authority, "authority of {case}");
        assert_eq!(shown(&got.additional, &[]), additional, "additional of {case}");
    }
}

#[test]
fn responses_are_those_of_rfc_5155_appendix_b() {
    let denial = "$NSEC3 iterations 12 salt aabbccdd opt-out";
    let world = World::new(&EXAMPLE.replace("DENIAL", denial)).unwrap();
    let names = [
        "example.",
        "a.example.",
        "ai.example.",
        "ns1.example.",
        "ns2.example.",
        "w.example.",
        "*.w.example.",
        "x.w.example.",
        "y.w.example.",
        "x.y.w.example.",
        "xx.example.",
        "alias.example.",
        "old.example.",
    ];
    let hashed: Vec<(String, &str)> = names
        .iter()
        .map(|of| {
            let hash = signer::nsec3_hash(&name(of), &[0xaa, 0xbb, 0xcc, 0xdd], 12);
            (data_encoding::BASE32HEX_NOPAD.encode(&hash).to_lowercase(), *of)
        })
        .collect();
    #[rustfmt::skip]
    let cases = [
        // RFC 5155 appendix B.1 to B.5; a "#" stands before the name that was hashed
        ("a.c.x.w.example.", "A",    "NXDOMAIN", 3, "#x.w.example. NSEC3"),
        ("ns1.example.",     "MX",   "NOERROR",  1, "#ns1.example. NSEC3"),
        ("y.w.example.",     "A",    "NOERROR",  1, "#y.w.example. NSEC3"),
        ("mc.b.example.",    "MX",   "NOERROR",  2, "#example. NSEC3"),
        ("b.example.",       "DS",   "NOERROR",  2, "#example. NSEC3"),
        ("a.z.w.example.",   "MX",   "NOERROR",  1, "#ns2.example. NSEC3"),
        ("a.z.w.example.",   "AAAA", "NOERROR",  3, "#*.w.example. NSEC3"),
        ("mc.a.example.",    "MX",   "NOERROR",  0, "a DS"),
    ];
    for (qname, qtype, rcode, count, one) in cases {
        let got = ask(&world, "192.0.2.2", qname, qtype);
        let case = format!("{qname} {qtype}");
        let authority = shown(&got.authority, &hashed);
        assert_eq!(got.rcode.to_string(), rcode, "{case}");
        assert_eq!(authority.matches("NSEC3").count(), count, "{case}: {authority}");
        assert!(authority.split(", ").any(|shown| shown == one), "{case}: {authority}");
    }
}

#[test]
fn what_is_authoritative_is_signed_and_nothing_else() {
    let world = World::new(&EXAMPLE.replace("DENIAL", "")).unwrap();
    for (qname, qtype, signed) in [
        ("mc.a.example.", "MX", "DS"),
        ("mc.b.example.", "MX", "NSEC"),
        ("a.z.w.example.", "MX", "A MX NSEC"),
        ("a.old.example.", "CNAME", "DNAME NSEC SOA"),
    ] {
        let got = ask(&world, "192.0.2.2", qname, qtype);
        let records = got.answer.iter().chain(&got.authority).chain(&got.additional);
        let covered = records.filter_map(|record| {
            (record.rtype == RecordType::RRSIG).then(|| record.rdata.covered_type())?
        });
        let mut covered: Vec<String> = covered.map(|rtype| rtype.to_string()).collect();
        covered.sort_unstable();
        covered.dedup();
        assert_eq!(covered.join(" "), signed, "{qname}");
    }
    let wildcard = ask(&world, "192.0.2.2", "a.z.w.example.", "MX");
    let labels = wildcard.answer.iter().find_map(|r| Rrsig::parse(&r.rdata)).unwrap().labels;
    assert_eq!(labels, 2, "RFC 4035 appendix B.6");
}

#[test]
fn responses_that_do_not_fit_are_cut_and_whole_over_tcp() {
    let world = World::new("$ZONE . 192.0.2.1\n$FILL big. 60000").unwrap();
    let to = "192.0.2.1".parse().unwrap();
    for (edns, transport, tc, at_most) in [
        (None, Transport::Udp, true, 512),
        (Some(Edns::new(1232, false)), Transport::Udp, true, 1232),
        (Some(Edns::new(1232, true)), Transport::Tcp, false, 65_535),
    ] {
        let query = query("big.", RecordType::TXT, edns);
        let replies = world.respond(to, &query, transport, NOW);
        let [Reply::Message(_, bytes)] = &replies[..] else { panic!("{replies:?}") };
        let message = Message::parse(bytes).unwrap();
        assert_eq!(message.header.tc(), tc);
        assert!(bytes.len() <= at_most);
        assert_eq!(message.answer.len() > 250, !tc);
    }
}

#[test]
fn servers_misbehave_as_they_are_told() {
    let check = |behavior: &str, transport, expected: &str| {
        let text = format!("$ZONE . 192.0.2.1\nx. A 192.0.2.9\n$SERVER 192.0.2.1 {behavior}");
        let world = World::new(&text).unwrap();
        let query = query("X.", RecordType::A, Some(Edns::new(1232, true)));
        let replies = world.respond("192.0.2.1".parse().unwrap(), &query, transport, NOW);
        let shown: Vec<String> = replies
            .iter()
            .map(|reply| match reply {
                Reply::Close => "close".to_owned(),
                Reply::Message(after, bytes) => match Message::parse(bytes) {
                    Err(_) => "junk".to_owned(),
                    Ok(m) => format!(
                        "{}{} {} {}{}{}",
                        m.rcode,
                        if m.edns.is_none() { " plain" } else { "" },
                        m.question.map_or_else(|| "no question".to_owned(), |q| q.name.to_string()),
                        m.answer.len() + m.authority.len(),
                        if m.header.id == 77 { "" } else { " id" },
                        if m.header.qr() {
                            format!(" {}", after.as_millis())
                        } else {
                            " query".into()
                        },
                    ),
                },
            })
            .collect();
        assert_eq!(shown.join(", "), expected, "{behavior}");
    };
    let udp = Transport::Udp;
    check("delay 30", udp, "NOERROR X. 2 30");
    check("silent", udp, "");
    check("silent-tcp", udp, "NOERROR X. 2 0");
    check("silent-tcp", Transport::Tcp, "");
    check("tcp-close", Transport::Tcp, "close");
    check("refuse", udp, "REFUSED X. 0 0");
    check("refuse-type A", udp, "REFUSED X. 0 0");
    check("drop-type AAAA", udp, "NOERROR X. 2 0");
    check("lame", udp, "NOERROR X. 0 0");
    check("upward", udp, "NOERROR X. 1 0");
    check("refer x. ns.other. 192.0.2.7", udp, "NOERROR X. 1 0");
    check("edns-formerr", udp, "FORMERR plain no question 0 0");
    check("edns-badvers", udp, "BADVERS X. 0 0");
    check("edns-ignore", udp, "NOERROR plain X. 1 0");
    check("strip", udp, "NOERROR X. 1 0");
    check("truncate", udp, "NOERROR X. 0 0");
    check("spoof-id", udp, "NOERROR plain X. 1 id 0, NOERROR X. 2 0");
    check("spoof-question", udp, "NOERROR plain elsewhere. 1 0, NOERROR X. 2 0");
    check("spoof-runt", udp, "junk, NOERROR X. 2 0");
    check("spoof-query", udp, "NOERROR X. 0 query, NOERROR X. 2 0");
    check("wrong-id", udp, "NOERROR X. 2 id 0");
    check("wrong-question", udp, "NOERROR elsewhere. 2 0");
    check("runt", udp, "junk");
    check("lower-case", udp, "NOERROR x. 2 0");
    check("inject authority . x. NS evil.", udp, "NOERROR X. 3 0");
}

#[test]
fn worlds_make_what_is_not_said() {
    let text = "
$ZONE . 192.0.2.1 2001:db8::1
$ZONE net. 192.0.2.2
$ZONE signed.net. 192.0.2.3
$ZONE unsigned.net. 192.0.2.4
$UNSIGNED
$ZONE hidden.net. 192.0.2.5
$NODELEGATION
";
    let mut world = World::new(text).unwrap();
    let hints = world.hints();
    assert_eq!((hints.len(), hints[0].addrs.len()), (1, 2));
    assert_eq!(world.anchors().len(), 1);
    for (qname, authority) in [
        ("signed.net.", "signed.net NS, signed.net DS"),
        ("unsigned.net.", "unsigned.net NS, unsigned.net NSEC"),
    ] {
        let got = ask(&world, "192.0.2.2", qname, "A");
        assert_eq!(shown(&got.authority, &[]).replace(".,", ","), authority);
        assert_eq!(got.additional.len(), 1, "glue of {qname}");
    }
    let rcode = |world: &World, qname| ask(world, "192.0.2.2", qname, "A").rcode.to_string();
    assert_eq!(rcode(&world, "hidden.net."), "NXDOMAIN");
    world.remove(&name("signed.net."), Some(RecordType::NS));
    assert_eq!(rcode(&world, "x.signed.net."), "NXDOMAIN");
    let rdata = crate::wire::Rdata::from_name(&name("ns1.unsigned.net."));
    let (owner, rtype) = (name("signed.net."), RecordType::CNAME);
    world.insert(Record { owner, rtype, class: Class::IN, ttl: 60, rdata });
    assert_eq!(rcode(&world, "x.signed.net."), "NXDOMAIN");

    for (text, line, mistake) in [
        ("", 1, Mistake::NoRoot),
        ("a A 192.0.2.1", 1, Mistake::NoZone),
        ("$ZONE . 192.0.2.1\n$ZONE . 192.0.2.1", 2, Mistake::Twice),
        ("$ZONE . 192.0.2.1\n$BREAK everything", 2, Mistake::Expected("a kind of fault")),
        ("$ZONE . 192.0.2.1\n$SIGN rot13", 2, Mistake::Expected("an algorithm")),
        ("$SERVER 192.0.2.1 sulk", 1, Mistake::Expected("a behavior")),
    ] {
        assert_eq!(World::new(text).unwrap_err(), mistake.at(line), "{text}");
    }
}
