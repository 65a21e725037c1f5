//! Decisions, one row each.

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::config::LocalZoneKind;
use crate::wire::Record;

const ALLOWED: Client = Client { access: AccessAction::Allow, sight: 0 };
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn record(owner: &str, rtype: RecordType, rdata: Rdata) -> Record {
    Record { owner: name(owner), rtype, class: Class::IN, ttl: 300, rdata }
}

fn config() -> Config {
    let zone = |text: &str, kind| LocalZone { name: name(text), kind };
    use LocalZoneKind::*;
    let address = |octet| Rdata::from_ip(Ipv4Addr::new(192, 0, 2, octet).into());
    Config {
        local_zones: vec![
            zone("static.", Static),
            zone("transparent.", Transparent),
            zone("typetransparent.", Typetransparent),
            zone("redirect.", Redirect),
            zone("alias.redirect.", Redirect),
            zone("refuse.", Refuse),
            zone("deny.", Deny),
            zone("inform.", Inform),
            zone("nx.", AlwaysNxdomain),
            zone("nodata.", AlwaysNodata),
            zone("null.", AlwaysNull),
            zone("through.static.", AlwaysTransparent),
            zone("blocka.", BlockA),
            zone("blockaaaa.", BlockAaaa),
            zone("data.", BlockAWdata),
            zone("data6.", BlockAaaaWdata),
            zone("tc.", Truncate),
            zone("onion.", Nodefault),
            zone("test.", Refuse),
        ],
        local_data: vec![
            record("WWW.static.", RecordType::A, address(1)),
            record("a.ent.static.", RecordType::A, address(2)),
            record("www.transparent.", RecordType::A, address(3)),
            record("www.typetransparent.", RecordType::A, address(4)),
            record("redirect.", RecordType::A, address(5)),
            record("alias.redirect.", RecordType::CNAME, Rdata::from_name(&name("x.example."))),
            record("www.refuse.", RecordType::A, address(6)),
            record("www.nx.", RecordType::A, address(7)),
            record("www.data.", RecordType::A, address(10)),
            record("www.data6.", RecordType::A, address(11)),
            record("free.example.", RecordType::A, address(8)),
            record("free.example.", RecordType::A, address(9)),
        ],
        ..Config::default()
    }
}

fn asked(name: &Name, rtype: RecordType) -> Asked<'_> {
    let (class, recursion_desired) = (Class::IN, true);
    let name_wire = name.as_wire();
    Asked { name_wire, rtype, class, recursion_desired, stream: false, cookie: None }
}

/// A decision in one word: what the client will see.
fn word(decision: &Decision) -> String {
    match decision {
        Decision::Resolve(_) => "resolve".into(),
        Decision::CacheOnly(_) => "cache".into(),
        Decision::Copied(answer) => format!("copied {}", answer.rcode),
        Decision::Drop => "drop".into(),
        Decision::Refuse(reason) => format!("refuse {}", reason.ede().0),
        Decision::Truncate => "truncate".into(),
        Decision::BadCookie => "badcookie".into(),
        Decision::ProveAddress => "prove".into(),
        Decision::Alias(rrset) => format!("alias {}", rrset.alias_target().unwrap()),
        Decision::Local(answer) => match answer.answer.first() {
            None if answer.rcode == Rcode::REFUSED => {
                format!("refused {}", answer.reason.unwrap().ede().0)
            }
            None => format!("{} {}", answer.rcode, answer.authority.len()),
            Some(rrset) => {
                assert_eq!(rrset.owner, answer.question.name);
                format!("{:?}", rrset.rdata)
            }
        },
    }
}

