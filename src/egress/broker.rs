//! The broker's loop: takes channels, answers requests, and knows nothing of DNS.
//!
//! One thread, one poll(2). It holds no state that a restart would lose: what a daemon asked and
//! got no reply for, it asks again.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use thiserror::Error;
use tracing::{debug, info, warn};

use super::descriptors::{Received, is_channel, receive, send};
use super::dial::Dial;
use super::protocol::{Garbage, Hello, MAX_MESSAGE, Reply, Request, Status};
use crate::clock::{Mono, Now, Rng};

/// Most channels at a time: one per worker, and `num-threads:` ends at 1024.
const MAX_CHANNELS: usize = 1024;

/// Why the broker cannot go on.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum BrokerError {
    /// The only peer there will ever be does not speak our protocol.
    #[error("the daemon sent a {0}; it is of another version, broken, or taken over")]
    Garbage(#[from] Garbage),
    /// The kernel refuses to wait, or the rendezvous is broken.
    #[error("cannot wait for the daemon: {0}")]
    System(#[from] Errno),
}

/// Why [`Broker::run`] came back without an error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// There is something to read from the descriptor that was to wake it.
    Woken,
    /// Every channel is closed, and without a rendezvous no other will come.
    NoPeers,
}

/// Answers requests of any number of daemon workers.
#[derive(Debug)]
pub struct Broker<D> {
    /// Decides and makes the sockets.
    pub dial: D,
    rendezvous: Option<OwnedFd>,
    channels: BTreeMap<u64, Channel>,
    opened: u64,
    rng: Rng,
}

/// Answers the requests of one channel until the daemon closes it.
///
/// # Errors
///
/// [`BrokerError`].
pub fn serve(channel: OwnedFd, dial: &mut impl Dial) -> Result<(), BrokerError> {
    let mut broker = Broker::new(dial);
    broker.add_channel(channel);
    broker.run(None).map(drop)
}

impl<D: Dial> Broker<D> {
    /// Has no peers yet.
    pub fn new(dial: D) -> Self {
        let rng = rand::make_rng();
        Self { dial, rendezvous: None, channels: BTreeMap::new(), opened: 0, rng }
    }

    /// Takes channels from the datagrams that arrive at `rendezvous`.
    pub fn set_rendezvous(&mut self, rendezvous: OwnedFd) {
        self.rendezvous = Some(rendezvous);
    }

    /// Answers what comes over `channel`.
    pub fn add_channel(&mut self, socket: OwnedFd) {
        self.opened += 1;
        debug!(channel = self.opened, "channel opened");
        self.channels.insert(self.opened, Channel { socket, unsent: None });
    }

    /// Works until there is something to read from `wake` (which is left to the caller), or no
    /// peer is left and none can come.
    ///
    /// # Errors
    ///
    /// [`BrokerError`].
    pub fn run(&mut self, wake: Option<BorrowedFd<'_>>) -> Result<End, BrokerError> {
        while self.rendezvous.is_some() || !self.channels.is_empty() {
            let Ready { woken, rendezvous, channels } = self.wait(wake)?;
            for number in channels {
                self.turn(number)?;
            }
            // After the channels, so that closed ones have made room for new ones.
            if rendezvous {
                self.accept()?;
            }
            if woken {
                return Ok(End::Woken);
            }
        }
        Ok(End::NoPeers)
    }

    /// Waits until there is something to do.
    fn wait(&self, wake: Option<BorrowedFd<'_>>) -> Result<Ready, Errno> {
        let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut fds: Vec<_> = self.channels.values().map(Channel::poll).collect();
        fds.extend(self.rendezvous.iter().map(|fd| readable(fd.as_fd())));
        fds.extend(wake.map(readable));
        loop {
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) => break,
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        let mut ready = fds.iter().map(|fd| fd.any().unwrap_or(true));
        let mut next = || ready.next().unwrap_or(false);
        Ok(Ready {
            channels: self.channels.keys().copied().filter(|_| next()).collect(),
            rendezvous: self.rendezvous.is_some() && next(),
            woken: wake.is_some() && next(),
        })
    }

