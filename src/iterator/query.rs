//! The bytes of one query, and what a reply to it must match.

use std::net::IpAddr;

use rand::RngExt;

use crate::clock::Rng;
use crate::config::{Config, Prefix64};
use crate::wire::{Builder, Edns, EdnsOption, Header, Name, Question};

/// How a query is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Style {
    /// RD: the server is a forwarder.
    pub(super) recursion: bool,
    /// CD: give us bogus data too, we look for ourselves.
    pub(super) checking_disabled: bool,
    /// With an OPT record.
    pub(super) edns: bool,
    /// Random letter case in QNAME (`use-caps-for-id`).
    pub(super) random_case: bool,
}

/// One query as sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Query {
    /// Random, fresh for each query (RFC 5452 §9.2).
    pub(super) id: u16,
    /// The question in the case it was asked with.
    pub(super) asked: Question,
    /// The question in the case it was sent with.
    pub(super) question: Question,
    /// How it was asked.
    pub(super) style: Style,
    /// The message.
    pub(super) wire: Vec<u8>,
}

impl Query {
    /// Builds a query for `asked`, with `options` when it has EDNS.
    pub(super) fn new(
        asked: &Question,
        style: Style,
        options: Vec<EdnsOption>,
        config: &Config,
        rng: &mut Rng,
    ) -> Self {
        let mut question = asked.clone();
        if style.random_case {
            question.name = question.name.with_case(|| rng.random());
        }
        let id = rng.random();
        let header = Header { id, ..Header::default() }
            .with_rd(style.recursion)
            .with_cd(style.checking_disabled);
        let mut builder = Builder::new(header, 512);
        builder.question(&question);
        let mut edns = Edns::new(config.edns_buffer_size, !config.disable_edns_do);
        edns.options = options;
        let wire = builder.finish(style.edns.then_some(&edns));
        Self { id, asked: asked.clone(), question, style, wire }
    }
}

/// The EDNS options that the server at `ip` is sent.
pub(super) fn options(ip: IpAddr, config: &Config) -> Vec<EdnsOption> {
    let text = config.client_string(Prefix64::real(config.nat64, ip));
    let code = config.edns_client_string_opcode;
    text.map(|text| EdnsOption { code, data: text.as_bytes().to_vec() }).into_iter().collect()
}

/// The option that makes a query for `question`, with `options` beside, a multiple of
/// `pad-queries-block-size` octets long (RFC 7830, RFC 8467 §4.1).
pub(super) fn padding(question: &Question, options: &[EdnsOption], config: &Config) -> EdnsOption {
    let block = config.pad_queries_block_size.max(1);
    let edns = Edns { options: options.to_vec(), ..Edns::new(0, false) };
    // The header of the option itself comes on top.
    let len = Header::LEN + question.name.len() + 4 + edns.wire_len() + 4;
    let data = vec![0; len.next_multiple_of(block) - len];
    EdnsOption { code: EdnsOption::PADDING, data }
}

/// Whether `name` is asked in plain case whatever the configuration says of case
/// (`caps-exempt`).
pub(super) fn is_case_exempt(name: &Name, config: &Config) -> bool {
    config.caps_exempt.iter().any(|exempt| name.is_at_or_below(exempt))
}

