//! The commands, in one table: the server runs them, the client's help and completions list them.

use std::fmt::Write;

use super::change::{self, Kind};
use super::{Control, dump, flush, lists, local, stats, zones};
use crate::clock::Now;

/// An answer that is written as it is made.
pub(super) type Chunks = Box<dyn Iterator<Item = String> + Send>;

/// One command.
pub struct Command {
    /// Its name. Commands are case-sensitive.
    pub name: &'static str,
    /// Its arguments: `[...]` may be left out, what ends with `...` may be repeated.
    pub usage: &'static str,
    /// What it does, in a line.
    pub help: &'static str,
    pub(super) run: Run,
}

/// How a command is run.
pub(super) enum Run {
    /// At once.
    Text(fn(&Control, &Args<'_>) -> String),
    /// At once, the answer piece by piece.
    Chunks(fn(&Control, &Args<'_>) -> Result<Chunks, String>),
    /// When the items that follow the command are there.
    Items(fn(&Control, &Args<'_>, &[String]) -> String),
    /// While the cache that follows the command comes in.
    LoadCache,
    /// By whoever runs the process.
    Reload {
        /// What was learned stays.
        keep_cache: bool,
    },
    /// The process ends.
    Stop,
    /// By the workers.
    Requests,
    /// By the workers.
    DropRequests,
}

impl Command {
    /// What ends the data on standard input that follows the command on its connection, if the
    /// command takes any.
    pub fn input_ends_with(&self) -> Option<&'static str> {
        match self.run {
            Run::Items(_) => Some("\u{4}"),
            Run::LoadCache => Some("EOF"),
            _ => None,
        }
    }

    /// How many arguments it takes, at least and at most.
    pub fn arity(&self) -> (usize, usize) {
        let words = || self.usage.split_ascii_whitespace();
        let least = words().filter(|word| !word.contains(['[', ']', '|'])).count();
        let most = if self.usage.contains("...") { usize::MAX } else { words().count() };
        (least, most)
    }
}

/// The arguments of a command.
pub(super) struct Args<'a> {
    pub(super) command: &'static Command,
    pub(super) words: Vec<&'a str>,
    /// All of it, as it came.
    rest: &'a str,
}

impl<'a> Args<'a> {
    pub(super) fn new(command: &'static Command, rest: &'a str) -> Self {
        let rest = rest.trim_matches(BLANKS);
        let words = rest.split(BLANKS).filter(|word| !word.is_empty()).collect();
        Self { command, words, rest }
    }

    /// What is wrong with how many there are.
    pub(super) fn check(&self) -> Result<(), String> {
        let (least, most) = self.command.arity();
        let name = self.command.name;
        if self.words.len() < least {
            return Err(self.needs());
        }
        match self.words.get(most) {
            Some(extra) if most == 0 => {
                Err(format!("error command {name} takes no arguments, have '{extra}'\n"))
            }
            Some(extra) => {
                let usage = self.command.usage;
                Err(format!(
                    "error command {name} takes {usage}, and '{extra}' is more than that\n"
                ))
            }
            None => Ok(()),
        }
    }

    /// What to say when an argument is missing.
    pub(super) fn needs(&self) -> String {
        let Command { name, usage, .. } = self.command;
        if self.words.is_empty() && matches!(*usage, "NAME" | "ZONE") {
            return "error: this option requires a domain name\n".to_owned();
        }
        let mut text = format!("error command {name} needs {usage}");
        if !self.rest.is_empty() {
            let _ = write!(text, ", have '{}'", self.rest);
        }
        text.push('\n');
        text
    }

    /// The word with that number, counted from 0; empty when there are fewer.
    pub(super) fn word(&self, index: usize) -> &'a str {
        self.words.get(index).copied().unwrap_or_default()
    }

    /// What follows the first so many words, as it came: records may have blanks in quotes.
    pub(super) fn after(&self, count: usize) -> &'a str {
        (0..count).fold(self.rest, |rest, _| {
            rest.split_once(BLANKS).map_or("", |(_, rest)| rest.trim_start_matches(BLANKS))
        })
    }

    /// Letters behind a `+`, when they are first and all known, and the words behind them.
    pub(super) fn flags(&self, known: &str) -> Result<(&'a str, &[&'a str]), String> {
        let Some(flags) = self.word(0).strip_prefix('+') else { return Ok(("", &self.words)) };
        match flags.chars().find(|flag| !known.contains(*flag)) {
            Some(flag) => Err(format!("error: unknown option {flag}, expected some of +{known}\n")),
            None => Ok((flags, self.words.get(1..).unwrap_or_default())),
        }
    }
}

const BLANKS: [char; 2] = [' ', '\t'];

const fn text(
    name: &'static str,
    usage: &'static str,
    help: &'static str,
    run: fn(&Control, &Args<'_>) -> String,
) -> Command {
    Command { name, usage, help, run: Run::Text(run) }
}

const fn row(name: &'static str, usage: &'static str, help: &'static str, run: Run) -> Command {
    Command { name, usage, help, run }
}

fn ok() -> String {
    "ok\n".to_owned()
}

/// Every command.
#[rustfmt::skip]
pub const COMMANDS: &[Command] = &[
    text("status", "", "say whether it runs, since when and how", |c, _| super::commands::status(c)),
    row("stop", "", "end the process", Run::Stop),
    row("reload", "", "read the configuration again and forget what was learned", Run::Reload { keep_cache: false }),
    row("reload_keep_cache", "", "read the configuration again", Run::Reload { keep_cache: true }),
    // Every reload puts the new configuration into force while the old one serves.
    row("fast_reload", "[+dpv]", "the same as reload_keep_cache; flags are accepted", Run::Reload { keep_cache: true }),
    text("verbosity", "NUMBER", "log more or less, 0 to 5, until the next reload", super::commands::verbosity),
    // There is no log file: standard error belongs to the service manager.
    text("log_reopen", "", "accepted: logs go to standard error or the journal", |_, _| ok()),
    text("stats", "", "print statistics and count from zero again", |c, _| stats::show(c, true, Now::system())),
    text("stats_noreset", "", "print statistics", |c, _| stats::show(c, false, Now::system())),
    text("flush_stats", "", "count from zero again", |c, _| { c.metrics.recent(true); ok() }),
    text("get_option", "OPTION", "print the value of an option of the configuration", super::commands::get_option),
    text("set_option", "OPTION: VALUE...", "set an option until the next reload", change::set_option),

    text("flush", "NAME", "forget everything about a name", |c, a| flush::name(&c.cache, &a.words)),
    text("flush_type", "NAME TYPE", "forget one type of a name", |c, a| flush::of_type(&c.cache, &a.words)),
    text("flush_zone", "NAME", "forget everything at and below a name", |c, a| flush::zone(&c.cache, &a.words)),
    text("flush_bogus", "", "forget what failed validation", |c, _| flush::shown(c.cache.flush_bogus())),
    text("flush_negative", "", "forget denials and failures", |c, _| flush::shown(c.cache.flush_negative())),
    text("flush_infra", "all|ADDRESS", "forget what is known of servers", super::commands::flush_infra),
    row("flush_requestlist", "", "give up what is in flight; clients get no answer", Run::DropRequests),
    row("dump_requestlist", "", "print what is in flight in every worker", Run::Requests),
    row("dump_infra", "", "print what is known of servers", Run::Chunks(dump::infra)),
    row("dump_cache", "", "print the cache", Run::Chunks(dump::cache)),
    row("load_cache", "", "take a cache from standard input, as dump_cache prints it", Run::LoadCache),
    row("cache_lookup", "[+t] NAME...", "print what is cached at and below names; +t allows top level domains", Run::Chunks(dump::cache_lookup)),
    text("lookup", "NAME", "print which servers would be asked about a name", dump::lookup),

    text("list_forwards", "", "print the forward zones", |c, _| lists::forwards(c)),
    text("list_stubs", "", "print the stub zones and the root hints", |c, _| lists::stubs(c)),
    text("list_insecure", "", "print the names that are not validated", |c, _| lists::insecure(c)),
    text("list_local_zones", "", "print the local zones", |c, a| local::list_zones(c, a, false)),
    text("list_local_data", "", "print the local data", |c, a| local::list_data(c, a, false)),
    text("list_auth_zones", "", "print the zones of which there are copies", |c, _| zones::list(c)),
    text("insecure_add", "ZONE", "do not validate at and below a name", change::insecure_add),
    text("insecure_remove", "ZONE", "validate there again", change::insecure_remove),
    text("forward_add", "[+it] ZONE ADDRESS...", "forward a zone; +i: do not validate it, +t: over TLS", |c, a| change::zone_add(Kind::Forward, c, a)),
    text("forward_remove", "[+i] ZONE", "end that", |c, a| change::zone_remove(Kind::Forward, c, a)),
    text("forward", "[off|ADDRESS...]", "forward everything, nothing, or print which", change::forward),
    text("stub_add", "[+ipt] ZONE ADDRESS...", "ask these servers about a zone; +i: do not validate it, +p: prime, +t: over TLS", |c, a| change::zone_add(Kind::Stub, c, a)),
    text("stub_remove", "[+i] ZONE", "end that", |c, a| change::zone_remove(Kind::Stub, c, a)),

    text("local_zone", "NAME TYPE", "add a local zone, or change its type", |c, a| local::zone(c, a, false)),
    text("local_zone_remove", "NAME", "remove a local zone with its data", |c, a| local::zone_remove(c, a, false)),
    text("local_data", "RECORD...", "add a record of local data", |c, a| local::data(c, a, false)),
    text("local_data_remove", "NAME", "remove the local data of a name", |c, a| local::data_remove(c, a, false)),
    row("local_zones", "", "add local zones from standard input, NAME TYPE a line", Run::Items(local::zones)),
    row("local_zones_remove", "", "remove local zones from standard input, NAME a line", Run::Items(local::zones_remove)),
    row("local_datas", "", "add records from standard input, one a line", Run::Items(|c, a, l| local::datas(c, a, l, false))),
    row("local_datas_remove", "", "remove local data from standard input, NAME a line", Run::Items(|c, a, l| local::datas_remove(c, a, l, false))),
    text("view_list_local_zones", "VIEW", "list_local_zones of a view", |c, a| local::list_zones(c, a, true)),
    text("view_list_local_data", "VIEW", "list_local_data of a view", |c, a| local::list_data(c, a, true)),
    text("view_local_zone", "VIEW NAME TYPE", "local_zone in a view", |c, a| local::zone(c, a, true)),
    text("view_local_zone_remove", "VIEW NAME", "local_zone_remove in a view", |c, a| local::zone_remove(c, a, true)),
    text("view_local_data", "VIEW RECORD...", "local_data in a view", |c, a| local::data(c, a, true)),
    text("view_local_data_remove", "VIEW NAME", "local_data_remove in a view", |c, a| local::data_remove(c, a, true)),
    row("view_local_datas", "VIEW", "local_datas in a view", Run::Items(|c, a, l| local::datas(c, a, l, true))),
    row("view_local_datas_remove", "VIEW", "local_datas_remove in a view", Run::Items(|c, a, l| local::datas_remove(c, a, l, true))),

    text("auth_zone_reload", "ZONE", "read the file of a zone again", zones::reload),
    text("auth_zone_transfer", "ZONE", "ask the primaries of a zone for a newer copy", zones::transfer),
    text("rpz_enable", "ZONE", "apply a response policy zone again", |c, a| zones::enable(c, a, true)),
    text("rpz_disable", "ZONE", "do not apply a response policy zone", |c, a| zones::enable(c, a, false)),
    text("ratelimit_list", "[+a]", "print the zones that are asked too often; +a: all that are counted", |c, a| zones::rates(c, a, false)),
    text("ip_ratelimit_list", "[+a]", "print the clients that ask too often; +a: all that are counted", |c, a| zones::rates(c, a, true)),
];
