//! Configurations and the drop-ins they make.

use std::path::Path;

use super::*;
use crate::config::load_text;

/// The translation of a file that is where the units show it.
fn units(text: &str) -> Units {
    with(text, SERVED)
}

fn with(text: &str, served: Served) -> Units {
    let loaded = load_text(Path::new("/etc/prebound/prebound.conf"), text).unwrap();
    Units::with(&loaded, served)
}

/// The lines of a drop-in, without the comment above.
fn lines<'a>(units: &'a Units, unit: &str) -> Vec<&'a str> {
    let drop_in = units.drop_ins.iter().find(|drop_in| drop_in.unit == unit);
    drop_in.map(|drop_in| drop_in.text.lines().skip(1).collect()).unwrap_or_default()
}

#[test]
fn what_is_as_shipped_needs_no_drop_in() {
    for text in ["", "server:\n verbosity: 2\n access-control: 10.0.0.0/8 allow\n"] {
        assert_eq!(units(text), Units::default(), "{text:?}");
    }
}

#[test]
fn listeners_are_translated() {
    #[rustfmt::skip]
    let cases: &[(&str, &[&str])] = &[
        ("port: 5353",
         &["ListenDatagram=127.0.0.1:5353", "ListenDatagram=[::1]:5353",
           "ListenStream=127.0.0.1:5353", "ListenStream=[::1]:5353"]),
        ("interface: 192.0.2.1\n interface: 2001:db8::1@5300",
         &["ListenDatagram=192.0.2.1:53", "ListenDatagram=[2001:db8::1]:5300",
           "ListenStream=192.0.2.1:53", "ListenStream=[2001:db8::1]:5300"]),
        ("interface: 0.0.0.0\n interface: ::0\n interface: ::",
         &["ListenDatagram=0.0.0.0:53", "ListenDatagram=[::]:53",
           "ListenStream=0.0.0.0:53", "ListenStream=[::]:53"]),
        ("interface: fe80::1%eth0",
         &["ListenDatagram=[fe80::1]:53%eth0", "ListenStream=[fe80::1]:53%eth0"]),
        ("interface: 192.0.2.1\n interface-automatic: yes\n do-ip6: no",
         &["ListenDatagram=0.0.0.0:53", "ListenStream=0.0.0.0:53"]),
        ("interface-automatic: yes\n interface-automatic-ports: \"53 5353\"\n do-ip4: no",
         &["ListenDatagram=[::]:53", "ListenDatagram=[::]:5353",
           "ListenStream=[::]:53", "ListenStream=[::]:5353"]),
        ("interface: 192.0.2.1\n num-threads: 3",
         &["ListenDatagram=192.0.2.1:53", "ListenDatagram=192.0.2.1:53",
           "ListenDatagram=192.0.2.1:53", "ListenStream=192.0.2.1:53"]),
        ("interface: 192.0.2.1\n do-udp: no",   &["ListenStream=192.0.2.1:53"]),
        ("interface: 192.0.2.1\n do-tcp: no",   &["ListenDatagram=192.0.2.1:53"]),
        ("interface: 192.0.2.1\n incoming-num-tcp: 0", &["ListenDatagram=192.0.2.1:53"]),
    ];
    for (text, expected) in cases {
        let units = units(&format!("server:\n {text}\n"));
        let found = lines(&units, "prebound.socket");
        assert_eq!(found[..3], ["[Socket]", "ListenDatagram=", "ListenStream="], "{text}");
        assert_eq!(found[3..], **expected, "{text}");
        assert_eq!(units.notes, [], "{text}");
    }
}

#[test]
fn options_of_sockets_are_translated() {
    #[rustfmt::skip]
    let cases: [(&str, &str); 8] = [
        ("so-rcvbuf: 4m",       "ReceiveBuffer=4194304"),
        ("so-rcvbuf: 0",        "ReceiveBuffer=0"),
        ("so-sndbuf: 1m",       "SendBuffer=1048576"),
        ("so-reuseport: no\n num-threads: 2", "ReusePort=no"),
        ("ip-transparent: yes", "Transparent=yes"),
        ("ip-freebind: no",     "FreeBind=no"),
        ("ip-freebind: yes",    "FreeBind=yes"),
        ("ip-dscp: 46",         "IPTOS=184"),
    ];
    for (text, expected) in cases {
        let units = units(&format!("server:\n {text}\n"));
        assert_eq!(lines(&units, "prebound.socket").last(), Some(&expected), "{text}");
    }
    let one = units("server:\n so-reuseport: no\n num-threads: 2\n interface: 192.0.2.1\n");
    let datagrams =
        lines(&one, "prebound.socket").iter().filter(|l| l.contains("Datagram=1")).count();
    assert_eq!(datagrams, 1, "two workers share it");
}