#[test]
fn local_zones_answer_by_their_type() {
    let policy = Policy::new(&config(), "host");
    use RecordType as T;
    #[rustfmt::skip]
    let cases = [
        ("www.static.",            T::A,    "[192.0.2.1]"),
        ("www.STATIC.",            T::ANY,  "[192.0.2.1]"),
        ("www.static.",            T::AAAA, "NOERROR 0"),
        ("none.static.",           T::A,    "NXDOMAIN 0"),
        ("ent.static.",            T::A,    "NOERROR 0"),
        ("static.",                T::DS,   "resolve"),
        ("b.through.static.",      T::A,    "resolve"),
        ("through.static.",        T::DS,   "NXDOMAIN 0"),
        ("www.transparent.",       T::A,    "[192.0.2.3]"),
        ("www.transparent.",       T::MX,   "NOERROR 0"),
        ("else.transparent.",      T::A,    "resolve"),
        ("www.typetransparent.",   T::A,    "[192.0.2.4]"),
        ("www.typetransparent.",   T::MX,   "resolve"),
        ("a.b.redirect.",          T::A,    "[192.0.2.5]"),
        ("a.b.redirect.",          T::MX,   "NOERROR 0"),
        ("a.alias.redirect.",      T::A,    "alias x.example."),
        ("a.alias.redirect.",      T::CNAME, "[x.example.]"),
        ("www.refuse.",            T::A,    "[192.0.2.6]"),
        ("www.refuse.",            T::MX,   "refused 15"),
        ("a.deny.",                T::A,    "drop"),
        ("a.inform.",              T::A,    "resolve"),
        ("www.nx.",                T::A,    "NXDOMAIN 0"),
        ("a.nodata.",              T::A,    "NOERROR 0"),
        ("a.null.",                T::A,    "[0.0.0.0]"),
        ("a.null.",                T::AAAA, "[::]"),
        ("a.null.",                T::MX,   "NOERROR 0"),
        ("a.blocka.",              T::A,    "NOERROR 0"),
        ("a.blocka.",              T::AAAA, "resolve"),
        ("a.blockaaaa.",           T::A,    "resolve"),
        ("a.blockaaaa.",           T::AAAA, "NOERROR 0"),
        ("a.data.",                T::A,    "NOERROR 0"),
        ("a.data.",                T::AAAA, "resolve"),
        ("www.data.",              T::A,    "[192.0.2.10]"),
        ("www.data.",              T::AAAA, "resolve"),
        ("a.data6.",               T::AAAA, "NOERROR 0"),
        ("www.data6.",             T::A,    "[192.0.2.11]"),
        ("a.tc.",                  T::A,    "truncate"),
        ("free.example.",          T::A,    "[192.0.2.8, 192.0.2.9]"),
        ("other.example.",         T::A,    "resolve"),
        (".",                      T::NS,   "resolve"),
        // Those that are always there, and the ways to be rid of them.
        ("localhost.",             T::A,    "[127.0.0.1]"),
        ("a.localhost.",           T::A,    "NXDOMAIN 1"),
        ("1.0.0.127.in-addr.arpa.", T::PTR, "[localhost.]"),
        ("0.0.127.in-addr.arpa.",  T::PTR,  "NOERROR 1"),
        ("1.1.168.192.in-addr.arpa.", T::PTR, "NXDOMAIN 1"),
        ("a.64.100.in-addr.arpa.", T::PTR,  "NXDOMAIN 1"),
        ("a.invalid.",             T::A,    "NXDOMAIN 1"),
        ("a.onion.",               T::A,    "resolve"),
        ("a.test.",                T::A,    "refused 15"),
        ("a.example.",             T::AXFR, "refuse 15"),
    ];
    for (qname, rtype, want) in cases {
        let qname = name(qname);
        let got = policy.decide(&asked(&qname, rtype), ALLOWED, CLIENT);
        assert_eq!(word(&got), want, "{qname} {rtype}");
    }
}

#[test]
fn lan_zones_can_be_unblocked() {
    let config = Config { unblock_lan_zones: true, ..Config::default() };
    let policy = Policy::new(&config, "host");
    for (qname, want) in [("1.168.192.in-addr.arpa.", "resolve"), ("a.test.", "NXDOMAIN 1")] {
        let qname = name(qname);
        let got = policy.decide(&asked(&qname, RecordType::PTR), ALLOWED, CLIENT);
        assert_eq!(word(&got), want, "{qname}");
    }
}

