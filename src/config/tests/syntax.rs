//! Text and what becomes of it, mistakes included.

use std::net::IpAddr;

use super::super::*;
use super::{config, errors, read};

#[test]
fn scalars_are_replaced_and_lists_grow_over_clauses() {
    let config = config(
        "server:\n\tport: 53\n  interface: 192.0.2.1\n\
         forward-zone:\n name: \"example.\" # one\n forward-addr: 192.0.2.9\n\
         server: port: 5353 interface: '2001:db8::1@54' prefetch:yes\n\
         forward-zone: name: example.org forward-addr: 192.0.2.9@54 forward-first: yes",
    );
    assert_eq!(config.port, 5353);
    assert!(config.prefetch);
    let interfaces: Vec<_> = config.interfaces.iter().map(ToString::to_string).collect();
    assert_eq!(interfaces, ["192.0.2.1:5353", "[2001:db8::1]:54"]);
    let zones: Vec<_> = config
        .forward_zones
        .iter()
        .map(|zone| format!("{} {} {}", zone.name, zone.addrs[0].addr, zone.first))
        .collect();
    assert_eq!(zones, ["example. 192.0.2.9:53 false", "example.org. 192.0.2.9:54 true"]);
}

#[test]
fn values_become_typed_fields() {
    let config = config(
        r#"
server:
    msg-cache-size: 64m
    rrset-cache-size: 50K
    edns-buffer-size: 4096
    max-udp-size: 65536
    target-fetch-policy: "2 -1 0"
    val-override-date: "20070916134226"
    val-nsec3-keysize-iterations: "1024 50 4096 100"
    module-config: "respip iterator"
    access-control: 10.0.0.0/8 allow_snoop
    access-control: 10.1.0.0/16 deny
    access-control: 10.1.0.0/16 refuse_non_local
    wait-limit-netblock: 10.0.0.0/8 -1
    tcp-connection-limit: ::/0 7
    do-not-query-address: 192.0.2.7
    do-not-query-localhost: no
    outgoing-port-avoid: "0-65535"
    outgoing-port-permit: 4000-4002
    private-domain: Example.COM
    nsid: ascii_ns1
    local-zone: "a.example" static
    local-zone: A.example. redirect
    local-data: 'a.example. 60 IN TXT "x y"'
    local-data-ptr: "192.0.2.4 7200 www.example.com"
stub-zone:
    name: "x"
    stub-addr: 192.0.2.1@853#tls.example
    stub-host: NS.example
    stub-tls-upstream: yes
    stub-prime: yes
"#,
    );
    assert_eq!((config.msg_cache_size, config.rrset_cache_size), (64 << 20, 50 << 10));
    assert_eq!((config.edns_buffer_size, config.max_udp_size), (4096, u16::MAX));
    assert_eq!(config.val_override_date, ValDate::At(1_189_950_146));
    assert_eq!(config.val_nsec3_keysize_iterations[1], Iterations { key_bits: 4096, max: 100 });
    assert_eq!(config.module_config, [Module::Other("respip"), Module::Iterator]);
    assert!(!config.validates());
    for (addr, want) in [
        ("10.9.9.9", AccessAction::AllowSnoop),
        ("10.1.9.9", AccessAction::RefuseNonLocal),
        ("127.3.2.1", AccessAction::Allow),
        ("::1", AccessAction::Allow),
        ("192.0.2.1", AccessAction::Refuse),
    ] {
        assert_eq!(config.access(addr.parse::<IpAddr>().expect(addr)), want, "{addr}");
    }
    assert_eq!(config.wait_limit_netblock.last().map(|block| block.1), Some(None));
    assert_eq!(config.wait_limit_netblock.len(), 3, "after those of loopback");
    assert_eq!(config.tcp_connection_limit[0].1, 7);
    assert_eq!(config.do_not_query_address.len(), 1);
    assert_eq!(config.outgoing_ports.ranges(), [(4000, 4002)]);
    assert_eq!(config.private_domain[0].to_string(), "example.com.");
    assert_eq!(config.nsid, Some(Nsid(b"ns1".to_vec())));
    assert_eq!(config.local_zones.len(), 1);
    assert_eq!(config.local_zones[0].kind, LocalZoneKind::Redirect);
    let owners: Vec<_> =
        config.local_data.iter().map(|record| format!("{} {}", record.owner, record.ttl)).collect();
    assert_eq!(owners, ["a.example. 60", "4.2.0.192.in-addr.arpa. 7200"]);
    let zone = &config.stub_zones[0];
    assert_eq!(zone.addrs[0].tls_name.as_deref(), Some("tls.example"));
    assert_eq!((zone.hosts[0].name.to_string(), zone.hosts[0].port), ("ns.example.".into(), 853));
    assert!(zone.prime && zone.tls && !zone.first);
}

#[test]
fn an_empty_file_gives_the_defaults_and_the_built_in_anchors() {
    let loaded = read("# nothing\n").expect("empty");
    let want = Config {
        trust_anchors: loaded.config.trust_anchors.clone(),
        control_interface: loaded.config.control_interface.clone(),
        ..Config::default()
    };
    assert_eq!(loaded.config, want);
    assert_eq!(loaded.config.trust_anchors.len(), 2);
    assert_eq!(loaded.notices, []);
}