#[test]
fn what_a_unit_cannot_express_is_named_with_its_line() {
    #[rustfmt::skip]
    let cases: [(&str, &str, &str); 8] = [
        ("server:\n interface: eth0", "2:2", "name those of eth0"),
        ("server:\n interface: 192.0.2.1@853", "2:2", "TLS is not served"),
        ("server:\n tls-port: 8853\n interface: 192.0.2.1@8853", "3:2", "TLS is not served"),
        ("server:\n interface: 192.0.2.1@443", "2:2", "HTTPS is not served"),
        ("server:\n tcp-mss: 1220", "2:2", "no setting"),
        ("server:\n outgoing-port-permit: 53", "2:2", "below 1024"),
        ("server:\n auto-trust-anchor-file: \"/var/lib/unbound/none.key\"", "2:2", "never updated"),
        ("remote-control:\n control-enable: yes\n control-interface: 127.0.0.1", "3:2", "Unix"),
    ];
    for (text, place, part) in cases {
        let units = units(&format!("{text}\n"));
        let found: Vec<String> = units.notes.iter().map(Note::to_string).collect();
        let expected = format!("/etc/prebound/prebound.conf:{place}: ");
        let named = |note: &String| {
            note.starts_with(&expected) && note.to_lowercase().contains(&part.to_lowercase())
        };
        assert!(found.iter().any(named), "{text}: {found:?}");
    }
}

#[test]
fn an_address_that_cannot_be_served_does_not_cost_the_others() {
    let text = "server:\n interface: eth0\n interface: 192.0.2.1\n interface: 192.0.2.1@853\n";
    let found = units(text);
    let plain = ["ListenDatagram=192.0.2.1:53", "ListenStream=192.0.2.1:53"];
    assert_eq!(lines(&found, "prebound.socket")[3..], plain);
    assert_eq!(found.notes.len(), 2);
    // Nothing but such: the sockets stay, as a unit without any would not start.
    let none = units("server:\n interface: eth0\n");
    assert_eq!(lines(&none, "prebound.socket"), [] as [&str; 0]);
    // A version that serves TLS gets streams only.
    let tls = with(text, Served { tls: true, https: true });
    assert_eq!(lines(&tls, "prebound.socket")[4..], [plain[1], "ListenStream=192.0.2.1:853"]);
}

#[test]
fn control_sockets_are_where_unbound_control_looks() {
    #[rustfmt::skip]
    let cases: &[(&str, &[&str])] = &[
        ("control-enable: no",  &["[Unit]", "ConditionPathExists=!/"]),
        ("control-enable: yes", &[]),
        ("control-enable: yes\n control-interface: /run/unbound.ctl",
         &["[Socket]", "ListenStream=", "ListenStream=/run/unbound.ctl"]),
        ("control-enable: yes\n control-interface: 127.0.0.1\n control-interface: \"/run/a b\"",
         &["[Socket]", "ListenStream=", "ListenStream=/run/a\\x20b"]),
    ];
    for (text, expected) in cases {
        let units = units(&format!("remote-control:\n {text}\n"));
        assert_eq!(lines(&units, "prebound-control.socket"), **expected, "{text}");
    }
}

#[test]
fn the_broker_may_reach_private_servers_of_the_configuration() {
    let text = "server:\n do-not-query-address: 192.168.7.7\n\
                forward-zone:\n name: corp\n forward-addr: 10.1.2.3\n forward-addr: 9.9.9.9\n\
                forward-addr: 192.168.7.7\n forward-addr: 127.0.0.1@5353\n\
                stub-zone:\n name: lab\n stub-addr: fd00::1@5300\n stub-addr: 10.1.2.3\n\
                stub-zone:\n name: byname\n stub-host: ns.lab\n";
    let found = units(text);
    let expected = ["[Service]", "IPAddressAllow=10.1.2.3", "IPAddressAllow=fd00::1"];
    assert_eq!(lines(&found, "prebound-egress.service"), expected, "loopback is never asked");
    assert!(found.notes.iter().any(|note| note.text.contains("ns.lab")), "{:?}", found.notes);

    let local = units(&text.replace("server:\n", "server:\n do-not-query-localhost: no\n"));
    assert!(lines(&local, "prebound-egress.service").contains(&"IPAddressAllow=127.0.0.1"));
}

#[test]
fn many_threads_need_many_descriptors() {
    let found = units("server:\n num-threads: 8\n so-reuseport: no\n");
    assert_eq!(lines(&found, "prebound.service"), ["[Service]", "LimitNOFILE=33360"]);
}

#[test]
fn files_elsewhere_are_shown_to_both_services() {
    let top = fs::canonicalize(std::env::temp_dir()).unwrap();
    let top = top.join(format!("prebound-units-files-{}", std::process::id()));
    fs::create_dir_all(top.join("un bound")).unwrap();
    fs::write(top.join("un bound/unbound.conf"), "server:\n port: 53\n").unwrap();
    let text = format!("include: \"{}/un bound/unbound.conf\"\n", top.display());
    let found = units(&text);
    fs::remove_dir_all(&top).unwrap();
    let expected = format!("BindReadOnlyPaths=-{}/un\\x20bound", top.display());
    for unit in ["prebound.service", "prebound-egress.service"] {
        assert_eq!(lines(&found, unit), ["[Service]", &expected]);
    }
}

#[test]
fn drop_ins_are_shown_and_written_under_their_names() {
    let found = units("server:\n ip-dscp: 8\n");
    let shown = "# prebound.socket.d/50-configuration.conf\n\
                 # Made from /etc/prebound/prebound.conf: change it there.\n\
                 [Socket]\nIPTOS=32\n";
    assert_eq!(found.to_string(), shown);
}
