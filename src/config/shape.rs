//! What values look like, and what is said when they do not.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::master;
use super::net::Netblock;
use super::prefix64::Prefix64;
pub(super) use super::value_error::ValueError;
pub(super) use super::value_error::{Choices, Fix};
use super::values::{Iterations, Module, Nsid, ValDate};
use crate::wire::Name;

/// The form of the values of an option.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// `yes` or `no`.
    YesNo,
    /// A decimal number in a range, both ends included.
    Number(i64, i64),
    /// A power of two.
    PowerOfTwo,
    /// Bytes, with `k`, `m` or `g` for units of 1024.
    Size,
    /// Any text.
    Text,
    /// A file or directory; may be empty.
    Path,
    /// One of some words.
    OneOf(&'static [&'static str]),
    /// An address.
    Address,
    /// An address, or the name of a network interface, with `@PORT` or without.
    Interface,
    /// A server: an address, `@PORT` and `#NAME` optional.
    Server,
    /// A server by name, `@PORT` and `#NAME` optional.
    Host,
    /// An address or a block of addresses.
    Netblock,
    /// An IPv6 netblock with a length that IPv4 addresses can be embedded behind.
    Prefix64,
    /// A domain name.
    Name,
    /// A port, or `LOW-HIGH`.
    PortRange,
    /// Ports, with spaces between them.
    Ports,
    /// Names of modules, in order.
    Modules,
    /// A date as in RRSIG records, seconds since 1970, or -1.
    Date,
    /// Pairs of key size and iterations.
    Iterations,
    /// Numbers from -1 up.
    FetchPolicy,
    /// Hexadecimal digits, or `ascii_TEXT`.
    Nsid,
    /// A record.
    Record,
    /// A DS or DNSKEY record.
    Anchor,
    /// An address, a TTL or none, and a name.
    PtrRecord,
    /// Hexadecimal digits, so many of them.
    Hex(usize),
    /// Two values.
    Pair(&'static Self, &'static Self),
    /// Three values.
    Triple(&'static Self, &'static Self, &'static Self),
}

impl fmt::Display for Shape {
    /// What is expected, in words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::YesNo => f.write_str("yes or no"),
            Self::Number(min, NO_MAX) => write!(f, "a number, at least {min}"),
            Self::Number(min, max) => write!(f, "a number from {min} to {max}"),
            Self::PowerOfTwo => f.write_str("a power of 2"),
            Self::Size => f.write_str("bytes, with k, m or g"),
            Self::Text => f.write_str("text"),
            Self::Path => f.write_str("a path"),
            Self::OneOf(words) => Choices(words).fmt(f),
            Self::Address => f.write_str("an address"),
            Self::Interface => f.write_str("an address or interface[@port]"),
            Self::Server => f.write_str("address[@port][#name]"),
            Self::Host => f.write_str("name[@port][#name]"),
            Self::Netblock => f.write_str("address[/prefix]"),
            Self::Prefix64 => f.write_str("IPv6 address/32, 40, 48, 56, 64 or 96"),
            Self::Name => f.write_str("a domain name"),
            Self::PortRange => f.write_str("a port or low-high"),
            Self::Ports => f.write_str("ports"),
            Self::Modules => f.write_str("names of modules"),
            Self::Date => f.write_str("a date, seconds or -1"),
            Self::Iterations => f.write_str("pairs of key size and iterations"),
            Self::FetchPolicy => f.write_str("numbers from -1 up"),
            Self::Nsid => f.write_str("hexadecimal digits or ascii_text"),
            Self::Record => f.write_str("a record"),
            Self::Anchor => f.write_str("a DS or DNSKEY record"),
            Self::PtrRecord => f.write_str("address [ttl] name"),
            Self::Hex(digits) => write!(f, "{digits} hexadecimal digits"),
            Self::Pair(a, b) => write!(f, "{a}, {b}"),
            Self::Triple(a, b, c) => write!(f, "{a}, {b}, {c}"),
        }
    }
}

