//! What the rest of the program asks of a configuration, where a field alone does not say it.

use std::net::IpAddr;

use super::net::{AccessAction, Netblock};
use super::resolved::{Config, LOOPBACK_V4, LOOPBACK_V6};
use super::values::Module;
use super::zone::AnchorsInUse;

impl Config {
    /// Blocks never asked, by [`Config::do_not_query_localhost`].
    pub(super) fn localhost_blocks() -> [Netblock; 2] {
        [LOOPBACK_V4, LOOPBACK_V6].map(|(addr, prefix)| Netblock::new(addr, prefix))
    }

    /// The loopback addresses may have any number of queries waiting: they cannot be forged.
    pub(super) fn unlimited_waiting() -> Vec<(Netblock, Option<u32>)> {
        [LOOPBACK_V4, LOOPBACK_V6].map(|(addr, prefix)| (Netblock::new(addr, prefix), None)).into()
    }

    /// What a client at `addr` may do: the most specific block of `access-control:`, the last of
    /// equal ones. Clients on this host are allowed and all others refused unless a block says
    /// otherwise.
    pub fn access(&self, addr: IpAddr) -> AccessAction {
        self.access_control
            .iter()
            .filter(|(block, _)| block.contains(addr))
            .max_by_key(|(block, _)| block.prefix())
            .map_or(AccessAction::Refuse, |&(_, action)| action)
    }

    /// The trust anchors in use now; those that follow rollovers may be others later.
    pub fn anchors(&self) -> AnchorsInUse<'_> {
        self.followed.or(&self.trust_anchors)
    }

    /// Whether answers are validated: the validator is one of the modules.
    pub fn validates(&self) -> bool {
        self.module_config.contains(&Module::Validator)
    }

    /// Whether AAAA records are made of A records: DNS64 is one of the modules.
    pub fn synthesizes(&self) -> bool {
        self.module_config.contains(&Module::Dns64)
    }

    /// The text that the server at `addr` is sent (`edns-client-string`).
    pub fn client_string(&self, addr: IpAddr) -> Option<&str> {
        self.edns_client_string
            .iter()
            .filter(|(block, _)| block.contains(addr))
            .max_by_key(|(block, _)| block.prefix())
            .map(|(_, text)| text.as_str())
    }
}
