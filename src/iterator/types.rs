//! What goes into an iteration and what comes out of it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use thiserror::Error;

use crate::cache::Answer;
use crate::status::Reason;
use crate::wire::{Name, Question};

/// Tells the exchanges of one iteration apart; never used twice in it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ExchangeId(pub u32);

/// What happened. One event per call.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// Begin. Exactly once, first.
    Start,
    /// A datagram, or a message of a stream, arrived on the socket of an exchange. Whatever
    /// arrives is delivered: whether it is the reply is decided here (RFC 5452 §9.1).
    Datagram {
        /// The exchange.
        exchange: ExchangeId,
        /// The message, for streams without its length.
        bytes: &'a [u8],
    },
    /// The time of an exchange is over. The exchange has ended; it needs no [`Action::Close`].
    TimedOut {
        /// The exchange.
        exchange: ExchangeId,
    },
    /// An exchange cannot go on. The exchange has ended; it needs no [`Action::Close`].
    Failed {
        /// The exchange.
        exchange: ExchangeId,
        /// Why.
        error: ExchangeError,
    },
    /// What an [`Action::Need`] asked for. Not validated; a failure is an answer too.
    Resolved {
        /// The question of the need.
        question: &'a Question,
        /// What is known about it.
        answer: &'a Answer,
    },
    /// The response handed over last was bogus: ask another server, or the same one again when
    /// there is no other. Leads to another [`Action::Finish`].
    Retry,
}

/// What the driver must do next.
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use]
pub enum Action {
    /// Send a query on a socket of its own, and report what comes back.
    Ask(Exchange),
    /// Nothing more is wanted from this exchange: close its socket, forget its timer.
    Close(ExchangeId),
    /// Resolve this question first, without validation, and call back with
    /// [`Event::Resolved`]. Others may be needed at the same time.
    Need(Question),
    /// Done. Every exchange has been closed; answers to needs no longer matter.
    Finish(Outcome),
}

/// One query to one server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Exchange {
    /// Comes back with every event about it.
    pub id: ExchangeId,
    /// Whom to ask.
    pub server: SocketAddr,
    /// How.
    pub transport: Transport,
    /// The query as it goes into a datagram; a stream puts its length before it. The query id
    /// inside is fresh and random.
    pub query: Vec<u8>,
    /// The name that the server has to prove, over TLS; none: any certificate will do.
    pub tls_name: Option<String>,
    /// How long to wait before [`Event::TimedOut`], connecting included.
    pub timeout: Duration,
}

/// How a query travels.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Transport {
    /// One datagram from a fresh port (RFC 5452 §9.2).
    Udp,
    /// A connection (RFC 7766).
    Tcp,
    /// A connection that is encrypted, and whose server is who it should be when a name is known
    /// (RFC 7858).
    Tls,
}

impl Transport {
    /// Whether it is a connection.
    pub fn is_stream(self) -> bool {
        self != Self::Udp
    }
}

/// Why an exchange ended without its time being over. Grouped by whose fault it is, because that
/// decides whether the server is asked again.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum ExchangeError {
    /// Nobody listens there, or a firewall says so (ECONNREFUSED). Blame the server.
    #[error("connection refused")]
    Refused,
    /// Somebody on the way has no way to that address (EHOSTUNREACH). Blame the path.
    #[error("address unreachable")]
    Unreachable,
    /// This host has no way to that address. Blame our network, unless another server answers.
    #[error("no route from here")]
    NoRoute,
    /// The stream ended before the reply did. Blame the server.
    #[error("connection closed by the server")]
    Closed,
    /// There was no TLS session, or the server could not prove its name. Blame the server.
    #[error("no trustworthy TLS session")]
    Untrusted,
    /// Asking that address is not allowed. Blame the delegation; never ask it again.
    #[error("address not allowed")]
    Prohibited,
    /// There is no socket to be had. Our own fault.
    #[error("no outgoing socket")]
    NoSocket,
}

/// How an iteration ends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// A server gave a response that can be used: positive, negative, or an alias to follow.
    Response(Response),
    /// Nothing usable came of it, and why.
    Failed(Reason),
    /// The servers are not to be asked, says the [`Guard`].
    Barred,
}

/// Says which servers are not to be asked.
pub trait Guard {
    /// Whether servers with one of these names, or one of these addresses, are not to be asked.
    fn bars(&self, names: &[Name], addresses: &[IpAddr]) -> bool;
}

/// A response of a server, scrubbed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Response {
    /// What it says about the question; status Indeterminate. An answer section that ends in an
    /// alias without its target is complete: the target is another question.
    pub answer: Answer,
    /// Who said so.
    pub server: SocketAddr,
    /// The zone that server was asked for; for a forwarder the forwarded zone.
    pub zone: Name,
    /// Whether AA was set; decides the rank of the data (RFC 2181 §5.4.1).
    pub authoritative: bool,
    /// It may not be remembered (`forward-no-cache`, `stub-no-cache`).
    pub volatile: bool,
}
