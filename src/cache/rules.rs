//! The rules that what is learned depends on, as a number.

use std::fmt::{self, Write as _};
use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;

use crate::config::Config;

/// A number that differs when a configuration would have taught something else: what is asked
/// where, what of it is taken, what is believed. Never 0.
///
/// An option that changes what may get into the cache belongs here. What clients are shown of it
/// and how long it is kept does not.
pub(super) fn fingerprint(config: &Config) -> u64 {
    let mut text = Digest(SipHasher13::new());
    let asked = (
        &config.root_hints,
        &config.forward_zones,
        &config.stub_zones,
        &config.auth_zones,
        &config.module_config,
        config.tls_upstream,
        config.disable_edns_do,
        (&config.dns64_prefix, config.dns64_synthall, &config.dns64_ignore_aaaa),
        config.do_nat64,
    );
    let taken = (
        config.harden_glue,
        config.harden_unverified_glue,
        config.harden_below_nxdomain,
        config.iter_scrub_promiscuous,
        [config.iter_scrub_ns, config.iter_scrub_cname, config.iter_scrub_rrsig],
        &config.private_address,
        &config.private_domain,
    );
    let believed = (
        &config.trust_anchors,
        // Which keys these hold changes with the zones, and what was proven stays proven.
        &config.auto_trust_anchor_file,
        &config.domain_insecure,
        &config.val_override_date,
        [config.val_sig_skew_min, config.val_sig_skew_max],
        &config.val_nsec3_keysize_iterations,
        [config.val_clean_additional, config.val_permissive_mode],
        [config.harden_dnssec_stripped, config.harden_algo_downgrade],
        [config.val_accept_sha1, config.fake_sha1, config.fake_dsa],
    );
    // The text that a value has for programmers tells all of it. It never fails.
    let _ = write!(text, "{asked:?} {taken:?} {believed:?}");
    text.0.finish().max(1)
}

/// Text that is written into a hash.
struct Digest(SipHasher13);

impl fmt::Write for Digest {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_the_truth_changes_the_fingerprint_and_nothing_else_does() {
        type Change = fn(&mut Config);
        #[rustfmt::skip]
        let cases: &[(&str, Change, bool)] = &[
            ("nothing",         |_| {},                                                       false),
            ("verbosity",       |config| config.verbosity = 4,                                false),
            ("lifetimes",       |config| config.cache_max_ttl = 60,                           false),
            ("what is shown",   |config| config.minimal_responses ^= true,                    false),
            ("domain-insecure", |config| config.domain_insecure.push("a.".parse().unwrap()),  true),
            ("trust-anchor",    |config| config.trust_anchors.clear(),                        true),
            ("root-hints",      |config| config.root_hints.clear(),                           true),
            ("fake-sha1",       |config| config.fake_sha1 ^= true,                            true),
            ("harden-glue",     |config| config.harden_glue ^= true,                          true),
            ("date",            |config| config.val_override_date = crate::config::ValDate::At(1), true),
        ];
        let mut with_anchor = Config::default();
        with_anchor.private_domain.push("x.".parse().unwrap());
        for base in [Config::default(), with_anchor] {
            for (case, change, differs) in cases {
                let mut changed = base.clone();
                change(&mut changed);
                if *case == "trust-anchor" && base.trust_anchors.is_empty() {
                    continue;
                }
                assert_eq!(fingerprint(&base) != fingerprint(&changed), *differs, "{case}");
            }
        }
    }
}
