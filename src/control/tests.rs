//! Commands as `unbound-control` sends them, and their answers byte for byte.

use std::path::Path;

use rand::SeedableRng;

use super::*;
use crate::cache::Answer;
use crate::clock::{Now, Rng};
use crate::config;
use crate::metrics::Stat;
use crate::status::{Reason, SecurityStatus};
use crate::wire::{Question, Rcode, Rdata, RecordType, Rrset};

const CONF: &str = "
server:
    verbosity: 1
    extended-statistics: yes
    domain-insecure: insecure.example
    local-zone: blocked.example always_nxdomain
    module-config: \"validator iterator\"
    trust-anchor-file: \"\"
forward-zone:
    name: forward.example
    forward-addr: 192.0.2.1
    forward-addr: 192.0.2.2@5353
stub-zone:
    name: stub.example
    stub-addr: 2001:db8::1
    stub-prime: yes
";

fn control() -> (Arc<Control>, mpsc::UnboundedReceiver<Order>) {
    let loaded = config::load_text(Path::new("/test.conf"), CONF).unwrap();
    let (orders, received) = mpsc::unbounded_channel();
    let control = Control {
        cache: Arc::new(Cache::new(&loaded.config, &mut Rng::seed_from_u64(1))),
        config: Arc::new(ArcSwap::from_pointee(loaded.config)),
        settings: ArcSwap::from_pointee(loaded.settings),
        metrics: Arc::new(Metrics::new(2)),
        started: Mono::ZERO,
        orders,
    };
    (Arc::new(control), received)
}

