//! One transfer of a zone: from the messages of a stream to the next version (RFC 5936, RFC 1995).

use std::sync::Arc;

use thiserror::Error;

use crate::authority::zone::{Builder, Change, Zone, ZoneError};
use crate::authority::{MAX_RECORDS, is_newer};
use crate::wire::{
    Builder as MessageBuilder, Class, Header, Message, Name, Opcode, Question, Rcode, Record,
    RecordType, Rrset, Section, Soa, WireError,
};

/// Octets of one transfer at most, all messages together.
pub const MAX_OCTETS: u64 = 1 << 31;

/// A transfer under way.
#[derive(Debug)]
pub struct Transfer {
    apex: Name,
    id: u16,
    /// The version that changes are asked for; none for a whole zone.
    base: Option<Arc<Zone>>,
    /// Whether a version may be older than what was there before.
    any_serial: bool,
    limit: u64,
    octets: u64,
    records: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Nothing has come.
    Begin,
    /// The SOA of the new version has come, and nothing behind it.
    First(Record),
    /// A whole zone is coming, until the same SOA again.
    Whole(Record, Box<Builder>),
    /// Records to be removed are coming, until the SOA of the version they lead to.
    Removing(Record, Vec<Change>),
    /// Records to be added are coming, until the SOA of that version, or of the last one.
    Adding(Record, Vec<Change>),
    /// Over.
    Done,
}

/// What a transfer came to.
#[derive(Debug)]
pub enum Transferred {
    /// Another version.
    Zone(Zone),
    /// The server has nothing newer than what there is.
    UpToDate,
}

