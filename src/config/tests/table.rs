//! The tables as a whole, and what is shown from them.

use super::super::draft::Draft;
use super::super::lexer::Value;
use super::super::*;
use super::read;

/// Options that Unbound does not have; all are in `server:`.
const OWN: &[&str] = &["val-accept-sha1"];

#[test]
fn every_option_of_unbound_has_a_row() {
    for (clause, want) in [
        (Clause::Server, 262),
        (Clause::RemoteControl, 8),
        (Clause::ForwardZone, 7),
        (Clause::StubZone, 8),
        (Clause::AuthZone, 12),
        (Clause::Rpz, 14),
        (Clause::View, 7),
        (Clause::Cachedb, 21),
        (Clause::Dnstap, 20),
        (Clause::Dnscrypt, 10),
        (Clause::Ipset, 2),
        (Clause::Python, 1),
        (Clause::Dynlib, 1),
    ] {
        let names = directives().filter(|row| row.clause == clause).map(|row| row.name);
        let names: Vec<_> = names.filter(|name| !OWN.contains(name)).collect();
        let mut distinct = names.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!((names.len(), distinct.len()), (want, want), "{clause}");
    }
}

#[test]
fn rows_and_the_default_configuration_agree() {
    for row in directives().filter(|row| !row.list && !row.clause.is_named()) {
        let span = Span::new(0, 0..0);
        let text = row.default.to_owned();
        let value = Value { text, span, quoted: true, on_new_line: false };
        let mut draft = Draft::default();
        if row.default.is_empty() && row.shape.check("").is_err() {
            continue;
        }
        let shown =
            row.apply(&mut draft, &[value]).unwrap_or_else(|e| panic!("{}: {e:?}", row.name));
        assert_eq!(shown, row.default, "{}", row.name);
        assert_eq!(draft.config, Config::default(), "{}", row.name);
    }
}

#[test]
fn help_is_a_sentence() {
    for row in directives() {
        assert!(row.help.ends_with('.') && row.help.len() > 10, "{}: {}", row.name, row.help);
        match row.status {
            Status::Implemented => {}
            Status::Partly { why } => {
                assert!(why.contains(" yet"), "{}: {why}", row.name);
            }
            Status::Ignored { why, .. } => {
                assert!(why.starts_with("has no effect"), "{}: {why}", row.name);
            }
        }
    }
}

#[test]
fn other_spellings_lead_to_the_same_option() {
    for (clause, alias, name) in [
        (Clause::Server, "ip-address", "interface"),
        (Clause::Server, "ssl-port", "tls-port"),
        (Clause::Server, "tls-additional-ports", "tls-additional-port"),
        (Clause::Server, "low-rtt-permil", "fast-server-permil"),
        (Clause::StubZone, "stub-ssl-upstream", "stub-tls-upstream"),
        (Clause::Rpz, "master", "primary"),
    ] {
        assert_eq!(find(clause, alias).map(|row| row.name), Some(name), "{alias}");
    }
    assert!(find(Clause::Server, "master").is_none());
}

#[test]
fn options_without_effect_are_noticed_once_and_only_when_it_matters() {
    let loaded = read(
        "server:\n do-daemonize: no\n username: \"\"\n use-syslog: no\n chroot: \"\"\n pidfile: \"\"\n\
         tcp-mss: 0\n msg-cache-slabs: 8\n tcp-mss: 1\n tcp-mss: 2\n\
         python:\n python-script: x.py\nserver: module-config: \"python validator iterator\"\n",
    )
    .expect("valid");
    let shown: Vec<String> = loaded.notices.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "test.conf:8: 'msg-cache-slabs' has no effect: the cache is not divided into slabs",
            "test.conf:9: 'tcp-mss' (given 2 times) has no effect: whoever starts the daemon opens its listeners",
            "test.conf:12: 'python-script' in 'python:' has no effect: its module is not supported",
            "test.conf:13: module 'python' is not supported and skipped",
        ]
    );
}

#[test]
fn zones_that_are_given_twice_or_have_no_servers_are_noticed() {
    let loaded = read(
        "server: domain-insecure: a\nforward-zone: name: a forward-addr: 192.0.2.1\n\
         forward-zone: name: A. forward-addr: 192.0.2.2\nstub-zone: name: a\n",
    )
    .expect("valid");
    let shown: Vec<String> = loaded.notices.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "test.conf:3: second 'forward-zone:' for 'a.' is ignored",
            "test.conf:4: 'stub-zone:' for 'a.' has no server: questions in it will fail",
        ]
    );
    assert_eq!(loaded.config.forward_zones[0].addrs[0].addr.to_string(), "192.0.2.1:53");
}

#[test]
fn settings_show_what_was_written_or_the_default() {
    let settings = read(
        "server: msg-cache-size: 4m\n prefetch: yes\n interface: ::1\n interface: 127.0.0.1@54\n\
         ssl-port: 8853\n access-control: 10.0.0.0/8 allow\nremote-control: control-port: 99\n",
    )
    .expect("valid")
    .settings;
    for (name, want) in [
        ("msg-cache-size", Some(vec!["4194304"])),
        ("rrset-cache-size", Some(vec!["4194304"])),
        ("prefetch", Some(vec!["yes"])),
        ("interface", Some(vec!["::1", "127.0.0.1@54"])),
        ("ip-address", Some(vec!["::1", "127.0.0.1@54"])),
        ("tls-port", Some(vec!["8853"])),
        ("access-control", Some(vec!["10.0.0.0/8 allow"])),
        ("control-port", Some(vec!["99"])),
        ("target-fetch-policy", Some(vec!["3 2 1 0 0"])),
        ("identity", Some(vec![""])),
        ("domain-insecure", Some(vec![])),
        ("redis-timeout", Some(vec!["100"])),
        ("forward-addr", None),
        ("nonsense", None),
    ] {
        assert_eq!(settings.get(name), want, "{name}");
    }
}
