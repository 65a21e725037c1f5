//! The resolver process: startup, signals, reload, stop.
//!
//! Order of startup: what was passed, the configuration, the cache, the workers; then, when every
//! worker serves its sockets, `READY=1`. Whatever is missing before that ends the process with a
//! sentence and an exit code of sysexits(3). Queries that arrive meanwhile wait in the sockets.

mod anchors;
mod args;
mod compare;
mod confine;
mod deal;
mod heritage;
mod network;
mod operators;
mod policy_zones;
mod prepare;
mod reload;
mod worker;

use std::io;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use arc_swap::ArcSwap;
use clap::{CommandFactory, Parser};
use nix::errno::Errno;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{Receiver, UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tracing::{error, info};

use crate::authority::Zones;
use crate::clock::Now;
use crate::control::Order;
use crate::engine::Inquiry;
use crate::engine::zones::{Keeper, Order as KeeperOrder, Orders, load_all};
use crate::frontend::Shared;
use crate::logging;
use crate::metrics::Metrics;
use crate::sandbox::Sandbox;
use crate::systemd::claim::Claimed;
use crate::systemd::exit;
use crate::systemd::notify::Notifier;

use anchors::AnchorKeeper;
use args::Args;
use operators::Operators;
use prepare::{Prepared, Refusal, prepare};
use worker::{Running, WayOut};

/// What a start may take: long lists of local data and large copies of zones are read in it.
const START_TIME: Duration = Duration::from_secs(300);
/// How often the line of `systemctl status` is renewed.
const STATUS_INTERVAL: Duration = Duration::from_secs(10);

/// The command line, for completions.
pub fn command() -> clap::Command {
    Args::command()
}

/// The `prebound` program.
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return exit::command_line(&error),
    };
    match start(&args) {
        Ok((daemon, event_loop)) => daemon.run(event_loop),
        Err(code) => ExitCode::from(code),
    }
}

/// Where the main thread waits, and for which signals.
struct EventLoop {
    runtime: Runtime,
    signals: Signals,
}

impl EventLoop {
    fn new() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let signals = {
            let _inside = runtime.enter();
            Signals::new()?
        };
        Ok(Self { runtime, signals })
    }
}

/// A daemon whose workers serve.
struct Daemon {
    shared: Arc<Shared>,
    anchors: AnchorKeeper,
    workers: Vec<Running>,
    /// Which workers have ended.
    ended: UnboundedReceiver<usize>,
    operators: Operators,
    /// News of the network, if they were passed.
    network: Option<OwnedFd>,
    stop: watch::Sender<bool>,
    notifier: Notifier,
    args_config: Option<std::path::PathBuf>,
    extra_verbosity: u8,
    sandbox: Sandbox,
}

/// Says what went wrong at the start, to the operator and to the service manager.
fn refuse(notifier: &Notifier, refusal: &Refusal) -> u8 {
    logging::say("prebound", &refusal.text);
    notifier.failed(Errno::EINVAL, refusal.text.lines().next().unwrap_or_default());
    refusal.code
}

fn start(args: &Args) -> Result<(Daemon, EventLoop), u8> {
    let notifier = Notifier::from_env().map_err(|error| {
        logging::say("prebound", error);
        exit::OSERR
    })?;
    notifier.extend(START_TIME);
    let prepared = prepare(args).map_err(|refusal| refuse(&notifier, &refusal))?;
    let Prepared { config, settings, files, mut claimed } = prepared;
    let count = deal::workers(config.num_threads, &claimed.udp);
    let cache = heritage::open(claimed.cache.take(), &config, &notifier);
    let zones = Zones::new(config.copied_zones());
    load_all(&zones, &config, Now::system());
    let (keeper, orders) = Keeper::new();
    let anchors = AnchorKeeper::new(&config);
    let shared = Arc::new(Shared {
        policy: ArcSwap::from_pointee(reload::policy_of(&config, &zones)),
        cookies: ArcSwap::from_pointee(reload::cookies_of(&config)),
        zones: Arc::new(ArcSwap::from_pointee(zones)),
        keeper,
        cache: Arc::new(cache),
        metrics: Arc::new(Metrics::new(count)),
        config: Arc::new(ArcSwap::from_pointee(config)),
    });
    let control = std::mem::take(&mut claimed.control);
    let http = std::mem::take(&mut claimed.http);
    let (operators, inquiries) = Operators::new(&shared, settings, control, http);
    let network = claimed.network.take();
    // Before there is a second thread, which would stay outside.
    let sandbox = confine::enter(&shared.config.load(), &files, args.no_sandbox);
    let (stop, stopped) = watch::channel(false);
    let (tell_end, ended) = unbounded_channel();
    let refused = |what, error: io::Error| {
        refuse(&notifier, &Refusal { code: exit::OSERR, text: format!("cannot {what}: {error}") })
    };
    // Before anybody is served: whoever has an answer may send us a signal.
    let event_loop = EventLoop::new().map_err(|error| refused("wait for signals", error))?;
    let workers = start_workers(inquiries, claimed, &shared, &anchors, orders, &stopped, &tell_end)
        .map_err(|error| refused("start workers", error))?;
    let daemon = Daemon {
        shared,
        anchors,
        workers,
        ended,
        operators,
        network,
        stop,
        notifier,
        args_config: args.config.clone(),
        extra_verbosity: args.verbose,
        sandbox,
    };
    Ok((daemon, event_loop))
}

