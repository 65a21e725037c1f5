//! Servers in trouble: silent, lame, refusing, without EDNS, without signatures.

use std::time::Duration;

use super::world::{World, name, question, show};
use crate::config::{AnchorKind, Config, TrustAnchor};
use crate::iterator::{Event, Iteration, Outcome};
use crate::status::Reason;
use crate::wire::Rdata;

/// A zone with two servers, 10.0.2.1 and 10.0.2.2.
const TWO: (&str, &str, &str) = (
    "10.0.1.1",
    "*example.com. *",
    "au example.com. NS ns1.example.com.; au example.com. NS ns2.example.com.; \
     ad ns1.example.com. A 10.0.2.1; ad ns2.example.com. A 10.0.2.2",
);
const GOOD: &str = "AA; an www.example.com. A 192.0.2.1";
const ANSWER: &str = "NOERROR www.example.com. A 192.0.2.1";

fn plain() -> Config {
    Config { qname_minimisation: false, ..Config::default() }
}

#[test]
fn another_server_is_asked_when_one_is_no_use() {
    for (case, reply) in [
        ("silent", "silent"),
        ("unreachable", "unreachable"),
        ("no route", "no-route"),
        ("refused", "REFUSED"),
        ("not authoritative", "NOTAUTH"),
        ("server failure", "SERVFAIL"),
        ("format error", "FORMERR"),
        ("reserved code", "NOTZONE"),
        ("upward referral", "au . NS k.root."),
        ("upward referral that claims authority", "AA; au . NS k.root."),
        ("referral to itself", "au example.com. NS ns1.example.com."),
        ("sideways referral", "au other.com. NS ns1.example.com."),
        ("empty without authority", ""),
        ("a resolver", "RA; an www.example.com. A 6.6.6.6"),
        ("a resolver that knows nothing", "RA; NXDOMAIN; au example.com. SOA"),
        ("truncated, and no TCP", "TC; no-tcp"),
        ("truncated over TCP too", "TC; an www.example.com. A 6.6.6.6"),
    ] {
        // Which of the two comes first is random: both ways have to be right.
        for bad in ["10.0.2.1", "10.0.2.2"] {
            let good = if bad == "10.0.2.1" { "10.0.2.2" } else { "10.0.2.1" };
            let rules = [TWO, (bad, "*. *", reply), (good, "www.example.com. A", GOOD)];
            let mut world = World::new(&rules);
            assert_eq!(world.answer("www.example.com. A"), ANSWER, "{case}");
            assert!(world.count(bad) <= 2, "{case}: {:?}", world.asked);
        }
    }
}

#[test]
fn the_reason_tells_what_was_wrong_with_all_of_them() {
    for (case, reply, expected, most) in [
        ("silent", "silent", "NetworkError", 8),
        ("unreachable", "unreachable", "NetworkError", 2),
        ("refused", "REFUSED", "ServersRefused", 2),
        ("lame", "au . NS k.root.", "LameDelegation", 2),
        ("server failure", "SERVFAIL", "NoReachableAuthority", 2),
        ("format error", "FORMERR", "NoReachableAuthority", 4),
        ("truncated, and no TCP", "TC; no-tcp", "NetworkError", 4),
    ] {
        let rules = [TWO, ("10.0.2.1", "*. *", reply), ("10.0.2.2", "*. *", reply)];
        let mut world = World::new(&rules);
        let began = world.now.mono;
        assert_eq!(world.answer("www.example.com. A"), expected, "{case}");
        let asked = world.count("10.0.2.1") + world.count("10.0.2.2");
        assert!(asked <= most, "{case}: {asked} queries");
        assert!(world.now.mono.since(began) < Duration::from_secs(9), "{case}");
    }
}

