//! DNS over TCP (RFC 7766): one loop per passed listener, one task per connection.
//!
//! A connection is one state machine in one task: it reads queries, writes answers in the order
//! they become ready, and holds a few questions in flight. It reads on only while there is room for
//! what that causes, so that a client that never reads its answers stops itself (CVE-2024-0760).

mod connection;
mod framing;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::{self, IpAddr};
use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::spawn_local;
use tracing::{debug, warn};

use super::{Resolver, Worker};
use crate::config::Config;
use crate::metrics::Gauge;

use connection::Connection;

/// Pause after the process has run out of descriptors or memory, so as not to spin.
const PAUSE: Duration = Duration::from_millis(100);

/// The connections of one worker, over all its listeners.
#[derive(Default)]
pub struct Connections {
    open: Cell<usize>,
    by_client: RefCell<HashMap<IpAddr, u32>>,
    /// Octets of answers that wait to be written.
    queued: Cell<usize>,
    /// Where an answer is made before it is queued.
    scratch: RefCell<Vec<u8>>,
}

/// One of them; leaves when dropped.
struct Seat {
    connections: Rc<Connections>,
    client: IpAddr,
}

impl Connections {
    /// Takes a seat; `None` when there is none for that client.
    fn enter(self: &Rc<Self>, client: IpAddr, config: &Config) -> Option<Seat> {
        let count = self.by_client.borrow().get(&client).copied().unwrap_or(0);
        let limits = config.tcp_connection_limit.iter().filter(|(block, _)| block.contains(client));
        let limit = limits.max_by_key(|(block, _)| block.prefix()).map(|row| row.1);
        if self.open.get() >= config.incoming_num_tcp || limit.is_some_and(|limit| count >= limit) {
            return None;
        }
        self.open.set(self.open.get() + 1);
        *self.by_client.borrow_mut().entry(client).or_default() += 1;
        Some(Seat { connections: Rc::clone(self), client })
    }

    /// How long a connection may be idle: less when few seats are left, as in Unbound.
    fn idle_time(&self, keepalive: bool, config: &Config) -> Duration {
        let full = match keepalive {
            true => config.edns_tcp_keepalive_timeout,
            false => config.tcp_idle_timeout,
        };
        let all = config.incoming_num_tcp.max(1);
        let free = all.saturating_sub(self.open.get()) * 100 / all;
        let millis = match free {
            50.. => full,
            35..50 => full / 100,
            20..35 => full / 500,
            _ => 0,
        };
        // Even then a client has time for one round trip.
        Duration::from_millis(millis.max(200).into())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Self { connections, client } = self;
        connections.open.set(connections.open.get() - 1);
        let mut by_client = connections.by_client.borrow_mut();
        if let Some(count) = by_client.get_mut(client) {
            *count -= 1;
            if *count == 0 {
                by_client.remove(client);
            }
        }
    }
}

/// Serves one passed listener until `stop` changes. Must be called within a tokio `LocalSet`.
///
/// # Errors
///
/// When the listener cannot be used at all.
pub async fn serve<R: Resolver>(
    worker: Rc<Worker<R>>,
    listener: net::TcpListener,
    connections: Rc<Connections>,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, client)) => {
                let config = worker.shared.config.load();
                // Over the limit the connection is closed at once: the client learns it now.
                let Some(seat) = connections.enter(client.ip(), &config) else { continue };
                worker.counters().gauge(Gauge::TcpUsage, 1);
                // An answer is one write; there is nothing to wait for.
                let _ = stream.set_nodelay(true);
                let connection = Connection::new(Rc::clone(&worker), stream, client, seat);
                let (worker, stop) = (Rc::clone(&worker), stop.clone());
                spawn_local(async move {
                    if let Err(error) = connection.run(stop).await {
                        debug!(%client, %error, "connection");
                    }
                    worker.counters().gauge(Gauge::TcpUsage, -1);
                });
            }
            Err(error) if is_of_one_connection(&error) => debug!(%error, "accepting"),
            Err(error) => {
                warn!(%error, "cannot accept connections");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Whether an error of accept(2) is about a connection that is gone already.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionAborted | Kind::ConnectionReset | Kind::ConnectionRefused
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_limited_and_the_idle_time_falls_as_they_fill() {
        let connections = Rc::new(Connections::default());
        let config = Config {
            incoming_num_tcp: 10,
            tcp_connection_limit: vec![
                ("192.0.2.0/24".parse().unwrap(), 2),
                ("192.0.2.9/32".parse().unwrap(), 9),
            ],
            ..Config::default()
        };
        let enter = |last| connections.enter(IpAddr::from([192, 0, 2, last]), &config);
        let idle = || connections.idle_time(false, &config).as_millis();
        assert_eq!(idle(), 30_000);
        assert_eq!(connections.idle_time(true, &config).as_secs(), 120);
        let first = [enter(1), enter(1)];
        assert!(first.iter().all(Option::is_some) && enter(1).is_none());
        let others: Vec<_> = (0..8).map(|_| enter(9)).collect();
        assert!(others.iter().all(Option::is_some) && enter(2).is_none());
        assert_eq!(idle(), 200);
        drop(others);
        drop(first);
        assert_eq!((idle(), connections.open.get()), (30_000, 0));
        assert!(connections.by_client.borrow().is_empty());
    }
}
