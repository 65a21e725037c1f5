//! unbound.conf: syntax, the table of options, and the checked configuration.

mod hints;
mod net;
mod resolved;
mod values;
mod zone;

pub use net::{AccessAction, Netblock, NetblockError};
pub use resolved::Config;
pub use values::{Iterations, Module, Nsid, OutgoingPorts, ValDate};
pub use zone::{
    AnchorKind, ForwardAddr, ForwardHost, LocalZone, LocalZoneKind, RootHint, TrustAnchor,
    ZoneTarget,
};
