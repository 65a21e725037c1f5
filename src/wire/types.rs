//! Numbers of the protocol with names: types, classes, opcodes and response codes.

use std::fmt;
use std::str::FromStr;

macro_rules! numbers {
    ($(#[$doc:meta])* $type:ident($repr:ty), $prefix:literal { $($name:ident = $number:literal $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $type(pub $repr);

        #[expect(missing_docs, reason = "named as in the IANA registry")]
        impl $type {
            $(pub const $name: Self = Self($number);)*

            const NAMES: &'static [(Self, &'static str)] = &[$((Self::$name, $text)),*];
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match Self::NAMES.iter().find(|(number, _)| number == self) {
                    Some((_, name)) => f.pad(name),
                    None => write!(f, "{}{}", $prefix, self.0),
                }
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $type {
            type Err = UnknownMnemonic;

            /// Reads a mnemonic in any case, or the RFC 3597 form with a number.
            fn from_str(text: &str) -> Result<Self, UnknownMnemonic> {
                if let Some((number, _)) =
                    Self::NAMES.iter().find(|(_, name)| name.eq_ignore_ascii_case(text))
                {
                    return Ok(*number);
                }
                text.get(..$prefix.len())
                    .filter(|prefix| prefix.eq_ignore_ascii_case($prefix))
                    .and_then(|_| text.get($prefix.len()..)?.parse().ok())
                    .map(Self)
                    .ok_or(UnknownMnemonic)
            }
        }
    };
}

/// A word that is no mnemonic of the registry, nor its generic form with a number.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("unknown mnemonic")]
pub struct UnknownMnemonic;

numbers! {
    /// Type of a record, or of a question (RFC 1035 §3.2.2 and the IANA registry).
    RecordType(u16), "TYPE" {
        A = 1 "A", NS = 2 "NS", MD = 3 "MD", MF = 4 "MF", CNAME = 5 "CNAME", SOA = 6 "SOA",
        MB = 7 "MB", MG = 8 "MG", MR = 9 "MR", NULL = 10 "NULL", WKS = 11 "WKS", PTR = 12 "PTR",
        HINFO = 13 "HINFO", MINFO = 14 "MINFO", MX = 15 "MX", TXT = 16 "TXT", RP = 17 "RP",
        AFSDB = 18 "AFSDB", X25 = 19 "X25", ISDN = 20 "ISDN", RT = 21 "RT", SIG = 24 "SIG",
        KEY = 25 "KEY", PX = 26 "PX", AAAA = 28 "AAAA", LOC = 29 "LOC", NXT = 30 "NXT",
        SRV = 33 "SRV", NAPTR = 35 "NAPTR", KX = 36 "KX", CERT = 37 "CERT", A6 = 38 "A6",
        DNAME = 39 "DNAME", OPT = 41 "OPT", APL = 42 "APL", DS = 43 "DS", SSHFP = 44 "SSHFP",
        IPSECKEY = 45 "IPSECKEY", RRSIG = 46 "RRSIG", NSEC = 47 "NSEC", DNSKEY = 48 "DNSKEY",
        DHCID = 49 "DHCID", NSEC3 = 50 "NSEC3", NSEC3PARAM = 51 "NSEC3PARAM", TLSA = 52 "TLSA",
        SMIMEA = 53 "SMIMEA", HIP = 55 "HIP", CDS = 59 "CDS", CDNSKEY = 60 "CDNSKEY",
        OPENPGPKEY = 61 "OPENPGPKEY", CSYNC = 62 "CSYNC", ZONEMD = 63 "ZONEMD", SVCB = 64 "SVCB",
        HTTPS = 65 "HTTPS", SPF = 99 "SPF", NID = 104 "NID", L32 = 105 "L32", L64 = 106 "L64",
        LP = 107 "LP", EUI48 = 108 "EUI48", EUI64 = 109 "EUI64", NXNAME = 128 "NXNAME",
        TKEY = 249 "TKEY", TSIG = 250 "TSIG", IXFR = 251 "IXFR", AXFR = 252 "AXFR",
        MAILB = 253 "MAILB", MAILA = 254 "MAILA", ANY = 255 "ANY", URI = 256 "URI",
        CAA = 257 "CAA", TA = 32768 "TA", DLV = 32769 "DLV",
    }
}

impl RecordType {
    /// Types that exist only in queries or only in transport (RFC 6895 §3.1): never cached or sent
    /// upstream as they are.
    pub const fn is_meta(self) -> bool {
        matches!(self.0, 41 | 128..=255)
    }

    /// Types whose RRsets exist only to prove others: dropped from answers without DO.
    pub const fn is_dnssec(self) -> bool {
        matches!(self, Self::RRSIG | Self::NSEC | Self::NSEC3)
    }
}

numbers! {
    /// Class of a record or question (RFC 1035 §3.2.4).
    Class(u16), "CLASS" { IN = 1 "IN", CH = 3 "CH", HS = 4 "HS", NONE = 254 "NONE", ANY = 255 "ANY" }
}

numbers! {
    /// Kind of a query (RFC 1035 §4.1.1).
    Opcode(u8), "OPCODE" {
        QUERY = 0 "QUERY", IQUERY = 1 "IQUERY", STATUS = 2 "STATUS", NOTIFY = 4 "NOTIFY",
        UPDATE = 5 "UPDATE",
    }
}

numbers! {
    /// Response code, extended by EDNS to 12 bits (RFC 1035 §4.1.1, RFC 6891 §6.1.3).
    Rcode(u16), "RCODE" {
        NOERROR = 0 "NOERROR", FORMERR = 1 "FORMERR", SERVFAIL = 2 "SERVFAIL",
        NXDOMAIN = 3 "NXDOMAIN", NOTIMP = 4 "NOTIMP", REFUSED = 5 "REFUSED",
        YXDOMAIN = 6 "YXDOMAIN", YXRRSET = 7 "YXRRSET", NXRRSET = 8 "NXRRSET",
        NOTAUTH = 9 "NOTAUTH", NOTZONE = 10 "NOTZONE", BADVERS = 16 "BADVERS",
        BADCOOKIE = 23 "BADCOOKIE",
    }
}

impl Rcode {
    /// The four bits that fit the header.
    pub const fn low(self) -> u16 {
        self.0 & 0xf
    }

    /// The eight bits that go into OPT.
    pub const fn high(self) -> u8 {
        (self.0 >> 4 & 0xff) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mnemonics_and_rfc_3597_numbers_round_trip() {
        for (text, number) in [("A", 1), ("aaaa", 28), ("TYPE65280", 65280), ("type1", 1)] {
            assert_eq!(text.parse(), Ok(RecordType(number)), "{text}");
        }
        assert_eq!(RecordType(65280).to_string(), "TYPE65280");
        assert_eq!("TYPE65536".parse::<RecordType>(), Err(UnknownMnemonic));
        assert_eq!("WHAT".parse::<RecordType>(), Err(UnknownMnemonic));
        assert_eq!(Rcode(23).to_string(), "BADCOOKIE");
        assert_eq!((Rcode(23).low(), Rcode(23).high()), (7, 1));
    }
}
