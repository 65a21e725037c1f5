//! Zones kept as copies: read from files or transferred, and answered from.
//!
//! A [`Zone`] is one version of a zone and never changes. An [`Entry`] is a zone of the configuration
//! with the copy that is used right now; when a newer version has passed its checks, the copy is
//! swapped whole, so that a question sees one version or the other. [`Zones`] finds the zone for a
//! name.
//!
//! # Not here
//!
//! Whether a zone that is `rpz:` applies to a question: that is policy, which reads the same copies.
//!
//! # RFCs
//!
//! 1034 §4.3.2 and 4035 §3.1 (answering), 4592 (wildcards), 5155 §7.2 (NSEC3), 6672 (DNAME), 1982
//! (serial numbers), 1995 and 5936 (transfers), 1996 (NOTIFY), 8976 (digest).

mod file;
mod lookup;
mod nsec3;
mod serial;
mod set;
#[cfg(test)]
mod tests;
pub mod transfer;
mod zone;
mod zonemd;

pub use file::FileError;
pub use lookup::Reply;
pub use serial::is_newer;
pub use set::{Copy, Entry, Zones};
pub use zone::{Builder, Change, MAX_RECORDS, Node, Zone, ZoneError};
pub use zonemd::Digest;
