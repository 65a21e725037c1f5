//! When to look for a new version of a zone, and where (RFC 1034 §4.3.5, RFC 1996).
//!
//! A [`Refresher`] is a state machine for one zone. It is told what happened and says what to do
//! next; whoever drives it sends, waits and calls back.
//!
//! ```text
//!  wait ─► look up the names of primaries ─► probe: SOA over UDP ─┬─► nothing newer: next primary
//!   ▲                                                             └─► IXFR ─► AXFR ─► check ─► use
//!   └── refresh after success, retry after failure, at once when notified ◄──────────────────┘
//! ```

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;

use super::stream::{Transfer, TransferError, Transferred};
use crate::authority::is_newer;
use crate::authority::zone::Zone;
use crate::clock::{Mono, Now, Rng};
use crate::config::{Primary, ZoneSource};
use crate::wire::{Builder, Header, Message, Name, Question, Rcode, RecordType, Soa};

/// Addresses tried in one round at most.
const MAX_SERVERS: usize = 32;
/// How long a primary is waited for when it is asked for its version, try by try.
const PROBES: [Duration; 3] =
    [Duration::from_millis(1_000), Duration::from_millis(2_000), Duration::from_millis(4_000)];
/// How long a stream may be silent, connecting included.
const SILENCE: Duration = Duration::from_secs(30);
/// How long a transfer may take when nothing else is configured.
const LONGEST: Duration = Duration::from_secs(3_600);
/// How long names of primaries are waited for.
const LOOK_UP: Duration = Duration::from_secs(10);
/// Bounds of what SOA records say about waiting: no faster than this, and at least once a month.
const WAIT: (u32, u32) = (2, 30 * 86_400);
/// Without a copy tries follow each other faster, the time doubling from the first to the second of
/// these.
const BACKOFF: (u32, u32) = (2, 3_600);

/// What happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// The [deadline](Refresher::deadline) has passed, or may have.
    Tick,
    /// Somebody says that there is a new version: a primary, or the operator. The serial number is
    /// that of the announcement.
    Notified {
        /// Who says so.
        from: Option<IpAddr>,
        /// The version announced.
        serial: Option<u32>,
    },
    /// The addresses of a name that was to be looked up; none when there are none.
    Found {
        /// The name.
        host: &'a Name,
        /// Its addresses.
        addresses: &'a [IpAddr],
    },
    /// A message of the exchange under way.
    Message(&'a [u8]),
    /// The exchange under way cannot go on.
    Broken,
    /// What became of the check of a version that was handed over.
    Checked {
        /// It is used from now on.
        accepted: bool,
    },
}

/// What to do.
#[derive(Debug)]
pub enum Action {
    /// Look up the addresses of a name, and say what was [found](Event::Found).
    LookUp(Name),
    /// Give up the exchange under way, and begin this one.
    Ask {
        /// Whom to ask.
        server: SocketAddr,
        /// Over a connection, not by a datagram.
        stream: bool,
        /// The message, without its length.
        query: Vec<u8>,
    },
    /// Give up the exchange under way.
    Close,
    /// A primary has confirmed that the copy is what it has: it is good for another while.
    Confirm,
    /// A new version: check it, use it, and say so.
    Check(Box<Zone>),
    /// Worth a line in the log.
    Note(Note),
}

/// What the operator may want to know.
#[derive(Debug)]
pub enum Note {
    /// A transfer brought nothing.
    Failed {
        /// From where.
        server: SocketAddr,
        /// Why.
        error: TransferError,
    },
    /// A primary could not be reached, or did not answer.
    Silent {
        /// Which.
        server: SocketAddr,
    },
    /// No primary brought anything; when the next try is.
    Nobody {
        /// In so many seconds.
        retry: u32,
    },
}

/// What the refresher knows of the copy.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The copy, as long as it is good for changes.
    pub zone: Option<Arc<Zone>>,
    /// It has expired, so that any other version will do (`is_newer` or not).
    pub expired: bool,
}