#[test]
fn a_lone_server_that_fails_is_asked_twice_at_most() {
    for (reply, queries) in [("SERVFAIL", 2), ("REFUSED", 1), ("au . NS k.root.", 1)] {
        let mut world = World::new(&[("10.0.2.1", "*. *", reply)]);
        assert!(matches!(world.resolve("www.example.com. A"), Outcome::Failed(_)), "{reply}");
        assert_eq!(world.count("10.0.2.1"), queries, "{reply}");
        let mut world = World::with_config(Config::default(), &[("10.0.2.1", "*. *", reply)]);
        assert!(matches!(world.resolve("a.b.example.com. A"), Outcome::Failed(_)), "{reply}");
        assert!(world.count("10.0.2.1") <= 2, "minimised, {reply}: {:?}", world.asked);
    }
}

#[test]
fn a_tcp_connection_that_fails_is_not_tried_again() {
    let mut world = World::new(&[("10.0.2.1", "*. *", "TC; no-tcp")]);
    assert_eq!(world.answer("www.example.com. A"), "NetworkError");
    let streams = world.asked.iter().filter(|line| line.ends_with("tcp")).count();
    assert_eq!((world.count("10.0.2.1"), streams), (2, 1));
}

#[test]
fn lost_datagrams_are_sent_again_after_a_longer_wait() {
    let mut world = World::new(&[("10.0.2.1", "*. *", "silent")]);
    let began = world.now.mono;
    assert_eq!(world.answer("www.example.com. A"), "NetworkError");
    assert_eq!(world.count("10.0.2.1"), 5, "outbound-msg-retry");
    let took = world.now.mono.since(began);
    assert!(took > Duration::from_secs(6) && took < Duration::from_secs(9), "{took:?}");

    let once = Config { outbound_msg_retry: 1, ..plain() };
    let mut world = World::with_config(once, &[("10.0.2.1", "*. *", "silent")]);
    assert_eq!(world.answer("www.example.com. A"), "NetworkError");
    assert_eq!(world.count("10.0.2.1"), 1);
}

#[test]
fn silence_is_remembered_and_the_server_comes_last() {
    let rules = [TWO, ("10.0.2.1", "*. *", "silent"), ("10.0.2.2", "*. *", GOOD)];
    let mut world = World::new(&rules);
    // Ask until the silent one was met, then it is left alone.
    for _ in 0..20 {
        world.resolve("www.example.com. A");
        if world.count("10.0.2.1") > 0 {
            break;
        }
    }
    let met = world.count("10.0.2.1");
    assert!(met > 0);
    let mut again = 0;
    for _ in 0..10 {
        let before = world.count("10.0.2.1");
        assert_eq!(world.answer("www.example.com. A"), ANSWER);
        again += world.count("10.0.2.1") - before;
    }
    assert!(again <= 1, "a server that answers in 10 ms is preferred: {again}");
}

#[test]
fn lame_servers_are_remembered_per_zone_and_tried_last() {
    let rules = [TWO, ("10.0.2.1", "*. *", "au . NS k.root."), ("10.0.2.2", "*. *", GOOD)];
    let mut world = World::new(&rules);
    for _ in 0..20 {
        assert_eq!(world.answer("www.example.com. A"), ANSWER);
    }
    assert!(world.count("10.0.2.1") <= 1);
    let server = "10.0.2.1:53".parse().unwrap();
    let lame = world.count("10.0.2.1") == 1;
    assert_eq!(
        world.cache.infra(server, &name("example.com."), world.now).is_lame(world.now),
        lame
    );
    assert!(!world.cache.infra(server, &name("other.com."), world.now).is_lame(world.now));
}

#[test]
fn lameness_for_one_type_does_not_spoil_another() {
    let mut world = World::new(&[
        ("10.0.2.1", "www.example.com. AAAA", "AA; au . NS k.root."),
        ("10.0.2.1", "www.example.com. A", GOOD),
    ]);
    assert_eq!(world.answer("www.example.com. AAAA"), "LameDelegation");
    assert_eq!(world.answer("www.example.com. A"), ANSWER);
}

