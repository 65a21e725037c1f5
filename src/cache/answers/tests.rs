use super::*;
use crate::cache::Cache;
use crate::cache::testing::{Client, a, answer, at, cache, nxdomain, question, signed, soa};
use crate::config::Config;

use SecurityStatus::{Bogus, Indeterminate, Insecure, Secure};

fn www(status: SecurityStatus) -> Answer {
    answer("www.example. A", status, vec![signed(a("www.example.", 300))])
}

fn failure() -> Answer {
    Answer::failure(question("www.example. A"), Reason::NetworkError)
}

fn status(cache: &Cache, text: &str, seconds: u64) -> Option<(Rcode, SecurityStatus)> {
    let found = cache.answer(&question(text), at(seconds))?.value;
    Some((found.rcode, found.status))
}

#[test]
fn an_answer_comes_back_as_it_was_with_its_ttls_counted_down() {
    let cache = cache(|_| {});
    let mut stored = nxdomain("Www.example. A", Secure);
    stored.reason = Some(Reason::Nsec3Iterations);
    cache.store_answer(&stored, at(0));
    let found = cache.answer(&stored.question, at(100)).unwrap();
    assert_eq!(found.expires, at(600).unix);
    stored.authority[0].ttl = 500; // The SOA lives as long as the denial.
    stored.authority[1].ttl = 3_500;
    assert_eq!(found.value, stored);
    assert!(found.value.question.name.eq_case(&stored.question.name));
    assert_eq!(cache.answer(&stored.question, at(600)), None);
}

#[test]
fn what_is_proven_stays_until_it_expires_or_something_proven_comes() {
    #[rustfmt::skip]
    let cases = [
        ("secure, then not validated", Secure,        Indeterminate, 10,  Secure),
        ("secure, then bogus",         Secure,        Bogus,         10,  Secure),
        ("secure, then insecure",      Secure,        Insecure,      10,  Insecure),
        ("insecure, then bogus",       Insecure,      Bogus,         10,  Insecure),
        ("insecure, then secure",      Insecure,      Secure,        10,  Secure),
        ("bogus, then secure",         Bogus,         Secure,        10,  Secure),
        ("not validated, then bogus",  Indeterminate, Bogus,         10,  Bogus),
        ("bogus, then not validated",  Bogus,         Indeterminate, 10,  Bogus),
        ("bogus expired, then not",    Bogus,         Indeterminate, 60,  Indeterminate),
        ("expired, then bogus",        Secure,        Bogus,         300, Bogus),
    ];
    for (case, old, new, seconds, left) in cases {
        let cache = cache(|_| {});
        cache.store_answer(&www(old), at(0));
        cache.store_answer(&www(new), at(seconds));
        let found = status(&cache, "www.example. A", seconds);
        assert_eq!(found, Some((Rcode::NOERROR, left)), "{case}");
    }
}

#[test]
fn a_denial_holds_for_every_type_of_the_name_rfc_2308_section_5() {
    let cache = cache(|_| {});
    cache.store_answer(&nxdomain("x.example. A", Secure), at(0));
    let nx = Some((Rcode::NXDOMAIN, Secure));
    for text in ["x.example. A", "X.example. AAAA", "x.example. ANY"] {
        assert_eq!(status(&cache, text, 1), nx, "{text}");
        let (message, _) = Client::new(text).ask(&cache, 1).unwrap();
        assert_eq!(message.question, Some(question(text)));
        assert_eq!(message.rcode, Rcode::NXDOMAIN);
    }
    assert_eq!(status(&cache, "y.x.example. A", 1), None, "RFC 8020 is for the caller");
    assert!(cache.denial(&question("x.example. A").name, at(1)).is_some());

    // What is not proven does not hide it; what is proven ends it.
    let text = answer("x.example. A", Bogus, vec![a("x.example.", 300)]);
    cache.store_answer(&text, at(1));
    assert_eq!(status(&cache, "x.example. A", 1), nx);
    cache.store_answer(&Answer { status: Secure, ..text }, at(1));
    assert_eq!(status(&cache, "x.example. A", 1), Some((Rcode::NOERROR, Secure)));
    assert_eq!(status(&cache, "x.example. AAAA", 1), None);
}

#[test]
fn nodata_holds_for_its_type_only() {
    let cache = cache(|_| {});
    let mut nodata = answer("www.example. AAAA", Secure, Vec::new());
    nodata.authority = vec![soa("example.", 300, 300)];
    cache.store_answer(&nodata, at(0));
    assert_eq!(status(&cache, "www.example. AAAA", 0), Some((Rcode::NOERROR, Secure)));
    assert_eq!(status(&cache, "www.example. A", 0), None);
}

#[test]
fn failures_in_a_row_last_longer_and_a_success_ends_the_row() {
    let cache = cache(|_| {});
    let left = |seconds| {
        let found = cache.failure(&question("www.example. A"), at(seconds))?;
        Some(at(seconds).unix.until(found.expires))
    };
    let mut now = 0;
    for expected in [5, 10, 20, 40, 60, 60] {
        cache.store_answer(&failure(), at(now));
        assert_eq!(left(now), Some(expected), "RFC 9520 §3.2");
        now += u64::from(expected);
        assert_eq!(left(now), None);
    }
    cache.store_answer(&failure(), at(now));
    cache.store_answer(&failure(), at(now + 1));
    assert_eq!(left(now + 1), Some(59), "nobody tried again in between");
    cache.store_answer(&www(Insecure), at(now));
    assert_eq!(left(now), None);
    cache.store_answer(&failure(), at(now + 1));
    assert_eq!(left(now + 1), Some(5));
    cache.store_answer(&failure(), at(now + 200));
    assert_eq!(left(now + 200), Some(5), "long ago is not in a row");
}

