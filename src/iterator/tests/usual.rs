//! What servers do that do what they should.

use std::time::Duration;

use super::world::{World, name, question, rrset, show};
use crate::cache::DelegationSource;
use crate::config::Config;
use crate::iterator::Outcome;
use crate::status::Reason;
use crate::wire::{Rcode, RecordType};

const WWW: (&str, &str, &str) =
    ("10.0.2.1", "www.example.com. A", "AA; an www.example.com. A 192.0.2.1");

fn plain() -> Config {
    Config { qname_minimisation: false, ..Config::default() }
}

#[test]
fn referrals_lead_from_the_root_to_the_answer() {
    let mut world = World::new(&[WWW]);
    let response = world.response("www.example.com. A");
    assert_eq!(show(&response.answer.answer), "www.example.com. A 192.0.2.1");
    assert_eq!(response.zone, name("example.com."));
    assert_eq!(response.server, "10.0.2.1:53".parse().unwrap());
    assert!(response.authoritative);
    assert_eq!(
        world.asked,
        [
            "10.0.0.1 . NS",
            "10.0.0.1 www.example.com. A",
            "10.0.1.1 www.example.com. A",
            "10.0.2.1 www.example.com. A"
        ]
    );
    for query in &world.queries {
        let edns = query.edns.as_ref().expect("EDNS");
        assert!(edns.dnssec_ok && edns.udp_size == 1232 && query.header.cd());
    }
}

#[test]
fn what_is_known_shortens_the_way() {
    let mut world = World::new(&[
        WWW,
        ("10.0.2.1", "mail.example.com. A", "AA; an mail.example.com. A 192.0.2.2"),
        ("10.0.1.1", "other.com. A", "AA; an other.com. A 192.0.2.3"),
    ]);
    world.response("www.example.com. A");
    world.asked.clear();
    assert_eq!(world.answer("mail.example.com. A"), "NOERROR mail.example.com. A 192.0.2.2");
    assert_eq!(world.answer("other.com. A"), "NOERROR other.com. A 192.0.2.3");
    assert_eq!(world.asked, ["10.0.2.1 mail.example.com. A", "10.0.1.1 other.com. A"]);
}

#[test]
fn priming_asks_once_and_its_failure_leaves_the_hints_rfc_9609() {
    let mut world = World::new(&[WWW]);
    world.response("www.example.com. A");
    let root = world.cache.delegation(&name("."), world.now).expect("primed");
    assert_eq!((root.source, root.servers), (DelegationSource::Priming, vec![name("k.root.")]));

    let mut world = World::new(&[WWW, ("10.0.0.1", ". NS", "SERVFAIL")]);
    assert_eq!(world.answer("www.example.com. A"), "NOERROR www.example.com. A 192.0.2.1");
    assert_eq!(world.cache.delegation(&name("."), world.now), None);
}

#[test]
fn silent_priming_does_not_hold_up_the_question() {
    let mut world = World::new(&[WWW, ("10.0.0.1", ". NS", "silent")]);
    let began = world.now.mono;
    assert_eq!(world.answer("www.example.com. A"), "NOERROR www.example.com. A 192.0.2.1");
    assert!(world.now.mono.since(began) < Duration::from_millis(1_500));
}

#[test]
fn root_servers_without_address_keep_that_of_the_hints() {
    let mut world =
        World::new(&[WWW, ("10.0.0.1", ". NS", "AA; an . NS k.root.; an . NS x.root.")]);
    assert_eq!(world.answer("www.example.com. A"), "NOERROR www.example.com. A 192.0.2.1");
    let root = world.cache.delegation(&name("."), world.now).expect("primed");
    assert_eq!(root.glue, [(name("k.root."), "10.0.0.1".parse().unwrap())]);
}