#[test]
fn edns_is_left_out_for_those_who_refuse_it_and_that_is_remembered() {
    for reply in ["no-edns", "no-edns; no-question"] {
        let reply = format!("{GOOD}; {reply}");
        let mut world = World::new(&[("10.0.2.1", "www.example.com. A", &reply)]);
        let first = world.answer("www.example.com. A");
        if reply.ends_with("no-question") {
            // An error without question may be forged: it has to wait for its time, and the
            // plain reply without question is no reply at all.
            assert_ne!(first, ANSWER);
            continue;
        }
        assert_eq!(first, ANSWER);
        assert_eq!(
            world.asked[3..],
            ["10.0.2.1 www.example.com. A", "10.0.2.1 www.example.com. A plain"]
        );
        world.asked.clear();
        assert_eq!(world.answer("www.example.com. A"), ANSWER);
        assert_eq!(world.asked, ["10.0.2.1 www.example.com. A plain"]);
    }
}

#[test]
fn an_error_without_edns_says_nothing_about_edns() {
    let mut world = World::new(&[("10.0.2.1", "www.example.com. A", "FORMERR")]);
    assert_eq!(world.answer("www.example.com. A"), "NoReachableAuthority");
    let server = "10.0.2.1:53".parse().unwrap();
    let known = world.cache.infra(server, &name("example.com."), world.now);
    assert!(known.takes_edns(world.now), "only a good reply without EDNS proves it");
}

fn signed(zone: &str) -> Config {
    let anchor = TrustAnchor {
        owner: name(zone),
        kind: AnchorKind::Ds,
        rdata: Rdata::from_bytes(*b"digest"),
    };
    Config { trust_anchors: vec![anchor], ..plain() }
}

#[test]
fn a_server_that_leaves_signatures_out_is_asked_last() {
    let rules = [
        TWO,
        ("10.0.2.1", "no.example.com. A", "AA; au example.com. SOA"),
        ("10.0.2.2", "no.example.com. A", "AA; au example.com. SOA+"),
    ];
    for _ in 0..5 {
        let mut world = World::with_config(signed("example.com."), &rules);
        let response = world.response("no.example.com. A");
        assert_eq!(response.server, "10.0.2.2:53".parse().unwrap());
    }
    // When there is no other, what it says is better than nothing: the validator decides.
    let mut world = World::with_config(signed("example.com."), &[rules[1]]);
    let response = world.response("no.example.com. A");
    assert_eq!(show(&response.answer.authority), "example.com. SOA");
    // Where nobody expects signatures their absence is normal.
    let mut world = World::new(&rules[1..2]);
    world.response("no.example.com. A");
    assert_eq!(world.count("10.0.2.1"), 1);
}

#[test]
fn a_signed_denial_of_a_name_above_is_left_to_the_validator() {
    let rules = [
        (
            "10.0.2.1",
            "b.example.com. A",
            "AA; NXDOMAIN; au example.com. SOA+; au a.example.com. NSEC+ c.example.com.",
        ),
        ("10.0.2.1", "a.b.example.com. A", "AA; an a.b.example.com. A 192.0.2.1"),
    ];
    let minimise = |config| Config { qname_minimisation: true, ..config };
    let mut world = World::with_config(minimise(signed("example.com.")), &rules);
    let mut iteration = Iteration::new(question("a.b.example.com. A"), 0);
    world.feed(&mut iteration, Event::Start);
    let Outcome::Response(denial) = world.drive(&mut iteration, 0) else { panic!("no denial") };
    assert_eq!(denial.answer.question, question("a.b.example.com. A"));
    assert_eq!(denial.answer.rcode.to_string(), "NXDOMAIN");
    assert_eq!(show(&denial.answer.authority), "example.com. SOA, a.example.com. NSEC");
    // The validator found it wrong: the same server is asked for the full name.
    world.feed(&mut iteration, Event::Retry);
    let Outcome::Response(full) = world.drive(&mut iteration, 0) else { panic!("no response") };
    assert_eq!(show(&full.answer.answer), "a.b.example.com. A 192.0.2.1");

    for config in [
        minimise(plain()),
        Config { harden_below_nxdomain: false, ..minimise(signed("example.com.")) },
    ] {
        let mut world = World::with_config(config, &rules);
        assert_eq!(world.answer("a.b.example.com. A"), "NOERROR a.b.example.com. A 192.0.2.1");
    }
}

