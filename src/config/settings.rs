//! What was written, for `get_option` and `checkconf -o`.

use std::collections::HashMap;

use super::source::Span;
use super::table::{self, Clause, Directive};

/// The values of options as text, those that were given and those that hold by default.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    given: HashMap<(Clause, &'static str), Given>,
}

#[derive(Clone, Debug, Default)]
struct Given {
    values: Vec<String>,
    /// Where each of them stands.
    spans: Vec<Span>,
}

impl Settings {
    /// The values of an option of `server:`, `remote-control:` or another clause that is not about
    /// a zone or view, in the order given; one for an option that is no list. `None` for an
    /// unknown option.
    pub fn get(&self, name: &str) -> Option<Vec<&str>> {
        let mut clauses = Clause::NAMES.iter().map(|row| row.1).filter(|c| !c.is_named());
        let row = clauses.find_map(|clause| table::find(clause, name))?;
        Some(match self.given.get(&(row.clause, row.name)) {
            Some(given) => given.values.iter().map(String::as_str).collect(),
            None if row.list && row.default.is_empty() => Vec::new(),
            None => vec![row.default],
        })
    }

    /// Whether an option of `server:` was written, be it with its default.
    pub fn is_given(&self, name: &str) -> bool {
        table::find(Clause::Server, name)
            .is_some_and(|row| self.given.contains_key(&(row.clause, row.name)))
    }

    /// The values of an option as they were written, each with its place in
    /// [`Loaded::sources`](super::Loaded::sources); nothing when it was not given. Clauses as in
    /// [`get`](Self::get).
    pub fn written(&self, name: &str) -> impl Iterator<Item = (&str, Span)> {
        let mut clauses = Clause::NAMES.iter().map(|row| row.1).filter(|c| !c.is_named());
        let row = clauses.find_map(|clause| table::find(clause, name));
        let given = row.and_then(|row| self.given.get(&(row.clause, row.name)));
        given.into_iter().flat_map(|given| {
            given.values.iter().map(String::as_str).zip(given.spans.iter().copied())
        })
    }

    /// Notes that an option was given.
    pub(super) fn record(&mut self, row: &Directive, value: String, span: Span) {
        if row.clause.is_named() {
            return;
        }
        let given = self.given.entry((row.clause, row.name)).or_default();
        if !row.list {
            given.values.clear();
            given.spans.clear();
        }
        given.values.push(value);
        given.spans.push(span);
    }

    /// Notes that an option of `server:` has another value now. One from no file has no place, so
    /// that the last place it had in one stays.
    pub(super) fn change(&mut self, row: &Directive, value: String) {
        let key = (row.clause, row.name);
        match self.given.get_mut(&key) {
            Some(given) => given.values = vec![value],
            None => {
                let given = Given { values: vec![value], spans: Vec::new() };
                self.given.insert(key, given);
            }
        }
    }

    /// Where an option of `server:` was given last.
    pub(super) fn span(&self, name: &'static str) -> Option<Span> {
        self.given.get(&(Clause::Server, name)).and_then(|given| given.spans.last().copied())
    }
}
