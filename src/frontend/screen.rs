//! Taking an answer through policy without waiting for anybody.

use crate::cache::Answer;
use crate::mesh::{Known, Screened};
use crate::policy::{self, Link, Step};
use crate::wire::Question;

/// What policy makes of what is known.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Screening {
    /// Nothing: it goes out as it is.
    Unchanged,
    /// This.
    Changed(Box<Answer>),
}

/// Takes the answer to `question` through policy, link by link; `None` when something is not known.
pub(super) fn run(
    question: &Question,
    screened: &Screened,
    mut lookup: impl FnMut(&Link) -> Option<Known>,
) -> Option<Screening> {
    let Screened { audience, alias } = screened;
    let policy = &audience.policy;
    let mut screening = policy::Screening::new(question.clone(), alias.as_deref(), audience.lens);
    let mut step = screening.start(policy);
    // Every link costs one of a limited number, so this ends.
    loop {
        step = match step {
            Step::Unchanged => return Some(Screening::Unchanged),
            Step::Done(answer) => return Some(Screening::Changed(answer)),
            Step::Need(link) => match lookup(&link)? {
                Known::Answer(answer) => screening.resolved(policy, &answer),
                Known::Barred(hit) => screening.barred(policy, &hit),
            },
        };
    }
}