#[test]
fn a_resolver_among_the_servers_is_believed_only_when_alone() {
    let mut world =
        World::new(&[("10.0.2.1", "www.example.com. A", "RA; an www.example.com. A 192.0.2.1")]);
    assert_eq!(world.answer("www.example.com. A"), ANSWER);
    let mut world = World::new(&[("10.0.2.1", "www.example.com. A", "")]);
    assert_eq!(world.answer("www.example.com. A"), "NOERROR", "as NODATA of type 3");
}

#[test]
fn after_bogus_data_another_server_is_asked_and_the_same_one_only_when_alone() {
    let rules = [TWO, ("10.0.2.1", "*. *", GOOD), ("10.0.2.2", "*. *", GOOD)];
    for (case, rules, same) in
        [("two servers", &rules[..], false), ("one server", &rules[1..2], true)]
    {
        let mut world = World::new(rules);
        let mut iteration = Iteration::new(question("www.example.com. A"), 0);
        world.feed(&mut iteration, Event::Start);
        let Outcome::Response(first) = world.drive(&mut iteration, 0) else { panic!("{case}") };
        world.feed(&mut iteration, Event::Retry);
        let Outcome::Response(second) = world.drive(&mut iteration, 0) else { panic!("{case}") };
        assert_eq!(first.server == second.server, same, "{case}");
        assert_eq!(first.answer, second.answer, "{case}");
    }
}

#[test]
fn after_bogus_data_servers_without_address_are_looked_up_first() {
    let mut world = World::new(&[
        (
            "10.0.1.1",
            "*example.com. *",
            "au example.com. NS ns.example.com.; au example.com. NS ns.other.net.; \
             ad ns.example.com. A 10.0.2.1",
        ),
        ("10.0.1.2", "ns.other.net. A", "AA; an ns.other.net. A 10.0.2.2"),
        ("10.0.2.1", "*. *", GOOD),
        ("10.0.2.2", "*. *", GOOD),
    ]);
    let mut iteration = Iteration::new(question("www.example.com. A"), 0);
    world.feed(&mut iteration, Event::Start);
    world.drive(&mut iteration, 0);
    world.feed(&mut iteration, Event::Retry);
    let Outcome::Response(second) = world.drive(&mut iteration, 0) else { panic!("no response") };
    assert_eq!(second.server, "10.0.2.2:53".parse().unwrap());
}

#[test]
fn missing_glue_is_asked_for_at_the_parent() {
    let referral = "au example.com. NS ns.example.com.";
    for (case, reply, expected) in [
        ("an address", "AA; an ns.example.com. A 10.0.2.1", ANSWER),
        ("an alias", "AA; an ns.example.com. CNAME x.com.", ANSWER),
        ("the same referral again", referral, "NoServerAddress"),
    ] {
        let mut world = World::new(&[
            ("10.0.1.1", "ns.example.com. A", reply),
            ("10.0.1.1", "x.com. A", "AA; an x.com. A 10.0.2.1"),
            ("10.0.1.1", "*example.com. *", referral),
            ("10.0.2.1", "www.example.com. A", GOOD),
        ]);
        assert_eq!(world.answer("www.example.com. A"), expected, "{case}");
        assert!(world.count("10.0.1.1") <= 4, "{case}: {:?}", world.asked);
    }
}

#[test]
fn glue_of_the_parent_is_the_last_resort() {
    // The zone of the server says that its address is another one, where nobody answers.
    let mut world = World::new(&[
        ("10.0.1.1", "*example.com. *", "au example.com. NS ns.other.net."),
        (
            "10.0.1.2",
            "*other.net. *",
            "au other.net. NS ns.other.net.; ad ns.other.net. A 10.0.2.1",
        ),
        ("10.0.2.1", "ns.other.net. A", "AA; an ns.other.net. A 10.0.2.9"),
        ("10.0.2.9", "*. *", "REFUSED"),
        ("10.0.2.1", "www.example.com. A", GOOD),
    ]);
    assert_eq!(world.answer("www.example.com. A"), ANSWER);
}

