//! When and where a zone is looked for, told by script.

use rand::SeedableRng;

use super::*;
use crate::clock::UnixTime;
use crate::wire::{Class, Rdata, Record, Rrset, Section};

const A: &str = "192.0.2.1:53";
const B: &str = "192.0.2.2:53";

/// A refresher with two primaries, and the time.
struct Scene {
    refresher: Refresher,
    known: Known,
    now: Now,
    rng: Rng,
    id: u16,
}

fn soa(serial: u32) -> Record {
    let numbers = [serial, 3600, 900, 86_400, 300];
    let octets: Vec<u8> = numbers.iter().flat_map(|n| n.to_be_bytes()).collect();
    let rdata = Rdata::from_bytes([&[0, 0][..], &octets].concat());
    let owner = "example.".parse().unwrap();
    Record { owner, rtype: RecordType::SOA, class: Class::IN, ttl: 600, rdata }
}

impl Scene {
    fn new(serial: Option<u32>) -> Self {
        let name: Name = "example.".parse().unwrap();
        let mut source = ZoneSource::new(name.clone());
        source.primaries = [A, B].map(|at| Primary::Address(at.parse().unwrap())).to_vec();
        let zone = serial.map(|serial| Zone::from_records(&name, [soa(serial)]).unwrap());
        let known = Known { zone: zone.map(Arc::new), expired: false };
        let now = Now::new(Mono::from_micros(1), UnixTime(1_700_000_000));
        let refresher = Refresher::new(source, &known, now);
        Self { refresher, known, now, rng: Rng::seed_from_u64(1), id: 0 }
    }

    /// Feeds an event; what follows, in words.
    fn feed(&mut self, event: Event<'_>) -> String {
        self.refresher.handle(event, &self.known, self.now, &mut self.rng);
        let mut words = Vec::new();
        while let Some(action) = self.refresher.poll() {
            words.push(match action {
                Action::LookUp(name) => format!("look up {name}"),
                Action::Ask { server, stream, query } => {
                    let message = Message::parse(&query).unwrap();
                    self.id = message.header.id;
                    let rtype = message.question.unwrap().rtype;
                    format!("{rtype} {} {}", server.ip(), if stream { "tcp" } else { "udp" })
                }
                Action::Close => continue,
                Action::Confirm => "confirm".to_owned(),
                Action::Check(zone) => {
                    let serial = zone.serial().unwrap();
                    self.known.zone = Some(Arc::new(*zone));
                    format!("check {serial}")
                }
                Action::Note(Note::Failed { error, .. }) => format!("({error})"),
                Action::Note(Note::Silent { server }) => format!("(silent {})", server.ip()),
                Action::Note(Note::Nobody { retry }) => format!("(nobody {retry})"),
            });
        }
        words.join(", ")
    }

    /// Lets time pass until the next deadline.
    fn wait(&mut self) -> (u64, String) {
        let due = self.refresher.deadline().unwrap();
        let passed = due.since(self.now.mono);
        self.now.mono = due;
        (passed.as_secs(), self.feed(Event::Tick))
    }

    fn answer(&mut self, rtype: RecordType, records: &[Record]) -> String {
        let header = Header { id: self.id, ..Header::default() }.with_qr(true);
        let mut builder = Builder::new(header, 65_535);
        builder.question(&Question::new("example.".parse().unwrap(), rtype));
        for Record { owner, rtype, ttl, rdata, .. } in records.iter().cloned() {
            let rrset = Rrset::new(owner, rtype, ttl, vec![rdata]);
            builder.rrset(Section::Answer, &rrset, false).unwrap();
        }
        self.feed(Event::Message(&builder.finish(None)))
    }
}

