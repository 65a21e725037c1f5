//! The sockets: where clients and operators find us.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Draft, Section, Served, escaped, yes_no};
use crate::config::{Config, Span};

/// Options that decide on which addresses there are how many sockets.
const LISTENERS: [&str; 12] = [
    "interface",
    "interface-automatic",
    "interface-automatic-ports",
    "port",
    "num-threads",
    "so-reuseport",
    "do-ip4",
    "do-ip6",
    "do-udp",
    "do-tcp",
    "incoming-num-tcp",
    "tls-port",
];

/// The drop-in of `prebound.socket`.
pub(super) fn sockets(draft: &mut Draft<'_>, served: Served) -> String {
    let mut section = Section::default();
    if draft.any_given(&LISTENERS) {
        addresses(draft, served, &mut section);
    }
    options(draft, &mut section);
    section.named("Socket")
}

/// The lists of addresses, after what the unit has is taken away.
fn addresses(draft: &mut Draft<'_>, served: Served, section: &mut Section) {
    let found = wanted(draft, served);
    let config = &draft.loaded.config;
    let siblings = if config.so_reuseport { config.num_threads.max(1) } else { 1 };
    let tcp = config.do_tcp && config.incoming_num_tcp > 0;
    let mut lines = Section::default();
    for address in found.iter().filter(|address| config.do_udp && !address.encrypted) {
        // One for each worker.
        for _ in 0..siblings {
            lines.line("ListenDatagram", address);
        }
    }
    // All workers accept from the same one.
    for address in found.iter().filter(|address| tcp || address.encrypted) {
        lines.line("ListenStream", address);
    }
    if lines.0.is_empty() {
        let text = "no address is left to listen on: prebound.socket stays as it is".to_owned();
        return draft.note(draft.span("interface"), text);
    }
    // An empty line takes away the addresses of the unit, those for streams and those for datagrams.
    section.line("ListenDatagram", "");
    section.line("ListenStream", "");
    section.0.push_str(&lines.0);
}

/// Somewhere to listen.
#[derive(Debug, Eq, PartialEq)]
struct Address {
    ip: IpAddr,
    /// The link of a link-local address.
    link: Option<String>,
    port: u16,
    /// For streams only.
    encrypted: bool,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            IpAddr::V4(ip) => write!(f, "{ip}:{}", self.port)?,
            IpAddr::V6(ip) => write!(f, "[{ip}]:{}", self.port)?,
        }
        self.link.as_ref().map_or(Ok(()), |link| write!(f, "%{link}"))
    }
}

/// Where the configuration has us listen, as far as we can. What we cannot is noted.
fn wanted(draft: &mut Draft<'_>, served: Served) -> Vec<Address> {
    let config = &draft.loaded.config;
    let all = |ports: &[u16]| -> Vec<Asked> {
        let any: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        ports.iter().flat_map(|&port| any.map(|ip| (ip.to_string(), port, None))).collect()
    };
    let written: Vec<Asked> = draft
        .loaded
        .settings
        .written("interface")
        .map(|(text, span)| {
            let (host, port) = text.split_once('@').unwrap_or((text, ""));
            (host.to_owned(), port.parse().unwrap_or(config.port), Some(span))
        })
        .collect();
    let asked = if config.interface_automatic {
        match config.interface_automatic_ports.as_slice() {
            [] => all(&[config.port]),
            ports => all(ports),
        }
    } else if written.is_empty() {
        let local: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        local.map(|ip| (ip.to_string(), config.port, None)).into()
    } else {
        written
    };
    let mut found = Vec::new();
    for (host, port, span) in asked {
        match address(&host, port, config, served) {
            Ok(Some(address)) if !found.contains(&address) => found.push(address),
            Ok(_) => {}
            Err(text) => draft.note(span, text),
        }
    }
    found
}

/// Host, port, and where that is written.
type Asked = (String, u16, Option<Span>);