#[test]
fn glue_known_from_another_delegation_saves_the_lookup() {
    let rules = [
        ("10.0.1.1", "*other.com. *", "au other.com. NS ns.example.com."),
        ("10.0.2.1", "www.example.com. A", GOOD),
        ("10.0.2.1", "ns.example.com. A", "AA; an ns.example.com. A 10.0.2.1"),
        ("10.0.2.1", "www.other.com. A", "AA; an www.other.com. A 192.0.2.2"),
    ];
    let strict = Config { harden_unverified_glue: true, ..plain() };
    for (config, queries) in [(plain(), 2), (strict, 3)] {
        let mut world = World::with_config(config, &rules);
        world.response("www.example.com. A");
        world.asked.clear();
        assert_eq!(world.answer("www.other.com. A"), "NOERROR www.other.com. A 192.0.2.2");
        assert_eq!(world.asked.len(), queries, "{:?}", world.asked);
    }
}

#[test]
fn servers_that_do_not_keep_letter_case_are_asked_over_tcp_or_in_plain_case() {
    let caps = Config { use_caps_for_id: true, ..plain() };
    let rule = |behavior: &str| format!("{GOOD}; lower-case; {behavior}");
    for (behavior, expected) in
        [("", "10.0.2.1 www.example.com. A tcp"), ("no-tcp", "10.0.2.1 www.example.com. A")]
    {
        let reply = rule(behavior);
        let mut world = World::with_config(caps.clone(), &[("10.0.2.1", "*. *", &reply)]);
        let answer = world.answer("www.example.com. A");
        if behavior.is_empty() {
            // Over TCP the case does not matter any more.
            assert_eq!(answer, ANSWER);
        }
        let last = world.asked.last().expect("asked").clone();
        assert_eq!(last, expected, "{:?}", world.asked);
        assert_eq!(answer, ANSWER);
    }
    let exempt = Config { caps_exempt: vec![name("com.")], ..caps };
    let reply = rule("");
    let mut world = World::with_config(exempt, &[("10.0.2.1", "*. *", &reply)]);
    assert_eq!(world.answer("www.example.com. A"), ANSWER);
    assert_eq!(world.count("10.0.2.1"), 1);
}

#[test]
fn without_a_socket_it_fails_at_once() {
    let mut world = World::new(&[]);
    let mut iteration = Iteration::new(question(". NS"), 0);
    world.feed(&mut iteration, Event::Start);
    for _ in 0..2 {
        let asked = std::iter::from_fn(|| iteration.poll()).find_map(|action| match action {
            crate::iterator::Action::Ask(exchange) => Some(exchange.id),
            _ => None,
        });
        let error = crate::iterator::ExchangeError::NoSocket;
        world.feed(&mut iteration, Event::Failed { exchange: asked.expect("asks"), error });
    }
    assert_eq!(
        iteration.poll(),
        Some(crate::iterator::Action::Finish(Outcome::Failed(Reason::NoSocket)))
    );
}

/// A host that was offline: nobody is blamed, so that nobody is left alone once it is online.
#[test]
fn servers_are_not_blamed_for_our_network_unless_another_one_answers() {
    let server = |text: &str| text.parse().unwrap();
    let losses = |world: &World, address: &str| {
        world.cache.infra(server(address), &name("example.com."), world.now).losses
    };
    let away = |server| (server, "*. *", "no-route");
    let mut world = World::new(&[TWO, away("10.0.2.1"), away("10.0.2.2")]);
    assert_eq!(world.answer("www.example.com. A"), "NoSocket");
    assert_eq!((losses(&world, "10.0.2.1:53"), losses(&world, "10.0.2.2:53")), (0, 0));

    // One of them answers: there is a network, and the other is of no use. The order is by chance.
    let good = ("10.0.2.2", "www.example.com. A", GOOD);
    let mut world = World::new(&[TWO, away("10.0.2.1"), good]);
    for _ in 0..20 {
        assert_eq!(world.answer("www.example.com. A"), ANSWER);
    }
    assert_ne!(losses(&world, "10.0.2.1:53"), 0);
    assert_eq!(losses(&world, "10.0.2.2:53"), 0);
}
