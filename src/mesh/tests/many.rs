//! More questions than there may be, and what operators see of them.

use super::world::World;
use super::{WWW, millis, unvalidated};
use crate::config::Config;
use crate::mesh::{Query, State};

fn few(most: usize) -> Config {
    Config { num_queries_per_thread: most, ..unvalidated() }
}

/// A server that says nothing about these names.
const SILENT: (&str, &str, &str) = ("10.0.2.1", "*slow.example.com. *", "silent");

#[test]
fn the_second_half_makes_room_after_the_jostle_timeout() {
    let mut world = World::new(few(2), &[SILENT, WWW]);
    let kept = world.ask("a.slow.example.com. A");
    world.run_for(millis(20));
    let other = world.ask("b.slow.example.com. A");
    world.run_for(millis(100));
    let early = world.ask("www.example.com. A");
    assert_eq!(world.dropped, [early], "nobody has waited for longer than 200 ms");
    world.run_for(millis(150));
    let second = world.ask("b.slow.example.com. A");
    let quick = world.ask("www.example.com. A");
    let mut gone = world.dropped.clone();
    gone.sort_by_key(|client| client.0);
    assert_eq!(gone, [other, early, second], "both clients of one question");
    world.run_for(millis(100));
    assert_eq!(world.outcome(quick), "NOERROR Insecure");
    assert!(!world.is_answered(kept), "the first half runs to its end");
    let tally = world.mesh.take_tally();
    assert_eq!((tally.jostled, tally.exceeded), (1, 1));
    world.run();
    assert!(world.outcome(kept).starts_with("SERVFAIL"));
    assert!(world.mesh.is_empty() && world.mesh.questions() == 0);
}

#[test]
fn clients_of_one_question_take_one_place() {
    let mut world = World::new(few(1), &[WWW]);
    let clients: Vec<_> = (0..20).map(|_| world.ask("www.example.com. A")).collect();
    assert_eq!(world.mesh.questions(), 1);
    world.run();
    for client in clients {
        assert_eq!(world.outcome(client), "NOERROR Insecure");
    }
}

#[test]
fn a_refresh_leaves_half_of_the_room_to_others() {
    let mut world = World::new(few(2), &[SILENT, WWW]);
    world.ask("a.slow.example.com. A");
    let refresh = Query { refresh: true, ..world.query("www.example.com. A") };
    let refresh = world.send(refresh);
    assert_eq!(world.dropped, [refresh]);
}

#[test]
fn operators_see_what_is_in_flight_and_can_end_it() {
    let mut world = World::new(unvalidated(), &[SILENT, WWW]);
    let client = world.ask("a.slow.example.com. A");
    world.run_for(millis(60));
    let requests = world.mesh.requests(world.now.mono);
    let shown: Vec<_> = requests
        .iter()
        .map(|request| format!("{} {}", request.question.name, request.state))
        .collect();
    assert_eq!(shown, ["a.slow.example.com. iterator wait for 10.0.2.1"]);
    assert_eq!(requests[0].age, Some(millis(60)));
    assert!(matches!(requests[0].state, State::Servers(_)));
    assert!(world.mesh.drop_requests() > 0);
    let next = world.ask("www.example.com. A");
    assert_eq!(world.dropped, [client]);
    world.run();
    assert_eq!(world.outcome(next), "NOERROR Insecure");
    assert!(world.mesh.is_empty() && world.open.is_empty());
    assert!(!world.is_answered(client));
}
