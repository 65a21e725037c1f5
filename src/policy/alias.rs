//! Aliases that policy makes.

use crate::wire::{Name, Rdata, RecordType, Rrset};

/// An alias whose target begins with `*` leads to its owner put before the rest of the target, so
/// that one alias serves many names. `None` when that is longer than a name can be.
pub(super) fn expand(rrset: Rrset) -> Option<Rrset> {
    let wildcard = rrset.alias_target().filter(Name::is_wildcard);
    let Some(target) = wildcard.filter(|_| rrset.rtype == RecordType::CNAME) else {
        return Some(rrset);
    };
    let parent = target.parent()?;
    let target = Name::from_labels(rrset.owner.labels().chain(parent.labels())).ok()?;
    Some(Rrset { rdata: vec![Rdata::from_name(&target)], ..rrset })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_the_owner() {
        let long = ["a"; 100].join(".");
        for (owner, target, want) in [
            ("www.example.", "other.test.", Some("other.test.")),
            ("www.example.", "*.test.", Some("www.example.test.")),
            ("www.example.", "*.", Some("www.example.")),
            (long.as_str(), "*.test.", Some(&*format!("{long}.test."))),
            (long.as_str(), &format!("*.{long}."), None),
        ] {
            let rdata = vec![Rdata::from_name(&target.parse().unwrap())];
            let rrset = Rrset::new(owner.parse().unwrap(), RecordType::CNAME, 60, rdata);
            let got = expand(rrset).and_then(|rrset| rrset.alias_target());
            assert_eq!(got, want.map(|name| name.parse().unwrap()), "{owner} {target}");
        }
    }
}