fn start_workers(
    inquiries: Vec<Receiver<Inquiry>>,
    claimed: Claimed,
    shared: &Arc<Shared>,
    anchors: &AnchorKeeper,
    orders: Orders,
    stopped: &watch::Receiver<bool>,
    ended: &UnboundedSender<usize>,
) -> io::Result<Vec<Running>> {
    let count = inquiries.len();
    let ways_out = ways_out(count, claimed.rendezvous, claimed.channels)?;
    let hands = deal::deal(claimed.udp, claimed.tcp, count)?;
    let (started, starts) = mpsc::channel();
    let mut workers = Vec::with_capacity(count);
    // The first worker keeps the copies of zones.
    let mut orders = Some(orders);
    let given = hands.into_iter().zip(ways_out).zip(inquiries).enumerate();
    for (index, ((hand, way_out), inquiries)) in given {
        let (shared, stopped) = (Arc::clone(shared), stopped.clone());
        let (started, ended, anchors) = (started.clone(), ended.clone(), anchors.clone());
        let orders = orders.take();
        let job = worker::Job { index, shared, anchors, hand, way_out, orders, inquiries };
        workers.push(worker::start(job, stopped, started, ended)?);
    }
    drop(started);
    // One word from each; one that ends without it has panicked, which the sentence says.
    for _ in 0..count {
        starts.recv().map_err(|_| io::Error::other("a worker ended while starting"))??;
    }
    Ok(workers)
}

/// Each worker's own way to the broker.
fn ways_out(
    count: usize,
    rendezvous: Option<OwnedFd>,
    channels: Vec<OwnedFd>,
) -> io::Result<Vec<WayOut>> {
    if let Some(socket) = rendezvous {
        return (0..count).map(|_| Ok(WayOut::Rendezvous(socket.try_clone()?))).collect();
    }
    if channels.len() < count {
        return Err(io::Error::other("fewer channels to the broker than workers"));
    }
    Ok(channels.into_iter().map(WayOut::Channel).collect())
}

impl Daemon {
    /// Serves until a signal says to stop.
    fn run(mut self, event_loop: EventLoop) -> ExitCode {
        let EventLoop { runtime, signals } = event_loop;
        let code = runtime.block_on(self.supervise(signals));
        self.notifier.stopping();
        info!("stopping");
        // Workers that are gone already do not hear it.
        let _ = self.stop.send(true);
        for worker in self.workers {
            if worker.thread.join().is_err() {
                error!("a worker had panicked");
            }
        }
        if code == exit::OK {
            self.shared.cache.release();
        }
        ExitCode::from(code)
    }

