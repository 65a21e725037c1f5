//! Zones from their files, and whether a zone may be used.

use std::path::Path;
use std::sync::Arc;

use thiserror::Error;
use tracing::{error, info, warn};

use super::verify::{self, Verdict};
use crate::authority::{Copy, Entry, FileError, Zone, Zones};
use crate::clock::Now;
use crate::config::Config;

/// Why a zone has no copy from its file.
#[derive(Debug, Error)]
pub enum LoadError {
    /// None is configured.
    #[error("there is no zonefile")]
    NoFile,
    /// It is of no use.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is no record of the zone in it.
    #[error("the zonefile is empty")]
    Empty,
    /// The zone has no SOA record, without which nobody can answer from it.
    #[error("the zone has no SOA record")]
    NoSoa,
    /// It failed the check of its digest.
    #[error("{0}")]
    Digest(String),
}

/// Reads the files of all zones that have no copy yet, and says in the log what came of it.
pub fn load_all(zones: &Zones, config: &Config, now: Now) {
    for entry in zones.iter().filter(|entry| entry.copy().zone.is_none()) {
        let comes_otherwise = !entry.config().source.primaries.is_empty();
        match load(entry, config, now) {
            Ok(()) => {}
            Err(LoadError::NoFile | LoadError::Empty) if comes_otherwise => {}
            Err(LoadError::File(error)) if comes_otherwise && error.is_missing() => {
                info!(zone = %entry.name(), "no zonefile yet");
            }
            Err(error) => error!(zone = %entry.name(), %error, "zone not loaded"),
        }
    }
}

/// Reads the file of a zone and uses what is in it from now on.
///
/// # Errors
///
/// When it is of no use; the copy that was there stays.
pub fn load(entry: &Entry, config: &Config, now: Now) -> Result<(), LoadError> {
    let auth = entry.config();
    let path = auth.source.zonefile.as_deref().ok_or(LoadError::NoFile)?;
    let zone = Zone::read(path, entry.name())?.ok_or(LoadError::Empty)?;
    if zone.soa().is_none() && (auth.for_downstream || auth.for_upstream) {
        return Err(LoadError::NoSoa);
    }
    let zone = Arc::new(zone);
    let verdict = verify::at_once(&zone, auth, config, now);
    let unproven = matches!(verdict, Verdict::Unproven);
    let rejected = match verdict {
        Verdict::Good | Verdict::Unproven => false,
        Verdict::Bad(reason) if config.zonemd_permissive_mode => {
            warn!(zone = %entry.name(), reason, "used all the same, as zonemd-permissive-mode says");
            false
        }
        Verdict::Bad(reason) => {
            entry.store(Copy { zone: Some(zone), rejected: true, ..Copy::default() });
            return Err(LoadError::Digest(reason));
        }
    };
    let expire = zone.soa().map_or(0, |soa| soa.expire);
    let expires = (!auth.source.primaries.is_empty()).then(|| now.unix.plus(expire));
    info!(zone = %entry.name(), serial = zone.serial(), records = zone.records(), file = %shown(path),
        "zone loaded");
    entry.store(Copy { zone: Some(zone), expires, confirmed: now.unix, rejected, unproven });
    Ok(())
}

fn shown(path: &Path) -> std::path::Display<'_> {
    path.display()
}
