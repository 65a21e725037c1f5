//! Owner names of a response policy zone: what makes an entry apply.
//!
//! `NAME`, `NETBLOCK.rpz-client-ip`, `NETBLOCK.rpz-ip`, `NAME.rpz-nsdname`, `NETBLOCK.rpz-nsip`,
//! each below the name of the zone. A netblock is its prefix length and then the address backwards;
//! in IPv6 `zz` stands for `::`.

use std::net::{IpAddr, Ipv6Addr};

use crate::config::Netblock;
use crate::wire::Name;

/// What makes an entry of a policy zone apply.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Trigger {
    /// The name that is asked for, or that an alias leads to; possibly a wildcard.
    Qname(Name),
    /// The address of the client.
    ClientIp(Netblock),
    /// An address in the answer.
    Ip(Netblock),
    /// The name of a server of the zone that is asked.
    NsDname(Name),
    /// The address of a server of the zone that is asked.
    NsIp(Netblock),
}

impl Trigger {
    /// Reads the owner of an entry in the zone `apex`; `None` for the apex itself, names outside
    /// of the zone and what cannot be read.
    pub(super) fn of(owner: &Name, apex: &Name) -> Option<Self> {
        if !owner.is_below(apex) {
            return None;
        }
        let labels: Vec<&[u8]> =
            owner.labels().take(owner.label_count() - apex.label_count()).collect();
        let (kind, rest) = labels.split_last()?;
        let name = |labels: &[&[u8]]| Name::from_labels(labels.iter().copied()).ok();
        let kind = kind.to_ascii_lowercase();
        Some(match kind.as_slice() {
            b"rpz-client-ip" => Self::ClientIp(netblock(rest)?),
            b"rpz-ip" => Self::Ip(netblock(rest)?),
            b"rpz-nsdname" => Self::NsDname(name(rest)?),
            b"rpz-nsip" => Self::NsIp(netblock(rest)?),
            // Kinds that are not known yet must not become names.
            other if other.starts_with(b"rpz-") => return None,
            _ => Self::Qname(name(&labels)?),
        })
    }
}

fn netblock(labels: &[&[u8]]) -> Option<Netblock> {
    let words: Vec<&str> =
        labels.iter().map(|label| std::str::from_utf8(label)).collect::<Result<_, _>>().ok()?;
    let (prefix, address) = words.split_first()?;
    let prefix = decimal(prefix)?;
    let (addr, width) = match *address {
        [d, c, b, a] if !address.contains(&"zz") => {
            let octets = [decimal(a)?, decimal(b)?, decimal(c)?, decimal(d)?];
            (IpAddr::from(octets), 32)
        }
        _ => (IpAddr::V6(v6(address)?), 128),
    };
    (prefix <= width).then(|| Netblock::new(addr, prefix))
}

fn decimal(text: &str) -> Option<u8> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Groups of 16 bits, the last first.
fn v6(words: &[&str]) -> Option<Ipv6Addr> {
    let mut groups = [0u16; 8];
    let gap = words.iter().position(|word| word.eq_ignore_ascii_case("zz"));
    let missing = match gap {
        Some(_) => (groups.len() + 1).checked_sub(words.len()).filter(|missing| *missing > 0)?,
        None if words.len() == groups.len() => 0,
        None => return None,
    };
    let mut at = groups.iter_mut().rev();
    for (index, word) in words.iter().enumerate() {
        if gap == Some(index) {
            at.nth(missing - 1)?;
            continue;
        }
        let plain = (1..=4).contains(&word.len()) && !word.starts_with('+');
        *at.next()? = u16::from_str_radix(word, 16).ok().filter(|_| plain)?;
    }
    Some(Ipv6Addr::from(groups))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(owner: &str) -> Option<String> {
        let apex = "Rpz.example.".parse().unwrap();
        let owner = format!("{owner}.rpz.Example.").parse().unwrap();
        Trigger::of(&owner, &apex).map(|trigger| match trigger {
            Trigger::Qname(name) => format!("qname {name}"),
            Trigger::ClientIp(block) => format!("client {block}"),
            Trigger::Ip(block) => format!("ip {block}"),
            Trigger::NsDname(name) => format!("nsdname {name}"),
            Trigger::NsIp(block) => format!("nsip {block}"),
        })
    }

    #[test]
    fn every_kind_of_owner_is_read() {
        for (owner, want) in [
            ("bad.test", Some("qname bad.test.")),
            ("*", Some("qname *.")),
            ("24.10.100.51.198.rpz-ip", Some("ip 198.51.100.0/24")),
            ("32.10.zz.db8.2001.rpz-ip", Some("ip 2001:db8::/32")),
            ("48.zz.aa.db8.2001.RPZ-client-ip", Some("client 2001:db8:aa::/48")),
            ("128.124.0.0.cc.bb.aa.db8.2001.rpz-nsip", Some("nsip 2001:db8:aa:bb:cc::124/128")),
            ("128.1.zz.rpz-ip", Some("ip ::1/128")),
            ("0.zz.rpz-ip", Some("ip ::/0")),
            ("8.0.0.0.10.rpz-nsip", Some("nsip 10.0.0.0/8")),
            ("128.zz.4.3.2.rpz-ip", Some("ip 2:3:4::/128")),
            ("*.gotham.rpz-nsdname", Some("nsdname *.gotham.")),
            ("33.0.0.0.10.rpz-ip", None),
            ("129.zz.rpz-ip", None),
            ("32.0.0.10.rpz-ip", None),
            ("32.256.0.0.10.rpz-ip", None),
            ("32.+1.0.0.10.rpz-ip", None),
            ("32.a.0.0.10.rpz-ip", None),
            ("128.1.2.3.4.5.6.7.rpz-ip", None),
            ("128.zz.zz.1.rpz-ip", None),
            ("128.8.7.6.5.4.3.2.zz.1.rpz-ip", None),
            ("128.12345.zz.rpz-ip", None),
            ("rpz-ip", None),
            ("x.rpz-future", None),
        ] {
            assert_eq!(read(owner).as_deref(), want, "{owner}");
        }
        let apex: Name = "rpz.example.".parse().unwrap();
        assert_eq!(Trigger::of(&apex, &apex), None);
        assert_eq!(Trigger::of(&"other.".parse().unwrap(), &apex), None);
    }

    proptest! {
        /// Every netblock survives being written as an owner.
        #[test]
        fn netblocks_round_trip(bits in any::<u128>(), prefix in 0u8..=128, short in any::<bool>()) {
            let ip = Ipv6Addr::from_bits(if short { bits & 0xffff_0000_0000_ffff } else { bits });
            let mut words: Vec<String> =
                ip.segments().iter().map(|group| format!("{group:x}")).collect();
            if short {
                words.splice(0..4, ["zz".to_owned()]);
            }
            words.push(prefix.to_string());
            words.reverse();
            let owner = format!("{}.rpz-ip.rpz.", words.join(".")).parse().unwrap();
            let got = Trigger::of(&owner, &"rpz.".parse().unwrap());
            prop_assert_eq!(got, Some(Trigger::Ip(Netblock::new(ip.into(), prefix))));
        }
    }
}
