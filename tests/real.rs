//! The resolver for real: the daemon as a process, on sockets that were passed to it, with a broker
//! that leads into a miniature Internet behind loopback ports.
//!
//! The daemon runs under a filter that kills it when it calls socket(2), bind(2), connect(2),
//! listen(2) or io_uring_setup(2).

#![expect(clippy::unwrap_used, reason = "a test that unwraps says what it expects")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use prebound::clock::Now;
use prebound::egress::broker::{Broker, End};
use prebound::egress::dial::By;
use prebound::egress::protocol::Request;
use prebound::lab::{Ask, Asked, INTERNET, Network, Resolver, Scenario, Seen, World, dial};
use prebound::wire::{Builder, Edns, Header, Message, Name, Question, Rcode, RecordType};

use common::{Filtered, LAUNCH, Scratch, passing, start, start_without_sockets};

const DAEMON: &str = env!("CARGO_BIN_EXE_prebound");

/// A client waits longer than the resolver may take.
const PATIENCE: Duration = Duration::from_secs(6);

/// A daemon, a broker, and the world they are in.
struct Real {
    network: Arc<Network>,
    asked: Vec<Asked>,
    daemon: Option<Filtered>,
    broker: Option<RunningBroker>,
    rendezvous: OwnedFd,
    server: SocketAddr,
    scratch: Scratch,
}

impl Real {
    fn new(name: &str, world: World, config: &str, stderr: Stdio) -> Self {
        let scratch = Scratch::new(name);
        let hints = scratch.write("root.hints", &world.hints_file());
        let file = scratch.write("prebound.conf", &configuration(&world, &hints, config));
        let network = Arc::new(Network::new(world).unwrap());
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        let (server, mut passed) = listeners();
        passed.push((ours.into(), "egress"));
        let rendezvous = OwnedFd::from(theirs);
        let broker = RunningBroker::new(&network, &rendezvous);
        let mut command = passing(DAEMON, &passed);
        command.arg("-c").arg(file).stdin(Stdio::null()).stderr(stderr);
        let daemon = Some(start_without_sockets(command, passed));
        let broker = Some(broker);
        Self { network, asked: Vec::new(), daemon, broker, rendezvous, server, scratch }
    }

    fn signal(&self, signal: Signal) {
        let id = self.daemon.as_ref().unwrap().id;
        kill(Pid::from_raw(id.try_into().unwrap()), signal).unwrap();
    }

    /// The daemon ends well, not killed by the filter.
    fn stop(mut self) {
        self.signal(Signal::SIGTERM);
        let status = self.daemon.take().unwrap().wait();
        assert!(status.success(), "{status}");
    }

    fn seen(&self, name: &str, rtype: RecordType) -> Seen {
        client(self.server, &ask(name, rtype))
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            // After a test that failed.
            let _ = kill(Pid::from_raw(daemon.id.try_into().unwrap()), Signal::SIGKILL);
            daemon.wait();
        }
        self.broker.take();
    }
}

impl Resolver for Real {
    fn ask(&mut self, ask: &Ask) -> Vec<Seen> {
        self.network.take_asked();
        let seen = (0..ask.times).map(|_| client(self.server, ask)).collect();
        self.asked = self.network.take_asked();
        seen
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.clone()
    }

    fn advance(&mut self, _: u32) {
        panic!("real time does not skip: a scenario that runs for real cannot advance");
    }

    fn change(&mut self, change: &mut dyn FnMut(&mut World)) {
        self.network.change(change);
    }
}

/// A broker in a thread; gone, with its end of every channel, when it is dropped.
struct RunningBroker {
    /// Dropping it wakes the broker.
    stop: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl RunningBroker {
    fn new(network: &Arc<Network>, rendezvous: &OwnedFd) -> Self {
        let network = Arc::clone(network);
        let rendezvous = rendezvous.try_clone().unwrap();
        // Not for the daemon to inherit, or it would never close.
        let (wake, stop) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
        let thread = std::thread::spawn(move || {
            let mut broker = Broker::new(By(|request: &Request| dial(&network, request)));
            broker.set_rendezvous(rendezvous);
            assert_eq!(broker.run(Some(wake.as_fd())), Ok(End::Woken));
        });
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for RunningBroker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic over there was shown already.
            let _ = thread.join();
        }
    }
}

fn configuration(world: &World, hints: &Path, more: &str) -> String {
    format!(
        "{}verbosity: 0\nede: failures\nroot-hints: \"{}\"\n{more}",
        world.trust(),
        hints.display()
    )
}

