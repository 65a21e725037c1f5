//! The launcher as a process, with a daemon that does as it is told.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says what it expects")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Lines, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use prebound::egress::client::Egress;
use prebound::egress::protocol::Transport;
use prebound::systemd::descriptors::{Ports, claim};
use prebound::systemd::exit;
use tokio::signal::unix::{SignalKind, signal};

use common::{BROKER, LAUNCH, Scratch, passing, start, start_without_sockets};

/// Set for the process that plays the daemon.
const PLAYS_DAEMON: &str = "PREBOUND_TEST_PLAYS_DAEMON";

/// Not a test, but the daemon of the others: this program again, told what to do line by line.
///
/// ```text
/// ask ID UDP|TCP ADDRESS     a socket from the broker: "got ID port NUMBER" or "got ID error ..."
/// exit CODE, die             ends, or is killed by SIGKILL
/// ```
#[test]
fn plays_daemon() {
    if std::env::var_os(PLAYS_DAEMON).is_none() {
        return;
    }
    // The harness has begun a line.
    say("");
    let claimed = match claim(&Ports::default()).and_then(|all| all.complete()) {
        Ok(claimed) => claimed,
        Err(error) => {
            say(&format!("refused {error}"));
            std::process::exit(error.exit_code().into());
        }
    };
    let pid = std::process::id();
    say(&format!(
        "ready {pid} udp={} tcp={} http={} control={}",
        claimed.udp.len(),
        claimed.tcp.len(),
        claimed.http.len(),
        claimed.control.len()
    ));
    let egress = Egress::through(claimed.rendezvous.unwrap());
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(obey(egress));
}

async fn obey(mut egress: Egress) {
    let (told, mut orders) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            told.send(line.unwrap()).unwrap();
        }
    });
    let mut hangup = signal(SignalKind::hangup()).unwrap();
    let mut user = signal(SignalKind::user_defined1()).unwrap();
    let mut terminate = signal(SignalKind::terminate()).unwrap();
    let mut interrupt = signal(SignalKind::interrupt()).unwrap();
    say("listening");
    loop {
        tokio::select! {
            Some(order) = orders.recv() => follow(&order, &mut egress),
            delivered = egress.recv() => match delivered.socket {
                Ok(socket) => {
                    let port = UdpSocket::from(socket).local_addr().unwrap().port();
                    say(&format!("got {} port {port}", delivered.id));
                }
                Err(error) => say(&format!("got {} error {error}", delivered.id)),
            },
            _ = hangup.recv() => say("signal HUP"),
            _ = user.recv() => say("signal USR1"),
            _ = interrupt.recv() => say("signal INT"),
            _ = terminate.recv() => {
                say("signal TERM");
                std::process::exit(3);
            }
        }
    }
}

fn follow(order: &str, egress: &mut Egress) {
    match order.split_whitespace().collect::<Vec<_>>()[..] {
        ["ask", id, transport, to] => {
            let transport = if transport == "TCP" { Transport::Tcp } else { Transport::Udp };
            egress.request(id.parse().unwrap(), transport, to.parse().unwrap());
        }
        ["exit", code] => std::process::exit(code.parse().unwrap()),
        ["die"] => kill(Pid::this(), Signal::SIGKILL).unwrap(),
        _ => panic!("what is {order:?}?"),
    }
}

/// Not println!, which the test harness would capture.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").unwrap();
    out.flush().unwrap();
}

/// A launcher beside a broker and a daemon that does as it is told.
struct Launched {
    launcher: Child,
    orders: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    daemon: Pid,
    /// The `ready` line of the daemon.
    ready: String,
    /// What the launcher said before.
    announced: Vec<String>,
    scratch: Scratch,
    server: UdpSocket,
}

impl Launched {
    fn new(name: &str, arguments: &[&str]) -> Self {
        let (scratch, server) = (install(name), server());
        let mut command = Command::new(scratch.0.join("prebound-launch"));
        let conf = scratch.write(
            "conf",
            &format!(
                "server:\n do-not-query-localhost: no\n verbosity: 2\n\
             stub-zone:\n name: test\n stub-addr: {}\n",
                server.local_addr().unwrap().to_string().replace(':', "@")
            ),
        );
        command.args(arguments).arg("--").arg("-c").arg(conf);
        command.env(PLAYS_DAEMON, "1").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut launcher = start(command, vec![]);
        let orders = launcher.stdin.take().unwrap();
        let mut lines = BufReader::new(launcher.stdout.take().unwrap()).lines();
        let mut announced = Vec::new();
        let ready = loop {
            let line = lines.next().expect("the daemon is ready").unwrap();
            match line.starts_with("ready ") || line.starts_with("refused ") {
                true => break line,
                false => announced.push(line),
            }
        };
        let daemon = Pid::from_raw(ready.split(' ').nth(1).unwrap().parse().expect(&ready));
        let mut launched =
            Self { launcher, orders, lines, daemon, ready, announced, scratch, server };
        launched.expect("listening");
        launched
    }

