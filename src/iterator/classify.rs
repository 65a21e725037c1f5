//! What kind of response a scrubbed message is (RFC 1034 §5.3.3, RFC 2308 §2).

use super::scrub::{ChainEnd, Scrubbed};
use crate::wire::{Header, Name, Question, Rcode, RecordType};

/// What a response means for the iteration.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Class {
    /// What was asked for, perhaps behind aliases.
    Answer,
    /// An alias whose target is another question.
    Alias,
    /// The name exists, the type does not.
    NoData,
    /// The name does not exist; behind aliases: the last name does not.
    NxDomain,
    /// Other servers know: those of the zone cut whose NS RRset has this place in the authority
    /// section.
    Referral(usize),
    /// The message was cut short: ask over a stream.
    Truncated,
    /// Authoritative for something else; ask another server.
    Lame,
    /// A resolver and not an authoritative server: believed only when nobody else is there.
    RecursionLame,
    /// Does not want to answer us.
    Refused,
    /// Cannot answer now.
    ServFail,
    /// Does not understand EDNS, or says so.
    NoEdns,
    /// Nothing that means anything.
    Unusable,
}

/// What the classification of a response depends on besides the response.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    /// The question as it was sent.
    pub(super) question: &'a Question,
    /// The zone the server was asked for.
    pub(super) zone: &'a Name,
    /// Whether recursion was asked for: a forwarder, whose answers need no AA.
    pub(super) recursion: bool,
}

/// Classifies a response by its header, response code (with the bits of EDNS) and what scrubbing
/// left of it.
pub(super) fn classify(
    header: Header,
    rcode: Rcode,
    scrubbed: &Scrubbed,
    context: Context<'_>,
) -> Class {
    if header.tc() {
        return Class::Truncated;
    }
    let recursion_lame = header.ra() && !header.aa() && !context.recursion;
    match rcode {
        Rcode::NOERROR => {}
        Rcode::NXDOMAIN if recursion_lame => return Class::RecursionLame,
        Rcode::NXDOMAIN => return nxdomain(scrubbed),
        // RFC 6672 §2.2: the only way to get it in reply to a query.
        Rcode::YXDOMAIN if scrubbed.end == ChainEnd::TooLong => return Class::Answer,
        Rcode::SERVFAIL => return Class::ServFail,
        Rcode::REFUSED | Rcode::NOTAUTH => return Class::Refused,
        Rcode::FORMERR | Rcode::NOTIMP | Rcode::BADVERS => return Class::NoEdns,
        _ => return Class::Unusable,
    }
    match scrubbed.end {
        ChainEnd::TooLong => Class::Answer,
        // An answer without AA is provisional: a server that refers to the zone's own servers
        // below may have put the NS RRset asked for into the answer section.
        ChainEnd::Answer | ChainEnd::Alias if recursion_lame => Class::RecursionLame,
        ChainEnd::Answer => Class::Answer,
        ChainEnd::Alias => Class::Alias,
        ChainEnd::Nothing => without_answer(header, scrubbed, context, recursion_lame),
    }
}

/// NXDOMAIN says something about the last name of the chain, and only when that name is one the
/// server may speak about; otherwise the alias is all we know.
fn nxdomain(scrubbed: &Scrubbed) -> Class {
    match scrubbed.end {
        ChainEnd::Nothing => Class::NxDomain,
        ChainEnd::Alias if denies(scrubbed) => Class::NxDomain,
        ChainEnd::Alias => Class::Alias,
        // Some servers say NXDOMAIN together with what was asked for.
        ChainEnd::Answer | ChainEnd::TooLong => Class::Answer,
    }
}

/// Whether there is a SOA that covers the end of the chain.
fn denies(scrubbed: &Scrubbed) -> bool {
    scrubbed
        .authority
        .iter()
        .any(|rrset| rrset.rtype == RecordType::SOA && scrubbed.target.is_at_or_below(&rrset.owner))
}

/// NOERROR with nothing at QNAME: NODATA, referral or lame (RFC 2308 §2.2, §2.2.1).
fn without_answer(
    header: Header,
    scrubbed: &Scrubbed,
    context: Context<'_>,
    recursion_lame: bool,
) -> Class {
    // Types 1 and 2: a SOA makes it NODATA, NS records or not.
    if denies(scrubbed) {
        return if recursion_lame { Class::RecursionLame } else { Class::NoData };
    }
    let referral = scrubbed.authority.iter().position(|rrset| {
        rrset.rtype == RecordType::NS
            && rrset.owner.is_below(context.zone)
            && context.question.name.is_at_or_below(&rrset.owner)
    });
    if let Some(at) = referral {
        return Class::Referral(at);
    }
    if scrubbed.upward {
        return Class::Lame;
    }
    if recursion_lame {
        return Class::RecursionLame;
    }
    // Type 3: nothing at all. Credible from a server that claims authority, or a forwarder.
    if header.aa() || context.recursion { Class::NoData } else { Class::Lame }
}
