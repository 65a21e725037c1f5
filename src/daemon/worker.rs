//! One worker: a thread with a runtime of its own, its sockets, its engine.

use std::io;
use std::net::{TcpListener, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::mpsc::{Receiver, UnboundedSender};
use tokio::sync::watch;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::MissedTickBehavior;
use tracing::error;

use super::anchors::AnchorKeeper;
use super::deal::Hand;
use super::policy_zones;
use crate::egress::client::Egress;
use crate::engine::zones::{Observer, Orders, keep};
use crate::engine::{Engine, Inquiry};
use crate::frontend::{self, Shared, tcp, udp};

/// How long clients that still wait are served after the stop.
const DRAIN: Duration = Duration::from_secs(1);
/// How often a worker shows that its loop turns.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Where a worker's channels to the broker come from.
pub(super) enum WayOut {
    /// Opens them through the rendezvous.
    Rendezvous(std::os::fd::OwnedFd),
    /// Has one, and no other.
    Channel(std::os::fd::OwnedFd),
}

impl WayOut {
    fn open(self) -> io::Result<Egress> {
        match self {
            Self::Rendezvous(socket) => Ok(Egress::through(socket)),
            Self::Channel(socket) => Egress::over(socket),
        }
    }
}

/// What a worker is given.
pub(super) struct Job {
    pub(super) index: usize,
    pub(super) shared: Arc<Shared>,
    pub(super) anchors: AnchorKeeper,
    pub(super) hand: Hand,
    pub(super) way_out: WayOut,
    /// For the one that keeps the copies of zones.
    pub(super) orders: Option<Orders>,
    /// What operators ask.
    pub(super) inquiries: Receiver<Inquiry>,
}

/// A running worker.
pub(super) struct Running {
    pub(super) thread: JoinHandle<()>,
    /// Grows as long as the worker makes progress; see the watchdog.
    pub(super) heartbeat: Arc<AtomicU64>,
}

/// Starts a worker; what became of its start is sent to `started`, its number to `ended` when it
/// ends, however it does.
///
/// # Errors
///
/// When there is no thread to be had.
pub(super) fn start(
    job: Job,
    stop: watch::Receiver<bool>,
    started: mpsc::Sender<io::Result<()>>,
    ended: UnboundedSender<usize>,
) -> io::Result<Running> {
    let index = job.index;
    let heartbeat = Arc::new(AtomicU64::new(0));
    let beat = Arc::clone(&heartbeat);
    let thread = thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
        let _told = TellsEnd { index, ended };
        let runtime = match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                let _ = started.send(Err(error));
                return;
            }
        };
        let life = live(job, stop, started, beat);
        LocalSet::new().block_on(&runtime, life);
    })?;
    Ok(Running { thread, heartbeat })
}

/// Tells when a worker ends, by a panic, too.
struct TellsEnd {
    index: usize,
    ended: UnboundedSender<usize>,
}

impl Drop for TellsEnd {
    fn drop(&mut self) {
        // During the stop nobody listens any more.
        let _ = self.ended.send(self.index);
    }
}

async fn live(
    job: Job,
    mut stop: watch::Receiver<bool>,
    started: mpsc::Sender<io::Result<()>>,
    beat: Arc<AtomicU64>,
) {
    let Job { index, shared, anchors, hand, way_out, orders, mut inquiries } = job;
    let egress = match way_out.open() {
        Ok(egress) => egress,
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    let engine = {
        let (config, cache) = (Arc::clone(&shared.config), Arc::clone(&shared.cache));
        let rollover = Arc::clone(&anchors.rollover);
        let (zones, metrics) = (Arc::clone(&shared.zones), Arc::clone(&shared.metrics));
        Engine::start(config, cache, zones, rollover, egress, metrics, index)
    };
    if let Some(orders) = orders {
        let (zones, config) = (Arc::clone(&shared.zones), Arc::clone(&shared.config));
        let of_policy = Arc::clone(&shared);
        let observer: Observer = Rc::new(move |name, zone| {
            policy_zones::apply(&of_policy.policy.load(), name, zone);
        });
        // One worker is enough for both.
        spawn_local(anchors.probe(engine.clone()));
        keep(engine.clone(), zones, config, observer, orders);
    }
    let inquired = engine.clone();
    spawn_local(async move {
        while let Some(inquiry) = inquiries.recv().await {
            inquired.inquired(inquiry);
        }
    });
    let worker = frontend::Worker::new(shared, index, engine);
    for socket in hand.udp {
        let serving = udp::serve(Rc::clone(&worker), UdpSocket::from(socket), stop.clone());
        spawn_local(report("UDP", serving));
    }
    let connections = Rc::new(tcp::Connections::default());
    for socket in hand.tcp {
        let listener = TcpListener::from(socket);
        let serving =
            tcp::serve(Rc::clone(&worker), listener, Rc::clone(&connections), stop.clone());
        spawn_local(report("TCP", serving));
    }
    spawn_local(async move {
        let mut ticks = tokio::time::interval(HEARTBEAT);
        // After a clock that jumps, what was missed is not made up for.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            beat.fetch_add(1, Ordering::Relaxed);
        }
    });
    // The loops above run as soon as this one waits; whatever arrives before lies in the sockets.
    let _ = started.send(Ok(()));
    // An error means that the daemon has dropped the other end: stop as well.
    let _ = stop.wait_for(|stop| *stop).await;
    let _ = tokio::time::timeout(DRAIN, worker.waiting().emptied()).await;
}

async fn report(transport: &str, serving: impl Future<Output = io::Result<()>>) {
    if let Err(error) = serving.await {
        error!(%error, transport, "a listener is of no use");
    }
}
