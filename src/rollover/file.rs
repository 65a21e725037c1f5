//! The file of a trust point, in the form that Unbound writes and reads.

use std::fmt::Write;

use data_encoding::BASE64;

use super::point::{Key, Point, State};
use crate::clock::UnixTime;
use crate::config::{AnchorFile, AnchorKind};
use crate::wire::{Dnskey, Ds, Name, Rdata, Record, RecordType};

const TITLE: &str = "; autotrust trust anchor file\n";
const GONE: &str = "\
;;REVOKED
; The zone has all keys revoked, and is
; considered as if it has no trust anchors.
; the remainder of the file is the last probe.
; to restart the trust anchor, overwrite this file.
; with one containing valid DNSKEYs or DSes.
";

/// The trust point that a file holds: that of its first record. None in a file without records that
/// does not say for which zone it is.
pub(super) fn read(file: &AnchorFile) -> Option<Point> {
    let zone = match file.records.first() {
        Some((record, _)) => record.owner.to_lowercase(),
        None => file.field("id")?.split_whitespace().next()?.parse::<Name>().ok()?.to_lowercase(),
    };
    // Behind the number of a time stands the date, for people.
    let number = |name: &str| {
        let value = file.field(name)?.split(|c: char| !c.is_ascii_digit()).next()?;
        value.parse::<u64>().ok()
    };
    let time = |name| UnixTime(number(name).unwrap_or(0));
    let seconds = |name, otherwise| {
        number(name).map_or(otherwise, |seconds| u32::try_from(seconds).unwrap_or(u32::MAX))
    };
    let fresh = Point::new(zone);
    let mut point = Point {
        gone: file.is_gone(),
        last_queried: time("last_queried"),
        last_success: time("last_success"),
        next_probe: time("next_probe_time"),
        failed: seconds("query_failed", 0),
        query_interval: seconds("query_interval", fresh.query_interval),
        retry_time: seconds("retry_time", fresh.retry_time),
        ..fresh
    };
    for (record, comment) in &file.records {
        if record.owner == point.zone {
            let key = key(record, comment, file);
            point.keys.splice(0..0, key);
        }
    }
    Some(point)
}

/// The key that a line of the file stands for, unless it is one that nobody waits for.
fn key(record: &Record, comment: &str, file: &AnchorFile) -> Option<Key> {
    let state = match file.state(comment) {
        1 => State::AddPend,
        AnchorFile::VALID => State::Valid,
        AnchorFile::MISSING => State::Missing,
        4 => State::Revoked,
        _ => return None,
    };
    let number = |name| AnchorFile::number(comment, name).unwrap_or(0);
    Some(Key {
        kind: match record.rtype {
            RecordType::DS => AnchorKind::Ds,
            _ => AnchorKind::Dnskey,
        },
        rdata: record.rdata.clone(),
        ttl: record.ttl,
        state,
        count: u32::try_from(number(";count=")).unwrap_or(u32::MAX),
        since: UnixTime(number(";lastchange=")),
    })
}

/// The file as text.
pub(super) fn write(point: &Point) -> String {
    let mut out = TITLE.to_owned();
    if point.gone {
        out.push_str(GONE);
    }
    let zone = &point.zone;
    let mut line = |line: std::fmt::Arguments<'_>| {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{line}");
    };
    line(format_args!(";;id: {zone} 1"));
    for (name, time) in [
        ("last_queried", point.last_queried),
        ("last_success", point.last_success),
        ("next_probe_time", point.next_probe),
    ] {
        line(format_args!(";;{name}: {time} ;;{}", date(time)));
    }
    line(format_args!(";;query_failed: {}", point.failed));
    line(format_args!(";;query_interval: {}", point.query_interval));
    line(format_args!(";;retry_time: {}", point.retry_time));
    for key in &point.keys {
        let (state, since) = (key.state as u8, key.since);
        line(format_args!(
            "{zone}\t{}\tIN\t{} ;;state={state} [{}] ;;count={} ;;lastchange={since} ;;{}",
            key.ttl,
            data(key),
            label(key.state),
            key.count,
            date(since),
        ));
    }
    out
}

/// The state as a word, in the middle of nine columns.
fn label(state: State) -> &'static str {
    match state {
        State::AddPend => " ADDPEND ",
        State::Valid => "  VALID  ",
        State::Missing => " MISSING ",
        State::Revoked => " REVOKED ",
    }
}

/// Type and data of the record, with a comment for people.
fn data(key: &Key) -> String {
    match key.kind {
        AnchorKind::Dnskey => Dnskey::parse(&key.rdata).map_or_else(String::new, |dnskey| {
            let Dnskey { flags, protocol, algorithm, public_key, key_tag } = dnskey;
            let purpose = if flags & Dnskey::SEP != 0 { "ksk" } else { "zsk" };
            let (key, bits) = (BASE64.encode(public_key), bits(algorithm, public_key));
            format!(
                "DNSKEY\t{flags} {protocol} {algorithm} {key} ;{{id = {key_tag} ({purpose}), \
                 size = {bits}b}}"
            )
        }),
        AnchorKind::Ds => digest(&key.rdata),
    }
}

fn digest(rdata: &Rdata) -> String {
    Ds::parse(rdata).map_or_else(String::new, |ds| {
        let digest = data_encoding::HEXLOWER.encode(ds.digest);
        format!("DS\t{} {} {} {digest} ;", ds.key_tag, ds.algorithm, ds.digest_type)
    })
}

