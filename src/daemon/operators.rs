//! The sockets of operators, served by the main thread next to its signals.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, watch};
use tracing::error;

use crate::clock::Now;
use crate::config::Settings;
use crate::control::{self, Control, Order, http};
use crate::frontend::Shared;
use crate::systemd::claim::{ControlListener, Listener};

/// The sockets of operators, and what they want of the process.
pub(super) struct Operators {
    pub(super) control: Arc<Control>,
    control_sockets: Vec<OwnedFd>,
    http_sockets: Vec<OwnedFd>,
    orders: mpsc::UnboundedReceiver<Order>,
}

impl Operators {
    pub(super) fn new(
        shared: &Shared,
        settings: Settings,
        control: Vec<ControlListener>,
        http: Vec<Listener>,
    ) -> Self {
        let (sender, orders) = mpsc::unbounded_channel();
        Self {
            control: Arc::new(Control {
                config: Arc::clone(&shared.config),
                settings: ArcSwap::from_pointee(settings),
                cache: Arc::clone(&shared.cache),
                metrics: Arc::clone(&shared.metrics),
                started: Now::system().mono,
                orders: sender,
            }),
            control_sockets: control.into_iter().map(|listener| listener.socket).collect(),
            http_sockets: http.into_iter().map(|listener| listener.socket).collect(),
            orders,
        }
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
