//! The name servers of the root, as far as they are built in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use super::error::ErrorKind;
use super::lexer::Value;
use super::master::{MasterFile, RecordError};
use super::parse::Parser;
use super::source::Span;
use super::zone::RootHint;
use crate::wire::{Name, RecordType};

/// Letter, IPv4 and IPv6 address of each server of `root-servers.net.`, as IANA publishes them
/// (root.hints). Priming (RFC 9609) replaces them by what the root itself says.
const SERVERS: [(u8, Ipv4Addr, Ipv6Addr); 13] = [
    (b'a', v4(198, 41, 0, 4), v6(0x0503, 0xba3e, 0, 0, 0x0002, 0x0030)),
    (b'b', v4(170, 247, 170, 2), Ipv6Addr::new(0x2801, 0x01b8, 0x10, 0, 0, 0, 0, 0xb)),
    (b'c', v4(192, 33, 4, 12), v6(0x0500, 0x0002, 0, 0, 0, 0xc)),
    (b'd', v4(199, 7, 91, 13), v6(0x0500, 0x002d, 0, 0, 0, 0xd)),
    (b'e', v4(192, 203, 230, 10), v6(0x0500, 0x00a8, 0, 0, 0, 0xe)),
    (b'f', v4(192, 5, 5, 241), v6(0x0500, 0x002f, 0, 0, 0, 0xf)),
    (b'g', v4(192, 112, 36, 4), v6(0x0500, 0x0012, 0, 0, 0, 0x0d0d)),
    (b'h', v4(198, 97, 190, 53), v6(0x0500, 0x0001, 0, 0, 0, 0x0053)),
    (b'i', v4(192, 36, 148, 17), Ipv6Addr::new(0x2001, 0x07fe, 0, 0, 0, 0, 0, 0x0053)),
    (b'j', v4(192, 58, 128, 30), v6(0x0503, 0x0c27, 0, 0, 0x0002, 0x0030)),
    (b'k', v4(193, 0, 14, 129), Ipv6Addr::new(0x2001, 0x07fd, 0, 0, 0, 0, 0, 0x0001)),
    (b'l', v4(199, 7, 83, 42), v6(0x0500, 0x009f, 0, 0, 0, 0x0042)),
    (b'm', v4(202, 12, 27, 33), Ipv6Addr::new(0x2001, 0x0dc3, 0, 0, 0, 0, 0, 0x0035)),
];

const fn v4(a: u8, b: u8, c: u8, d: u8) -> Ipv4Addr {
    Ipv4Addr::new(a, b, c, d)
}

/// 2001:B:C::E:F:G:H with `::` for one group.
const fn v6(b: u16, c: u16, d: u16, f: u16, g: u16, h: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, b, c, d, 0, f, g, h)
}

/// `LETTER.root-servers.net.`
fn root_server(letter: u8) -> Name {
    let labels: [&[u8]; 3] = [&[letter], b"root-servers", b"net"];
    Name::from_labels(labels).unwrap_or_else(|_| Name::root())
}

/// The thirteen servers of the root with both addresses each.
pub(super) fn built_in() -> Vec<RootHint> {
    SERVERS
        .iter()
        .map(|&(letter, v4, v6)| RootHint {
            name: root_server(letter),
            addrs: vec![IpAddr::V4(v4), IpAddr::V6(v6)],
        })
        .collect()
}

/// The name servers of the root in the files that were given; mistakes go to `parser`.
pub(super) fn read(parser: &mut Parser, files: &[Value]) -> Vec<RootHint> {
    let mut hints = Vec::new();
    for value in files {
        let path = parser.locate(&value.text);
        let Some(text) = parser.read(&path, Some(value.span)) else { continue };
        let (file, text) = parser.sources.add(&path, text);
        let (found, broken) = in_text(&text);
        if found.is_empty() && broken.is_empty() {
            parser.error(value.span, ErrorKind::NoHint { path });
        }
        for (range, error) in broken {
            parser.error(Span::new(file, range), ErrorKind::Record(error));
        }
        hints.extend(found);
    }
    hints
}

/// The servers that NS records of the root name, with their addresses; and what is malformed.
fn in_text(text: &[u8]) -> (Vec<RootHint>, Vec<(Range<usize>, RecordError)>) {
    let (mut names, mut addresses, mut broken) = (Vec::<Name>::new(), Vec::new(), Vec::new());
    for entry in MasterFile::new(text) {
        let record = match entry.record {
            Ok(record) => record,
            Err(error) => {
                broken.push((entry.range, error));
                continue;
            }
        };
        if record.rtype == RecordType::NS && record.owner.is_root() {
            let name = record.rdata.as_name(RecordType::NS).map(|name| name.to_lowercase());
            names.extend(name.filter(|name| !names.contains(name)));
        } else if matches!(record.rtype, RecordType::A | RecordType::AAAA) {
            addresses.extend(record.rdata.as_ip().map(|ip| (record.owner, ip)));
        }
    }
    let hint = |name: Name| {
        let own = addresses.iter().filter(|(owner, _)| *owner == name).map(|(_, ip)| *ip);
        RootHint { addrs: own.collect(), name }
    };
    let hints = names.into_iter().map(hint).filter(|hint| !hint.addrs.is_empty()).collect();
    (hints, broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_addresses_read_as_iana_writes_them() {
        let got: Vec<String> = built_in()
            .iter()
            .map(|h| format!("{} {} {}", h.name, h.addrs[0], h.addrs[1]))
            .collect();
        assert_eq!(
            got,
            [
                "a.root-servers.net. 198.41.0.4 2001:503:ba3e::2:30",
                "b.root-servers.net. 170.247.170.2 2801:1b8:10::b",
                "c.root-servers.net. 192.33.4.12 2001:500:2::c",
                "d.root-servers.net. 199.7.91.13 2001:500:2d::d",
                "e.root-servers.net. 192.203.230.10 2001:500:a8::e",
                "f.root-servers.net. 192.5.5.241 2001:500:2f::f",
                "g.root-servers.net. 192.112.36.4 2001:500:12::d0d",
                "h.root-servers.net. 198.97.190.53 2001:500:1::53",
                "i.root-servers.net. 192.36.148.17 2001:7fe::53",
                "j.root-servers.net. 192.58.128.30 2001:503:c27::2:30",
                "k.root-servers.net. 193.0.14.129 2001:7fd::1",
                "l.root-servers.net. 199.7.83.42 2001:500:9f::42",
                "m.root-servers.net. 202.12.27.33 2001:dc3::35",
            ]
        );
    }

    #[test]
    fn files_give_servers_with_addresses() {
        let text =
            b"; hints\n. 3600000 NS K.Root.Test.\n. NS nowhere.test.\nK.ROOT.TEST. A 192.0.2.1\n\
            k.root.test. AAAA 2001:db8::1\nother.test. A 192.0.2.9\n. NS k.root.test.\nx. A y\n";
        let (hints, broken) = in_text(text);
        let shown: Vec<String> =
            hints.iter().map(|h| format!("{} {:?}", h.name, h.addrs)).collect();
        assert_eq!(shown, ["k.root.test. [192.0.2.1, 2001:db8::1]"]);
        assert_eq!(broken.len(), 1);
    }
}
