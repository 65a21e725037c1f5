//! Clients: reading queries, answering from the cache at once, resolving the rest.
//!
//! Each worker thread serves its own descriptors in its own tokio runtime:
//!
//! ```text
//!  udp, tcp ──► Worker::handle ─┬─► faults, policy, cache hits: answered in the same batch
//!                               └─► misses: Worker::resolve, one small task per waiting client
//! ```
//!
//! The way of a hit takes no lock, allocates nothing and logs nothing. Everything that waits is
//! counted and bounded: clients by [`waiting::Waiting`], connections by `incoming-num-tcp`.
//!
//! # RFCs
//!
//! 1035 §4.2 (transports), 2181 §9 (TC), 6891 (EDNS), 7766 (TCP: pipelining, out of order, idle
//! time), 7828 (keepalive), 8914 (Extended DNS Errors).

mod batch;
mod copies;
pub mod query;
pub mod reply;
mod screen;
mod serve;
pub mod tcp;
pub mod udp;
pub mod waiting;

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::authority::Zones;
use crate::cache::{Answer, Cache};
use crate::config::Config;
use crate::engine::Engine;
use crate::engine::zones::Keeper;
use crate::metrics::{Counters, Metrics};
use crate::policy::{Cookies, Policy};

pub use crate::engine::Ask;
pub use serve::{Outcome, Pending, Source};
use waiting::Waiting;

/// Who finds answers that the cache does not have: the engine, or a stand-in in tests.
pub trait Resolver: Clone + 'static {
    /// Resolves one question; always ends. A caller that stops waiting may leave work behind that
    /// goes on for the cache.
    fn resolve(&self, ask: Ask) -> impl Future<Output = Rc<Answer>> + 'static;
}

impl Resolver for Engine {
    fn resolve(&self, ask: Ask) -> impl Future<Output = Rc<Answer>> + 'static {
        let engine = self.clone();
        async move { Self::resolve(&engine, ask).await }
    }
}

/// What all workers share.
pub struct Shared {
    /// The running configuration; a reload swaps it whole.
    pub config: Arc<ArcSwap<Config>>,
    /// What was made of it.
    pub policy: ArcSwap<Policy>,
    /// How DNS cookies are made.
    pub cookies: ArcSwap<Cookies>,
    /// Everything that was learned.
    pub cache: Arc<Cache>,
    /// Copies of zones; a reload swaps the set whole.
    pub zones: Arc<ArcSwap<Zones>>,
    /// Who keeps them up to date.
    pub keeper: Keeper,
    /// What was counted.
    pub metrics: Arc<Metrics>,
}

/// One worker's side of its clients.
pub struct Worker<R> {
    shared: Arc<Shared>,
    index: usize,
    resolver: R,
    waiting: Rc<Waiting>,
    /// Queries over `ip-ratelimit`.
    over_limit: Cell<u64>,
}

impl<R: Resolver> Worker<R> {
    /// The worker of that number, counted from 0.
    pub fn new(shared: Arc<Shared>, index: usize, resolver: R) -> Rc<Self> {
        Rc::new(Self { shared, index, resolver, waiting: Rc::default(), over_limit: Cell::new(0) })
    }

    /// This worker's counters.
    pub fn counters(&self) -> &Counters {
        self.shared.metrics.worker(self.index)
    }

    /// The clients that wait.
    pub fn waiting(&self) -> &Rc<Waiting> {
        &self.waiting
    }
}
