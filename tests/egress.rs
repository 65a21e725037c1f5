//! The broker as a process: what it accepts, whom it connects to, and what happens when it dies.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says what it expects")]

mod common;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use prebound::egress::client::{Delivered, Egress, EgressError};
use prebound::egress::descriptors::{channel, receive, send};
use prebound::egress::protocol::{Refusal, Transport};
use prebound::systemd::exit;

use common::{BROKER, Scratch, passing, start};

/// Long enough for any machine; a test that needs it has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server, and a configuration that lets the broker reach it.
struct Lab {
    scratch: Scratch,
    server: UdpSocket,
}

impl Lab {
    #[expect(clippy::disallowed_methods, reason = "a test plays the server")]
    fn new(name: &str) -> Self {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let lab = Self { scratch: Scratch::new(name), server };
        lab.configure("outgoing-port-permit: 20000-40000");
        lab
    }

    fn to(&self) -> SocketAddr {
        self.server.local_addr().unwrap()
    }

    fn configure(&self, more: &str) {
        let text = format!(
            "server:\n do-not-query-localhost: no\n outgoing-port-avoid: 0-65535\n {more}\n\
             stub-zone:\n name: test\n stub-addr: 127.0.0.1@{}\n",
            self.to().port()
        );
        self.scratch.write("conf", &text);
    }

    fn broker(&self, passed: Vec<(OwnedFd, &str)>) -> Child {
        start(self.command(&passed), passed)
    }

    fn command(&self, passed: &[(OwnedFd, &str)]) -> Command {
        let mut command = passing(BROKER, passed);
        command.arg("--config").arg(self.scratch.0.join("conf")).arg("-v");
        command.stderr(Stdio::piped());
        command
    }
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
}

async fn next(egress: &mut Egress) -> Delivered {
    tokio::time::timeout(PATIENCE, egress.recv()).await.expect("a reply")
}

/// Waits until there is something to read, or the end.
fn wait(fd: &OwnedFd) {
    let patience = PollTimeout::try_from(PATIENCE).unwrap();
    assert_eq!(poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], patience), Ok(1));
}

/// The exit status, and what was written to standard error.
fn end(mut child: Child) -> (Option<i32>, String) {
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    (child.wait().unwrap().code(), text)
}

#[tokio::test]
async fn every_query_gets_a_connected_socket_on_a_random_permitted_port() {
    let lab = Lab::new("ports");
    let (ours, theirs) = channel().unwrap();
    let broker = lab.broker(vec![(theirs, "egress")]);
    let mut egress = Egress::over(ours).unwrap();
    for id in 0..500 {
        egress.request(id, Transport::Udp, lab.to());
    }
    let mut ports = Vec::new();
    let mut sockets = Vec::new();
    for id in 0..500 {
        let delivered = next(&mut egress).await;
        assert_eq!(delivered.id, id);
        let socket = UdpSocket::from(delivered.socket.unwrap());
        assert_eq!(socket.peer_addr().unwrap(), lab.to());
        ports.push(socket.local_addr().unwrap().port());
        sockets.push(socket);
    }
    assert!(ports.iter().all(|port| (20_000..=40_000).contains(port)), "{ports:?}");
    assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), 500, "all at once, all different");
    // A sequence would rise; chance makes about as many falls as rises.
    let rises = ports.windows(2).filter(|pair| pair[0] < pair[1]).count();
    assert!((200..300).contains(&rises), "{rises} rises: {ports:?}");

    sockets[7].send(b"question").unwrap();
    let mut buffer = [0; 16];
    let (len, from) = lab.server.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..len], from.port()), (&b"question"[..], ports[7]));

    drop(egress);
    let (code, text) = end(broker);
    assert_eq!(code, Some(0), "the only channel was closed: {text}");
}

