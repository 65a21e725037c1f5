//! Lists of what is configured.

use std::fmt::Write;

use super::Control;
use crate::config::{ForwardAddr, ZoneTarget};

/// `. IN forward 192.0.2.1 192.0.2.2@5353`, a line a zone.
pub(super) fn forwards(control: &Control) -> String {
    zones(control, &control.config.load().forward_zones, "forward")
}

/// The stub zones, and the root unless it is one of them.
pub(super) fn stubs(control: &Control) -> String {
    let config = control.config.load();
    let mut text = String::new();
    if !config.stub_zones.iter().any(|zone| zone.name.is_root()) {
        text.push_str(". IN stub prime");
        for hint in &config.root_hints {
            let _ = write!(text, " {}", hint.name);
        }
        for addr in config.root_hints.iter().flat_map(|hint| &hint.addrs) {
            let _ = write!(text, " {addr}");
        }
        text.push('\n');
    }
    text + &zones(control, &config.stub_zones, "stub")
}

fn zones(control: &Control, zones: &[ZoneTarget], kind: &str) -> String {
    let config = control.config.load();
    let mut text = String::new();
    for zone in zones {
        let _ = write!(text, "{} IN {kind}", zone.name);
        for (says, word) in [
            (zone.prime, " prime"),
            (zone.first, " +f"),
            (config.domain_insecure.contains(&zone.name), " +i"),
            (zone.tls, " +t"),
        ] {
            text.push_str(if says { word } else { "" });
        }
        text.push_str(&servers(zone));
        text.push('\n');
    }
    text
}

/// The servers of a zone, a space before each.
pub(super) fn servers(zone: &ZoneTarget) -> String {
    let mut text = String::new();
    for host in &zone.hosts {
        let _ = write!(text, " {}", host.name);
    }
    for ForwardAddr { addr, tls_name } in &zone.addrs {
        let _ = write!(text, " {}", addr.ip());
        if addr.port() != 53 {
            let _ = write!(text, "@{}", addr.port());
        }
        if let Some(name) = tls_name {
            let _ = write!(text, "#{name}");
        }
    }
    text
}

pub(super) fn insecure(control: &Control) -> String {
    let config = control.config.load();
    config.domain_insecure.iter().map(|name| format!("{name}\n")).collect()
}
