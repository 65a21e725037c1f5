//! What a `forward-zone:` or `stub-zone:` clause, a trust anchor and local data become.

use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use crate::wire::{Name, Rdata, Record};

/// Where queries for a name and everything below it go (`forward-zone:`, `stub-zone:`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ZoneTarget {
    /// The zone, in lower case.
    pub name: Name,
    /// Servers given by address (`forward-addr:`, `stub-addr:`).
    pub addrs: Vec<ForwardAddr>,
    /// Servers given by name (`forward-host:`, `stub-host:`), to be looked up; port 53 or 853.
    pub hosts: Vec<ForwardHost>,
    /// When the servers fail, resolve as if the clause did not stand here.
    pub first: bool,
    /// Ask over TLS (RFC 7858).
    pub tls: bool,
    /// Ask over TCP only.
    pub tcp: bool,
    /// Do not store what comes from here.
    pub no_cache: bool,
    /// `stub-prime:`: ask the servers for the NS records of the zone first, as for the root.
    pub prime: bool,
}

/// One server of a [`ZoneTarget`]: `ADDRESS[@PORT][#NAME]`.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct ForwardAddr {
    /// Address and port; 53 when none was written, 853 in a zone asked over TLS.
    pub addr: SocketAddr,
    /// The name its certificate has to carry. None: the certificate is not checked.
    pub tls_name: Option<String>,
}

/// One server of a [`ZoneTarget`] that is known by name: `NAME[@PORT][#NAME]`.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct ForwardHost {
    /// The host name, in lower case.
    pub name: Name,
    /// 53 when none was written, 853 in a zone asked over TLS.
    pub port: u16,
    /// The name its certificate has to carry. None: the certificate is not checked.
    pub tls_name: Option<String>,
}

/// A name server of the root with its addresses.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RootHint {
    /// The server's name, in lower case.
    pub name: Name,
    /// Its addresses; port 53.
    pub addrs: Vec<IpAddr>,
}

/// A key, or the digest of a key, that is trusted without a chain to it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct TrustAnchor {
    /// The zone, in lower case.
    pub owner: Name,
    /// Which of the two forms `rdata` has.
    pub kind: AnchorKind,
    /// Record data as on the wire (RFC 4034 §2.1, §5.1).
    pub rdata: Rdata,
}

/// The form of a [`TrustAnchor`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum AnchorKind {
    /// A digest of a DNSKEY record.
    Ds,
    /// The key itself.
    Dnskey,
}

/// A file whose anchors follow the rollovers of their zone (`auto-trust-anchor-file:`), as read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AnchorFile {
    /// Where it is, or will be.
    pub path: PathBuf,
    /// Lines `;;NAME: VALUE` and `;;NAME` before and between the records.
    pub header: Vec<(String, String)>,
    /// DS and DNSKEY records, each with the comment behind it. The built-in keys of the root for a
    /// file that does not exist.
    pub records: Vec<(Record, String)>,
}

/// The trust anchors in use when some follow rollovers: swapped whole, seen by every copy of the
/// configuration. Without such anchors it is nothing.
#[derive(Clone, Debug, Default)]
pub struct Followed(Option<Arc<ArcSwap<Vec<TrustAnchor>>>>);

impl Followed {
    /// With these anchors in use.
    pub fn new(anchors: Vec<TrustAnchor>) -> Self {
        Self(Some(Arc::new(ArcSwap::from_pointee(anchors))))
    }

    /// Puts other anchors to use, for every copy; nothing happens when no anchors are followed.
    pub fn swap(&self, anchors: Vec<TrustAnchor>) {
        if let Some(shared) = &self.0 {
            shared.store(Arc::new(anchors));
        }
    }

    /// The anchors in use: these, or else `fixed`.
    pub(super) fn or<'a>(&self, fixed: &'a [TrustAnchor]) -> AnchorsInUse<'a> {
        AnchorsInUse(match &self.0 {
            Some(shared) => InUse::Followed(shared.load()),
            None => InUse::Fixed(fixed),
        })
    }
}

