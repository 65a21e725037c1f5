//! Telling servers no more of the name than they need (RFC 9156).

use crate::budget::MINIMISE_STEPS;
use crate::config::Config;
use crate::wire::{Name, Question, RecordType};

/// Steps that add one label each; those after them share what is left (RFC 9156 §2.3,
/// MINIMISE_ONE_LAB).
const ONE_LABEL_STEPS: u8 = 4;

/// Replies a relaxed minimiser may miss before it asks for the full name.
const MAX_SILENCES: u8 = 2;

/// Decides how much of QNAME the next query shows.
#[derive(Clone, Debug)]
pub(super) struct Minimiser {
    /// Whether names are still shortened.
    active: bool,
    /// Never fall back to the full name before its time (`qname-minimisation-strict`).
    strict: bool,
    /// Labels of the name asked for now; 0 before the first question to a zone.
    labels: usize,
    /// The type may be shown with the full name: the zone of now has it, or its parent did.
    type_shown: bool,
    /// Shortened questions so far.
    steps: u8,
    /// Shortened questions to the zone of now that got no reply.
    silences: u8,
}

/// What a reply to a shortened question means for the next one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// The name exists: show one label more.
    Deeper,
    /// Ask for the full name.
    Full,
    /// The name does not exist, hence neither does what is below (RFC 8020): that is the answer.
    Believe,
    /// Blame the server and ask another one.
    NextServer,
}

impl Minimiser {
    /// For a question of an iteration.
    pub(super) fn new(question: &Question, config: &Config) -> Self {
        Self {
            active: config.qname_minimisation && !question.name.is_root(),
            strict: config.qname_minimisation_strict,
            labels: 0,
            type_shown: false,
            steps: 0,
            silences: 0,
        }
    }

    /// Another zone is asked now.
    pub(super) fn enter_zone(&mut self) {
        self.labels = 0;
        self.type_shown = false;
        self.silences = 0;
    }

    /// The question to ask a server of `zone` for the sake of `question`. Type A stands for any
    /// type while the name is shortened (RFC 9156 §2.1), and once more with the full name: as long
    /// as there may be a zone cut at it, this server need not know the type.
    pub(super) fn question(&mut self, question: &Question, zone: &Name) -> Question {
        let full = question.name.label_count();
        if self.active && self.labels == 0 {
            self.labels = self.next(zone.label_count(), full);
            self.type_shown = zone.label_count() >= full;
        }
        if !self.hides(question) {
            return question.clone();
        }
        let name = question.name.suffix(self.labels);
        Question { name, rtype: RecordType::A, class: question.class }
    }

    /// Whether the name asked for now is shortened.
    pub(super) fn is_shortened(&self, question: &Question) -> bool {
        self.labels > 0 && self.hides(question)
    }

    /// Whether something of the question is hidden.
    fn hides(&self, question: &Question) -> bool {
        let telling = !matches!(question.rtype, RecordType::A | RecordType::DS);
        let full = question.name.label_count();
        self.active && (self.labels < full || telling && !self.type_shown)
    }

    /// A shortened name exists, or may: show more of it.
    pub(super) fn deeper(&mut self, question: &Question) {
        let full = question.name.label_count();
        self.silences = 0;
        self.type_shown |= self.labels >= full;
        self.labels = self.next(self.labels, full);
    }

    /// Walks down to QNAME one label at a time from the zone of now on, whatever the configuration
    /// says: the only way to find out where the zones above it are cut.
    pub(super) fn walk_down(&mut self, zone: &Name, question: &Question) {
        let full = question.name.label_count();
        self.active = true;
        self.strict = false;
        self.labels = (zone.label_count() + 1).min(full);
    }

    /// Stop shortening.
    pub(super) fn give_up(&mut self) {
        self.active = false;
    }

    /// A shortened question got NXDOMAIN. Servers that know nothing of empty non-terminals say so
    /// of names that have others below: only strict mode believes it without a `proof`, and the
    /// proof is verified later: when it is wrong the full name is asked.
    pub(super) fn on_nxdomain(&mut self, proof: bool) -> Step {
        if self.strict || proof { Step::Believe } else { Step::Full }
    }

    /// A shortened question got an error instead of a response.
    pub(super) fn on_error(&mut self) -> Step {
        if self.strict { Step::NextServer } else { Step::Full }
    }