#[test]
fn negative_answers_are_those_of_rfc_2308() {
    let soa = "au example.com. SOA";
    for (case, reply, expected) in [
        ("NXDOMAIN", format!("AA; NXDOMAIN; {soa}"), "NXDOMAIN"),
        ("NODATA", format!("AA; {soa}"), "NOERROR"),
        ("NODATA type 3", "AA".to_owned(), "NOERROR"),
        ("NODATA with NS too", format!("AA; {soa}; au example.com. NS ns.example.com."), "NOERROR"),
    ] {
        let mut world = World::new(&[("10.0.2.1", "no.example.com. A", &reply)]);
        let response = world.response("no.example.com. A");
        assert_eq!(response.answer.rcode.to_string(), expected, "{case}");
        assert!(response.answer.is_negative(), "{case}");
        let authority = if reply.contains("SOA") { "example.com. SOA" } else { "" };
        assert_eq!(show(&response.answer.authority), authority, "{case}");
    }
}

#[test]
fn aliases_are_kept_inside_the_bailiwick_only() {
    let mut world = World::new(&[
        (
            "10.0.2.1",
            "a.example.com. A",
            "AA; an a.example.com. CNAME b.example.com.; an b.example.com. A 192.0.2.1",
        ),
        (
            "10.0.2.1",
            "c.example.com. A",
            "AA; an c.example.com. CNAME x.other.com.; an x.other.com. A 6.6.6.6",
        ),
        (
            "10.0.2.1",
            "n.example.com. A",
            "AA; NXDOMAIN; an n.example.com. CNAME m.example.com.; au example.com. SOA",
        ),
        (
            "10.0.2.1",
            "o.example.com. A",
            "AA; NXDOMAIN; an o.example.com. CNAME x.other.com.; au other.com. SOA",
        ),
        (
            "10.0.2.1",
            "x.d.example.com. A",
            "AA; an d.example.com. 60 DNAME e.com.; an x.d.example.com. 600 CNAME wrong.com.",
        ),
    ]);
    for (case, question, expected) in [
        (
            "chain in the zone",
            "a.example.com. A",
            "NOERROR a.example.com. CNAME b.example.com., b.example.com. A 192.0.2.1",
        ),
        ("chain out of it", "c.example.com. A", "NOERROR c.example.com. CNAME x.other.com."),
        (
            "NXDOMAIN is about the last name",
            "n.example.com. A",
            "NXDOMAIN n.example.com. CNAME m.example.com.",
        ),
        (
            "and means nothing about names of others",
            "o.example.com. A",
            "NOERROR o.example.com. CNAME x.other.com.",
        ),
        (
            "DNAME makes its CNAME",
            "x.d.example.com. A",
            "NOERROR d.example.com. DNAME e.com., x.d.example.com. CNAME x.e.com.",
        ),
    ] {
        assert_eq!(world.answer(question), expected, "{case}");
    }
    let dname = world.response("x.d.example.com. A");
    assert!(dname.answer.answer.iter().all(|rrset| rrset.ttl == 60), "no longer than the DNAME");
}

#[test]
fn a_truncated_reply_is_asked_for_again_over_tcp() {
    let mut world = World::new(&[(
        "10.0.2.1",
        "www.example.com. A",
        "AA; tc-on-udp; an www.example.com. A 192.0.2.1",
    )]);
    assert_eq!(world.answer("www.example.com. A"), "NOERROR www.example.com. A 192.0.2.1");
    assert_eq!(
        world.asked[3..],
        ["10.0.2.1 www.example.com. A", "10.0.2.1 www.example.com. A tcp"]
    );
}

#[test]
fn names_are_minimised_rfc_9156() {
    let rules = [
        ("10.0.2.1", "a.b.example.com. MX", "AA; an a.b.example.com. MX mx.example.com."),
        ("10.0.2.1", "b.example.com. A", "AA; au example.com. SOA"),
        ("10.0.2.1", "a.b.example.com. A", "AA; au example.com. SOA"),
    ];
    let mut world = World::with_config(Config::default(), &rules);
    assert_eq!(world.answer("a.b.example.com. MX"), "NOERROR a.b.example.com. MX");
    assert_eq!(
        world.asked[1..],
        [
            "10.0.0.1 com. A",
            "10.0.1.1 example.com. A",
            "10.0.2.1 b.example.com. A",
            "10.0.2.1 a.b.example.com. A",
            "10.0.2.1 a.b.example.com. MX"
        ]
    );
}

