//! Commands as `unbound-control` sends them, and their answers byte for byte.

use std::os::fd::AsRawFd;
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
view:
    name: inner
    view-first: yes
";

/// Puts configurations into force as the daemon does.
struct Fake {
    config: Arc<ArcSwap<Config>>,
    policy: ArcSwap<Policy>,
}

impl Running for Fake {
    fn policy(&self) -> Arc<Policy> {
        self.policy.load_full()
    }

    fn put(&self, config: Config) {
        self.policy.store(Arc::new(Policy::new(&config, "")));
        self.config.store(Arc::new(config));
    }
}

fn control() -> (Arc<Control>, mpsc::UnboundedReceiver<Order>) {
    let loaded = config::load_text(Path::new("/test.conf"), CONF).unwrap();
    let (orders, received) = mpsc::unbounded_channel();
    let config = Arc::new(ArcSwap::from_pointee(loaded.config));
    let policy = ArcSwap::from_pointee(Policy::new(&config.load(), ""));
    let control = Control {
        cache: Arc::new(Cache::new(&config.load(), &mut Rng::seed_from_u64(1))),
        running: Arc::new(Fake { config: Arc::clone(&config), policy }),
        config,
        settings: ArcSwap::from_pointee(loaded.settings),
        metrics: Arc::new(Metrics::new(2)),
        started: Mono::ZERO,
        orders,
        workers: Vec::new(),
    };
    (Arc::new(control), received)
}

