//! The configuration while files are being read.

use std::net::IpAddr;
use std::path::PathBuf;

use super::auth::CopyDraft;
use super::lexer::Value;
use super::net::{AccessAction, Netblock};
use super::policy_draft::{PolicyDraft, Rule};
use super::prefix64::Prefix64;
use super::resolved::Config;
use super::shape::{self, ValueError};
use super::source::Span;
use super::table::{ArgError, Clause};
use super::values::{Ede, Iterations, Module, Nsid, ValDate};
use super::zone::{LocalZone, LocalZoneKind};
use crate::wire::{Class, Name, NameError, Rdata, Record, RecordType};

/// What was read so far. Fields of [`Config`] that do not depend on others are final already; the
/// rest waits here for the end of the files.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) config: Config,
    pub(super) interfaces: Vec<Value>,
    pub(super) directory: Option<PathBuf>,
    pub(super) chroot: Option<PathBuf>,
    pub(super) modules: Option<Span>,
    pub(super) root_hints: Vec<Value>,
    pub(super) anchors: Vec<AnchorSource>,
    pub(super) forward_zones: Vec<ZoneDraft>,
    pub(super) stub_zones: Vec<ZoneDraft>,
    pub(super) copies: Vec<CopyDraft>,
    pub(super) other_zones: Vec<ZoneDraft>,
    pub(super) policy: PolicyDraft,
}

/// Where trust anchors come from.
#[derive(Debug)]
pub(super) enum AnchorSource {
    /// `trust-anchor:`
    Record(Record),
    /// `trust-anchor-file:`
    ZoneFile(Value),
    /// `trusted-keys-file:`, possibly a pattern.
    KeysFile(Value),
    /// `auto-trust-anchor-file:`
    AutoFile(Value),
}

/// A clause that is about one zone or view.
#[derive(Debug)]
pub(super) struct ZoneDraft {
    pub(super) clause: Clause,
    pub(super) span: Span,
    pub(super) name: Option<Name>,
    pub(super) named: bool,
    pub(super) addrs: Vec<Value>,
    pub(super) hosts: Vec<Value>,
    pub(super) first: bool,
    pub(super) tls: bool,
    pub(super) tcp: bool,
    pub(super) no_cache: bool,
    pub(super) prime: bool,
}

impl Draft {
    /// A clause begins at `span`.
    pub(super) fn begin(&mut self, clause: Clause, span: Span) {
        let list = match clause {
            Clause::ForwardZone => &mut self.forward_zones,
            Clause::StubZone => &mut self.stub_zones,
            Clause::View => return self.policy.begin(clause, span),
            Clause::AuthZone => return self.copies.push(CopyDraft::new(clause, span)),
            Clause::Rpz => {
                self.policy.begin(clause, span);
                return self.copies.push(CopyDraft::new(clause, span));
            }
            _ if clause.is_named() => &mut self.other_zones,
            _ => return,
        };
        list.push(ZoneDraft {
            clause,
            span,
            name: None,
            named: false,
            addrs: Vec::new(),
            hosts: Vec::new(),
            first: false,
            tls: false,
            tcp: false,
            no_cache: false,
            prime: false,
        });
    }
}

//--- Values as types

/// A type that is written as the values of an option. The text has been checked by the shape of
/// the option, so these only fail where shape and type do not fit together.
pub(super) trait FromValues: Sized {
    fn from_values(values: &[Value]) -> Result<Self, ArgError>;
}

fn text(values: &[Value], index: usize) -> &str {
    values.get(index).map_or("", |value| &value.text)
}

/// The value number `index`, read by `parse`.
fn read<T>(
    values: &[Value],
    index: usize,
    parse: impl Fn(&str) -> Result<T, ValueError>,
) -> Result<T, ArgError> {
    parse(text(values, index)).map_err(|error| (index, error))
}

macro_rules! from_first {
    ($($type:ty = $parse:expr),* $(,)?) => {
        $(impl FromValues for $type {
            fn from_values(values: &[Value]) -> Result<Self, ArgError> {
                read(values, 0, $parse)
            }
        })*
    };
}

macro_rules! from_number {
    ($($type:ty),*) => {
        $(impl FromValues for $type {
            /// A number or size; the greatest of the type stands for anything above.
            fn from_values(values: &[Value]) -> Result<Self, ArgError> {
                let number = read(values, 0, shape::size)?;
                Ok(Self::try_from(number).unwrap_or(Self::MAX))
            }
        })*
    };
}

from_number!(u8, u16, u32, u64, usize);
from_first!(
    bool = shape::yes_no,
    String = |text| Ok(text.to_owned()),
    PathBuf = |text| Ok(PathBuf::from(text)),
    Name = lower_name,
    Netblock = |text| Ok(text.parse()?),
    Prefix64 = shape::prefix64,
    Option<Prefix64> = |text| shape::prefix64(text).map(Some),
    Option<Nsid> = shape::nsid,
    ValDate = shape::date,
    Ede = ede,
    Vec<Module> = shape::modules,
    Vec<u16> = shape::ports,
    Vec<Iterations> = shape::iterations,
);

