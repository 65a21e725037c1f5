//! The daemon as a process, by what it is passed: start, refusals, reload, control, stop. It runs
//! under a filter that kills it when it tries to get a socket by itself.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says what it expects")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::Pid;
use prebound::systemd::exit;
use prebound::wire::{Builder, Header, Message, Question, Rcode, RecordType};

use common::{Filtered, Scratch, passing, start_without_sockets};

const DAEMON: &str = env!("CARGO_BIN_EXE_prebound");

/// Everything that can be passed, in one place.
struct Passed {
    udp: SocketAddr,
    tcp: SocketAddr,
    control: PathBuf,
    descriptors: Vec<(OwnedFd, &'static str)>,
    /// The broker's end of the rendezvous; nobody serves it.
    _broker: OwnedFd,
}

impl Passed {
    #[expect(clippy::disallowed_methods, reason = "a test is its own service manager")]
    fn new(scratch: &Scratch) -> Self {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let control = scratch.0.join("control.sock");
        let listener = UnixListener::bind(&control).unwrap();
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, SockType::Datagram, None, SockFlag::SOCK_CLOEXEC)
                .unwrap();
        Self {
            udp: udp.local_addr().unwrap(),
            tcp: tcp.local_addr().unwrap(),
            control,
            descriptors: vec![
                (udp.into(), "dns"),
                (tcp.into(), "dns"),
                (listener.into(), "control"),
                (theirs, "egress"),
            ],
            _broker: ours,
        }
    }
}

