//! Local zones and data, of everybody and of views.

use std::collections::HashSet;
use std::fmt::Write;

use super::Control;
use super::change::name;
use super::table::Args;
use crate::config::{self, Config, LocalZone, LocalZoneKind};
use crate::policy::Policy;
use crate::wire::{Name, Rdata, Record, RecordType, Rrset};

/// Mistakes of bulk commands that are shown one by one.
const SHOWN: usize = 100;

/// What a command is about: the zones and the data of everybody or of one view.
type Place<'a> = (&'a mut Vec<LocalZone>, &'a mut Vec<Record>);

/// The view named by the first word, when the command is about views.
fn place<'a>(config: &'a mut Config, view: Option<&str>) -> Result<Place<'a>, String> {
    let Some(name) = view else {
        return Ok((&mut config.local_zones, &mut config.local_data));
    };
    let view = config.policy.views.iter_mut().find(|view| view.name == name);
    let view = view.ok_or_else(|| no_view(name))?;
    Ok((&mut view.zones, &mut view.data))
}

/// What Unbound says; its client takes it for a success, so ours begins with the word.
fn no_view(name: &str) -> String {
    format!("error no view with name: {name}\n")
}

/// The words without the name of the view, and that name.
fn split<'a>(args: &Args<'a>, in_view: bool) -> (Option<&'a str>, &'a str) {
    if in_view { (Some(args.word(0)), args.after(1)) } else { (None, args.after(0)) }
}

//--- Single changes

/// `local_zone NAME TYPE`, `view_local_zone VIEW NAME TYPE`
pub(super) fn zone(control: &Control, args: &Args<'_>, in_view: bool) -> String {
    let (view, rest) = split(args, in_view);
    said(zone_of(rest).and_then(|zone| {
        control.change(|config| {
            add_zones(place(config, view)?, vec![zone]);
            Ok(())
        })
    }))
}

/// `local_zone_remove NAME`, `view_local_zone_remove VIEW NAME`
pub(super) fn zone_remove(control: &Control, args: &Args<'_>, in_view: bool) -> String {
    let (view, rest) = split(args, in_view);
    said(name(rest).and_then(|zone| {
        let listed = listed(control, view)?;
        control.change(|config| {
            remove_zones(place(config, view)?, &HashSet::from([zone]), &listed);
            Ok(())
        })
    }))
}

/// `local_data RECORD`, `view_local_data VIEW RECORD`
pub(super) fn data(control: &Control, args: &Args<'_>, in_view: bool) -> String {
    let (view, rest) = split(args, in_view);
    said(record_of(rest).and_then(|record| {
        control.change(|config| {
            add_data(place(config, view)?.1, vec![record]);
            Ok(())
        })
    }))
}

/// `local_data_remove NAME`, `view_local_data_remove VIEW NAME`
pub(super) fn data_remove(control: &Control, args: &Args<'_>, in_view: bool) -> String {
    let (view, rest) = split(args, in_view);
    said(name(rest).and_then(|owner| {
        control.change(|config| {
            let (_, data) = place(config, view)?;
            let before = data.len();
            data.retain(|record| record.owner != owner);
            let default = data.len() == before
                && view.is_none()
                && control.running.policy().has_local_data(&owner);
            match default {
                true => Err(format!(
                    "error: the data of '{owner}' is that of a zone which is always there; \
                     configure the zone with local_zone first\n"
                )),
                false => Ok(()),
            }
        })
    }))
}

fn said(done: Result<(), String>) -> String {
    done.map_or_else(|error| error, |()| "ok\n".to_owned())
}

//--- Many at once: one change

/// `local_zones`
pub(super) fn zones(control: &Control, _: &Args<'_>, lines: &[String]) -> String {
    let (zones, errors) = read_all(lines, zone_of);
    let count = zones.len();
    bulk(control, None, errors, format!("added {count} zones\n"), |place, _| {
        add_zones(place, zones);
    })
}

/// `local_zones_remove`
pub(super) fn zones_remove(control: &Control, _: &Args<'_>, lines: &[String]) -> String {
    let (names, errors) = read_all(lines, name);
    let count = names.len();
    bulk(control, None, errors, format!("removed {count} zones\n"), |place, listed| {
        remove_zones(place, &names.into_iter().collect(), listed);
    })
}

/// `local_datas`, `view_local_datas VIEW`
pub(super) fn datas(control: &Control, args: &Args<'_>, lines: &[String], in_view: bool) -> String {
    let (records, errors) = read_all(lines, record_of);
    let count = records.len();
    let (view, _) = split(args, in_view);
    bulk(control, view, errors, format!("added {count} datas\n"), |place, _| {
        add_data(place.1, records);
    })
}

/// `local_datas_remove`, `view_local_datas_remove VIEW`
pub(super) fn datas_remove(
    control: &Control,
    args: &Args<'_>,
    lines: &[String],
    in_view: bool,
) -> String {
    let (names, errors) = read_all(lines, name);
    let count = names.len();
    let (view, _) = split(args, in_view);
    bulk(control, view, errors, format!("removed {count} datas\n"), |(_, data), _| {
        let names: HashSet<Name> = names.into_iter().collect();
        data.retain(|record| !names.contains(&record.owner));
    })
}

/// What could be read of each line, and what is said about the others. Empty lines are passed over.
fn read_all<T>(
    lines: &[String],
    read: impl Fn(&str) -> Result<T, String>,
) -> (Vec<T>, Vec<String>) {
    let (mut good, mut errors) = (Vec::with_capacity(lines.len()), Vec::new());
    for line in lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty()) {
        match read(line) {
            Ok(item) => good.push(item),
            Err(error) => errors.push(format!("{error}error for input line: {line}\n")),
        }
    }
    (good, errors)
}