/// When and where a zone is looked for.
#[derive(Debug)]
pub struct Refresher {
    source: ZoneSource,
    state: State,
    actions: VecDeque<Action>,
    /// Servers still to be tried in this round.
    servers: VecDeque<SocketAddr>,
    /// Addresses of names found in this round.
    found: Vec<(Name, Vec<IpAddr>)>,
    /// Somebody who announced a change goes first.
    preferred: Option<IpAddr>,
    /// An announcement came during a round: there is another one after it.
    again: bool,
    /// Somebody confirmed the copy in this round.
    confirmed: bool,
    failures: u32,
    /// When the next round may begin, whoever asks for it.
    earliest: Mono,
}

#[derive(Debug)]
enum State {
    Waiting { until: Mono },
    LookingUp { left: usize, until: Mono },
    Probing { server: SocketAddr, id: u16, tries: usize, until: Mono },
    Transferring { server: SocketAddr, transfer: Box<Transfer>, silent: Mono, ends: Mono },
    Checking,
}

impl Refresher {
    /// A refresher for a zone with a copy, or without; nothing happens before the first
    /// [`Event::Tick`]. What was read from a file is taken for fresh.
    pub fn new(source: ZoneSource, known: &Known, now: Now) -> Self {
        let wait = known.zone.as_ref().and_then(|zone| zone.soa()).map_or(0, |soa| soa.refresh);
        let wait = if known.expired { 0 } else { wait };
        Self {
            source,
            state: State::Waiting { until: now.mono + seconds(wait) },
            actions: VecDeque::new(),
            servers: VecDeque::new(),
            found: Vec::new(),
            preferred: None,
            again: false,
            confirmed: false,
            failures: 0,
            earliest: Mono::ZERO,
        }
    }