#[tokio::test]
async fn what_policy_forbids_gets_no_socket() {
    let lab = Lab::new("policy");
    let (ours, theirs) = channel().unwrap();
    let broker = lab.broker(vec![(theirs, "egress")]);
    let mut egress = Egress::over(ours).unwrap();
    let cases = [
        ("127.0.0.1:22", Refusal::Port),
        ("192.0.2.1:80", Refusal::Port),
        ("0.0.0.0:53", Refusal::NotAHost),
        ("[::ffff:192.0.2.1]:53", Refusal::NotAHost),
    ];
    for (id, (to, refusal)) in (0..).zip(cases) {
        egress.request(id, Transport::Tcp, to.parse().unwrap());
        let delivered = next(&mut egress).await;
        assert_eq!(delivered.socket.unwrap_err(), EgressError::Refused(refusal), "{to}");
    }
    drop(egress);
    assert_eq!(end(broker).0, Some(0));
}

#[test]
fn a_malformed_message_ends_the_channel_and_with_the_last_one_the_broker() {
    let lab = Lab::new("malformed");
    let (ours, theirs) = channel().unwrap();
    let broker = lab.broker(vec![(theirs, "egress")]);
    send(ours.as_fd(), b"not a request", &[]).unwrap();
    wait(&ours);
    assert_eq!(receive(ours.as_fd(), &mut [0; 64]).unwrap().len, 0, "closed");
    let (code, text) = end(broker);
    assert_eq!(code, Some(exit::PROTOCOL.into()), "{text}");
    assert!(text.contains("malformed message"), "{text}");
}

#[tokio::test]
async fn with_a_rendezvous_a_malformed_message_concerns_one_channel_only() {
    let lab = Lab::new("malformed-one");
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    let mut broker = lab.broker(vec![(theirs.into(), "rendezvous")]);
    let mut good = Egress::through(ours.try_clone().unwrap().into());
    good.request(1, Transport::Udp, lab.to());
    assert!(next(&mut good).await.socket.is_ok());

    let (bad, its_end) = channel().unwrap();
    let hello = prebound::egress::protocol::Hello.encode();
    send(ours.as_fd(), &hello, &[its_end]).unwrap();
    send(bad.as_fd(), b"not a request", &[]).unwrap();
    wait(&bad);
    let end_of_bad = receive(bad.as_fd(), &mut [0; 64]).map(|received| received.len);
    assert!(matches!(end_of_bad, Ok(0)), "{end_of_bad:?}");

    good.request(2, Transport::Udp, lab.to());
    assert!(next(&mut good).await.socket.is_ok());
    assert!(good.is_connected() && broker.try_wait().unwrap().is_none());
}

#[tokio::test]
async fn a_broker_that_is_killed_and_started_again_loses_no_request() {
    let lab = Lab::new("killed");
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    let rendezvous = || vec![(OwnedFd::from(theirs.try_clone().unwrap()), "rendezvous")];
    let mut egress = Egress::through(ours.into());

    // Nobody there yet: the channel waits in the rendezvous.
    egress.request(0, Transport::Udp, lab.to());
    let mut broker = lab.broker(rendezvous());
    assert_eq!(next(&mut egress).await.id, 0);

    let mut id = 1;
    for round in 0..3 {
        // A stopped broker has not read what it is asked, so all of it dies with it.
        signal(&broker, Signal::SIGSTOP);
        let asked = id..id + 200;
        for id in asked.clone() {
            egress.request(id, Transport::Udp, lab.to());
        }
        id = asked.end;
        tokio::select! {
            biased;
            early = egress.recv() => panic!("{early:?} from a stopped broker"),
            () = tokio::task::yield_now() => {}
        }
        signal(&broker, Signal::SIGKILL);
        broker.wait().unwrap();
        broker = lab.broker(rendezvous());

        let mut missing: BTreeSet<_> = asked.collect();
        let mut sockets = Vec::new();
        while !missing.is_empty() {
            let delivered = next(&mut egress).await;
            assert!(missing.remove(&delivered.id), "{delivered:?} in round {round}");
            sockets.push(delivered.socket.unwrap());
        }
    }
    assert_eq!(egress.waiting(), 0);
}

