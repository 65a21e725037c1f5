//! The driver: one worker per thread performs what the mesh asks for and feeds it events.
//!
//! An [`Engine`] lives on one thread, in a tokio runtime of that thread alone, so nothing here is
//! locked or sent. Whatever happens - a client asks, a datagram arrives, a timer fires - becomes
//! an event of the [`Mesh`]; the actions that follow are performed before anything else happens.
//!
//! # Not here
//!
//! Opening sockets: each exchange gets a fresh one from the broker. Rules of DNS: those are in the
//! mesh and below.

mod exchange;
mod probe;
mod tls;
pub mod zones;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use nix::errno::Errno;
use rand::SeedableRng;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tracing::{debug, trace};

use crate::authority::Zones;
use crate::cache::{Answer, Cache};
use crate::clock::{Mono, Now, Rng};
use crate::config::Config;
use crate::egress::client::{Delivered, Egress, EgressError};
use crate::egress::protocol;
use crate::iterator::{ExchangeError, Transport};
use crate::mesh::{Action, ClientId, Event, Mesh, Query, Screened, Token};
use crate::metrics::{Counters, Gauge, Metrics, Stat};
use crate::rollover::Rollover;
use crate::status::Reason;
use crate::wire::{Name, Question, RecordType};
use tls::Tls;

pub use crate::mesh::{Request, State};

/// What a client wants to know.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The question.
    pub question: Question,
    /// CD: hand over what arrives, proven or not.
    pub checking_disabled: bool,
    /// Do not believe the cache about this question (prefetch). Together with `checking_disabled`:
    /// one response, as a server gives it now.
    pub refresh: bool,
    /// When the query arrived; the client's deadline counts from here.
    pub arrived: Mono,
    /// Policy that its answer has to go through.
    pub screening: Option<Box<Screened>>,
}

impl Ask {
    /// A question of our own, asked now.
    fn plain(question: Question, checking_disabled: bool) -> Self {
        let arrived = Now::system().mono;
        Self { question, checking_disabled, refresh: false, arrived, screening: None }
    }
}

/// Numbers of sockets that are not for the mesh begin here, far above those it will ever use.
const FIRST_SOCKET: u64 = 1 << 63;

/// One worker's engine. Clones are the same engine.
#[derive(Clone)]
pub struct Engine(Rc<Inner>);

struct Inner {
    mesh: RefCell<Mesh>,
    config: Arc<ArcSwap<Config>>,
    cache: Arc<Cache>,
    rollover: Arc<Rollover>,
    rng: RefCell<Rng>,
    metrics: Arc<Metrics>,
    /// The number of this worker.
    index: usize,
    clients: RefCell<HashMap<ClientId, oneshot::Sender<Rc<Answer>>>>,
    exchanges: RefCell<HashMap<Token, Running>>,
    /// Sockets asked for by others than the mesh.
    sockets: RefCell<HashMap<Token, oneshot::Sender<Result<OwnedFd, EgressError>>>>,
    /// What the driver must tell the broker; it owns the channel.
    outgoing: RefCell<Vec<Outgoing>>,
    /// The driver has something to do: requests, or an earlier deadline.
    wake: Notify,
    next_client: Cell<u64>,
    next_socket: Cell<u64>,
    /// How TLS is spoken, and the configuration that this was made of.
    tls: RefCell<Option<(Arc<Config>, Rc<Tls>)>>,
}

/// What operators ask of a worker, through a channel: the worker answers when it gets to it.
#[derive(Debug)]
pub enum Inquiry {
    /// Tell what is in flight.
    Requests(oneshot::Sender<Vec<Request>>),
    /// Give up what is in flight, without an answer to anybody; how many questions that were.
    Drop(oneshot::Sender<usize>),
}

/// How far an exchange is.
enum Running {
    /// The broker was asked for a socket.
    Opening(Errand),
    /// The query is on its way; the task ends when dropped from here.
    Open(JoinHandle<()>),
}

/// What to do with a socket.
struct Errand {
    transport: Transport,
    query: Vec<u8>,
    server: IpAddr,
    tls_name: Option<String>,
}

enum Outgoing {
    Request(Token, Transport, SocketAddr),
    Cancel(Token),
}

impl Engine {
    /// Starts the engine of this thread. Must be called within a tokio `LocalSet`.
    ///
    /// `egress` is this worker's own way to the broker. The engine runs until the `LocalSet` ends.
    ///
    /// What happens is counted as that of the worker with number `index`.
    pub fn start(
        config: Arc<ArcSwap<Config>>,
        cache: Arc<Cache>,
        zones: Arc<ArcSwap<Zones>>,
        rollover: Arc<Rollover>,
        egress: Egress,
        metrics: Arc<Metrics>,
        index: usize,
    ) -> Self {
        let mesh = Mesh::with_zones(Arc::clone(&cache), zones).following(Arc::clone(&rollover));
        let engine = Self(Rc::new(Inner {
            metrics,
            index,
            mesh: RefCell::new(mesh),
            config,
            cache,
            rollover,
            rng: RefCell::new(Rng::from_rng(&mut rand::rng())),
            clients: RefCell::default(),
            exchanges: RefCell::default(),
            sockets: RefCell::default(),
            outgoing: RefCell::default(),
            wake: Notify::new(),
            next_client: Cell::new(0),
            next_socket: Cell::new(FIRST_SOCKET),
            tls: RefCell::default(),
        }));
        tokio::task::spawn_local(engine.clone().drive(egress));
        engine
    }

