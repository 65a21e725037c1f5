//! Keeping trust anchors up to date: probes in time, and their files.

use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng;
use tokio::sync::Notify;
use tracing::{error, info};

use crate::clock::{Now, Rng};
use crate::config::Config;
use crate::engine::Engine;
use crate::rollover::Rollover;
use crate::state;

/// Longest wait for the wall clock, which may be set or stand still while we sleep.
const LONGEST: Duration = Duration::from_secs(3600);
/// The sleep ends a little early rather than late; what is left then is waited for in short steps.
const EARLY: Duration = Duration::from_millis(5);
const STEP: Duration = Duration::from_millis(250);

/// What the threads share that keep trust anchors up to date.
#[derive(Clone)]
pub(super) struct AnchorKeeper {
    pub(super) rollover: Arc<Rollover>,
    probe: Arc<Notify>,
    save: Arc<Notify>,
}

impl AnchorKeeper {
    pub(super) fn new(config: &Config) -> Self {
        let keeper = Self {
            rollover: Arc::new(Rollover::new(config, Rng::from_rng(&mut rand::rng()))),
            probe: Arc::default(),
            save: Arc::default(),
        };
        let (probe, save) = (Arc::clone(&keeper.probe), Arc::clone(&keeper.save));
        keeper.rollover.set_waker(move || {
            probe.notify_one();
            save.notify_one();
        });
        keeper
    }

    /// Sends probes when they are due; never ends.
    pub(super) async fn probe(self, engine: Engine) {
        loop {
            for zone in self.rollover.due(Now::system()) {
                engine.probe(&zone).await;
            }
            let wait = self.rollover.next_probe().map(|at| {
                let left = Duration::from_secs(Now::system().unix.until(at).into());
                left.saturating_sub(EARLY).clamp(STEP, LONGEST)
            });
            tokio::select! {
                () = self.probe.notified() => {}
                () = tokio::time::sleep(wait.unwrap_or(LONGEST)) => {}
            }
        }
    }

    /// Writes files when there is something new; never ends. A file that cannot be written is
    /// complained about once; what belongs into it stays in memory until it can.
    pub(super) async fn save(self) {
        let mut complained = false;
        loop {
            for file in self.rollover.unsaved() {
                let written = state::replace(&file.path, file.content.as_bytes());
                match written {
                    Ok(()) if complained => {
                        complained = false;
                        info!(file = %file.path.display(), "the trust anchors are saved again");
                    }
                    Ok(()) => {}
                    Err(error) => {
                        self.rollover.not_saved(&file);
                        if !complained {
                            complained = true;
                            error!(
                                "{error}: trust anchors are kept up to date in memory only, and a \
                                 restart begins with what the file says"
                            );
                        }
                    }
                }
            }
            self.save.notified().await;
        }
    }
}