fn command(passed: &[(OwnedFd, &'static str)], config: &Path) -> Command {
    let mut command = passing(DAEMON, passed);
    command.args(["-d", "-p", "-c"]).arg(config);
    command
}

/// Runs the daemon until it ends by itself: its code, and what it said.
fn refused(descriptors: Vec<(OwnedFd, &'static str)>, config: &Path) -> (Option<i32>, String) {
    let scratch = Scratch::new(&format!("refused-{}", descriptors.len()));
    let log = scratch.0.join("log");
    let mut command = command(&descriptors, config);
    command.stderr(fs::File::create(&log).unwrap());
    let code = start_without_sockets(command, descriptors).wait().code();
    (code, fs::read_to_string(log).unwrap())
}

#[expect(clippy::disallowed_methods, reason = "a test is a client")]
fn client(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket
}

fn query(name: &str) -> Vec<u8> {
    let mut builder = Builder::new(Header { id: 7, ..Header::default() }.with_rd(true), 512);
    builder.question(&Question::new(name.parse().unwrap(), RecordType::A));
    builder.finish(None)
}

/// What the first address of the answer is, or else the response code.
fn shown(message: &Message) -> String {
    let first = message.answer.first().and_then(|record| record.rdata.as_ip());
    first.map_or_else(|| message.rcode.to_string(), |ip| ip.to_string())
}

fn ask(socket: &UdpSocket, name: &str) -> String {
    let mut buffer = [0; 1500];
    socket.send(&query(name)).unwrap();
    let len = socket.recv(&mut buffer).unwrap();
    shown(&Message::parse(&buffer[..len]).unwrap())
}

#[expect(clippy::disallowed_methods, reason = "a test is an operator")]
fn control(path: &Path, line: &str) -> String {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(format!("UBCT1  {line}\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Starts the daemon and reads its log until it serves.
fn start(passed: &mut Passed, config: &Path) -> (Filtered, BufReader<std::io::PipeReader>) {
    let (reader, writer) = std::io::pipe().unwrap();
    let descriptors = std::mem::take(&mut passed.descriptors);
    let mut command = command(&descriptors, config);
    command.stdin(Stdio::null()).stderr(writer);
    let daemon = start_without_sockets(command, descriptors);
    let mut log = BufReader::new(reader);
    wait_for(&mut log, "serving");
    (daemon, log)
}

/// Reads the log up to a line with these words.
fn wait_for(log: &mut impl BufRead, words: &str) {
    let mut seen = String::new();
    let mut line = String::new();
    while log.read_line(&mut line).unwrap() > 0 {
        if line.contains(words) {
            return;
        }
        seen.push_str(&line);
        line.clear();
    }
    panic!("no '{words}' in\n{seen}");
}

#[test]
fn what_is_missing_or_wrong_is_said_at_the_start() {
    let scratch = Scratch::new("daemon-refuses");
    let good = scratch.write("good.conf", "server:\n    num-threads: 1\n");
    let bad = scratch.write("bad.conf", "server:\n    num-threds: 1\n");

    let passed = Passed::new(&scratch);
    let (code, said) = refused(passed.descriptors, &bad);
    assert_eq!(code, Some(exit::FAILURE.into()), "{said}");
    assert!(said.contains("bad.conf:2") && said.contains("num-threads"), "{said}");

    let Passed { mut descriptors, .. } = Passed::new(&Scratch::new("daemon-no-broker"));
    descriptors.truncate(2);
    let (code, said) = refused(descriptors, &good);
    assert_eq!(code, Some(exit::NOFDS.into()), "{said}");
    assert!(said.contains("broker"), "{said}");

    let mut passed = Passed::new(&Scratch::new("daemon-tls"));
    passed.descriptors[1].1 = "tls";
    let (code, said) = refused(passed.descriptors, &good);
    assert_eq!(code, Some(exit::NOFDS.into()), "{said}");
    assert!(said.contains("descriptor 4 (tls)") && said.contains("not served"), "{said}");
}

#[test]
fn it_serves_reloads_all_or_nothing_and_stops() {
    let scratch = Scratch::new("daemon-serves");
    let text = |address: &str| {
        format!(
            "server:\n    num-threads: 2\n    local-zone: local.example static\n    \
             local-data: \"www.local.example A {address}\"\n"
        )
    };
    let config = scratch.write("unbound.conf", &text("192.0.2.1"));
    let mut passed = Passed::new(&scratch);
    let (daemon, mut log) = start(&mut passed, &config);

    let socket = client(passed.udp);
    assert_eq!(ask(&socket, "www.local.example."), "192.0.2.1");
    assert_eq!(ask(&socket, "none.local.example."), "NXDOMAIN");
    assert_eq!(over_tcp(passed.tcp, "www.local.example."), "192.0.2.1");
    assert!(control(&passed.control, "status").ends_with("is running...\n"));
    assert_eq!(control(&passed.control, "get_option num-threads"), "2\n");

    // A mistake changes nothing, whoever asks for the reload.
    scratch.write("unbound.conf", &(text("192.0.2.2") + "    nonsense: 1\n"));
    assert!(control(&passed.control, "reload").starts_with("error"));
    let daemon_id = Pid::from_raw(daemon.id.try_into().unwrap());
    wait_for(&mut log, "the running configuration stays in force");
    kill(daemon_id, Signal::SIGHUP).unwrap();
    wait_for(&mut log, "the running configuration stays in force");
    assert_eq!(ask(&socket, "www.local.example."), "192.0.2.1");

    scratch.write("unbound.conf", &text("192.0.2.3"));
    assert_eq!(control(&passed.control, "reload"), "ok\n");
    wait_for(&mut log, "reloaded");
    assert_eq!(ask(&socket, "www.local.example."), "192.0.2.3");
    scratch.write("unbound.conf", &text("192.0.2.4"));
    kill(daemon_id, Signal::SIGHUP).unwrap();
    wait_for(&mut log, "reloaded");
    assert_eq!(ask(&socket, "www.local.example."), "192.0.2.4");

    assert_eq!(control(&passed.control, "stop"), "ok\n");
    assert_eq!(daemon.wait().code(), Some(exit::OK.into()));
}

#[test]
fn a_signal_stops_it_while_clients_wait() {
    let scratch = Scratch::new("daemon-stops");
    let config = scratch.write("unbound.conf", "server:\n    num-threads: 1\n");
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT] {
        let scratch = Scratch::new(&format!("daemon-{signal}"));
        let mut passed = Passed::new(&scratch);
        let (daemon, _log) = start(&mut passed, &config);
        // There is no broker, so that nobody ever answers this.
        let socket = client(passed.udp);
        socket.send(&query("waits.example.")).unwrap();
        assert_eq!(ask(&socket, "localhost."), "127.0.0.1", "the one before was received");
        kill(Pid::from_raw(daemon.id.try_into().unwrap()), signal).unwrap();
        assert_eq!(daemon.wait().code(), Some(exit::OK.into()), "{signal}");
    }
}

#[test]
fn without_a_broker_clients_are_told_in_time() {
    let scratch = Scratch::new("daemon-no-answer");
    let config = scratch.write("unbound.conf", "server:\n    num-threads: 1\n");
    let mut passed = Passed::new(&scratch);
    let (daemon, _log) = start(&mut passed, &config);
    let socket = client(passed.udp);
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    assert_eq!(ask(&socket, "www.example."), Rcode::SERVFAIL.to_string());
    assert_eq!(control(&passed.control, "stop"), "ok\n");
    assert_eq!(daemon.wait().code(), Some(exit::OK.into()));
}

#[expect(clippy::disallowed_methods, reason = "a test is a client")]
fn over_tcp(server: SocketAddr, name: &str) -> String {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let query = query(name);
    stream.write_all(&u16::try_from(query.len()).unwrap().to_be_bytes()).unwrap();
    stream.write_all(&query).unwrap();
    let mut len = [0; 2];
    stream.read_exact(&mut len).unwrap();
    let mut message = vec![0; u16::from_be_bytes(len).into()];
    stream.read_exact(&mut message).unwrap();
    shown(&Message::parse(&message).unwrap())
}

/// The value of a row of /proc/PID/status.
fn status_of(daemon: &Filtered, row: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.id)).unwrap();
    let value = status.lines().find_map(|line| line.strip_prefix(row)?.strip_prefix(':'));
    value.unwrap().trim().to_owned()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test is its own service manager")]
fn it_gives_up_its_rights_and_still_serves_everybody() {
    let scratch = Scratch::new("daemon-sandboxed");
    let included = Scratch::new("daemon-included");
    included.write("data.conf", "local-data: \"www.local.example A 192.0.2.1\"\n");
    let include = format!("    include: \"{}/*.conf\"\n", included.0.display());
    let text =
        format!("server:\n    num-threads: 2\n    local-zone: local.example static\n{include}");
    let config = scratch.write("unbound.conf", &text);
    let mut passed = Passed::new(&scratch);
    let metrics = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let metrics_address = metrics.local_addr().unwrap();
    passed.descriptors.push((metrics.into(), "metrics"));
    let (daemon, mut log) = start(&mut passed, &config);

    assert_eq!(status_of(&daemon, "Seccomp"), "2");
    assert_eq!(status_of(&daemon, "NoNewPrivs"), "1");
    // One filter is that of this test, which kills for sockets only.
    assert_eq!(status_of(&daemon, "Seccomp_filters"), "4");
    let socket = client(passed.udp);
    assert_eq!(ask(&socket, "www.local.example."), "192.0.2.1");
    assert_eq!(over_tcp(passed.tcp, "www.local.example."), "192.0.2.1");
    assert!(control(&passed.control, "status").ends_with("is running...\n"));
    let mut stream = TcpStream::connect(metrics_address).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    assert!(page.contains("prebound_num_queries_total"), "{page}");

    // A file of another name, and one in the place of the old, both read at the reload.
    included.write("more.conf", "local-data: \"more.local.example A 192.0.2.2\"\n");
    let new = scratch.write(
        "unbound.conf.new",
        &(text.clone() + "    local-data: \"new.local.example A 192.0.2.3\"\n"),
    );
    fs::rename(new, &config).unwrap();
    kill(Pid::from_raw(daemon.id.try_into().unwrap()), Signal::SIGHUP).unwrap();
    wait_for(&mut log, "reloaded");
    assert_eq!(ask(&socket, "more.local.example."), "192.0.2.2");
    assert_eq!(ask(&socket, "new.local.example."), "192.0.2.3");

    assert_eq!(control(&passed.control, "stop"), "ok\n");
    assert_eq!(daemon.wait().code(), Some(exit::OK.into()));
}

#[test]
fn the_sandbox_can_be_left_out_and_says_so() {
    let scratch = Scratch::new("daemon-unconfined");
    let config = scratch.write("unbound.conf", "server:\n    num-threads: 1\n");
    let mut passed = Passed::new(&scratch);
    let (reader, writer) = std::io::pipe().unwrap();
    let descriptors = std::mem::take(&mut passed.descriptors);
    let mut command = command(&descriptors, &config);
    command.arg("--no-sandbox").stderr(writer);
    let daemon = start_without_sockets(command, descriptors);
    let mut log = BufReader::new(reader);
    wait_for(&mut log, "for debugging only");
    wait_for(&mut log, "serving");
    assert_eq!(status_of(&daemon, "Seccomp_filters"), "1", "that of this test");
    assert_eq!(control(&passed.control, "stop"), "ok\n");
    assert_eq!(daemon.wait().code(), Some(exit::OK.into()));
}
