//! Conversations with scripted servers, in simulated time: what the mesh makes of many questions.

mod many;
mod synthesis;
mod world;

use std::time::Duration;

use super::{Query, TIMERS_LEFT};
use crate::config::{AnchorKind, Config, TrustAnchor};
use crate::iterator::tests::world::{name, question};
use crate::status::{Reason, SecurityStatus};
use crate::wire::{Rcode, Rdata};
use world::World;

const WWW: (&str, &str, &str) =
    ("10.0.2.1", "www.example.com. A", "AA; an www.example.com. A 192.0.2.1");

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn unvalidated() -> Config {
    Config {
        qname_minimisation: false,
        module_config: vec![crate::config::Module::Iterator],
        ..Config::default()
    }
}

/// Two zones whose name servers have names in each other.
fn circular() -> World {
    World::new(
        unvalidated(),
        &[
            ("10.0.1.1", "*a.com. *", "au a.com. NS ns.b.net."),
            ("10.0.1.2", "*b.net. *", "au b.net. NS ns.a.com."),
        ],
    )
}

/// A trust anchor for `example.com.` that no key can match.
fn anchored() -> Config {
    let owner = name("example.com.");
    let rdata = Rdata::from_bytes([&[0, 1, 13, 2][..], &[7; 32]].concat());
    let anchor = TrustAnchor { owner, kind: AnchorKind::Ds, rdata };
    Config { qname_minimisation: false, trust_anchors: vec![anchor], ..Config::default() }
}

#[test]
fn equal_questions_cost_one_exchange() {
    let mut world = World::new(unvalidated(), &[WWW]);
    let clients: Vec<_> = (0..5).map(|_| world.ask("www.example.com. A")).collect();
    world.run_for(millis(5));
    let late = world.ask("www.example.com. A");
    world.run();
    for client in clients.into_iter().chain([late]) {
        assert_eq!(world.outcome(client), "NOERROR Insecure");
    }
    assert_eq!(world.count("10.0.2.1 www.example.com. A"), 1);
    assert!(world.mesh.is_empty());
}

#[test]
fn name_servers_that_depend_on_each_other_end() {
    let mut world = circular();
    let client = world.ask("www.a.com. A");
    world.run();
    assert!(world.outcome(client).starts_with("SERVFAIL"), "{}", world.outcome(client));
    assert!(world.asked.len() <= 12, "{:#?}", world.asked);
    assert!(world.elapsed(client) < millis(1000));
    assert!(world.mesh.is_empty());
}

#[test]
fn a_failure_for_want_of_a_circle_is_not_remembered() {
    // ns.b.net. can be found, only not from inside the question for ns.a.com.
    let mut world = circular();
    let client = world.ask("www.a.com. A");
    world.run();
    assert!(world.outcome(client).starts_with("SERVFAIL"));
    for inner in ["ns.b.net. A", "ns.a.com. A"] {
        let remembered = world.cache.answer(&question(inner), world.now);
        assert!(remembered.is_none_or(|known| !known.value.is_failure()), "{inner}");
    }
}

#[test]
fn aliases_in_a_circle_end() {
    let mut world = World::new(
        unvalidated(),
        &[
            ("10.0.2.1", "a.example.com. A", "AA; an a.example.com. CNAME b.example.com."),
            ("10.0.2.1", "b.example.com. A", "AA; an b.example.com. CNAME a.example.com."),
        ],
    );
    let client = world.ask("a.example.com. A");
    world.run();
    assert_eq!(world.outcome(client), "SERVFAIL AliasLimit");
    assert_eq!(world.count("10.0.2.1"), 2);
}

#[test]
fn alias_chains_have_a_limit_that_is_not_held_against_their_links() {
    for (restarts, links, expected) in [
        (11, 11, "NOERROR Insecure"),
        (11, 12, "SERVFAIL AliasLimit"),
        (2, 2, "NOERROR Insecure"),
        (2, 3, "SERVFAIL AliasLimit"),
    ] {
        let config = Config { max_query_restarts: restarts, ..unvalidated() };
        let mut world = World::new(config, &[]);
        for link in 0..links {
            let owner = format!("c{link}.example.com.");
            let next = format!("c{}.example.com.", link + 1);
            let reply = format!("AA; an {owner} CNAME {next}");
            world.rule("10.0.2.1", &format!("{owner} A"), &reply);
        }
        let end = format!("c{links}.example.com.");
        world.rule("10.0.2.1", &format!("{end} A"), &format!("AA; an {end} A 192.0.2.1"));
        let client = world.ask("c0.example.com. A");
        world.run();
        assert_eq!(world.outcome(client), expected, "{restarts} {links}");
        let later = world.ask("c1.example.com. A");
        world.run();
        assert_eq!(world.outcome(later), "NOERROR Insecure", "{restarts} {links}");
    }
}

