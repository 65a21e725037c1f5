//! From a line to what is done about it, and the commands about the process itself.

use std::net::IpAddr;

use super::Control;
use super::table::{Args, COMMANDS, Command};
use crate::clock::Now;
use crate::config::Module;
use crate::logging;

/// The command of a line and its arguments.
pub(super) fn find(line: &str) -> Result<(&'static Command, Args<'_>), String> {
    let (name, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    if name.is_empty() {
        return Err("error empty command\n".to_owned());
    }
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        return Err(format!("error unknown command '{name}'\n"));
    };
    Ok((command, Args::new(command, rest)))
}

pub(super) fn status(control: &Control) -> String {
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

pub(super) fn verbosity(_: &Control, args: &Args<'_>) -> String {
    match args.word(0).parse() {
        Ok(number) => {
            logging::set_verbosity(number);
            "ok\n".to_owned()
        }
        Err(_) => {
            format!("error in verbosity number syntax: '{}', expected 0 to 5\n", args.word(0))
        }
    }
}

pub(super) fn flush_infra(control: &Control, args: &Args<'_>) -> String {
    let server = match args.word(0) {
        "" => return args.needs(),
        "all" => None,
        address => match address.parse::<IpAddr>() {
            Ok(address) => Some(address),
            Err(_) => {
                return format!("error parsing ip addr: '{address}', expected one or 'all'\n");
            }
        },
    };
    control.cache.flush_infra(server);
    "ok\n".to_owned()
}

pub(super) fn get_option(control: &Control, args: &Args<'_>) -> String {
    let name = args.word(0).trim_end_matches(':');
    match control.settings.load().get(name) {
        None => "error unknown option\n".to_owned(),
        Some(values) => values.into_iter().map(|value| format!("{value}\n")).collect(),
    }
}
