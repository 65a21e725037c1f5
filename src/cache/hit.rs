//! Answering from stored wire bytes: copy, patch, append OPT. No allocation.

use crate::status::SecurityStatus;
use crate::wire::{Class, RecordType};

/// A query as the hot path reads it, without memory of its own.
#[derive(Clone, Copy, Debug)]
pub struct HotQuery<'a> {
    /// Query id.
    pub id: u16,
    /// Flags as in [`Header::bits`](crate::wire::Header::bits); RD, AD and CD matter.
    pub flags: u16,
    /// QNAME as sent: uncompressed wire form with the root label, checked.
    pub name_wire: &'a [u8],
    /// QTYPE.
    pub rtype: RecordType,
    /// QCLASS.
    pub class: Class,
    /// What OPT said, when there was one.
    pub edns: Option<HotEdns>,
}

/// The parts of OPT that a hit needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HotEdns {
    /// UDP payload size the client can take, in octets, as it came.
    pub udp_size: u16,
    /// DNSSEC OK.
    pub dnssec_ok: bool,
}

/// What was written for a client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hit {
    /// Octets written, OPT included.
    pub len: usize,
    /// Where the question ends.
    pub question_end: usize,
    /// Where the answer section ends.
    pub answer_end: usize,
    /// Where the authority section ends.
    pub authority_end: usize,
    /// Where OPT begins; equal to `len` when there is none. It is the last record, so that options
    /// can be appended.
    pub opt_at: usize,
    /// Status of the data, whatever the client was told.
    pub status: SecurityStatus,
    /// Seconds until the answer expires; 0 when it has.
    pub ttl_left: u32,
    /// The answer has expired and is served nevertheless (RFC 8767): refresh it.
    pub expired: bool,
    /// The answer expires soon: refresh it.
    pub prefetch_due: bool,
}
