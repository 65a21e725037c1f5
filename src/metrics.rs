//! Counters: what happened, per worker, cheap enough for the path of a hit.
//!
//! Each worker writes counters of its own and nobody else does, so counting is an addition without
//! a bus lock. Readers (the control socket, the metrics page) add the workers up; a number they see
//! may be a moment old. Names are those of Unbound's statistics, byte for byte, because exporters
//! read them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::status::SecurityStatus;
use crate::wire::{Rcode, RecordType};

macro_rules! stats {
    ($($(#[$doc:meta])* $name:ident $text:literal),* $(,)?) => {
        /// One thing that is counted.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Stat { $($(#[$doc])* $name),* }

        impl Stat {
            /// Every statistic, in the order they are shown.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Its name in Unbound's statistics, without the worker.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }
        }
    };
}

stats! {
    /// Queries from clients, whatever became of them.
    Queries "num.queries",
    /// Queries over their rate; always zero, as there is no such limit yet.
    RateLimited "num.queries_ip_ratelimited",
    /// Queries with a valid server cookie.
    CookieValid "num.queries_cookie_valid",
    /// Queries with just a client cookie.
    CookieClient "num.queries_cookie_client",
    /// Queries with a wrong server cookie.
    CookieInvalid "num.queries_cookie_invalid",
    /// Answers that came too late to be sent.
    Discarded "num.queries_discard_timeout",
    /// Queries dropped because their address waits for too many answers.
    WaitLimited "num.queries_wait_limit",
    /// Answered from the cache.
    CacheHits "num.cachehits",
    /// Not answered from the cache.
    CacheMisses "num.cachemiss",
    /// Answers fetched anew before they expired.
    Prefetched "num.prefetch",
    /// Queries that lay in the socket's buffer for too long.
    TimedOut "num.queries_timed_out",
    /// Answered with expired data.
    Expired "num.expired",
    /// Answers that needed recursion.
    RecursiveReplies "num.recursivereplies",
    /// Questions given up because others needed their places.
    ListOverwritten "requestlist.overwritten",
    /// Queries dropped because there was no place for their questions.
    ListExceeded "requestlist.exceeded",
    /// Queries over TCP.
    Tcp "num.query.tcp",
    /// Upstream queries over TCP.
    TcpOut "num.query.tcpout",
    /// Upstream queries over UDP.
    UdpOut "num.query.udpout",
    /// Queries over IPv6.
    Ipv6 "num.query.ipv6",
    /// Queries with EDNS.
    EdnsPresent "num.query.edns.present",
    /// Queries with DO.
    EdnsDo "num.query.edns.DO",
    /// Queries with RD.
    FlagRd "num.query.flags.RD",
    /// Queries with AD.
    FlagAd "num.query.flags.AD",
    /// Queries with CD.
    FlagCd "num.query.flags.CD",
    /// Queries of opcode QUERY.
    OpcodeQuery "num.query.opcode.QUERY",
    /// Queries of class IN.
    ClassIn "num.query.class.IN",
    /// NOERROR without the type asked for.
    NoData "num.answer.rcode.nodata",
    /// Answers with AD, or that would have it.
    Secure "num.answer.secure",
    /// Answers that failed validation.
    Bogus "num.answer.bogus",
    /// RRsets that failed validation.
    RrsetBogus "num.rrset.bogus",
    /// Queries refused or dropped by `access-control`.
    UnwantedQueries "unwanted.queries",
    /// Datagrams from servers that answer nothing.
    UnwantedReplies "unwanted.replies",
}

macro_rules! gauges {
    ($($(#[$doc:meta])* $name:ident $text:literal),* $(,)?) => {
        /// A number that goes up and down.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Gauge { $($(#[$doc])* $name),* }

        impl Gauge {
            /// Every gauge.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Its name in Unbound's statistics.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }
        }
    };
}

gauges! {
    /// Questions in flight, those that others need included.
    ListAll "requestlist.current.all",
    /// Questions in flight that clients wait for.
    ListUser "requestlist.current.user",
    /// Clients waiting.
    ListReplies "requestlist.current.replies",
    /// Client connections over TCP.
    TcpUsage "tcpusage",
}

const STATS: usize = Stat::ALL.len();
const GAUGES: usize = Gauge::ALL.len();
/// Response codes counted one by one: those of RFC 6895 up to BADCOOKIE.
const RCODES: usize = 24;
/// Record types counted one by one; the last place is for all others.
const TYPES: usize = 259;
/// Buckets of the histogram of recursion times: powers of two of a microsecond, as Unbound's.
const BUCKETS: usize = 40;

/// What one worker counted. Only that worker writes it.
#[repr(align(128))]
pub struct Counters {
    stats: [AtomicU64; STATS],
    gauges: [AtomicU64; GAUGES],
    rcodes: [AtomicU64; RCODES],
    types: [AtomicU64; TYPES],
    times: [AtomicU64; BUCKETS],
    time_sum: AtomicU64,
    list_max: AtomicU64,
    list_sum: AtomicU64,
    list_samples: AtomicU64,
}

/// Adds without a bus lock: there is one writer.
fn bump(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(by), Relaxed);
}

fn zeros<const N: usize>() -> [AtomicU64; N] {
    std::array::from_fn(|_| AtomicU64::new(0))
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            stats: zeros(),
            gauges: zeros(),
            rcodes: zeros(),
            types: zeros(),
            times: zeros(),
            time_sum: AtomicU64::new(0),
            list_max: AtomicU64::new(0),
            list_sum: AtomicU64::new(0),
            list_samples: AtomicU64::new(0),
        }
    }
}

impl Counters {
    /// Counts one more.
    pub fn add(&self, stat: Stat) {
        bump(&self.stats[stat as usize], 1);
    }

    /// Counts so many more.
    pub fn add_many(&self, stat: Stat, count: u64) {
        if count > 0 {
            bump(&self.stats[stat as usize], count);
        }
    }

    /// Counts one more when `condition` holds.
    pub fn add_if(&self, condition: bool, stat: Stat) {
        bump(&self.stats[stat as usize], condition.into());
    }

    /// Counts a query of that type.
    pub fn query_type(&self, rtype: RecordType) {
        bump(&self.types[usize::from(rtype.0).min(TYPES - 1)], 1);
    }

    /// Counts an answer with that response code; codes above 23 are not told apart.
    pub fn answer(&self, rcode: Rcode) {
        bump(&self.rcodes[usize::from(rcode.0).min(RCODES - 1)], 1);
    }

    /// Counts what validation said of an answer.
    pub fn status(&self, status: SecurityStatus) {
        self.add_if(status == SecurityStatus::Secure, Stat::Secure);
        self.add_if(status == SecurityStatus::Bogus, Stat::Bogus);
    }

    /// Counts an answer that took `time` to resolve.
    pub fn recursion(&self, time: Duration) {
        self.add(Stat::RecursiveReplies);
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = (u64::BITS - micros.leading_zeros()) as usize;
        bump(&self.times[bucket.min(BUCKETS - 1)], 1);
        bump(&self.time_sum, micros);
    }

    /// Changes a gauge; it stops at zero.
    pub fn gauge(&self, gauge: Gauge, by: i64) {
        let cell = &self.gauges[gauge as usize];
        cell.store(cell.load(Relaxed).saturating_add_signed(by), Relaxed);
    }

    /// Sets a gauge.
    pub fn set_gauge(&self, gauge: Gauge, value: usize) {
        self.gauges[gauge as usize].store(value as u64, Relaxed);
    }

    /// A client begins to wait while `waiting` questions are in flight.
    pub fn list_length(&self, waiting: usize) {
        let waiting = waiting as u64;
        if waiting > self.list_max.load(Relaxed) {
            self.list_max.store(waiting, Relaxed);
        }
        bump(&self.list_sum, waiting);
        bump(&self.list_samples, 1);
    }

    fn read(&self) -> Snapshot {
        Snapshot {
            stats: read(&self.stats),
            gauges: read(&self.gauges),
            rcodes: read(&self.rcodes),
            types: read(&self.types),
            times: read(&self.times),
            time_sum: self.time_sum.load(Relaxed),
            list_max: self.list_max.load(Relaxed),
            list_sum: self.list_sum.load(Relaxed),
            list_samples: self.list_samples.load(Relaxed),
        }
    }
}

fn read<const N: usize>(cells: &[AtomicU64; N]) -> [u64; N] {
    std::array::from_fn(|i| cells[i].load(Relaxed))
}

/// Counters as they were at one moment, of one worker or added up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Snapshot {
    stats: [u64; STATS],
    gauges: [u64; GAUGES],
    rcodes: [u64; RCODES],
    types: [u64; TYPES],
    times: [u64; BUCKETS],
    time_sum: u64,
    list_max: u64,
    list_sum: u64,
    list_samples: u64,
}