    /// Takes one channel from the rendezvous.
    fn accept(&mut self) -> Result<(), BrokerError> {
        let Some(rendezvous) = &self.rendezvous else { return Ok(()) };
        let mut buffer = [0; Hello::LEN];
        let received = match receive(rendezvous.as_fd(), &mut buffer) {
            Ok(received) => received,
            // Reset: a daemon died before its channel was read. Both are over with this.
            Err(Errno::EAGAIN | Errno::ECONNRESET) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        };
        match hello(&buffer, received) {
            Some(_) if self.channels.len() >= MAX_CHANNELS => {
                warn!(limit = MAX_CHANNELS, "too many channels; one more was closed");
            }
            Some(channel) => self.add_channel(channel),
            None => warn!("something else than a channel came through the rendezvous"),
        }
        Ok(())
    }

    /// Does for one channel what it is ready for: sends what it could not before, or answers one
    /// message.
    fn turn(&mut self, number: u64) -> Result<(), BrokerError> {
        let Some(channel) = self.channels.get_mut(&number) else { return Ok(()) };
        let outcome = match channel.unsent.take() {
            Some(replies) => channel.send(replies),
            None => channel.requests().and_then(|requests| match requests {
                None => Ok(()),
                Some(requests) => {
                    let now = Now::system().mono;
                    channel.send(Replies::dial(&requests, &mut self.dial, now, &mut self.rng))
                }
            }),
        };
        let Err(closed) = outcome else { return Ok(()) };
        self.channels.remove(&number);
        match closed {
            Closed::ByPeer => debug!(channel = number, "channel closed by the daemon"),
            Closed::System(errno) => info!(channel = number, %errno, "channel broken"),
            Closed::Garbage(garbage) => {
                warn!(channel = number, "malformed message from the daemon; channel closed");
                if self.rendezvous.is_none() && self.channels.is_empty() {
                    return Err(garbage.into());
                }
            }
        }
        Ok(())
    }
}

/// What there is to do.
struct Ready {
    channels: Vec<u64>,
    rendezvous: bool,
    woken: bool,
}

/// The channel in a datagram from the rendezvous, if that is what it is.
fn hello(frame: &[u8], received: Received) -> Option<OwnedFd> {
    Hello::decode(frame.get(..received.len)?).ok().filter(|_| !received.cut)?;
    let mut descriptors = received.descriptors.into_iter();
    let channel = descriptors.next().filter(is_channel)?;
    descriptors.next().is_none().then_some(channel)
}

/// Why a channel is closed.
enum Closed {
    ByPeer,
    System(Errno),
    Garbage(Garbage),
}

/// One worker of a daemon.
#[derive(Debug)]
struct Channel {
    socket: OwnedFd,
    /// Replies for which the daemon's queue had no room. Until they are sent, no more requests are
    /// read, so that what is held here stays bounded.
    unsent: Option<Replies>,
}

impl Channel {
    fn poll(&self) -> PollFd<'_> {
        let blocked = self.unsent.is_some();
        let events = if blocked { PollFlags::POLLOUT } else { PollFlags::POLLIN };
        PollFd::new(self.socket.as_fd(), events)
    }

    /// One message of requests, or nothing if there is none after all.
    fn requests(&self) -> Result<Option<Vec<Request>>, Closed> {
        let mut buffer = [0; MAX_MESSAGE];
        let received = match receive(self.socket.as_fd(), &mut buffer) {
            Ok(received) if received.len == 0 => return Err(Closed::ByPeer),
            Ok(received) => received,
            Err(Errno::EAGAIN) => return Ok(None),
            Err(Errno::ECONNRESET) => return Err(Closed::ByPeer),
            Err(errno) => return Err(Closed::System(errno)),
        };
        if received.cut || received.descriptors_lost || !received.descriptors.is_empty() {
            return Err(Closed::Garbage(Garbage));
        }
        let message = buffer.get(..received.len).unwrap_or_default();
        Request::decode_all(message).map(Some).map_err(Closed::Garbage)
    }

    fn send(&mut self, replies: Replies) -> Result<(), Closed> {
        match send(self.socket.as_fd(), &replies.message, &replies.sockets) {
            Ok(()) => Ok(()),
            Err(Errno::EAGAIN) => {
                self.unsent = Some(replies);
                Ok(())
            }
            // Too many of our descriptors are under way: say so, rather than wait with all those
            // sockets until the daemon has read some.
            Err(errno @ Errno::ETOOMANYREFS) if !replies.sockets.is_empty() => {
                self.send(replies.without_sockets(errno))
            }
            Err(Errno::EPIPE | Errno::ECONNRESET) => Err(Closed::ByPeer),
            Err(errno) => Err(Closed::System(errno)),
        }
    }
}

/// The replies to one message of requests.
#[derive(Debug)]
struct Replies {
    message: Vec<u8>,
    sockets: Vec<OwnedFd>,
}

