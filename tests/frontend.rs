//! Clients over real sockets on loopback, with a stand-in for the engine.

#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

use std::cell::RefCell;
use std::future::Future;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use arc_swap::ArcSwap;
use prebound::cache::{Answer, Cache};
use prebound::clock::Rng;
use prebound::config::{Config, Ede};
use prebound::engine::zones::Keeper;
use prebound::frontend::{Ask, Resolver, Shared, Worker, tcp, udp};
use prebound::metrics::{Metrics, Stat};
use prebound::policy::{Cookies, Policy};
use prebound::status::{Reason, SecurityStatus};
use prebound::wire::{
    Builder, Class, Edns, EdnsOption, Header, Message, Name, Question, Rcode, Rdata, Record,
    RecordType, Rrset,
};
use rand::SeedableRng;
use tokio::sync::{oneshot, watch};

/// Answers by the first label: `N.…` has N addresses, `fail.…` fails, `wait.…` waits until
/// somebody asks for `go.…`.
#[derive(Clone, Default)]
struct Fake {
    waiting: Rc<RefCell<Vec<oneshot::Sender<()>>>>,
}

impl Resolver for Fake {
    fn resolve(&self, ask: Ask) -> impl Future<Output = Rc<Answer>> + 'static {
        let waiting = Rc::clone(&self.waiting);
        async move {
            let first = ask.question.name.labels().next().unwrap_or_default().to_vec();
            let text = String::from_utf8(first).unwrap().to_lowercase();
            match &*text {
                "fail" => return Rc::new(Answer::failure(ask.question, Reason::NetworkError)),
                "wait" => {
                    let (sender, receiver) = oneshot::channel();
                    waiting.borrow_mut().push(sender);
                    let _ = receiver.await;
                }
                "go" => waiting.take().into_iter().for_each(|sender| sender.send(()).unwrap()),
                _ => {}
            }
            Rc::new(addresses(ask.question, text.parse().unwrap_or(1)))
        }
    }
}

fn addresses(question: Question, count: u16) -> Answer {
    let rdata = (0..count).map(|n| {
        let [high, low] = n.to_be_bytes();
        Rdata::from_ip(Ipv4Addr::new(10, 0, high, low).into())
    });
    let rrset = Rrset::new(question.name.clone(), RecordType::A, 60, rdata.collect());
    let mut answer = Answer::empty(question, Rcode::NOERROR);
    answer.status = SecurityStatus::Secure;
    answer.answer.push(rrset);
    answer
}

/// A worker on a thread of its own, and where to find it.
struct Server {
    udp: SocketAddr,
    tcp: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(config: Config) -> Self {
        Self::bound_to(config, Ipv4Addr::LOCALHOST)
    }

    #[expect(clippy::disallowed_methods, reason = "a test is its own service manager")]
    fn bound_to(config: Config, address: Ipv4Addr) -> Self {
        let udp = UdpSocket::bind((address, 0)).unwrap();
        let tcp = TcpListener::bind((address, 0)).unwrap();
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let addresses = [udp.local_addr().unwrap(), tcp.local_addr().unwrap()];
        let [udp_at, tcp_at] = addresses.map(|address| at(address.port()));
        let shared = Arc::new(Shared {
            policy: ArcSwap::from_pointee(Policy::new(&config, "host")),
            cookies: ArcSwap::from_pointee(Cookies::new(
                &config.cookie_secrets,
                &mut Rng::seed_from_u64(1),
            )),
            cache: Arc::new(Cache::new(&config, &mut Rng::seed_from_u64(1))),
            zones: Arc::default(),
            keeper: Keeper::default(),
            metrics: Arc::new(Metrics::new(1)),
            config: Arc::new(ArcSwap::from_pointee(config)),
        });
        let (stop, stopped) = watch::channel(false);
        let of_worker = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime.unwrap(), async {
                let worker = Worker::new(of_worker, 0, Fake::default());
                let connections = Rc::new(tcp::Connections::default());
                let udp = udp::serve(Rc::clone(&worker), udp, stopped.clone());
                let tcp = tcp::serve(worker, tcp, connections, stopped);
                let (udp, tcp) = tokio::join!(udp, tcp);
                udp.unwrap();
                tcp.unwrap();
            });
        });
        Self { udp: udp_at, tcp: tcp_at, shared, stop, thread: Some(thread) }
    }

    #[expect(clippy::disallowed_methods, reason = "a test is its own service manager")]
    fn client(&self) -> UdpSocket {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.connect(self.udp).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        socket
    }

    #[expect(clippy::disallowed_methods, reason = "a test is a client")]
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.tcp).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    fn count(&self, stat: Stat) -> u64 {
        Metrics::sum(&self.shared.metrics.totals()).get(stat)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        let result = self.thread.take().unwrap().join();
        if !thread::panicking() {
            result.unwrap();
        }
    }
}

