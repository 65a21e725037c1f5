//! Zone cuts, and where the servers of a zone are.

use std::net::{IpAddr, SocketAddr};

use crate::clock::UnixTime;
use crate::wire::Name;

/// A zone cut as known for resolution: the zone, the names of its servers, and addresses that came
/// along as glue. Never shown to a client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DelegationPoint {
    /// The zone.
    pub zone: Name,
    /// Names of its servers.
    pub servers: Vec<Name>,
    /// Addresses by server name: glue of the referral, or hints. Good for asking, nothing else.
    pub glue: Vec<(Name, IpAddr)>,
    /// Addresses without a name: `stub-addr`, `forward-addr`.
    pub addresses: Vec<SocketAddr>,
    /// When the parent's word ends. Never later than the parent's own delegation, and never
    /// extended by the child (ghost domains, CVE-2012-1191, CVE-2022-30698).
    pub expires: UnixTime,
    /// Where it came from.
    pub source: DelegationSource,
}

/// Where a delegation point came from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DelegationSource {
    /// A referral from the parent zone.
    Referral,
    /// Root hints, not primed yet (RFC 9609).
    Hints,
    /// The root's own NS RRset, learned by priming.
    Priming,
    /// `stub-zone:`; asked without RD, authoritative answers expected.
    Stub,
    /// `forward-zone:`; asked with RD, whole answers expected.
    Forward {
        /// `forward-first`: iterate when no forwarder answers.
        first: bool,
    },
}
