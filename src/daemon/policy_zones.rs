//! The content of response policy zones, from their files.

use tracing::warn;

use crate::authority::Builder;
use crate::config::{Config, read_zone};
use crate::policy::Policy;

/// Reads the files of the policy zones. One that cannot be read leaves its zone as it was: empty,
/// at the start.
pub(super) fn load(policy: &Policy, config: &Config) {
    for rpz in &config.policy.rpz {
        let Some(path) = &rpz.source.zonefile else { continue };
        let apex = &rpz.source.name;
        let mut builder = Builder::new(apex.clone());
        if let Err(error) = read_zone(path, apex, |record| builder.add(record)) {
            warn!(zone = %apex, %error, "policy zone is not in force");
            continue;
        }
        match builder.finish() {
            Ok(zone) => {
                policy.load_policy_zone(apex, zone.rrsets());
            }
            Err(error) => warn!(zone = %apex, %error, "policy zone is not in force"),
        }
    }
}
