//! Includes and files of trust anchors.

use super::super::Ede;
use super::{Files, config, read};

#[test]
fn an_existing_file_is_as_silent_about_failures_as_unbound_is_with_it() {
    let files = Files::new("ede", &[("empty.conf", ""), ("ede.conf", "server: ede: failures\n")]);
    for (name, expected) in [("empty.conf", Ede::Off), ("ede.conf", Ede::Failures)] {
        assert_eq!(files.load(name).expect("valid").config.ede, expected, "{name}");
    }
}

#[test]
fn certificates_are_read_when_something_is_asked_over_tls() {
    // What is inside is not looked at before a session begins.
    let pem = "-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n";
    let forward = "forward-zone: name: . forward-tls-upstream: yes forward-addr: 192.0.2.1\n";
    let with = |bundle: &str, rest: &str| format!("server: tls-cert-bundle: {bundle}\n{rest}");
    let files = Files::new(
        "certificates",
        &[
            ("two.pem", &pem.repeat(2)),
            ("none.pem", "nothing here\n"),
            ("used.conf", &with("two.pem", forward)),
            ("all.conf", &with("two.pem", "server: tls-upstream: yes\n")),
            ("unused.conf", &with("missing.pem", "")),
            ("missing.conf", &with("missing.pem", forward)),
            ("empty.conf", &with("none.pem", forward)),
        ],
    );
    for (name, expected) in [("used.conf", 2), ("all.conf", 2), ("unused.conf", 0)] {
        let config = files.load(name).unwrap_or_else(|errors| panic!("{errors}")).config;
        assert_eq!(config.tls_roots.len(), expected, "{name}");
    }
    for (name, expected) in [("missing.conf", "missing.pem"), ("empty.conf", "no certificate")] {
        let errors = files.load(name).expect_err(name).to_string();
        assert!(errors.contains(expected), "{errors}");
    }
}

#[test]
fn includes_are_read_in_place() {
    let files = Files::new(
        "include",
        &[
            (
                "main.conf",
                "server:\n include: \"sub/*.conf\"\n port: 5300\n include-toplevel: top.conf\nserver: verbosity: 3\n",
            ),
            ("sub/1.conf", "port: 1111\nverbosity: 2\n"),
            (
                "sub/2.conf",
                "interface: 192.0.2.2\nforward-zone:\n name: x\n forward-addr: 192.0.2.9\nserver:\n",
            ),
            ("sub/.hidden.conf", "nonsense"),
            ("sub/other.txt", "nonsense"),
            ("top.conf", "server: do-ip6: no\n"),
        ],
    );
    let config = files.load("main.conf").unwrap_or_else(|errors| panic!("{errors}")).config;
    assert_eq!((config.port, config.verbosity, config.do_ip6), (5300, 3, false));
    assert_eq!(config.interfaces[0].to_string(), "192.0.2.2:5300");
    assert_eq!(config.forward_zones.len(), 1);
    assert_eq!(config.directory, files.0);
}

#[test]
fn includes_follow_the_directory_and_may_match_nothing() {
    let files = Files::new("directory", &[("deep/in.conf", "port: 77\n")]);
    let deep = files.0.join("deep");
    let text = format!(
        "server:\n directory: \"{}\"\n include: in.conf\n include: no*.conf\n",
        deep.display()
    );
    assert_eq!(config(&text).port, 77);
    // A path below the old root directory is found there as well.
    let text = format!(
        "server:\n chroot: \"{}\"\n directory: \"\"\n include: /deep/in.conf",
        files.0.display()
    );
    assert_eq!(config(&text).port, 77);
}

#[test]
fn broken_includes_are_shown_where_they_are_written() {
    let files = Files::new(
        "broken",
        &[
            ("loop.conf", "server:\n include: again.conf\n"),
            ("again.conf", "include: loop.conf\n"),
            ("missing.conf", "server: include: nowhere.conf\n"),
            ("toplevel.conf", "server:\n include-toplevel: port.conf\n port: 53\n"),
            ("port.conf", "port: 53\n"),
        ],
    );
    for (name, want) in [
        (
            "loop.conf",
            "again.conf:1:10: error: 'loop.conf' is being read already: it includes itself\n",
        ),
        (
            "missing.conf",
            "missing.conf:1:18: error: cannot read 'nowhere.conf': No such file or directory (os error 2)\n",
        ),
        ("toplevel.conf", "port.conf:1:1: error: option 'port' stands outside of a clause\n"),
        ("gone.conf", "error: cannot read 'gone.conf': No such file or directory (os error 2)\n"),
    ] {
        let shown = files.errors(name);
        assert!(shown.starts_with(want), "{shown}");
    }
    assert_eq!(files.errors("toplevel.conf").matches("stands outside").count(), 2);
}

#[test]
fn deep_includes_end() {
    let names: Vec<String> = (0..40).map(|n| format!("{n}.conf")).collect();
    let texts: Vec<String> = (1..41).map(|n| format!("include: {n}.conf\n")).collect();
    let files: Vec<(&str, &str)> =
        names.iter().zip(&texts).map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let shown = Files::new("deep", &files).errors("0.conf");
    assert!(shown.contains("nested more than 16 deep"), "{shown}");
}

const DS: &str = "example.com. 3600 IN DS 2854 3 1 46e4ffc6e9a4793b488954bd3f0cc6af0dfb201b";

