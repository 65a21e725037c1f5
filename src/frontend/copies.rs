//! Copies of zones: answers from them, and announcements that one has changed (NOTIFY, RFC 1996).

use std::net::IpAddr;

use super::query::{Fault, Query};
use crate::authority::Zones;
use crate::cache::Answer;
use crate::clock::Now;
use crate::engine::zones::{Keeper, Order};
use crate::status::Reason;
use crate::wire::{
    Builder, Class, Header, Message, Name, Opcode, Question, Rcode, RecordType, Soa,
};

/// Octets of the longest answer: a header and a question.
const LIMIT: usize = 512;

/// Answers an announcement and passes it on to the keeper of copies; `None` when the message is
/// something else, or no zone is transferred at all. REFUSED for zones that are not kept here, and from anybody who is neither a primary
/// nor in `allow-notify:`.
pub(super) fn answer(
    message: &[u8],
    from: IpAddr,
    zones: &Zones,
    keeper: &Keeper,
) -> Option<Result<Vec<u8>, Fault>> {
    let header = Header::read(message)?;
    if header.opcode() != Opcode::NOTIFY || header.qr() {
        return None;
    }
    if !zones.iter().any(|entry| !entry.config().source.primaries.is_empty()) {
        return None;
    }
    let malformed =
        Fault::Reply { rcode: Rcode::FORMERR, reason: None, question_end: Header::LEN, edns: None };
    let Ok(message) = Message::parse(message) else { return Some(Err(malformed)) };
    let Some(question) = message.question.clone() else { return Some(Err(malformed)) };
    let rcode = match question.rtype == RecordType::SOA && question.class == Class::IN {
        true => accept(&question.name, &message, from, zones, keeper),
        false => Rcode::REFUSED,
    };
    Some(Ok(reply(header, &question, rcode)))
}

fn accept(zone: &Name, message: &Message, from: IpAddr, zones: &Zones, keeper: &Keeper) -> Rcode {
    let mut kept = zones.named(zone).filter(|entry| !entry.config().source.primaries.is_empty());
    if !kept.any(|entry| entry.may_notify(from)) {
        return Rcode::REFUSED;
    }
    let soa = message
        .answer
        .iter()
        .find(|record| record.rtype == RecordType::SOA && record.owner == *zone);
    let serial = soa.and_then(|soa| Soa::parse(&soa.rdata)).map(|soa| soa.serial);
    keeper.tell(Order::Notified { zone: zone.clone(), from: Some(from), serial });
    Rcode::NOERROR
}

fn reply(header: Header, question: &Question, rcode: Rcode) -> Vec<u8> {
    let reply = Header { id: header.id, ..Header::default() }
        .with_qr(true)
        .with_opcode(Opcode::NOTIFY)
        .with_aa(true)
        .with_rcode(rcode);
    let mut builder = Builder::new(reply, LIMIT);
    builder.question(question);
    builder.finish(None)
}

/// What the copy of a zone says, as one of its servers would (`for-downstream:`); `None` when no copy
/// is for the name.
pub(super) fn from_copy(query: &Query<'_>, zones: &Zones, now: Now) -> Option<Answer> {
    let entry = zones.downstream(query.name_wire, query.rtype)?;
    let question = query.question();
    let (mut answer, authoritative) = match entry.zone(now.unix) {
        Some(zone) => {
            let reply = zone.answer(&question);
            let mut answer = Answer::empty(question, reply.rcode);
            answer.answer = reply.answer;
            answer.authority = reply.authority;
            answer.additional = reply.additional;
            (answer, reply.authoritative)
        }
        None if entry.config().fallback_enabled => return None,
        None => (Answer::failure(question, Reason::ZoneUnavailable), true),
    };
    answer.manner.authoritative = authoritative;
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AuthZone, Primary, ZoneSource};

    fn zones() -> Zones {
        let mut source = ZoneSource::new("example.".parse().unwrap());
        source.primaries.push(Primary::Address("192.0.2.1:53".parse().unwrap()));
        source
            .allow_notify
            .push(crate::config::Notifier::Block("198.51.100.0/24".parse().unwrap()));
        let file = ZoneSource::new("file.example.".parse().unwrap());
        Zones::new([AuthZone::new(source), AuthZone::new(file)])
    }

    fn notification(zone: &str, rtype: RecordType) -> Vec<u8> {
        let header = Header { id: 7, ..Header::default() }.with_opcode(Opcode::NOTIFY);
        let mut builder = Builder::new(header, 512);
        builder.question(&Question::new(zone.parse().unwrap(), rtype));
        builder.finish(None)
    }

    #[test]
    fn only_those_who_may_announce_changes_are_listened_to() {
        let (keeper, _orders) = Keeper::new();
        for (case, zone, rtype, from, want) in [
            ("a primary", "Example.", RecordType::SOA, "192.0.2.1", Rcode::NOERROR),
            ("somebody allowed", "example.", RecordType::SOA, "198.51.100.7", Rcode::NOERROR),
            ("anybody", "example.", RecordType::SOA, "203.0.113.1", Rcode::REFUSED),
            ("another zone", "other.", RecordType::SOA, "192.0.2.1", Rcode::REFUSED),
            ("below the zone", "a.example.", RecordType::SOA, "192.0.2.1", Rcode::REFUSED),
            ("a zone from a file", "file.example.", RecordType::SOA, "192.0.2.1", Rcode::REFUSED),
            ("another type", "example.", RecordType::A, "192.0.2.1", Rcode::REFUSED),
        ] {
            let message = notification(zone, rtype);
            let answer = answer(&message, from.parse().unwrap(), &zones(), &keeper);
            let bytes = answer.expect(case).expect(case);
            let reply = Message::parse(&bytes).unwrap();
            assert_eq!(reply.rcode, want, "{case}");
            assert!(reply.header.aa() && reply.header.qr() && reply.header.id == 7, "{case}");
            assert_eq!(reply.header.opcode(), Opcode::NOTIFY, "{case}");
        }
    }

    #[test]
    fn other_messages_are_left_to_others() {
        let keeper = Keeper::default();
        let from = "192.0.2.1".parse().unwrap();
        let mut message = notification("example.", RecordType::SOA);
        assert!(answer(&message[..13], from, &zones(), &keeper).is_some_and(|a| a.is_err()));
        message[2] |= 0x80;
        assert!(answer(&message, from, &zones(), &keeper).is_none(), "a reply");
        message[2] = 0;
        assert!(answer(&message, from, &zones(), &keeper).is_none(), "a query");
        let message = notification("example.", RecordType::SOA);
        let none = Zones::default();
        assert!(answer(&message, from, &none, &keeper).is_none(), "nothing is transferred");
    }
}