fn query(id: u16, name: &str, edns: Option<Edns>) -> Vec<u8> {
    let header = Header { id, ..Header::default() }.with_rd(true);
    let mut builder = Builder::new(header, 512);
    builder.question(&Question::new(name.parse::<Name>().unwrap(), RecordType::A));
    builder.finish(edns.as_ref())
}

fn receive(socket: &UdpSocket) -> Message {
    let mut buffer = [0; 65_535];
    let len = socket.recv(&mut buffer).unwrap();
    Message::parse(&buffer[..len]).unwrap()
}

fn ask(socket: &UdpSocket, query: &[u8]) -> Message {
    socket.send(query).unwrap();
    receive(socket)
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&u16::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

fn read(stream: &mut TcpStream) -> Message {
    let mut len = [0; 2];
    stream.read_exact(&mut len).unwrap();
    let mut message = vec![0; u16::from_be_bytes(len).into()];
    stream.read_exact(&mut message).unwrap();
    Message::parse(&message).unwrap()
}

#[test]
fn udp_answers_are_those_of_the_resolver() {
    let server = Server::start(Config { ede: Ede::Failures, ..Config::default() });
    let socket = server.client();
    let answer = ask(&socket, &query(7, "3.Example.", None));
    assert_eq!((answer.header.id, answer.answer.len(), answer.rcode), (7, 3, Rcode::NOERROR));
    assert!(answer.question.unwrap().name.eq_case(&"3.Example.".parse().unwrap()));

    let failed = ask(&socket, &query(8, "fail.example.", Some(Edns::new(1232, false))));
    assert_eq!(failed.rcode, Rcode::SERVFAIL);
    assert_eq!(failed.edns.unwrap().options[0].data[..2], [0, 22], "and the reason is told");

    let local = ask(&socket, &query(9, "a.invalid.", None));
    assert!(local.header.aa() && local.rcode == Rcode::NXDOMAIN);
    assert_eq!(server.count(Stat::Queries), 3);
    assert_eq!(server.count(Stat::RecursiveReplies), 2);
}

#[test]
fn many_datagrams_at_once_are_all_answered() {
    let server = Server::start(Config::default());
    let socket = server.client();
    for round in 0..4 {
        for id in 0..100 {
            let name = if id % 3 == 0 { "1.localhost." } else { "1.example." };
            socket.send(&query(round * 100 + id, name, None)).unwrap();
        }
        let mut ids: Vec<_> = (0..100).map(|_| receive(&socket).header.id).collect();
        ids.sort_unstable();
        assert_eq!(ids, (round * 100..round * 100 + 100).collect::<Vec<_>>());
    }
}

#[test]
fn long_answers_are_truncated_over_udp_and_whole_over_tcp() {
    let server = Server::start(Config { max_udp_size: 1400, ..Config::default() });
    let socket = server.client();
    for (edns, want) in [
        (None, "TC 0"),
        (Some(Edns::new(400, false)), "TC 0"),
        (Some(Edns::new(1300, false)), "whole 70"),
        (Some(Edns::new(4096, false)), "whole 70"),
    ] {
        let answer = ask(&socket, &query(1, "70.example.", edns.clone()));
        let tc = if answer.header.tc() { "TC" } else { "whole" };
        assert_eq!(format!("{tc} {}", answer.answer.len()), want, "{edns:?}");
    }
    let answer = ask(&socket, &query(1, "100.example.", Some(Edns::new(4096, false))));
    assert!(answer.header.tc(), "max-udp-size holds whatever the client says");

    let mut stream = server.connect();
    stream.write_all(&framed(&query(2, "2000.example.", None))).unwrap();
    let answer = read(&mut stream);
    assert_eq!((answer.header.tc(), answer.answer.len()), (false, 2000));
}

#[test]
fn garbage_is_never_answered_when_it_may_be_an_answer() {
    let server = Server::start(Config::default());
    let socket = server.client();
    let mut response = query(1, "1.example.", None);
    response[2] |= 0x80;
    for silent in [&b""[..], b"short", &[0xff; 100], &response, &[0; 3000]] {
        socket.send(silent).unwrap();
    }
    // Datagrams of one socket are dealt with in order: this is the first answer there is.
    let mut notify = query(2, "1.example.", None);
    notify[2] = 0x20;
    assert_eq!(ask(&socket, &notify).rcode, Rcode::NOTIMP);

    let mut two = query(3, "1.example.", None);
    two[5] = 2;
    assert_eq!(ask(&socket, &two).rcode, Rcode::FORMERR);
    let badvers = Edns { version: 1, ..Edns::new(1232, false) };
    let answer = ask(&socket, &query(4, "1.example.", Some(badvers)));
    assert_eq!((answer.rcode, answer.edns.unwrap().version), (Rcode::BADVERS, 0));
}

#[test]
fn who_may_not_ask_is_refused_or_ignored() {
    use prebound::config::AccessAction::{Deny, Refuse};
    let config = |action| Config {
        access_control: vec![("127.0.0.0/8".parse().unwrap(), action)],
        ede: Ede::Failures,
        ..Config::default()
    };
    let server = Server::start(config(Refuse));
    let socket = server.client();
    let answer = ask(&socket, &query(1, "1.example.", Some(Edns::new(1232, false))));
    assert_eq!(answer.rcode, Rcode::REFUSED);
    assert_eq!(answer.edns.unwrap().options[0].data, [0, 18]);

    server.shared.policy.store(Arc::new(Policy::new(&config(Deny), "host")));
    socket.send(&query(2, "1.example.", None)).unwrap();
    server.shared.policy.store(Arc::new(Policy::new(&config(Refuse), "host")));
    // Either the one policy or the other was in force; a third answer shows that both were dealt
    // with.
    let mut last = ask(&socket, &query(3, "1.example.", None));
    if last.header.id == 2 {
        last = receive(&socket);
    }
    assert_eq!((last.header.id, last.rcode), (3, Rcode::REFUSED));
}

#[test]
fn a_socket_bound_to_all_addresses_answers_from_the_one_that_was_asked() {
    let server = Server::bound_to(Config::default(), Ipv4Addr::UNSPECIFIED);
    let port = server.udp.port();
    for (last, name) in [(1, "1.example."), (2, "1.localhost."), (3, "1.example.")] {
        let socket = server.client();
        // The client only hears this address, as the socket is connected.
        socket.connect((Ipv4Addr::new(127, 0, 0, last), port)).unwrap();
        assert_eq!(ask(&socket, &query(last.into(), name, None)).header.id, last.into());
    }
}

#[test]
fn the_longest_waiting_client_makes_room() {
    let config = Config { num_queries_per_thread: 1, jostle_timeout: 0, ..Config::default() };
    let server = Server::start(config);
    let socket = server.client();
    // Sixteen clients may wait for each question that may be in flight.
    for id in 1..=16 {
        socket.send(&query(id, "wait.example.", None)).unwrap();
    }
    // In one batch all would have come at the same time, and none would have to go.
    while server.count(Stat::CacheMisses) < 16 {
        thread::yield_now();
    }
    assert_eq!(ask(&socket, &query(17, "1.example.", None)).header.id, 17);
    assert_eq!(server.count(Stat::ListOverwritten), 1);
}

#[test]
fn tcp_answers_come_as_they_are_ready() {
    let server = Server::start(Config::default());
    let mut stream = server.connect();
    let mut queries = framed(&query(1, "wait.example.", None));
    queries.extend(framed(&query(2, "1.example.", None)));
    queries.extend(framed(&query(3, "a.invalid.", None)));
    stream.write_all(&queries).unwrap();
    let mut ids = [read(&mut stream).header.id, read(&mut stream).header.id];
    ids.sort_unstable();
    assert_eq!(ids, [2, 3], "the first query still waits");
    stream.write_all(&framed(&query(4, "go.example.", None))).unwrap();
    let mut ids = [read(&mut stream).header.id, read(&mut stream).header.id];
    ids.sort_unstable();
    assert_eq!(ids, [1, 4]);
}

#[test]
fn tcp_messages_may_be_split_anywhere_and_half_closed() {
    let server = Server::start(Config::default());
    let mut stream = server.connect();
    stream.set_nodelay(true).unwrap();
    for octet in framed(&query(1, "2.example.", None)) {
        stream.write_all(&[octet]).unwrap();
    }
    assert_eq!(read(&mut stream).answer.len(), 2);

    let many: Vec<u8> = (0..50).flat_map(|id| framed(&query(id, "1.example.", None))).collect();
    stream.write_all(&many).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut ids: Vec<_> = (0..50).map(|_| read(&mut stream).header.id).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..50).collect::<Vec<_>>(), "more than may be in flight at once");
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0, "and then the connection ends");
}