#[tokio::test]
async fn the_configuration_is_read_again_and_mistakes_in_it_change_nothing() {
    let lab = Lab::new("reload");
    let (ours, theirs) = channel().unwrap();
    let mut broker = lab.broker(vec![(theirs, "egress")]);
    let mut lines = BufReader::new(broker.stderr.take().unwrap()).lines();
    let mut until = |text: &str| lines.any(|line| line.unwrap().contains(text));
    let mut egress = Egress::over(ours).unwrap();
    let mut port = async |id| {
        egress.request(id, Transport::Udp, lab.to());
        let socket = UdpSocket::from(next(&mut egress).await.socket.unwrap());
        socket.local_addr().unwrap().port()
    };
    assert!((20_000..=40_000).contains(&port(1).await));

    lab.configure("outgoing-port-permit: 40001-50000");
    signal(&broker, Signal::SIGHUP);
    assert!(until("configuration read again"));
    assert!((40_001..=50_000).contains(&port(2).await));

    lab.configure("outgoing-port-permit: many");
    signal(&broker, Signal::SIGHUP);
    assert!(until("configuration not changed"));
    assert!((40_001..=50_000).contains(&port(3).await));
    drop(egress);
    assert!(broker.wait().unwrap().success());
}

#[test]
fn a_broker_with_nothing_to_do_says_why_and_how_to_start_it() {
    let lab = Lab::new("refusals");
    let socket = || vec![(OwnedFd::from(lab.server.try_clone().unwrap()), "dns")];
    let file = vec![(OwnedFd::from(File::open("/dev/null").unwrap()), "rendezvous")];
    let stream = std::os::unix::net::UnixStream::pair().unwrap().0;
    let at = lab.to();
    let daemon = "a Unix datagram socket (the rendezvous) or a connected seqpacket one";
    for (passed, expected) in [
        (socket(), format!("descriptor 3 (dns) is a UDP socket on {at}; expected {daemon}")),
        (file, format!("descriptor 3 (rendezvous) is a character device; expected {daemon}")),
        (
            vec![(stream.into(), "egress")],
            format!("descriptor 3 (egress) is a Unix stream socket, connected; expected {daemon}"),
        ),
    ] {
        let (code, text) = end(lab.broker(passed));
        assert_eq!(code, Some(exit::NOFDS.into()), "{text}");
        assert!(text.ends_with(&format!("prebound-egress: {expected}\n")), "{text}");
    }

    // Without the hand-over, as a broken supervisor would do it.
    let script = |variables: &str| {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("{variables} exec {BROKER} 3>&- 4>&-"));
        command.stderr(Stdio::piped());
        end(start(command, vec![]))
    };
    for (variables, expected) in [
        ("", "no descriptors were passed"),
        ("LISTEN_FDS=1 LISTEN_PID=1", "meant for process 1, and this is process"),
        ("LISTEN_FDS=1", "LISTEN_PID is not set"),
        ("LISTEN_PID=$$ LISTEN_FDS=some", "LISTEN_FDS=\"some\" is not a number"),
        ("LISTEN_PID=$$ LISTEN_FDS=1", "descriptor 3 (unknown) is not open; expected"),
        ("LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=a", "1 names for 2 descriptors"),
    ] {
        let (code, text) = script(variables);
        assert_eq!(code, Some(exit::NOFDS.into()), "{variables}: {text}");
        assert!(text.contains(expected), "{variables}: {text}");
    }

    lab.configure("no-such-option: 1");
    let (_ours, theirs) = channel().unwrap();
    let (code, text) = end(lab.broker(vec![(theirs, "egress")]));
    assert_eq!(code, Some(exit::CONFIG.into()));
    assert!(text.contains("no-such-option") && text.contains("conf:"), "{text}");
}
