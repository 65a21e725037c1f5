//! Private addresses in answers of public names (DNS rebinding).

use std::net::IpAddr;

use crate::config::Config;
use crate::wire::{Name, Rdata, RecordType, Rrset};

/// Takes records with private addresses out of an RRset whose owner may not have them
/// (`private-address`, `private-domain`; DNS rebinding).
pub(super) fn remove_private(rrset: &mut Rrset, config: &Config) {
    if config.private_address.is_empty()
        || config.private_domain.iter().any(|domain| rrset.owner.is_at_or_below(domain))
    {
        return;
    }
    let private = |ip: IpAddr| config.private_address.iter().any(|block| block.contains(ip));
    match rrset.rtype {
        RecordType::A | RecordType::AAAA => {
            rrset.rdata.retain(|rdata| !rdata.as_ip().is_some_and(private));
        }
        RecordType::SVCB | RecordType::HTTPS => {
            rrset.rdata.retain(|rdata| !address_hints(rdata).into_iter().any(private));
        }
        _ => {}
    }
}

/// The addresses in `ipv4hint` and `ipv6hint` of SVCB RDATA (RFC 9460 §7.3).
fn address_hints(rdata: &Rdata) -> Vec<IpAddr> {
    let mut at = 0;
    let params = rdata.as_bytes().get(2..).unwrap_or_default();
    if Name::read(params, &mut at).is_err() {
        return Vec::new();
    }
    let mut rest = params.get(at..).unwrap_or_default();
    let mut hints = Vec::new();
    while let [k0, k1, l0, l1, tail @ ..] = rest {
        let len = usize::from(u16::from_be_bytes([*l0, *l1]));
        let Some((value, tail)) = tail.split_at_checked(len) else { break };
        match u16::from_be_bytes([*k0, *k1]) {
            4 => hints.extend(value.as_chunks().0.iter().map(|o: &[u8; 4]| IpAddr::from(*o))),
            6 => hints.extend(value.as_chunks().0.iter().map(|o: &[u8; 16]| IpAddr::from(*o))),
            _ => {}
        }
        rest = tail;
    }
    hints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_hints_of_service_bindings_are_addresses() {
        // Priority 1, target ".", ipv4hint with two addresses, ipv6hint with one.
        let mut bytes = vec![0, 1, 0, 0, 4, 0, 8, 192, 0, 2, 1, 192, 168, 0, 1, 0, 6, 0, 16];
        bytes.extend_from_slice(&[0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        let hints = address_hints(&Rdata::from_bytes(bytes));
        let expected: [IpAddr; 3] =
            ["192.0.2.1", "192.168.0.1", "fe80::1"].map(|ip| ip.parse().unwrap());
        assert_eq!(hints, expected);
        for junk in [&[][..], &[0], &[0, 1, 9], &[0, 1, 0, 0, 4, 0, 8, 1]] {
            assert_eq!(address_hints(&Rdata::from_bytes(junk)), Vec::<IpAddr>::new());
        }
    }
}