    fn order(&mut self, order: &str) {
        writeln!(self.orders, "{order}").unwrap();
    }

    /// The next line of the daemon that begins like this.
    fn expect(&mut self, start: &str) -> String {
        let mut others = Vec::new();
        for line in self.lines.by_ref() {
            let line = line.unwrap();
            if line.starts_with(start) {
                return line;
            }
            others.push(line);
        }
        panic!("no {start:?} in {others:?}");
    }

    fn ask(&mut self, id: u32) {
        let to = self.server.local_addr().unwrap();
        self.order(&format!("ask {id} UDP {to}"));
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.launcher.id().try_into().unwrap()), signal).unwrap();
    }

    /// The broker, found among the children of the launcher once it is no longer the launcher's
    /// other self.
    fn broker(&self) -> Pid {
        let id = self.launcher.id();
        loop {
            let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
            for child in children.split_whitespace() {
                let name = fs::read_to_string(format!("/proc/{child}/comm")).unwrap_or_default();
                if name.trim() == "prebound-egress" {
                    return Pid::from_raw(child.parse().unwrap());
                }
            }
            std::thread::yield_now();
        }
    }

    fn status(mut self) -> i32 {
        let status = self.launcher.wait().unwrap();
        status.code().unwrap_or_else(|| panic!("{status}"))
    }

    /// Everything the daemon says until nobody holds its standard output any more.
    fn rest(&mut self) -> Vec<String> {
        self.lines.by_ref().map(Result::unwrap).collect()
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        // After a test that failed; otherwise it has ended. The others end with it.
        let _ = self.launcher.kill();
        let _ = self.launcher.wait();
    }
}

/// The programs side by side, this one in the place of the daemon.
fn install(name: &str) -> Scratch {
    let scratch = Scratch::new(name);
    for (program, name) in [(LAUNCH, "prebound-launch"), (BROKER, "prebound-egress")] {
        let there = scratch.0.join(name);
        fs::hard_link(program, &there).or_else(|_| fs::copy(program, &there).map(drop)).unwrap();
    }
    let daemon = scratch.write("prebound", &daemon_script());
    fs::set_permissions(daemon, fs::Permissions::from_mode(0o755)).unwrap();
    scratch
}

/// The harness knows nothing of `-c FILE`, so what the daemon is told does not reach it.
fn daemon_script() -> String {
    let this = std::env::current_exe().unwrap();
    format!(
        "#!/bin/sh\nexec {} plays_daemon --exact --nocapture --test-threads=1\n",
        this.display()
    )
}

#[expect(clippy::disallowed_methods, reason = "a test plays the server")]
fn server() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").unwrap()
}

#[test]
fn the_daemon_gets_its_sockets_as_from_systemd() {
    let control = std::env::temp_dir().join(format!("prebound-launch-test-{}", std::process::id()));
    let mut launched = Launched::new(
        "sockets",
        &[
            "--listen=127.0.0.1:0",
            "--listen=127.0.0.2:0",
            "--workers=2",
            "--metrics=127.0.0.1:0",
            "--control",
            control.to_str().unwrap(),
        ],
    );
    // LISTEN_PID was right, or it would have refused.
    let ready = format!("ready {} udp=4 tcp=2 http=1 control=1", launched.daemon);
    assert_eq!(launched.ready, ready);

    let announced = launched.announced.join("\n");
    let dns = announced.split("DNS on ").nth(1).unwrap().split(' ').next().unwrap();
    let dns: SocketAddr = dns.parse().unwrap();
    let dig = format!("Try: dig @127.0.0.1 -p {} example.com", dns.port());
    assert!(announced.contains(&dig), "{announced}");
    assert!(announced.contains(&format!("control socket {}", control.display())), "{announced}");
    connect(dns);

    launched.order("exit 0");
    assert_eq!(launched.status(), 0);
    assert!(!control.exists(), "removed at the end");
}

#[expect(clippy::disallowed_methods, reason = "a test plays the client")]
fn connect(to: SocketAddr) {
    TcpStream::connect(to).unwrap();
}

#[test]
fn the_launcher_ends_as_the_daemon_does() {
    let mut launched = Launched::new("exit", &["--listen=127.0.0.1:0"]);
    launched.order("exit 42");
    assert_eq!(launched.status(), 42);

    let mut launched = Launched::new("die", &["--listen=127.0.0.1:0"]);
    launched.order("die");
    assert_eq!(launched.status(), 128 + Signal::SIGKILL as i32);
}

#[test]
fn signals_are_passed_on_and_the_last_one_ends_both() {
    let mut launched = Launched::new("signals", &["--listen=127.0.0.1:0"]);
    for (signal, heard) in [
        (Signal::SIGHUP, "signal HUP"),
        (Signal::SIGUSR1, "signal USR1"),
        (Signal::SIGINT, "signal INT"),
        (Signal::SIGTERM, "signal TERM"),
    ] {
        launched.signal(signal);
        launched.expect(heard);
    }
    assert_eq!(launched.rest(), Vec::<String>::new(), "the broker is gone, too");
    assert_eq!(launched.status(), 3);
}