impl FromValues for (Netblock, String) {
    fn from_values(values: &[Value]) -> Result<Self, ArgError> {
        Ok((Netblock::from_values(values)?, text(values, 1).to_owned()))
    }
}

impl FromValues for (Netblock, u32) {
    fn from_values(values: &[Value]) -> Result<Self, ArgError> {
        let limit = values.get(1..).unwrap_or_default();
        let limit = u32::from_values(limit).map_err(|(_, error)| (1, error))?;
        Ok((Netblock::from_values(values)?, limit))
    }
}

impl FromValues for (Name, u32) {
    fn from_values(values: &[Value]) -> Result<Self, ArgError> {
        let limit = values.get(1..).unwrap_or_default();
        let limit = u32::from_values(limit).map_err(|(_, error)| (1, error))?;
        Ok((Name::from_values(values)?, limit))
    }
}

/// The shape has seen to it that it is one of the words.
fn ede(text: &str) -> Result<Ede, ValueError> {
    let known = Ede::SPELLINGS.iter().find(|row| row.0 == text);
    Ok(known.map_or_else(Ede::default, |row| row.1))
}

fn lower_name(text: &str) -> Result<Name, ValueError> {
    Ok(text.parse::<Name>()?.to_lowercase())
}

//--- Options with a function of their own

type Done = Result<(), ArgError>;

fn first(values: &[Value]) -> impl Iterator<Item = Value> {
    values.first().cloned().into_iter()
}

pub(super) fn directory(draft: &mut Draft, values: &[Value]) -> Done {
    draft.directory = Some(PathBuf::from_values(values)?);
    Ok(())
}

pub(super) fn chroot(draft: &mut Draft, values: &[Value]) -> Done {
    draft.chroot = Some(PathBuf::from_values(values)?).filter(|path| !path.as_os_str().is_empty());
    Ok(())
}

pub(super) fn interface(draft: &mut Draft, values: &[Value]) -> Done {
    draft.interfaces.extend(first(values));
    Ok(())
}

pub(super) fn port_permit(draft: &mut Draft, values: &[Value]) -> Done {
    let (low, high) = read(values, 0, shape::port_range)?;
    draft.config.outgoing_ports.permit(low, high);
    Ok(())
}

pub(super) fn port_avoid(draft: &mut Draft, values: &[Value]) -> Done {
    let (low, high) = read(values, 0, shape::port_range)?;
    draft.config.outgoing_ports.avoid(low, high);
    Ok(())
}

pub(super) fn module_config(draft: &mut Draft, values: &[Value]) -> Done {
    draft.config.module_config = FromValues::from_values(values)?;
    draft.modules = values.first().map(|value| value.span);
    Ok(())
}

pub(super) fn access_control(draft: &mut Draft, values: &[Value]) -> Done {
    let action = AccessAction::SPELLINGS.iter().find(|row| row.0 == text(values, 1));
    if let Some((_, action)) = action {
        draft.config.access_control.push((Netblock::from_values(values)?, *action));
    }
    Ok(())
}

/// Netblock and number; -1 is no limit.
fn netblock_limit(values: &[Value]) -> Result<(Netblock, Option<u32>), ArgError> {
    let block = Netblock::from_values(values)?;
    let limit = read(values, 1, |text| shape::number(text, -1, shape::NO_MAX))?;
    Ok((block, u32::try_from(limit).ok()))
}

pub(super) fn wait_limit_netblock(draft: &mut Draft, values: &[Value]) -> Done {
    draft.config.wait_limit_netblock.push(netblock_limit(values)?);
    Ok(())
}

pub(super) fn wait_limit_cookie_netblock(draft: &mut Draft, values: &[Value]) -> Done {
    draft.config.wait_limit_cookie_netblock.push(netblock_limit(values)?);
    Ok(())
}

/// The shape has seen to it that these are 32 digits.
pub(super) fn cookie_secret(draft: &mut Draft, values: &[Value]) -> Done {
    draft.config.cookie_secrets = secret(text(values, 0)).into_iter().collect();
    Ok(())
}

/// A secret of DNS cookies in hexadecimal digits.
pub(super) fn secret(digits: &str) -> Option<[u8; 16]> {
    data_encoding::HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?.try_into().ok()
}

pub(super) fn local_zone(draft: &mut Draft, values: &[Value]) -> Done {
    let kind = LocalZoneKind::SPELLINGS.iter().find(|row| row.0 == text(values, 1));
    if let Some((_, kind)) = kind {
        let name = Name::from_values(values)?;
        draft.config.local_zones.push(LocalZone { name, kind: *kind });
    }
    Ok(())
}

pub(super) fn local_data(draft: &mut Draft, values: &[Value]) -> Done {
    let record = read(values, 0, |text| Ok(super::master::record(text)?))?;
    draft.config.local_data.push(record);
    Ok(())
}

pub(super) fn local_data_ptr(draft: &mut Draft, values: &[Value]) -> Done {
    draft.config.local_data.push(ptr_record(values)?);
    Ok(())
}