impl PartialEq for Followed {
    fn eq(&self, other: &Self) -> bool {
        self.or(&[])[..] == other.or(&[])[..]
    }
}

/// Every trust anchor in use at one moment; see [`Config::anchors`](super::Config::anchors).
#[derive(Debug)]
pub struct AnchorsInUse<'a>(InUse<'a>);

#[derive(Debug)]
enum InUse<'a> {
    Fixed(&'a [TrustAnchor]),
    Followed(Guard<Arc<Vec<TrustAnchor>>>),
}

impl Deref for AnchorsInUse<'_> {
    type Target = [TrustAnchor];

    fn deref(&self) -> &[TrustAnchor] {
        match &self.0 {
            InUse::Fixed(anchors) => anchors,
            InUse::Followed(anchors) => anchors,
        }
    }
}

/// A name with everything below it that is answered from the configuration (`local-zone:`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LocalZone {
    /// The zone, in lower case.
    pub name: Name,
    /// What happens to questions in it.
    pub kind: LocalZoneKind,
}

/// What a [`LocalZone`] does with questions that no record of `local-data:` answers.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum LocalZoneKind {
    /// No answer at all.
    Deny,
    /// REFUSED.
    Refuse,
    /// NODATA or NXDOMAIN.
    Static,
    /// Resolved as usual where the name has no local data, NODATA where it has.
    Transparent,
    /// Every question below is answered with the data of the zone's own name.
    Redirect,
    /// Taken from the list of zones that are there without being configured.
    Nodefault,
    /// Resolved as usual unless name and type have local data.
    Typetransparent,
    /// Logged, otherwise as [`LocalZoneKind::Transparent`].
    Inform,
    /// Logged and not answered.
    InformDeny,
    /// Logged, otherwise as [`LocalZoneKind::Redirect`].
    InformRedirect,
    /// Resolved as usual, also where the name has local data.
    AlwaysTransparent,
    /// NODATA for type A; everything else is resolved as usual.
    BlockA,
    /// NODATA for type AAAA; everything else is resolved as usual.
    BlockAaaa,
    /// As [`LocalZoneKind::BlockA`], but local data is answered.
    BlockAWdata,
    /// As [`LocalZoneKind::BlockAaaa`], but local data is answered.
    BlockAaaaWdata,
    /// REFUSED, whatever data there is.
    AlwaysRefuse,
    /// NXDOMAIN, whatever data there is.
    AlwaysNxdomain,
    /// NODATA, whatever data there is.
    AlwaysNodata,
    /// No answer, whatever data there is.
    AlwaysDeny,
    /// 0.0.0.0 and ::, NODATA for other types.
    AlwaysNull,
    /// Ends the search in a view; the zones outside of it decide.
    Noview,
    /// A truncated answer, so that the client comes back over TCP.
    Truncate,
    /// For the ipset module: resolved as usual, addresses go to a kernel set.
    Ipset,
}

impl LocalZoneKind {
    /// Every kind with its spelling in unbound.conf.
    pub const SPELLINGS: &'static [(&'static str, Self)] = &[
        ("deny", Self::Deny),
        ("refuse", Self::Refuse),
        ("static", Self::Static),
        ("transparent", Self::Transparent),
        ("redirect", Self::Redirect),
        ("nodefault", Self::Nodefault),
        ("typetransparent", Self::Typetransparent),
        ("inform", Self::Inform),
        ("inform_deny", Self::InformDeny),
        ("inform_redirect", Self::InformRedirect),
        ("always_transparent", Self::AlwaysTransparent),
        ("block_a", Self::BlockA),
        ("block_aaaa", Self::BlockAaaa),
        ("block_a_wdata", Self::BlockAWdata),
        ("block_aaaa_wdata", Self::BlockAaaaWdata),
        ("always_refuse", Self::AlwaysRefuse),
        ("always_nxdomain", Self::AlwaysNxdomain),
        ("always_nodata", Self::AlwaysNodata),
        ("always_deny", Self::AlwaysDeny),
        ("always_null", Self::AlwaysNull),
        ("noview", Self::Noview),
        ("truncate", Self::Truncate),
        ("ipset", Self::Ipset),
    ];
}