#[test]
fn a_dead_broker_is_started_again_and_nothing_asked_is_lost() {
    let mut launched = Launched::new("broker", &["--listen=127.0.0.1:0"]);
    launched.ask(1);
    launched.expect("got 1 port");
    let mut broker = launched.broker();
    for id in 2..5 {
        kill(broker, Signal::SIGSTOP).unwrap();
        launched.ask(id);
        kill(broker, Signal::SIGKILL).unwrap();
        launched.expect(&format!("got {id} port"));
        let next = launched.broker();
        assert_ne!(next, broker);
        broker = next;
    }
    launched.order("exit 0");
    assert_eq!(launched.status(), 0);
}

#[test]
fn the_broker_is_given_the_daemon_s_configuration() {
    let mut launched = Launched::new("conf", &["--listen=127.0.0.1:0"]);
    launched.order("ask 1 UDP 127.0.0.1:9");
    assert!(launched.expect("got 1 error").contains("port"));

    let text = fs::read_to_string(launched.scratch.0.join("conf")).unwrap();
    let text = text.replace("127.0.0.1@", "127.0.0.1@9\n stub-addr: 127.0.0.1@");
    launched.scratch.write("conf", &text);
    launched.signal(Signal::SIGHUP);
    launched.expect("signal HUP");
    for id in 2.. {
        launched.order(&format!("ask {id} UDP 127.0.0.1:9"));
        if launched.expect(&format!("got {id}")).contains("port ") {
            break;
        }
    }
    launched.order("exit 0");
    assert_eq!(launched.status(), 0);
}

#[test]
fn nobody_outlives_a_killed_launcher() {
    let mut launched = Launched::new("orphans", &["--listen=127.0.0.1:0"]);
    launched.signal(Signal::SIGKILL);
    launched.expect("signal TERM");
    assert_eq!(launched.rest(), Vec::<String>::new());
    assert_eq!(launched.launcher.wait().unwrap().signal(), Some(Signal::SIGKILL as i32));
}

#[test]
fn mistakes_are_said_with_what_to_do() {
    let taken = server();
    let at = taken.local_addr().unwrap();
    let scratch = install("mistakes");
    let run = |launcher: PathBuf, arguments: &[&str]| {
        let mut command = Command::new(launcher);
        command.args(arguments).stderr(Stdio::piped()).stdout(Stdio::null());
        let output = start(command, vec![]).wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let launcher = || scratch.0.join("prebound-launch");
    let (code, text) = run(launcher(), &["--listen", &at.to_string()]);
    assert_eq!(code, Some(exit::OSERR.into()));
    assert!(text.starts_with(&format!("prebound-launch: cannot listen on {at}")), "{text}");

    let (code, text) = run(launcher(), &["--listen", "everywhere"]);
    assert_eq!(code, Some(exit::USAGE.into()));
    assert!(text.contains("everywhere"), "{text}");

    fs::remove_file(scratch.0.join("prebound-egress")).unwrap();
    let (code, text) = run(launcher(), &["--listen", "127.0.0.1:0"]);
    assert_eq!(code, Some(exit::OSFILE.into()));
    assert!(text.contains("prebound-egress is not there"), "{text}");
}

#[test]
fn the_filter_that_proves_things_does_kill() {
    let mut command = Command::new(LAUNCH);
    command.args(["--listen", "127.0.0.1:0"]).stdout(Stdio::null());
    let status = start_without_sockets(command, vec![]).wait();
    assert_eq!(status.signal(), Some(Signal::SIGSYS as i32), "it called socket(2): {status}");
}

/// The daemon's side of the broker, and the taking over of descriptors, without a single call that
/// makes a socket.
#[test]
fn getting_sockets_needs_no_call_that_makes_sockets() {
    let scratch = install("filtered");
    let server = server();
    let conf = scratch.write(
        "conf",
        &format!(
            "server:\n do-not-query-localhost: no\nstub-zone:\n name: t\n stub-addr: {}\n",
            server.local_addr().unwrap().to_string().replace(':', "@")
        ),
    );
    let (ours, theirs) = std::os::unix::net::UnixDatagram::pair().unwrap();
    let passed = vec![(theirs.into(), "rendezvous")];
    let mut broker = passing(BROKER, &passed);
    broker.arg("--config").arg(conf);
    let mut broker = start(broker, passed);

    let listener = self::server();
    let passed = vec![(listener.into(), "dns"), (ours.into(), "egress")];
    let mut command = passing(scratch.0.join("prebound"), &passed);
    command.env(PLAYS_DAEMON, "1").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut daemon = start_without_sockets(command, passed);
    let mut orders = daemon.stdin.take().unwrap();
    let to = server.local_addr().unwrap();
    writeln!(orders, "ask 1 UDP {to}").unwrap();
    let mut lines = BufReader::new(daemon.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("got 1 port")));
    writeln!(orders, "exit 0").unwrap();
    assert_eq!(daemon.wait().code(), Some(0));
    broker.kill().unwrap();
    broker.wait().unwrap();
}