    /// A shortened question got no reply. Some firewalls drop questions for A of names that have
    /// none.
    pub(super) fn on_silence(&mut self) -> Step {
        self.silences += 1;
        if self.strict || self.silences < MAX_SILENCES { Step::NextServer } else { Step::Full }
    }

    /// How many labels the next name has when this one has `labels` of `full`.
    fn next(&mut self, labels: usize, full: usize) -> usize {
        let left = full.saturating_sub(labels);
        let steps_left = MINIMISE_STEPS.default.saturating_sub(self.steps);
        if left <= 1 || steps_left == 0 {
            return full;
        }
        self.steps += 1;
        if self.steps <= ONE_LABEL_STEPS {
            return labels + 1;
        }
        // Share the rest among the steps left and the full name at the end.
        labels + left.div_ceil(usize::from(steps_left) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(name: &str, rtype: RecordType) -> Question {
        Question::new(name.parse().unwrap(), rtype)
    }

    fn minimiser(question: &Question, strict: bool) -> Minimiser {
        let config = Config { qname_minimisation_strict: strict, ..Config::default() };
        Minimiser::new(question, &config)
    }

    /// The names asked of servers of one zone that say "exists" to all of them.
    fn names(qname: &str, zone: &str) -> Vec<String> {
        let question = question(qname, RecordType::MX);
        let zone = zone.parse().unwrap();
        let mut minimiser = minimiser(&question, false);
        let mut names = Vec::new();
        for _ in 0..50 {
            let asked = minimiser.question(&question, &zone);
            names.push(format!("{} {}", asked.name, asked.rtype));
            if !minimiser.is_shortened(&question) {
                break;
            }
            minimiser.deeper(&question);
        }
        names
    }

    #[test]
    fn one_label_more_than_the_zone_is_shown() {
        for (case, qname, zone, expected) in [
            ("root", ".", ".", &[". MX"][..]),
            ("top level", "com.", ".", &["com. A", "com. MX"]),
            ("the zone itself", "example.com.", "example.com.", &["example.com. MX"]),
            (
                "one below",
                "www.example.com.",
                "example.com.",
                &["www.example.com. A", "www.example.com. MX"],
            ),
            ("three below", "a.b.com.", ".", &["com. A", "b.com. A", "a.b.com. A", "a.b.com. MX"]),
        ] {
            assert_eq!(names(qname, zone), expected, "{case}");
        }
    }

    #[test]
    fn long_names_take_few_steps() {
        let long = "1.".repeat(100);
        let asked = names(&long, ".");
        assert_eq!(asked.len(), usize::from(MINIMISE_STEPS.default) + 2);
        assert_eq!(asked[3], "1.1.1.1. A");
        assert_eq!(asked.last(), Some(&format!("{long} MX")));
    }

    #[test]
    fn steps_count_over_all_zones() {
        let question = question(&"x.".repeat(20), RecordType::A);
        let mut minimiser = minimiser(&question, false);
        let mut shortened = 0;
        for labels in 0..20 {
            minimiser.enter_zone();
            minimiser.question(&question, &question.name.suffix(labels));
            shortened += usize::from(minimiser.is_shortened(&question));
        }
        assert_eq!(shortened, usize::from(MINIMISE_STEPS.default));
    }

    #[test]
    fn only_strict_mode_believes_what_it_hears_of_shortened_names() {
        let question = question("a.b.c.", RecordType::A);
        let mut relaxed = minimiser(&question, false);
        assert_eq!(relaxed.on_nxdomain(false), Step::Full);
        assert_eq!(relaxed.on_nxdomain(true), Step::Believe);
        assert_eq!(relaxed.on_error(), Step::Full);
        assert_eq!([relaxed.on_silence(), relaxed.on_silence()], [Step::NextServer, Step::Full]);
        let mut strict = minimiser(&question, true);
        assert_eq!(strict.on_nxdomain(false), Step::Believe);
        assert_eq!(strict.on_error(), Step::NextServer);
        assert_eq!([strict.on_silence(), strict.on_silence()], [Step::NextServer; 2]);
    }

    #[test]
    fn giving_up_shows_the_full_name() {
        let question = question("a.b.c.", RecordType::TXT);
        let mut minimiser = minimiser(&question, false);
        minimiser.question(&question, &Name::root());
        assert!(minimiser.is_shortened(&question));
        minimiser.give_up();
        assert!(!minimiser.is_shortened(&question));
        assert_eq!(minimiser.question(&question, &Name::root()), question);
    }
}