/// The words of a table of words with their meanings.
pub(super) const fn spellings<T, const N: usize>(rows: &[(&'static str, T)]) -> [&'static str; N] {
    let mut words = [""; N];
    let mut index = 0;
    while index < N {
        words[index] = rows[index].0;
        index += 1;
    }
    words
}

/// The upper end of numbers that have no meaningful one: what fits 32 bits.
pub(super) const NO_MAX: i64 = u32::MAX as i64;

impl Shape {
    /// How many values an option of this shape takes.
    pub fn arity(&self) -> usize {
        match self {
            Self::Pair(..) => 2,
            Self::Triple(..) => 3,
            _ => 1,
        }
    }

    /// The shape of value number `index`, from 0.
    pub(super) fn part(&self, index: usize) -> &Self {
        match (self, index) {
            (Self::Pair(a, _) | Self::Triple(a, _, _), 0) => a,
            (Self::Pair(_, b) | Self::Triple(_, b, _), 1) => b,
            (Self::Triple(_, _, c), 2) => c,
            _ => self,
        }
    }

    /// Checks one value; what it returns is the value as `get_option` shows it.
    ///
    /// # Errors
    ///
    /// [`ValueError`] when the text does not have this shape.
    pub fn check(&self, text: &str) -> Result<String, ValueError> {
        match *self {
            Self::YesNo => yes_no(text).map(drop)?,
            Self::Number(min, max) => return number(text, min, max).map(|n| n.to_string()),
            Self::PowerOfTwo => {
                let n = number(text, 1, NO_MAX).map_err(|_| ValueError::PowerOfTwo)?;
                if n.count_ones() != 1 {
                    return Err(ValueError::PowerOfTwo);
                }
            }
            Self::Size => return size(text).map(|n| n.to_string()),
            Self::OneOf(choices) => one_of(text, choices).map(drop)?,
            Self::Address => address(text).map(drop)?,
            Self::Interface => interface(text).map(drop)?,
            Self::Server => server(text).map(drop)?,
            Self::Host => host(text).map(drop)?,
            Self::Netblock => text.parse::<Netblock>().map(drop)?,
            Self::Prefix64 => prefix64(text).map(drop)?,
            Self::Name => text.parse::<Name>().map(drop)?,
            Self::PortRange => port_range(text).map(drop)?,
            Self::Ports => ports(text).map(drop)?,
            Self::Modules => modules(text).map(drop)?,
            Self::Date => date(text).map(drop)?,
            Self::Iterations => iterations(text).map(drop)?,
            Self::FetchPolicy => fetch_policy(text).map(drop)?,
            Self::Nsid => nsid(text).map(drop)?,
            Self::Record => master::record(text).map(drop)?,
            Self::Anchor => master::anchor(text).map(drop)?,
            Self::PtrRecord => ptr_record(text).map(drop)?,
            Self::Hex(digits) => {
                if text.len() != digits || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
                    return Err(ValueError::Hex { digits });
                }
            }
            Self::Text | Self::Path | Self::Pair(..) | Self::Triple(..) => {}
        }
        Ok(text.to_owned())
    }
}

pub(super) fn prefix64(text: &str) -> Result<Prefix64, ValueError> {
    Prefix64::new(text.parse()?).ok_or(ValueError::Prefix64)
}

pub(super) fn yes_no(text: &str) -> Result<bool, ValueError> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(ValueError::YesNo {
            meant: match text.to_ascii_lowercase().as_str() {
                "yes" | "y" | "true" | "on" | "1" | "enable" | "enabled" => Some(true),
                "no" | "n" | "false" | "off" | "0" | "disable" | "disabled" => Some(false),
                _ => None,
            },
        }),
    }
}

pub(super) fn number(text: &str, min: i64, max: i64) -> Result<i64, ValueError> {
    let plain = !text.starts_with('+');
    text.parse().ok().filter(|n| plain && (min..=max).contains(n)).ok_or(if max == NO_MAX {
        ValueError::AtLeast { min }
    } else {
        ValueError::Number { min, max }
    })
}

/// Digits, then `k`, `m` or `g` in either case, then `b` or nothing.
pub(super) fn size(text: &str) -> Result<u64, ValueError> {
    let text = text.strip_suffix(['b', 'B']).unwrap_or(text);
    let (digits, shift) = match text.as_bytes().last().map(u8::to_ascii_lowercase) {
        Some(b'k') => (&text[..text.len() - 1], 10),
        Some(b'm') => (&text[..text.len() - 1], 20),
        Some(b'g') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let digits = digits.trim_end_matches(' ');
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ValueError::Size);
    }
    digits
        .parse::<u64>()
        .ok()
        .and_then(|n| n.checked_mul(1 << shift))
        // Beyond this no machine follows, and sums of sizes could overflow.
        .filter(|n| *n <= 1 << 48)
        .ok_or(ValueError::Size)
}