/// Whether data at `name` is validated: a trust anchor stands at or above it and no negative one
/// closer (RFC 7646 §1.1).
pub(super) fn is_below_anchor(name: &Name, config: &Config) -> bool {
    if !config.validates() {
        return false;
    }
    let closest = |labels: Option<usize>| labels.map_or(0, |labels| labels + 1);
    let anchors = config.anchors();
    let anchor = anchors.iter().filter(|anchor| name.is_at_or_below(&anchor.owner));
    let anchor = closest(anchor.map(|anchor| anchor.owner.label_count()).max());
    let negative = config.domain_insecure.iter().filter(|zone| name.is_at_or_below(zone));
    let negative = closest(negative.map(Name::label_count).max());
    anchor > negative
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::config::{AnchorKind, TrustAnchor};
    use crate::wire::{Message, Rdata, RecordType};

    const PLAIN: Style =
        Style { recursion: false, checking_disabled: true, edns: true, random_case: false };

    fn question() -> Question {
        Question::new("abcdefghijklmnopqrstuvwxyz.example.".parse().unwrap(), RecordType::MX)
    }

    #[test]
    fn the_style_decides_flags_and_edns() {
        let config = Config { edns_buffer_size: 1111, ..Config::default() };
        let mut rng = Rng::seed_from_u64(1);
        for (recursion, checking_disabled, edns) in
            [(false, true, true), (true, true, true), (true, false, false)]
        {
            let style = Style { recursion, checking_disabled, edns, random_case: false };
            let query = Query::new(&question(), style, Vec::new(), &config, &mut rng);
            let message = Message::parse(&query.wire).unwrap();
            assert_eq!(message.header.id, query.id);
            assert_eq!(message.question, Some(question()));
            assert_eq!((message.header.rd(), message.header.cd()), (recursion, checking_disabled));
            assert!(!message.header.qr() && !message.header.ad());
            assert_eq!(message.edns, edns.then(|| Edns::new(1111, true)));
        }
    }

    #[test]
    fn ids_and_case_are_drawn_anew_for_each_query() {
        let config = Config::default();
        let mut rng = Rng::seed_from_u64(2);
        let style = Style { random_case: true, ..PLAIN };
        let one = Query::new(&question(), style, Vec::new(), &config, &mut rng);
        let two = Query::new(&question(), style, Vec::new(), &config, &mut rng);
        assert_ne!(one.id, two.id);
        assert_eq!(one.question, two.question);
        assert!(!one.question.name.eq_case(&two.question.name));
        let plain = Query::new(&question(), PLAIN, Vec::new(), &config, &mut rng);
        assert!(plain.question.name.eq_case(&question().name));
    }

    #[test]
    fn do_is_left_out_when_configured() {
        let config = Config { disable_edns_do: true, ..Config::default() };
        let query = Query::new(&question(), PLAIN, Vec::new(), &config, &mut Rng::seed_from_u64(3));
        assert_eq!(Message::parse(&query.wire).unwrap().edns, Some(Edns::new(1232, false)));
    }

    #[test]
    fn servers_are_told_the_text_of_the_most_specific_netblock() {
        let strings = [("10.0.0.0/8", "wide"), ("10.0.0.10/32", "host"), ("2001:db8::/32", "six")];
        let edns_client_string =
            strings.map(|(block, text)| (block.parse().unwrap(), text.to_owned())).to_vec();
        let config =
            Config { edns_client_string, edns_client_string_opcode: 65_432, ..Config::default() };
        for (ip, expected) in [
            ("10.0.0.10", Some("host")),
            ("10.0.0.11", Some("wide")),
            ("2001:db8::1", Some("six")),
            ("192.0.2.1", None),
        ] {
            let options = options(ip.parse().unwrap(), &config);
            let query =
                Query::new(&question(), PLAIN, options, &config, &mut Rng::seed_from_u64(4));
            let edns = Message::parse(&query.wire).unwrap().edns.unwrap();
            let data = edns.option(65_432).map(|option| option.data.as_slice());
            assert_eq!(data, expected.map(str::as_bytes), "{ip}");
            assert_eq!(edns.options.len(), usize::from(expected.is_some()), "{ip}");
        }
    }

    #[test]
    fn padded_queries_are_multiples_of_a_block_rfc_8467_section_4_1() {
        for name in ["a.", "example.com.", "abcdefghijklmnopqrstuvwxyz.abcdefghijklmnopqrstuvwxyz."]
        {
            for (block, text) in [(128, None), (64, Some("some text")), (1, None)] {
                let question = Question::new(name.parse().unwrap(), RecordType::A);
                let config = Config { pad_queries_block_size: block, ..Config::default() };
                let mut options: Vec<EdnsOption> = text
                    .map(|text| EdnsOption { code: 65_001, data: text.as_bytes().to_vec() })
                    .into_iter()
                    .collect();
                options.push(padding(&question, &options, &config));
                let mut rng = Rng::seed_from_u64(6);
                let query = Query::new(&question, PLAIN, options, &config, &mut rng);
                assert_eq!(query.wire.len() % block, 0, "{name} {block}");
            }
        }
    }

    #[test]
    fn the_closest_anchor_decides() {
        let anchor = |owner: &str| TrustAnchor {
            owner: owner.parse().unwrap(),
            kind: AnchorKind::Ds,
            rdata: Rdata::from_bytes([]),
        };
        let config = Config {
            trust_anchors: vec![anchor("example."), anchor("island.dark.example.")],
            domain_insecure: vec!["dark.example.".parse().unwrap()],
            ..Config::default()
        };
        for (name, expected) in [
            ("example.", true),
            ("www.example.", true),
            ("com.", false),
            (".", false),
            ("dark.example.", false),
            ("x.dark.example.", false),
            ("x.island.dark.example.", true),
        ] {
            assert_eq!(is_below_anchor(&name.parse().unwrap(), &config), expected, "{name}");
        }
        let unvalidated = Config { module_config: Vec::new(), ..config };
        assert!(!is_below_anchor(&"example.".parse().unwrap(), &unvalidated));
    }
}