impl Replies {
    /// Makes all sockets that can be had. There are at most as many requests as fit into a message.
    fn dial(requests: &[Request], dial: &mut impl Dial, now: Mono, rng: &mut Rng) -> Self {
        let mut replies =
            Self { message: Vec::with_capacity(requests.len() * Reply::LEN), sockets: Vec::new() };
        for request in requests {
            let status = match dial.dial(request, now, rng) {
                Ok(socket) => {
                    replies.sockets.push(socket);
                    Status::Granted
                }
                Err(denied) => {
                    debug!(to = %request.to, transport = %request.transport, ?denied, "no socket");
                    denied.into()
                }
            };
            let reply = Reply { id: request.id, status };
            replies.message.extend_from_slice(&reply.encode());
        }
        replies
    }

    /// The same replies with an error in place of each socket.
    fn without_sockets(&self, errno: Errno) -> Self {
        let mut message = Vec::with_capacity(self.message.len());
        for reply in self.message.chunks(Reply::LEN).flat_map(Reply::decode) {
            let status = match reply.status {
                Status::Granted => Status::Failed(errno),
                other => other,
            };
            message.extend_from_slice(&Reply { status, ..reply }.encode());
        }
        Self { message, sockets: Vec::new() }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test plays the server")]
mod tests {
    use std::net::{SocketAddr, UdpSocket};
    use std::os::unix::net::UnixDatagram;
    use std::thread;

    use super::*;
    use crate::egress::client::{Egress, EgressError};
    use crate::egress::descriptors::channel;
    use crate::egress::dial::{By, Denied, open_plain};
    use crate::egress::protocol::{Refusal, Transport};

    fn some_address(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    fn request(id: u64) -> Request {
        Request { id, transport: Transport::Udp, to: some_address(53) }
    }

    fn no_route(_: &Request) -> Result<OwnedFd, Denied> {
        Err(Errno::ENETUNREACH.into())
    }

    /// A broker in a thread whose every address is a mock server; ends when told to.
    #[tokio::test]
    async fn a_test_broker_leads_every_address_to_a_mock_server() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mock = server.local_addr().unwrap();
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        let (stopped, stop) = nix::unistd::pipe().unwrap();
        let broker = thread::spawn(move || {
            let mut broker = Broker::new(By(move |request: &Request| match request.to.port() {
                53 => Ok(open_plain(request.transport, mock)?),
                _ => Err(Refusal::Port.into()),
            }));
            broker.set_rendezvous(theirs.into());
            broker.run(Some(stopped.as_fd()))
        });

        let mut egress = Egress::through(ours.into());
        egress.request(1, Transport::Udp, some_address(53));
        egress.request(2, Transport::Udp, some_address(22));
        let (one, two) = (egress.recv().await, egress.recv().await);
        assert_eq!((one.id, two.id), (1, 2));
        assert_eq!(two.socket.unwrap_err(), EgressError::Refused(Refusal::Port));

        let socket = UdpSocket::from(one.socket.unwrap());
        socket.send(b"question").unwrap();
        let mut buffer = [0; 16];
        let (len, from) = server.recv_from(&mut buffer).unwrap();
        assert_eq!(
            (&buffer[..len], from.port()),
            (&b"question"[..], socket.local_addr().unwrap().port())
        );

        drop(stop);
        assert_eq!(broker.join().unwrap(), Ok(End::Woken));
    }

    #[test]
    fn a_channel_is_served_until_the_daemon_closes_it() {
        let (ours, theirs) = channel().unwrap();
        send(ours.as_fd(), &[request(1).encode(), request(2).encode()].concat(), &[]).unwrap();
        drop(ours);
        assert_eq!(serve(theirs, &mut By(no_route)), Ok(()));
    }

    #[test]
    fn malformed_messages_end_the_channel_and_a_broker_without_another() {
        let frame = request(1).encode();
        let descriptor = || channel().unwrap().0;
        for (why, message, descriptors) in [
            ("not a frame", b"hello".to_vec(), vec![]),
            ("too many frames", frame.repeat(65), vec![]),
            ("a descriptor", frame.to_vec(), vec![descriptor()]),
        ] {
            let (ours, theirs) = channel().unwrap();
            send(ours.as_fd(), &message, &descriptors).unwrap();
            assert_eq!(
                serve(theirs, &mut By(no_route)),
                Err(BrokerError::Garbage(Garbage)),
                "{why}"
            );
            assert_eq!(receive(ours.as_fd(), &mut [0; 64]).unwrap().len, 0, "{why}: closed");
        }
    }

    #[test]
    fn malformed_messages_do_not_concern_other_channels() {
        let (bad, bad_end) = channel().unwrap();
        let (good, good_end) = channel().unwrap();
        let mut broker = Broker::new(By(no_route));
        broker.add_channel(bad_end);
        broker.add_channel(good_end);
        send(bad.as_fd(), b"hello", &[]).unwrap();
        send(good.as_fd(), &request(5).encode(), &[]).unwrap();
        nix::sys::socket::shutdown(
            std::os::fd::AsRawFd::as_raw_fd(&good),
            nix::sys::socket::Shutdown::Write,
        )
        .unwrap();
        assert_eq!(broker.run(None), Ok(End::NoPeers));

        let mut buffer = [0; 64];
        let received = receive(good.as_fd(), &mut buffer).unwrap();
        let reply = Reply { id: 5, status: Status::Failed(Errno::ENETUNREACH) };
        assert_eq!(Reply::decode(&buffer[..received.len]), Ok(reply));
        assert_eq!(receive(bad.as_fd(), &mut buffer).unwrap().len, 0);
    }

    #[test]
    fn only_a_channel_with_a_hello_is_taken_from_the_rendezvous() {
        let hello_frame = Hello.encode();
        let received = |descriptors, len| Received { len, descriptors, ..Received::default() };
        let one = || vec![channel().unwrap().0];
        let file = || vec![OwnedFd::from(std::fs::File::open("/dev/null").unwrap())];
        let two = || vec![channel().unwrap().0, channel().unwrap().0];
        assert!(hello(&hello_frame, received(one(), Hello::LEN)).is_some());
        assert!(hello(&hello_frame, received(one(), 7)).is_none(), "cut short");
        assert!(hello(b"PBH0\0\0\0\0", received(one(), Hello::LEN)).is_none(), "version");
        assert!(hello(&hello_frame, received(file(), Hello::LEN)).is_none(), "a file");
        assert!(hello(&hello_frame, received(two(), Hello::LEN)).is_none(), "two");
        assert!(hello(&hello_frame, received(vec![], Hello::LEN)).is_none(), "none");
        let cut = Received { cut: true, ..received(one(), Hello::LEN) };
        assert!(hello(&hello_frame, cut).is_none(), "longer");
    }

    /// A daemon that does not read its replies is not read from, and what was asked is answered
    /// once it does.
    #[test]
    fn a_slow_daemon_is_waited_for() {
        let (ours, theirs) = channel().unwrap();
        let broker = thread::spawn(move || serve(theirs, &mut By(no_route)));
        let mut asked = 0;
        let wait = |events| {
            poll(&mut [PollFd::new(ours.as_fd(), events)], PollTimeout::from(200u8)).unwrap() > 0
        };
        // Until the broker has stopped reading, as it cannot write.
        while wait(PollFlags::POLLOUT) {
            match send(ours.as_fd(), &request(asked).encode(), &[]) {
                Ok(()) => asked += 1,
                Err(errno) => assert_eq!(errno, Errno::EAGAIN),
            }
        }
        let mut buffer = [0; 64];
        for id in 0..asked {
            while !wait(PollFlags::POLLIN) {}
            let received = receive(ours.as_fd(), &mut buffer).unwrap();
            assert_eq!(Reply::decode(&buffer[..received.len]).unwrap().id, id);
        }
        drop(ours);
        assert_eq!(broker.join().unwrap(), Ok(()));
    }

    #[test]
    fn replies_can_lose_their_sockets() {
        let mut dial = By(|request: &Request| match request.id {
            2 => Err(Refusal::Listed.into()),
            _ => Ok(channel().unwrap().0),
        });
        let requests = [request(1), request(2), request(3)];
        let mut rng = rand::make_rng();
        let replies = Replies::dial(&requests, &mut dial, Mono::ZERO, &mut rng);
        assert_eq!(replies.sockets.len(), 2);
        let poorer = replies.without_sockets(Errno::ETOOMANYREFS);
        assert!(poorer.sockets.is_empty());
        let statuses: Vec<_> =
            Reply::decode_all(&poorer.message).unwrap().iter().map(|reply| reply.status).collect();
        let failed = Status::Failed(Errno::ETOOMANYREFS);
        assert_eq!(statuses, [failed, Status::Refused(Refusal::Listed), failed]);
    }
}