#[test]
fn a_client_that_reads_nothing_is_not_read_from_for_ever() {
    let server = Server::start(Config::default());
    let stream = server.connect();
    let message = framed(&query(1, "4000.example.", None));
    let (done, finished) = mpsc::channel();
    let mut writer = stream.try_clone().unwrap();
    // Far more than sockets buffer: writing has to come to a stop.
    writer.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let queries = message.repeat(1000);
    let writing = thread::spawn(move || {
        let stopped = (0..1000).any(|_| writer.write_all(&queries).is_err());
        done.send(stopped).unwrap();
    });
    assert!(finished.recv_timeout(Duration::from_secs(60)).unwrap(), "everything was read");
    writing.join().unwrap();
    // Each answer has 64 kB.
    assert!(server.count(Stat::Queries) < 2_000, "{}", server.count(Stat::Queries));
    drop(stream);
}

#[test]
fn connections_are_limited() {
    let server = Server::start(Config { incoming_num_tcp: 1, ..Config::default() });
    let mut first = server.connect();
    first.write_all(&framed(&query(1, "1.example.", None))).unwrap();
    assert_eq!(read(&mut first).header.id, 1);
    let mut second = server.connect();
    assert_eq!(second.read(&mut [0; 1]).unwrap_or(0), 0, "closed at once");
    first.write_all(&framed(&query(2, "1.example.", None))).unwrap();
    assert_eq!(read(&mut first).header.id, 2);
}