    /// Resolves one question. Always ends, with SERVFAIL at the latest when the client's deadline
    /// passes; a caller that stops waiting does not stop the work.
    pub async fn resolve(&self, ask: Ask) -> Rc<Answer> {
        let client = ClientId(self.0.next_client.get());
        self.0.next_client.set(client.0 + 1);
        let (sender, receiver) = oneshot::channel();
        self.0.clients.borrow_mut().insert(client, sender);
        self.counters().list_length(self.0.mesh.borrow().len());
        let question = ask.question.clone();
        self.event(Event::Query(Query {
            client,
            question: ask.question,
            checking_disabled: ask.checking_disabled,
            refresh: ask.refresh,
            arrived: ask.arrived,
            screening: ask.screening,
        }));
        receiver
            .await
            .unwrap_or_else(|_| Rc::new(Answer::failure(question, Reason::ClientDeadline)))
    }

    /// Sends a query of somebody else than the mesh and hands every message that comes back to
    /// `tell`, until the connection ends or this is dropped.
    ///
    /// # Errors
    ///
    /// When there is no socket, or it ends.
    pub(crate) async fn talk<F: Future<Output = ()>>(
        &self,
        server: SocketAddr,
        stream: bool,
        query: &[u8],
        tell: impl Fn(Vec<u8>) -> F,
    ) -> io::Result<()> {
        let transport = if stream { Transport::Tcp } else { Transport::Udp };
        let token = Token(self.0.next_socket.get());
        self.0.next_socket.set(token.0 + 1);
        let (sender, receiver) = oneshot::channel();
        self.0.sockets.borrow_mut().insert(token, sender);
        self.0.outgoing.borrow_mut().push(Outgoing::Request(token, transport, server));
        self.0.wake.notify_one();
        let _forgotten = Forgets { engine: self, token };
        let socket = receiver.await.map_err(io::Error::other)?.map_err(io::Error::other)?;
        exchange::talk(transport, socket, query, self.counters(), tell).await
    }

    /// How many questions are in flight, subqueries included, and how many clients wait.
    pub fn load(&self) -> (usize, usize) {
        let mesh = self.0.mesh.borrow();
        (mesh.len(), mesh.clients())
    }

    /// This worker's counters.
    fn counters(&self) -> &Counters {
        self.0.metrics.worker(self.0.index)
    }

    /// Does what an operator wants to know or have of this worker.
    pub fn inquired(&self, inquiry: Inquiry) {
        // Whoever asked may have left.
        match inquiry {
            Inquiry::Requests(reply) => {
                let _ = reply.send(self.0.mesh.borrow().requests(Now::system().mono));
            }
            Inquiry::Drop(reply) => {
                let dropped = self.0.mesh.borrow_mut().drop_requests();
                self.event(Event::Tick);
                let _ = reply.send(dropped);
            }
        }
    }

    fn count(&self, mesh: &mut Mesh) {
        let (counters, tally) = (self.counters(), mesh.take_tally());
        counters.add_many(Stat::ListOverwritten, tally.jostled);
        counters.add_many(Stat::ListExceeded, tally.exceeded);
        counters.add_many(Stat::UnwantedReplies, tally.unwanted);
        counters.set_gauge(Gauge::ListAll, mesh.len());
        counters.set_gauge(Gauge::ListUser, mesh.questions());
    }

    /// Feeds one event and performs what follows from it.
    fn event(&self, event: Event<'_>) {
        let config = self.0.config.load();
        let now = Now::system();
        let before;
        let mut actions = Vec::new();
        {
            let mut mesh = self.0.mesh.borrow_mut();
            before = mesh.deadline();
            mesh.handle(event, &config, now, &mut self.0.rng.borrow_mut());
            actions.extend(std::iter::from_fn(|| mesh.poll()));
            self.count(&mut mesh);
            if mesh.deadline() < before || before.is_none() {
                self.0.wake.notify_one();
            }
        }
        for action in actions {
            self.perform(action);
        }
    }

