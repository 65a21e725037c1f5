//! What the resolver says about itself: `version.bind`, `hostname.bind` and their like (RFC 4892).

use crate::cache::Answer;
use crate::config::{AnchorKind, Config};
use crate::wire::{Class, Dnskey, Ds, Name, Question, Rcode, Rdata, RecordType, Rrset};

use super::Decision;
use crate::status::Reason;

/// Texts by name.
#[derive(Clone, Debug)]
pub(super) struct Chaos {
    /// What each name says; None: hidden.
    rows: Vec<(Name, Option<Vec<Rdata>>)>,
}

impl Chaos {
    pub(super) fn new(config: &Config, host: &str) -> Self {
        let or = |text: &str, default: &str| {
            vec![text_rdata(if text.is_empty() { default } else { text })]
        };
        let version =
            (!config.hide_version).then(|| or(&config.version, &format!("prebound {VERSION}")));
        let identity = (!config.hide_identity).then(|| or(&config.identity, host));
        let anchors = (!config.hide_trustanchor).then(|| anchor_texts(config));
        let rows = [
            ("version.bind", &version),
            ("version.server", &version),
            ("hostname.bind", &identity),
            ("id.server", &identity),
            ("trustanchor.unbound", &anchors),
        ];
        let row =
            |(name, texts): (&str, &Option<Vec<Rdata>>)| Some((name.parse().ok()?, texts.clone()));
        Self { rows: rows.into_iter().filter_map(row).collect() }
    }

    /// The answer to a question of class CH.
    pub(super) fn decide(&self, name: &Name, rtype: RecordType) -> Decision {
        let wanted = matches!(rtype, RecordType::TXT | RecordType::ANY);
        let texts = self.rows.iter().find(|row| row.0 == *name).and_then(|row| row.1.as_ref());
        let Some(texts) = texts.filter(|_| wanted) else {
            return Decision::Refuse(Reason::Blocked);
        };
        let question = Question { name: name.clone(), rtype, class: Class::CH };
        let mut answer = Answer::empty(question, Rcode::NOERROR);
        if !texts.is_empty() {
            let rrset = Rrset::new(name.clone(), RecordType::TXT, 0, texts.clone());
            answer.answer.push(Rrset { class: Class::CH, ..rrset });
        }
        Decision::Local(Box::new(answer))
    }
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// One character-string, cut to the 255 octets it can have.
fn text_rdata(text: &str) -> Rdata {
    let octets = &text.as_bytes()[..text.len().min(255)];
    let len = u8::try_from(octets.len()).unwrap_or(u8::MAX);
    Rdata::from_bytes([&[len], octets].concat())
}

/// One text per zone with an anchor: its name and the key tags, as Unbound shows them.
fn anchor_texts(config: &Config) -> Vec<Rdata> {
    let mut zones: Vec<(&Name, Vec<u16>)> = Vec::new();
    let anchors = config.anchors();
    for anchor in anchors.iter() {
        let tag = match anchor.kind {
            AnchorKind::Ds => Ds::parse(&anchor.rdata).map(|ds| ds.key_tag),
            AnchorKind::Dnskey => Dnskey::parse(&anchor.rdata).map(|key| key.key_tag),
        };
        let Some(tag) = tag else { continue };
        match zones.iter_mut().find(|zone| *zone.0 == anchor.owner) {
            Some((_, tags)) if !tags.contains(&tag) => tags.push(tag),
            Some(_) => {}
            None => zones.push((&anchor.owner, vec![tag])),
        }
    }
    let show = |(zone, mut tags): (&Name, Vec<u16>)| {
        tags.sort_unstable();
        let tags: Vec<_> = tags.iter().map(u16::to_string).collect();
        text_rdata(&format!("{zone} {}", tags.join(" ")))
    };
    zones.into_iter().map(show).collect()
}