/// The PTR record that `local-data-ptr:` stands for.
pub(super) fn ptr_record(values: &[Value]) -> Result<Record, ArgError> {
    let (addr, ttl, name) = read(values, 0, shape::ptr_record)?;
    let owner = reverse_name(addr).map_err(|error| (0, error.into()))?;
    let (rtype, class, rdata) = (RecordType::PTR, Class::IN, Rdata::from_name(&name));
    Ok(Record { owner, rtype, class, ttl, rdata })
}

/// The owner of the PTR record of `addr` (RFC 1035 §3.5, RFC 3596 §2.5).
fn reverse_name(addr: IpAddr) -> Result<Name, NameError> {
    let mut text = String::new();
    match addr {
        IpAddr::V4(v4) => {
            for octet in v4.octets().iter().rev() {
                text.push_str(&format!("{octet}."));
            }
            text.push_str("in-addr.arpa.");
        }
        IpAddr::V6(v6) => {
            for octet in v6.octets().iter().rev() {
                text.push_str(&format!("{:x}.{:x}.", octet & 0xf, octet >> 4));
            }
            text.push_str("ip6.arpa.");
        }
    }
    text.parse()
}

pub(super) fn root_hints(draft: &mut Draft, values: &[Value]) -> Done {
    draft.root_hints.extend(first(values).filter(|value| !value.text.is_empty()));
    Ok(())
}

pub(super) fn control_interface(draft: &mut Draft, values: &[Value]) -> Done {
    draft.config.control_interface.push(String::from_values(values)?);
    Ok(())
}

pub(super) fn fake_dsa(draft: &mut Draft, values: &[Value]) -> Done {
    draft.config.fake_dsa = for_tests(values)?;
    Ok(())
}

pub(super) fn fake_sha1(draft: &mut Draft, values: &[Value]) -> Done {
    draft.config.fake_sha1 = for_tests(values)?;
    Ok(())
}

/// Yes only where the program was built for tests: what users install cannot be told to believe
/// signatures unseen.
fn for_tests(values: &[Value]) -> Result<bool, ArgError> {
    match bool::from_values(values)? {
        true if !cfg!(feature = "fake-sha1") => Err((0, ValueError::TestsOnly)),
        value => Ok(value),
    }
}

pub(super) fn trust_anchor(draft: &mut Draft, values: &[Value]) -> Done {
    let record = read(values, 0, super::master::anchor)?;
    draft.anchors.push(AnchorSource::Record(record));
    Ok(())
}

pub(super) fn trust_anchor_file(draft: &mut Draft, values: &[Value]) -> Done {
    add_anchor_file(draft, values, AnchorSource::ZoneFile)
}

pub(super) fn trusted_keys_file(draft: &mut Draft, values: &[Value]) -> Done {
    add_anchor_file(draft, values, AnchorSource::KeysFile)
}

pub(super) fn auto_trust_anchor_file(draft: &mut Draft, values: &[Value]) -> Done {
    add_anchor_file(draft, values, AnchorSource::AutoFile)
}

/// `""` is no file.
fn add_anchor_file(
    draft: &mut Draft,
    values: &[Value],
    source: impl Fn(Value) -> AnchorSource,
) -> Done {
    draft.anchors.extend(first(values).filter(|value| !value.text.is_empty()).map(source));
    Ok(())
}

fn name_last(zones: &mut [ZoneDraft], values: &[Value]) -> Done {
    let name = Name::from_values(values)?;
    if let Some(zone) = zones.last_mut() {
        zone.name = Some(name);
        zone.named = true;
    }
    Ok(())
}

pub(super) fn forward_name(draft: &mut Draft, values: &[Value]) -> Done {
    name_last(&mut draft.forward_zones, values)
}

pub(super) fn stub_name(draft: &mut Draft, values: &[Value]) -> Done {
    name_last(&mut draft.stub_zones, values)
}

/// Both as a zone that is copied and as one of policy.
pub(super) fn rpz_name(draft: &mut Draft, values: &[Value]) -> Done {
    draft.policy.clause(Rule::ClauseName, values);
    super::auth::name(draft, values)
}

pub(super) fn forward_addr(draft: &mut Draft, values: &[Value]) -> Done {
    if let Some(zone) = draft.forward_zones.last_mut() {
        zone.addrs.extend(first(values));
    }
    Ok(())
}

pub(super) fn forward_host(draft: &mut Draft, values: &[Value]) -> Done {
    if let Some(zone) = draft.forward_zones.last_mut() {
        zone.hosts.extend(first(values));
    }
    Ok(())
}

pub(super) fn stub_addr(draft: &mut Draft, values: &[Value]) -> Done {
    if let Some(zone) = draft.stub_zones.last_mut() {
        zone.addrs.extend(first(values));
    }
    Ok(())
}

pub(super) fn stub_host(draft: &mut Draft, values: &[Value]) -> Done {
    if let Some(zone) = draft.stub_zones.last_mut() {
        zone.hosts.extend(first(values));
    }
    Ok(())
}