#[test]
fn an_idle_connection_is_closed() {
    let server = Server::start(Config { tcp_idle_timeout: 200, ..Config::default() });
    let mut stream = server.connect();
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
}

#[test]
fn aa_and_ra_are_set_where_they_are_true() {
    let local_data = vec![Record {
        owner: "here.test.".parse().unwrap(),
        rtype: RecordType::A,
        class: Class::IN,
        ttl: 60,
        rdata: Rdata::from_ip(Ipv4Addr::LOCALHOST.into()),
    }];
    let server = Server::start(Config { local_data, hide_version: false, ..Config::default() });
    let client = server.client();
    let of = |name: &str, rtype: RecordType, class: Class| {
        let mut query = query(1, name, None);
        query.truncate(query.len() - 4);
        [query, rtype.0.to_be_bytes().to_vec(), class.0.to_be_bytes().to_vec()].concat()
    };
    let notify = [&[0, 1, 0x20, 0][..], &[0; 8]].concat();
    #[rustfmt::skip]
    let cases = [
        // query                          rcode             AA     RA
        (query(1, "1.example.", None),    Rcode::NOERROR,   false, true),
        (query(1, "fail.example.", None), Rcode::SERVFAIL,  false, true),
        (query(1, "here.test.", None),    Rcode::NOERROR,   true,  true),
        (of("version.bind.", RecordType::TXT, Class::CH), Rcode::NOERROR, false, true),
        (of("example.", RecordType::AXFR, Class::IN),     Rcode::REFUSED, false, false),
        (notify,                          Rcode::NOTIMP,    false, false),
    ];
    for (query, rcode, aa, ra) in cases {
        let header = ask(&client, &query);
        let got = (header.rcode, header.header.aa(), header.header.ra());
        assert_eq!(got, (rcode, aa, ra), "{:?}", header.question);
    }
}