    fn perform(&self, action: Action) {
        let inner = &self.0;
        match action {
            Action::Ask { token, server, transport, query, tls_name } => {
                trace!(%server, ?transport, "exchange");
                let errand = Errand { transport, query, server: server.ip(), tls_name };
                inner.exchanges.borrow_mut().insert(token, Running::Opening(errand));
                inner.outgoing.borrow_mut().push(Outgoing::Request(token, transport, server));
                inner.wake.notify_one();
            }
            Action::Close(token) => match inner.exchanges.borrow_mut().remove(&token) {
                Some(Running::Open(task)) => task.abort(),
                Some(Running::Opening(_)) => {
                    inner.outgoing.borrow_mut().push(Outgoing::Cancel(token));
                    inner.wake.notify_one();
                }
                None => {}
            },
            Action::Dropped { client } => {
                if let Some(sender) = inner.clients.borrow_mut().remove(&client) {
                    let root = Question::new(Name::root(), RecordType::NS);
                    let mut nothing = Answer::failure(root, Reason::ClientDeadline);
                    nothing.manner.dropped = true;
                    let _ = sender.send(Rc::new(nothing));
                }
            }
            Action::Answer { client, answer } => {
                if let Some(sender) = inner.clients.borrow_mut().remove(&client) {
                    // A client that went away does not want its answer.
                    let _ = sender.send(answer);
                }
            }
        }
    }

    /// How TLS is spoken, by the configuration of now.
    fn tls(&self) -> Result<Rc<Tls>, tokio_rustls::rustls::Error> {
        let config = self.0.config.load_full();
        let mut known = self.0.tls.borrow_mut();
        if let Some((of, tls)) = &*known
            && Arc::ptr_eq(of, &config)
        {
            return Ok(Rc::clone(tls));
        }
        let tls = Rc::new(Tls::new(&config)?);
        *known = Some((config, Rc::clone(&tls)));
        Ok(tls)
    }

    /// The loop that waits for the broker and for time.
    async fn drive(self, mut egress: Egress) {
        loop {
            for outgoing in self.0.outgoing.take() {
                match outgoing {
                    Outgoing::Request(token, transport, server) => {
                        egress.request(token.0, wire_transport(transport), server);
                    }
                    Outgoing::Cancel(token) => egress.cancel(token.0),
                }
            }
            tokio::select! {
                biased;
                delivered = egress.recv() => {
                    self.socket(delivered);
                    while let Some(more) = egress.try_recv() {
                        self.socket(more);
                    }
                }
                () = self.0.wake.notified() => {}
                () = self.until_deadline() => self.event(Event::Tick),
            }
        }
    }

    async fn until_deadline(&self) {
        let deadline = self.0.mesh.borrow().deadline();
        match deadline {
            Some(at) => {
                // A timer that fires early finds nothing due; a millisecond more is never early.
                let left = at.since(Now::system().mono) + Duration::from_millis(1);
                tokio::time::sleep(left).await;
            }
            None => std::future::pending().await,
        }
    }

    /// The broker has replied: talk to the server over the socket it gave.
    fn socket(&self, delivered: Delivered) {
        let token = Token(delivered.id);
        if let Some(sender) = self.0.sockets.borrow_mut().remove(&token) {
            // Whoever asked may have left.
            let _ = sender.send(delivered.socket);
            return;
        }
        let mut exchanges = self.0.exchanges.borrow_mut();
        // Closed meanwhile, or there already: the socket is of no use.
        if !matches!(exchanges.get(&token), Some(Running::Opening(_))) {
            return;
        }
        let Some(Running::Opening(errand)) = exchanges.remove(&token) else { return };
        match delivered.socket {
            Ok(socket) => {
                let run = exchange::run(self.clone(), token, errand, socket);
                exchanges.insert(token, Running::Open(tokio::task::spawn_local(run)));
            }
            Err(error) => {
                drop(exchanges);
                debug!(%error, "no socket");
                self.event(Event::Failed { token, error: blame(error) });
            }
        }
    }
}

/// Gives up the wish for a socket when dropped before it has come.
struct Forgets<'a> {
    engine: &'a Engine,
    token: Token,
}

impl Drop for Forgets<'_> {
    fn drop(&mut self) {
        if self.engine.0.sockets.borrow_mut().remove(&self.token).is_some() {
            self.engine.0.outgoing.borrow_mut().push(Outgoing::Cancel(self.token));
            self.engine.0.wake.notify_one();
        }
    }
}

/// Whose fault it is that there is no socket.
fn blame(error: EgressError) -> ExchangeError {
    match error {
        // The broker connects, and the kernel knows at once where there is no way to.
        EgressError::Failed(
            Errno::ENETUNREACH | Errno::EHOSTUNREACH | Errno::ENETDOWN | Errno::EADDRNOTAVAIL,
        ) => ExchangeError::NoRoute,
        EgressError::Failed(_) => ExchangeError::Unreachable,
        EgressError::Refused(_) => ExchangeError::Prohibited,
        EgressError::RateLimited | EgressError::NoRoom | EgressError::Gone => {
            ExchangeError::NoSocket
        }
    }
}

/// The iterator does not know the broker's protocol; this is where the two meet.
fn wire_transport(transport: Transport) -> protocol::Transport {
    match transport {
        Transport::Udp => protocol::Transport::Udp,
        Transport::Tcp | Transport::Tls => protocol::Transport::Tcp,
    }
}
