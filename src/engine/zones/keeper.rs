//! The driver of transfers: one task per zone with primaries, all in one worker.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::{JoinHandle, spawn_local};
use tracing::{debug, error, info, warn};

use super::alarm::Alarm;
use super::verify::{self, Verdict};
use crate::authority::transfer::{Action, Event, Known, Note, Refresher};
use crate::authority::{Copy, Entry, Zone, Zones};
use crate::clock::Now;
use crate::config::Config;
use crate::engine::{Ask, Engine};
use crate::state;
use crate::wire::{Name, Question, RecordType};

/// Announcements and orders that may wait.
const MAX_ORDERS: usize = 256;
/// Things that may wait for one zone: messages of the exchange under way, mostly.
const MAX_EVENTS: usize = 16;

/// What the keeper of copies is told.
#[derive(Clone, Debug)]
pub enum Order {
    /// A zone has changed (RFC 1996), or the operator wants it looked for.
    Notified {
        /// The zone.
        zone: Name,
        /// Who says so; none for the operator.
        from: Option<IpAddr>,
        /// The version that was announced.
        serial: Option<u32>,
    },
    /// The set of zones was swapped, or a copy was read anew.
    Reloaded,
    /// A zone may be due; see [`Keeper::rings`].
    Due,
}

/// Tells the keeper of copies. Clones tell the same one.
#[derive(Clone, Debug)]
pub struct Keeper {
    orders: Sender<Order>,
    alarm: Arc<Alarm>,
}

/// What the keeper is told, for the worker that keeps.
#[derive(Debug)]
pub struct Orders {
    receiver: Receiver<Order>,
    alarm: Arc<Alarm>,
}

impl Keeper {
    /// A keeper, and what it is told.
    pub fn new() -> (Self, Orders) {
        let (orders, receiver) = mpsc::channel(MAX_ORDERS);
        let alarm = Arc::<Alarm>::default();
        (Self { orders, alarm: Arc::clone(&alarm) }, Orders { receiver, alarm })
    }

    /// Tells; forgotten when too much waits already, which only delays what a timer does as well.
    pub fn tell(&self, order: Order) {
        if self.orders.try_send(order).is_err() {
            debug!("an order about copies of zones is lost");
        }
    }

    /// Returns when a zone is due, which the keeper is then to be [told](Order::Due).
    pub async fn rings(&self) {
        self.alarm.rings().await;
    }
}

impl Default for Keeper {
    /// One that nobody listens to.
    fn default() -> Self {
        Self::new().0
    }
}

/// Who has to know of a new version of a zone, besides those who ask.
pub type Observer = Rc<dyn Fn(&Name, &Zone)>;

/// Keeps the copies until the `LocalSet` ends. Must be called within one.
pub fn keep(
    engine: Engine,
    zones: Arc<ArcSwap<Zones>>,
    config: Arc<ArcSwap<Config>>,
    observer: Observer,
    orders: Orders,
) {
    spawn_local(async move {
        let Orders { mut receiver, alarm } = orders;
        let running = HashMap::new();
        let mut kept = Kept { engine, config, observer, alarm, running };
        kept.renew(&zones.load());
        while let Some(order) = receiver.recv().await {
            match order {
                Order::Reloaded => kept.renew(&zones.load()),
                Order::Due => kept.tick(),
                Order::Notified { zone, from, serial } => kept.notify(&zone, from, serial),
            }
        }
    });
}

/// The tasks of all zones.
struct Kept {
    engine: Engine,
    config: Arc<ArcSwap<Config>>,
    observer: Observer,
    alarm: Arc<Alarm>,
    /// By address of the entry, which the task holds.
    running: HashMap<*const Entry, Running>,
}

struct Running {
    entry: Arc<Entry>,
    events: Sender<Happened>,
    task: JoinHandle<()>,
}

impl Kept {
    /// Starts what is new and ends what is gone.
    fn renew(&mut self, zones: &Zones) {
        let wanted: HashMap<*const Entry, &Arc<Entry>> =
            zones.iter().map(|entry| (Arc::as_ptr(entry), entry)).collect();
        self.running.retain(|key, running| {
            let stays = wanted.contains_key(key);
            if !stays {
                running.task.abort();
                self.alarm.set(number(&running.entry), None);
            }
            stays
        });
        for (key, entry) in wanted {
            if entry.copy().unproven {
                spawn_local(prove(
                    self.engine.clone(),
                    Arc::clone(&self.config),
                    Arc::clone(entry),
                ));
            }
            if self.running.contains_key(&key) || entry.config().source.primaries.is_empty() {
                continue;
            }
            let (events, happened) = mpsc::channel(MAX_EVENTS);
            let driver = Driver {
                engine: self.engine.clone(),
                config: Arc::clone(&self.config),
                entry: Arc::clone(entry),
                events: events.clone(),
                observer: Rc::clone(&self.observer),
                alarm: Arc::clone(&self.alarm),
                exchange: 0,
                talking: None,
            };
            let task = spawn_local(driver.run(happened));
            self.running.insert(key, Running { entry: Arc::clone(entry), events, task });
        }
    }

