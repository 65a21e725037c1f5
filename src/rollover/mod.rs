//! Trust anchors that follow the key rollovers of their zones (RFC 5011, `auto-trust-anchor-file:`).
//!
//! A [`Rollover`] holds one trust point per file: which keys it waits for, trusts, misses and has
//! seen revoked. Whoever was answered a question for the keys of such a zone shows it the answer;
//! it says what that changes, when to ask again, and what belongs into the file. The anchors in use
//! are swapped whole in the configuration that everybody reads.
//!
//! # Not here
//!
//! Cryptography: a [`Judge`] is passed in. Asking, waiting and writing: the daemon does that.
//!
//! # RFCs
//!
//! 5011; §2.3 (intervals), §2.4 (hold-down), §4 (states).

mod file;
mod point;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rand::SeedableRng;

use self::point::{Point, Terms};
use crate::clock::{Now, Rng, UnixTime};
use crate::config::{Config, Followed, TrustAnchor};
use crate::wire::{Name, Rdata, Rrset};

/// Knows keys and signatures.
pub trait Judge {
    /// Whether one of the `anchors` vouches for the DNSKEY RRset, now.
    fn is_trusted(&mut self, rrset: &Rrset, anchors: &[TrustAnchor]) -> bool;
    /// Whether that very key has signed the DNSKEY RRset it is in, although it is revoked.
    fn is_signed_by(&mut self, rrset: &Rrset, dnskey: &Rdata) -> bool;
    /// Whether signatures of that algorithm can be verified.
    fn is_supported(&self, algorithm: u8) -> bool;
    /// Whether a DS record holds the digest of a key of `zone`.
    fn is_digest(&self, ds: &Rdata, zone: &Name, dnskey: &Rdata) -> bool;
}

/// A file that should be written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unsaved {
    /// Where to.
    pub path: PathBuf,
    /// The whole content.
    pub content: String,
}

/// Every trust point, for all threads.
pub struct Rollover {
    inner: Mutex<Inner>,
    waker: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

struct Inner {
    files: Vec<Followup>,
    fixed: Vec<TrustAnchor>,
    followed: Followed,
    terms: Terms,
    rng: Rng,
}

/// A file and its point.
struct Followup {
    path: PathBuf,
    point: Point,
    /// The point knows more than the file.
    unsaved: bool,
}

impl Default for Rollover {
    /// Follows nothing.
    fn default() -> Self {
        Self::new(&Config::default(), Rng::seed_from_u64(0))
    }
}

impl fmt::Debug for Rollover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rollover").finish_non_exhaustive()
    }
}

impl Rollover {
    /// Follows the files of the configuration.
    pub fn new(config: &Config, rng: Rng) -> Self {
        let inner = Inner {
            files: Vec::new(),
            fixed: Vec::new(),
            followed: Followed::default(),
            terms: Terms::new(config),
            rng,
        };
        let rollover = Self { inner: Mutex::new(inner), waker: OnceLock::new() };
        rollover.reconfigure(config);
        rollover
    }

    /// Follows the files of another configuration, as they were read for it. A point that could not
    /// be saved stays as it is: the file is behind.
    pub fn reconfigure(&self, config: &Config) {
        let mut inner = self.lock();
        let mut kept = std::mem::take(&mut inner.files);
        kept.retain(|file| file.unsaved);
        for file in &config.anchor_files {
            let known = kept.iter().position(|known| known.path == file.path);
            let known = known.map(|at| kept.swap_remove(at));
            let read = || {
                let point = file::read(file)?;
                Some(Followup { path: file.path.clone(), point, unsaved: false })
            };
            inner.files.extend(known.or_else(read));
        }
        inner.fixed.clone_from(&config.trust_anchors);
        inner.followed = config.followed.clone();
        inner.terms = Terms::new(config);
        inner.swap();
        drop(inner);
        self.wake();
    }

    /// Has `waker` called whenever there is something to save or another time to wait for. Only the
    /// first call counts.
    pub fn set_waker(&self, waker: impl Fn() + Send + Sync + 'static) {
        // The second is dropped, as said.
        let _ = self.waker.set(Box::new(waker));
    }

    /// Whether the keys of `zone` are followed.
    pub fn follows(&self, zone: &Name) -> bool {
        self.lock().files.iter().any(|file| file.point.zone == *zone && !file.point.gone)
    }

    /// Takes what was answered to the question for the keys of `zone`, `None` when nothing was;
    /// whether other anchors than before are in use now.
    pub fn observe(
        &self,
        zone: &Name,
        rrset: Option<&Rrset>,
        judge: &mut dyn Judge,
        now: Now,
    ) -> bool {
        let mut inner = self.lock();
        let Inner { files, terms, rng, .. } = &mut *inner;
        let (mut changed, mut saves) = (false, false);
        for file in files.iter_mut().filter(|file| file.point.zone == *zone && !file.point.gone) {
            let before = file.point.anchors();
            let saved = file.point.observe(rrset, judge, terms, now.unix, rng);
            file.unsaved |= saved;
            saves |= saved;
            changed |= file.point.anchors() != before;
        }
        if changed {
            inner.swap();
        }
        drop(inner);
        if saves {
            self.wake();
        }
        changed
    }

    /// The zones to ask for their keys now. Each is due again after its time for retries, unless
    /// the answer says otherwise.
    pub fn due(&self, now: Now) -> Vec<Name> {
        let mut inner = self.lock();
        let Inner { files, terms, rng, .. } = &mut *inner;
        let due = |point: &&mut Point| !point.gone && point.next_probe <= now.unix;
        let points = files.iter_mut().map(|file| &mut file.point).filter(due);
        let mut zones: Vec<_> = points
            .map(|point| {
                point.retry(terms, now.unix, rng);
                point.zone.clone()
            })
            .collect();
        zones.dedup();
        zones
    }

    /// When the next zone is due; `None` when there is nothing to follow.
    pub fn next_probe(&self) -> Option<UnixTime> {
        let inner = self.lock();
        let points = inner.files.iter().map(|file| &file.point).filter(|point| !point.gone);
        points.map(|point| point.next_probe).min()
    }

    /// The files that should be written now. Each counts as written; see [`Rollover::not_saved`].
    pub fn unsaved(&self) -> Vec<Unsaved> {
        let mut inner = self.lock();
        let files = inner.files.iter_mut().filter(|file| file.unsaved);
        files
            .map(|file| {
                file.unsaved = false;
                Unsaved { path: file.path.clone(), content: file::write(&file.point) }
            })
            .collect()
    }

    /// The file could not be written: it will be tried again after the next change.
    pub fn not_saved(&self, unsaved: &Unsaved) {
        let mut inner = self.lock();
        for file in inner.files.iter_mut().filter(|file| file.path == unsaved.path) {
            file.unsaved = true;
        }
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.get() {
            waker();
        }
    }

    /// A thread that panicked has not left a point half changed that matters: every step of it is
    /// a state that RFC 5011 knows.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Puts the anchors that are trusted now into use.
    fn swap(&self) {
        let followed = self.files.iter().flat_map(|file| file.point.anchors());
        self.followed.swap(self.fixed.iter().cloned().chain(followed).collect());
    }
}
