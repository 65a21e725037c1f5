//! From a draft to the configuration: what depends on several options, and on other files.

use std::collections::HashMap;
use std::mem;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::anchors;
use super::auth;
use super::certificates;
use super::draft::{self, ZoneDraft};
use super::error::ErrorKind;
use super::hints;
use super::lexer::Value;
use super::notice::NoticeKind;
use super::parse::Parser;
use super::policy_draft;
use super::resolved::Config;
use super::shape::{self, Interface};
use super::table::Clause;
use super::values::Module;
use super::zone::{Followed, ForwardAddr, ForwardHost, LocalZone, ZoneTarget};

/// Options that cannot both have the same value.
const CONFLICTS: [(&str, &str, &str); 3] =
    [("do-ip4", "do-ip6", "no"), ("do-udp", "do-tcp", "no"), ("prefer-ip4", "prefer-ip6", "yes")];

/// The configuration that `parser` has read. Mistakes are left in the parser.
pub(super) fn finish(parser: &mut Parser) -> Config {
    let mut config = mem::take(&mut parser.draft.config);
    config.directory = parser.base().to_owned();
    interfaces(parser, &mut config);
    let prefix = config.nat64_prefix.unwrap_or(config.dns64_prefix);
    config.nat64 = config.do_nat64.then_some(prefix);
    paths(parser, &mut config);
    cookie_secrets(parser, &mut config);
    if !config.do_not_query_localhost {
        let localhost = Config::localhost_blocks();
        // The defaults stand first; the same blocks written by hand behind them stay.
        config.do_not_query_address.drain(..localhost.len());
    }
    if config.control_interface.is_empty() {
        config.control_interface = vec!["127.0.0.1".to_owned(), "::1".to_owned()];
    }
    let forward = mem::take(&mut parser.draft.forward_zones);
    config.forward_zones = zones(parser, &config, forward);
    let stub = mem::take(&mut parser.draft.stub_zones);
    config.stub_zones = zones(parser, &config, stub);
    let copies = mem::take(&mut parser.draft.copies);
    for zone in copies.iter().filter(|zone| zone.name.is_none()) {
        parser.error(zone.span, ErrorKind::Nameless { clause: zone.clause });
    }
    config.auth_zones = auth::zones(parser, &copies);
    let other = mem::take(&mut parser.draft.other_zones);
    nameless(parser, &other);

    let hint_files = mem::take(&mut parser.draft.root_hints);
    if !hint_files.is_empty() {
        config.root_hints = hints::read(parser, &hint_files);
    }
    certificates::read(parser, &mut config);
    trust(parser, &mut config, !hint_files.is_empty());
    local_zones(&mut config.local_zones);
    config.policy = policy_draft::finish(parser, &copies);
    for view in &mut config.policy.views {
        local_zones(&mut view.zones);
    }
    modules(parser, &config);
    conflicts(parser);
    config
}

fn interfaces(parser: &mut Parser, config: &mut Config) {
    let given = mem::take(&mut parser.draft.interfaces);
    if given.is_empty() {
        for addr in &mut config.interfaces {
            addr.set_port(config.port);
        }
        return;
    }
    config.interfaces.clear();
    for Value { text, .. } in given {
        match shape::interface(&text) {
            Ok(Interface::Address(ip, port)) => {
                let addr = SocketAddr::new(ip, port.unwrap_or(config.port));
                if !config.interfaces.contains(&addr) {
                    config.interfaces.push(addr);
                }
            }
            _ => config.interface_names.push(text),
        }
    }
}

/// Makes the paths of files that are opened later independent of the directory.
fn paths(parser: &Parser, config: &mut Config) {
    let paths: [&mut PathBuf; 8] = [
        &mut config.cookie_secret_file,
        &mut config.tls_service_key,
        &mut config.tls_service_pem,
        &mut config.tls_cert_bundle,
        &mut config.server_key_file,
        &mut config.server_cert_file,
        &mut config.control_key_file,
        &mut config.control_cert_file,
    ];
    for path in paths {
        if !path.as_os_str().is_empty() {
            *path = parser.locate(&path.to_string_lossy());
        }
    }
    for source in &parser.draft.anchors {
        if let draft::AnchorSource::AutoFile(value) = source {
            config.auto_trust_anchor_file.push(parser.locate(&value.text));
        }
    }
}

/// The secrets of DNS cookies in `cookie-secret-file:`, one in each line, the active one first. A
/// file that does not exist yet has none.
fn cookie_secrets(parser: &mut Parser, config: &mut Config) {
    let path = &config.cookie_secret_file;
    if path.as_os_str().is_empty() {
        return;
    }
    if !path.exists() {
        parser.looked_for.push(path.clone());
        return;
    }
    let span = parser.settings.span("cookie-secret-file");
    let Some(text) = parser.read(path, span) else { return };
    let text = String::from_utf8_lossy(&text).into_owned();
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let mut secrets = Vec::new();
    for line in lines.filter(|line| !line.is_empty()) {
        match draft::secret(line) {
            Some(secret) => secrets.push(secret),
            None => {
                let error = shape::ValueError::Hex { digits: 32 };
                let kind = ErrorKind::BadValue { option: "cookie-secret-file", error };
                parser.errors.push(super::error::Error { span, kind });
            }
        }
    }
    config.cookie_secrets = secrets;
}

//--- Zones

