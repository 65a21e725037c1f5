//! The sockets of operators, served by the main thread next to its signals.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, watch};
use tracing::error;

use super::{policy_zones, reload};
use crate::authority::Entry;
use crate::clock::Now;
use crate::config::{Config, Settings};
use crate::control::{self, Control, Order, Running, ZoneError, http};
use crate::engine::Inquiry;
use crate::engine::zones::{Order as KeeperOrder, load};
use crate::frontend::Shared;
use crate::policy::Policy;
use crate::systemd::claim::{ControlListener, Listener};
use crate::wire::Name;

/// Questions of operators that may wait for a worker.
const INQUIRIES: usize = 8;

/// What commands change of the process.
struct InForce(Arc<Shared>);

impl Running for InForce {
    fn policy(&self) -> Arc<Policy> {
        self.0.policy.load_full()
    }

    fn put(&self, config: Config) {
        let policy = Policy::new(&config, &reload::host_name());
        // No command changes which policy zones there are.
        let policy = policy.with_policy_zones_of(&self.policy());
        self.0.cache.goes_on_by(&config);
        reload::put(&self.0, Arc::new(config), policy);
    }

    fn auth_zones(&self) -> Vec<String> {
        let now = Now::system().unix;
        let zones = self.0.zones.load();
        let line = |entry: &Arc<Entry>| match entry.zone(now) {
            Some(zone) => format!("{}\tserial {}", entry.name(), zone.serial().unwrap_or(0)),
            None => format!("{}\tno serial, or expired", entry.name()),
        };
        zones.iter().map(line).collect()
    }

    fn reload_zone(&self, zone: &Name) -> Result<(), ZoneError> {
        let (zones, config) = (self.0.zones.load(), self.0.config.load());
        let entry = zones.named(zone).next().ok_or(ZoneError::Unknown)?;
        if entry.config().source.zonefile.is_none() {
            return Err(ZoneError::NoFile);
        }
        load(entry, &config, Now::system())
            .map_err(|error| ZoneError::File(error.to_string().into()))?;
        if let Some(copy) = entry.zone(Now::system().unix) {
            policy_zones::apply(&self.policy(), zone, &copy);
        }
        self.0.keeper.tell(KeeperOrder::Reloaded);
        Ok(())
    }

    fn transfer_zone(&self, zone: &Name) -> Result<(), ZoneError> {
        let zones = self.0.zones.load();
        let entry = zones.named(zone).next().ok_or(ZoneError::NoPrimaries)?;
        if entry.config().source.primaries.is_empty() {
            return Err(ZoneError::NoPrimaries);
        }
        let zone = zone.clone();
        self.0.keeper.tell(KeeperOrder::Notified { zone, from: None, serial: None });
        Ok(())
    }

    fn enable_policy_zone(&self, zone: &Name, enabled: bool) -> Result<(), ZoneError> {
        let known = self.0.policy.load().enable_policy_zone(zone, enabled);
        known.then_some(()).ok_or(ZoneError::Unknown)
    }
}

/// The sockets of operators, and what they want of the process.
pub(super) struct Operators {
    pub(super) control: Arc<Control>,
    control_sockets: Vec<OwnedFd>,
    http_sockets: Vec<OwnedFd>,
    orders: mpsc::UnboundedReceiver<Order>,
}

impl Operators {
    pub(super) fn new(
        shared: &Arc<Shared>,
        settings: Settings,
        control: Vec<ControlListener>,
        http: Vec<Listener>,
    ) -> (Self, Vec<mpsc::Receiver<Inquiry>>) {
        let (sender, orders) = mpsc::unbounded_channel();
        let workers = shared.metrics.totals().len();
        let (workers, inquiries) = (0..workers).map(|_| mpsc::channel(INQUIRIES)).unzip();
        let operators = Self {
            control: Arc::new(Control {
                config: Arc::clone(&shared.config),
                settings: ArcSwap::from_pointee(settings),
                cache: Arc::clone(&shared.cache),
                metrics: Arc::clone(&shared.metrics),
                started: Now::system().mono,
                orders: sender,
                running: Arc::new(InForce(Arc::clone(shared))),
                workers,
            }),
            control_sockets: control.into_iter().map(|listener| listener.socket).collect(),
            http_sockets: http.into_iter().map(|listener| listener.socket).collect(),
            orders,
        };
        (operators, inquiries)
    }

    /// Begins to serve. Must be called within a tokio runtime.
    pub(super) fn serve(&mut self, stop: &watch::Sender<bool>) {
        for socket in self.control_sockets.drain(..) {
            let listener = UnixListener::from(socket);
            let serving = control::serve(listener, Arc::clone(&self.control), stop.subscribe());
            tokio::spawn(async move {
                if let Err(error) = serving.await {
                    error!(%error, "the control socket is of no use");
                }
            });
        }
        for socket in self.http_sockets.drain(..) {
            let listener = TcpListener::from(socket);
            let serving = http::serve(listener, Arc::clone(&self.control), stop.subscribe());
            tokio::spawn(async move {
                if let Err(error) = serving.await {
                    error!(%error, "the metrics socket is of no use");
                }
            });
        }
    }

    /// The next order. Never ends when there is none.
    pub(super) async fn order(&mut self) -> Order {
        match self.orders.recv().await {
            Some(order) => order,
            // Cannot happen: `control` holds a sender.
            None => std::future::pending().await,
        }
    }
}
