//! Reload: a new configuration, all of it or nothing.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rand::SeedableRng;
use tracing::{error, info, warn};

use super::{confine, policy_zones};
use crate::authority::Zones;
use crate::clock::{Now, Rng};
use crate::config::{self, Config, Loaded, Notice, NoticeKind, Settings};
use crate::engine::zones::{Order, load, load_all};
use crate::frontend::Shared;
use crate::logging;
use crate::policy::{self, Cookies, Policy};
use crate::rollover::Rollover;

/// Reads the configuration again and puts it into force; one that has a mistake changes nothing.
///
/// With `keep_cache` what was learned is kept, unless the new configuration would have taught
/// something else.
pub(super) fn reload(
    shared: &Shared,
    rollover: &Rollover,
    settings: &ArcSwap<Settings>,
    path: Option<&Path>,
    extra_verbosity: u8,
    keep_cache: bool,
) -> bool {
    let Loaded { config, settings: new_settings, notices, .. } = match config::load(path) {
        Ok(loaded) => loaded,
        Err(errors) => {
            error!("reload: the running configuration stays in force\n{errors}");
            confine::hint(&errors);
            return false;
        }
    };
    let config = completed(config);
    rollover.reconfigure(&config);
    let old = shared.config.load_full();
    for option in needs_restart(&old, &config) {
        warn!(option, "a change of this option needs a restart");
    }
    announce(&notices);
    logging::set_verbosity(config.verbosity.saturating_add(extra_verbosity));
    let trusted_otherwise = old.anchors()[..] != config.anchors()[..];
    let forget = !keep_cache || trusted_otherwise || !shared.cache.fits(&config);
    let zones = shared.zones.load().renewed(config.copied_zones());
    reread(&zones, &config);
    let policy = policy_of(&config, &zones);
    // A random secret stays: clients have cookies made with it.
    if config.cookie_secrets != old.cookie_secrets {
        shared.cookies.store(Arc::new(cookies_of(&config)));
    }
    let config = Arc::new(config);
    put(shared, Arc::clone(&config), policy);
    shared.zones.store(Arc::new(zones));
    shared.keeper.tell(Order::Reloaded);
    settings.store(Arc::new(new_settings));
    if forget {
        // After the swap, so that nothing learned by the old rules comes in behind.
        shared.cache.begin_anew(&config);
    }
    info!(cache = if forget { "emptied" } else { "kept" }, "reloaded");
    true
}

/// Reads the files of zones, since they may have changed. What has been transferred is newer than its
/// file, and stays.
fn reread(zones: &Zones, config: &Config) {
    let now = Now::system();
    load_all(zones, config, now);
    let files = zones.iter().filter(|entry| entry.config().source.primaries.is_empty());
    for entry in files.filter(|entry| entry.copy().confirmed < now.unix) {
        if let Err(error) = load(entry, config, now) {
            error!(zone = %entry.name(), %error, "zone not loaded anew");
        }
    }
}

/// Puts a configuration into force, with what was made of it.
pub(super) fn put(shared: &Shared, config: Arc<Config>, policy: Policy) {
    shared.policy.store(Arc::new(policy));
    shared.cache.reconfigure(&config);
    shared.config.store(config);
}

/// The configuration with what follows from its options in other layers: nobody signs the reverse
/// zones of private addresses, so `insecure-lan-zones` means not to validate them.
pub(super) fn completed(mut config: Config) -> Config {
    if config.insecure_lan_zones {
        config.domain_insecure.extend(policy::lan_zones());
    }
    config
}

/// Says once what was accepted and is not what it seems. Options without effect share a line, since
/// a configuration of Unbound may have dozens.
pub(super) fn announce(notices: &[Notice]) {
    let (without_effect, others): (Vec<_>, Vec<_>) =
        notices.iter().partition(|notice| matches!(notice.kind, NoticeKind::NoEffect { .. }));
    for notice in others {
        warn!("{notice}");
    }
    match without_effect.as_slice() {
        [] => {}
        [one] => warn!("{one}"),
        [first, rest @ ..] => {
            warn!("{first} (and {} more without effect, shown with -v)", rest.len());
            for notice in rest {
                tracing::debug!("{notice}");
            }
        }
    }
}

/// Options whose new value cannot take effect in a running process.
fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let mut options = Vec::new();
    let mut differs = |option, differs: bool| {
        if differs {
            options.push(option);
        }
    };
    differs("num-threads", old.num_threads != new.num_threads);
    differs("interface", old.interfaces != new.interfaces);
    differs("msg-cache-size", old.msg_cache_size != new.msg_cache_size);
    differs("rrset-cache-size", old.rrset_cache_size != new.rrset_cache_size);
    differs("key-cache-size", old.key_cache_size != new.key_cache_size);
    differs("infra-cache-numhosts", old.infra_cache_numhosts != new.infra_cache_numhosts);
    options
}

/// Cookies made with the secrets of a configuration, or with a random one.
pub(super) fn cookies_of(config: &Config) -> Cookies {
    Cookies::new(&config.cookie_secrets, &mut Rng::from_rng(&mut rand::rng()))
}

/// The policy of a configuration, with the content of its policy zones.
pub(super) fn policy_of(config: &Config, zones: &Zones) -> Policy {
    let policy = Policy::new(config, &host_name());
    policy_zones::load(&policy, zones);
    policy
}

/// Where the kernel says how this machine is called.
pub(super) const HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// What the kernel calls this machine, for `hostname.bind`.
pub(super) fn host_name() -> String {
    std::fs::read_to_string(HOST_NAME).map(|name| name.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_reverse_zones_are_not_validated_when_that_is_wanted() {
        let ten = "10.in-addr.arpa.".parse().unwrap();
        for insecure_lan_zones in [false, true] {
            let config = completed(Config { insecure_lan_zones, ..Config::default() });
            assert_eq!(config.domain_insecure.contains(&ten), insecure_lan_zones);
        }
    }

    #[test]
    fn what_cannot_change_in_a_running_process_is_named() {
        let old = Config::default();
        let mut new = Config { verbosity: 4, minimal_responses: false, ..Config::default() };
        assert!(needs_restart(&old, &new).is_empty());
        new.num_threads += 1;
        assert_eq!(needs_restart(&old, &new), ["num-threads"]);
    }
}
