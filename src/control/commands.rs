//! The commands, in one table.

use std::fmt::Write;
use std::net::IpAddr;

use super::{Control, flush, stats};
use crate::clock::Now;
use crate::config::{LocalZoneKind, Module, ZoneTarget};
use crate::logging;
use crate::policy::Policy;

/// What follows from a command.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// Just an answer.
    Text(String),
    /// The configuration is read again.
    Reload { keep_cache: bool },
    /// The process ends.
    Stop,
}

type Run = fn(&Control, &[&str]) -> Outcome;

/// Every command with how many arguments it takes at most.
#[rustfmt::skip]
const COMMANDS: &[(&str, usize, Run)] = &[
    ("status",            0, |control, _| text(status(control))),
    ("stop",              0, |_, _| Outcome::Stop),
    ("reload",            0, |_, _| Outcome::Reload { keep_cache: false }),
    ("reload_keep_cache", 0, |_, _| Outcome::Reload { keep_cache: true }),
    ("verbosity",         1, |_, args| text(verbosity(args))),
    // There is no log file: standard error belongs to the service manager.
    ("log_reopen",        0, |_, _| ok()),
    ("stats",             0, |control, _| text(stats::show(control, true, Now::system()))),
    ("stats_noreset",     0, |control, _| text(stats::show(control, false, Now::system()))),
    ("flush_stats",       0, |control, _| { control.metrics.recent(true); ok() }),
    ("flush",             1, |control, args| text(flush::name(&control.cache, args))),
    ("flush_type",        2, |control, args| text(flush::of_type(&control.cache, args))),
    ("flush_zone",        1, |control, args| text(flush::zone(&control.cache, args))),
    ("flush_bogus",       0, |control, _| text(flush::shown(control.cache.flush_bogus()))),
    ("flush_negative",    0, |control, _| text(flush::shown(control.cache.flush_negative()))),
    ("flush_infra",       1, |control, args| text(flush_infra(control, args))),
    ("get_option",        1, |control, args| text(get_option(control, args))),
    ("list_forwards",     0, |control, _| text(zones(&control.config.load().forward_zones, "forward"))),
    ("list_stubs",        0, |control, _| text(zones(&control.config.load().stub_zones, "stub"))),
    ("list_insecure",     0, |control, _| text(insecure(control))),
    ("list_local_zones",  0, |control, _| text(local_zones(control))),
    // None of these exist here, so that their lists are empty.
    ("list_auth_zones",   0, |_, _| text(String::new())),
    ("ratelimit_list",    1, |_, _| text(String::new())),
    ("ip_ratelimit_list", 1, |_, _| text(String::new())),
];

/// Runs a command. Commands are case-sensitive, as in Unbound.
pub(super) fn run(words: &[&str], control: &Control) -> Outcome {
    let Some((command, args)) = words.split_first() else {
        return text("error empty command\n".to_owned());
    };
    let Some((_, most, run)) = COMMANDS.iter().find(|row| row.0 == *command) else {
        return text(format!("error unknown command '{command}'\n"));
    };
    match args.get(*most) {
        Some(extra) if *most == 0 => {
            text(format!("error command {command} takes no arguments, have '{extra}'\n"))
        }
        Some(extra) => text(format!("error command {command} has too many arguments: '{extra}'\n")),
        None => run(control, args),
    }
}

fn text(text: String) -> Outcome {
    Outcome::Text(text)
}

fn ok() -> Outcome {
    text("ok\n".to_owned())
}

fn status(control: &Control) -> String {
    let config = control.config.load();
    let modules: Vec<_> = config
        .module_config
        .iter()
        .filter_map(|module| match module {
            Module::Validator => Some("validator"),
            Module::Iterator => Some("iterator"),
            Module::Dns64 => Some("dns64"),
            Module::Other(_) => None,
        })
        .collect();
    let uptime = Now::system().mono.since(control.started).as_secs();
    // The last line is what scripts look for, word by word.
    format!(
        "version: {}\nverbosity: {}\nthreads: {}\nmodules: {} [ {} ]\nuptime: {uptime} seconds\n\
         options: reuseport control(namedpipe)\nunbound (pid {}) is running...\n",
        env!("CARGO_PKG_VERSION"),
        logging::verbosity(),
        control.metrics.totals().len(),
        modules.len(),
        modules.join(" "),
        std::process::id(),
    )
}

fn verbosity(args: &[&str]) -> String {
    match args.first().map(|number| number.parse()) {
        Some(Ok(number)) => {
            logging::set_verbosity(number);
            "ok\n".to_owned()
        }
        _ => "error in verbosity number syntax: expected 0 to 5\n".to_owned(),
    }
}

fn flush_infra(control: &Control, args: &[&str]) -> String {
    let server = match args.first() {
        None | Some(&"all") => None,
        Some(address) => match address.parse::<IpAddr>() {
            Ok(address) => Some(address),
            Err(_) => return format!("error in syntax of IP address '{address}'\n"),
        },
    };
    control.cache.flush_infra(server);
    "ok\n".to_owned()
}

fn get_option(control: &Control, args: &[&str]) -> String {
    let Some(name) = args.first() else { return "error no option given\n".to_owned() };
    let name = name.strip_suffix(':').unwrap_or(name);
    match control.settings.load().get(name) {
        None => "error unknown option\n".to_owned(),
        Some(values) => values.into_iter().fold(String::new(), |mut text, value| {
            text.push_str(value);
            text.push('\n');
            text
        }),
    }
}

/// `. IN forward 192.0.2.1 192.0.2.2@5353`, a line a zone.
fn zones(zones: &[ZoneTarget], kind: &str) -> String {
    let mut text = String::new();
    for zone in zones {
        let _ = write!(text, "{} IN {kind}", zone.name);
        if zone.first {
            text.push_str(" +f");
        }
        if zone.prime {
            text.push_str(" prime");
        }
        for host in &zone.hosts {
            let _ = write!(text, " {}", host.name);
        }
        for server in &zone.addrs {
            let _ = write!(text, " {}", server.addr.ip());
            if server.addr.port() != 53 {
                let _ = write!(text, "@{}", server.addr.port());
            }
        }
        text.push('\n');
    }
    text
}

fn insecure(control: &Control) -> String {
    let config = control.config.load();
    config.domain_insecure.iter().map(|name| format!("{name}\n")).collect()
}

fn local_zones(control: &Control) -> String {
    let zones = Policy::new(&control.config.load(), "").local_zones();
    let spelling = |kind| {
        let row = LocalZoneKind::SPELLINGS.iter().find(|row| row.1 == kind);
        row.map_or("transparent", |row| row.0)
    };
    zones.iter().map(|zone| format!("{} {}\n", zone.name, spelling(zone.kind))).collect()
}