#[test]
fn access_decides_what_local_data_does_not() {
    use AccessAction::*;
    let policy = Policy::new(&config(), "host");
    #[rustfmt::skip]
    let cases = [
        // access          name             RD     stream  decision
        (Allow,           "a.example.",    true,  false, "resolve"),
        (Allow,           "a.example.",    false, false, "refuse 20"),
        (Allow,           "www.static.",   false, false, "[192.0.2.1]"),
        (AllowSetrd,      "a.example.",    false, false, "resolve"),
        (AllowSnoop,      "a.example.",    false, false, "cache"),
        (AllowSnoop,      "a.example.",    true,  false, "resolve"),
        (AllowCookie,     "a.example.",    true,  false, "prove"),
        (AllowCookie,     "a.example.",    true,  true,  "resolve"),
        (Deny,            "www.static.",   true,  false, "drop"),
        (Refuse,          "www.static.",   true,  false, "refuse 18"),
        (DenyNonLocal,    "www.static.",   true,  false, "[192.0.2.1]"),
        (DenyNonLocal,    "a.example.",    true,  false, "drop"),
        (RefuseNonLocal,  "a.example.",    true,  false, "refuse 18"),
    ];
    for (access, qname, recursion_desired, stream, want) in cases {
        let qname = name(qname);
        let asked = Asked { recursion_desired, stream, ..asked(&qname, RecordType::A) };
        let got = policy.decide(&asked, Client { access, ..ALLOWED }, CLIENT);
        assert_eq!(word(&got), want, "{access:?} {qname}");
    }
}

#[test]
fn a_cookie_proves_an_address() {
    let policy = Policy::new(&config(), "host");
    let client = Client { access: AccessAction::AllowCookie, ..ALLOWED };
    use Standing::*;
    for (cookie, stream, want) in [
        (Some(Valid), false, "resolve"),
        (Some(New), false, "badcookie"),
        (Some(Invalid), false, "badcookie"),
        (None, false, "prove"),
        (Some(Invalid), true, "resolve"),
        (None, true, "resolve"),
    ] {
        let qname = name("a.example.");
        let asked = Asked { cookie, stream, ..asked(&qname, RecordType::A) };
        assert_eq!(word(&policy.decide(&asked, client, CLIENT)), want, "{cookie:?} {stream}");
    }
}

#[test]
fn any_is_answered_with_hinfo_when_denied() {
    let policy = Policy::new(&Config { deny_any: true, ..config() }, "host");
    let qname = name("www.static.");
    let got = policy.decide(&asked(&qname, RecordType::ANY), ALLOWED, CLIENT);
    let Decision::Local(answer) = got else { panic!("{got:?}") };
    assert_eq!(answer.answer[0].rtype, RecordType::HINFO);
}

#[test]
fn the_resolver_tells_about_itself_unless_hidden() {
    let open = Config { version: "v1".into(), ..Config::default() };
    let hidden = Config { hide_version: true, hide_identity: true, ..Config::default() };
    for (config, qname, rtype, want) in [
        (&open, "version.bind.", RecordType::TXT, "v1"),
        (&open, "VERSION.server.", RecordType::TXT, "v1"),
        (&open, "hostname.bind.", RecordType::TXT, "host"),
        (&open, "version.bind.", RecordType::A, "refused"),
        (&open, "other.bind.", RecordType::TXT, "refused"),
        (&hidden, "version.bind.", RecordType::TXT, "refused"),
        (&hidden, "id.server.", RecordType::TXT, "refused"),
    ] {
        let qname = name(qname);
        let asked = Asked { class: Class::CH, ..asked(&qname, rtype) };
        let got = match Policy::new(config, "host").decide(&asked, ALLOWED, CLIENT) {
            Decision::Local(answer) => {
                String::from_utf8(answer.answer[0].rdata[0].as_bytes()[1..].to_vec()).unwrap()
            }
            Decision::Refuse(_) => "refused".into(),
            other => panic!("{other:?}"),
        };
        assert_eq!(got, want, "{qname} {rtype}");
    }
    let other = name("a.example.");
    let asked = Asked { class: Class::HS, ..asked(&other, RecordType::A) };
    let got = Policy::new(&open, "host").decide(&asked, ALLOWED, CLIENT);
    assert_eq!(got, Decision::Refuse(Reason::Blocked));
}
