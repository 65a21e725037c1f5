//! Time and randomness as arguments.
//!
//! Everything below `engine` is told what time it is and where randomness comes from, so that
//! every rule can be tested with simulated time. Only [`Now::system`] asks the system.

use std::fmt;
use std::ops::Add;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The source of ids, case patterns and choices: a CSPRNG, seeded by the kernel once per worker.
pub type Rng = rand::rngs::StdRng;

/// One moment on both clocks.
///
/// Deadlines and round-trip times are monotonic. TTLs and signatures go by the wall clock, since
/// the cache outlives the process and signatures are dates.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Now {
    /// For deadlines and round-trip times.
    pub mono: Mono,
    /// For TTLs and signatures.
    pub unix: UnixTime,
}

impl Now {
    /// A moment from its two parts, for tests and simulations.
    pub const fn new(mono: Mono, unix: UnixTime) -> Self {
        Self { mono, unix }
    }

    /// Asks the system for both clocks.
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system")]
    pub fn system() -> Self {
        static EPOCH: OnceLock<Instant> = OnceLock::new();
        let now = Instant::now();
        let since = now.saturating_duration_since(*EPOCH.get_or_init(|| now));
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { mono: Mono::ZERO + since, unix: UnixTime(unix.as_secs()) }
    }
}

/// Microseconds on the monotonic clock since the process began.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Mono(u64);

impl Mono {
    /// The moment the process began.
    pub const ZERO: Self = Self(0);

    /// A moment `micros` microseconds after the process began.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the process began.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Time passed since `earlier`; zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Mono {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(rhs.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// Seconds since 1970-01-01T00:00:00Z on the wall clock.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct UnixTime(pub u64);

impl UnixTime {
    /// The moment `seconds` later; saturates.
    pub const fn plus(self, seconds: u32) -> Self {
        Self(self.0.saturating_add(seconds as u64))
    }

    /// Whole seconds from `self` until `later`; zero when `later` has passed, at most `u32::MAX`.
    pub fn until(self, later: Self) -> u32 {
        u32::try_from(later.0.saturating_sub(self.0)).unwrap_or(u32::MAX)
    }

    /// The 32-bit date of an RRSIG: seconds modulo 2^32, compared by serial arithmetic
    /// (RFC 4034 §3.1.5).
    #[expect(clippy::cast_possible_truncation, reason = "modulo 2^32 is the definition")]
    pub const fn serial(self) -> u32 {
        self.0 as u32
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