#[test]
fn mistakes_are_shown_with_line_caret_and_help() {
    for (text, want) in [
        (
            "server:\n\tqname-minimization: yes\n",
            "test.conf:2:2: error: unknown option 'qname-minimization'\n    \
                 2 | \tqname-minimization: yes\n      \
                   | \t^^^^^^^^^^^^^^^^^^\n      \
                   = help: did you mean `qname-minimisation`?\n",
        ),
        (
            "server: prefetch: True # x\n",
            "test.conf:1:19: error: expected yes or no\n    \
                 1 | server: prefetch: True # x\n      \
                   |                   ^^^^\n      \
                   = help: write `prefetch: yes`\n",
        ),
        (
            "server:\n  port: 0\n  interface: \"\"\n",
            "test.conf:2:9: error: expected a number from 1 to 65535\n    \
                 2 |   port: 0\n      \
                   |         ^\n\
             test.conf:3:15: error: expected an IPv4 or IPv6 address\n    \
                 3 |   interface: \"\"\n      \
                   |               ^\n",
        ),
    ] {
        assert_eq!(errors(text), want);
    }
}

#[test]
fn every_mistake_says_what_would_be_right() {
    for (text, want) in [
        ("verbosity: 1", "option 'verbosity' stands outside of a clause; put `server:` above it"),
        ("nonsense: 1", "option 'nonsense' stands outside of a clause"),
        (
            "server: forward-addr: 1.2.3.4",
            "option 'forward-addr' does not belong into 'server:'; put it below `forward-zone:`",
        ),
        (
            "server: name: x",
            "option 'name' does not belong into 'server:'; put it below `forward-zone:` or `stub-zone:` or `auth-zone:` or `rpz:` or `view:`",
        ),
        (
            "server: verbosity 1",
            "expected an option, found 'verbosity'; the name ends with a colon: `verbosity:`",
        ),
        (
            "server: port: 53 54",
            "too many values: 'port' takes 1; a value with spaces needs quotes around it",
        ),
        ("server: port:", "'port' has no value; expected a number from 1 to 65535"),
        ("server: port:\n verbosity: 1", "'port' has no value; expected a number from 1 to 65535"),
        (
            "server: access-control: 10.0.0.0/8\n port: 53",
            "'access-control' has no value; expected address[/prefix], deny, refuse, allow, allow_setrd, allow_snoop, allow_cookie, deny_non_local or refuse_non_local",
        ),
        (
            "server: access-control: 10.0.0.0/8 alow",
            "expected deny, refuse, allow, allow_setrd, allow_snoop, allow_cookie, deny_non_local or refuse_non_local; did you mean `allow`?",
        ),
        ("server: access-control: 10.0.0.0/33 allow", "expected a prefix length from 0 to 32"),
        ("server: identity: \"open\n", "missing closing \""),
        ("server: msg-cache-size: 4x", "expected a number of bytes such as 65536, 64k, 4m or 1g"),
        ("server: msg-cache-slabs: 3", "expected a power of 2"),
        (
            "server: module-config: \"validater iterator\"",
            "unknown module 'validater'; did you mean `validator`?",
        ),
        ("server: module-config: \"iterator validator\"", "'iterator' has to be the last module"),
        (
            "server: val-override-date: 20071399000000",
            "expected a date such as 20260731120000, seconds since 1970, or -1",
        ),
        ("server: trust-anchor: \"example.com. A 192.0.2.1\"", "expected a DS or DNSKEY record"),
        (
            "server: local-data: \"a A 1.2.3\"",
            "expected an IPv4 address in the record, found '1.2.3'",
        ),
        ("server: domain-insecure: a..b", "expected a domain name: empty label"),
        (
            "server: prefer-ip4: yes prefer-ip6: yes",
            "'prefer-ip6' and 'prefer-ip4' cannot both be yes",
        ),
        ("server: do-ip6: no do-ip4: no", "'do-ip6' and 'do-ip4' cannot both be no"),
        ("server: include: \"\"", "expected a file name"),
        (
            "forward-zone: forward-addr: dns.example",
            "expected an IPv4 or IPv6 address, with @PORT and #NAME or without; a server known by name goes into the option that ends in -host",
        ),
        (
            "forward-zone: name: x forward-addr: 192.0.2.1@x",
            "expected a port from 1 to 65535 after '@'",
        ),
        ("stub-zone: stub-addr: 192.0.2.1", "'stub-zone:' has no 'name:'"),
        ("view: view-first: yes", "'view:' has no 'name:'"),
    ] {
        let shown = errors(text);
        let lines: Vec<&str> = shown.lines().collect();
        let (_, message) = lines[0].split_once("error: ").expect(&shown);
        let help = lines.iter().find_map(|line| line.split_once("= help: "));
        let got = match help {
            Some((_, help)) => format!("{message}; {help}"),
            None => message.to_owned(),
        };
        assert_eq!(got, want, "{text}");
    }
}

#[test]
fn every_mistake_is_reported() {
    let shown = errors("server:\n port: x\n foo: bar\n verbosity: 9\nforward-zone:\n");
    assert_eq!(shown.matches(": error: ").count(), 4, "{shown}");
    let many = format!("server:\n{}", "port: x\n".repeat(500));
    assert_eq!(read(&many).expect_err("many").list().len(), 100);
}