/// The last line about a zone decides, as everywhere. Lists of blocked names can be long.
fn local_zones(zones: &mut Vec<LocalZone>) {
    let mut last = HashMap::with_capacity(zones.len());
    for (index, zone) in zones.iter().enumerate() {
        last.insert(zone.name.clone(), index);
    }
    let mut index = 0;
    zones.retain(|zone| {
        index += 1;
        last.get(&zone.name) == Some(&(index - 1))
    });
}

fn nameless(parser: &mut Parser, zones: &[ZoneDraft]) {
    for zone in zones.iter().filter(|zone| !zone.named) {
        parser.error(zone.span, ErrorKind::Nameless { clause: zone.clause });
    }
}

fn zones(parser: &mut Parser, config: &Config, drafts: Vec<ZoneDraft>) -> Vec<ZoneTarget> {
    nameless(parser, &drafts);
    let mut zones: Vec<ZoneTarget> = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let (span, clause) = (Some(draft.span), draft.clause);
        let Some(zone) = zone(config, draft) else { continue };
        if zones.iter().any(|other| other.name == zone.name) {
            let kind = NoticeKind::DuplicateZone { clause, name: zone.name };
            parser.notices.push((span, kind));
            continue;
        }
        if zone.addrs.is_empty() && zone.hosts.is_empty() {
            let kind = NoticeKind::NoServers { clause, name: zone.name.clone() };
            parser.notices.push((span, kind));
        }
        zones.push(zone);
    }
    zones
}

fn zone(config: &Config, draft: ZoneDraft) -> Option<ZoneTarget> {
    let default_port = if draft.tls || config.tls_upstream { config.tls_port } else { 53 };
    // The texts were checked when they were read.
    let addr = |value: &Value| {
        let server = shape::server(&value.text).ok()?;
        let addr = SocketAddr::new(server.host, server.port.unwrap_or(default_port));
        Some(ForwardAddr { addr, tls_name: server.tls_name })
    };
    let host = |value: &Value| {
        let server = shape::host(&value.text).ok()?;
        let port = server.port.unwrap_or(default_port);
        Some(ForwardHost { name: server.host, port, tls_name: server.tls_name })
    };
    Some(ZoneTarget {
        name: draft.name?,
        addrs: draft.addrs.iter().filter_map(addr).collect(),
        hosts: draft.hosts.iter().filter_map(host).collect(),
        first: draft.first,
        tls: draft.tls,
        tcp: draft.tcp,
        no_cache: draft.no_cache,
        prime: draft.prime,
    })
}

//--- Trust

/// What is trusted, and the options that have to give way to it.
fn trust(parser: &mut Parser, config: &mut Config, own_hints: bool) {
    find_anchors(parser, config, own_hints);
    if config.disable_edns_do && config.validates() && !config.anchors().is_empty() {
        // Without DO nobody sends what is validated.
        config.disable_edns_do = false;
        let place = parser.settings.span("disable-edns-do");
        parser.notices.push((place, NoticeKind::NeedsDo));
    }
}

/// Reads the configured anchors, or decides what the built-in ones are good for: see
/// [`super::load`].
fn find_anchors(parser: &mut Parser, config: &mut Config, own_hints: bool) {
    let sources = mem::take(&mut parser.draft.anchors);
    if !sources.is_empty() {
        let anchors::Read { fixed, files } = anchors::read(parser, sources);
        if !files.is_empty() {
            let trusted = files.iter().flat_map(anchors::trusted);
            config.followed = Followed::new(fixed.iter().cloned().chain(trusted).collect());
        }
        (config.trust_anchors, config.anchor_files) = (fixed, files);
        return;
    }
    if !config.validates() {
        return;
    }
    let other_root = if own_hints {
        Some("root-hints")
    } else if config.stub_zones.iter().any(|zone| zone.name.is_root()) {
        Some("stub-zone")
    } else if config.forward_zones.iter().any(|zone| zone.name.is_root()) {
        Some("forward-zone")
    } else {
        None
    };
    if let Some(because) = other_root {
        return parser.notices.push((None, NoticeKind::NotValidating { because }));
    }
    config.trust_anchors = anchors::built_in();
    let stub = config.stub_zones.iter().map(|zone| (Clause::StubZone, &zone.name));
    let forward = config.forward_zones.iter().map(|zone| (Clause::ForwardZone, &zone.name));
    for (clause, name) in stub.chain(forward) {
        if config.domain_insecure.iter().any(|known| name.is_at_or_below(known)) {
            continue;
        }
        let kind = NoticeKind::ZoneNotValidated { clause, name: name.clone() };
        parser.notices.push((None, kind));
        config.domain_insecure.push(name.clone());
    }
}

//--- Checks

fn modules(parser: &mut Parser, config: &Config) {
    for module in &config.module_config {
        // What it does is done whether it is named or not.
        if let Module::Other(module) = module
            && *module != "respip"
        {
            let kind = NoticeKind::NoModule { module };
            parser.notices.push((parser.draft.modules, kind));
        }
    }
}

fn conflicts(parser: &mut Parser) {
    for (first, second, value) in CONFLICTS {
        let both = [first, second]
            .iter()
            .all(|name| parser.settings.get(name).is_some_and(|values| values == [value]));
        let spans = (parser.settings.span(first), parser.settings.span(second));
        if let (true, (Some(_), Some(span))) = (both, spans) {
            let kind = ErrorKind::Conflict { option: second, other: first, value };
            parser.error(span, kind);
        }
    }
}