/// One address; none when its family is switched off.
fn address(
    host: &str,
    port: u16,
    config: &Config,
    served: Served,
) -> Result<Option<Address>, String> {
    let (bare, link) = match host.split_once('%') {
        Some((bare, link)) => (bare, Some(link.to_owned())),
        None => (host, None),
    };
    let Ok(ip) = bare.parse::<IpAddr>() else {
        return Err(format!(
            "interface {host}: a socket unit listens on addresses. Name those of {host} (ip address \
             show {host}), or listen on 0.0.0.0 and ::0 and put BindToDevice={host} into a drop-in \
             of prebound.socket"
        ));
    };
    if !(if ip.is_ipv4() { config.do_ip4 } else { config.do_ip6 }) {
        return Ok(None);
    }
    let tls = port == config.tls_port || config.tls_additional_port.contains(&port);
    let https = port == config.https_port;
    for (is, served, what) in [(tls, served.tls, "TLS"), (https && !tls, served.https, "HTTPS")] {
        if is && !served {
            return Err(format!(
                "interface {host}@{port}: DNS over {what} is not served by this version, so there is no \
                 socket for it"
            ));
        }
    }
    Ok(Some(Address { ip, link, port, encrypted: tls || https }))
}

/// What holds for all sockets alike.
fn options(draft: &mut Draft<'_>, section: &mut Section) {
    let config = &draft.loaded.config;
    let given = |option| draft.span(option).is_some();
    if given("so-rcvbuf") {
        section.line("ReceiveBuffer", config.so_rcvbuf);
    }
    if given("so-sndbuf") {
        section.line("SendBuffer", config.so_sndbuf);
    }
    if given("so-reuseport") {
        section.line("ReusePort", yes_no(config.so_reuseport));
    }
    if given("ip-transparent") {
        section.line("Transparent", yes_no(config.ip_transparent));
    }
    if given("ip-freebind") {
        section.line("FreeBind", yes_no(config.ip_freebind));
    }
    if given("ip-dscp") {
        // The code point is the upper six bits of the field.
        section.line("IPTOS", u16::from(config.ip_dscp) << 2);
    }
    for (option, because) in CANNOT {
        let Some(span) = draft.span(option) else { continue };
        draft.note(Some(span), format!("{option}: {because}"));
    }
}

/// Options that no socket unit can express.
const CANNOT: [(&str, &str); 3] = [
    ("ip-dscp", "a socket unit sets it for IPv4 only (IPTOS=)"),
    ("tcp-mss", "a socket unit has no setting for it; a firewall rule can clamp it"),
    ("proxy-protocol-port", "clients announced by PROXYv2 are not supported"),
];

/// The drop-in of `prebound-control.socket`.
pub(super) fn control(draft: &mut Draft<'_>) -> String {
    let Some(enable) = draft.span("control-enable") else { return String::new() };
    if !draft.loaded.config.control_enable {
        // What is never true keeps the unit from being started, whoever asks for it.
        let mut never = Section::default();
        never.line("ConditionPathExists", "!/");
        return never.named("Unit");
    }
    let mut paths = Section::default();
    let written: Vec<_> = draft.loaded.settings.written("control-interface").collect();
    for (text, span) in &written {
        let path = std::path::Path::new(text);
        if path.is_absolute() {
            paths.line("ListenStream", escaped(path));
        } else {
            let text = format!(
                "control-interface {text}: the control protocol is served on Unix sockets only, \
                 without TLS; use unbound-control -s /run/prebound/control.sock"
            );
            draft.note(Some(*span), text);
        }
    }
    if written.is_empty() {
        let text = "control-enable: on /run/prebound/control.sock, not on 127.0.0.1@8953; add \
                    control-interface: /run/prebound/control.sock for unbound-control";
        draft.note(Some(enable), text.to_owned());
    }
    if paths.0.is_empty() {
        return String::new();
    }
    let mut section = Section::default();
    section.line("ListenStream", "");
    section.0.push_str(&paths.0);
    section.named("Socket")
}
