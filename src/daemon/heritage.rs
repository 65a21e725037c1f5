//! The cache of the process before this one, taken over or not, and passed on to the next.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rand::SeedableRng;
use tracing::{info, warn};

use crate::cache::Cache;
use crate::clock::{Now, Rng};
use crate::config::Config;
use crate::systemd::notify::Notifier;

/// The name of the file in the service manager's store, and so in `LISTEN_FDNAMES`.
const NAME: &str = "cache";

/// How long a process has to live to show that the cache it took over does no harm.
pub(super) const PROBATION: Duration = Duration::from_secs(60);

/// The cache that was passed, if it can be used, or a new one, which the service manager gets to
/// keep from now on: whatever happens to this process, the next one is given it.
pub(super) fn open(passed: Option<OwnedFd>, config: &Config, notifier: &Notifier) -> Cache {
    let mut rng = Rng::from_rng(&mut rand::rng());
    let taken = passed.map(|file| Cache::take_over(file, config, Now::system(), &mut rng));
    let cache = match taken {
        Some(Ok(cache)) => {
            let usage = cache.usage();
            let (answers, rrsets) = (usage.answers.entries, usage.rrsets.entries);
            info!(answers, rrsets, "the cache of the process before was taken over");
            cache
        }
        other => {
            if let Some(Err(reason)) = other {
                warn!("the cache of the process before is given up: {reason}");
            }
            renew(config, notifier, &mut rng)
        }
    };
    if let Err(errno) = cache.watch_faults() {
        warn!("memory faults of this process will not be noticed by the next: {errno}");
    }
    cache
}

/// A new cache, kept by the service manager in the place of a former one.
fn renew(config: &Config, notifier: &Notifier, rng: &mut Rng) -> Cache {
    let cache = Cache::in_file(config, rng).unwrap_or_else(|errno| {
        warn!("the cache will end with this process: {errno}");
        Cache::new(config, rng)
    });
    match cache.descriptor() {
        Some(file) => notifier.store(file, NAME),
        None => notifier.forget(NAME),
    }
    cache
}
