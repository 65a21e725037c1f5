//! Names, messages and records as they are on the wire.
//!
//! Everything here reads hostile bytes: parsers are total, bounded and never panic. Names keep the
//! case they came with and compare without it. RDATA is kept as wire bytes with every name
//! decompressed, so that it can be compared, hashed and sent again as it is.
//!
//! # RFCs
//!
//! 1035 §4 (messages), 2181 §5 (RRsets), 3597 (unknown types), 4034 §6 (canonical form and order),
//! 6891 (EDNS), 8914 (Extended DNS Errors), 9267 (what parsers got wrong).

mod build;
mod edns;
mod error;
mod message;
mod name;
mod rdata;
mod record;
mod types;

pub use build::{Builder, Section};
pub use edns::{Edns, EdnsOption, MAX_EDNS_OPTIONS};
pub use error::WireError;
pub use message::{Header, MAX_MESSAGE, Message};
pub use name::{Label, Name, NameError};
pub use rdata::{Dnskey, Ds, Nsec, Nsec3, Rdata, Rrsig, Soa, TypeBitmap, canonical_rdata};
pub use record::{Question, Record, Rrset, group_rrsets};
pub use types::{Class, Opcode, Rcode, RecordType};
