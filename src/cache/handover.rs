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
use crate::clock::{Now, Rng, UnixTime};
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
    /// configuration. The other stores are empty. Failures, and what did not validate, count no
    /// more: whoever starts a process anew may have mended the cause.
    ///
    /// # Errors
    ///
    /// Why they cannot be used. The file may be closed then.
    pub fn take_over(
        file: OwnedFd,
        config: &Config,
        now: Now,
        rng: &mut Rng,
    ) -> Result<Self, Unfit> {
        let plans = Plans::new(config);
        let memory = Memory::of(file)?;
        Header(memory.words()).take_over(&plans, fingerprint(config))?;
        Ok(Self::over(memory, &plans, config, now.unix, rng))
    }

    fn begin(memory: Memory, plans: &Plans, config: &Config, rng: &mut Rng) -> Self {
        Header(memory.words()).begin(plans, fingerprint(config), rng.random());
        Self::over(memory, plans, config, UnixTime(0), rng)
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
        self.disown();
        self.clear();
        self.header().set_rules(fingerprint(config));
    }

    /// No other process takes over what is here now.
    pub(super) fn disown(&self) {
        self.header().set_rules(0);
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use proptest::prelude::*;

    use super::*;
    use crate::cache::testing::{a, answer, at, name, ns, question, rng};
    use crate::cache::{Answer, DelegationPoint, DelegationSource, HotEdns, HotQuery, Rank};
    use crate::status::{Reason, SecurityStatus};
    use crate::wire::RecordType;

    fn config() -> Config {
        Config { msg_cache_size: 1 << 20, rrset_cache_size: 1 << 20, ..Config::default() }
    }

    fn filled() -> Cache {
        let cache = Cache::in_file(&config(), &mut rng()).unwrap();
        let www = answer("www.example. A", SecurityStatus::Secure, vec![a("www.example.", 300)]);
        let mut bogus = answer("b.example. A", SecurityStatus::Bogus, vec![a("b.example.", 300)]);
        bogus.reason = Some(Reason::BogusSignature);
        let failure = Answer::failure(question("f.example. A"), Reason::NetworkError);
        for answer in [www, bogus, failure] {
            cache.store_answer(&answer, at(0));
        }
        let servers = ns("example.", 300, "ns.example.");
        cache.store_rrset(&servers, Rank::AnswerAa, SecurityStatus::Insecure, at(0));
        let point = DelegationPoint {
            zone: name("example."),
            servers: vec![name("ns.example.")],
            glue: Vec::new(),
            addresses: Vec::new(),
            expires: at(300).unix,
            source: DelegationSource::Referral,
        };
        cache.store_delegation(&point, at(0));
        cache
    }

    /// What the next process makes of it, after this one has ended, and something has happened.
    fn next(happens: impl FnOnce(&Cache), config: &Config) -> Result<Cache, Unfit> {
        let cache = filled();
        happens(&cache);
        let file = cache.descriptor().unwrap().try_clone_to_owned().unwrap();
        drop(cache);
        Cache::take_over(file, config, at(10), &mut rng())
    }

    #[test]
    fn the_next_process_knows_what_this_one_learned_but_not_what_failed() {
        let cache = next(|_| {}, &config()).unwrap();
        let known = |text| cache.answer(&question(text), at(20)).map(|found| found.value.rcode);
        assert_eq!(known("www.example. A").map(|rcode| rcode.0), Some(0));
        assert_eq!(known("b.example. A"), None);
        assert_eq!(known("f.example. A"), None);
        assert!(cache.rrset(&name("example."), RecordType::NS, at(20)).is_some());
        assert!(cache.delegation(&name("www.example."), at(20)).is_some());
        cache
            .store_answer(&Answer::failure(question("f.example. A"), Reason::NetworkError), at(20));
        assert!(cache.answer(&question("f.example. A"), at(21)).is_some());
    }

    fn word(cache: &Cache, at: usize, value: u64) {
        cache.memory.words()[at].store(value, Relaxed);
    }

    #[test]
    fn what_does_not_fit_is_given_up_and_says_why() {
        let changed = |change: fn(&mut Config)| {
            let mut config = config();
            change(&mut config);
            config
        };
        let insecure = changed(|config| config.domain_insecure.push(name("example.")));
        type Case = (&'static str, fn(&Cache), Config, Option<Unfit>);
        #[rustfmt::skip]
        let cases: &[Case] = &[
            ("unexpected end",  |_| {},                          config(), None),
            ("orderly end",     Cache::release,                  config(), None),
            ("verbosity",       |_| {},                          changed(|config| config.verbosity = 4), None),
            ("msg-cache-size",  |_| {},                          changed(|config| config.msg_cache_size += 4096), Some(Unfit::Sizes)),
            ("same sum",        |_| {},                          changed(|config| { config.msg_cache_size += 4096; config.rrset_cache_size -= 4096; }), Some(Unfit::Sizes)),
            ("other rules",     |_| {},                          insecure, Some(Unfit::Rules)),
            ("not a cache",     |cache| word(cache, 0, 0),       config(), Some(Unfit::Foreign)),
            ("other version",   |cache| word(cache, 1, 0),       config(), Some(Unfit::Layout(0))),
            ("geometry",        |cache| word(cache, 18, 1),      config(), Some(Unfit::Sizes)),
            ("half forgotten",  |cache| cache.header().set_rules(0), config(), Some(Unfit::Rules)),
            ("memory fault",    |cache| word(cache, 7, 11),      config(), Some(Unfit::Fault(11))),
            ("second death",    |cache| word(cache, 8, 1),       config(), None),
            ("third death",     |cache| word(cache, 8, 2),       config(), Some(Unfit::Deaths(3))),
            ("after a minute",  |cache| { word(cache, 8, 2); cache.proven(); }, config(), None),
        ];
        for (case, happens, config, expected) in cases {
            assert_eq!(next(happens, config).err(), *expected, "{case}");
        }
    }

    #[test]
    fn a_new_configuration_begins_anew_and_the_next_process_sees_that() {
        let mut new = config();
        new.domain_insecure.push(name("example."));
        let begin = |cache: &Cache| {
            assert!(cache.fits(&config()) && !cache.fits(&new));
            cache.begin_anew(&new);
            assert!(cache.fits(&new));
        };
        assert_eq!(next(begin, &config()).err(), Some(Unfit::Rules));
        // Two sets of rules in one cache are nobody's.
        for next_config in [&config(), &new] {
            let refused = next(|cache| cache.reconfigure(&new), next_config).err();
            assert_eq!(refused, Some(Unfit::Rules));
        }
        assert_eq!(next(|cache| cache.reconfigure(&config()), &config()).err(), None);
        let cache = next(begin, &new).unwrap();
        assert_eq!((cache.usage().answers.entries, cache.usage().rrsets.entries), (0, 0));
    }

    #[test]
    fn files_of_other_kinds_are_refused() {
        let empty = nix::sys::memfd::memfd_create(c"test", nix::sys::memfd::MFdFlags::empty());
        let refused = Cache::take_over(empty.unwrap(), &config(), at(0), &mut rng()).err();
        assert_eq!(refused, Some(Unfit::NotSealed));
        let zeros = Memory::file(Plans::new(&config()).octets()).unwrap();
        let zeros = zeros.descriptor().unwrap().try_clone_to_owned().unwrap();
        let refused = Cache::take_over(zeros, &config(), at(0), &mut rng()).err();
        assert_eq!(refused, Some(Unfit::Foreign));
        let short = Memory::file(64).unwrap();
        let short = short.descriptor().unwrap().try_clone_to_owned().unwrap();
        let refused = Cache::take_over(short, &config(), at(0), &mut rng()).err();
        assert_eq!(refused, Some(Unfit::Foreign));
    }

    /// Asks for everything there is.
    fn use_all(cache: &Cache, now: Now) {
        let mut out = [0; 4_096];
        for text in ["www.example. A", "b.example. A", "f.example. A"] {
            let question = question(text);
            for dnssec_ok in [false, true] {
                let query = HotQuery {
                    id: 1,
                    flags: 0x0130,
                    name_wire: question.name.as_wire(),
                    rtype: question.rtype,
                    class: question.class,
                    edns: Some(HotEdns { udp_size: 1_232, dnssec_ok }),
                };
                let _ = (cache.hit(&query, now, &mut out), cache.stale_hit(&query, now, &mut out));
            }
            let _ = (cache.answer(&question, now), cache.denial(&question.name, now));
        }
        let _ = cache.rrset(&name("example."), RecordType::NS, now);
        let _ = cache.delegation(&name("www.example."), now);
        let _ = (cache.usage(), cache.flush_negative(), cache.flush_zone(&name("b.example.")));
        let large = answer("l.example. A", SecurityStatus::Secure, vec![a("l.example.", 300); 40]);
        cache.store_answer(&large, now);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        /// Whatever is done to the words, nothing panics, loops, or reads elsewhere.
        #[test]
        fn a_damaged_cache_does_no_more_than_forget_or_err(
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u64>(), any::<bool>()), 1..40),
        ) {
            let cache = filled();
            let words = cache.memory.words();
            let used: Vec<_> = (512..words.len()).filter(|at| words[*at].load(Relaxed) != 0).collect();
            for (at, value, flip) in damage {
                let word = &words[*at.get(&used)];
                let bit = 1 << (value & 63);
                word.store(if flip { word.load(Relaxed) ^ bit } else { value }, Relaxed);
            }
            use_all(&cache, at(1));
            let file = cache.descriptor().unwrap().try_clone_to_owned().unwrap();
            drop(cache);
            let cache = Cache::take_over(file, &config(), at(10), &mut rng()).unwrap();
            for i in 0..40 {
                use_all(&cache, at(11 + i * 50));
            }
        }
    }
}