#[test]
fn without_a_copy_the_zone_is_fetched_at_once_from_one_primary_after_the_other() {
    let mut scene = Scene::new(None);
    assert_eq!(scene.feed(Event::Tick), "AXFR 192.0.2.1 tcp");
    assert_eq!(scene.feed(Event::Broken), "(silent 192.0.2.1), AXFR 192.0.2.2 tcp");
    assert_eq!(scene.wait(), (30, "(silent 192.0.2.2), (nobody 2)".to_owned()));
    assert_eq!(scene.wait().1, "AXFR 192.0.2.1 tcp");
    assert_eq!(scene.answer(RecordType::AXFR, &[soa(5), soa(5)]), "check 5");
    assert_eq!(scene.feed(Event::Checked { accepted: true }), "confirm");
    let (waited, asked) = scene.wait();
    assert!((3240..=3600).contains(&waited), "{waited}");
    assert_eq!(asked, "SOA 192.0.2.1 udp");
}

#[test]
fn every_primary_is_asked_for_its_version_and_the_newer_one_is_fetched() {
    let mut scene = Scene::new(Some(5));
    assert_eq!(scene.feed(Event::Tick), "", "a copy from a file is fresh");
    assert_eq!(scene.wait(), (3600, "SOA 192.0.2.1 udp".to_owned()));
    assert_eq!(scene.answer(RecordType::SOA, &[soa(5)]), "SOA 192.0.2.2 udp");
    assert_eq!(scene.answer(RecordType::SOA, &[soa(6)]), "IXFR 192.0.2.2 tcp");
    let refused = scene.answer(RecordType::IXFR, &[soa(7), soa(3), soa(7), soa(7)]);
    assert_eq!(refused, "(the change begins at version 3, ours is 5), AXFR 192.0.2.2 tcp");
    assert_eq!(scene.answer(RecordType::AXFR, &[soa(6), soa(6)]), "check 6");
    assert_eq!(scene.feed(Event::Checked { accepted: true }), "confirm");
}

#[test]
fn silence_is_tried_again_and_then_somebody_else() {
    let mut scene = Scene::new(Some(5));
    scene.wait();
    for seconds in [1, 2] {
        assert_eq!(scene.wait(), (seconds, "SOA 192.0.2.1 udp".to_owned()));
    }
    assert_eq!(scene.wait(), (4, "(silent 192.0.2.1), SOA 192.0.2.2 udp".to_owned()));
    scene.wait();
    scene.wait();
    assert_eq!(scene.wait(), (4, "(silent 192.0.2.2), (nobody 900)".to_owned()));
}

#[test]
fn an_announcement_begins_with_whoever_made_it_and_an_old_one_is_none() {
    let from = Some("192.0.2.2".parse().unwrap());
    let mut scene = Scene::new(Some(5));
    scene.feed(Event::Notified { from, serial: Some(5) });
    assert_eq!(scene.feed(Event::Tick), "");
    scene.feed(Event::Notified { from, serial: Some(6) });
    assert_eq!(scene.feed(Event::Tick), "SOA 192.0.2.2 udp");
    scene.feed(Event::Notified { from, serial: Some(7) });
    assert_eq!(scene.answer(RecordType::SOA, &[soa(5)]), "SOA 192.0.2.1 udp");
    assert_eq!(scene.answer(RecordType::SOA, &[soa(5)]), "confirm");
    assert_eq!(scene.wait(), (2, "SOA 192.0.2.2 udp".to_owned()), "the one that came meanwhile");
}

#[test]
fn what_fails_its_check_is_fetched_elsewhere() {
    let mut scene = Scene::new(None);
    scene.feed(Event::Tick);
    assert_eq!(scene.answer(RecordType::AXFR, &[soa(5), soa(5)]), "check 5");
    scene.known.zone = None;
    assert_eq!(scene.feed(Event::Checked { accepted: false }), "AXFR 192.0.2.2 tcp");
}

#[test]
fn an_expired_copy_gives_way_to_any_version() {
    let mut scene = Scene::new(Some(5));
    scene.wait();
    scene.known.expired = true;
    assert_eq!(scene.feed(Event::Broken), "(silent 192.0.2.1), AXFR 192.0.2.2 tcp");
    assert_eq!(scene.answer(RecordType::AXFR, &[soa(3), soa(3)]), "check 3");
}