#[test]
fn relaxed_minimisation_asks_the_full_name_before_it_believes_an_error() {
    for (case, middle) in [
        ("NXDOMAIN for an empty non-terminal", "AA; NXDOMAIN; au example.com. SOA"),
        ("REFUSED", "REFUSED"),
        ("SERVFAIL", "SERVFAIL"),
        ("looks lame", "RA"),
        ("FORMERR whatever the EDNS", "FORMERR"),
        ("an alias", "AA; an b.example.com. CNAME c.example.com."),
    ] {
        let rules = [
            ("10.0.2.1", "a.b.example.com. A", "AA; an a.b.example.com. A 192.0.2.1"),
            ("10.0.2.1", "b.example.com. A", middle),
        ];
        let mut world = World::with_config(Config::default(), &rules);
        assert_eq!(
            world.answer("a.b.example.com. A"),
            "NOERROR a.b.example.com. A 192.0.2.1",
            "{case}"
        );
        let strict = Config { qname_minimisation_strict: true, ..Config::default() };
        let mut world = World::with_config(strict, &rules);
        let expected = match case {
            "an alias" => "NOERROR a.b.example.com. A 192.0.2.1",
            "NXDOMAIN for an empty non-terminal" => "NXDOMAIN",
            "REFUSED" => "ServersRefused",
            "looks lame" => "LameDelegation",
            _ => "NoReachableAuthority",
        };
        assert_eq!(world.answer("a.b.example.com. A"), expected, "strict: {case}");
    }
}

#[test]
fn servers_in_other_zones_are_looked_up_in_both_families() {
    let mut world = World::new(&[
        ("10.0.1.1", "*example.com. *", "au example.com. NS ns.other.net."),
        ("10.0.1.2", "ns.other.net. A", "AA; au net. SOA"),
        ("10.0.1.2", "ns.other.net. AAAA", "AA; an ns.other.net. AAAA 2001:db8::7"),
        ("2001:db8::7", "www.example.com. A", "AA; an www.example.com. A 192.0.2.1"),
    ]);
    assert_eq!(world.answer("www.example.com. A"), "NOERROR www.example.com. A 192.0.2.1");
    assert!(world.asked.contains(&"10.0.1.2 ns.other.net. A".to_owned()));
}

#[test]
fn only_families_that_are_on_are_used() {
    let rules = [
        (
            "10.0.1.1",
            "*example.com. *",
            "au example.com. NS ns.example.com.; ad ns.example.com. A 10.0.2.1; \
         ad ns.example.com. AAAA 2001:db8::1",
        ),
        WWW,
        ("2001:db8::1", "www.example.com. A", "AA; an www.example.com. A 192.0.2.6"),
    ];
    for (do_ip4, do_ip6, expected) in
        [(true, false, "NOERROR www.example.com. A 192.0.2.1"), (false, true, "NoServerAddress")]
    {
        let mut world = World::with_config(Config { do_ip4, do_ip6, ..plain() }, &rules);
        assert_eq!(world.answer("www.example.com. A"), expected, "{do_ip4} {do_ip6}");
        assert_eq!(world.count("2001:db8::1"), 0);
    }
    let mut world = World::with_config(Config { prefer_ip6: true, ..plain() }, &rules);
    assert_eq!(world.answer("www.example.com. A"), "NOERROR www.example.com. A 192.0.2.6");
}