impl Snapshot {
    /// Nothing counted.
    pub const ZERO: Self = Self {
        stats: [0; STATS],
        gauges: [0; GAUGES],
        rcodes: [0; RCODES],
        types: [0; TYPES],
        times: [0; BUCKETS],
        time_sum: 0,
        list_max: 0,
        list_sum: 0,
        list_samples: 0,
    };

    /// How often that happened.
    pub fn get(&self, stat: Stat) -> u64 {
        self.stats[stat as usize]
    }

    /// The gauge's value.
    pub fn gauge(&self, gauge: Gauge) -> u64 {
        self.gauges[gauge as usize]
    }

    /// Response codes that occurred, with how often.
    pub fn rcodes(&self) -> impl Iterator<Item = (Rcode, u64)> {
        (0u16..).map(Rcode).zip(self.rcodes)
    }

    /// Query types that occurred, with how often; None: all types without a place of their own.
    pub fn types(&self) -> impl Iterator<Item = (Option<RecordType>, u64)> {
        let numbers = (0u16..).map(|n| (usize::from(n) < TYPES - 1).then_some(RecordType(n)));
        numbers.zip(self.types).filter(|(_, count)| *count > 0)
    }

    /// The histogram of recursion times: lower and upper bound in microseconds, and how often.
    pub fn times(&self) -> impl Iterator<Item = (u64, u64, u64)> {
        (0u32..)
            .map(|bucket| (if bucket == 0 { 0 } else { 1 << (bucket - 1) }, 1u64 << bucket))
            .zip(self.times)
            .map(|((low, high), count)| (low, high, count))
    }