    async fn supervise(&mut self, mut signals: Signals) -> u8 {
        self.operators.serve(&self.stop);
        tokio::spawn(self.anchors.clone().save());
        self.notifier.ready(&self.status());
        info!(workers = self.workers.len(), "serving");
        let mut status = tokio::time::interval(STATUS_INTERVAL);
        status.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut unlogged = Duration::ZERO;
        let mut watchdog = Watchdog::new(&self.notifier, &self.workers);
        let mut network = self.watch_network();
        let mut probation = pin!(tokio::time::sleep(heritage::PROBATION));
        loop {
            tokio::select! {
                biased;
                () = signals.stop.recv() => return exit::OK,
                // Its sockets are closed, its share of the clients waits in vain: better begin anew.
                Some(worker) = self.ended.recv() => {
                    error!(worker, "a worker has ended");
                    return exit::SOFTWARE;
                }
                _ = signals.reload.recv() => {
                    self.reload(true);
                }
                order = self.operators.order() => match order {
                    Order::Stop => return exit::OK,
                    Order::Reload { keep_cache, done } => {
                        // Who asked may have left.
                        let _ = done.send(self.reload(keep_cache));
                    }
                },
                _ = signals.reopen.recv() => info!("there is no log file to reopen"),
                () = &mut probation, if !probation.is_elapsed() => self.shared.cache.proven(),
                () = self.shared.keeper.rings() => self.shared.keeper.tell(KeeperOrder::Due),
                () = network.changed() => {
                    self.shared.cache.network_changed();
                    info!("the network has changed: what was learned of servers is forgotten");
                }
                () = watchdog.due() => watchdog.feed(&self.notifier, &self.workers),
                _ = status.tick() => {
                    self.notifier.status(&self.status());
                    unlogged = self.log_statistics(unlogged);
                }
            }
        }
    }

    fn watch_network(&mut self) -> network::Watch {
        network::Watch::new(self.network.take()).unwrap_or_else(|error| {
            error!(%error, "changes of the network will not be noticed");
            network::Watch::deaf()
        })
    }

    /// Logs statistics when `statistics-interval:` has passed; how much of the next one has. Looked
    /// at as often as the status is renewed, which is exact enough.
    fn log_statistics(&self, unlogged: Duration) -> Duration {
        let interval = self.shared.config.load().statistics_interval;
        if interval == 0 || unlogged < Duration::from_secs(interval.into()) {
            return unlogged + STATUS_INTERVAL;
        }
        self.operators.control.log_statistics();
        STATUS_INTERVAL
    }

    /// Puts the configuration into force as it is now; whether it could be read.
    fn reload(&self, keep_cache: bool) -> bool {
        self.notifier.reloading();
        let path = self.args_config.as_deref();
        let settings = &self.operators.control.settings;
        let done = reload::reload(
            &self.shared,
            &self.anchors.rollover,
            settings,
            path,
            self.extra_verbosity,
            keep_cache,
        );
        self.notifier.ready(&self.status());
        done
    }

    /// One useful line.
    fn status(&self) -> String {
        let total = Metrics::sum(&self.shared.metrics.totals());
        let queries = total.get(crate::metrics::Stat::Queries);
        let hits = total.get(crate::metrics::Stat::CacheHits);
        let rate = (hits * 100).checked_div(queries).unwrap_or(0);
        let (used, bound) = self.shared.cache.octets();
        let (used, bound) = (used >> 20, bound >> 20);
        let sandbox = &self.sandbox;
        format!(
            "{queries} queries, {rate}% from the cache, which uses {used} of {bound} MiB; \
             sandbox: {sandbox}"
        )
    }
}

/// The signals we act on.
struct Signals {
    reload: Signal,
    reopen: Signal,
    stop: Stop,
}

/// Those that say to stop.
struct Stop([Signal; 3]);

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            reload: signal(SignalKind::hangup())?,
            reopen: signal(SignalKind::user_defined1())?,
            stop: Stop([
                signal(SignalKind::terminate())?,
                signal(SignalKind::interrupt())?,
                signal(SignalKind::quit())?,
            ]),
        })
    }
}

impl Stop {
    async fn recv(&mut self) {
        let [terminate, interrupt, quit] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = quit.recv() => {}
        }
    }
}

/// Pings the service manager as long as every worker makes progress.
struct Watchdog {
    timer: Option<tokio::time::Interval>,
    seen: Vec<u64>,
}

impl Watchdog {
    fn new(notifier: &Notifier, workers: &[Running]) -> Self {
        let timer = notifier.watchdog_interval().map(|interval| {
            let mut timer = tokio::time::interval(interval);
            timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
            timer
        });
        Self { timer, seen: vec![u64::MAX; workers.len()] }
    }

    async fn due(&mut self) {
        match &mut self.timer {
            Some(timer) => {
                timer.tick().await;
            }
            None => std::future::pending().await,
        }
    }

    fn feed(&mut self, notifier: &Notifier, workers: &[Running]) {
        let beats: Vec<u64> =
            workers.iter().map(|worker| worker.heartbeat.load(Ordering::Relaxed)).collect();
        match self.seen.iter().zip(&beats).position(|(seen, beat)| seen == beat) {
            Some(worker) => error!(worker, "worker makes no progress, watchdog not fed"),
            None => notifier.watchdog(),
        }
        self.seen = beats;
    }
}