/// Size of a public key in bits, as people say it; of RSA, that of its modulus.
fn bits(algorithm: u8, key: &[u8]) -> usize {
    match (algorithm, key) {
        (1 | 5 | 7 | 8 | 10, [0, high, low, rest @ ..]) => {
            rest.len().saturating_sub(usize::from(u16::from_be_bytes([*high, *low]))) * 8
        }
        (1 | 5 | 7 | 8 | 10, [len, rest @ ..]) => rest.len().saturating_sub((*len).into()) * 8,
        (3 | 6, [t, ..]) => (64 + usize::from(*t) * 8) * 8,
        (13, _) => 256,
        (14, _) => 384,
        (15, _) => 256,
        (16, _) => 456,
        _ => key.len() * 8,
    }
}

/// A moment in UTC as the C library's `ctime` writes it.
fn date(time: UnixTime) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, second) = (time.0 / 86_400, time.0 % 86_400);
    let weekday = DAYS.get(usize::try_from(days % 7).unwrap_or(0)).unwrap_or(&"");
    // Years that begin in March end with the leap day; an era of 400 of them has 146,097 days, and
    // 1970 began 719,468 days into the count.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month_name = MONTHS.get(usize::try_from((month + 2) % 12).unwrap_or(0)).unwrap_or(&"");
    let year = era * 400 + year + u64::from(month >= 10);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{weekday} {month_name} {day:2} {hour:02}:{minute:02}:{second:02} {year}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    /// What a file with that content is read as.
    fn load(name: &str, text: &str) -> AnchorFile {
        let path =
            std::env::temp_dir().join(format!("prebound-rollover-{name}-{}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        let config = format!("server: auto-trust-anchor-file: \"{}\"", path.display());
        let loaded = config::load_text("test.conf".as_ref(), config).unwrap();
        std::fs::remove_file(&path).unwrap();
        loaded.config.anchor_files[0].clone()
    }

    const KEY: &str = "AwEAAc3Z5DQDJpH4oPdNtC4BUQHk50XMD+dHr4r8psHmivIa83hxR5CRgCtd9sENCW9Ae8OI\
                       O19xw9t/RPaEAqQa+OE=";

    fn written(gone: &str, keys: &[&str]) -> String {
        let head = ";;id: example.com. 1\n\
            ;;last_queried: 1258962400 ;;Mon Nov 23 07:46:40 2009\n\
            ;;last_success: 1258962400 ;;Mon Nov 23 07:46:40 2009\n\
            ;;next_probe_time: 0 ;;Thu Jan  1 00:00:00 1970\n\
            ;;query_failed: 6\n;;query_interval: 5400\n;;retry_time: 3600\n";
        format!("{TITLE}{gone}{head}{}", keys.concat())
    }

    #[test]
    fn what_is_written_is_read_with_the_last_line_as_the_newest_key() {
        let valid = format!(
            "example.com.\t10800\tIN\tDNSKEY\t257 3 5 {KEY} ;{{id = 55582 (ksk), size = 512b}} \
             ;;state=2 [  VALID  ] ;;count=0 ;;lastchange=1258962400 ;;Mon Nov 23 07:46:40 2009\n"
        );
        let new = "example.com.\t60\tIN\tDNSKEY\t257 3 13 AQID ;{id = 2064 (ksk), size = 256b} \
             ;;state=1 [ ADDPEND ] ;;count=3 ;;lastchange=0 ;;Thu Jan  1 00:00:00 1970\n";
        let point = read(&load("order", &written("", &[&valid, new]))).unwrap();
        assert_eq!(write(&point), written("", &[new, &valid]));
        assert_eq!(point.anchors().len(), 1);
    }

    #[test]
    fn a_point_that_is_gone_stays_so() {
        let revoked = format!(
            "example.com.\t10800\tIN\tDNSKEY\t385 3 5 {KEY} ;{{id = 55710 (ksk), size = 512b}} \
             ;;state=4 [ REVOKED ] ;;count=0 ;;lastchange=1258962400 ;;Mon Nov 23 07:46:40 2009\n"
        );
        let text = written(GONE, &[&revoked]);
        let point = read(&load("gone", &text)).unwrap();
        assert!(point.gone && point.anchors().is_empty());
        assert_eq!(write(&point), text);
    }

    #[test]
    fn files_of_other_programs_begin_a_point() {
        for (name, text, keys, anchors) in [
            ("ds", ". 100 IN DS 20326 8 2 e06d44b8 ; xiniv-mopov\n", 1, 1),
            ("both", "a. DNSKEY 257 3 8 AQID\na. DNSKEY 256 3 8 AQIE\na. DS 1 8 2 ab\n", 3, 3),
            ("signed", "a. DNSKEY 257 3 8 AQID\na. RRSIG \\# 1 00\nA. DNSKEY 257 3 8 AQIE\n", 2, 2),
            // What is left of a line says nothing of a key that may have been waited for.
            ("cut", "a. DNSKEY 257 3 8 AQID ;;state=2\na. DNSKEY 257 3 8 AQIE ;{id", 1, 1),
            ("odd", "a. DNSKEY 257 3 8 AQID ;;state=1\na. DNSKEY 257 3 8 AQIE ;;state=9\n", 1, 0),
        ] {
            let point = read(&load(name, text)).unwrap();
            assert_eq!((point.keys.len(), point.anchors().len()), (keys, anchors), "{name}");
            assert_eq!((point.last_success, point.query_interval), (UnixTime(0), 3600), "{name}");
        }
    }

    #[test]
    fn dates_are_those_of_ctime() {
        for (time, want) in [
            (0, "Thu Jan  1 00:00:00 1970"),
            (1_251_100_000, "Mon Aug 24 07:46:40 2009"),
            (951_782_400, "Tue Feb 29 00:00:00 2000"),
            (1_709_251_199, "Thu Feb 29 23:59:59 2024"),
            (4_107_542_400, "Mon Mar  1 00:00:00 2100"),
        ] {
            assert_eq!(date(UnixTime(time)), want);
        }
    }
}
