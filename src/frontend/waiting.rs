//! Clients that wait for an answer: how many there may be, and who has to go.
//!
//! Questions in flight are bounded by the mesh (`num-queries-per-thread`); for each of them 16
//! clients may wait on average, as in Unbound. When all places are taken, whoever has waited longest goes without an answer if that is longer than `jostle-timeout`; else the new
//! one does. So a flood of slow questions cannot shut out quick ones, nor quick ones each other.
//! One address may have `wait-limit` clients (DNSBomb, CVE-2024-33655).

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::clock::Mono;
use crate::config::Config;

/// Clients that may wait for each question that may be in flight.
const CLIENTS_PER_QUESTION: usize = 16;

/// The clients of one worker that wait.
#[derive(Default)]
pub struct Waiting {
    /// In the order they came.
    list: RefCell<BTreeMap<u64, Entry>>,
    by_client: RefCell<HashMap<IpAddr, u32>>,
    next: Cell<u64>,
    empty: Notify,
}

struct Entry {
    client: IpAddr,
    since: Mono,
    task: Option<AbortHandle>,
}

/// Why a client cannot wait.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Full {
    /// All places are taken by clients that came just now.
    Everywhere,
    /// This address has all the places it may have.
    Client,
}

/// A place in the list; leaves it when dropped.
pub struct Place {
    waiting: Rc<Waiting>,
    number: u64,
}

impl Waiting {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.list.borrow().len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends when nobody waits.
    pub async fn emptied(&self) {
        while !self.is_empty() {
            self.empty.notified().await;
        }
    }

    /// Takes a place; says whether somebody had to leave one. `proven`: the client has shown a valid
    /// cookie.
    ///
    /// # Errors
    ///
    /// [`Full`] when there is none.
    pub fn enter(
        self: &Rc<Self>,
        client: IpAddr,
        proven: bool,
        config: &Config,
        now: Mono,
    ) -> Result<(Place, bool), Full> {
        let count = self.by_client.borrow().get(&client).copied().unwrap_or(0);
        if limit_of(client, proven, config).is_some_and(|limit| count >= limit) {
            return Err(Full::Client);
        }
        let most = config.num_queries_per_thread.saturating_mul(CLIENTS_PER_QUESTION);
        let full = self.len() >= most;
        if full && !self.jostle(Duration::from_millis(config.jostle_timeout.into()), now) {
            return Err(Full::Everywhere);
        }
        let number = self.next.get();
        self.next.set(number + 1);
        self.list.borrow_mut().insert(number, Entry { client, since: now, task: None });
        *self.by_client.borrow_mut().entry(client).or_default() += 1;
        Ok((Place { waiting: Rc::clone(self), number }, full))
    }

    /// Sends the one away who has waited longest, if that is longer than `least`.
    fn jostle(&self, least: Duration, now: Mono) -> bool {
        let oldest = self.list.borrow().first_key_value().map(|(n, entry)| (*n, entry.since));
        match oldest {
            Some((number, since)) if now.since(since) > least => {
                if let Some(task) = self.leave(number) {
                    task.abort();
                }
                true
            }
            _ => false,
        }
    }

    /// Takes somebody off the list; the task that serves them.
    fn leave(&self, number: u64) -> Option<AbortHandle> {
        let entry = self.list.borrow_mut().remove(&number)?;
        let mut by_client = self.by_client.borrow_mut();
        if let Some(count) = by_client.get_mut(&entry.client) {
            *count -= 1;
            if *count == 0 {
                by_client.remove(&entry.client);
            }
        }
        if self.list.borrow().is_empty() {
            self.empty.notify_waiters();
        }
        entry.task
    }
}

impl Place {
    /// Says which task to end when somebody else needs the place.
    pub fn served_by(waiting: &Waiting, number: u64, task: AbortHandle) {
        if let Some(entry) = waiting.list.borrow_mut().get_mut(&number) {
            entry.task = Some(task);
        }
    }

