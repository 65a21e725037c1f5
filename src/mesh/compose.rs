//! Composing the whole answer from the links of an alias chain.

use crate::cache::Answer;
use crate::status::{Reason, SecurityStatus};

/// The answer to the question of `link`, whose alias leads to the question of `rest`.
///
/// Records of the link come first, in chain order; the response code and the negative proof are
/// those of the end of the chain (RFC 2308 §2.1, RFC 6604 §3). Proofs that belong to a link (its
/// wildcard expansion) stay with it. The whole is as proven as its worst part (RFC 4035 §3.2.3).
pub(super) fn compose(link: Answer, rest: &Answer) -> Answer {
    if rest.is_failure() {
        let mut failure =
            Answer::failure(link.question, rest.reason.unwrap_or(Reason::NetworkError));
        if failure.reason == Some(Reason::DependencyCycle) {
            // Only an alias can bring a resolution back to itself.
            failure.reason = Some(Reason::AliasLimit);
        }
        return failure;
    }
    let mut whole = link;
    for rrset in &rest.answer {
        if !whole.answer.iter().any(|known| known.is(&rrset.owner, rrset.rtype)) {
            whole.answer.push(rrset.clone());
        }
    }
    for rrset in &rest.authority {
        if !whole.authority.iter().any(|known| known.is(&rrset.owner, rrset.rtype)) {
            whole.authority.push(rrset.clone());
        }
    }
    whole.additional = rest.additional.clone();
    whole.rcode = rest.rcode;
    if rest.status < whole.status {
        whole.reason = rest.reason;
    }
    whole.status = whole.status.min(rest.status);
    if whole.status == SecurityStatus::Secure {
        whole.reason = None;
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
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
