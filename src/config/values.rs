//! Small types of option values.

/// A step in the processing of a query (`module-config:`).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Module {
    /// DNSSEC validation.
    Validator,
    /// Iteration and forwarding.
    Iterator,
    /// IPv6 addresses for hosts that have none (RFC 6147).
    Dns64,
    /// A module Unbound has and we do not; skipped.
    Other(&'static str),
}

impl Module {
    /// Every module there is in Unbound; some are ours too.
    pub(super) const NAMES: &'static [&'static str] = &[
        "validator",
        "iterator",
        "respip",
        "dns64",
        "subnetcache",
        "cachedb",
        "ipsecmod",
        "ipset",
        "python",
        "dynlib",
    ];

    /// The module of that name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "validator" => Self::Validator,
            "iterator" => Self::Iterator,
            "dns64" => Self::Dns64,
            _ => Self::Other(Self::NAMES.iter().copied().find(|known| *known == name)?),
        })
    }
}

/// What clients are told by Extended DNS Errors (`ede:`).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Ede {
    /// Nothing.
    #[default]
    Off,
    /// Why they get no answer, or a bogus or expired one. Not in Unbound.
    Failures,
    /// Also what is noteworthy about a good answer: that it is signed in a way that is not
    /// supported, say.
    All,
}

impl Ede {
    /// Spellings.
    pub(super) const SPELLINGS: &'static [(&'static str, Self)] =
        &[("failures", Self::Failures), ("yes", Self::All), ("no", Self::Off)];
}

/// The time that signatures are checked against (`val-override-date:`).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum ValDate {
    /// The real time (`0`).
    #[default]
    Real,
    /// Inception and expiration are not looked at (`-1`).
    Ignored,
    /// Seconds since 1970-01-01, modulo 2^32 as in RRSIG records.
    At(u32),
}

/// A row of `val-nsec3-keysize-iterations:`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Iterations {
    /// For keys up to so many bits.
    pub key_bits: u32,
    /// Most iterations that are validated.
    pub max: u16,
}

impl Iterations {
    /// `1024 150 2048 150 4096 150`.
    pub fn default_table() -> Vec<Self> {
        [1024, 2048, 4096].map(|key_bits| Self { key_bits, max: 150 }).to_vec()
    }
}

/// What the NSID option says (RFC 5001).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Nsid(pub Vec<u8>);

/// The source ports our queries may have. All above 1023 to begin with; `outgoing-port-permit:`
/// adds and `outgoing-port-avoid:` takes away, in the order written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OutgoingPorts {
    /// Inclusive ranges, in order, apart from each other.
    ranges: Vec<(u16, u16)>,
}

impl Default for OutgoingPorts {
    fn default() -> Self {
        Self { ranges: vec![(1024, u16::MAX)] }
    }
}

impl OutgoingPorts {
    /// The ports, as inclusive ranges in ascending order that do not touch.
    pub fn ranges(&self) -> &[(u16, u16)] {
        &self.ranges
    }

    /// How many ports there are.
    pub fn count(&self) -> usize {
        self.ranges.iter().map(|&(low, high)| usize::from(high - low) + 1).sum()
    }

    /// Adds the ports `low` to `high`.
    pub fn permit(&mut self, low: u16, high: u16) {
        self.avoid(low, high);
        self.ranges.push((low, high));
        self.ranges.sort_unstable();
        // Join what now touches.
        self.ranges.dedup_by(|next, kept| {
            let touches = kept.1.checked_add(1) == Some(next.0);
            if touches {
                kept.1 = next.1;
            }
            touches
        });
    }

    /// Takes the ports `low` to `high` away.
    pub fn avoid(&mut self, low: u16, high: u16) {
        let mut left = Vec::with_capacity(self.ranges.len() + 1);
        for &(from, to) in &self.ranges {
            if to < low || from > high {
                left.push((from, to));
                continue;
            }
            if from < low {
                left.push((from, low - 1));
            }
            if to > high {
                left.push((high + 1, to));
            }
        }
        self.ranges = left;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_permitted_and_avoided_in_order() {
        let mut ports = OutgoingPorts::default();
        assert_eq!(ports.count(), 64_512);

        ports.avoid(0, 65_535);
        assert_eq!(ports.ranges(), []);
        ports.permit(10, 20);
        ports.permit(21, 30);
        ports.permit(65_535, 65_535);
        assert_eq!(ports.ranges(), [(10, 30), (65_535, 65_535)]);
        ports.avoid(15, 16);
        ports.avoid(30, 40);
        ports.avoid(65_535, 65_535);
        assert_eq!(ports.ranges(), [(10, 14), (17, 29)]);
        ports.permit(0, 65_535);
        assert_eq!(ports.ranges(), [(0, 65_535)]);
        assert_eq!(ports.count(), 65_536);
    }
}