pub(super) fn one_of(
    text: &str,
    choices: &'static [&'static str],
) -> Result<&'static str, ValueError> {
    choices.iter().copied().find(|choice| *choice == text).ok_or_else(|| ValueError::OneOf {
        choices,
        nearest: nearest(text, choices.iter().copied()),
    })
}

/// An address; a zone index (`%eth0`) is not supported, as the sockets come from outside.
pub(super) fn address(text: &str) -> Result<IpAddr, ValueError> {
    text.parse().map_err(|_| ValueError::Address)
}

fn port(text: &str) -> Result<u16, ValueError> {
    text.parse().ok().filter(|port| *port != 0).ok_or(ValueError::Port)
}

/// As many ports as there are words.
pub(super) fn ports(text: &str) -> Result<Vec<u16>, ValueError> {
    text.split_ascii_whitespace().map(port).collect()
}

/// What an `interface:` line names.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Interface {
    /// An address, and a port if one was written.
    Address(IpAddr, Option<u16>),
    /// A network interface.
    Device,
}

pub(super) fn interface(text: &str) -> Result<Interface, ValueError> {
    let (name, at) = match text.split_once('@') {
        Some((name, at)) => (name, Some(port(at)?)),
        None => (text, None),
    };
    // Link-local addresses carry the name of their link.
    let bare = name.split_once('%').map_or(name, |(addr, _)| addr);
    if let Ok(addr) = bare.parse() {
        return Ok(Interface::Address(addr, at));
    }
    // Linux: at most 15 characters, no `/`. A colon is a mistyped address.
    let plausible = (1..16).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'/' | b':'))
        && name.bytes().any(|b| b.is_ascii_alphabetic());
    if plausible { Ok(Interface::Device) } else { Err(ValueError::Address) }
}

/// The parts of `HOST[@PORT][#NAME]`.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct ServerText<T> {
    pub(super) host: T,
    pub(super) port: Option<u16>,
    pub(super) tls_name: Option<String>,
}

fn split_server(text: &str) -> Result<ServerText<&str>, ValueError> {
    let (text, tls_name) = match text.split_once('#') {
        Some((text, name)) => (text, Some(name.to_owned()).filter(|name| !name.is_empty())),
        None => (text, None),
    };
    let (host, port) = match text.split_once('@') {
        Some((host, at)) => (host, Some(port(at)?)),
        None => (text, None),
    };
    Ok(ServerText { host, port, tls_name })
}

pub(super) fn server(text: &str) -> Result<ServerText<IpAddr>, ValueError> {
    let ServerText { host, port, tls_name } = split_server(text)?;
    // People also write a socket address; take it when it cannot mean anything else.
    if let (Err(_), Ok(both), None) = (host.parse::<IpAddr>(), host.parse::<SocketAddr>(), port) {
        return Ok(ServerText { host: both.ip(), port: Some(both.port()), tls_name });
    }
    let host = host.parse().map_err(|_| {
        let looks_like_name = host.bytes().any(|byte| byte.is_ascii_alphabetic())
            && !host.contains(':')
            && host.parse::<Name>().is_ok();
        ValueError::Server { is_name: looks_like_name }
    })?;
    Ok(ServerText { host, port, tls_name })
}

pub(super) fn host(text: &str) -> Result<ServerText<Name>, ValueError> {
    let ServerText { host, port, tls_name } = split_server(text)?;
    Ok(ServerText { host: host.parse::<Name>()?.to_lowercase(), port, tls_name })
}

pub(super) fn port_range(text: &str) -> Result<(u16, u16), ValueError> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    match (low.parse(), high.parse()) {
        (Ok(low), Ok(high)) if low <= high => Ok((low, high)),
        _ => Err(ValueError::PortRange),
    }
}