    /// All recursion times together.
    pub fn time_sum(&self) -> Duration {
        Duration::from_micros(self.time_sum)
    }

    /// Mean recursion time.
    pub fn time_average(&self) -> Duration {
        let count: u64 = self.times.iter().sum();
        Duration::from_micros(self.time_sum.checked_div(count).unwrap_or(0))
    }

    /// Median recursion time, within its bucket by linear interpolation.
    pub fn time_median(&self) -> Duration {
        let count: u64 = self.times.iter().sum();
        let mut before = 0;
        for (low, high, here) in self.times() {
            if here > 0 && (before + here) * 2 >= count {
                let into = (count / 2).saturating_sub(before).min(here);
                return Duration::from_micros(low + (high - low) / here * into);
            }
            before += here;
        }
        Duration::ZERO
    }

    /// Most questions that were in flight when a client began to wait.
    pub fn list_max(&self) -> u64 {
        self.list_max
    }

    /// How many questions were in flight on average when a client began to wait.
    #[expect(clippy::cast_precision_loss, reason = "a mean to show")]
    pub fn list_average(&self) -> f64 {
        if self.list_samples == 0 { 0.0 } else { self.list_sum as f64 / self.list_samples as f64 }
    }

    /// Adds what another worker counted.
    pub fn plus(&mut self, other: &Self) {
        self.combine(other, u64::wrapping_add);
        for (mine, theirs) in self.gauges.iter_mut().zip(other.gauges) {
            *mine += theirs;
        }
        self.list_max = self.list_max.max(other.list_max);
    }

    /// What was counted since `earlier`; gauges stay as they are.
    #[must_use]
    pub fn since(mut self, earlier: &Self) -> Self {
        self.combine(earlier, u64::wrapping_sub);
        self
    }

    fn combine(&mut self, other: &Self, f: impl Fn(u64, u64) -> u64) {
        let mine = (self.stats.iter_mut())
            .chain(&mut self.rcodes)
            .chain(&mut self.types)
            .chain(&mut self.times)
            .chain([&mut self.time_sum, &mut self.list_sum, &mut self.list_samples]);
        let theirs = (other.stats.iter())
            .chain(&other.rcodes)
            .chain(&other.types)
            .chain(&other.times)
            .chain([&other.time_sum, &other.list_sum, &other.list_samples]);
        for (a, b) in mine.zip(theirs) {
            *a = f(*a, *b);
        }
    }
}

