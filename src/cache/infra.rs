//! What is known of servers: how fast, how reliable, what they understand.

use std::time::Duration;

use crate::clock::{Mono, Now, UnixTime};

/// What is known of one address as a server of one zone.
///
/// A copy, made by [`Cache::infra`](super::Cache::infra); changes go through
/// [`Cache::update_infra`](super::Cache::update_infra).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Server {
    /// Round-trip time.
    pub rtt: Rtt,
    /// Timeouts in a row.
    pub losses: u8,
    /// When the last timeout was noticed; meaningless without losses.
    pub last_loss: Mono,
    /// Whether it understands EDNS.
    pub edns: EdnsState,
    /// Until when it counts as lame: it answers, and not for this zone.
    pub lame_until: Option<UnixTime>,
    /// Until when it counts as one that serves the zone without signatures although the zone is
    /// signed.
    pub dnssec_lame_until: Option<UnixTime>,
    /// Bounds of timeouts.
    pub limits: RttLimits,
}

/// Whether a server understands EDNS (RFC 6891 §6.2.2).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum EdnsState {
    /// It has not answered a query with OPT yet.
    #[default]
    Unknown,
    /// It has answered with OPT.
    Works,
    /// It refuses queries with OPT; to be tried again after that moment.
    NoneUntil(UnixTime),
}

/// Estimate of a round-trip time (RFC 6298 §2), in milliseconds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Rtt {
    /// Smoothed time; `None` until there is a measurement.
    pub smoothed: Option<u32>,
    /// Mean deviation.
    pub variance: u32,
}

/// Bounds of timeouts, in milliseconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RttLimits {
    /// For a server nothing is known about (`unknown-server-time-limit`).
    pub unknown: u32,
    /// The least (`infra-cache-min-rtt`).
    pub min: u32,
    /// The most (`infra-cache-max-rtt`).
    pub max: u32,
}

impl Default for RttLimits {
    /// Unbound's numbers.
    fn default() -> Self {
        Self { unknown: 376, min: 50, max: 120_000 }
    }
}

impl Default for Server {
    /// A server nothing is known about.
    fn default() -> Self {
        Self {
            rtt: Rtt::default(),
            losses: 0,
            last_loss: Mono::ZERO,
            edns: EdnsState::Unknown,
            lame_until: None,
            dnssec_lame_until: None,
            limits: RttLimits::default(),
        }
    }
}

impl Server {
    /// Longest time a silent server is left alone.
    pub const MAX_PAUSE: Duration = Duration::from_secs(60);
    /// Losses in a row after which a server is left alone for a while.
    pub const LOSSES_BEFORE_PAUSE: u8 = 3;
    /// Seconds that a server counts as lame, or as one without EDNS.
    pub const JUDGED_FOR: u32 = 900;

    /// How long to wait for a reply from this server before asking another; within the bounds of
    /// [`RttLimits`]. Doubles with each loss in a row.
    ///
    /// # RFC
    ///
    /// RFC 6298 §2 for the estimate, §5.5 for the back-off. Differs on purpose from §2.4: the floor
    /// is 50 ms, not 1 s, as in Unbound.
    pub fn timeout(&self, now: Now) -> Duration {
        let base = match self.rtt.smoothed {
            Some(smoothed) => smoothed.saturating_add(self.rtt.variance.saturating_mul(4)),
            None => self.limits.unknown,
        };
        let base = base.max(self.limits.min);
        let factor = 1u32.checked_shl(self.losses_left(now).into()).unwrap_or(u32::MAX);
        let max = self.limits.max.max(self.limits.min);
        Duration::from_millis(base.saturating_mul(factor).min(max).into())
    }

    /// Losses in a row, less one for each [`Server::MAX_PAUSE`] since the last: a server that was
    /// away for a while is not punished for long.
    pub fn losses_left(&self, now: Now) -> u8 {
        let pauses = now.mono.since(self.last_loss).as_secs() / Self::MAX_PAUSE.as_secs();
        self.losses.saturating_sub(u8::try_from(pauses).unwrap_or(u8::MAX))
    }

    /// Whether the server has been silent too often to be asked now. When the pause is over, one
    /// query tells whether it is back; another loss makes the next pause twice as long.
    pub fn is_paused(&self, now: Now) -> bool {
        now.mono < self.pause_ends()
    }

    /// When a silent server may be asked again; in the past when it is not paused.
    pub fn pause_ends(&self) -> Mono {
        match self.losses.checked_sub(Self::LOSSES_BEFORE_PAUSE) {
            Some(more) => {
                let pause = Duration::from_secs(2) * (1 << more.min(8));
                self.last_loss + pause.min(Self::MAX_PAUSE)
            }
            None => Mono::ZERO,
        }
    }

    /// Whether it counts as lame.
    pub fn is_lame(&self, now: Now) -> bool {
        self.lame_until.is_some_and(|until| now.unix < until)
    }

    /// Whether it counts as one that leaves signatures out.
    pub fn is_dnssec_lame(&self, now: Now) -> bool {
        self.dnssec_lame_until.is_some_and(|until| now.unix < until)
    }

    /// Whether queries to it may have OPT.
    pub fn takes_edns(&self, now: Now) -> bool {
        !matches!(self.edns, EdnsState::NoneUntil(until) if now.unix < until)
    }

    /// A reply came, so long after its query.
    pub fn replied(&mut self, after: Duration) {
        self.rtt.measured(u32::try_from(after.as_millis()).unwrap_or(u32::MAX));
        self.losses = 0;
    }

    /// No reply came in time.
    pub fn lost(&mut self, now: Now) {
        self.losses = self.losses_left(now).saturating_add(1);
        self.last_loss = now.mono;
    }

    /// It answered, and is not authoritative for the zone.
    pub fn found_lame(&mut self, now: Now) {
        self.lame_until = Some(now.unix.plus(Self::JUDGED_FOR));
    }

    /// It answered without signatures although the zone is signed.
    pub fn found_dnssec_lame(&mut self, now: Now) {
        self.dnssec_lame_until = Some(now.unix.plus(Self::JUDGED_FOR));
    }

    /// It refuses queries with OPT. A server that has answered one before is believed to
    /// understand it: whatever this was, it is not that.
    pub fn found_without_edns(&mut self, now: Now) {
        if self.edns != EdnsState::Works {
            self.edns = EdnsState::NoneUntil(now.unix.plus(Self::JUDGED_FOR));
        }
    }
}

impl Rtt {
    /// Takes a measurement into the estimate.
    fn measured(&mut self, ms: u32) {
        match self.smoothed {
            None => {
                self.smoothed = Some(ms);
                self.variance = ms / 2;
            }
            Some(smoothed) => {
                let deviation = i64::from(ms.abs_diff(smoothed));
                let variance = i64::from(self.variance);
                let blend = |old: i64, new: i64, weight: i64| {
                    u32::try_from(old + (new - old) / weight).unwrap_or_default()
                };
                self.variance = blend(variance, deviation, 4);
                self.smoothed = Some(blend(smoothed.into(), ms.into(), 8));
            }
        }
    }
}