/// Sends pieces of a command over a socket; what comes back until the end.
async fn exchange(control: &Arc<Control>, pieces: &[&str]) -> String {
    let (client, server) = UnixStream::pair().unwrap();
    let control = Arc::clone(control);
    let served = tokio::spawn(async move { converse(&server, &control).await });
    for piece in pieces {
        // One that is not spoken to any more need not hear the rest.
        let _ = write(&client, piece).await;
        tokio::task::yield_now().await;
    }
    nix::sys::socket::shutdown(client.as_raw_fd(), nix::sys::socket::Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        client.readable().await.unwrap();
        match client.try_read(&mut buffer) {
            Ok(0) => {
                served.await.unwrap().unwrap();
                return String::from_utf8(answer).unwrap();
            }
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
        ("verbosity x",            "error in verbosity number syntax: 'x', expected 0 to 5\n"),
        ("flush",                  "error: this option requires a domain name\n"),
        ("flush www.example",      "ok\n"),
        ("flush_type www.example A", "ok\n"),
        ("flush_type www.example", "error command flush_type needs NAME TYPE, have 'www.example'\n"),
        ("flush_type www.example WHAT", "error: unknown record type 'WHAT'\n"),
        ("flush_zone a..b",        "error: cannot parse name 'a..b': empty label\n"),
        ("flush_bogus",            "ok removed 0 rrsets, 0 messages and 0 key entries\n"),
        ("flush_negative",         "ok removed 0 rrsets, 0 messages and 0 key entries\n"),
        ("flush_infra all",        "ok\n"),
        ("flush_infra 192.0.2.1",  "ok\n"),
        ("flush_infra what",       "error parsing ip addr: 'what', expected one or 'all'\n"),
        ("auth_zone_reload no.",   "error no auth-zone no.\n"),
        ("rpz_enable",             "error: this option requires a domain name\n"),
        ("ratelimit_list",         ""),
        ("ratelimit_list x",       "error: unknown argument 'x', expected +a\n"),
        ("flush_stats",            "ok\n"),
        ("log_reopen",             "ok\n"),
        ("list_forwards",          "forward.example. IN forward +i 192.0.2.1 192.0.2.2@5353\n"),
                ("list_auth_zones",        ""),
    ];
    for (command, want) in cases {
        assert_eq!(ask(&control, command).await, want, "{command}");
    }
    let stubs = ask(&control, "list_stubs").await;
    assert!(stubs.starts_with(". IN stub prime "), "{stubs}");
    assert!(stubs.ends_with("\nstub.example. IN stub prime +i 2001:db8::1\n"), "{stubs}");
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
    let long = format!("UBCT1 {}", "x".repeat(40_000));
    assert_eq!(
        exchange(&control, &[&long]).await,
        "error command line too long: a line is longer than 16384 octets\n"
    );
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

#[tokio::test]
async fn changes_are_in_force_at_once() {
    let (control, _orders) = control();
    #[rustfmt::skip]
    let cases = [
        ("forward", "off (using root hints)\n"),
        ("forward 192.0.2.1 192.0.2.2@5353", "ok\n"),
        ("forward", "192.0.2.1 192.0.2.2@5353\n"),
        ("forward off", "ok\n"),
        ("forward", "off (using root hints)\n"),
        ("forward 192.0.2.1 a..b", "error: 'a..b': expected an IPv4 or IPv6 address, with @PORT and #NAME or without\n"),
        ("forward_add +i new.example 192.0.2.1 ns.example", "ok\n"),
        ("forward_add new.example", "error command forward_add needs [+it] ZONE ADDRESS..., have 'new.example'\n"),
        ("forward_add +z new.example 192.0.2.1", "error: unknown option z, expected some of +it\n"),
        ("list_forwards", "forward.example. IN forward +i 192.0.2.1 192.0.2.2@5353\nnew.example. IN forward +i ns.example. 192.0.2.1\n"),
        ("forward_remove +i new.example", "ok\n"),
        ("forward_remove nothere.example", "ok\n"),
        ("list_forwards", "forward.example. IN forward +i 192.0.2.1 192.0.2.2@5353\n"),
        ("stub_remove stub.example", "ok\n"),
        ("stub_add +p new.example 2001:db8::2", "ok\n"),
        ("insecure_add a..b", "error: cannot parse name 'a..b': empty label\n"),
        ("insecure_remove forward.example", "ok\n"),
        ("insecure_remove stub.example", "ok\n"),
        ("insecure_add x.example", "ok\n"),
        ("list_insecure", "insecure.example.\nx.example.\n"),
        ("set_option val-bogus-ttl: 7", "ok\n"),
        ("set_option identity: \"a b\"", "ok\n"),
        ("get_option identity", "a b\n"),
        ("get_option val-bogus-ttl", "7\n"),
        ("set_option num-threads: 7", "error setting option 'num-threads': it cannot change while the process runs: edit the file and restart\n"),
        ("set_option prefetch", "error command set_option needs OPTION: VALUE..., have 'prefetch'\n"),
        ("local_zone z.example static", "ok\n"),
        ("local_zone z.example", "error command local_zone needs NAME TYPE, have 'z.example'\n"),
        ("local_zone a b c", "error command local_zone takes NAME TYPE, and 'c' is more than that\n"),
        ("local_data a.z.example 60 IN TXT \"two  blanks\"", "ok\n"),
        ("local_data a.z.example 60 IN TXT \"two  blanks\"", "ok\n"),
        ("local_data a.z.example A 1.2.3", "error parsing local-data 'a.z.example A 1.2.3': expected an IPv4 address in the record, found '1.2.3'\n"),
        ("local_data_remove localhost", "error: the data of 'localhost.' is that of a zone which is always there; configure the zone with local_zone first\n"),
        ("view_list_local_zones v", "error no view with name: v\n"),
        ("view_local_data inner a.v.example A 192.0.2.1", "ok\n"),
        ("view_list_local_data inner", "a.v.example.\t3600\tIN\tA\t192.0.2.1\n\n"),
        ("view_local_zone inner v.example refuse", "ok\n"),
        ("view_list_local_zones inner", "v.example. refuse\n"),
        ("view_local_zone_remove inner v.example", "ok\n"),
        ("view_list_local_data inner", ""),
    ];
    for (command, want) in cases {
        assert_eq!(ask(&control, command).await, want, "{command}");
    }
    assert_eq!(control.config.load().val_bogus_ttl, 7);
    let data = ask(&control, "list_local_data").await;
    assert_eq!(data.matches("a.z.example.\t60\tIN\tTXT\t\"two  blanks\"\n\n").count(), 1, "{data}");
    for (command, zone, is_there) in [
        ("local_zone_remove z.example", "z.example. static\n", false),
        ("local_zone_remove 10.in-addr.arpa", "10.in-addr.arpa. static\n", false),
        ("local_zone 10.in-addr.arpa transparent", "10.in-addr.arpa. transparent\n", true),
    ] {
        assert_eq!(ask(&control, command).await, "ok\n", "{command}");
        assert_eq!(ask(&control, "list_local_zones").await.contains(zone), is_there, "{command}");
    }
    assert!(!ask(&control, "list_local_data").await.contains("a.z.example."), "it went along");
}

#[tokio::test]
async fn items_come_behind_the_command() {
    let (control, _orders) = control();
    #[rustfmt::skip]
    let cases = [
        ("local_zones\nz1. static\nz2. refuse\n\u{4}\n", "added 2 zones\n"),
        ("local_zones\nz1. static\nz2. foo\nz3.\n\u{4}\n",
            "error not a zone type. foo; expected deny,"),
        ("local_datas\na.z1. A 192.0.2.1\nb.z1. 30 A 192.0.2.2\n\u{4}\n", "added 2 datas\n"),
        // The end of the stream is an end, too.
        ("local_datas\na.z1. A 192.0.2.1", "added 1 datas\n"),
        ("local_datas_remove\na.z1.\nnothere.\n\u{4}\n", "removed 2 datas\n"),
        ("local_zones_remove\nz2.\nbad..\n\u{4}\n",
            "error: cannot parse name 'bad..': empty label\nerror for input line: bad..\nremoved 1 zones\n"),
        ("local_zones x\nz4. static\n\u{4}\n", "error command local_zones takes no arguments, have 'x'\n"),
        ("view_local_datas inner\nc.v. A 192.0.2.1\n\u{4}\n", "added 1 datas\n"),
        ("view_local_datas v\nc.v. A 192.0.2.1\n\u{4}\n", "error no view with name: v\n"),
        ("view_local_datas_remove inner\nc.v.\n\u{4}\n", "removed 1 datas\n"),
    ];
    for (sent, want) in cases {
        let answer = exchange(&control, &["UBCT1 ", sent]).await;
        assert!(answer.starts_with(want), "{sent}: {answer}");
    }
    let zones = ask(&control, "list_local_zones").await;
    assert!(zones.contains("z1. static\n") && !zones.contains("z2.") && !zones.contains("z4."));
    let data = ask(&control, "list_local_data").await;
    assert!(data.contains("b.z1.\t30\tIN\tA\t192.0.2.2\n") && !data.contains("a.z1."));
}

#[tokio::test]
async fn a_hundred_thousand_items_are_one_change() {
    let (control, _orders) = control();
    let mut sent = String::from("UBCT1 local_datas\n");
    for index in 0..100_000 {
        sent.push_str(&format!("n{index}.blocked.example A 192.0.2.1\n"));
    }
    sent.push_str("\u{4}\n");
    let (client, server) = UnixStream::pair().unwrap();
    let served = tokio::spawn({
        let control = Arc::clone(&control);
        async move { converse(&server, &control).await }
    });
    write(&client, &sent).await.unwrap();
    served.await.unwrap().unwrap();
    assert_eq!(control.config.load().local_data.len(), 100_000);
}

#[tokio::test]
async fn a_dump_can_be_loaded_by_whoever_reads_it() {
    let (from, _orders) = control();
    // What Unbound 1.26 and 1.17 write; references to what is not there are passed over.
    let unbound = "\
START_RRSET_CACHE
;rrset 900 1 0 5 0
www.load.example.\t900\tIN\tA\t198.51.100.7
;rrset nsec_apex 800 1 1 11 5
load.example.\t800\tIN\tNSEC\twww.load.example. SOA RRSIG NSEC
load.example.\t800\tIN\tRRSIG\tNSEC 8 2 900 20990101000000 20200101000000 1 load.example. AAAA
;rrset 800 1 1 11 5
load.example.\t800\tIN\tSOA\tns. root. 1 3600 600 86400 900
load.example.\t800\tIN\tRRSIG\tSOA 8 2 900 20990101000000 20200101000000 1 load.example. AAAA
;rrset 800 1 0 11 5
unsigned.example.\t800\tIN\tA\t198.51.100.8
END_RRSET_CACHE
START_MSG_CACHE
msg www.load.example. IN A 33152 1 900 3 1 0 0
www.load.example. IN A 0
msg x.load.example. IN A 33155 1 800 5 0 2 0 -1 
load.example. IN SOA 4
load.example. IN NSEC 1
msg gone.example. IN A 33152 1 900 3 1 0 0 -1 
gone.example. IN A 0
msg failed.example. IN A 33154 1 900 0 0 0 0 -1 
END_MSG_CACHE
EOF
";
    let answer = exchange(&from, &["UBCT1 load_cache\n", unbound]).await;
    assert_eq!(answer, "ok\n");
    let now = Now::system();
    let found = |control: &Control, name: &str, rtype| {
        let question = Question::new(name.parse().unwrap(), rtype);
        control.cache.answer(&question, now).map(|found| (found.value.rcode, found.value.status))
    };
    let nx = found(&from, "x.load.example.", RecordType::AAAA);
    assert_eq!(nx, Some((Rcode::NXDOMAIN, SecurityStatus::Secure)));
    assert_eq!(found(&from, "gone.example.", RecordType::A), None);
    assert_eq!(found(&from, "failed.example.", RecordType::A), None);
    let unsigned = from.cache.rrset(&"unsigned.example.".parse().unwrap(), RecordType::A, now);
    assert_eq!(unsigned.unwrap().status, SecurityStatus::Indeterminate, "nothing proves it");

    let dumped = ask(&from, "dump_cache").await;
    let (to, _orders) = control();
    assert_eq!(exchange(&to, &["UBCT1 load_cache\n", &dumped]).await, "ok\n", "{dumped}");
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let again = ask(&to, "dump_cache").await;
    // A second may pass between the two.
    assert_eq!(sorted(&again).len(), sorted(&dumped).len(), "{dumped}\n{again}");
    assert!(dumped.contains(" nsec_apex ") && dumped.contains("load.example. IN NSEC 1\n"));

    for (sent, want) in [
        (
            "garbage",
            "error in line 1 of the cache: expected 'START_RRSET_CACHE', found 'garbage'\n",
        ),
        ("START_RRSET_CACHE", "error in line 1 of the cache: the file ends before EOF\n"),
        (
            "START_RRSET_CACHE\n;rrset x",
            "error in line 2 of the cache: TTL is not a number in its range: 'x'\n",
        ),
        (
            "START_RRSET_CACHE\n;rrset 1 1 0 5 0\nx. A 1",
            "error in line 3 of the cache: expected an IPv4 address in the record, found '1'\n",
        ),
    ] {
        assert_eq!(exchange(&to, &["UBCT1 load_cache\n", sent]).await, want, "{sent}");
    }
    let shown = ask(&from, "cache_lookup www.load.example").await;
    assert!(shown.contains("198.51.100.7") && shown.contains("msg www.load.example. IN A 33152"));
    assert!(ask(&from, "cache_lookup example").await.starts_with("error"), "a top level domain");
    assert!(ask(&from, "cache_lookup +t example").await.contains("unsigned.example."));
}

#[tokio::test]
async fn servers_are_told_about() {
    let (control, _orders) = control();
    let now = Now::system();
    let server = "192.0.2.1:53".parse().unwrap();
    control.cache.update_infra(server, &"forward.example.".parse().unwrap(), now, |server| {
        server.replied(Duration::from_millis(100));
        server.found_edns();
    });
    let infra = ask(&control, "dump_infra").await;
    assert!(infra.starts_with("192.0.2.1 forward.example. ttl "), "{infra}");
    assert!(infra.contains(" ping 100 var 50 rtt 300 rto 300 tA 0 tAAAA 0 tother 0 ednsknown 1 edns 0 delay 0 lame dnssec 0 rec 0 A 0 other 0\n"), "{infra}");
    let lookup = ask(&control, "lookup www.forward.example").await;
    let lines: Vec<_> = lookup.lines().collect();
    assert_eq!(lines[0], "The following name servers are used for lookup of www.forward.example.");
    assert_eq!(lines[1], "forwarding request:");
    assert_eq!(lines[3], "It provides 2 IP addresses.");
    assert!(lines[4].starts_with("192.0.2.1       \trto 300 msec, ttl "), "{lookup}");
    assert_eq!(lines[5], "192.0.2.2@5353  \tnot in infra cache.");
    assert!(ask(&control, "lookup example.org").await.ends_with("goes to configured roots\n"));
}

#[tokio::test]
async fn workers_tell_what_is_in_flight_and_one_that_does_not_is_named() {
    use crate::engine::{Inquiry, Request, State};

    let (control, _orders) = control();
    let mut control = Arc::into_inner(control).unwrap();
    let (worker, mut inquiries) = mpsc::channel(1);
    let (gone, _) = mpsc::channel(1);
    control.workers = vec![worker, gone];
    let control = Arc::new(control);
    let request = |age, state| {
        let question = Question::new("www.example.".parse().unwrap(), RecordType::A);
        Request { question, age, state }
    };
    let tells = async {
        let Some(Inquiry::Requests(reply)) = inquiries.recv().await else { panic!() };
        let needs = Question::new("example.".parse().unwrap(), RecordType::DS);
        reply
            .send(vec![
                request(None, State::Servers(vec!["192.0.2.1:53".parse().unwrap()])),
                request(Some(Duration::from_millis(1_250)), State::Validator(vec![needs])),
            ])
            .unwrap();
    };
    let (text, ()) = tokio::join!(ask(&control, "dump_requestlist"), tells);
    let head = "#   type cl name    seconds    module status\n";
    assert_eq!(
        text,
        format!(
            "thread #0\n{head}  0    A IN www.example. - iterator wait for 192.0.2.1\n  \
             1    A IN www.example. 1.250000 validator wants DS IN example.\n\
             thread #1\n{head}error thread 1 does not answer\n"
        )
    );
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(200))]

    /// Whatever comes over the socket, the conversation ends by itself when the client has said
    /// all it wants to.
    #[test]
    fn no_octets_make_it_panic_or_hang(
        magic in proptest::prelude::any::<bool>(),
        command in proptest::option::of(0..COMMANDS.len()),
        octets in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..600),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (control, mut orders) = control();
            tokio::spawn(async move {
                while let Some(order) = orders.recv().await {
                    if let Order::Reload { done, .. } = order {
                        let _ = done.send(true);
                    }
                }
            });
            let (client, server) = UnixStream::pair().unwrap();
            let served = tokio::spawn(async move { converse(&server, &control).await });
            let mut sent = if magic { b"UBCT1 ".to_vec() } else { Vec::new() };
            sent.extend(command.map(|index| COMMANDS[index].name.as_bytes()).unwrap_or_default());
            sent.extend(octets);
            let _ = client.try_write(&sent);
            nix::sys::socket::shutdown(client.as_raw_fd(), nix::sys::socket::Shutdown::Write).unwrap();
            let ended = timeout(Duration::from_secs(30), served).await;
            // An error of the socket is an end like any other.
            let _ = ended.expect("it hangs").expect("it panicked");
        });
    }
}
