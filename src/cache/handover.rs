//! A cache in memory that the next process can take over.
//!
//! The memory is a file without a name. Whoever keeps it open while this process ends (a service
//! manager) passes it to the next one.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::errno::Errno;
use rand::RngExt;

use super::header::{Header, Plans};
use super::memory::{self, Memory};
use super::rules::fingerprint;
use super::{Cache, Unfit, fault};
use crate::clock::Rng;
use crate::config::Config;

impl Cache {
    /// Empty stores of the sizes of the configuration, in memory that ends with the process.
    ///
    /// # Panics
    ///
    /// When there is no memory for them.
    pub fn new(config: &Config, rng: &mut Rng) -> Self {
        let plans = Plans::new(config);
        let memory = Memory::anonymous(plans.octets())
            .unwrap_or_else(|errno| memory::exhausted(plans.octets(), errno));
        Self::begin(memory, &plans, config, rng)
    }

    /// Empty stores of the sizes of the configuration, in memory that can be passed on.
    ///
    /// # Errors
    ///
    /// When there is not enough memory, or no file can be made in it.
    pub fn in_file(config: &Config, rng: &mut Rng) -> Result<Self, Errno> {
        let plans = Plans::new(config);
        Ok(Self::begin(Memory::file(plans.octets())?, &plans, config, rng))
    }

    /// The answers, RRsets and delegations that another process left in a file, if they fit the
    /// configuration. The other stores are empty.
    ///
    /// # Errors
    ///
    /// Why they cannot be used. The file may be closed then.
    pub fn take_over(file: OwnedFd, config: &Config, rng: &mut Rng) -> Result<Self, Unfit> {
        let plans = Plans::new(config);
        let memory = Memory::of(file)?;
        Header(memory.words()).take_over(&plans, fingerprint(config))?;
        Ok(Self::over(memory, &plans, config, rng))
    }

    fn begin(memory: Memory, plans: &Plans, config: &Config, rng: &mut Rng) -> Self {
        Header(memory.words()).begin(plans, fingerprint(config), rng.random());
        Self::over(memory, plans, config, rng)
    }

    /// The file that can be passed on.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.memory.descriptor()
    }

    /// Whether what was learned so far could have been learned by that configuration as well.
    pub fn fits(&self, config: &Config) -> bool {
        self.header().goes_by(fingerprint(config))
    }

    /// Goes on by another configuration with what was learned by the one before, as an operator
    /// wants it who sends a single change. If the two teach different things, nobody takes over
    /// what is left of them.
    pub fn goes_on_by(&self, config: &Config) {
        if !self.fits(config) {
            self.header().set_rules(0);
        }
    }

    /// Forgets everything but the servers, and begins to learn by that configuration.
    pub fn begin_anew(&self, config: &Config) {
        // Nobody shall take over what is half forgotten.
        self.header().set_rules(0);
        self.clear();
        self.header().set_rules(fingerprint(config));
    }

    /// This process has lived long enough to say that the cache it took over does no harm. Until
    /// then its unexpected end counts against the cache: see [`Unfit::Deaths`].
    pub fn proven(&self) {
        self.header().proven();
    }

    /// This process ends as it should, and does not use the cache any more.
    pub fn release(&self) {
        self.header().release();
    }

    /// A memory fault of this process is noted in the cache, which is not taken over then. For one
    /// cache of the process, whose memory is kept for good.
    ///
    /// # Errors
    ///
    /// When the signals cannot be caught.
    pub fn watch_faults(&self) -> Result<(), Errno> {
        fault::watch(Arc::clone(&self.memory))
    }

    fn header(&self) -> Header<'_> {
        Header(self.memory.words())
    }
}
