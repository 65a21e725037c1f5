//! What was passed against what is configured: every mismatch is named.

use std::net::SocketAddr;

use crate::config::Config;
use crate::systemd::claim::Claimed;

/// One sentence per configured address that nobody passed a socket for, and per passed socket that
/// is not configured. For configurations with `interface:` lines; without them whatever was passed
/// is right.
pub(super) fn mismatches(config: &Config, claimed: &Claimed) -> Vec<String> {
    let mut out = Vec::new();
    let wanted = |port: u16| {
        config
            .interfaces
            .iter()
            .filter(move |address| address.port() == port)
            .copied()
            .collect::<Vec<_>>()
    };
    let dns: Vec<SocketAddr> = config
        .interfaces
        .iter()
        .filter(|address| ![config.tls_port, config.https_port].contains(&address.port()))
        .copied()
        .collect();
    let sets = [
        ("UDP", config.do_udp, dns.clone(), &claimed.udp),
        ("TCP", config.do_tcp, dns, &claimed.tcp),
        ("TLS", true, wanted(config.tls_port), &claimed.tls),
        ("HTTPS", true, wanted(config.https_port), &claimed.https),
    ];
    for (transport, enabled, configured, passed) in sets {
        for address in configured.iter().filter(|_| enabled) {
            if !passed.iter().any(|listener| covers(listener.local, *address)) {
                out.push(format!(
                    "interface {address} is configured, but no {transport} socket for it was passed"
                ));
            }
        }
        for listener in passed {
            let known = configured.iter().any(|address| covers(listener.local, *address));
            if !(enabled && known) {
                out.push(format!(
                    "{transport} socket {} ({}) was passed, but is not configured by interface:",
                    listener.local, listener.label
                ));
            }
        }
    }
    out.dedup();
    out
}

/// Whether a socket bound to `local` serves `configured`.
fn covers(local: SocketAddr, configured: SocketAddr) -> bool {
    local.port() == configured.port()
        && (local.ip() == configured.ip()
            || local.ip().is_unspecified() && local.is_ipv4() == configured.is_ipv4())
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::systemd::claim::{Label, Listener};

    fn listener(number: i32, local: &str) -> Listener {
        Listener {
            socket: File::open("/dev/null").unwrap().into(),
            local: local.parse().unwrap(),
            label: Label { number, name: "dns".into() },
        }
    }

    #[test]
    fn every_mismatch_is_named() {
        let claimed = Claimed {
            udp: vec![listener(3, "127.0.0.1:53"), listener(4, "0.0.0.0:5353")],
            tcp: vec![listener(5, "127.0.0.1:53")],
            ..Claimed::default()
        };
        let interfaces = ["127.0.0.1:53", "192.0.2.1:5353"].map(|text| text.parse().unwrap());
        let mut config = Config { interfaces: interfaces.into(), ..Config::default() };
        let found = mismatches(&config, &claimed);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("192.0.2.1:5353") && found[0].contains("no TCP socket"));

        config.interfaces = vec!["127.0.0.1:53".parse().unwrap()];
        let found = mismatches(&config, &claimed);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("0.0.0.0:5353") && found[0].contains('4'));
    }
}
