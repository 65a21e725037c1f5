//! Netblocks, and what clients in them may do.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

/// An address block such as `192.0.2.0/24`; bits after the prefix are zero.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Netblock {
    addr: IpAddr,
    prefix: u8,
}

/// Why a text is not a netblock.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum NetblockError {
    /// What stands before the `/` is not an address.
    #[error("expected an IPv4 or IPv6 address")]
    Address,
    /// What stands after the `/` is not a number that fits the family.
    #[error("expected a prefix length from 0 to {max}")]
    Prefix {
        /// 32 or 128.
        max: u8,
    },
}

impl Netblock {
    /// The block of `prefix` bits around `addr`. A longer prefix than the family has is cut to it.
    pub fn new(addr: IpAddr, prefix: u8) -> Self {
        let prefix = prefix.min(width(addr));
        let addr = match addr {
            IpAddr::V4(a) => IpAddr::V4(Ipv4Addr::from_bits(a.to_bits() & mask_v4(prefix))),
            IpAddr::V6(a) => IpAddr::V6(Ipv6Addr::from_bits(a.to_bits() & mask_v6(prefix))),
        };
        Self { addr, prefix }
    }

    /// The block that holds just `addr`.
    pub fn host(addr: IpAddr) -> Self {
        Self { addr, prefix: width(addr) }
    }

    /// The first address of the block.
    pub fn addr(&self) -> IpAddr {
        self.addr
    }

    /// How many leading bits count: 0 to 32 for IPv4, 0 to 128 for IPv6.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether `addr` lies in the block. The families are kept apart: an IPv4-mapped IPv6 address
    /// is IPv6.
    pub fn contains(&self, addr: IpAddr) -> bool {
        match (self.addr, addr) {
            (IpAddr::V4(net), IpAddr::V4(a)) => {
                (net.to_bits() ^ a.to_bits()) & mask_v4(self.prefix) == 0
            }
            (IpAddr::V6(net), IpAddr::V6(a)) => {
                (net.to_bits() ^ a.to_bits()) & mask_v6(self.prefix) == 0
            }
            _ => false,
        }
    }
}

fn width(addr: IpAddr) -> u8 {
    if addr.is_ipv4() { 32 } else { 128 }
}

/// `prefix` leading ones. Shifting by the whole width would overflow, so 0 is apart.
fn mask_v4(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0)
}

fn mask_v6(prefix: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0)
}

impl FromStr for Netblock {
    type Err = NetblockError;

    /// Reads `address` or `address/prefix`.
    fn from_str(text: &str) -> Result<Self, NetblockError> {
        let (addr, prefix) = match text.split_once('/') {
            Some((addr, prefix)) => (addr, Some(prefix)),
            None => (text, None),
        };
        let addr: IpAddr = addr.parse().map_err(|_| NetblockError::Address)?;
        let Some(prefix) = prefix else { return Ok(Self::host(addr)) };
        let max = width(addr);
        match prefix.parse() {
            Ok(bits) if bits <= max => Ok(Self::new(addr, bits)),
            _ => Err(NetblockError::Prefix { max }),
        }
    }
}

impl fmt::Display for Netblock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.prefix)
    }
}

/// What the clients of a netblock may do (`access-control:`).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum AccessAction {
    /// No answer at all.
    Deny,
    /// REFUSED.
    Refuse,
    /// Recursion; queries without RD only see local data.
    Allow,
    /// As if every query had RD set.
    AllowSetrd,
    /// Also queries without RD, from the cache.
    AllowSnoop,
    /// Recursion over UDP only with a valid DNS cookie (RFC 7873), over streams always.
    AllowCookie,
    /// Local data only; no answer to the rest.
    DenyNonLocal,
    /// Local data only; REFUSED to the rest.
    RefuseNonLocal,
}

impl AccessAction {
    /// Every action with its spelling in unbound.conf.
    pub const SPELLINGS: &'static [(&'static str, Self)] = &[
        ("deny", Self::Deny),
        ("refuse", Self::Refuse),
        ("allow", Self::Allow),
        ("allow_setrd", Self::AllowSetrd),
        ("allow_snoop", Self::AllowSnoop),
        ("allow_cookie", Self::AllowCookie),
        ("deny_non_local", Self::DenyNonLocal),
        ("refuse_non_local", Self::RefuseNonLocal),
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn netblocks_are_read_masked_and_shown() {
        for (text, want) in [
            ("192.0.2.77/24", Ok("192.0.2.0/24")),
            ("192.0.2.77", Ok("192.0.2.77/32")),
            ("0.0.0.0/0", Ok("0.0.0.0/0")),
            ("2001:db8::ffff/32", Ok("2001:db8::/32")),
            ("::1", Ok("::1/128")),
            ("::/0", Ok("::/0")),
            ("192.0.2.0/33", Err(NetblockError::Prefix { max: 32 })),
            ("192.0.2.0/", Err(NetblockError::Prefix { max: 32 })),
            ("192.0.2.0/+8", Ok("192.0.0.0/8")),
            ("::/129", Err(NetblockError::Prefix { max: 128 })),
            ("192.0.2/24", Err(NetblockError::Address)),
            ("", Err(NetblockError::Address)),
        ] {
            let got = text.parse::<Netblock>().map(|n| n.to_string());
            assert_eq!(got, want.map(str::to_owned), "{text}");
        }
    }

    #[test]
    fn contains_looks_at_the_prefix_only() {
        for (block, addr, want) in [
            ("10.0.0.0/8", "10.255.1.2", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("0.0.0.0/0", "255.1.2.3", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "::ffff:10.0.0.1", true),
            ("10.0.0.0/8", "::ffff:10.0.0.1", false),
            ("2001:db8::/33", "2001:db8:8000::", false),
            ("192.0.2.1/32", "192.0.2.1", true),
            ("192.0.2.1/32", "192.0.2.0", false),
        ] {
            let block: Netblock = block.parse().expect(block);
            assert_eq!(block.contains(addr.parse().expect(addr)), want, "{block} {addr}");
        }
    }
}
