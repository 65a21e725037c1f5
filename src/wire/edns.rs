//! EDNS (RFC 6891).

use super::WireError;

/// EDNS options looked at in one message; more is abuse (CVE-2026-41292).
pub const MAX_EDNS_OPTIONS: usize = 32;

/// One EDNS option.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EdnsOption {
    /// Option code of the IANA registry.
    pub code: u16,
    /// Option data.
    pub data: Vec<u8>,
}

impl EdnsOption {
    /// Extended DNS Error (RFC 8914).
    pub const EDE: u16 = 15;
    /// DNS cookie (RFC 7873).
    pub const COOKIE: u16 = 10;
    /// TCP keepalive (RFC 7828).
    pub const TCP_KEEPALIVE: u16 = 11;
    /// Padding (RFC 7830).
    pub const PADDING: u16 = 12;

    /// An Extended DNS Error with its text.
    pub fn ede(code: u16, text: &str) -> Self {
        Self { code: Self::EDE, data: [&code.to_be_bytes(), text.as_bytes()].concat() }
    }
}

/// The OPT pseudo-record of a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Edns {
    /// UDP payload size the sender can take, in octets, as it came.
    pub udp_size: u16,
    /// EDNS version; only 0 is known.
    pub version: u8,
    /// DNSSEC OK (RFC 3225).
    pub dnssec_ok: bool,
    /// Upper eight bits of the response code.
    pub rcode_high: u8,
    /// Options, in the order received.
    pub options: Vec<EdnsOption>,
}

impl Edns {
    /// What we say of ourselves.
    pub const fn new(udp_size: u16, dnssec_ok: bool) -> Self {
        Self { udp_size, version: 0, dnssec_ok, rcode_high: 0, options: Vec::new() }
    }

    /// The first option of that code.
    pub fn option(&self, code: u16) -> Option<&EdnsOption> {
        self.options.iter().find(|option| option.code == code)
    }

    /// Reads the class, TTL and RDATA of an OPT record.
    pub(super) fn read(class: u16, ttl: u32, mut rdata: &[u8]) -> Result<Self, WireError> {
        let [rcode_high, version, flags, _] = ttl.to_be_bytes();
        let mut options = Vec::new();
        while let [c0, c1, l0, l1, rest @ ..] = rdata {
            let len = usize::from(u16::from_be_bytes([*l0, *l1]));
            let (data, rest) = rest.split_at_checked(len).ok_or(WireError::Opt)?;
            if options.len() == MAX_EDNS_OPTIONS {
                return Err(WireError::TooManyOptions);
            }
            options.push(EdnsOption { code: u16::from_be_bytes([*c0, *c1]), data: data.to_vec() });
            rdata = rest;
        }
        if !rdata.is_empty() {
            return Err(WireError::Opt);
        }
        Ok(Self { udp_size: class, version, dnssec_ok: flags & 0x80 != 0, rcode_high, options })
    }

    /// Octets of the whole OPT record.
    pub fn wire_len(&self) -> usize {
        11 + self.options.iter().map(|option| 4 + option.data.len()).sum::<usize>()
    }

    /// Appends the OPT record to a message; the caller counts it in the header.
    pub fn write(&self, out: &mut Vec<u8>) {
        let flags = if self.dnssec_ok { 0x80 } else { 0 };
        out.extend_from_slice(&[0, 0, 41]);
        out.extend_from_slice(&self.udp_size.to_be_bytes());
        out.extend_from_slice(&[self.rcode_high, self.version, flags, 0]);
        let len = u16::try_from(self.wire_len() - 11).unwrap_or(u16::MAX);
        out.extend_from_slice(&len.to_be_bytes());
        for option in &self.options {
            out.extend_from_slice(&option.code.to_be_bytes());
            let len = u16::try_from(option.data.len()).unwrap_or(u16::MAX);
            out.extend_from_slice(&len.to_be_bytes());
            out.extend_from_slice(&option.data);
        }
    }
}
