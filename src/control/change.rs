//! Changes while the process runs. Each edits a copy of the running configuration and puts it into
//! force whole; the files stay as they are, so that `reload` goes back to them.

use super::Control;
use super::table::Args;
use crate::config::{self, Config, Settings, ZoneTarget};
use crate::logging;
use crate::wire::Name;

impl Control {
    /// Lets `edit` change a copy of the configuration, and puts the copy into force unless that
    /// fails. Commands run one after the other on one thread, and so does a reload, so that no
    /// change is lost.
    pub(super) fn change<T>(
        &self,
        edit: impl FnOnce(&mut Config) -> Result<T, String>,
    ) -> Result<T, String> {
        let mut config = Config::clone(&self.config.load());
        let done = edit(&mut config)?;
        self.running.put(config);
        Ok(done)
    }

    fn change_or_say(&self, edit: impl FnOnce(&mut Config) -> Result<(), String>) -> String {
        match self.change(edit) {
            Ok(()) => "ok\n".to_owned(),
            Err(error) => error,
        }
    }
}

/// Reads a domain name, in lower case.
pub(super) fn name(text: &str) -> Result<Name, String> {
    match text.parse::<Name>() {
        Ok(name) => Ok(name.to_lowercase()),
        Err(error) => Err(format!("error: cannot parse name '{text}': {error}\n")),
    }
}

/// `set_option NAME: VALUE`, or without the colon.
pub(super) fn set_option(control: &Control, args: &Args<'_>) -> String {
    let option = args.word(0).trim_end_matches(':');
    let value = args.after(1).trim_matches('"');
    let mut settings = Settings::clone(&control.settings.load());
    let change = |config: &mut Config| {
        config::set_option(config, &mut settings, option, value)
            .map_err(|error| format!("error setting option '{option}': {error}\n"))
    };
    match control.change(change) {
        Ok(()) => {
            if option == "verbosity" {
                logging::set_verbosity(control.config.load().verbosity);
            }
            control.settings.store(settings.into());
            "ok\n".to_owned()
        }
        Err(error) => error,
    }
}

pub(super) fn insecure_add(control: &Control, args: &Args<'_>) -> String {
    control.change_or_say(|config| {
        make_insecure(config, name(args.word(0))?);
        Ok(())
    })
}

pub(super) fn insecure_remove(control: &Control, args: &Args<'_>) -> String {
    control.change_or_say(|config| {
        let zone = name(args.word(0))?;
        config.domain_insecure.retain(|known| *known != zone);
        Ok(())
    })
}

fn make_insecure(config: &mut Config, zone: Name) {
    if !config.domain_insecure.contains(&zone) {
        config.domain_insecure.push(zone);
    }
}

/// Which list of zones a command is about.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Kind {
    Forward,
    Stub,
}

impl Kind {
    fn list(self, config: &mut Config) -> &mut Vec<ZoneTarget> {
        match self {
            Self::Forward => &mut config.forward_zones,
            Self::Stub => &mut config.stub_zones,
        }
    }
}

/// `forward_add [+it] ZONE ADDRESS...`, `stub_add [+ipt] ZONE ADDRESS...`
pub(super) fn zone_add(kind: Kind, control: &Control, args: &Args<'_>) -> String {
    control.change_or_say(|config| {
        let known = if kind == Kind::Stub { "ipt" } else { "it" };
        let (flags, words) = args.flags(known)?;
        let [zone, servers @ ..] = words else { return Err(args.needs()) };
        if servers.is_empty() {
            return Err(args.needs());
        }
        let zone = name(zone)?;
        let mut target = target(zone.clone(), servers, flags.contains('t'), config)?;
        target.prime = flags.contains('p');
        put(kind.list(config), target);
        if flags.contains('i') {
            make_insecure(config, zone);
        }
        Ok(())
    })
}

/// `forward_remove [+i] ZONE`, `stub_remove [+i] ZONE`
pub(super) fn zone_remove(kind: Kind, control: &Control, args: &Args<'_>) -> String {
    control.change_or_say(|config| {
        let (flags, words) = args.flags("i")?;
        let [zone] = words else { return Err(args.needs()) };
        let zone = name(zone)?;
        kind.list(config).retain(|known| known.name != zone);
        if flags.contains('i') {
            config.domain_insecure.retain(|known| *known != zone);
        }
        Ok(())
    })
}

/// `forward [off | ADDRESS...]`: where everything goes that no other zone takes.
pub(super) fn forward(control: &Control, args: &Args<'_>) -> String {
    match args.words.as_slice() {
        [] => {
            let config = control.config.load();
            let root = config.forward_zones.iter().find(|zone| zone.name.is_root());
            match root {
                Some(zone) => format!("{}\n", super::lists::servers(zone).trim_start()),
                None => "off (using root hints)\n".to_owned(),
            }
        }
        ["off"] => control.change_or_say(|config| {
            config.forward_zones.retain(|zone| !zone.name.is_root());
            Ok(())
        }),
        servers => control.change_or_say(|config| {
            let target = target(Name::root(), servers, false, config)?;
            put(&mut config.forward_zones, target);
            Ok(())
        }),
    }
}

fn put(zones: &mut Vec<ZoneTarget>, target: ZoneTarget) {
    match zones.iter_mut().find(|zone| zone.name == target.name) {
        Some(zone) => *zone = target,
        None => zones.push(target),
    }
}

fn target(zone: Name, servers: &[&str], tls: bool, config: &Config) -> Result<ZoneTarget, String> {
    let wrong = |(index, error): (usize, config::ValueError)| {
        let word = servers.get(index).copied().unwrap_or_default();
        format!("error: '{word}': {error}\n")
    };
    let (addrs, hosts) = config::zone_servers(servers, tls, config).map_err(wrong)?;
    Ok(ZoneTarget {
        name: zone,
        addrs,
        hosts,
        first: false,
        tls,
        tcp: false,
        no_cache: false,
        prime: false,
    })
}