#[test]
fn a_failure_leaves_alone_what_is_known() {
    let cache = cache(|_| {});
    cache.store_answer(&www(Secure), at(0));
    cache.store_answer(&failure(), at(299));
    assert_eq!(status(&cache, "www.example. A", 299), Some((Rcode::NOERROR, Secure)));
    assert_eq!(Client::new("www.example. A").ask(&cache, 299).unwrap().0.rcode, Rcode::NOERROR);
    let (message, hit) = Client::new("www.example. A").ask(&cache, 300).unwrap();
    assert_eq!((message.rcode, hit.expired), (Rcode::SERVFAIL, false));
}

#[test]
fn clients_without_cd_learn_of_failures_behind_data_nobody_validated() {
    let cache = cache(|_| {});
    cache.store_answer(&www(Indeterminate), at(0));
    cache.store_answer(&failure(), at(0));
    let rcode = |client: Client| client.ask(&cache, 1).map(|(message, _)| message.rcode);
    assert_eq!(rcode(Client::new("www.example. A")), Some(Rcode::SERVFAIL));
    assert_eq!(rcode(Client::new("www.example. A").with_cd()), Some(Rcode::NOERROR));
}

#[test]
fn expired_answers_are_served_as_rfc_8767_says() {
    let serve = |config: &mut Config| {
        config.serve_expired = true;
        config.serve_expired_ttl = 1_000;
    };
    let client = Client::new("www.example. A").with_ad();
    let cache_of = |status, change: &dyn Fn(&mut Config)| {
        let cache = cache(change);
        cache.store_answer(&www(status), at(0));
        cache
    };

    let cache = cache_of(Secure, &serve);
    assert!(client.ask(&cache, 300).is_none(), "first somebody has to try");
    let (message, hit) = client.ask_stale(&cache, 300).unwrap();
    assert!(hit.expired && hit.ttl_left == 0 && !message.header.ad());
    assert_eq!((message.rcode, message.answer[0].ttl), (Rcode::NOERROR, 30), "§4");
    assert!(client.ask_stale(&cache, 1_299).is_some());
    assert!(client.ask_stale(&cache, 1_300).is_none(), "serve-expired-ttl");
    let (_, hit) = client.ask_stale(&cache, 10).unwrap();
    assert!(!hit.expired && !hit.refresh_due, "what is fresh comes as it is");
    assert!(client.ask_stale(&cache, 399).unwrap().1.refresh_due);
    cache.store_answer(&failure(), at(400));
    let (_, hit) = client.ask(&cache, 401).unwrap();
    assert!(hit.expired && !hit.refresh_due, "§5: the refresh has failed");
    assert!(client.ask_stale(&cache, 405).unwrap().1.refresh_due, "RFC 9520: 5 s later");
    assert_eq!(
        cache.answer(&question("www.example. A"), at(401)).unwrap().value.reason,
        failure().reason
    );

    // What may not be kept at all says that the old is not true any more.
    let cache = cache_of(Secure, &serve);
    cache.store_answer(&answer("www.example. A", Secure, vec![a("www.example.", 0)]), at(400));
    assert!(client.ask_stale(&cache, 401).is_none());

    // A response that nobody could validate does not cost us the expired answer.
    let cache = cache_of(Secure, &serve);
    cache.store_answer(&www(Indeterminate), at(400));
    cache.store_answer(&failure(), at(400));
    assert!(client.ask(&cache, 401).unwrap().1.expired);
    assert!(!client.clone().with_cd().ask(&cache, 401).unwrap().1.expired);
    // Neither does one that is bogus, however often.
    for seconds in [400, 405, 420] {
        cache.store_answer(&www(Bogus), at(seconds));
        assert!(client.ask(&cache, seconds).unwrap().1.expired);
    }

    for (case, status, on) in
        [("off", Secure, false), ("bogus", Bogus, true), ("not validated", Indeterminate, true)]
    {
        let cache = cache_of(status, &|config| {
            if on {
                serve(config)
            }
        });
        assert!(client.clone().with_cd().ask_stale(&cache, 301).is_none(), "{case}");
    }

    for (reset, left) in [(false, false), (true, true)] {
        let cache = cache_of(Insecure, &|config| {
            serve(config);
            config.serve_expired_ttl_reset = reset;
        });
        cache.store_answer(&failure(), at(1_200));
        assert_eq!(
            client.ask_stale(&cache, 2_000).is_some(),
            left,
            "serve-expired-ttl-reset {reset}"
        );
    }
}

#[test]
fn what_must_not_be_kept_is_not() {
    let chaos = |mut answer: Answer| {
        answer.question.class = Class::CH;
        answer
    };
    let cases = [
        ("TTL 0", answer("www.example. A", Secure, vec![a("www.example.", 0)])),
        ("class CH", chaos(www(Insecure))),
        ("meta type", answer("www.example. AXFR", Insecure, vec![a("www.example.", 9)])),
    ];
    for (case, stored) in cases {
        let cache = cache(|_| {});
        cache.store_answer(&stored, at(0));
        assert_eq!(cache.usage().answers.entries, 0, "{case}");
        assert_eq!(cache.answer(&stored.question, at(0)), None, "{case}");
    }
}

#[test]
fn removing_forgets_answer_denial_and_failure() {
    let cache = cache(|_| {});
    for stored in [www(Secure), nxdomain("www.example. A", Secure), failure()] {
        cache.store_answer(&stored, at(0));
        assert!(cache.answer(&stored.question, at(0)).is_some());
        cache.remove_answer(&stored.question);
        assert_eq!(cache.answer(&stored.question, at(0)), None);
    }
}