    fn tick(&self) {
        for running in self.running.values() {
            // When it is lost, the alarm rings again.
            let _ = running.events.try_send(Happened::Due);
        }
    }

    fn notify(&self, zone: &Name, from: Option<IpAddr>, serial: Option<u32>) {
        for running in self.running.values().filter(|running| running.entry.name() == zone) {
            // When it is lost, so much is going on there that the next look is not far.
            let _ = running.events.try_send(Happened::Notified { from, serial });
        }
    }
}

/// Finishes the check of a copy that was read from a file: asks for its chain of trust.
async fn prove(engine: Engine, config: Arc<ArcSwap<Config>>, entry: Arc<Entry>) {
    let copy = entry.copy();
    let Some(zone) = copy.zone.clone() else { return };
    let config = config.load_full();
    let permissive = config.zonemd_permissive_mode;
    let verdict = verify::fully(&engine, Arc::clone(&zone), entry.config().clone(), config).await;
    let now = entry.copy();
    if !now.zone.as_ref().is_some_and(|other| Arc::ptr_eq(other, &zone)) {
        return;
    }
    let rejected = match verdict {
        Verdict::Bad(reason) => {
            error!(zone = %entry.name(), reason, "the copy fails its check");
            !permissive
        }
        _ => false,
    };
    entry.store(Copy { unproven: false, rejected, ..Copy::clone(&now) });
}

/// Tells zones apart: the address of the entry.
fn number(entry: &Arc<Entry>) -> usize {
    Arc::as_ptr(entry).addr()
}

/// What happens to one zone.
enum Happened {
    Due,
    Notified { from: Option<IpAddr>, serial: Option<u32> },
    Found { host: Name, addresses: Vec<IpAddr> },
    Message { exchange: u64, bytes: Vec<u8> },
    Broken { exchange: u64 },
    Checked { zone: Arc<Zone>, verdict: Verdict },
}

/// Performs what the [`Refresher`] of one zone wants.
struct Driver {
    engine: Engine,
    config: Arc<ArcSwap<Config>>,
    entry: Arc<Entry>,
    events: Sender<Happened>,
    observer: Observer,
    alarm: Arc<Alarm>,
    exchange: u64,
    talking: Option<Talking>,
}

/// An exchange under way; it ends when dropped.
struct Talking(JoinHandle<()>);

impl Drop for Talking {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Driver {
    async fn run(mut self, mut happened: Receiver<Happened>) {
        let source = self.entry.config().source.clone();
        let mut refresher = Refresher::new(source, &self.known(), Now::system());
        self.feed(&mut refresher, Event::Tick);
        loop {
            let waits = refresher.is_waiting();
            let due = refresher.deadline();
            self.alarm.set(number(&self.entry), due.filter(|_| waits));
            let left = match due.filter(|_| !waits) {
                // A timer that fires early finds nothing due; a millisecond more is never early.
                Some(due) => due.since(Now::system().mono) + Duration::from_millis(1),
                None => Duration::from_secs(3_600),
            };
            let what = tokio::select! {
                biased;
                what = happened.recv() => what,
                () = tokio::time::sleep(left) => {
                    self.feed(&mut refresher, Event::Tick);
                    continue;
                }
            };
            match what {
                None => return,
                Some(what) => self.on(what, &mut refresher),
            }
        }
    }

    fn on(&mut self, what: Happened, refresher: &mut Refresher) {
        match what {
            Happened::Due => self.feed(refresher, Event::Tick),
            Happened::Notified { from, serial } => {
                self.feed(refresher, Event::Notified { from, serial });
                self.feed(refresher, Event::Tick);
            }
            Happened::Found { host, addresses } => {
                self.entry.add_notifiers(&addresses);
                self.feed(refresher, Event::Found { host: &host, addresses: &addresses });
            }
            Happened::Message { exchange, bytes } if exchange == self.exchange => {
                self.feed(refresher, Event::Message(&bytes));
            }
            Happened::Broken { exchange } if exchange == self.exchange => {
                self.talking = None;
                self.feed(refresher, Event::Broken);
            }
            // Of an exchange that was given up.
            Happened::Message { .. } | Happened::Broken { .. } => {}
            Happened::Checked { zone, verdict } => {
                let accepted = self.checked(zone, verdict);
                self.feed(refresher, Event::Checked { accepted });
            }
        }
    }

    fn known(&self) -> Known {
        let copy = self.entry.copy();
        let expired = copy.expires.is_some_and(|end| end <= Now::system().unix);
        Known { zone: copy.zone.clone().filter(|_| !copy.rejected), expired }
    }

    fn feed(&mut self, refresher: &mut Refresher, event: Event<'_>) {
        let engine = self.engine.clone();
        refresher.handle(event, &self.known(), Now::system(), &mut engine.0.rng.borrow_mut());
        while let Some(action) = refresher.poll() {
            self.perform(action);
        }
    }

