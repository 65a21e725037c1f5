//! What kind of response a scrubbed message is (RFC 1034 §5.3.3, RFC 2308 §2).

use super::scrub::{ChainEnd, Scrubbed};
use crate::wire::{Header, Name, Question, Rcode, RecordType, Rrset};

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
    // Type 3: nothing at all. Credible from a server that claims authority, or a forwarder, or
    // with a proof.
    let proof = |rrset: &Rrset| matches!(rrset.rtype, RecordType::NSEC | RecordType::NSEC3);
    let credible = header.aa() || context.recursion || scrubbed.authority.iter().any(proof);
    if credible { Class::NoData } else { Class::Lame }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::iterator::scrub::{Bailiwick, scrub};
    use crate::iterator::tests::world::{message, name, question};

    fn class(question: &Question, zone: &str, recursion: bool, reply: &str) -> Class {
        let (zone, config) = (name(zone), Config::default());
        let message = message(question, reply);
        let bailiwick = Bailiwick { zone: &zone, qname: &question.name, config: &config };
        let scrubbed = scrub(&message, question, bailiwick);
        let context = Context { question, zone: &zone, recursion };
        classify(message.header, message.rcode, &scrubbed, context)
    }

    #[test]
    fn classify_follows_rfc_2308_section_2() {
        use Class::*;

        #[rustfmt::skip]
        let cases = [
            // name of the case                   reply to www.example. A                        expected
            ("positive answer",                   "AA; an www.example. A 192.0.2.1",             Answer),
            ("positive answer without AA",        "an www.example. A 192.0.2.1",                 Answer),
            ("answer behind an alias",            "AA; an www.example. CNAME x.example.; an x.example. A 192.0.2.1", Answer),
            ("answer in spite of NXDOMAIN",       "AA; NXDOMAIN; an www.example. A 192.0.2.1",   Answer),
            ("alias, target missing",             "AA; an www.example. CNAME x.example.",        Alias),
            ("alias out of the zone",             "AA; an www.example. CNAME x.test.; an x.test. A 192.0.2.1", Alias),
            ("alias, target denied elsewhere",    "AA; an www.example. CNAME x.example.; au example. SOA", Alias),
            ("nodata, type 1",                    "AA; au example. SOA; au example. NS ns.example.", NoData),
            ("nodata, type 2",                    "AA; au example. SOA",                         NoData),
            ("nodata, type 2, without AA",        "au example. SOA",                             NoData),
            ("nodata, type 3",                    "AA",                                          NoData),
            ("nodata, NS of the zone only",       "AA; au example. NS ns.example.",              NoData),
            ("nodata, another type came",         "AA; an www.example. TXT hello",               NoData),
            ("nodata, another name came",         "AA; an x.example. A 192.0.2.1",               NoData),
            ("nodata, only a proof",              "au www.example. NSEC+ x.example.",            NoData),
            ("type 3 without authority",          "",                                            Lame),
            ("nxdomain, type 2",                  "AA; NXDOMAIN; au example. SOA",               NxDomain),
            ("nxdomain, type 3",                  "AA; NXDOMAIN",                                NxDomain),
            ("nxdomain behind an alias",          "AA; NXDOMAIN; an www.example. CNAME x.example.; au example. SOA", NxDomain),
            ("nxdomain of a foreign target",      "AA; NXDOMAIN; an www.example. CNAME x.test.; au test. SOA", Alias),
            ("referral",                          "au www.example. NS ns.www.example.",          Referral(0)),
            ("referral that claims authority",    "AA; au www.example. NS ns.www.example.",      Referral(0)),
            ("referral of a resolver",            "RA; au www.example. NS ns.www.example.",      Referral(0)),
            ("referral to itself",                "au example. NS ns.example.",                  Lame),
            ("upward referral",                   "au . NS k.root.",                             Lame),
            ("upward referral with AA",           "AA; au . NS k.root.",                         Lame),
            ("sideways referral",                 "au x.example. NS ns.x.example.",              Lame),
            ("referral below QNAME",              "au a.www.example. NS ns.x.example.",          Lame),
            ("truncated",                         "TC; an www.example. A 192.0.2.1",             Truncated),
            ("a resolver's answer",               "RA; an www.example. A 192.0.2.1",             RecursionLame),
            ("a resolver's denial",               "RA; au example. SOA",                         RecursionLame),
            ("a resolver's NXDOMAIN",             "RA; NXDOMAIN; au example. SOA",               RecursionLame),
            ("AA outweighs RA",                   "AA; RA; an www.example. A 192.0.2.1",         Answer),
            ("refused",                           "REFUSED",                                     Refused),
            ("not authoritative",                 "NOTAUTH",                                     Refused),
            ("server failure",                    "SERVFAIL",                                    ServFail),
            ("format error",                      "FORMERR",                                     NoEdns),
            ("not implemented",                   "NOTIMP",                                      NoEdns),
            ("codes of other opcodes",            "NOTZONE",                                     Unusable),
            ("YXDOMAIN out of nowhere",           "YXDOMAIN",                                    Unusable),
        ];
        let question = question("www.example. A");
        for (case, reply, expected) in cases {
            assert_eq!(class(&question, "example.", false, reply), expected, "{case}");
        }
    }

    #[test]
    fn forwarders_need_no_aa() {
        let question = question("www.example. A");
        for (case, reply, expected) in [
            ("answer", "RA; an www.example. A 192.0.2.1", Class::Answer),
            ("NXDOMAIN", "RA; NXDOMAIN; au example. SOA", Class::NxDomain),
            ("nothing", "RA", Class::NoData),
        ] {
            assert_eq!(class(&question, ".", true, reply), expected, "{case}");
        }
    }

    #[test]
    fn a_dname_that_makes_too_long_a_name_is_an_answer_rfc_6672_section_2_2() {
        let long = format!("{0}.{0}.{0}.", "t".repeat(63));
        let question = question(&format!("{}.example. A", "q".repeat(63)));
        for rcode in ["NOERROR", "YXDOMAIN"] {
            let reply = format!("AA; {rcode}; an example. DNAME {long}");
            assert_eq!(class(&question, "example.", false, &reply), Class::Answer, "{rcode}");
        }
    }
}
