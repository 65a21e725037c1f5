//! Zones that are kept as copies: `auth-zone:`, and what `rpz:` shares with it.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::draft::{Draft, FromValues};
use super::lexer::Value;
use super::net::Netblock;
use super::notice::NoticeKind;
use super::parse::Parser;
use super::shape::{self, ValueError};
use super::source::Span;
use super::table::{ArgError, Clause};
use crate::wire::Name;

/// Port of DNS over TCP, where none is written.
const DNS_PORT: u16 = 53;

/// Where a copy of a zone comes from, and where it is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ZoneSource {
    /// The zone, in lower case.
    pub name: Name,
    /// Servers that it is transferred from, in the order they are tried (`primary:`).
    pub primaries: Vec<Primary>,
    /// Who may announce a change, besides the primaries (`allow-notify:`).
    pub allow_notify: Vec<Notifier>,
    /// File that it is read from and, when there are primaries, written to (`zonefile:`).
    pub zonefile: Option<PathBuf>,
    /// Octets of the largest transfer that is accepted; 0: up to the built-in limit.
    pub max_transfer_size: u64,
    /// Milliseconds of the longest transfer that is accepted; 0: up to the built-in limit.
    pub max_transfer_time: u32,
}

/// A server that a zone is transferred from.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Primary {
    /// Known by address.
    Address(SocketAddr),
    /// Known by name, to be looked up.
    Host {
        /// The name, in lower case.
        name: Name,
        /// The port at each of its addresses.
        port: u16,
    },
}

/// Somebody who may announce a change of a zone.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Notifier {
    /// Every address of a block.
    Block(Netblock),
    /// Every address of a name, in lower case.
    Host(Name),
}

impl ZoneSource {
    /// A source for the zone `name` that brings nothing.
    pub const fn new(name: Name) -> Self {
        Self {
            name,
            primaries: Vec::new(),
            allow_notify: Vec::new(),
            zonefile: None,
            max_transfer_size: 0,
            max_transfer_time: 0,
        }
    }

    /// Whether `from` is, by address, somebody who may announce a change: a primary or one of
    /// `allow-notify:`. Those given by name are not looked up.
    pub fn may_notify(&self, from: IpAddr) -> bool {
        let primary = |primary: &Primary| matches!(primary, Primary::Address(a) if a.ip() == from);
        let other =
            |other: &Notifier| matches!(other, Notifier::Block(block) if block.contains(from));
        self.primaries.iter().any(primary) || self.allow_notify.iter().any(other)
    }

    /// The names that have to be looked up to know who may announce a change.
    pub fn notifying_hosts(&self) -> impl Iterator<Item = &Name> {
        let primaries = self.primaries.iter().filter_map(|primary| match primary {
            Primary::Host { name, .. } => Some(name),
            Primary::Address(_) => None,
        });
        primaries.chain(self.allow_notify.iter().filter_map(|other| match other {
            Notifier::Host(name) => Some(name),
            Notifier::Block(_) => None,
        }))
    }
}

/// A zone that is kept as a copy and used instead of asking its servers (`auth-zone:`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AuthZone {
    /// Where it comes from.
    pub source: ZoneSource,
    /// Resolve as usual when there is no usable copy, or what it says is bogus.
    pub fallback_enabled: bool,
    /// Answer clients from it as its servers would.
    pub for_downstream: bool,
    /// Use it instead of its servers when resolving.
    pub for_upstream: bool,
    /// Verify its digest (RFC 8976).
    pub zonemd_check: bool,
    /// A zone without digest fails the check.
    pub zonemd_reject_absence: bool,
}

impl AuthZone {
    /// A zone with the defaults of its options.
    pub const fn new(source: ZoneSource) -> Self {
        Self {
            source,
            fallback_enabled: false,
            for_downstream: true,
            for_upstream: true,
            zonemd_check: false,
            zonemd_reject_absence: false,
        }
    }
}

/// A clause about a copied zone while it is being read.
#[derive(Debug)]
pub(super) struct CopyDraft {
    pub(super) clause: Clause,
    pub(super) span: Span,
    pub(super) name: Option<Name>,
    pub(super) primaries: Vec<Primary>,
    pub(super) allow_notify: Vec<Notifier>,
    pub(super) zonefile: PathBuf,
    pub(super) max_transfer_size: u64,
    pub(super) max_transfer_time: u32,
    pub(super) fallback_enabled: bool,
    pub(super) for_downstream: bool,
    pub(super) for_upstream: bool,
    pub(super) zonemd_check: bool,
    pub(super) zonemd_reject_absence: bool,
}