#[test]
fn a_client_is_answered_in_time_and_the_work_goes_on_for_the_cache() {
    let mut world = World::new(unvalidated(), &[("10.0.2.1", "*. *", "silent")]);
    let client = world.ask("www.example.com. A");
    world.run_for(millis(3_899));
    assert!(!world.is_answered(client));
    world.run_for(millis(2));
    assert_eq!(world.outcome(client), "SERVFAIL ClientDeadline");
    assert_eq!(Reason::ClientDeadline.ede().0, 22);
    assert!(!world.mesh.is_empty() && world.mesh.clients() == 0);
    // The server is back: whoever asks again has the answer, and nobody has to ask the server.
    world.rule(WWW.0, WWW.1, WWW.2);
    world.run_for(millis(4_000));
    let asked = world.asked.len();
    let again = world.ask("www.example.com. A");
    world.run();
    assert_eq!(world.outcome(again), "NOERROR Insecure");
    assert_eq!(world.asked.len(), asked);
}

#[test]
fn work_that_leads_nowhere_ends_after_eight_seconds() {
    let mut world = World::new(unvalidated(), &[("10.0.2.1", "*. *", "silent")]);
    let first = world.ask("www.example.com. A");
    world.run_for(millis(8_001));
    assert_eq!(world.outcome(first), "SERVFAIL ClientDeadline");
    assert!(world.mesh.is_empty() && world.open.is_empty());
}

#[test]
fn work_that_a_client_joined_late_ends_in_time_too() {
    // The target of an alias is a subquery of the first client; the second one asks for it.
    let mut world = World::new(
        unvalidated(),
        &[
            ("10.0.2.1", "a.example.com. A", "AA; an a.example.com. CNAME b.example.com."),
            ("10.0.2.1", "b.example.com. A", "silent"),
        ],
    );
    world.ask("a.example.com. A");
    world.run_for(millis(3_000));
    let second = world.ask("b.example.com. A");
    world.run_for(millis(8_001));
    assert!(world.outcome(second).starts_with("SERVFAIL"));
    assert!(world.mesh.is_empty() && world.open.is_empty());
}

#[test]
fn subqueries_share_the_budget_of_their_client() {
    let config = Config { max_global_quota: 4, ..unvalidated() };
    let mut world = World::new(
        config,
        &[
            (
                "10.0.1.1",
                "*evil.com. *",
                "au evil.com. NS ns.evil.com.; ad ns.evil.com. A 10.0.6.6",
            ),
            ("10.0.6.6", "a.evil.com. A", "AA; an a.evil.com. CNAME www.example.com."),
            WWW,
        ],
    );
    let client = world.ask("a.evil.com. A");
    world.run();
    assert_eq!(world.outcome(client), "SERVFAIL WorkLimit");
    assert_eq!(world.asked.len(), 1 + 4, "priming is free: {:#?}", world.asked);
    // The victim of the alias does not fail for others; the question that was asked does.
    let other = world.ask("www.example.com. A");
    let again = world.ask("a.evil.com. A");
    world.run();
    assert_eq!(world.outcome(other), "NOERROR Insecure");
    assert_eq!(world.outcome(again), "SERVFAIL WorkLimit");
    assert_eq!(world.count("10.0.6.6"), 1);
}

#[test]
fn whoever_joined_goes_on_with_a_budget_of_its_own() {
    let config = Config { max_global_quota: 4, ..unvalidated() };
    let mut world = World::new(
        config,
        &[
            (
                "10.0.1.1",
                "*evil.com. *",
                "au evil.com. NS ns.evil.com.; ad ns.evil.com. A 10.0.6.6",
            ),
            ("10.0.6.6", "a.evil.com. A", "AA; an a.evil.com. CNAME www.example.com."),
            WWW,
            // Joins the fetch of the victim from below another question.
            (
                "10.0.2.1",
                "alias.example.com. A",
                "AA; an alias.example.com. CNAME www.example.com.",
            ),
        ],
    );
    let attacker = world.ask("a.evil.com. A");
    while world.count("10.0.1.1 www.example.com. A") == 0 {
        world.run_for(millis(1));
    }
    let victims = [world.ask("www.example.com. A"), world.ask_unvalidated("www.example.com. A")];
    world.run();
    assert_eq!(world.outcome(attacker), "SERVFAIL WorkLimit");
    for victim in victims {
        assert!(world.outcome(victim).starts_with("NOERROR"), "{}", world.outcome(victim));
    }
    assert!(world.mesh.is_empty());
}