#[test]
fn ds_is_asked_at_the_parent() {
    let mut world = World::new(&[
        WWW,
        ("10.0.1.1", "example.com. DS", "AA; an example.com. DS digest"),
        ("10.0.2.1", "example.com. DS", "AA; au example.com. SOA"),
    ]);
    world.response("www.example.com. A");
    let response = world.response("example.com. DS");
    assert_eq!(
        (response.zone, show(&response.answer.answer)),
        (name("com."), "example.com. DS".into())
    );
}

#[test]
fn the_childs_denial_of_ds_is_not_the_parents() {
    // The root server serves example.com. too, but not com.
    let mut world = World::new(&[
        ("10.0.0.1", "example.com. DS", "AA; au example.com. SOA"),
        ("10.0.1.1", "example.com. DS", "AA; an example.com. DS digest"),
    ]);
    let response = world.response("example.com. DS");
    assert_eq!(
        (response.zone, show(&response.answer.answer)),
        (name("com."), "example.com. DS".into())
    );
    assert_eq!(
        world.asked[1..],
        ["10.0.0.1 example.com. DS", "10.0.0.1 com. A", "10.0.1.1 example.com. DS",]
    );
    // Where nobody else knows, that is all there is.
    let mut world = World::new(&[("10.0.1.1", "example.com. DS", "AA; au example.com. SOA")]);
    assert_eq!(world.answer("example.com. DS"), "NOERROR");
}

#[test]
fn a_referral_in_reply_to_ds_answers_when_it_says_something_about_ds() {
    let ns = "au example.com. NS ns.example.com.; ad ns.example.com. A 10.0.2.1";
    for (case, says, answer, authority) in [
        ("DS", "au example.com. DS+ digest", "example.com. DS", ""),
        ("a proof", "au example.com. NSEC+ f.com.", "", "example.com. NSEC"),
    ] {
        let reply = format!("{ns}; {says}");
        let mut world = World::new(&[("10.0.1.1", "example.com. DS", &reply)]);
        let response = world.response("example.com. DS");
        assert_eq!(show(&response.answer.answer), answer, "{case}");
        assert_eq!(show(&response.answer.authority), authority, "{case}");
        assert_eq!(response.zone, name("com."), "{case}");
    }
}

#[test]
fn what_a_referral_says_about_ds_is_remembered() {
    let mut world = World::new(&[
        WWW,
        (
            "10.0.1.1",
            "*example.com. *",
            "au example.com. NS ns.example.com.; au example.com. DS+ digest; \
             ad ns.example.com. A 10.0.2.1",
        ),
    ]);
    world.response("www.example.com. A");
    let known = world.cache.answer(&question("example.com. DS"), world.now).expect("stored");
    assert_eq!(show(&known.value.answer), "example.com. DS");
}

#[test]
fn delegations_end_when_the_parent_said_so() {
    let mut world = World::new(&[
        (
            "10.0.1.1",
            "*example.com. *",
            "au example.com. 60 NS ns.example.com.; ad ns.example.com. A 10.0.2.1",
        ),
        (
            "10.0.2.1",
            "*sub.example.com. *",
            "au sub.example.com. 86400 NS ns.sub.example.com.; ad ns.sub.example.com. 86400 A 10.0.3.1",
        ),
        ("10.0.3.1", "www.sub.example.com. A", "AA; an www.sub.example.com. A 192.0.2.1"),
    ]);
    world.response("www.sub.example.com. A");
    world.wait(Duration::from_secs(61));
    let closest = world.cache.delegation(&name("www.sub.example.com."), world.now).expect("com.");
    assert_eq!(closest.zone, name("com."), "the grandchild ends with the child");
}

#[test]
fn zero_ttl_delegations_work_for_the_question_at_hand() {
    let mut world = World::new(&[
        WWW,
        ("10.0.0.1", ". NS", "AA; an . 0 NS k.root.; ad k.root. 0 A 10.0.0.1"),
        ("10.0.0.1", "*com. *", "au com. 0 NS a.gtld.com.; ad a.gtld.com. 0 A 10.0.1.1"),
        (
            "10.0.1.1",
            "*example.com. *",
            "au example.com. 0 NS ns.example.com.; ad ns.example.com. 0 A 10.0.2.1",
        ),
    ]);
    assert_eq!(world.answer("www.example.com. A"), "NOERROR www.example.com. A 192.0.2.1");
}

