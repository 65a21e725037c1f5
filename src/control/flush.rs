//! Forgetting on command.

use crate::cache::{Cache, Flushed};
use crate::wire::{Name, RecordType};

/// `flush NAME`
pub(super) fn name(cache: &Cache, args: &[&str]) -> String {
    with_name(args, |name| {
        cache.flush_name(&name);
        "ok\n".to_owned()
    })
}

/// `flush_type NAME TYPE`
pub(super) fn of_type(cache: &Cache, args: &[&str]) -> String {
    with_name(args, |name| {
        let Some(text) = args.get(1) else { return "error: expected a record type\n".to_owned() };
        let Ok(rtype) = text.parse::<RecordType>() else {
            return format!("error: unknown record type '{text}'\n");
        };
        cache.flush_type(&name, rtype);
        "ok\n".to_owned()
    })
}

/// `flush_zone NAME`
pub(super) fn zone(cache: &Cache, args: &[&str]) -> String {
    with_name(args, |name| shown(cache.flush_zone(&name)))
}

/// What was removed, as Unbound says it.
pub(super) fn shown(flushed: Flushed) -> String {
    let Flushed { answers, rrsets, delegations, keys } = flushed;
    let rrsets = rrsets + delegations;
    format!("ok removed {rrsets} rrsets, {answers} messages and {keys} key entries\n")
}

fn with_name(args: &[&str], flush: impl FnOnce(Name) -> String) -> String {
    let Some(text) = args.first() else {
        return "error: this option requires a domain name\n".to_owned();
    };
    match text.parse() {
        Ok(name) => flush(name),
        Err(error) => format!("error: cannot parse name '{text}': {error}\n"),
    }
}