/// Why a transfer brings nothing.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum TransferError {
    /// The server says so.
    #[error("the server answers {0}")]
    Rcode(Rcode),
    /// Not a DNS message.
    #[error("malformed message: {0}")]
    Wire(#[from] WireError),
    /// A message that is no answer to what was asked.
    #[error("not an answer to the question")]
    NotOurs,
    /// The first record is not the SOA of the zone, or there is none.
    #[error("does not begin with the SOA record of the zone")]
    NoSoa,
    /// Records behind the end.
    #[error("records behind the end")]
    BeyondEnd,
    /// Only the SOA record came: a change that the server does not want to give as one.
    #[error("the new version is not there, only its SOA record")]
    OnlySoa,
    /// The records are no zone, or the change does not fit.
    #[error(transparent)]
    Zone(#[from] ZoneError),
    /// Larger than allowed.
    #[error("larger than {limit} octets")]
    TooLarge {
        /// What is allowed.
        limit: u64,
    },
}

impl Transfer {
    /// A transfer of the zone `apex`, as changes to `base` if there is one. `limit` is what it may
    /// have in octets; 0 stands for [`MAX_OCTETS`].
    pub fn new(apex: Name, base: Option<Arc<Zone>>, any_serial: bool, limit: u64, id: u16) -> Self {
        let limit = if limit == 0 { MAX_OCTETS } else { limit.min(MAX_OCTETS) };
        let state = State::Begin;
        Self { apex, id, base, any_serial, limit, octets: 0, records: 0, state }
    }

    /// Whether changes are asked for.
    pub fn is_incremental(&self) -> bool {
        self.base.is_some()
    }

    /// The query that begins it.
    pub fn query(&self) -> Vec<u8> {
        let rtype = if self.base.is_some() { RecordType::IXFR } else { RecordType::AXFR };
        let header = Header { id: self.id, ..Header::default() };
        let mut builder = MessageBuilder::new(header, 1024);
        builder.question(&Question::new(self.apex.clone(), rtype));
        let soa = self.base.as_ref().and_then(|base| base.rrset(&self.apex, RecordType::SOA));
        if let Some(soa) = soa {
            let bare = Rrset { signatures: Vec::new(), ..soa.clone() };
            // A SOA record has at most 534 octets.
            let _ = builder.rrset(Section::Authority, &bare, false);
        }
        builder.finish(None)
    }

    /// Takes the next message; what the transfer came to, once that is known.
    ///
    /// # Errors
    ///
    /// When the transfer is of no use. It is over then.
    pub fn message(&mut self, bytes: &[u8]) -> Result<Option<Transferred>, TransferError> {
        let octets = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.octets = self.octets.saturating_add(octets);
        if self.octets > self.limit {
            return Err(TransferError::TooLarge { limit: self.limit });
        }
        let message = Message::parse(bytes)?;
        self.check(&message)?;
        let mut end = None;
        for record in message.answer {
            if end.is_some() {
                return Err(TransferError::BeyondEnd);
            }
            self.records += 1;
            if self.records > MAX_RECORDS {
                return Err(ZoneError::TooManyRecords.into());
            }
            end = self.record(record)?;
        }
        match (&self.state, end) {
            (_, Some(end)) => Ok(Some(end)),
            (State::Begin, None) => Err(TransferError::NoSoa),
            // One message with the SOA record alone: the server has nothing newer, or is not
            // willing (RFC 1995 §4). A whole zone may begin so, too.
            (State::First(soa), None) if self.base.is_some() => self.only_soa(&soa.clone()),
            _ => Ok(None),
        }
    }

    fn check(&self, message: &Message) -> Result<(), TransferError> {
        let header = message.header;
        if header.id != self.id || !header.qr() || header.opcode() != Opcode::QUERY || header.tc() {
            return Err(TransferError::NotOurs);
        }
        if message.rcode != Rcode::NOERROR {
            return Err(TransferError::Rcode(message.rcode));
        }
        // Messages after the first may come without a question (RFC 5936 §2.2.1).
        match &message.question {
            Some(question) if question.name != self.apex => Err(TransferError::NotOurs),
            _ => Ok(()),
        }
    }

    fn only_soa(&mut self, soa: &Record) -> Result<Option<Transferred>, TransferError> {
        let theirs = Soa::parse(&soa.rdata).ok_or(ZoneError::MalformedSoa)?.serial;
        let ours = self.base.as_ref().and_then(|base| base.serial());
        match ours {
            Some(ours) if !is_newer(theirs, ours) => {
                self.state = State::Done;
                Ok(Some(Transferred::UpToDate))
            }
            _ => Err(TransferError::OnlySoa),
        }
    }

    fn record(&mut self, record: Record) -> Result<Option<Transferred>, TransferError> {
        if record.class != Class::IN {
            return Err(ZoneError::Class { class: record.class }.into());
        }
        let soa = record.rtype == RecordType::SOA && record.owner == self.apex;
        match std::mem::replace(&mut self.state, State::Done) {
            State::Begin if soa => self.state = State::First(record),
            State::Begin => return Err(TransferError::NoSoa),
            State::First(first) => return self.second(first, record, soa),
            State::Whole(first, builder) if soa => return self.whole(&first, record, *builder),
            State::Whole(first, mut builder) => {
                builder.add(record)?;
                self.state = State::Whole(first, builder);
            }
            State::Removing(last, mut changes) => {
                if let Some(change) = changes.last_mut() {
                    if soa {
                        change.added.push(record);
                        self.state = State::Adding(last, changes);
                    } else {
                        change.removed.push(record);
                        self.state = State::Removing(last, changes);
                    }
                }
            }
            State::Adding(last, changes) if soa => return self.next_change(last, changes, record),
            State::Adding(last, mut changes) => {
                if let Some(change) = changes.last_mut() {
                    change.added.push(record);
                }
                self.state = State::Adding(last, changes);
            }
            State::Done => return Err(TransferError::BeyondEnd),
        }
        Ok(None)
    }

    /// The record behind the first SOA says which kind of transfer it is (RFC 1995 §4).
    fn second(
        &mut self,
        first: Record,
        record: Record,
        soa: bool,
    ) -> Result<Option<Transferred>, TransferError> {
        if let Some(ours) = self.base.as_ref().and_then(|base| base.serial())
            && soa
            && serial(&record)? != serial(&first)?
        {
            let found = serial(&record)?;
            if found != ours {
                return Err(ZoneError::OtherVersion { found, ours }.into());
            }
            let change = Change { removed: vec![record], added: Vec::new() };
            self.state = State::Removing(first, vec![change]);
            return Ok(None);
        }
        let mut builder = Builder::new(self.apex.clone());
        builder.add(first.clone())?;
        if soa {
            return self.whole(&first, record, builder);
        }
        builder.add(record)?;
        self.state = State::Whole(first, Box::new(builder));
        Ok(None)
    }

    /// The SOA record at the end of a whole zone is that of its beginning (RFC 5936 §2.2).
    fn whole(
        &mut self,
        first: &Record,
        last: Record,
        builder: Builder,
    ) -> Result<Option<Transferred>, TransferError> {
        if first.rdata != last.rdata {
            return Err(ZoneError::SecondSoa.into());
        }
        self.finished(builder.finish()?)
    }

    /// A SOA record while records are being added: the end of all changes, or the beginning of the
    /// next.
    fn next_change(
        &mut self,
        last: Record,
        mut changes: Vec<Change>,
        record: Record,
    ) -> Result<Option<Transferred>, TransferError> {
        let here = changes.last().and_then(|change| change.added.first()).map(serial);
        let here = here.transpose()?;
        if here == Some(serial(&last)?) {
            if record.rdata != last.rdata {
                return Err(ZoneError::SecondSoa.into());
            }
            let base = self.base.as_ref().ok_or(TransferError::NotOurs)?;
            let zone = base.changed(changes)?;
            return self.finished(zone);
        }
        let found = serial(&record)?;
        if here != Some(found) {
            let ours = here.unwrap_or(0);
            return Err(ZoneError::OtherVersion { found, ours }.into());
        }
        changes.push(Change { removed: vec![record], added: Vec::new() });
        self.state = State::Removing(last, changes);
        Ok(None)
    }

    fn finished(&mut self, zone: Zone) -> Result<Option<Transferred>, TransferError> {
        let theirs = zone.serial().ok_or(TransferError::NoSoa)?;
        self.state = State::Done;
        let ours = self.base.as_ref().and_then(|base| base.serial());
        let newer = self.any_serial || ours.is_none_or(|ours| is_newer(theirs, ours));
        Ok(Some(if newer { Transferred::Zone(zone) } else { Transferred::UpToDate }))
    }
}

fn serial(soa: &Record) -> Result<u32, TransferError> {
    let soa = Soa::parse(&soa.rdata).ok_or(ZoneError::MalformedSoa)?;
    Ok(soa.serial)
}
