//! Delegations by zone.

use std::net::{IpAddr, SocketAddr};

use super::codec::{Key, Reader, put_len, put_name, put_octets};
use super::delegation::{DelegationPoint, DelegationSource};
use super::region::{Region, Usage};
use crate::clock::{Now, UnixTime};
use crate::wire::Name;

/// Seconds a delegation lives at most.
const LONGEST: u32 = 86_400;

/// Delegations by zone.
pub(super) struct Delegations {
    region: Region,
}

impl Delegations {
    pub(super) fn new(region: Region) -> Self {
        Self { region }
    }

    /// The closest at or above `name`.
    pub(super) fn closest(&self, name: &Name, now: Now) -> Option<DelegationPoint> {
        let key = Key::new([], name.as_wire())?;
        // Every suffix of the key that begins at a label is the key of an ancestor.
        let mut rest = key.as_bytes();
        loop {
            if let Some(found) = self.region.get(rest, now.unix, decode).flatten() {
                return Some(found);
            }
            let (len, tail) = rest.split_first().filter(|(len, _)| **len != 0)?;
            rest = tail.get(usize::from(*len)..)?;
        }
    }

    pub(super) fn store(&self, point: &DelegationPoint, now: Now) {
        let expires = point.expires.min(now.unix.plus(LONGEST));
        let Some(key) = Key::new([], point.zone.as_wire()) else { return };
        if now.unix < expires
            && let Some(value) = encode(point, expires)
        {
            self.region.put(key.as_bytes(), &value, expires, now.unix);
        }
    }

    /// Keeps those for which `f` is true of their zone; tells how many were removed.
    pub(super) fn retain(&self, mut f: impl FnMut(&Name) -> bool) -> usize {
        let mut removed = 0;
        self.region.retain(|key, _, _| {
            let keep = Name::from_wire(key).is_ok_and(|zone| f(&zone));
            removed += usize::from(!keep);
            keep
        });
        removed
    }

    pub(super) fn clear(&self) {
        self.region.clear();
    }

    /// Octets used and allowed.
    pub(super) fn octets(&self) -> (usize, usize) {
        self.region.octets()
    }

    pub(super) fn usage(&self) -> Usage {
        self.region.usage()
    }
}

/// The sources by their number in an entry.
const SOURCES: [DelegationSource; 6] = [
    DelegationSource::Referral,
    DelegationSource::Hints,
    DelegationSource::Priming,
    DelegationSource::Stub,
    DelegationSource::Forward { first: false },
    DelegationSource::Forward { first: true },
];

fn encode(point: &DelegationPoint, expires: UnixTime) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(256);
    let source = SOURCES.iter().position(|source| *source == point.source)?;
    out.push(u8::try_from(source).ok()?);
    out.extend_from_slice(&expires.0.to_be_bytes());
    put_name(&mut out, &point.zone)?;
    put_len(&mut out, point.servers.len())?;
    for server in &point.servers {
        put_name(&mut out, server)?;
    }
    put_len(&mut out, point.glue.len())?;
    for (server, ip) in &point.glue {
        // Nearly always one of the servers: its place says it shorter.
        let place = point.servers.iter().position(|known| known.eq_case(server));
        put_len(&mut out, place.unwrap_or(NOT_LISTED))?;
        if place.is_none() {
            put_name(&mut out, server)?;
        }
        put_ip(&mut out, *ip)?;
    }
    put_len(&mut out, point.addresses.len())?;
    for address in &point.addresses {
        put_ip(&mut out, address.ip())?;
        out.extend_from_slice(&address.port().to_be_bytes());
    }
    Some(out)
}

/// Stands for the place of a name that is not among the servers.
const NOT_LISTED: usize = 0xffff;

fn decode(value: &[u8]) -> Option<DelegationPoint> {
    let mut reader = Reader(value);
    let source = *SOURCES.get(usize::from(reader.u8()?))?;
    let expires = UnixTime(reader.u64()?);
    let zone = reader.name()?;
    let servers = (0..reader.len()?).map(|_| reader.name()).collect::<Option<Vec<_>>>()?;
    let glue = (0..reader.len()?)
        .map(|_| {
            let server = match reader.len()? {
                NOT_LISTED => reader.name()?,
                place => servers.get(place)?.clone(),
            };
            Some((server, ip(&mut reader)?))
        })
        .collect::<Option<Vec<_>>>()?;
    let addresses = (0..reader.len()?)
        .map(|_| Some(SocketAddr::new(ip(&mut reader)?, reader.u16()?)))
        .collect::<Option<Vec<_>>>()?;
    Some(DelegationPoint { zone, servers, glue, addresses, expires, source })
}

fn put_ip(out: &mut Vec<u8>, ip: IpAddr) -> Option<()> {
    match ip {
        IpAddr::V4(ip) => put_octets(out, &ip.octets()),
        IpAddr::V6(ip) => put_octets(out, &ip.octets()),
    }
}

fn ip(reader: &mut Reader<'_>) -> Option<IpAddr> {
    let octets = reader.octets()?;
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::testing::{at, name, region};

    fn point(zone: &str, expires: u64) -> DelegationPoint {
        let servers = vec![name("ns1.Example."), name("ns2.example.")];
        DelegationPoint {
            zone: name(zone),
            glue: vec![
                (servers[1].clone(), "192.0.2.1".parse().unwrap()),
                (servers[0].clone(), "2001:db8::1".parse().unwrap()),
                (name("elsewhere."), "192.0.2.2".parse().unwrap()),
            ],
            servers,
            addresses: vec!["192.0.2.3:5353".parse().unwrap(), "[::1]:53".parse().unwrap()],
            expires: at(expires).unix,
            source: DelegationSource::Forward { first: true },
        }
    }

    #[test]
    fn the_closest_that_has_not_expired_is_found() {
        let store = Delegations::new(region(1 << 20));
        for (zone, expires) in [(".", 1_000), ("Example.", 500), ("sub.example.", 100)] {
            store.store(&point(zone, expires), at(0));
        }
        #[rustfmt::skip]
        let cases = [
            ("a.b.sub.example.", 0,     Some("sub.example.")),
            ("SUB.example.",     0,     Some("sub.example.")),
            ("a.b.sub.example.", 100,   Some("example.")),
            ("xsub.example.",    0,     Some("example.")),
            ("ample.",           0,     Some(".")),
            ("a.example.",       500,   Some(".")),
            (".",                0,     Some(".")),
            ("a.example.",       1_000, None),
        ];
        for (qname, seconds, zone) in cases {
            let found = store.closest(&name(qname), at(seconds)).map(|point| point.zone);
            assert_eq!(found, zone.map(name), "{qname} after {seconds} s");
        }
    }

    #[test]
    fn a_delegation_comes_back_as_it_was() {
        let store = Delegations::new(region(1 << 20));
        for source in SOURCES {
            let point = DelegationPoint { source, ..point("example.", 100) };
            store.store(&point, at(0));
            assert_eq!(store.closest(&name("example."), at(10)), Some(point));
        }
    }

    #[test]
    fn none_lives_longer_than_a_day() {
        let store = Delegations::new(region(1 << 20));
        store.store(&point("example.", 999_999), at(0));
        let found = store.closest(&name("example."), at(86_399)).unwrap();
        assert_eq!(found.expires, at(86_400).unix);
        assert_eq!(store.closest(&name("example."), at(86_400)), None);
    }
}
