//! Names with something said about each: exact ones, and wildcards for what is below.

use std::collections::HashMap;

use crate::wire::Name;

/// Entries by name.
///
/// A wildcard speaks for names below its parent unless something closer is there (RFC 4592 §3.3.1),
/// where only names that are entries themselves are there: that an exception is listed deep below
/// makes nothing of the names between.
#[derive(Clone, Debug)]
pub(super) struct Names<T> {
    /// By name in lower case, wire form.
    slots: HashMap<Box<[u8]>, Slot<T>>,
}

#[derive(Clone, Debug)]
struct Slot<T> {
    own: Option<T>,
    /// Of the wildcard right below.
    below: Option<T>,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self { slots: HashMap::new() }
    }
}

impl<T> Names<T> {
    /// The entry of exactly that name, which may be a wildcard, for changing.
    pub(super) fn entry(&mut self, name: &Name) -> &mut Option<T> {
        let name = name.to_lowercase();
        let wildcard = name.is_wildcard().then(|| name.parent()).flatten();
        let key = wildcard.as_ref().unwrap_or(&name).as_wire();
        let slot = self.slots.entry(key.into()).or_insert(Slot { own: None, below: None });
        if wildcard.is_some() { &mut slot.below } else { &mut slot.own }
    }

    /// What is said about a name in lower case, wire form.
    pub(super) fn find(&self, lower: &[u8]) -> Option<&T> {
        if self.slots.is_empty() {
            return None;
        }
        if let Some(own) = self.slots.get(lower).and_then(|slot| slot.own.as_ref()) {
            return Some(own);
        }
        let mut rest = lower;
        loop {
            rest = rest.get(1 + usize::from(*rest.first().filter(|len| **len > 0)?)..)?;
            match self.slots.get(rest) {
                Some(Slot { below: Some(below), .. }) => return Some(below),
                Some(Slot { own: Some(_), .. }) => return None,
                _ => {}
            }
        }
    }

    /// Whether nothing is said about any name.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(entries: &[&str]) -> Names<String> {
        let mut names = Names::default();
        for entry in entries {
            *names.entry(&entry.parse().unwrap()) = Some((*entry).to_owned());
        }
        names
    }

    #[test]
    fn the_closest_entry_speaks_for_a_name() {
        let names = names(&["a.", "*.a.", "b.a.", "x.y.deep.a.", "*.B.c.d.", "*."]);
        for (name, want) in [
            ("a.", Some("a.")),
            ("c.a.", Some("*.a.")),
            ("x.c.a.", Some("*.a.")),
            ("b.a.", Some("b.a.")),
            ("x.b.a.", None),
            ("deep.a.", Some("*.a.")),
            ("z.y.deep.a.", Some("*.a.")),
            ("z.x.y.deep.a.", None),
            ("B.C.d.", Some("*.")),
            ("a.a.b.c.d.", Some("*.B.c.d.")),
            ("other.", Some("*.")),
            (".", None),
        ] {
            let wire = name.parse::<Name>().unwrap().to_lowercase();
            assert_eq!(names.find(wire.as_wire()).map(String::as_str), want, "{name}");
        }
    }

    fn arb_name() -> impl Strategy<Value = Vec<&'static str>> {
        prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..5)
    }

    proptest! {
        /// The same as looking at every entry.
        #[test]
        fn finding_is_what_looking_at_every_entry_says(
            entries in prop::collection::vec((arb_name(), any::<bool>()), 0..12),
            asked in arb_name(),
        ) {
            let mut names = Names::default();
            let texts: Vec<String> = entries
                .iter()
                .map(|(labels, star)| format!("{}{}.", if *star { "*." } else { "" }, labels.join(".")))
                .collect();
            for text in &texts {
                *names.entry(&text.parse().unwrap()) = Some(text.clone());
            }
            let asked = format!("{}.", asked.join("."));
            let ends = |suffix: &str| asked == suffix || asked.ends_with(&format!(".{suffix}"));
            let naive = if texts.contains(&asked) {
                Some(asked.clone())
            } else {
                // The longest suffix that is an entry, or has a wildcard, decides.
                let parent = |text: &&String| text.trim_start_matches("*.").to_owned();
                let closest = texts
                    .iter()
                    .filter(|text| ends(&parent(text)) && parent(text) != asked)
                    .max_by_key(|text| (parent(text).len(), text.starts_with('*')));
                closest.filter(|text| text.starts_with('*')).cloned()
            };
            let wire: Name = asked.parse().unwrap();
            prop_assert_eq!(names.find(wire.as_wire()).cloned(), naive);
        }
    }
}