pub(super) fn modules(text: &str) -> Result<Vec<Module>, ValueError> {
    let modules = text
        .split_ascii_whitespace()
        .map(|word| {
            Module::named(word).ok_or_else(|| ValueError::Module {
                name: word.to_owned(),
                nearest: nearest(word, Module::NAMES.iter().copied()),
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    if modules.last() == Some(&Module::Iterator) {
        Ok(modules)
    } else {
        Err(ValueError::NoIterator)
    }
}

pub(super) fn date(text: &str) -> Result<ValDate, ValueError> {
    match text {
        "" | "0" => Ok(ValDate::Real),
        "-1" => Ok(ValDate::Ignored),
        _ if text.len() == 14 => master::date(text).map(ValDate::At).ok_or(ValueError::Date),
        _ => text.parse().map(ValDate::At).map_err(|_| ValueError::Date),
    }
}

pub(super) fn iterations(text: &str) -> Result<Vec<Iterations>, ValueError> {
    let numbers = text
        .split_ascii_whitespace()
        .map(|word| word.parse::<u32>().map_err(|_| ValueError::Iterations))
        .collect::<Result<Vec<_>, _>>()?;
    let (pairs, []) = numbers.as_chunks::<2>() else { return Err(ValueError::Iterations) };
    let table = pairs
        .iter()
        .map(|&[key_bits, max]| {
            u16::try_from(max)
                .map(|max| Iterations { key_bits, max })
                .map_err(|_| ValueError::Iterations)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let ascending = table.is_sorted_by(|a, b| a.key_bits < b.key_bits);
    if ascending && !table.is_empty() { Ok(table) } else { Err(ValueError::Iterations) }
}

pub(super) fn fetch_policy(text: &str) -> Result<Vec<i32>, ValueError> {
    let numbers = text
        .split_ascii_whitespace()
        .map(|word| word.parse().ok().filter(|n| *n >= -1))
        .collect::<Option<Vec<i32>>>()
        .ok_or(ValueError::FetchPolicy)?;
    if (1..=16).contains(&numbers.len()) { Ok(numbers) } else { Err(ValueError::FetchPolicy) }
}

pub(super) fn nsid(text: &str) -> Result<Option<Nsid>, ValueError> {
    if text.is_empty() {
        return Ok(None);
    }
    let bytes = match text.strip_prefix("ascii_") {
        Some(text) => text.as_bytes().to_vec(),
        None => data_encoding::HEXLOWER_PERMISSIVE
            .decode(text.as_bytes())
            .map_err(|_| ValueError::Nsid)?,
    };
    // An EDNS option has a 16-bit length; what leaves room for nothing else is a mistake.
    if bytes.len() <= 512 { Ok(Some(Nsid(bytes))) } else { Err(ValueError::Nsid) }
}

/// Address, TTL and name of a `local-data-ptr:` line; the TTL is 3600 when none is written.
pub(super) fn ptr_record(text: &str) -> Result<(IpAddr, u32, Name), ValueError> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let (addr, ttl, name) = match *words.as_slice() {
        [addr, name] => (addr, 3600, name),
        [addr, ttl, name] => (addr, master::ttl(ttl).ok_or(ValueError::PtrRecord)?, name),
        _ => return Err(ValueError::PtrRecord),
    };
    let addr = addr.parse().map_err(|_| ValueError::PtrRecord)?;
    Ok((addr, ttl, name.parse()?))
}

/// The word that `text` was probably meant to be: at most a third of its letters differ.
pub(super) fn nearest(
    text: &str,
    words: impl IntoIterator<Item = &'static str>,
) -> Option<&'static str> {
    // The work is the product of the lengths, and no word is that long.
    if text.len() > 64 {
        return None;
    }
    let text = text.to_ascii_lowercase().replace('_', "-");
    words
        .into_iter()
        .map(|word| (distance(text.as_bytes(), word.as_bytes()), word))
        .min()
        .filter(|(edits, word)| *edits <= word.len().div_ceil(3).min(4))
        .map(|(_, word)| word)
}

/// Levenshtein distance: insertions, deletions and replacements that make `b` of `a`.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, y) in row.iter_mut().skip(1).zip(b) {
            let best = (diagonal + usize::from(x != y)).min(*cell + 1).min(left + 1);
            diagonal = *cell;
            *cell = best;
            left = best;
        }
    }
    row.last().copied().unwrap_or(a.len())
}