    /// What to do next. To be called until it returns `None` after each [`Refresher::handle`].
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Event::Tick`] is due; none while a version is being checked.
    pub fn deadline(&self) -> Option<Mono> {
        match &self.state {
            State::Waiting { until }
            | State::LookingUp { until, .. }
            | State::Probing { until, .. } => Some(*until),
            State::Transferring { silent, ends, .. } => Some((*silent).min(*ends)),
            State::Checking => None,
        }
    }

    /// Whether nothing is under way, and time has to pass.
    pub fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting { .. })
    }

    /// Takes one event. `known` is the copy as it is now.
    pub fn handle(&mut self, event: Event<'_>, known: &Known, now: Now, rng: &mut Rng) {
        match event {
            Event::Tick => self.tick(known, now, rng),
            Event::Notified { from, serial } => self.notified(from, serial, known, now),
            Event::Found { host, addresses } => self.on_found(host, addresses, known, now, rng),
            Event::Message(bytes) => self.on_message(bytes, known, now, rng),
            Event::Broken => self.broken(known, now, rng),
            Event::Checked { accepted } => {
                if matches!(self.state, State::Checking) {
                    if accepted {
                        self.confirmed = true;
                        return self.end(known, now, rng);
                    }
                    self.next_server(known, now, rng);
                }
            }
        }
    }

    fn tick(&mut self, known: &Known, now: Now, rng: &mut Rng) {
        if self.deadline().is_none_or(|due| now.mono < due) {
            return;
        }
        match &mut self.state {
            State::Waiting { .. } => self.begin(known, now, rng),
            State::LookingUp { .. } => self.go(known, now, rng),
            State::Probing { server, tries, .. } => {
                let (server, tries) = (*server, *tries);
                if tries < PROBES.len() {
                    return self.probe(server, tries, now, rng);
                }
                self.silent(server, known, now, rng);
            }
            State::Transferring { server, .. } => {
                let server = *server;
                self.silent(server, known, now, rng);
            }
            State::Checking => {}
        }
    }

    fn silent(&mut self, server: SocketAddr, known: &Known, now: Now, rng: &mut Rng) {
        self.actions.push_back(Action::Close);
        self.actions.push_back(Action::Note(Note::Silent { server }));
        self.next_server(known, now, rng);
    }

    fn notified(&mut self, from: Option<IpAddr>, serial: Option<u32>, known: &Known, now: Now) {
        let ours = known.zone.as_ref().and_then(|zone| zone.serial());
        if let (Some(serial), Some(ours), false) = (serial, ours, known.expired)
            && !is_newer(serial, ours)
        {
            return;
        }
        self.preferred = from;
        match &mut self.state {
            State::Waiting { until } => *until = now.mono.max(self.earliest),
            _ => self.again = true,
        }
    }

    /// A round begins: names of primaries first.
    fn begin(&mut self, known: &Known, now: Now, rng: &mut Rng) {
        self.found.clear();
        self.confirmed = false;
        let hosts: Vec<Name> = self.source.notifying_hosts().take(MAX_SERVERS).cloned().collect();
        self.state = State::LookingUp { left: hosts.len(), until: now.mono + LOOK_UP };
        if hosts.is_empty() {
            return self.go(known, now, rng);
        }
        self.actions.extend(hosts.into_iter().map(Action::LookUp));
    }

    fn on_found(
        &mut self,
        host: &Name,
        addresses: &[IpAddr],
        known: &Known,
        now: Now,
        rng: &mut Rng,
    ) {
        let State::LookingUp { left, .. } = &mut self.state else { return };
        *left = left.saturating_sub(1);
        let done = *left == 0;
        self.found.push((host.clone(), addresses.to_vec()));
        if done {
            self.go(known, now, rng);
        }
    }

    /// Puts the servers in order and goes to the first.
    fn go(&mut self, known: &Known, now: Now, rng: &mut Rng) {
        let mut servers: Vec<SocketAddr> = Vec::new();
        for primary in &self.source.primaries {
            match primary {
                Primary::Address(address) => servers.push(*address),
                Primary::Host { name, port } => {
                    let found = self.found.iter().filter(|(host, _)| host == name);
                    let addresses = found.flat_map(|(_, addresses)| addresses);
                    servers.extend(addresses.map(|ip| SocketAddr::new(*ip, *port)));
                }
            }
        }
        let preferred = self.preferred.take();
        servers.sort_by_key(|server| Some(server.ip()) != preferred);
        servers.truncate(MAX_SERVERS);
        self.servers = servers.into();
        self.next_server(known, now, rng);
    }

    fn next_server(&mut self, known: &Known, now: Now, rng: &mut Rng) {
        let Some(server) = self.servers.pop_front() else { return self.end(known, now, rng) };
        if known.zone.is_some() && !known.expired {
            self.probe(server, 0, now, rng);
        } else {
            // With nothing to lose there is nothing to compare.
            self.transfer(server, None, known, now, rng);
        }
    }

    fn probe(&mut self, server: SocketAddr, tries: usize, now: Now, rng: &mut Rng) {
        let id = rng.random();
        let mut builder = Builder::new(Header { id, ..Header::default() }, 512);
        builder.question(&Question::new(self.source.name.clone(), RecordType::SOA));
        let wait = PROBES.get(tries).copied().unwrap_or(PROBES[0]);
        self.state = State::Probing { server, id, tries: tries + 1, until: now.mono + wait };
        self.actions.push_back(Action::Ask { server, stream: false, query: builder.finish(None) });
    }

    fn transfer(
        &mut self,
        server: SocketAddr,
        base: Option<Arc<Zone>>,
        known: &Known,
        now: Now,
        rng: &mut Rng,
    ) {
        let any_serial = known.expired || known.zone.is_none();
        let limit = self.source.max_transfer_size;
        let transfer =
            Transfer::new(self.source.name.clone(), base, any_serial, limit, rng.random());
        let longest = match self.source.max_transfer_time {
            0 => LONGEST,
            millis => Duration::from_millis(millis.into()).min(LONGEST),
        };
        let query = transfer.query();
        let (silent, ends) = (now.mono + SILENCE, now.mono + longest);
        let transfer = Box::new(transfer);
        self.state = State::Transferring { server, transfer, silent, ends };
        self.actions.push_back(Action::Ask { server, stream: true, query });
    }

    fn on_message(&mut self, bytes: &[u8], known: &Known, now: Now, rng: &mut Rng) {
        match &mut self.state {
            State::Probing { server, id, .. } => {
                let (server, id) = (*server, *id);
                let Some(theirs) = probed(bytes, id, &self.source.name) else {
                    // What is no answer changes nothing; a refusal ends the waiting.
                    let refused = Header::read(bytes)
                        .is_some_and(|header| header.id == id && header.rcode() != Rcode::NOERROR);
                    if refused {
                        self.silent(server, known, now, rng);
                    }
                    return;
                };
                self.actions.push_back(Action::Close);
                let ours = known.zone.as_ref().and_then(|zone| zone.serial());
                if ours.is_none_or(|ours| is_newer(theirs, ours)) {
                    return self.transfer(server, known.zone.clone(), known, now, rng);
                }
                if ours == Some(theirs) {
                    self.confirmed = true;
                }
                // Another primary may be ahead of this one.
                self.next_server(known, now, rng);
            }
            State::Transferring { server, transfer, silent, .. } => {
                *silent = now.mono + SILENCE;
                let server = *server;
                match transfer.message(bytes) {
                    Ok(None) => {}
                    Ok(Some(Transferred::UpToDate)) => {
                        self.actions.push_back(Action::Close);
                        self.confirmed = true;
                        self.next_server(known, now, rng);
                    }
                    Ok(Some(Transferred::Zone(zone))) => {
                        self.actions.push_back(Action::Close);
                        self.state = State::Checking;
                        self.actions.push_back(Action::Check(Box::new(zone)));
                    }
                    Err(error) => {
                        self.actions.push_back(Action::Close);
                        self.actions.push_back(Action::Note(Note::Failed { server, error }));
                        self.fall_back(known, now, rng);
                    }
                }
            }
            _ => {}
        }
    }

    fn broken(&mut self, known: &Known, now: Now, rng: &mut Rng) {
        let (State::Probing { server, .. } | State::Transferring { server, .. }) = &self.state
        else {
            return;
        };
        let server = *server;
        self.actions.push_back(Action::Note(Note::Silent { server }));
        self.fall_back(known, now, rng);
    }

    /// After changes that did not fit the whole zone is asked for, of the same server (RFC 1995 §4).
    fn fall_back(&mut self, known: &Known, now: Now, rng: &mut Rng) {
        match &self.state {
            State::Transferring { server, transfer, .. } if transfer.is_incremental() => {
                let server = *server;
                self.transfer(server, None, known, now, rng);
            }
            _ => self.next_server(known, now, rng),
        }
    }

    /// A round is over.
    fn end(&mut self, known: &Known, now: Now, rng: &mut Rng) {
        let soa = known.zone.as_ref().and_then(|zone| zone.soa());
        let wait = if self.confirmed {
            self.failures = 0;
            self.actions.push_back(Action::Confirm);
            soa.map_or(BACKOFF.1, |soa| soa.refresh)
        } else {
            self.failures += 1;
            let backoff = BACKOFF.0.saturating_mul(1 << (self.failures - 1).min(16)).min(BACKOFF.1);
            soa.filter(|_| !known.expired).map_or(backoff, |soa| soa.retry)
        };
        let wait = wait.clamp(WAIT.0, WAIT.1);
        if !self.confirmed {
            self.actions.push_back(Action::Note(Note::Nobody { retry: wait }));
        }
        // Not everybody at once, and never later than the zone says.
        let early = rng.random_range(0..=wait / 10);
        let again = std::mem::take(&mut self.again);
        self.earliest = now.mono + seconds(WAIT.0);
        let wait = if again { WAIT.0 } else { wait - early };
        self.state = State::Waiting { until: now.mono + seconds(wait) };
    }
}

const fn seconds(count: u32) -> Duration {
    Duration::from_secs(count as u64)
}

/// The serial number in the answer to a question for the SOA record of `zone`.
fn probed(bytes: &[u8], id: u16, zone: &Name) -> Option<u32> {
    let message = Message::parse(bytes).ok()?;
    let ours = message.header.id == id && message.header.qr() && message.rcode == Rcode::NOERROR;
    let about = |question: &Question| question.name == *zone && question.rtype == RecordType::SOA;
    if !ours || !message.question.as_ref().is_some_and(about) {
        return None;
    }
    let soa = message
        .answer
        .iter()
        .find(|record| record.rtype == RecordType::SOA && record.owner == *zone)?;
    Some(Soa::parse(&soa.rdata)?.serial)
}