    /// Names the place; see [`Place::served_by`].
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.waiting.leave(self.number);
    }
}

/// How many places an address may have; None: any number. The most specific block of
/// `wait-limit-netblock:` counts, or of `wait-limit-cookie-netblock:` for whoever has `proven` its
/// address by a cookie.
fn limit_of(client: IpAddr, proven: bool, config: &Config) -> Option<u32> {
    let (blocks, otherwise) = match proven {
        true => (&config.wait_limit_cookie_netblock, config.wait_limit_cookie),
        false => (&config.wait_limit_netblock, config.wait_limit),
    };
    let block = blocks.iter().filter(|(block, _)| block.contains(client));
    match block.max_by_key(|(block, _)| block.prefix()) {
        Some((_, limit)) => *limit,
        None => Some(otherwise).filter(|limit| *limit > 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn at(millis: u64) -> Mono {
        Mono::from_micros(millis * 1000)
    }

    #[test]
    fn whoever_waited_longest_goes_first_but_not_before_the_jostle_timeout() {
        let config = Config { num_queries_per_thread: 2, ..Config::default() };
        let config = Config { wait_limit: 0, ..config };
        let waiting = Rc::new(Waiting::default());
        let enter = |millis| waiting.enter(A, false, &config, at(millis));
        let (first, left) = enter(0).ok().unwrap();
        assert!(!left);
        let (second, _) = enter(100).ok().unwrap();
        let others: Vec<_> =
            (0..30).map(|_| waiting.enter(B, false, &config, at(150)).ok()).collect();
        assert_eq!(enter(200).err(), Some(Full::Everywhere), "200 ms is not longer than 200 ms");
        let (third, left) = enter(201).ok().unwrap();
        assert!(left && waiting.len() == 32);
        drop(first);
        assert_eq!(waiting.len(), 32, "it had gone already");
        drop((second, third, others));
        assert!(waiting.is_empty() && waiting.by_client.borrow().is_empty());
    }

    #[test]
    fn an_address_has_its_limit() {
        let config = Config {
            wait_limit: 1,
            wait_limit_netblock: vec![("192.0.2.2/32".parse().unwrap(), None)],
            ..Config::default()
        };
        let waiting = Rc::new(Waiting::default());
        let enter = |client| waiting.enter(client, false, &config, at(0));
        let place = enter(A).ok().unwrap();
        assert_eq!(enter(A).err(), Some(Full::Client));
        let others: Vec<_> = (0..5).map(|_| enter(B).ok().unwrap()).collect();
        drop(place);
        assert!(enter(A).is_ok());
        drop(others);
        assert!(waiting.enter(A, true, &config, at(0)).is_ok(), "a cookie has a limit of its own");
        let unlimited = Config { wait_limit: 0, ..Config::default() };
        let places: Vec<_> =
            (0..5).map(|_| waiting.enter(A, false, &unlimited, at(0)).ok()).collect();
        assert!(places.iter().all(Option::is_some));
    }

    #[tokio::test]
    async fn who_is_sent_away_is_served_no_longer() {
        let config = Config { num_queries_per_thread: 1, ..Config::default() };
        let waiting = Rc::new(Waiting::default());
        let local = tokio::task::LocalSet::new();
        local
            .run_until(async {
                let (place, _) = waiting.enter(A, false, &config, at(0)).ok().unwrap();
                let number = place.number();
                let task = tokio::task::spawn_local(async move {
                    let _place = place;
                    std::future::pending::<()>().await;
                });
                Place::served_by(&waiting, number, task.abort_handle());
                let enter = |millis| waiting.enter(B, false, &config, at(millis)).ok().unwrap();
                let others: Vec<_> = (0..15).map(|_| enter(1)).collect();
                let (other, left) = enter(1000);
                assert!(left);
                assert!(task.await.unwrap_err().is_cancelled());
                assert_eq!(waiting.len(), 16);
                drop((other, others));
                waiting.emptied().await;
            })
            .await;
    }
}
