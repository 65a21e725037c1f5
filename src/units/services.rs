//! The two services: what they may read, how much they may open, and whom the broker may reach.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Draft, Section, escaped};
use crate::config::{Netblock, ZoneTarget};
use crate::sandbox::readable;

/// What both units bring into the root directory of the processes.
const VISIBLE: [&str; 4] = ["/etc/prebound", "/usr/share/dns", STATE, "/var/lib/private/prebound"];
/// `StateDirectory=` of `prebound.service`.
const STATE: &str = "/var/lib/prebound";
/// `LimitNOFILE=` of `prebound.service`.
const DESCRIPTORS: usize = 16_384;
/// Descriptors of a thread besides clients and servers.
const PER_THREAD: usize = 64;

/// The unit of the broker as shipped, for the networks it allows.
const BROKER: &str = include_str!("../../systemd/prebound-egress.service");

/// The drop-in of `prebound.service`.
pub(super) fn daemon(draft: &mut Draft<'_>) -> String {
    let mut section = Section::default();
    let config = &draft.loaded.config;
    let each = config.outgoing_range + config.incoming_num_tcp + PER_THREAD;
    let descriptors = usize::from(config.num_threads.max(1)).saturating_mul(each);
    if descriptors > DESCRIPTORS {
        section.line("LimitNOFILE", descriptors);
    }
    files(draft, &mut section);
    for file in &draft.loaded.config.auto_trust_anchor_file {
        if !VISIBLE[2..].iter().any(|state| file.starts_with(state)) {
            let text = format!(
                "auto-trust-anchor-file {}: read, and never updated, as the daemon may write only \
                 below {STATE}; copy it there",
                file.display()
            );
            draft.note(draft.span("auto-trust-anchor-file"), text);
        }
    }
    section.named("Service")
}

/// The drop-in of `prebound-egress.service`.
pub(super) fn broker(draft: &mut Draft<'_>) -> String {
    let mut section = Section::default();
    files(draft, &mut section);
    let allowed = allowed_as_shipped();
    let config = &draft.loaded.config;
    let mut private = BTreeSet::new();
    let zones = || config.stub_zones.iter().chain(&config.forward_zones);
    let servers = zones().flat_map(|zone| zone.addrs.iter().map(|server| server.addr.ip()));
    let roots = config.root_hints.iter().flat_map(|hint| hint.addrs.iter().copied());
    for ip in servers.chain(roots) {
        let refused = config.do_not_query_address.iter().any(|block| block.contains(ip));
        if !refused && !allowed.iter().any(|block| block.contains(ip)) {
            private.insert(ip);
        }
    }
    for ip in private {
        section.line("IPAddressAllow", ip);
    }
    for zone in zones() {
        by_name(zone).into_iter().for_each(|text| draft.notes.push(text));
    }
    if config.outgoing_ports.ranges().iter().any(|&(low, _)| low < 1024)
        && let Some(span) = draft.span("outgoing-port-permit")
    {
        let text = "outgoing-port-permit: ports below 1024 cannot be had, as the broker has no \
                    privileges; queries from them fail";
        draft.note(Some(span), text.to_owned());
    }
    section.named("Service")
}

/// Servers whose addresses are not known before they are asked for.
fn by_name(zone: &ZoneTarget) -> Option<super::Note> {
    let host = zone.hosts.first()?;
    let text = format!(
        "zone {}: server {} is given by name; if it has a private address, a drop-in of \
         prebound-egress.service must allow that (IPAddressAllow=)",
        zone.name, host.name
    );
    Some(super::Note { place: None, text })
}

/// Brings in the configuration files that the units do not show already.
fn files(draft: &Draft<'_>, section: &mut Section) {
    let paths: Vec<PathBuf> = draft.loaded.files.clone();
    for path in exposed(&readable(&paths), &paths) {
        section.line("BindReadOnlyPaths", format!("-{}", escaped(&path)));
    }
}

/// What of these directories is not shown already. Of a directory right below the root, such as
/// `/etc`, only the files: everything in it would be too much.
fn exposed(directories: &[PathBuf], files: &[PathBuf]) -> BTreeSet<PathBuf> {
    let is_top = |path: &Path| path.components().count() <= 2;
    let mut found = BTreeSet::new();
    for directory in directories {
        if is_top(directory) {
            found.extend(files.iter().filter(|file| file.parent() == Some(directory)).cloned());
        } else {
            found.insert(directory.clone());
        }
    }
    found.retain(|path| !VISIBLE.iter().any(|visible| path.starts_with(visible)));
    found
}

/// The networks that the shipped unit of the broker allows.
fn allowed_as_shipped() -> Vec<Netblock> {
    BROKER
        .lines()
        .filter_map(|line| line.strip_prefix("IPAddressAllow="))
        .flat_map(str::split_ascii_whitespace)
        .filter_map(|block| block.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn the_shipped_unit_allows_the_internet_and_nothing_private() {
        let allowed = allowed_as_shipped();
        let is_allowed = |ip: &str| {
            let ip: IpAddr = ip.parse().unwrap();
            allowed.iter().any(|block| block.contains(ip))
        };
        for ip in ["198.41.0.4", "9.9.9.9", "2001:500:2f::f", "172.32.0.1", "192.169.0.1"] {
            assert!(is_allowed(ip), "{ip}");
        }
        for ip in
            ["10.0.0.1", "172.16.0.1", "192.168.1.1", "127.0.0.1", "::1", "fd00::1", "fe80::1"]
        {
            assert!(!is_allowed(ip), "{ip}");
        }
    }

    #[test]
    fn only_what_is_not_shown_already_is_brought_in() {
        let paths = |list: &[&str]| list.iter().map(PathBuf::from).collect::<Vec<_>>();
        type Case = (&'static str, Paths, Paths, Paths);
        type Paths = &'static [&'static str];
        // Directories, files, and what is brought in.
        let cases: [Case; 4] = [
            ("shown", &["/etc/prebound", "/usr/share/dns"], &[], &[]),
            ("elsewhere", &["/etc/prebound/more", "/etc/unbound"], &[], &["/etc/unbound"]),
            ("below the root", &["/etc"], &["/etc/x.conf", "/srv/y"], &["/etc/x.conf"]),
            ("a name that begins alike", &["/etc/prebound2"], &[], &["/etc/prebound2"]),
        ];
        for (case, directories, files, expected) in cases {
            let found = exposed(&paths(directories), &paths(files));
            assert_eq!(found.into_iter().collect::<Vec<_>>(), paths(expected), "{case}");
        }
    }
}