#[test]
fn bogus_data_is_asked_for_once_more_and_given_under_cd_only() {
    for (restarts, fetches) in [(5, 2), (1, 2), (0, 1)] {
        let config = Config { val_max_restart: restarts, ..anchored() };
        let mut world =
            World::new(config, &[WWW, ("10.0.2.1", "*. DNSKEY", "AA; an example.com. DNSKEY x")]);
        let strict = world.ask("www.example.com. A");
        let lax = world.ask_unvalidated("www.example.com. A");
        world.run();
        assert_eq!(world.outcome(strict), "NOERROR Bogus", "{restarts}");
        assert_eq!(world.outcome(lax), "NOERROR Indeterminate", "{restarts}");
        assert_eq!(world.count("10.0.2.1 www.example.com. A"), fetches, "{restarts}");
        assert!(world.mesh.is_empty());
    }
}

#[test]
fn with_and_without_cd_share_one_exchange() {
    let mut world = World::new(unvalidated(), &[WWW]);
    let clients = [world.ask("www.example.com. A"), world.ask_unvalidated("www.example.com. A")];
    world.run();
    for client in clients {
        assert_eq!(world.rcode(client), Rcode::NOERROR);
    }
    assert_eq!(world.count("10.0.2.1"), 1);
}

#[test]
fn what_is_refreshed_does_not_join_and_does_not_believe_the_cache() {
    let mut world = World::new(unvalidated(), &[WWW]);
    let plain = world.ask("www.example.com. A");
    world.run_for(millis(5));
    let refresh = Query { refresh: true, ..world.query("www.example.com. A") };
    let refreshed = world.send(refresh);
    world.run();
    assert_eq!(world.outcome(plain), "NOERROR Insecure");
    assert_eq!(world.outcome(refreshed), "NOERROR Insecure");
    assert_eq!(world.count("10.0.2.1 www.example.com. A"), 2);
    let refresh = Query { refresh: true, ..world.query("www.example.com. A") };
    world.send(refresh);
    world.run();
    assert_eq!(world.count("10.0.2.1 www.example.com. A"), 3);
}

#[test]
fn no_more_exchanges_at_once_than_configured() {
    let config = Config { outgoing_range: 1, ..unvalidated() };
    let mut world = World::new(
        config,
        &[
            WWW,
            ("10.0.2.1", "a.example.com. A", "AA; an a.example.com. A 192.0.2.2"),
            // It waits for its turn before its own time begins, so it is not blamed.
            ("10.0.2.1", "b.example.com. A", "AA; an b.example.com. A 192.0.2.3"),
        ],
    );
    let clients: Vec<_> = ["www.example.com. A", "a.example.com. A", "b.example.com. A"]
        .into_iter()
        .map(|question| world.ask(question))
        .collect();
    world.run();
    for client in clients {
        assert_eq!(world.outcome(client), "NOERROR Insecure");
    }
    assert_eq!(world.most_open, 1);
    assert_eq!(world.count("10.0.2.1"), 3, "{:#?}", world.asked);
}

#[test]
fn nothing_is_left_of_questions_that_were_answered() {
    let mut world = World::new(unvalidated(), &[WWW]);
    for _ in 0..1_000 {
        let client = world.ask("www.example.com. A");
        world.run();
        assert_eq!(world.outcome(client), "NOERROR Insecure");
        assert!(world.mesh.timers.len() <= TIMERS_LEFT + 8, "{}", world.mesh.timers.len());
    }
    assert!(world.mesh.is_empty() && world.mesh.clients() == 0);
    assert!(world.mesh.exchanges.is_empty() && world.mesh.held.is_empty());
    assert!(world.mesh.by_key.is_empty() && world.mesh.begun == 0);
}

#[test]
fn what_nobody_needs_any_more_is_given_up() {
    // Two names of servers are looked up at once; the first to be found is enough.
    let mut world = World::new(
        unvalidated(),
        &[
            ("10.0.1.1", "*a.com. *", "au a.com. NS ns1.example.com.; au a.com. NS ns2.b.net."),
            ("10.0.2.1", "ns1.example.com. A", "AA; an ns1.example.com. A 10.0.7.7"),
            ("10.0.1.2", "*b.net. *", "silent"),
            ("10.0.7.7", "www.a.com. A", "AA; an www.a.com. A 192.0.2.9"),
        ],
    );
    let client = world.ask("www.a.com. A");
    world.run_for(millis(1_000));
    assert_eq!(world.outcome(client), "NOERROR Insecure");
    assert!(world.mesh.is_empty() && world.open.is_empty());
}

#[test]
fn a_broken_way_out_is_said_so_and_not_remembered() {
    let mut world = World::new(unvalidated(), &[("10.0.2.1", "*. *", "no-socket")]);
    let client = world.ask("www.example.com. A");
    world.run();
    assert_eq!(world.outcome(client), "SERVFAIL NoSocket");
    world.rule(WWW.0, WWW.1, WWW.2);
    let again = world.ask("www.example.com. A");
    world.run();
    assert_eq!(world.outcome(again), "NOERROR Insecure");
    assert_eq!(world.status(again), SecurityStatus::Insecure);
}
