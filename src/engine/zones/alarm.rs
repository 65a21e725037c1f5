//! When the next zone is due, for all zones of the process.
//!
//! Zones wait for hours. The main thread, which has little else to do, waits for all of them, so
//! that the workers have no timer for it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::{Mono, Now};

/// How long a zone that is due has for setting its next time, before it is called again.
const AGAIN: Duration = Duration::from_secs(1);

/// The times at which zones are due.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    due: Mutex<HashMap<usize, Mono>>,
    changed: Notify,
}

impl Alarm {
    /// Sets the time for one zone, or that it waits for none.
    pub(super) fn set(&self, zone: usize, at: Option<Mono>) {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        match at {
            Some(at) => due.insert(zone, at),
            None => due.remove(&zone),
        };
        drop(due);
        self.changed.notify_one();
    }

    /// Returns when a zone is due.
    pub(super) async fn rings(&self) {
        loop {
            let left = self.left(Now::system().mono);
            if left.is_some_and(|left| left.is_zero()) {
                return;
            }
            let sleep = async {
                match left {
                    // A timer that fires early finds nothing due; a millisecond more is never early.
                    Some(left) => tokio::time::sleep(left + Duration::from_millis(1)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = sleep => {}
                () = self.changed.notified() => {}
            }
        }
    }

    /// How long until the first is due. Those that are due now get another second.
    fn left(&self, now: Mono) -> Option<Duration> {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let first = due.values().min().map(|at| at.since(now))?;
        for at in due.values_mut().filter(|at| **at <= now) {
            *at = now + AGAIN;
        }
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_counts_and_rings_once() {
        let alarm = Alarm::default();
        let at = |seconds: u64| Mono::from_micros(seconds * 1_000_000);
        assert_eq!(alarm.left(at(0)), None);
        alarm.set(1, Some(at(10)));
        alarm.set(2, Some(at(20)));
        assert_eq!(alarm.left(at(4)), Some(Duration::from_secs(6)));
        assert_eq!(alarm.left(at(10)), Some(Duration::ZERO));
        assert_eq!(alarm.left(at(10)), Some(AGAIN), "it has a second to answer");
        alarm.set(1, None);
        assert_eq!(alarm.left(at(10)), Some(Duration::from_secs(10)));
    }
}