/// Sends pieces of a command over a socket; what comes back until the end.
async fn exchange(control: &Arc<Control>, pieces: &[&str]) -> String {
    let (client, server) = UnixStream::pair().unwrap();
    let control = Arc::clone(control);
    let served = tokio::spawn(async move { converse(&server, &control).await });
    for piece in pieces {
        write(&client, piece).await.unwrap();
        tokio::task::yield_now().await;
    }
    served.await.unwrap().unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        client.readable().await.unwrap();
        match client.try_read(&mut buffer) {
            Ok(0) => return String::from_utf8(answer).unwrap(),
            Ok(len) => answer.extend_from_slice(&buffer[..len]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
    }
}

async fn ask(control: &Arc<Control>, command: &str) -> String {
    exchange(control, &["UBCT1 ", &format!(" {command}"), "\n"]).await
}

#[tokio::test]
async fn answers_are_those_of_unbound() {
    let (control, _orders) = control();
    #[rustfmt::skip]
    let cases = [
        ("nosuch",                 "error unknown command 'nosuch'\n"),
        ("Status",                 "error unknown command 'Status'\n"),
        ("",                       "error empty command\n"),
        ("status x",               "error command status takes no arguments, have 'x'\n"),
        ("get_option verbosity",   "1\n"),
        ("get_option nosuch",      "error unknown option\n"),
        ("get_option domain-insecure:", "insecure.example\n"),
        ("verbosity x",            "error in verbosity number syntax: expected 0 to 5\n"),
        ("flush",                  "error: this option requires a domain name\n"),
        ("flush www.example",      "ok\n"),
        ("flush_type www.example A", "ok\n"),
        ("flush_type www.example", "error: expected a record type\n"),
        ("flush_type www.example WHAT", "error: unknown record type 'WHAT'\n"),
        ("flush_zone a..b",        "error: cannot parse name 'a..b': empty label\n"),
        ("flush_bogus",            "ok removed 0 rrsets, 0 messages and 0 key entries\n"),
        ("flush_negative",         "ok removed 0 rrsets, 0 messages and 0 key entries\n"),
        ("flush_infra all",        "ok\n"),
        ("flush_infra 192.0.2.1",  "ok\n"),
        ("flush_infra what",       "error in syntax of IP address 'what'\n"),
        ("flush_stats",            "ok\n"),
        ("log_reopen",             "ok\n"),
        ("list_forwards",          "forward.example. IN forward 192.0.2.1 192.0.2.2@5353\n"),
        ("list_stubs",             "stub.example. IN stub prime 2001:db8::1\n"),
        ("list_auth_zones",        ""),
    ];
    for (command, want) in cases {
        assert_eq!(ask(&control, command).await, want, "{command}");
    }
    assert!(ask(&control, "list_insecure").await.contains("insecure.example.\n"));
    let zones = ask(&control, "list_local_zones").await;
    for line in ["10.in-addr.arpa. static\n", "blocked.example. always_nxdomain\n"] {
        assert!(zones.contains(line), "{line} in {zones}");
    }
    let status = ask(&control, "status").await;
    let lines: Vec<_> = status.lines().collect();
    assert_eq!(lines.len(), 7, "{status}");
    assert!(lines[2] == "threads: 2" && lines[3] == "modules: 2 [ validator iterator ]");
    assert!(lines[6].starts_with("unbound (pid ") && lines[6].ends_with(") is running..."));
}

#[tokio::test]
async fn the_protocol_is_recognized_however_it_is_split() {
    let (control, _orders) = control();
    for pieces in [&["UBCT1 flush_stats\n"][..], &["UB", "CT", "1", "\tflush", "_stats", "\n"]] {
        assert_eq!(exchange(&control, pieces).await, "ok\n", "{pieces:?}");
    }
    assert_eq!(exchange(&control, &["UBCT9 status\n"]).await, "error version mismatch\n");
    assert_eq!(exchange(&control, &["GET / HTTP/1.1\r\n"]).await, "");
    // So long that nothing is left unread: that would reset the connection before the answer.
    let long = format!("UBCT1 {}", "x".repeat(9 * 512 - 6));
    assert_eq!(exchange(&control, &[&long]).await, "error command line too long\n");
}

#[tokio::test]
async fn orders_go_to_whoever_runs_the_process() {
    let (control, mut orders) = control();
    for (command, keep, works) in
        [("reload", false, true), ("reload_keep_cache", true, true), ("reload", false, false)]
    {
        let asking = ask(&control, command);
        let (answer, ()) = tokio::join!(asking, async {
            let Some(Order::Reload { keep_cache, done }) = orders.recv().await else { panic!() };
            assert_eq!(keep_cache, keep);
            done.send(works).unwrap();
        });
        assert_eq!(answer.starts_with("ok\n"), works, "{answer}");
        assert_eq!(answer.starts_with("error"), !works, "{answer}");
    }
    assert_eq!(ask(&control, "stop").await, "ok\n");
    assert!(matches!(orders.recv().await, Some(Order::Stop)));
    drop(orders);
    assert!(ask(&control, "reload").await.starts_with("error"));
}

#[tokio::test]
async fn flushing_says_what_is_gone() {
    let (control, _orders) = control();
    let now = Now::system();
    let question = |name: &str| Question::new(name.parse().unwrap(), RecordType::A);
    let rdata = vec![Rdata::from_bytes([192, 0, 2, 1])];
    let rrset = Rrset::new("www.example.".parse().unwrap(), RecordType::A, 300, rdata);
    let mut answer = Answer::empty(question("www.example."), Rcode::NOERROR);
    answer.answer.push(rrset);
    answer.status = SecurityStatus::Insecure;
    control.cache.store_answer(&answer, now);
    let bogus = Answer { status: SecurityStatus::Bogus, ..answer.clone() };
    let bogus = Answer { question: question("bogus.example."), ..bogus };
    control.cache.store_answer(&bogus, now);
    let failure = Answer::failure(question("gone.example."), Reason::NetworkError);
    control.cache.store_answer(&failure, now);
    for (command, messages) in
        [("flush_bogus", 1), ("flush_negative", 1), ("flush_zone example", 1)]
    {
        let want = format!("ok removed 0 rrsets, {messages} messages and 0 key entries\n");
        assert_eq!(ask(&control, command).await, want, "{command}");
    }
    assert!(control.cache.answer(&answer.question, now).is_none());
}

#[tokio::test]
async fn statistics_have_the_names_and_the_order_exporters_know() {
    let (control, _orders) = control();
    let counters = control.metrics.worker(1);
    counters.add(Stat::Queries);
    counters.query_type(RecordType::AAAA);
    counters.answer(Rcode::NXDOMAIN);
    counters.recursion(Duration::from_millis(1));
    let names = [
        "num.queries",
        "num.queries_ip_ratelimited",
        "num.queries_cookie_valid",
        "num.queries_cookie_client",
        "num.queries_cookie_invalid",
        "num.queries_discard_timeout",
        "num.queries_replyaddr_limit",
        "num.queries_wait_limit",
        "num.cachehits",
        "num.cachemiss",
        "num.prefetch",
        "num.queries_timed_out",
        "query.queue_time_us.max",
        "num.expired",
        "num.recursivereplies",
        "num.dns_error_reports",
        "requestlist.avg",
        "requestlist.max",
        "requestlist.overwritten",
        "requestlist.exceeded",
        "requestlist.current.all",
        "requestlist.current.user",
        "requestlist.current.replies",
        "recursion.time.avg",
        "recursion.time.median",
        "tcpusage",
    ];
    let text = ask(&control, "stats_noreset").await;
    let mut lines = text.lines();
    for prefix in ["thread0", "thread1", "total"] {
        for name in names {
            let line = lines.next().unwrap();
            assert_eq!(line.split('=').next().unwrap(), format!("{prefix}.{name}"));
        }
    }
    for name in ["time.now", "time.up", "time.elapsed"] {
        assert!(lines.next().unwrap().starts_with(name));
    }
    for line in [
        "thread0.num.queries=0",
        "total.num.queries=1",
        "total.recursion.time.avg=0.001000",
        "histogram.000000.000512.to.000000.001024=1",
        "num.query.type.AAAA=1",
        "num.answer.rcode.NXDOMAIN=1",
        "msg.cache.count=0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
    assert!(ask(&control, "stats").await.contains("total.num.queries=1\n"));
    assert!(ask(&control, "stats").await.contains("total.num.queries=0\n"), "it was reset");
}

#[test]
fn the_log_gets_the_lines_unbound_writes() {
    let metrics = Metrics::new(1);
    let counters = metrics.worker(0);
    counters.add(Stat::Queries);
    counters.add(Stat::CacheMisses);
    counters.list_length(3);
    counters.recursion(Duration::from_millis(2));
    assert_eq!(
        stats::summary(&metrics.totals()),
        [
            "server stats for thread 0: 1 queries, 0 answers from cache, 1 recursions, 0 prefetch, \
             0 rejected by ip ratelimiting",
            "server stats for thread 0: requestlist max 3 avg 3 exceeded 0 jostled 0",
            "average recursion processing time 0.002000 sec",
        ]
    );
}
