//! Composing the whole answer from the links of an alias chain.

use crate::cache::Answer;
use crate::status::Reason;

/// The answer to the question of `link`, whose alias leads to the question of `rest`; see
/// [`Answer::followed_by`].
pub(super) fn compose(link: Answer, rest: &Answer) -> Answer {
    let mut whole = link.followed_by(rest);
    if whole.is_failure() && whole.reason == Some(Reason::DependencyCycle) {
        // Only an alias can bring a resolution back to itself.
        whole.reason = Some(Reason::AliasLimit);
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::SecurityStatus;
    use crate::wire::{Name, Question, Rcode, Rdata, RecordType, Rrset};

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn link(status: SecurityStatus) -> Answer {
        let mut answer =
            Answer::empty(Question::new(name("a.example."), RecordType::A), Rcode::NOERROR);
        answer.answer.push(Rrset::new(
            name("a.example."),
            RecordType::CNAME,
            60,
            vec![Rdata::from_name(&name("b.test."))],
        ));
        answer.status = status;
        answer
    }

    #[test]
    fn the_whole_is_as_proven_as_its_worst_part() {
        use SecurityStatus::*;
        for (first, second, expected) in
            [(Secure, Secure, Secure), (Secure, Insecure, Insecure), (Insecure, Bogus, Bogus)]
        {
            let mut rest =
                Answer::empty(Question::new(name("b.test."), RecordType::A), Rcode::NXDOMAIN);
            rest.status = second;
            let whole = compose(link(first), &rest);
            assert_eq!(whole.status, expected, "{first:?} then {second:?}");
            assert_eq!(whole.rcode, Rcode::NXDOMAIN, "the end of the chain decides");
            assert_eq!(whole.answer.len(), 1);
        }
    }

    #[test]
    fn a_chain_that_fails_at_its_end_fails() {
        let rest =
            Answer::failure(Question::new(name("b.test."), RecordType::A), Reason::NetworkError);
        let whole = compose(link(SecurityStatus::Secure), &rest);
        assert!(whole.is_failure());
        assert_eq!(whole.reason, Some(Reason::NetworkError));
        assert_eq!(whole.question.name, name("a.example."));
    }
}