#[expect(clippy::disallowed_methods, reason = "a test plays the service manager")]
fn listeners() -> (SocketAddr, Vec<(OwnedFd, &'static str)>) {
    // A port that is free for TCP is nearly always free for UDP.
    for _ in 0..20 {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = tcp.local_addr().unwrap();
        if let Ok(udp) = UdpSocket::bind(server) {
            return (server, vec![(udp.into(), "dns"), (tcp.into(), "dns")]);
        }
    }
    panic!("no port is free for both TCP and UDP");
}

fn ask(name: &str, rtype: RecordType) -> Ask {
    let question = Question::new(name.parse().unwrap(), rtype);
    Ask { question, dnssec_ok: true, checking_disabled: false, wants_ad: false, times: 1 }
}

fn query(ask: &Ask) -> Vec<u8> {
    let header = Header { id: 4711, ..Header::default() }
        .with_rd(true)
        .with_ad(ask.wants_ad)
        .with_cd(ask.checking_disabled);
    let mut builder = Builder::new(header, 512);
    builder.question(&ask.question);
    builder.finish(Some(&Edns::new(1232, ask.dnssec_ok)))
}

/// Asks as a stub resolver does: over UDP, and over TCP when that was cut short.
fn client(server: SocketAddr, ask: &Ask) -> Seen {
    let began = Now::system().mono;
    let mut response = over_udp(server, &query(ask));
    if Header::read(&response).unwrap().tc() {
        response = over_tcp(server, &[query(ask)]).remove(0);
    }
    let header = Header::read(&response).unwrap();
    assert!(header.qr() && header.ra() && header.rd() && header.id == 4711);
    let question = Message::parse(&response).unwrap().question.unwrap();
    assert!(question.name.eq_case(&ask.question.name), "the case is the client's");
    Seen::read(&response, u64::try_from(Now::system().mono.since(began).as_millis()).unwrap())
}

#[expect(clippy::disallowed_methods, reason = "a test plays the client")]
fn over_udp(server: SocketAddr, query: &[u8]) -> Vec<u8> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.send(query).unwrap();
    let mut buffer = vec![0; 4096];
    let len = socket.recv(&mut buffer).expect("an answer in time");
    buffer.truncate(len);
    buffer
}

/// Sends all queries at once, and takes the answers as they come.
#[expect(clippy::disallowed_methods, reason = "a test plays the client")]
fn over_tcp(server: SocketAddr, queries: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    for query in queries {
        let len = u16::try_from(query.len()).unwrap().to_be_bytes();
        stream.write_all(&[&len, &query[..]].concat()).unwrap();
    }
    queries
        .iter()
        .map(|_| {
            let mut len = [0; 2];
            stream.read_exact(&mut len).expect("an answer in time");
            let mut message = vec![0; u16::from_be_bytes(len).into()];
            stream.read_exact(&mut message).unwrap();
            message
        })
        .collect()
}

/// Those of `tests/scenarios/` that say `$REAL`, which ran in simulated time, too.
#[test]
fn scenarios_run_for_real() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut failed = Vec::new();
    let mut count = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let scenarios = Scenario::read_all(&fs::read_to_string(&path).unwrap()).unwrap();
        for scenario in scenarios.iter().filter(|scenario| scenario.real) {
            count += 1;
            let world = scenario.world().unwrap();
            let name = format!("real-{count}");
            let mut real = Real::new(&name, world, &scenario.config, Stdio::inherit());
            match scenario.run(&mut real) {
                Ok(()) => real.stop(),
                Err(why) => failed.push(format!("{}: {why}", path.display())),
            }
        }
    }
    assert!(failed.is_empty(), "{} of {count}:\n\n{}", failed.len(), failed.join("\n\n"));
    assert!(count > 5, "{count} scenarios run for real");
}

#[test]
fn answers_over_tcp_come_as_they_are_ready() {
    let world = World::new(INTERNET).unwrap();
    let real = Real::new("real-tcp", world, "", Stdio::inherit());
    let names = ["www.slow.example.", "www.secure.example.", "nothing.secure.example."];
    let queries: Vec<_> = names.iter().map(|name| query(&ask(name, RecordType::A))).collect();
    let answers = over_tcp(real.server, &queries);
    let name = |answer: &Vec<u8>| Message::parse(answer).unwrap().question.unwrap().name;
    let order: Vec<Name> = answers.iter().map(name).collect();
    assert_eq!(order[2], names[0].parse().unwrap(), "the slow one is not waited for");
    assert!(answers.iter().all(|answer| Seen::read(answer, 0).ad));

    let huge = query(&ask("huge.secure.example.", RecordType::TXT));
    let udp = over_udp(real.server, &huge);
    assert!(udp.len() <= 1232 && Header::read(&udp).unwrap().tc());
    let tcp = over_tcp(real.server, &[huge]).remove(0);
    assert!(tcp.len() > 60_000 && Seen::read(&tcp, 0).ad);
    real.stop();
}

