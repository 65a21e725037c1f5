//! Laws that hold for whatever is in a file.

use std::path::Path;

use proptest::prelude::*;

use super::super::*;
use super::{config, read};

/// Pieces that a file may be made of, so that the parser is reached in every state.
fn piece() -> impl Strategy<Value = String> {
    let names: Vec<String> = directives()
        .map(|row| format!("{}: ", row.name))
        .chain(Clause::NAMES.iter().map(|row| format!("{}:\n", row.0)))
        .collect();
    prop_oneof![
        4 => prop::sample::select(names),
        2 => prop::sample::select(vec![
            "yes", "no", "53", "-1", "4m", "\"", "'", "\\", "#", "\n", " ", "\t", ":", "\r\n", "é",
            "10.0.0.0/8", "::1", "allow", "\"a b\"", "x.example.", "\"x. 60 IN A 192.0.2.1\"",
            "\"x. HTTPS 1 . alpn=h2\"", "\"x. TXT (\"", "\"192.0.2.1 x\"", "(", ")", ";", "$TTL", "\0",
        ])
        .prop_map(str::to_owned),
        1 => "\\PC{0,12}",
    ]
}

/// Nothing panics, every mistake lies in the file, and it can be shown.
fn hold(text: &[u8]) {
    if let Err(errors) = load_text(Path::new("law.conf"), text) {
        assert!(!errors.list().is_empty());
        for error in errors.list() {
            assert!(error.span.is_some_and(|span| errors.sources().contains(span)), "{error:?}");
        }
        assert!(errors.to_string().starts_with("law.conf:"));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(text in prop::collection::vec(any::<u8>(), 0..400)) {
        hold(&text);
    }

    #[test]
    fn any_pieces_are_read_or_refused(pieces in prop::collection::vec(piece(), 0..40)) {
        hold(pieces.concat().as_bytes());
    }

    #[test]
    fn any_record_is_read_or_refused(
        rtype in 0u16..300,
        words in prop::collection::vec("[a-z0-9.\\\\\"=(;:-]{0,9}", 0..6),
    ) {
        let rtype = crate::wire::RecordType(rtype);
        drop(master::record(&format!("x. {rtype} {}", words.join(" "))));
    }

    #[test]
    fn any_keys_are_read_or_refused(text in "[a-z.{};\"#/* 0-9]{0,60}") {
        if let Err((range, _)) = keys::read(format!("trusted-keys {{ {text}").as_bytes()) {
            prop_assert!(range.start <= range.end);
        }
    }

    #[test]
    fn what_settings_show_is_read_back(value in 0i64..=4_000_000, on in any::<bool>()) {
        let on = if on { "yes" } else { "no" };
        let text = format!("server: msg-cache-size: {value}\n cache-max-ttl: {value}\n prefetch: {on}\n");
        let loaded = read(&text).expect("valid");
        let mut again = String::from("server:");
        for name in ["msg-cache-size", "cache-max-ttl", "prefetch"] {
            let value = loaded.settings.get(name).expect(name).join("");
            again.push_str(&format!(" {name}: {value}\n"));
        }
        prop_assert_eq!(loaded.config, config(&again));
    }
}