#[test]
fn anchors_come_from_records_and_three_kinds_of_files() {
    let files = Files::new(
        "anchors",
        &[
            (
                "main.conf",
                &format!(
                    "server:\n trust-anchor: \"{DS}\"\n trust-anchor: \"{DS}\"\n trust-anchor-file: zone\n \
                 trusted-keys-file: \"*.keys\"\n auto-trust-anchor-file: auto\n \
                 auto-trust-anchor-file: initial\n"
                ),
            ),
            ("zone", "$ORIGIN org.\nzone 60 IN DNSKEY 256 3 8 (AQ\n==) ; comment\n@ A 192.0.2.1\n"),
            ("bind.keys", "trusted-keys { \"bind.\" 257 3 8 \"AQ==\"; };"),
            (
                "auto",
                "; autotrust trust anchor file\n;;id: auto. 1\n;;last_queried: 1 ;;Thu\n\
                 auto. 60 IN DNSKEY 257 3 8 AQ== ;{id = 1} ;;state=2 [  VALID  ] ;;count=0\n\
                 auto. 60 IN DNSKEY 257 3 8 Ag== ;{id = 2} ;;state=1 [ ADDPEND ] ;;count=1\n\
                 auto. 60 IN DNSKEY 257 3 8 Aw== ;{id = 3} ;;state=3 [ MISSING ] ;;count=0\n\
                 auto. 60 IN DNSKEY 385 3 8 BA== ;{id = 4} ;;state=4 [ REVOKED ] ;;count=0\n",
            ),
            (
                "initial",
                "initial. DNSKEY 257 3 8 AQ==\ninitial. DNSKEY 256 3 8 Ag==\ninitial. DS 1 8 2 ab\n",
            ),
        ],
    );
    let loaded = files.load("main.conf").unwrap_or_else(|errors| panic!("{errors}"));
    let got: Vec<String> = loaded
        .config
        .anchors()
        .iter()
        .map(|a| {
            format!(
                "{} {:?} {}",
                a.owner,
                a.kind,
                data_encoding::HEXLOWER.encode(a.rdata.as_bytes())
            )
        })
        .collect();
    assert_eq!(
        got,
        [
            "example.com. Ds 0b26030146e4ffc6e9a4793b488954bd3f0cc6af0dfb201b",
            "zone.org. Dnskey 0100030801",
            "bind. Dnskey 0101030801",
            "auto. Dnskey 0101030801",
            "auto. Dnskey 0101030803",
            "initial. Dnskey 0101030801",
            "initial. Dnskey 0100030802",
            "initial. Ds 00010802ab",
        ]
    );
    let auto = [files.0.join("auto"), files.0.join("initial")];
    assert_eq!(loaded.config.auto_trust_anchor_file, auto);
}

#[test]
fn broken_anchor_files_are_shown_from_inside() {
    let files = Files::new(
        "broken-anchors",
        &[
            (
                "main.conf",
                "server:\n trust-anchor-file: zone\n trusted-keys-file: keys\n trust-anchor-file: empty\n trust-anchor-file: gone\n",
            ),
            ("zone", "\nexample. DS 1 8 2 xy\n"),
            ("keys", "trusted-keys {\n . 257 3 eight \"AQ==\"; };"),
            ("empty", "; nothing\n"),
        ],
    );
    let shown = files.errors("main.conf");
    for want in [
        "zone:2:1: error: expected hexadecimal digits in the record, found 'xy'\n",
        "keys:2:10: error: expected a number\n",
        "main.conf:4:21: error: 'empty' holds no trust anchor\n",
        "main.conf:5:21: error: cannot read 'gone'",
    ] {
        assert!(shown.contains(want), "{want}\n{shown}");
    }
}

#[test]
fn built_in_anchors_give_way_to_what_the_operator_says() {
    let files = Files::new(
        "default-anchors",
        &[("hints", ". NS a.\na. A 192.0.2.1\n"), ("revoked", ";;REVOKED\n")],
    );
    let dir = files.0.display();
    for (text, anchors, insecure, notices) in [
        ("", 2, 0, 0),
        ("server: module-config: \"iterator\"", 0, 0, 0),
        (&format!("server: trust-anchor: \"{DS}\""), 1, 0, 0),
        (
            &format!("server: trust-anchor: \"{DS}\"\nstub-zone: name: x. stub-addr: 192.0.2.1"),
            1,
            0,
            0,
        ),
        (&format!("server: root-hints: {dir}/hints"), 0, 0, 1),
        ("stub-zone: name: . stub-addr: 192.0.2.1", 0, 0, 1),
        ("forward-zone: name: \".\" forward-addr: 192.0.2.1", 0, 0, 1),
        ("forward-zone: name: x. forward-addr: 192.0.2.1", 2, 1, 1),
        ("server: domain-insecure: x.\nforward-zone: name: y.x. forward-addr: 192.0.2.1", 2, 1, 0),
        (&format!("server: auto-trust-anchor-file: {dir}/gone"), 2, 0, 1),
        (&format!("server: auto-trust-anchor-file: {dir}/revoked"), 0, 0, 0),
    ] {
        let loaded = read(text).unwrap_or_else(|errors| panic!("{errors}"));
        let got = (
            loaded.config.anchors().len(),
            loaded.config.domain_insecure.len(),
            loaded.notices.len(),
        );
        assert_eq!(got, (anchors, insecure, notices), "{text}");
    }
}
