//! IPv6 prefixes that stand for the IPv4 Internet (RFC 6052).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::net::Netblock;

/// A prefix that IPv4 addresses are embedded under, for DNS64 (RFC 6147) and NAT64 (RFC 6146).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Prefix64 {
    addr: Ipv6Addr,
    /// Bits: 32, 40, 48, 56, 64 or 96.
    len: u8,
}

/// Bits 64 to 71, which are zero whatever the prefix (RFC 6052 §2.2, the "u" octet).
const U_OCTET: usize = 8;

impl Prefix64 {
    /// `64:ff9b::/96` (RFC 6052 §2.1).
    pub const WELL_KNOWN: Self =
        Self { addr: Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), len: 96 };

    /// The prefix that `block` is; `None` for IPv4 and for lengths other than 32, 40, 48, 56, 64
    /// and 96 (RFC 6052 §2.2).
    pub fn new(block: Netblock) -> Option<Self> {
        let IpAddr::V6(addr) = block.addr() else { return None };
        let len = block.prefix();
        matches!(len, 32 | 40 | 48 | 56 | 64 | 96).then_some(Self { addr, len })
    }

    /// The address that stands for `v4`.
    pub fn embed(self, v4: Ipv4Addr) -> Ipv6Addr {
        let mut octets = self.addr.octets();
        for (octet, at) in v4.octets().into_iter().zip(self.places()) {
            if let Some(place) = octets.get_mut(at) {
                *place = octet;
            }
        }
        octets.into()
    }

    /// The address that `v6` stands for; `None` when it is outside the prefix. What follows the
    /// embedded address does not count (RFC 6052 §2.2: it is to be ignored).
    pub fn extract(self, v6: Ipv6Addr) -> Option<Ipv4Addr> {
        if !Netblock::new(self.addr.into(), self.len).contains(v6.into()) {
            return None;
        }
        let octets = v6.octets();
        let mut v4 = [0; 4];
        for (octet, at) in v4.iter_mut().zip(self.places()) {
            *octet = octets.get(at).copied().unwrap_or(0);
        }
        Some(v4.into())
    }

    /// The address that rules about addresses are applied to: what an IPv6 address stands for when
    /// it lies in `prefix`, and the address itself otherwise.
    pub fn real(prefix: Option<Self>, ip: IpAddr) -> IpAddr {
        match (prefix, ip) {
            (Some(prefix), IpAddr::V6(v6)) => prefix.extract(v6).map_or(ip, IpAddr::V4),
            _ => ip,
        }
    }

    /// Where the octets of the IPv4 address go.
    fn places(self) -> impl Iterator<Item = usize> {
        (usize::from(self.len / 8)..16).filter(|at| *at != U_OCTET).take(4)
    }
}

impl fmt::Display for Prefix64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_embedded_as_in_the_examples_of_rfc_6052_section_2_4() {
        let v4: Ipv4Addr = "192.0.2.33".parse().unwrap();
        for (prefix, expected) in [
            ("2001:db8::/32", "2001:db8:c000:221::"),
            ("2001:db8:100::/40", "2001:db8:1c0:2:21::"),
            ("2001:db8:122::/48", "2001:db8:122:c000:2:2100::"),
            ("2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"),
            ("2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"),
            ("2001:db8:122:344::/96", "2001:db8:122:344::c000:221"),
            ("64:ff9b::/96", "64:ff9b::c000:221"),
        ] {
            let prefix64 = Prefix64::new(prefix.parse().unwrap()).expect(prefix);
            let v6 = prefix64.embed(v4);
            assert_eq!(v6, expected.parse::<Ipv6Addr>().unwrap(), "{prefix}");
            assert_eq!(prefix64.extract(v6), Some(v4), "{prefix}");
            assert_eq!(prefix64.extract("2001:db9::1".parse().unwrap()), None, "{prefix}");
            assert_eq!(prefix64.to_string(), prefix);
        }
        assert_eq!(Prefix64::WELL_KNOWN, Prefix64::new("64:ff9b::/96".parse().unwrap()).unwrap());
    }

    #[test]
    fn only_the_lengths_of_rfc_6052_are_prefixes() {
        for block in ["192.0.2.0/24", "::/0", "2001:db8::/33", "2001:db8::/72", "2001:db8::1/128"] {
            assert_eq!(Prefix64::new(block.parse().unwrap()), None, "{block}");
        }
    }

    #[test]
    fn what_follows_the_address_is_ignored() {
        let prefix = Prefix64::new("2001:db8::/32".parse().unwrap()).unwrap();
        let v6 = "2001:db8:c000:221:0:1:2:3".parse().unwrap();
        assert_eq!(prefix.extract(v6), Some("192.0.2.33".parse().unwrap()));
    }
}
