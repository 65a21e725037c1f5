//! Operators: the control protocol of Unbound, and metrics over HTTP.
//!
//! The real `unbound-control` talks to this. A command comes in one line, `UBCT1 command args`, over
//! a Unix socket that the service manager opened; its owner and mode say who may. Text is the
//! answer, and the connection ends.
//!
//! Connections are few, short and bounded: in number, in size, in time.

mod commands;
mod flush;
pub mod http;
mod line;
mod stats;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::io;
use std::os::unix::net;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::timeout;
use tracing::{debug, info, warn};

use crate::cache::Cache;
use crate::clock::Mono;
use crate::config::{Config, Settings};
use crate::metrics::Metrics;

use commands::Outcome;
use line::LineError;

/// Connections at once; more wait in the socket.
const AT_ONCE: usize = 8;
/// What a client may take for its command and for reading the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What operators can see and change.
pub struct Control {
    /// The running configuration.
    pub config: Arc<ArcSwap<Config>>,
    /// Its options as text.
    pub settings: ArcSwap<Settings>,
    /// Everything that was learned.
    pub cache: Arc<Cache>,
    /// What was counted.
    pub metrics: Arc<Metrics>,
    /// When the process began to serve.
    pub started: Mono,
    /// To whoever runs the process.
    pub orders: mpsc::UnboundedSender<Order>,
}

impl Control {
    /// Writes statistics into the log (`statistics-interval:`). Counting begins anew unless
    /// `statistics-cumulative:` says otherwise.
    pub fn log_statistics(&self) {
        let cumulative = self.config.load().statistics_cumulative;
        for line in stats::summary(&self.metrics.recent(!cumulative)) {
            info!("{line}");
        }
    }
}

/// What an operator wants of the process as a whole.
#[derive(Debug)]
pub enum Order {
    /// Read the configuration again.
    Reload {
        /// What was learned stays.
        keep_cache: bool,
        /// Whether it worked.
        done: oneshot::Sender<bool>,
    },
    /// End.
    Stop,
}

/// Serves the control protocol until `stop` changes.
///
/// # Errors
///
/// When the listener cannot be used at all.
pub async fn serve(
    listener: net::UnixListener,
    control: Arc<Control>,
    stop: watch::Receiver<bool>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = UnixListener::from_std(listener)?;
    accept_loop(listener, stop, move |stream| {
        let control = Arc::clone(&control);
        async move { converse(&stream, &control).await }
    })
    .await;
    Ok(())
}

/// Either kind of listener.
trait Listen {
    type Stream;

    fn next(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Listen for UnixListener {
    type Stream = UnixStream;

    async fn next(&self) -> io::Result<UnixStream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

/// Accepts connections and serves each, a few at once, within [`PATIENCE`].
async fn accept_loop<L: Listen, F>(
    listener: L,
    mut stop: watch::Receiver<bool>,
    serve: impl Fn(L::Stream) -> F,
) where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let seats = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        // Never closed, so that there is a seat sooner or later.
        let Ok(seat) = Arc::clone(&seats).acquire_owned().await else { return };
        let accepted = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            accepted = listener.next() => accepted,
        };
        match accepted {
            Ok(stream) => {
                let served = timeout(PATIENCE, serve(stream));
                tokio::spawn(async move {
                    match served.await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => debug!(%error, "connection of an operator"),
                        Err(_) => debug!("an operator's client was too slow"),
                    }
                    drop(seat);
                });
            }
            Err(error) => {
                warn!(%error, "cannot accept connections of operators");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// One command and its answer.
async fn converse(stream: &UnixStream, control: &Control) -> io::Result<()> {
    let reply = match line::read(stream).await {
        Ok(words) => {
            let words: Vec<_> = words.iter().map(String::as_str).collect();
            info!(command = words.join(" "), "control");
            match commands::run(&words, control) {
                Outcome::Text(text) => text,
                Outcome::Reload { keep_cache } => reload(keep_cache, control).await,
                Outcome::Stop => {
                    write(stream, "ok\n").await?;
                    // Whoever receives it is ending already if it cannot be sent.
                    let _ = control.orders.send(Order::Stop);
                    return Ok(());
                }
            }
        }
        Err(LineError::Version) => "error version mismatch\n".to_owned(),
        Err(LineError::TooLong) => "error command line too long\n".to_owned(),
        // Not our protocol: nothing is said, as in Unbound.
        Err(LineError::NoMagic) => return Ok(()),
        Err(LineError::Io(error)) => return Err(error),
    };
    write(stream, &reply).await
}

async fn reload(keep_cache: bool, control: &Control) -> String {
    let (done, told) = oneshot::channel();
    let sent = control.orders.send(Order::Reload { keep_cache, done }).is_ok();
    match sent && told.await.unwrap_or(false) {
        true => "ok\n".to_owned(),
        false => "error reload failed, the running configuration stays in force; see the log\n"
            .to_owned(),
    }
}

async fn write(stream: &UnixStream, text: &str) -> io::Result<()> {
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        stream.writable().await?;
        match stream.try_write(rest) {
            Ok(len) => rest = rest.get(len..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
