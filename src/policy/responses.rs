//! What happens to answers with certain addresses: `response-ip:`.

use std::collections::HashMap;
use std::net::IpAddr;

use tracing::info;

use super::alias;
use super::blocks::Blocks;
use super::clients::Sight;
use super::local::tagged_data;
use crate::config::{LocalZoneKind, Netblock, ResponseRules, Substitute, TagSet};
use crate::wire::{Question, RecordType, Rrset};

/// Rules by netblock.
#[derive(Clone, Debug, Default)]
pub(super) struct Responses(Blocks<Rule>);

#[derive(Clone, Debug, Default)]
struct Rule {
    action: Option<LocalZoneKind>,
    data: Vec<Substitute>,
    tags: TagSet,
}

/// What becomes of an answer with an address that a rule is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Effect {
    /// It stays as it is.
    Keep,
    /// No answer.
    Drop,
    /// An answer over TCP only.
    TcpOnly,
    /// REFUSED.
    Refuse,
    /// The RRset with the address goes, and what is behind it; the name does not exist.
    Nxdomain,
    /// The RRset with the address goes, and what is behind it.
    Nodata,
    /// The RRset with the address is replaced.
    Replace(Rrset),
}

/// An address in an answer, and the RRset it stands in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    /// Place of the RRset in the answer section.
    pub(super) rrset: usize,
    /// The address.
    pub(super) ip: IpAddr,
}

/// Every address in an answer section, in order.
pub(super) fn addresses(section: &[Rrset]) -> Vec<Found> {
    let sets = section.iter().enumerate();
    let sets = sets.filter(|(_, rrset)| matches!(rrset.rtype, RecordType::A | RecordType::AAAA));
    sets.flat_map(|(at, rrset)| {
        rrset.rdata.iter().filter_map(move |rdata| Some(Found { rrset: at, ip: rdata.as_ip()? }))
    })
    .collect()
}

impl Responses {
    pub(super) fn new(rules: &ResponseRules) -> Self {
        let mut rows: HashMap<Netblock, Rule> = HashMap::new();
        for (block, action) in &rules.actions {
            rows.entry(*block).or_default().action = Some(*action);
        }
        for (block, data) in &rules.data {
            rows.entry(*block).or_default().data.push(data.clone());
        }
        for (block, tags) in &rules.tags {
            let rule = rows.entry(*block).or_default();
            if rule.tags.is_empty() {
                rule.tags = tags.clone();
            }
        }
        Self(Blocks::new(rows))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the first rule for one of the addresses does: which address, and what. `sight`: tags
    /// count.
    pub(super) fn at_addresses(
        &self,
        found: &[Found],
        section: &[Rrset],
        sight: Option<&Sight>,
        question: &Question,
    ) -> Option<(usize, Effect)> {
        let (at, rule) =
            found.iter().find_map(|found| self.0.get(found.ip).map(|rule| (found, rule)))?;
        let owner = &section.get(at.rrset)?.owner;
        let tag = sight.and_then(|sight| rule.tags.first_common(&sight.tags).map(|t| (sight, t)));
        let action = tag.and_then(|(sight, tag)| sight.action(tag)).or(rule.action);
        if action.is_some_and(LocalZoneKind::is_logged) {
            info!(address = %at.ip, %question, "inform");
        }
        let tagged = tag.filter(|_| action.is_some_and(LocalZoneKind::is_redirect));
        let tagged =
            tagged.and_then(|(sight, tag)| tagged_data(&sight.data, tag, owner, question.rtype));
        let data = || rule.data(owner, question.rtype);
        let replaces = action.is_some_and(replaces);
        let effect = match tagged.or_else(|| data().filter(|_| replaces)) {
            // Too long for a name: as if there were no data.
            Some(rrset) => alias::expand(rrset).map_or(Effect::Nodata, Effect::Replace),
            None => action.map_or(Effect::Keep, without_data),
        };
        Some((at.rrset, effect))
    }
}

impl Rule {
    fn data(&self, owner: &crate::wire::Name, rtype: RecordType) -> Option<Rrset> {
        let of = |wanted| {
            let mut records = self.data.iter().filter(move |data| data.rtype == wanted).peekable();
            let ttl = records.peek()?.ttl;
            let rdata = records.map(|data| data.rdata.clone()).collect();
            Some(Rrset::new(owner.clone(), wanted, ttl, rdata))
        };
        of(rtype).or_else(|| of(RecordType::CNAME))
    }
}

/// Whether data comes before the action.
fn replaces(action: LocalZoneKind) -> bool {
    use LocalZoneKind as Kind;
    !matches!(
        action,
        Kind::AlwaysRefuse
            | Kind::AlwaysTransparent
            | Kind::AlwaysNxdomain
            | Kind::AlwaysNodata
            | Kind::AlwaysDeny
            | Kind::AlwaysNull
    )
}

/// What an action does where there is no data. An address says nothing about other types of its
/// name, so that only `always_nxdomain` denies the name.
fn without_data(action: LocalZoneKind) -> Effect {
    use LocalZoneKind as Kind;
    match action {
        Kind::Deny | Kind::InformDeny | Kind::AlwaysDeny => Effect::Drop,
        Kind::Refuse | Kind::AlwaysRefuse => Effect::Refuse,
        Kind::AlwaysNxdomain => Effect::Nxdomain,
        Kind::Static | Kind::Redirect | Kind::InformRedirect | Kind::AlwaysNodata => Effect::Nodata,
        Kind::Truncate => Effect::TcpOnly,
        _ => Effect::Keep,
    }
}