    fn perform(&mut self, action: Action) {
        let zone = self.entry.name();
        match action {
            Action::LookUp(host) => {
                spawn_local(look_up(self.engine.clone(), host, self.events.clone()));
            }
            Action::Ask { server, stream, query } => {
                self.exchange += 1;
                let exchange = self.exchange;
                let (engine, events) = (self.engine.clone(), self.events.clone());
                let talk = talk(engine, server, stream, query, exchange, events);
                self.talking = Some(Talking(spawn_local(talk)));
            }
            Action::Close => {
                self.exchange += 1;
                self.talking = None;
            }
            Action::Confirm => self.confirm(),
            Action::Check(new) => {
                let new = Arc::from(new);
                spawn_local(check(
                    self.engine.clone(),
                    new,
                    Arc::clone(&self.entry),
                    self.config.load_full(),
                    self.events.clone(),
                ));
            }
            Action::Note(Note::Failed { server, error }) => {
                warn!(%zone, %server, %error, "zone not transferred");
            }
            Action::Note(Note::Silent { server }) => {
                info!(%zone, %server, "no answer from a primary");
            }
            Action::Note(Note::Nobody { retry }) => {
                warn!(%zone, retry, "no primary brought the zone");
            }
        }
    }

    /// The copy is what a primary has: its time begins anew.
    fn confirm(&self) {
        let copy = self.entry.copy();
        let Some(expire) = copy.zone.as_ref().and_then(|zone| zone.soa()).map(|soa| soa.expire)
        else {
            return;
        };
        let now = Now::system().unix;
        let expires = Some(now.plus(expire));
        self.entry.store(Copy { expires, confirmed: now, ..Copy::clone(&copy) });
    }

    /// Uses a new version that passed its check; whether it is used.
    fn checked(&self, zone: Arc<Zone>, verdict: Verdict) -> bool {
        let name = self.entry.name();
        if let Verdict::Bad(reason) = verdict {
            if !self.config.load().zonemd_permissive_mode {
                error!(zone = %name, reason, "the new version fails its check and is not used");
                return false;
            }
            warn!(zone = %name, reason, "used all the same, as zonemd-permissive-mode says");
        }
        let now = Now::system().unix;
        let expires = Some(now.plus(zone.soa().map_or(0, |soa| soa.expire)));
        info!(zone = %name, serial = zone.serial(), records = zone.records(), "new version of a zone");
        let (rejected, unproven) = (false, false);
        (self.observer)(name, &zone);
        let kept = Some(Arc::clone(&zone));
        self.entry.store(Copy { zone: kept, expires, confirmed: now, rejected, unproven });
        if let Some(path) = self.entry.config().source.zonefile.clone() {
            tokio::task::spawn_blocking(move || write(&path, &zone));
        }
        true
    }
}

/// Keeps a version in its file, for the next start.
fn write(path: &Path, zone: &Zone) {
    if let Err(error) = state::replace(path, zone.to_text().as_bytes()) {
        error!(zone = %zone.apex(), %error, "the zone is not kept in its file");
    }
}

async fn check(
    engine: Engine,
    zone: Arc<Zone>,
    entry: Arc<Entry>,
    config: Arc<Config>,
    events: Sender<Happened>,
) {
    let verdict = verify::fully(&engine, Arc::clone(&zone), entry.config().clone(), config).await;
    // When nobody listens any more, the zone is gone from the configuration.
    let _ = events.send(Happened::Checked { zone, verdict }).await;
}

/// The addresses of a name, as the resolver itself finds them.
async fn look_up(engine: Engine, host: Name, events: Sender<Happened>) {
    let mut addresses = Vec::new();
    for rtype in [RecordType::A, RecordType::AAAA] {
        let question = Question::new(host.clone(), rtype);
        let ask = Ask::plain(question, false);
        let answer = engine.resolve(ask).await;
        if answer.status != crate::status::SecurityStatus::Bogus
            && let Some(rrset) = answer.rrset()
        {
            addresses.extend(rrset.rdata.iter().filter_map(|rdata| rdata.as_ip()));
        }
    }
    let _ = events.send(Happened::Found { host, addresses }).await;
}

/// One exchange: sends the query and hands over whatever comes back.
async fn talk(
    engine: Engine,
    server: SocketAddr,
    stream: bool,
    query: Vec<u8>,
    exchange: u64,
    events: Sender<Happened>,
) {
    let tell = |bytes: Vec<u8>| {
        let events = events.clone();
        async move {
            // When the channel is full, the stream waits: that is what bounds memory.
            let _ = events.send(Happened::Message { exchange, bytes }).await;
        }
    };
    if let Err(error) = engine.talk(server, stream, &query, tell).await {
        debug!(%server, %error, "exchange about a zone ended");
        let _ = events.send(Happened::Broken { exchange }).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keeper_nobody_listens_to_does_no_harm() {
        Keeper::default().tell(Order::Reloaded);
        let (keeper, mut orders) = Keeper::new();
        for _ in 0..2 * MAX_ORDERS {
            keeper.tell(Order::Reloaded);
        }
        let waiting = std::iter::from_fn(|| orders.receiver.try_recv().ok()).count();
        assert_eq!(waiting, MAX_ORDERS);
    }
}