impl CopyDraft {
    pub(super) fn new(clause: Clause, span: Span) -> Self {
        let auth = clause == Clause::AuthZone;
        Self {
            clause,
            span,
            name: None,
            primaries: Vec::new(),
            allow_notify: Vec::new(),
            zonefile: PathBuf::new(),
            max_transfer_size: 0,
            max_transfer_time: 0,
            fallback_enabled: false,
            for_downstream: auth,
            for_upstream: auth,
            zonemd_check: false,
            zonemd_reject_absence: false,
        }
    }

    /// Where the zone comes from; none without a name, which is a mistake noted elsewhere.
    pub(super) fn source(&self, parser: &Parser) -> Option<ZoneSource> {
        let zonefile = Some(&self.zonefile).filter(|path| !path.as_os_str().is_empty());
        Some(ZoneSource {
            name: self.name.clone()?,
            primaries: self.primaries.clone(),
            allow_notify: self.allow_notify.clone(),
            zonefile: zonefile.map(|path| parser.locate(&path.to_string_lossy())),
            max_transfer_size: self.max_transfer_size,
            max_transfer_time: self.max_transfer_time,
        })
    }
}

/// The zones of the `auth-zone:` clauses; the first for a name counts. Zone files are among what
/// the next load will want to read.
pub(super) fn zones(parser: &mut Parser, drafts: &[CopyDraft]) -> Vec<AuthZone> {
    let mut zones: Vec<AuthZone> = Vec::new();
    for draft in drafts.iter().filter(|draft| draft.clause == Clause::AuthZone) {
        let Some(source) = draft.source(parser) else { continue };
        let (clause, name) = (draft.clause, source.name.clone());
        if zones.iter().any(|other| other.source.name == name) {
            parser.notices.push((Some(draft.span), NoticeKind::DuplicateZone { clause, name }));
            continue;
        }
        check(parser, draft.span, clause, &source);
        zones.push(AuthZone {
            source,
            fallback_enabled: draft.fallback_enabled,
            for_downstream: draft.for_downstream,
            for_upstream: draft.for_upstream,
            zonemd_check: draft.zonemd_check,
            zonemd_reject_absence: draft.zonemd_reject_absence,
        });
    }
    zones
}

/// Notes where a zone is kept, and when it comes from nowhere.
pub(super) fn check(parser: &mut Parser, span: Span, clause: Clause, source: &ZoneSource) {
    if source.zonefile.is_none() && source.primaries.is_empty() {
        let name = source.name.clone();
        parser.notices.push((Some(span), NoticeKind::NoSource { clause, name }));
    }
    parser.looked_for.extend(source.zonefile.clone());
}

//--- Options with a function of their own

type Done = Result<(), ArgError>;

fn text(values: &[Value]) -> &str {
    values.first().map_or("", |value| &value.text)
}

/// `ADDRESS[@PORT]` or `NAME[@PORT]`. With `#NAME` it is left out: the zone is not to travel in the
/// clear then.
pub(super) fn primary(draft: &mut Draft, values: &[Value]) -> Done {
    let Some(zone) = draft.copies.last_mut() else { return Ok(()) };
    if text(values).is_empty() {
        return Ok(());
    }
    let (primary, tls_name) = read_primary(text(values)).map_err(|error| (0, error))?;
    zone.primaries.extend(Some(primary).filter(|_| tls_name.is_none()));
    Ok(())
}

fn read_primary(text: &str) -> Result<(Primary, Option<String>), ValueError> {
    if let Ok(server) = shape::server(text) {
        let addr = SocketAddr::new(server.host, server.port.unwrap_or(DNS_PORT));
        return Ok((Primary::Address(addr), server.tls_name));
    }
    let host = shape::host(text)?;
    let port = host.port.unwrap_or(DNS_PORT);
    Ok((Primary::Host { name: host.host, port }, host.tls_name))
}

pub(super) fn allow_notify(draft: &mut Draft, values: &[Value]) -> Done {
    let Some(zone) = draft.copies.last_mut() else { return Ok(()) };
    let text = text(values);
    let notifier = match text.parse() {
        Ok(block) => Notifier::Block(block),
        // A block with a mistake in it is not a name.
        Err(error) if text.contains('/') => return Err((0, ValueError::Netblock(error))),
        Err(_) => Notifier::Host(Name::from_values(values)?),
    };
    zone.allow_notify.push(notifier);
    Ok(())
}

pub(super) fn name(draft: &mut Draft, values: &[Value]) -> Done {
    let name = Name::from_values(values)?;
    if let Some(zone) = draft.copies.last_mut() {
        zone.name = Some(name);
    }
    Ok(())
}