#[test]
fn a_reload_is_all_or_nothing_and_a_broker_that_restarts_loses_no_query() {
    let world = World::new(INTERNET).unwrap();
    let trust = |more: &str, real: &Real| {
        let hints = real.scratch.0.join("root.hints");
        real.network.with(|world| configuration(world, &hints, more))
    };
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
    let mut stderr = BufReader::new(fs::File::from(reader)).lines();
    let mut expect = |words: &str| {
        let found = stderr.by_ref().map(Result::unwrap).find(|line| line.contains(words));
        assert!(found.is_some(), "the daemon ended without saying {words:?}");
    };
    let mut real = Real::new("real-reload", world, "verbosity: 2\n", writer.into());
    assert!(real.seen("www.secure.example.", RecordType::A).ad);
    assert_eq!(real.seen("www.bogus.example.", RecordType::A).ede, Some(6));

    real.scratch.write("prebound.conf", "server:\n  no-such-option: yes\n");
    real.signal(Signal::SIGHUP);
    expect("the running configuration stays in force");
    assert_eq!(real.seen("www.bogus.example.", RecordType::A).ede, Some(6));

    let insecure = trust("verbosity: 2\ndomain-insecure: \"bogus.example\"\n", &real);
    real.scratch.write("prebound.conf", &insecure);
    real.signal(Signal::SIGHUP);
    expect("reloaded");
    let seen = real.seen("www.bogus.example.", RecordType::A);
    assert_eq!((seen.rcode, seen.ad, seen.answer.len()), (Rcode::NOERROR, false, 1));

    // Without a broker only the cache answers; what is asked then waits for the next broker.
    real.broker = None;
    assert_eq!(real.seen("www.bogus.example.", RecordType::A).rcode, Rcode::NOERROR);
    let server = real.server;
    let waiting = std::thread::spawn(move || client(server, &ask("www.other.", RecordType::A)));
    expect("broker");
    real.broker = Some(RunningBroker::new(&real.network, &real.rendezvous));
    let seen = waiting.join().unwrap();
    assert_eq!((seen.rcode, seen.ad), (Rcode::NOERROR, true));
    real.stop();
}

/// What the README's second line shows: `prebound-launch --lab`, every program as it is installed.
#[test]
fn the_lab_is_served_by_the_launcher() {
    let mut command = Command::new(LAUNCH);
    command.args(["--lab", "--listen", "127.0.0.1:0"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut launcher = Launcher(start(command, vec![]));
    let pid = Pid::from_raw(launcher.0.id().try_into().unwrap());
    let mut lines = BufReader::new(launcher.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let served = lines.find(|line| line.contains("DNS on ")).unwrap();
    let server: SocketAddr =
        served.split("DNS on ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    let samples: Vec<String> = lines.filter(|line| line.contains("dig @")).take(4).collect();
    assert_eq!(samples.len(), 4);

    let seen = |name: &str| {
        let seen = client(server, &ask(name, RecordType::A));
        (seen.rcode, seen.ad, seen.ede)
    };
    #[rustfmt::skip]
    let cases = [
        ("www.secure.example.",      Rcode::NOERROR,  true,  None),
        ("www.insecure.example.",    Rcode::NOERROR,  false, None),
        ("www.bogus.example.",       Rcode::SERVFAIL, false, Some(6)),
        ("nothing.secure.example.",  Rcode::NXDOMAIN, true,  None),
        ("far.secure.example.",      Rcode::NOERROR,  true,  None),
        ("www.old.secure.example.",  Rcode::NOERROR,  true,  None),
        ("toward.secure.example.",   Rcode::NOERROR,  false, None),
        ("www.expired.example.",     Rcode::SERVFAIL, false, Some(7)),
        ("www.future.example.",      Rcode::SERVFAIL, false, Some(8)),
        ("www.unsigned.example.",    Rcode::SERVFAIL, false, Some(10)),
        ("www.stripped.example.",    Rcode::SERVFAIL, false, Some(10)),
        ("www.wrongkey.example.",    Rcode::SERVFAIL, false, Some(9)),
        ("nothing.nodenial.example.", Rcode::SERVFAIL, false, Some(12)),
        ("www.unknown.example.",     Rcode::NOERROR,  false, Some(1)),
        ("www.lame.example.",        Rcode::SERVFAIL, false, Some(22)),
        ("www.old.example.",         Rcode::NOERROR,  false, None),
    ];
    for (name, rcode, ad, ede) in cases {
        assert_eq!(seen(name), (rcode, ad, ede), "{name}");
    }
    // The servers and their broker are killed; others take their place, with the same keys.
    kill(child(launcher.0.id(), "--lab-broker"), Signal::SIGKILL).unwrap();
    assert_eq!(seen("mail.secure.example."), (Rcode::NOERROR, true, None));
    assert_eq!(seen("www.slow.example."), (Rcode::NOERROR, true, None));

    kill(pid, Signal::SIGTERM).unwrap();
    let status = launcher.0.wait().unwrap();
    assert!(status.success(), "{status}");
}

/// Ended with the test; what it started ends with it.
struct Launcher(Child);

impl Drop for Launcher {
    fn drop(&mut self) {
        // After a test that failed; otherwise it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The child of a process with that argument.
fn child(parent: u32, argument: &str) -> Pid {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
    let found = children.split_whitespace().find(|child| {
        let line = fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
        line.split(|octet| *octet == 0).any(|word| word == argument.as_bytes())
    });
    Pid::from_raw(found.expect("the child runs").parse().unwrap())
}