#[test]
fn any_unknown_types_and_signatures_pass_through() {
    let mut world = World::new(&[
        (
            "10.0.2.1",
            "www.example.com. ANY",
            "AA; an www.example.com. A+ 192.0.2.1; an www.example.com. TXT hello",
        ),
        ("10.0.2.1", "www.example.com. TYPE4711", "AA; an www.example.com. TYPE4711 octets"),
        ("10.0.2.1", "www.example.com. RRSIG", "AA; an www.example.com. A+ 192.0.2.1"),
    ]);
    for (question, expected) in [
        ("www.example.com. ANY", "NOERROR www.example.com. A 192.0.2.1, www.example.com. TXT"),
        ("www.example.com. TYPE4711", "NOERROR www.example.com. TYPE4711"),
        ("www.example.com. RRSIG", "NOERROR www.example.com. RRSIG"),
    ] {
        assert_eq!(world.answer(question), expected);
    }
}

#[test]
fn tcp_upstream_asks_over_tcp_only() {
    let config = Config { tcp_upstream: true, ..plain() };
    let mut world = World::with_config(config, &[WWW]);
    assert_eq!(world.answer("www.example.com. A"), "NOERROR www.example.com. A 192.0.2.1");
    assert!(world.asked.iter().all(|line| line.ends_with(" tcp")), "{:?}", world.asked);
}

#[test]
fn the_answer_carries_the_name_as_it_was_asked() {
    let mut world = World::with_config(
        Config { use_caps_for_id: true, ..plain() },
        &[("10.0.2.1", "*www.example.com. A", "AA; lower-case; an www.example.com. A 192.0.2.1")],
    );
    let response = world.response("WWW.Example.com. A");
    assert!(response.answer.question.name.eq_case(&name("WWW.Example.com.")));
    let owner = &response.answer.answer[0].owner;
    assert!(owner.eq_case(&name("WWW.Example.com.")), "{owner}");
}

#[test]
fn rcode_yxdomain_comes_with_the_dname_that_is_too_long_rfc_6672() {
    let long = format!("{0}.{0}.{0}.{1}.", "t".repeat(63), "t".repeat(60));
    let reply = format!("AA; YXDOMAIN; an d.example.com. DNAME {long}");
    let mut world = World::new(&[("10.0.2.1", "toolong.d.example.com. A", &reply)]);
    let response = world.response("toolong.d.example.com. A");
    assert_eq!(response.answer.rcode, Rcode::YXDOMAIN);
    assert!(response.answer.answer.iter().all(|rrset| rrset.rtype == RecordType::DNAME));
}

#[test]
fn known_addresses_of_servers_cost_no_lookup() {
    let mut world =
        World::new(&[("10.0.1.1", "*example.com. *", "au example.com. NS ns.other.net."), WWW]);
    world.cache.store_rrset(
        &rrset("ns.other.net. A 10.0.2.1"),
        crate::cache::Rank::AnswerAa,
        crate::status::SecurityStatus::Insecure,
        world.now,
    );
    assert_eq!(world.answer("www.example.com. A"), "NOERROR www.example.com. A 192.0.2.1");
    assert_eq!(world.asked.len(), 4, "{:?}", world.asked);
}

#[test]
fn the_budget_ends_it() {
    let mut world = World::new(&[WWW]);
    world.budget = crate::budget::Budget::new(world.now.mono, 2);
    let outcome = world.run(question("www.example.com. A"), 0);
    assert_eq!(outcome, Outcome::Failed(Reason::WorkLimit));
    assert_eq!(world.asked.len(), 2);
}
