//! What was passed against what is configured: every mismatch is named.

use std::net::SocketAddr;
use std::path::Path;

use crate::config::Config;
use crate::systemd::claim::{Claimed, ControlListener};

/// One sentence per configured address that nobody passed a socket for, and per passed socket that
/// is not configured. For configurations with `interface:` lines; without them whatever was passed
/// is right.
pub(super) fn mismatches(config: &Config, claimed: &Claimed) -> Vec<String> {
    let mut out = Vec::new();
    let tls_ports = tls_ports(config);
    let wanted = |wants: &dyn Fn(u16) -> bool| {
        config.interfaces.iter().filter(|address| wants(address.port())).copied().collect()
    };
    let tls: Vec<SocketAddr> = wanted(&|port| tls_ports.contains(&port));
    let https: Vec<SocketAddr> = wanted(&|port| port == config.https_port);
    let dns: Vec<SocketAddr> =
        wanted(&|port| port != config.https_port && !tls_ports.contains(&port));
    for name in &config.interface_names {
        out.push(format!(
            "interface {name} is the name of a network interface: its addresses are not compared \
             with the sockets that were passed"
        ));
    }
    let sets = [
        ("UDP", config.do_udp, dns.clone(), &claimed.udp),
        ("TCP", config.do_tcp, dns, &claimed.tcp),
        ("TLS", true, tls, &claimed.tls),
        ("HTTPS", true, https, &claimed.https),
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
            let unknown = !known && config.interface_names.is_empty();
            if !enabled || unknown {
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

/// One sentence per control socket that is configured and was not passed, or the other way round.
/// Which sockets were passed is what counts; without `control-enable: yes` whatever was passed is
/// right.
pub(super) fn control_mismatches(config: &Config, passed: &[ControlListener]) -> Vec<String> {
    if !config.control_enable {
        return Vec::new();
    }
    if passed.is_empty() {
        return vec!["control-enable is on, but no control socket was passed".to_owned()];
    }
    let mut out = Vec::new();
    let is_passed = |path: &Path| passed.iter().any(|known| known.path.as_deref() == Some(path));
    let paths: Vec<&Path> = config
        .control_interface
        .iter()
        .map(Path::new)
        .filter(|interface| interface.is_absolute())
        .collect();
    for path in paths.iter().filter(|path| !is_passed(path)) {
        let path = path.display();
        out.push(format!("control-interface {path}: no control socket with this path was passed"));
    }
    for listener in passed.iter().filter(|_| !paths.is_empty()) {
        if let Some(path) = listener.path.as_deref()
            && !paths.contains(&path)
        {
            out.push(format!(
                "control socket {} ({}) was passed, but is not configured by control-interface:",
                path.display(),
                listener.label
            ));
        }
    }
    out
}

/// The ports on which streams speak TLS.
pub(super) fn tls_ports(config: &Config) -> Vec<u16> {
    [&[config.tls_port][..], &config.tls_additional_port].concat()
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

        config.interface_names = vec!["eth0".to_owned()];
        let found = mismatches(&config, &claimed);
        assert_eq!(found.len(), 1, "which sockets are those of eth0 is not known: {found:?}");
        assert!(found[0].contains("eth0"));
    }

    #[test]
    fn further_ports_for_tls_are_not_for_dns() {
        let interfaces = ["127.0.0.1:853", "127.0.0.1:8853"].map(|text| text.parse().unwrap());
        let config = Config {
            interfaces: interfaces.into(),
            tls_additional_port: vec![8853],
            ..Config::default()
        };
        let found = mismatches(&config, &Claimed::default());
        assert!(found.len() == 2 && found.iter().all(|line| line.contains("no TLS")), "{found:?}");
    }

    #[test]
    fn control_sockets_are_compared_by_path() {
        let control = |path: &str| ControlListener {
            socket: File::open("/dev/null").unwrap().into(),
            path: Some(path.into()),
            label: Label { number: 3, name: "control".into() },
        };
        let (here, there) = ("/run/here.sock", "/run/there.sock");
        #[rustfmt::skip]
        let cases: [(bool, &[&str], &[&str], usize); 7] = [
            // enabled, configured, passed, mismatches
            (false, &[],               &[here],        0),
            (false, &[here],           &[],            0),
            (true,  &["127.0.0.1"],    &[],            1),
            (true,  &["127.0.0.1"],    &[here],        0),
            (true,  &[here],           &[here],        0),
            (true,  &[here],           &[there],       2),
            (true,  &[here],           &[here, there], 1),
        ];
        for (control_enable, configured, passed, expected) in cases {
            let control_interface = configured.iter().map(ToString::to_string).collect();
            let config = Config { control_enable, control_interface, ..Config::default() };
            let passed: Vec<_> = passed.iter().map(|path| control(path)).collect();
            let found = control_mismatches(&config, &passed);
            assert_eq!(found.len(), expected, "{configured:?}: {found:?}");
        }
    }
}