/// The counters of all workers.
pub struct Metrics {
    workers: Box<[Counters]>,
    /// What was shown when statistics were last reset, by worker.
    shown: Mutex<Vec<Snapshot>>,
}

impl Metrics {
    /// Counters for so many workers (at least one), all zero.
    pub fn new(workers: usize) -> Self {
        let workers = workers.max(1);
        Self {
            workers: (0..workers).map(|_| Counters::default()).collect(),
            shown: Mutex::new(vec![Snapshot::ZERO; workers]),
        }
    }

    /// The counters of worker `index`, counted from 0; the last one's when there are fewer.
    pub fn worker(&self, index: usize) -> &Counters {
        &self.workers[index.min(self.workers.len() - 1)]
    }

    /// What each worker counted since the process began.
    pub fn totals(&self) -> Vec<Snapshot> {
        self.workers.iter().map(Counters::read).collect()
    }

    /// What each worker counted since the last reset. With `reset` the next ones count from now.
    pub fn recent(&self, reset: bool) -> Vec<Snapshot> {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.totals();
        let recent = now.iter().cloned().zip(&*shown).map(|(now, then)| now.since(then)).collect();
        if reset {
            *shown = now;
        }
        recent
    }

    /// Adds up what workers counted.
    pub fn sum(snapshots: &[Snapshot]) -> Snapshot {
        let mut sum = Snapshot::ZERO;
        for snapshot in snapshots {
            sum.plus(snapshot);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_add_up_and_a_reset_counts_from_there() {
        let metrics = Metrics::new(2);
        metrics.worker(0).add(Stat::Queries);
        metrics.worker(1).add(Stat::Queries);
        metrics.worker(1).answer(Rcode::NXDOMAIN);
        metrics.worker(1).answer(Rcode(4000));
        metrics.worker(0).query_type(RecordType::A);
        metrics.worker(0).query_type(RecordType(65_280));
        metrics.worker(0).gauge(Gauge::TcpUsage, 2);
        metrics.worker(0).gauge(Gauge::TcpUsage, -3);
        metrics.worker(1).gauge(Gauge::TcpUsage, 1);

        let sum = Metrics::sum(&metrics.recent(true));
        assert_eq!(sum.get(Stat::Queries), 2);
        assert_eq!(sum.gauge(Gauge::TcpUsage), 1);
        let rcodes: Vec<_> = sum.rcodes().filter(|(_, count)| *count > 0).collect();
        assert_eq!(rcodes, [(Rcode::NXDOMAIN, 1), (Rcode(23), 1)]);
        let types: Vec<_> = sum.types().collect();
        assert_eq!(types, [(Some(RecordType::A), 1), (None, 1)]);

        metrics.worker(0).add(Stat::Queries);
        assert_eq!(Metrics::sum(&metrics.recent(false)).get(Stat::Queries), 1);
        assert_eq!(Metrics::sum(&metrics.totals()).get(Stat::Queries), 3);
    }

    #[test]
    fn times_go_into_buckets_of_powers_of_two() {
        let counters = Counters::default();
        assert_eq!(counters.read().time_median(), Duration::ZERO);
        for micros in [0, 1, 3, 1000, 1000, 1000, u64::MAX] {
            counters.recursion(Duration::from_micros(micros));
        }
        let read = counters.read();
        let filled: Vec<_> = read.times().filter(|(.., count)| *count > 0).collect();
        assert_eq!(
            filled,
            [(0, 1, 1), (1, 2, 1), (2, 4, 1), (512, 1024, 3), (1 << 38, 1 << 39, 1)]
        );
        let median = read.time_median();
        assert!((512..=1024).contains(&median.as_micros()), "{median:?}");
        assert_eq!(read.get(Stat::RecursiveReplies), 7);
    }

    #[test]
    fn the_list_of_waiting_clients_is_averaged() {
        let counters = Counters::default();
        for waiting in [0, 4, 2] {
            counters.list_length(waiting);
        }
        let read = counters.read();
        assert_eq!(read.list_max(), 4);
        assert!((read.list_average() - 2.0).abs() < 1e-9);
    }
}
