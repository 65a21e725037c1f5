//! Zones, what they answer, and how they come.

use std::sync::Arc;

use proptest::prelude::*;

use super::transfer::{Transfer, TransferError, Transferred};
use super::*;
use crate::config::{rdata_text, read_zone};
use crate::wire::{
    Builder as MessageBuilder, Header, Name, Question, Rcode, Record, RecordType, Rrset, Section,
};

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// Records in the form of a zone file with the origin `example.`.
fn records(text: &str) -> Vec<Record> {
    let file = std::env::temp_dir().join(format!(
        "prebound-authority-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    std::fs::write(&file, text).unwrap();
    let mut records = Vec::new();
    read_zone(&file, &name("example."), |record| {
        records.push(record);
        Ok::<(), ZoneError>(())
    })
    .unwrap();
    std::fs::remove_file(&file).unwrap();
    records
}

fn zone(text: &str) -> Zone {
    Zone::from_records(&name("example."), records(text)).unwrap()
}

const SOA: &str = "@ 600 SOA ns admin 5 3600 900 86400 300\n";

/// Unsigned, with every kind of name there is.
const PLAIN: &str = "\
@ 600 SOA ns admin 5 3600 900 86400 300
@ NS ns
ns A 192.0.2.1
www A 192.0.2.2
www AAAA 2001:db8::2
mail MX 10 www
a.b.ent TXT deep
alias CNAME www
chain CNAME alias
out CNAME www.elsewhere.
gone CNAME missing
loop CNAME pool
pool CNAME loop
*.wild TXT any
*.wildalias CNAME www
old DNAME new
x.new A 192.0.2.3
below.old A 192.0.2.66
sub NS ns.sub
sub NS ns.elsewhere.
sub DS 1 8 2 00
ns.sub A 192.0.2.4
away A 192.0.2.77
";

fn shown(reply: &Reply) -> String {
    let section = |sets: &[Rrset]| {
        let show = |set: &Rrset| format!("{} {}", set.owner, set.rtype);
        sets.iter().map(show).collect::<Vec<_>>().join(", ")
    };
    let aa = if reply.authoritative { " aa" } else { "" };
    let [an, au, ad] = [&reply.answer, &reply.authority, &reply.additional].map(|s| section(s));
    format!("{}{aa} | {an} | {au} | {ad}", reply.rcode)
}

#[test]
fn a_zone_answers_as_its_server_would() {
    let zone = zone(PLAIN);
    for (qname, rtype, want) in [
        ("www", "A", "NOERROR aa | www.example. A |  | "),
        ("WWW", "A", "NOERROR aa | www.example. A |  | "),
        ("www", "TXT", "NOERROR aa |  | example. SOA | "),
        ("mail", "MX", "NOERROR aa | mail.example. MX |  | www.example. A, www.example. AAAA"),
        ("no", "A", "NXDOMAIN aa |  | example. SOA | "),
        ("ent", "A", "NOERROR aa |  | example. SOA | "),
        ("b.ent", "A", "NOERROR aa |  | example. SOA | "),
        ("c.ent", "A", "NXDOMAIN aa |  | example. SOA | "),
        ("alias", "A", "NOERROR aa | alias.example. CNAME, www.example. A |  | "),
        ("alias", "CNAME", "NOERROR aa | alias.example. CNAME |  | "),
        (
            "chain",
            "TXT",
            "NOERROR aa | chain.example. CNAME, alias.example. CNAME | example. SOA | ",
        ),
        ("out", "A", "NOERROR aa | out.example. CNAME |  | "),
        ("gone", "A", "NXDOMAIN aa | gone.example. CNAME | example. SOA | "),
        ("loop", "A", "NOERROR aa | loop.example. CNAME, pool.example. CNAME |  | "),
        ("q.wild", "TXT", "NOERROR aa | q.wild.example. TXT |  | "),
        ("q.r.wild", "TXT", "NOERROR aa | q.r.wild.example. TXT |  | "),
        ("q.wild", "A", "NOERROR aa |  | example. SOA | "),
        ("wild", "TXT", "NOERROR aa |  | example. SOA | "),
        ("q.wildalias", "A", "NOERROR aa | q.wildalias.example. CNAME, www.example. A |  | "),
        (
            "x.old",
            "A",
            "NOERROR aa | old.example. DNAME, x.old.example. CNAME, x.new.example. A |  | ",
        ),
        (
            "below.old",
            "A",
            "NXDOMAIN aa | old.example. DNAME, below.old.example. CNAME | example. SOA | ",
        ),
        ("old", "DNAME", "NOERROR aa | old.example. DNAME |  | "),
        ("sub", "A", "NOERROR |  | sub.example. NS, sub.example. DS | ns.sub.example. A"),
        ("q.sub", "A", "NOERROR |  | sub.example. NS, sub.example. DS | ns.sub.example. A"),
        ("ns.sub", "A", "NOERROR |  | sub.example. NS, sub.example. DS | ns.sub.example. A"),
        ("sub", "DS", "NOERROR aa | sub.example. DS |  | "),
        ("www", "DS", "NOERROR aa |  | example. SOA | "),
        ("@", "NS", "NOERROR aa | example. NS |  | ns.example. A"),
        ("www", "ANY", "NOERROR aa | www.example. A, www.example. AAAA |  | "),
        ("elsewhere.", "A", "REFUSED |  |  | "),
    ] {
        let qname = match qname {
            "@" => "example.".to_owned(),
            absolute if absolute.ends_with('.') => absolute.to_owned(),
            relative => format!("{relative}.example."),
        };
        let question = Question::new(name(&qname), rtype.parse().unwrap());
        assert_eq!(shown(&zone.answer(&question)), want, "{qname} {rtype}");
    }
    let denied = zone.answer(&Question::new(name("no.example."), RecordType::A));
    assert_eq!(denied.authority[0].ttl, 300, "the smaller of TTL and MINIMUM");
}

#[test]
fn denials_come_with_the_nsec_records_that_prove_them() {
    let signed = format!(
        "{SOA}@ NS ns\n@ NSEC a NS SOA NSEC\na A 192.0.2.1\na NSEC x.e A NSEC\n\
         x.e A 192.0.2.3\nx.e NSEC *.w A NSEC\n*.w A 192.0.2.2\n*.w NSEC z A NSEC\n\
         z NS ns.z\nz NSEC @ NS NSEC\n"
    );
    let zone = zone(&signed);
    for (qname, rtype, want) in [
        ("b", "A", vec!["a.example.", "example."]),
        ("a", "TXT", vec!["a.example."]),
        ("q.w", "A", vec!["*.w.example."]),
        ("q.w", "TXT", vec!["*.w.example."]),
        ("e", "A", vec!["a.example."]),
        ("z", "A", vec!["z.example."]),
    ] {
        let question = Question::new(name(&format!("{qname}.example.")), rtype.parse().unwrap());
        let reply = zone.answer(&question);
        let proofs = reply.authority.iter().filter(|set| set.rtype == RecordType::NSEC);
        let owners: Vec<String> = proofs.map(|set| set.owner.to_string()).collect();
        assert_eq!(owners, want, "{qname} {rtype}");
    }
}

#[test]
fn names_outside_are_left_out_and_nonsense_is_refused() {
    let mut builder = Builder::new(name("example."));
    for record in records(&format!("{SOA}www.other. A 192.0.2.1\n")) {
        builder.add(record).unwrap();
    }
    assert_eq!(builder.outside(), 1);
    assert_eq!(builder.finish().unwrap().records(), 1);
    let two = format!("{SOA}@ 600 SOA ns admin 6 3600 900 86400 300\n");
    let refused = |text: &str| Zone::from_records(&name("example."), records(text)).unwrap_err();
    assert_eq!(refused(&two), ZoneError::SecondSoa);
    let large = (0..300).map(|n| format!("big TXT {}{n}\n", "x".repeat(250))).collect::<String>();
    assert!(matches!(refused(&large), ZoneError::RrsetTooLarge { .. }));
    assert!(matches!(refused("v CH TXT x\n"), ZoneError::Class { .. }));
}

#[test]
fn the_digest_is_that_of_rfc_8976_appendix_a_1() {
    let text = |digest: &str| {
        format!(
            "@ 86400 SOA ns1 admin 2018031900 1800 900 604800 86400\n@ 86400 NS ns1\n\
             @ 86400 NS ns2\n@ 86400 ZONEMD 2018031900 1 1 {digest}\n\
             ns1 3600 A 203.0.113.63\nns2 3600 AAAA 2001:db8::63\n"
        )
    };
    let right = "c68090d90a7aed716bc459f9340e3d7c1370d4d24b7e2fc3a1ddc0b9a87153b9\
                 a9713b3c9ae5cc27777f98b8e730044c";
    assert_eq!(zone(&text(right)).digest(), Digest::Right);
    assert_eq!(zone(&text(&right.replace('c', "d"))).digest(), Digest::Wrong);
    assert_eq!(zone(&text(right).replace("113.63", "113.64")).digest(), Digest::Wrong);
    let other_version = text(right).replacen("2018031900", "2018031901", 1);
    assert_eq!(zone(&other_version).digest(), Digest::Wrong);
    assert_eq!(zone(&text(right).replace("1 1 c", "240 1 c")).digest(), Digest::Unknown);
    assert_eq!(zone(SOA).digest(), Digest::Absent);
}

//--- Transfers

/// A message of a transfer with these records.
fn message(text: &str) -> Vec<u8> {
    message_of(&records(text))
}

fn message_of(records: &[Record]) -> Vec<u8> {
    let mut builder =
        MessageBuilder::new(Header { id: 7, ..Header::default() }.with_qr(true), 65_535);
    builder.question(&Question::new(name("example."), RecordType::AXFR));
    for record in records {
        let Record { owner, rtype, ttl, rdata, .. } = record.clone();
        let rrset = Rrset::new(owner, rtype, ttl, vec![rdata]);
        builder.rrset(Section::Answer, &rrset, false).unwrap();
    }
    builder.finish(None)
}

fn soa(serial: u32) -> String {
    format!("@ 600 SOA ns admin {serial} 3600 900 86400 300\n")
}

fn transfer(base: Option<&str>) -> Transfer {
    let base = base.map(|text| Arc::new(zone(text)));
    Transfer::new(name("example."), base, false, 0, 7)
}

/// What came of messages: the names with addresses, `same`, `more`, or the error.
fn outcome(mut transfer: Transfer, messages: &[Vec<u8>]) -> Result<String, TransferError> {
    for message in messages {
        match transfer.message(message)? {
            None => {}
            Some(Transferred::UpToDate) => return Ok("same".to_owned()),
            Some(Transferred::Zone(zone)) => {
                let a = zone.rrsets().filter(|set| set.rtype == RecordType::A);
                let show = |set: &Rrset| {
                    let data = set.rdata.iter().map(|rdata| rdata_text(set.rtype, rdata));
                    format!("{} {}", set.owner, data.collect::<Vec<_>>().join("+"))
                };
                return Ok(a.map(show).collect::<Vec<_>>().join(", "));
            }
        }
    }
    Ok("more".to_owned())
}

#[test]
fn whole_zones_and_changes_are_taken() {
    let (five, six, seven) = (soa(5), soa(6), soa(7));
    let base = format!("{five}a A 192.0.2.1\nb A 192.0.2.2\n");
    for (case, incremental, messages, want) in [
        ("whole", false, vec![format!("{six}a A 192.0.2.9\n{six}")], "a.example. 192.0.2.9"),
        (
            "whole in parts",
            false,
            vec![six.clone(), "a A 192.0.2.9\n".into(), six.clone()],
            "a.example. 192.0.2.9",
        ),
        ("not at its end", false, vec![format!("{six}a A 192.0.2.9\n")], "more"),
        ("nothing new", true, vec![five.clone()], "same"),
        ("older", true, vec![soa(4)], "same"),
        ("whole instead", true, vec![format!("{six}a A 192.0.2.9\n{six}")], "a.example. 192.0.2.9"),
        (
            "a change",
            true,
            vec![format!("{six}{five}a A 192.0.2.1\n{six}c A 192.0.2.3\n{six}")],
            "b.example. 192.0.2.2, c.example. 192.0.2.3",
        ),
        (
            "two changes",
            true,
            vec![
                format!("{seven}{five}a A 192.0.2.1\n{six}c A 192.0.2.3\n"),
                format!("{six}c A 192.0.2.3\n{seven}b A 192.0.2.4\n{seven}"),
            ],
            "b.example. 192.0.2.2+192.0.2.4",
        ),
    ] {
        let transfer = transfer(incremental.then_some(&*base));
        let messages: Vec<_> = messages.iter().map(|text| message(text)).collect();
        assert_eq!(outcome(transfer, &messages).as_deref(), Ok(want), "{case}");
    }
}

#[test]
fn malformed_transfers_bring_nothing() {
    let (five, six) = (soa(5), soa(6));
    let base = format!("{five}a A 192.0.2.1\n");
    for (case, incremental, text) in [
        ("no SOA first", false, format!("a A 192.0.2.1\n{six}")),
        ("nothing", false, String::new()),
        ("another SOA at the end", false, format!("{six}a A 192.0.2.1\n{five}")),
        ("records behind the end", false, format!("{six}a A 192.0.2.1\n{six}b A 192.0.2.2\n")),
        ("only the SOA", true, six.clone()),
        ("a change to another version", true, format!("{six}{}{six}{six}", soa(3))),
        ("removes what is not there", true, format!("{six}{five}b A 192.0.2.2\n{six}{six}")),
        ("changes that do not follow", true, format!("{}{five}{six}{five}{}", soa(9), soa(9))),
    ] {
        let got = outcome(transfer(incremental.then_some(&*base)), &[message(&text)]);
        assert!(got.is_err(), "{case}: {got:?}");
    }
    let mut refused = message("");
    refused[3] |= 5;
    assert_eq!(outcome(transfer(None), &[refused]), Err(TransferError::Rcode(Rcode::REFUSED)));
    let mut foreign = message(&six);
    foreign[0] = 1;
    assert_eq!(outcome(transfer(None), &[foreign]), Err(TransferError::NotOurs));
    let endless = message(&"a A 192.0.2.1\n".repeat(100));
    let mut small = Transfer::new(name("example."), None, false, 10_000, 7);
    small.message(&message(&six)).unwrap();
    let error = (0..100).find_map(|_| small.message(&endless).err());
    assert_eq!(error, Some(TransferError::TooLarge { limit: 10_000 }));
}

/// A few owners and a few values, so that equal ones meet.
fn some_records() -> impl Strategy<Value = std::collections::BTreeSet<(u8, u8)>> {
    prop::collection::btree_set((0u8..6, 0u8..4), 0..16)
}

fn text_of(serial: u32, set: &std::collections::BTreeSet<(u8, u8)>) -> String {
    let line = |(owner, value): &(u8, u8)| match value {
        3 => format!("n{owner} TXT \"value {owner}\" \"\\000\\\"\"\n"),
        _ => format!("n{owner} A 192.0.2.{value}\n"),
    };
    soa(serial) + &set.iter().map(line).collect::<String>()
}

/// The records of a zone regardless of their order in RRsets.
fn sorted(zone: &Zone) -> Vec<String> {
    let text = zone.to_text();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

proptest! {
    /// A zone that is written and read is the same zone.
    #[test]
    fn files_keep_zones(set in some_records()) {
        let zone = zone(&text_of(5, &set));
        let again = Zone::from_records(&name("example."), records(&zone.to_text()));
        prop_assert_eq!(again, Ok(zone));
    }

    /// Changes lead to what a whole transfer would have brought.
    #[test]
    fn changes_lead_to_the_new_version(old in some_records(), new in some_records()) {
        let (removed, added): (std::collections::BTreeSet<_>, std::collections::BTreeSet<_>) =
            (old.difference(&new).copied().collect(), new.difference(&old).copied().collect());
        let text = format!("{}{}{}{}", soa(6), text_of(5, &removed), text_of(6, &added), soa(6));
        let base = Some(Arc::new(zone(&text_of(5, &old))));
        let mut transfer = Transfer::new(name("example."), base, false, 0, 7);
        let got = transfer.message(&message(&text)).unwrap();
        let Some(Transferred::Zone(got)) = got else { panic!("{got:?}") };
        prop_assert_eq!(sorted(&got), sorted(&zone(&text_of(6, &new))));
        prop_assert_eq!(got.serial(), Some(6));
    }

    /// Whatever a server sends, the end is an outcome or an error.
    #[test]
    fn any_messages_are_taken_or_refused(
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..4),
        picks in prop::collection::vec(0usize..6, 0..12),
    ) {
        let pieces = [soa(5), soa(6), soa(7), "a A 192.0.2.1\n".into(), "b A 192.0.2.2\n".into(), "c.other. A 192.0.2.3\n".into()];
        let text: String = picks.iter().map(|at| pieces[*at].as_str()).collect();
        let base = format!("{}a A 192.0.2.1\n", soa(5));
        let mut all = vec![message(&text)];
        all.extend(messages);
        let _ = outcome(transfer(Some(&base)), &all);
        let _ = outcome(transfer(None), &all);
    }
}
