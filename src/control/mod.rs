//! Operators: the control protocol of Unbound, and metrics over HTTP.
//!
//! The real `unbound-control` talks to this. A command comes in one line, `UBCT1 command args`, over
//! a Unix socket that the service manager opened; its owner and mode say who may. Text is the
//! answer, and the connection ends.
//!
//! Connections are few, short and bounded: in number, in size, in time.

mod change;
pub mod client;
mod commands;
mod dump;
mod flush;
pub mod http;
mod line;
mod lists;
mod load;
mod local;
mod requests;
mod stats;
mod table;
#[cfg(test)]
mod tests;
mod zones;

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
use crate::clock::{Mono, Now};
use crate::config::{Config, Settings};
use crate::engine::Inquiry;
use crate::metrics::Metrics;
use crate::policy::Policy;
use crate::wire::Name;

use line::{LineError, Lines};
use load::Loader;
use table::{Args, Chunks, Run};
pub use table::{COMMANDS, Command};
pub use zones::ZoneError;

/// Connections at once; more wait in the socket.
const AT_ONCE: usize = 8;
/// What a client may take for a request over HTTP and for reading the answer.
const HTTP_PATIENCE: Duration = Duration::from_secs(10);
/// What a client may take in all: a large cache over a slow pipe is done by then.
const CONTROL_PATIENCE: Duration = Duration::from_secs(15 * 60);
/// Octets of items that may follow a command. Blocklists have a few million names.
const MOST_ITEMS: usize = 256 << 20;

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
    /// What commands change.
    pub running: Arc<dyn Running>,
    /// To each worker.
    pub workers: Vec<mpsc::Sender<Inquiry>>,
}

/// The process, as far as commands look at it and change it.
pub trait Running: Send + Sync {
    /// What was made of the configuration for clients.
    fn policy(&self) -> Arc<Policy>;

    /// Puts a configuration into force.
    fn put(&self, config: Config);

    /// A line for each zone of which there is a copy: its name, and its serial number or what is
    /// wrong with it.
    fn auth_zones(&self) -> Vec<String> {
        Vec::new()
    }

    /// Reads the file of a zone again.
    ///
    /// # Errors
    ///
    /// [`ZoneError`]; the copy in use stays.
    fn reload_zone(&self, _zone: &Name) -> Result<(), ZoneError> {
        Err(ZoneError::Unknown)
    }

    /// Begins to look for a newer copy at the primaries of a zone.
    ///
    /// # Errors
    ///
    /// [`ZoneError`] when there is no such zone or it has none.
    fn transfer_zone(&self, _zone: &Name) -> Result<(), ZoneError> {
        Err(ZoneError::Unknown)
    }

    /// Turns a response policy zone on or off.
    ///
    /// # Errors
    ///
    /// [`ZoneError`] when there is no such zone.
    fn enable_policy_zone(&self, _zone: &Name, _enabled: bool) -> Result<(), ZoneError> {
        Err(ZoneError::Unknown)
    }

    /// A line for each zone or client that asks more often than it may; with `all` for each that is
    /// counted.
    fn rates(&self, _of_clients: bool, _all: bool) -> Vec<String> {
        Vec::new()
    }
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
    accept_loop(listener, stop, CONTROL_PATIENCE, move |stream| {
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

/// Accepts connections and serves each, a few at once, within `patience`.
async fn accept_loop<L: Listen, F>(
    listener: L,
    mut stop: watch::Receiver<bool>,
    patience: Duration,
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
                let served = timeout(patience, serve(stream));
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
    let mut lines = Lines::new(stream);
    let line = match lines.command().await {
        Ok(line) => line,
        // Not our protocol: nothing is said, as in Unbound.
        Err(LineError::NoMagic) => return Ok(()),
        Err(LineError::Io(error)) => return Err(error),
        Err(LineError::Version) => return write(stream, "error version mismatch\n").await,
        Err(error @ LineError::TooLong(_)) => {
            write(stream, &format!("error command line too long: {error}\n")).await?;
            lines.drain(MOST_ITEMS).await;
            return Ok(());
        }
    };
    info!(command = line, "control");
    match commands::find(&line) {
        Err(error) => write(stream, &error).await,
        Ok((command, args)) => perform(stream, &mut lines, control, command, &args).await,
    }
}

async fn perform(
    stream: &UnixStream,
    lines: &mut Lines<'_>,
    control: &Control,
    command: &Command,
    args: &Args<'_>,
) -> io::Result<()> {
    let checked = args.check();
    // Data that comes with a command has to be read, whatever becomes of it.
    let reply = match (&command.run, checked) {
        (Run::Items(run), checked) => match items(lines).await {
            Ok(items) => match checked {
                Ok(()) => run(control, args, &items),
                Err(error) => error,
            },
            Err(error) => error,
        },
        (Run::LoadCache, Ok(())) => load_cache(lines, control).await,
        (_, Err(error)) => error,
        (Run::Text(run), Ok(())) => run(control, args),
        (Run::Chunks(run), Ok(())) => match run(control, args) {
            Ok(chunks) => return write_all(stream, chunks).await,
            Err(error) => error,
        },
        (Run::Reload { keep_cache }, Ok(())) => reload(*keep_cache, control).await,
        (Run::Requests, Ok(())) => requests::dump(control).await,
        (Run::DropRequests, Ok(())) => requests::drop_all(control).await,
        (Run::Stop, Ok(())) => {
            write(stream, "ok\n").await?;
            // Whoever receives it is ending already if it cannot be sent.
            let _ = control.orders.send(Order::Stop);
            return Ok(());
        }
    };
    write(stream, &reply).await
}

/// The items that follow a command, up to a line with EOT or the end.
async fn items(lines: &mut Lines<'_>) -> Result<Vec<String>, String> {
    let (mut items, mut octets) = (Vec::new(), 0);
    loop {
        match lines.data().await {
            Ok(None) => return Ok(items),
            Ok(Some(line)) if line.starts_with('\u{4}') => return Ok(items),
            Ok(Some(line)) => {
                octets += line.len() + size_of::<String>();
                if octets > MOST_ITEMS {
                    lines.drain(MOST_ITEMS).await;
                    return Err(format!("error more than {MOST_ITEMS} octets of items\n"));
                }
                items.push(line);
            }
            Err(error) => {
                lines.drain(MOST_ITEMS).await;
                return Err(format!("error after {} items: {error}\n", items.len()));
            }
        }
    }
}

async fn load_cache(lines: &mut Lines<'_>, control: &Control) -> String {
    let validates = control.config.load().validates();
    let mut loader = Loader::new(&control.cache, validates, Now::system());
    let mut count = 0u32;
    loop {
        let done = match lines.data().await {
            Ok(Some(line)) => loader.line(&line),
            Ok(None) => return loader.ended(),
            Err(error) => Err(format!("error {error}\n")),
        };
        match done {
            Ok(true) => return "ok\n".to_owned(),
            Ok(false) => {}
            Err(error) => {
                lines.drain(usize::MAX).await;
                return error;
            }
        }
        count += 1;
        if count.is_multiple_of(256) {
            // Signals and the watchdog have their turn during a long load.
            tokio::task::yield_now().await;
        }
    }
}

/// Writes an answer as it is made.
async fn write_all(stream: &UnixStream, chunks: Chunks) -> io::Result<()> {
    for chunk in chunks {
        write(stream, &chunk).await?;
        tokio::task::yield_now().await;
    }
    Ok(())
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
        timeout(line::PATIENCE, stream.writable()).await??;
        match stream.try_write(rest) {
            Ok(len) => rest = rest.get(len..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