/// As in Unbound, lines with mistakes do not keep the others from counting.
fn bulk(
    control: &Control,
    view: Option<&str>,
    errors: Vec<String>,
    done: String,
    edit: impl FnOnce(Place<'_>, &[LocalZone]),
) -> String {
    let changed = listed(control, view).and_then(|listed| {
        control.change(|config| {
            edit(place(config, view)?, &listed);
            Ok(())
        })
    });
    if let Err(error) = changed {
        return error;
    }
    let more = errors.len().saturating_sub(SHOWN);
    let mut text: String = errors.into_iter().take(SHOWN).collect();
    if more > 0 {
        let _ = writeln!(text, "error for {more} more input lines");
    }
    text + &done
}

fn zone_of(text: &str) -> Result<LocalZone, String> {
    let mut words = text.split_ascii_whitespace();
    let (Some(zone), Some(kind), None) = (words.next(), words.next(), words.next()) else {
        return Err(format!("error: expected a name and a type of zone, have '{text}'\n"));
    };
    let known = LocalZoneKind::SPELLINGS.iter().find(|row| row.0 == kind);
    let Some((_, kind)) = known else {
        let known: Vec<_> = LocalZoneKind::SPELLINGS.iter().map(|row| row.0).collect();
        return Err(format!("error not a zone type. {kind}; expected {}\n", known.join(", ")));
    };
    Ok(LocalZone { name: name(zone)?, kind: *kind })
}

fn record_of(text: &str) -> Result<Record, String> {
    config::record(text).map_err(|error| format!("error parsing local-data '{text}': {error}\n"))
}

//--- Editing

/// The last about a zone counts.
fn add_zones((zones, _): Place<'_>, new: Vec<LocalZone>) {
    let names: HashSet<&Name> = new.iter().map(|zone| &zone.name).collect();
    zones.retain(|zone| !names.contains(&zone.name));
    let mut seen = HashSet::with_capacity(new.len());
    let last: Vec<LocalZone> =
        new.iter().rev().filter(|zone| seen.insert(&zone.name)).cloned().collect();
    zones.extend(last.into_iter().rev());
}

/// Zones go with the data that lies in them, and not in a zone below them. Those that are always
/// there are kept from coming back.
fn remove_zones((zones, data): Place<'_>, names: &HashSet<Name>, listed: &[LocalZone]) {
    let all: HashSet<&Name> = listed.iter().map(|zone| &zone.name).collect();
    data.retain(|record| {
        let zone = record.owner.ancestors().find(|name| all.contains(name));
        !zone.is_some_and(|zone| names.contains(&zone))
    });
    zones.retain(|zone| !names.contains(&zone.name));
    let kind = LocalZoneKind::Nodefault;
    let gone = names.iter().filter(|name| all.contains(name)).cloned();
    zones.extend(gone.map(|name| LocalZone { name, kind }));
}

/// Records that are there already are replaced, so that a list can be sent twice.
fn add_data(data: &mut Vec<Record>, new: Vec<Record>) {
    let key = |record: &Record| -> (Name, RecordType, Rdata) {
        (record.owner.clone(), record.rtype, record.rdata.clone())
    };
    let keys: HashSet<_> = new.iter().map(key).collect();
    data.retain(|record| !keys.contains(&key(record)));
    let mut seen = HashSet::with_capacity(new.len());
    data.extend(new.into_iter().filter(|record| seen.insert(key(record))));
}

//--- Lists

/// Every zone that holds, those that are always there included.
fn listed(control: &Control, view: Option<&str>) -> Result<Vec<LocalZone>, String> {
    match view {
        None => Ok(control.running.policy().local_zones()),
        Some(view) => of_view(control, view).map(|(zones, _)| zones),
    }
}

fn of_view(control: &Control, view: &str) -> Result<(Vec<LocalZone>, Vec<Rrset>), String> {
    let config = control.config.load();
    let found = config.policy.views.iter().find(|known| known.name == view);
    let found = found.ok_or_else(|| no_view(view))?;
    Ok(Policy::local_of_view(found, &config))
}

/// `list_local_zones`, `view_list_local_zones VIEW`
pub(super) fn list_zones(control: &Control, args: &Args<'_>, in_view: bool) -> String {
    match listed(control, in_view.then(|| args.word(0))) {
        Err(error) => error,
        Ok(zones) => zones.iter().fold(String::new(), |mut text, zone| {
            let row = LocalZoneKind::SPELLINGS.iter().find(|row| row.1 == zone.kind);
            let _ = writeln!(text, "{} {}", zone.name, row.map_or("transparent", |row| row.0));
            text
        }),
    }
}

/// `list_local_data`, `view_list_local_data VIEW`: each record with an empty line behind it, as
/// Unbound has it.
pub(super) fn list_data(control: &Control, args: &Args<'_>, in_view: bool) -> String {
    let data = match in_view {
        false => Ok(control.running.policy().local_data()),
        true => of_view(control, args.word(0)).map(|(_, data)| data),
    };
    let data = match data {
        Ok(data) => data,
        Err(error) => return error,
    };
    let mut text = String::new();
    for rrset in &data {
        for rdata in &rrset.rdata {
            let shown = config::rdata_text(rrset.rtype, rdata);
            let Rrset { owner, ttl, class, rtype, .. } = rrset;
            let _ = write!(text, "{owner}\t{ttl}\t{class}\t{rtype}\t{shown}\n\n");
        }
    }
    text
}
