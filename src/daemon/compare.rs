//! What was passed against what is configured: every mismatch is named.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::{RcvBuf, SndBuf};

use crate::config::Config;
use crate::systemd::claim::{Claimed, ControlListener, Listener};
use crate::units::SERVED;

/// Options that say where there are sockets. Without any of them whatever was passed is right.
pub(super) const LISTENERS: [&str; 4] =
    ["interface", "interface-automatic", "interface-automatic-ports", "port"];

/// Who passed the sockets, and so how a mismatch is mended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Passer {
    /// systemd, by its units.
    Systemd,
    /// Somebody else: the launcher, or another service manager.
    Other,
}

impl Passer {
    /// systemd says so to the process that it starts.
    pub(super) fn from_env() -> Self {
        let own = std::process::id().to_string();
        let started = std::env::var("SYSTEMD_EXEC_PID").is_ok_and(|pid| pid == own);
        if started { Self::Systemd } else { Self::Other }
    }

    /// What to do about a socket of this unit, for the end of a sentence.
    fn mend(self, unit: &str, option: &str) -> String {
        match self {
            Self::Systemd => format!(
                "; to have it so: systemctl daemon-reload && systemctl restart {unit} (what the \
                 unit becomes: prebound-checkconf --units)"
            ),
            Self::Other => format!("; the launcher's option for it is {option}"),
        }
    }

    fn mend_listener(self) -> String {
        self.mend("prebound.socket", "--listen ADDRESS")
    }

    fn mend_control(self) -> String {
        self.mend("prebound-control.socket", "--control PATH")
    }
}

/// One sentence per configured address that nobody passed a socket for, and per passed socket that
/// is not configured, with what mends it. For configurations with one of [`LISTENERS`].
pub(super) fn mismatches(config: &Config, claimed: &Claimed, passer: Passer) -> Vec<String> {
    let mut out = Vec::new();
    let tls_ports = tls_ports(config);
    let interfaces = configured(config);
    let wanted = |wants: &dyn Fn(u16) -> bool| {
        interfaces.iter().filter(|address| wants(address.port())).copied().collect()
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
        ("UDP", true, config.do_udp, dns.clone(), &claimed.udp),
        ("TCP", true, config.do_tcp, dns, &claimed.tcp),
        ("TLS", SERVED.tls, true, tls, &claimed.tls),
        ("HTTPS", SERVED.https, true, https, &claimed.https),
    ];
    let mend = passer.mend_listener();
    for (transport, served, enabled, configured, passed) in sets {
        for address in configured.iter().filter(|_| enabled) {
            if !served {
                out.push(format!(
                    "interface {address} is configured, but {transport} is not served by this version"
                ));
            } else if !passed.iter().any(|listener| covers(listener.local, *address)) {
                out.push(format!(
                    "interface {address} is configured, but no {transport} socket for it was passed{mend}"
                ));
            }
        }
        for listener in passed {
            let known = configured.iter().any(|address| covers(listener.local, *address));
            let unknown = !known && config.interface_names.is_empty();
            if !enabled || unknown {
                out.push(format!(
                    "{transport} socket {} ({}) was passed, but is not configured by interface: or port:{mend}",
                    listener.local, listener.label
                ));
            }
        }
    }
    out.dedup();
    out
}

/// Where the configuration has us listen, of the families that are switched on.
fn configured(config: &Config) -> Vec<SocketAddr> {
    let all = |port| [(Ipv4Addr::UNSPECIFIED, port).into(), (Ipv6Addr::UNSPECIFIED, port).into()];
    let addresses: Vec<SocketAddr> = match &*config.interface_automatic_ports {
        _ if !config.interface_automatic => config.interfaces.clone(),
        [] => all(config.port).into(),
        ports => ports.iter().flat_map(|&port| all(port)).collect(),
    };
    let family = |address: &SocketAddr| match address {
        SocketAddr::V4(_) => config.do_ip4,
        SocketAddr::V6(_) => config.do_ip6,
    };
    addresses.into_iter().filter(family).collect()
}

/// One sentence per UDP socket whose buffers are smaller than `so-rcvbuf:` and `so-sndbuf:` say,
/// which were given as told.
pub(super) fn buffer_mismatches(
    config: &Config,
    (receive_given, send_given): (bool, bool),
    udp: &[Listener],
    passer: Passer,
) -> Vec<String> {
    let mend = passer.mend_listener();
    let mut out = Vec::new();
    for listener in udp {
        // The kernel counts its own overhead: it says twice what was asked for.
        let receive = getsockopt(&listener.socket, RcvBuf).map_or(usize::MAX, |size| size / 2);
        let send = getsockopt(&listener.socket, SndBuf).map_or(usize::MAX, |size| size / 2);
        let sides = [
            ("so-rcvbuf", receive_given, config.so_rcvbuf, receive),
            ("so-sndbuf", send_given, config.so_sndbuf, send),
        ];
        for (option, given, wanted, is) in sides {
            if given && is < usize::try_from(wanted).unwrap_or(usize::MAX) {
                let (local, label) = (listener.local, &listener.label);
                out.push(format!(
                    "{option} is {wanted}, but UDP socket {local} ({label}) has {is}{mend}"
                ));
            }
        }
    }
    out
}

