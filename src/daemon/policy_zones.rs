//! The content of response policy zones, from the copies of zones.

use crate::authority::{Zone, Zones};
use crate::policy::Policy;
use crate::wire::Name;

/// Puts what is in the copies into force.
pub(super) fn load(policy: &Policy, zones: &Zones) {
    for entry in zones.iter() {
        if let Some(zone) = entry.copy().zone.as_deref() {
            apply(policy, entry.name(), zone);
        }
    }
}

/// Puts a new version of a zone into force, if it is a policy zone.
pub(super) fn apply(policy: &Policy, name: &Name, zone: &Zone) {
    policy.load_policy_zone(name, zone.rrsets());
}
