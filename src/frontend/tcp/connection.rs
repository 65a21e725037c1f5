//! One connection of one client.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::Seat;
use super::framing::{Incoming, Outgoing};
use crate::clock::Now;
use crate::frontend::query::Query;
use crate::frontend::waiting::Place;
use crate::frontend::{Outcome, Resolver, Source, Worker};
use crate::wire::MAX_MESSAGE;

/// Questions one connection may have in flight; it is not read from while there are so many.
const IN_FLIGHT: usize = 8;
/// Octets of answers a client may leave unread before it is not read from any more.
const UNREAD: usize = 2 * MAX_MESSAGE;
/// Octets read at once.
const READ: usize = 4096;
/// A client that takes nothing of an answer for so long is gone.
const STUCK: Duration = Duration::from_secs(10);

/// One connection of one client.
pub(super) struct Connection<R> {
    worker: Rc<Worker<R>>,
    stream: TcpStream,
    source: Source,
    seat: Seat,
    incoming: Incoming,
    outgoing: Outgoing,
    in_flight: JoinSet<Vec<u8>>,
    /// When the connection ends if nothing happens.
    deadline: Instant,
    /// The client has sent all it wants to send.
    finished: bool,
}

/// What happened to a connection.
enum Event {
    Readable,
    Writable,
    Answer(Option<Vec<u8>>),
    Late,
}

impl<R: Resolver> Connection<R> {
    pub(super) fn new(
        worker: Rc<Worker<R>>,
        stream: TcpStream,
        client: SocketAddr,
        seat: Seat,
    ) -> Self {
        let local = stream.local_addr().ok();
        let source = Source { client, stream: true, keepalive: false, local };
        let mut connection = Self {
            worker,
            stream,
            source,
            seat,
            incoming: Incoming::default(),
            outgoing: Outgoing::default(),
            in_flight: JoinSet::new(),
            deadline: after(Duration::ZERO),
            finished: false,
        };
        connection.extend_deadline();
        connection
    }

    /// Serves the client until it leaves, is idle for too long, or `stop` changes.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) -> io::Result<()> {
        loop {
            self.take_queries();
            self.write()?;
            if self.finished && self.in_flight.is_empty() && self.outgoing.len() == 0 {
                return Ok(());
            }
            let stopping = *stop.borrow();
            if stopping && self.in_flight.is_empty() && self.outgoing.len() == 0 {
                return Ok(());
            }
            let reads = !stopping && !self.finished && self.has_room();
            let event = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop), if !stopping => continue,
                ready = self.stream.writable(), if self.outgoing.len() > 0 => {
                    ready?;
                    Event::Writable
                }
                Some(answer) = self.in_flight.join_next() => Event::Answer(answer.ok()),
                ready = self.stream.readable(), if reads => {
                    ready?;
                    Event::Readable
                }
                () = sleep_until(self.deadline) => Event::Late,
            };
            match event {
                Event::Writable => {}
                Event::Answer(answer) => {
                    // None: it was sent away to make room for others.
                    self.push(answer.as_deref().unwrap_or_default());
                    self.extend_deadline();
                }
                Event::Readable => self.read()?,
                // Questions in flight end by themselves, and soon.
                Event::Late if !self.in_flight.is_empty() => self.extend_deadline(),
                Event::Late => return Ok(()),
            }
        }
    }

    fn has_room(&self) -> bool {
        let queued = self.seat.connections.queued.get();
        self.in_flight.len() < IN_FLIGHT
            && self.outgoing.len() < UNREAD
            && queued < self.worker.shared.config.load().stream_wait_size
    }

    fn read(&mut self) -> io::Result<()> {
        let mut buffer = [0; READ];
        match self.stream.try_read(&mut buffer) {
            Ok(0) => self.finished = true,
            Ok(len) => {
                // Octets alone do not keep a connection open; whole queries do.
                self.incoming.extend(buffer.get(..len).unwrap_or_default());
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Deals with the queries that are there whole, as far as there is room.
    fn take_queries(&mut self) {
        let now = Now::system();
        let connections = Rc::clone(&self.seat.connections);
        let mut scratch = connections.scratch.borrow_mut();
        while self.has_room() {
            let Some(message) = self.incoming.next() else { break };
            scratch.resize(MAX_MESSAGE, 0);
            if self.worker.shared.config.load().edns_tcp_keepalive {
                self.source.keepalive |= asks_for_keepalive(message);
            }
            match self.worker.handle(message, self.source, now, &mut scratch) {
                Outcome::Silence => {}
                Outcome::Answered(len) => {
                    let answer = scratch.get(..len).unwrap_or_default();
                    push(&mut self.outgoing, &self.seat, answer);
                }
                Outcome::Resolve(pending) => {
                    let (worker, place) = (Rc::clone(&self.worker), pending.place());
                    let resolve = async move { worker.resolve(pending).await };
                    let task = self.in_flight.spawn_local(resolve);
                    Place::served_by(self.worker.waiting(), place, task);
                }
            }
            self.extend_deadline();
        }
    }

    fn push(&mut self, answer: &[u8]) {
        push(&mut self.outgoing, &self.seat, answer);
    }

    /// Writes what the socket takes.
    fn write(&mut self) -> io::Result<()> {
        while self.outgoing.len() > 0 {
            match self.stream.try_write(self.outgoing.rest()) {
                Ok(len) => {
                    self.outgoing.advance(len);
                    let queued = &self.seat.connections.queued;
                    queued.set(queued.get().saturating_sub(len));
                    self.extend_deadline();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn extend_deadline(&mut self) {
        let config = self.worker.shared.config.load();
        let keepalive = self.source.keepalive && config.edns_tcp_keepalive;
        let idle = self.seat.connections.idle_time(keepalive, &config);
        self.deadline = after(if self.outgoing.len() > 0 { idle.min(STUCK) } else { idle });
    }
}

impl<R> Drop for Connection<R> {
    fn drop(&mut self) {
        let queued = &self.seat.connections.queued;
        queued.set(queued.get().saturating_sub(self.outgoing.len()));
    }
}

fn push(outgoing: &mut Outgoing, seat: &Seat, answer: &[u8]) {
    if answer.is_empty() {
        return;
    }
    let before = outgoing.len();
    outgoing.push(answer);
    let queued = &seat.connections.queued;
    queued.set(queued.get() + outgoing.len() - before);
}

fn asks_for_keepalive(message: &[u8]) -> bool {
    Query::parse(message).is_ok_and(|query| query.edns.is_some_and(|edns| edns.keepalive))
}

#[expect(clippy::disallowed_methods, reason = "a timer of tokio's, which has a clock of its own")]
fn after(time: Duration) -> Instant {
    Instant::now() + time
}
