//! What is wrong with bytes from the network.

use thiserror::Error;

/// Why bytes are not a DNS message, name or record.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum WireError {
    /// The message ends before the field does.
    #[error("message ends in the middle of a field")]
    Truncated,
    /// RFC 1035 §4.1.4: a compression pointer must point backwards.
    #[error("compression pointer does not point backwards")]
    ForwardPointer,
    /// RFC 1035 §3.1: a label type other than length or pointer.
    #[error("unknown label type")]
    LabelType,
    /// RFC 1035 §3.1: a name is at most 255 octets.
    #[error("name is longer than 255 octets")]
    NameTooLong,
    /// RDATA does not have the form of its type.
    #[error("record data does not fit its type")]
    Rdata,
    /// RFC 6891 §6.1.1: more than one OPT, or an OPT in the wrong place.
    #[error("OPT record malformed, repeated or misplaced")]
    Opt,
    /// More EDNS options than anybody needs (CVE-2026-41292).
    #[error("too many EDNS options")]
    TooManyOptions,
    /// More bytes than the counts announce.
    #[error("bytes after the last record")]
    TrailingBytes,
    /// More than 65,535 bytes would be needed.
    #[error("message does not fit")]
    TooLong,
}