/// One sentence per control socket that is configured and was not passed, or the other way round.
/// Which sockets were passed is what counts; without `control-enable: yes` whatever was passed is
/// right.
pub(super) fn control_mismatches(
    config: &Config,
    passed: &[ControlListener],
    passer: Passer,
) -> Vec<String> {
    if !config.control_enable {
        return Vec::new();
    }
    let mend = passer.mend_control();
    if passed.is_empty() {
        return vec![format!("control-enable is on, but no control socket was passed{mend}")];
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
        out.push(format!(
            "control-interface {path}: no control socket with this path was passed{mend}"
        ));
    }
    for listener in passed.iter().filter(|_| !paths.is_empty()) {
        if let Some(path) = listener.path.as_deref()
            && !paths.contains(&path)
        {
            out.push(format!(
                "control socket {} ({}) was passed, but is not configured by control-interface:{mend}",
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
    use crate::systemd::claim::Label;

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
        let found = mismatches(&config, &claimed, Passer::Systemd);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("192.0.2.1:5353") && found[0].contains("no TCP socket"));
        assert!(found[0].contains("systemctl restart prebound.socket"), "what mends it: {found:?}");
        let found = mismatches(&config, &claimed, Passer::Other);
        assert!(found[0].contains("--listen"), "what mends it: {found:?}");

        config.interfaces = vec!["127.0.0.1:53".parse().unwrap()];
        let found = mismatches(&config, &claimed, Passer::Systemd);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("0.0.0.0:5353") && found[0].contains('4'));

        config.interface_names = vec!["eth0".to_owned()];
        let found = mismatches(&config, &claimed, Passer::Systemd);
        assert_eq!(found.len(), 1, "which sockets are those of eth0 is not known: {found:?}");
        assert!(found[0].contains("eth0"));
    }

    #[test]
    fn listeners_on_all_addresses_are_compared_with_those() {
        let claimed = Claimed {
            udp: vec![listener(3, "0.0.0.0:53"), listener(4, "[::]:53")],
            ..Claimed::default()
        };
        let mut config = Config {
            interfaces: vec!["192.0.2.1:53".parse().unwrap()],
            interface_automatic: true,
            do_tcp: false,
            ..Config::default()
        };
        assert_eq!(mismatches(&config, &claimed, Passer::Systemd), [] as [&str; 0]);
        config.interface_automatic_ports = vec![53, 5353];
        assert_eq!(
            mismatches(&config, &claimed, Passer::Systemd).len(),
            2,
            "both families of 5353"
        );
        config.do_ip6 = false;
        let found = mismatches(&config, &claimed, Passer::Systemd);
        assert!(found.len() == 2 && found[1].contains("[::]:53"), "{found:?}");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test makes what it passes")]
    fn buffers_smaller_than_configured_are_named() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let local = socket.local_addr().unwrap();
        let label = Label { number: 3, name: "dns".into() };
        let udp = [Listener { socket: socket.into(), local, label }];
        // More than any machine gives, and less than any.
        let config = Config { so_rcvbuf: 1 << 30, so_sndbuf: 1, ..Config::default() };
        let found = buffer_mismatches(&config, (true, true), &udp, Passer::Systemd);
        assert!(found.len() == 1 && found[0].starts_with("so-rcvbuf is 1073741824"), "{found:?}");
        assert!(found[0].contains("systemctl restart prebound.socket"), "{found:?}");
        assert!(buffer_mismatches(&config, (false, true), &udp, Passer::Systemd).is_empty());
    }

    #[test]
    fn further_ports_for_tls_are_not_for_dns() {
        let interfaces = ["127.0.0.1:853", "127.0.0.1:8853"].map(|text| text.parse().unwrap());
        let config = Config {
            interfaces: interfaces.into(),
            tls_additional_port: vec![8853],
            ..Config::default()
        };
        let found = mismatches(&config, &Claimed::default(), Passer::Other);
        assert!(
            found.len() == 2 && found.iter().all(|line| line.contains("TLS is not served")),
            "{found:?}"
        );
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
            let found = control_mismatches(&config, &passed, Passer::Systemd);
            assert!(found.iter().all(|line| line.contains("restart prebound-control.socket")));
            assert_eq!(found.len(), expected, "{configured:?}: {found:?}");
        }
    }
}
