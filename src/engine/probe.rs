//! Asking the zones of trust anchors for their keys, so that rollovers are seen in time.

use tracing::debug;

use super::{Ask, Engine};
use crate::budget::Budget;
use crate::clock::Now;
use crate::status::Reason;
use crate::validator::{self, View};
use crate::wire::{Name, Question, RecordType};

impl Engine {
    /// Asks for the keys of `zone` and shows the answer to those who follow them (RFC 5011 §2.3).
    /// One that does not verify is asked for again, as often as `val-max-restart:` says.
    pub async fn probe(&self, zone: &Name) {
        let tries = self.0.config.load().val_max_restart.saturating_add(1);
        for _ in 0..tries {
            match self.probe_once(zone).await {
                Ok(()) => return,
                Err(Reason::DnskeyUnreachable) => {
                    debug!(%zone, "no answer about the keys of a trust anchor");
                    return;
                }
                Err(reason) => debug!(%zone, %reason, "the keys of a trust anchor do not verify"),
            }
        }
    }

    async fn probe_once(&self, zone: &Name) -> Result<(), Reason> {
        let now = Now::system();
        let answer = self
            .resolve(Ask {
                question: Question::new(zone.clone(), RecordType::DNSKEY),
                checking_disabled: true,
                refresh: true,
                arrived: now.mono,
                screening: None,
            })
            .await;
        let (config, now) = (self.0.config.load(), Now::system());
        let mut budget =
            Budget::configured(now.mono, config.max_global_quota, config.max_query_restarts);
        let (cache, rollover) = (&self.0.cache, &self.0.rollover);
        let mut view = View { cache, config: &config, budget: &mut budget, rollover };
        validator::probe(zone, &answer, &mut view, now)
    }
}