#[test]
fn clients_that_cannot_have_signatures_are_told_by_the_lack_of_opt() {
    let server = Server::start(Config { disable_edns_do: true, ..Config::default() });
    let client = server.client();
    for (dnssec_ok, opt) in [(false, true), (true, false)] {
        let edns = Some(Edns::new(1232, dnssec_ok));
        let answer = ask(&client, &query(1, "1.example.", edns));
        assert_eq!((answer.answer.len(), answer.edns.is_some()), (1, opt), "DO {dnssec_ok}");
    }
}

#[test]
fn a_client_that_asked_once_for_keepalive_is_told_with_each_answer() {
    let keepalive = Config { edns_tcp_keepalive: true, ..Config::default() };
    let server = Server::start(keepalive);
    let mut stream = server.connect();
    let option = EdnsOption { code: EdnsOption::TCP_KEEPALIVE, data: Vec::new() };
    let with_option = Edns { options: vec![option], ..Edns::new(1232, false) };
    let plain = Edns::new(1232, false);
    for (edns, told) in [(plain.clone(), 0), (with_option, 1), (plain, 1)] {
        stream.write_all(&framed(&query(1, "1.example.", Some(edns)))).unwrap();
        assert_eq!(read(&mut stream).edns.unwrap().options.len(), told, "RFC 7828 §3.3.2");
    }
}

/// The answer to a query with that cookie, and the cookie in it.
fn ask_with_cookie(socket: &UdpSocket, cookie: Option<Vec<u8>>) -> (Message, Option<Vec<u8>>) {
    let mut edns = Edns::new(1232, false);
    edns.options.extend(cookie.map(|data| EdnsOption { code: EdnsOption::COOKIE, data }));
    let answer = ask(socket, &query(1, "1.example.", Some(edns)));
    let mut options = answer.edns.clone().unwrap().options.into_iter();
    let given = options.find(|option| option.code == EdnsOption::COOKIE);
    (answer, given.map(|option| option.data))
}

#[test]
fn a_client_comes_in_with_the_cookie_it_was_given() {
    use prebound::config::AccessAction::AllowCookie;
    let server = Server::start(Config {
        access_control: vec![("127.0.0.0/8".parse().unwrap(), AllowCookie)],
        answer_cookie: true,
        ..Config::default()
    });
    let socket = server.client();
    let (answer, given) = ask_with_cookie(&socket, None);
    assert_eq!((answer.rcode, answer.header.tc(), given), (Rcode::REFUSED, true, None));
    let (answer, given) = ask_with_cookie(&socket, Some(b"clients!".to_vec()));
    let given = given.unwrap();
    assert_eq!((answer.rcode, answer.answer.len(), given.len()), (Rcode::BADCOOKIE, 0, 24));
    let (answer, again) = ask_with_cookie(&socket, Some(given.clone()));
    assert_eq!((answer.rcode, answer.answer.len()), (Rcode::NOERROR, 1));
    assert_eq!(again, Some(given.clone()), "a young cookie stays");
    let forged = [&given[..23], &[given[23] ^ 1]].concat();
    assert_eq!(ask_with_cookie(&socket, Some(forged)).0.rcode, Rcode::BADCOOKIE);
    assert_eq!(ask_with_cookie(&socket, Some(vec![1; 9])).0.rcode, Rcode::FORMERR);
    let counted = [Stat::CookieClient, Stat::CookieValid, Stat::CookieInvalid];
    assert_eq!(counted.map(|stat| server.count(stat)), [1, 1, 1]);
}

#[test]
fn cookies_are_not_answered_unless_configured() {
    let server = Server::start(Config::default());
    let (answer, given) = ask_with_cookie(&server.client(), Some(b"clients!".to_vec()));
    assert_eq!((answer.rcode, given), (Rcode::NOERROR, None));
}

#[test]
fn who_asks_too_often_is_answered_now_and_then() {
    let config = Config { ip_ratelimit: 1, ip_ratelimit_factor: 2, ..Config::default() };
    let server = Server::start(config);
    let socket = server.client();
    for id in 0..200 {
        socket.send(&query(id, "1.localhost.", None)).unwrap();
    }
    // Every other query over the limit is answered; the test may take a second or two.
    for _ in 0..90 {
        receive(&socket);
    }
    let dropped = server.count(Stat::RateLimited);
    assert!((90..=100).contains(&dropped), "{dropped}");
}
