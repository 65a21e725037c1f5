//! The daemon's side: asks the broker for sockets, and asks again when the broker was restarted.
//!
//! One [`Egress`] per worker. [`Egress::request`] only queues; [`Egress::recv`] sends what is
//! queued, everything that waits in one message, and delivers what comes back. Whoever polls
//! `recv` in a select loop therefore batches by itself: the more there is to do between two
//! polls, the more requests travel together.
//!
//! Nothing here calls socket(2), bind(2), connect(2) or listen(2): a channel is a socketpair(2)
//! of which one end is sent through a descriptor that was passed to the process.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::time::Duration;

use nix::errno::Errno;
use thiserror::Error;
use tokio::io::unix::AsyncFd;
use tokio::time::{Sleep, sleep};
use tracing::{debug, info, warn};

use super::descriptors::{self, Received};
use super::protocol::{
    Garbage, Hello, MAX_BATCH, MAX_MESSAGE, Refusal, Reply, Request, Status, Transport,
};

/// Pause before the second attempt in a row to reach the broker; the first has none.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// Longest pause between two attempts: how late a worker may notice that the broker is back.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Why there is no socket. About us and the broker, never about the server.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum EgressError {
    /// The kernel refused to make or connect the socket: no route, no free port, no memory.
    #[error("no socket: {0}")]
    Failed(Errno),
    /// The broker's policy forbids the destination. Asking again will not help.
    #[error("the broker refused: {0}")]
    Refused(#[from] Refusal),
    /// More sockets were asked for in one second than the broker hands out.
    #[error("the broker's rate limit is reached")]
    RateLimited,
    /// The socket was made and then lost, as this process may have no more descriptors.
    #[error("no room for another descriptor in this process")]
    NoRoom,
    /// The only channel, passed in at the start, is broken, and there is no way to a new one.
    #[error("the channel to the broker is broken")]
    Gone,
}

/// The reply to one request.
#[derive(Debug)]
pub struct Delivered {
    /// The id given to [`Egress::request`].
    pub id: u64,
    /// The socket: connected (UDP) or connecting (TCP), non-blocking, close-on-exec.
    pub socket: Result<OwnedFd, EgressError>,
}

/// One worker's way to the broker.
#[derive(Debug)]
pub struct Egress {
    /// Where new channels are sent to; none if a single channel was passed in.
    rendezvous: Option<OwnedFd>,
    channel: Option<AsyncFd<OwnedFd>>,
    queue: Queue,
    /// Channels in a row that broke before a reply came.
    failures: u32,
    /// Ends when it is time to try for a new channel; kept here so that a caller who polls in a
    /// select loop does not start it again and again.
    pause: Option<Pin<Box<Sleep>>>,
}

impl Egress {
    /// Will open channels through `rendezvous`, a connected datagram socket.
    ///
    /// Each worker needs a descriptor of its own: use [`OwnedFd::try_clone`].
    pub fn through(rendezvous: OwnedFd) -> Self {
        Self::new(Some(rendezvous), None)
    }

    /// Uses `channel`, one end of a `SOCK_SEQPACKET` pair, and nothing else: when it breaks, every
    /// request ends with [`EgressError::Gone`].
    ///
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// When the descriptor cannot be registered with the runtime.
    pub fn over(channel: OwnedFd) -> io::Result<Self> {
        Ok(Self::new(None, Some(descriptors::watch(channel)?)))
    }

    fn new(rendezvous: Option<OwnedFd>, channel: Option<AsyncFd<OwnedFd>>) -> Self {
        Self { rendezvous, channel, queue: Queue::default(), failures: 0, pause: None }
    }

    /// Asks for a socket to `to`; the next [`recv`](Self::recv) sends it.
    ///
    /// `id` comes back in the reply and must not be used again as long as this worker lives, even
    /// after [`cancel`](Self::cancel): the reply to the first use may still be under way.
    pub fn request(&mut self, id: u64, transport: Transport, to: SocketAddr) {
        self.queue.push(Request { id, transport, to });
    }

    /// Forgets a request; if its socket comes nevertheless, it is closed.
    pub fn cancel(&mut self, id: u64) {
        self.queue.cancel(id);
    }

    /// Requests that have neither been answered nor canceled.
    pub fn waiting(&self) -> usize {
        self.queue.pending.len()
    }

    /// Whether there is a channel at the moment.
    pub fn is_connected(&self) -> bool {
        self.channel.is_some()
    }

    /// A reply that is here already, without waiting or sending.
    pub fn try_recv(&mut self) -> Option<Delivered> {
        self.queue.delivered.pop_front()
    }

    /// Sends what is queued and waits for the next reply. Never ends if nothing was requested.
    ///
    /// Cancel-safe: dropped between two polls it loses neither requests nor replies. While there
    /// is no broker it waits, and tries again with pauses of up to a second; the caller's own
    /// deadline says when that is no longer worth it.
    pub async fn recv(&mut self) -> Delivered {
        loop {
            if let Some(delivered) = self.queue.delivered.pop_front() {
                return delivered;
            }
            match &self.channel {
                None if self.rendezvous.is_none() => self.give_up().await,
                None => self.reopen().await,
                Some(channel) => {
                    if let Err(why) = self.queue.turn(channel).await {
                        self.close(why);
                    } else {
                        self.failures = 0;
                    }
                }
            }
        }
    }

    /// Waits until it is time to try, then makes a new channel and sends one end to the broker.
    async fn reopen(&mut self) {
        if let Some(pause) = &mut self.pause {
            pause.await;
            self.pause = None;
        }
        match self.open() {
            Ok(channel) => {
                self.channel = Some(channel);
                self.queue.repeat_all();
                debug!(waiting = self.waiting(), "channel to the broker opened");
            }
            Err(why) => self.close(Broken::Open(why)),
        }
    }

    fn open(&self) -> io::Result<AsyncFd<OwnedFd>> {
        let rendezvous = self.rendezvous.as_ref().ok_or(Errno::ENOTCONN)?;
        let (ours, theirs) = descriptors::channel()?;
        let ours = descriptors::watch(ours)?;
        descriptors::send(rendezvous.as_fd(), &Hello.encode(), &[theirs])?;
        Ok(ours)
    }

    /// Drops the channel and decides when to try for the next one.
    fn close(&mut self, why: Broken) {
        self.channel = None;
        let pause = pause(self.failures);
        if self.failures == 0 {
            info!(%why, waiting = self.waiting(), "channel to the broker lost, opening another");
        } else {
            warn!(%why, waiting = self.waiting(), ?pause, "no channel to the broker");
        }
        self.failures = self.failures.saturating_add(1);
        self.pause = (!pause.is_zero()).then(|| Box::pin(sleep(pause)));
    }

    /// Without a rendezvous there is no second channel: answers what waits, then sleeps for good
    /// (until the caller drops the future, asks for something and polls again).
    async fn give_up(&mut self) {
        self.queue.fail_all(EgressError::Gone);
        if self.queue.delivered.is_empty() {
            std::future::pending().await
        }
    }
}

/// How long to wait before trying for a channel again, after `failures` useless ones.
fn pause(failures: u32) -> Duration {
    match failures {
        0 => Duration::ZERO,
        n => FIRST_PAUSE.saturating_mul(1 << (n - 1).min(16)).min(LONGEST_PAUSE),
    }
}

/// Why a channel is of no use any more.
#[derive(Debug, Error)]
enum Broken {
    #[error("the broker closed it")]
    Closed,
    #[error("the broker sent a {0}")]
    Garbage(#[from] Garbage),
    #[error("cannot open: {0}")]
    Open(io::Error),
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Requests and replies, without any I/O but that of [`turn`](Self::turn).
#[derive(Debug, Default)]
struct Queue {
    /// Everything asked for and not answered, sent or not, by id: about the order of age.
    pending: BTreeMap<u64, Request>,
    /// Ids not yet sent over the present channel; those canceled since are skipped.
    unsent: VecDeque<u64>,
    delivered: VecDeque<Delivered>,
}

impl Queue {
    fn push(&mut self, request: Request) {
        self.pending.insert(request.id, request);
        self.unsent.push_back(request.id);
    }

    fn cancel(&mut self, id: u64) {
        self.pending.remove(&id);
        self.delivered.retain(|delivered| delivered.id != id);
    }

    /// A new channel knows of nothing: everything unanswered goes again, oldest first.
    fn repeat_all(&mut self) {
        self.unsent = self.pending.keys().copied().collect();
    }

    fn fail_all(&mut self, error: EgressError) {
        self.unsent.clear();
        let failed = std::mem::take(&mut self.pending);
        self.delivered.extend(failed.into_keys().map(|id| Delivered { id, socket: Err(error) }));
    }

    /// The next message to send, and how many of `unsent` it covers; `None` if all is sent.
    fn message(&self) -> Option<(Vec<u8>, usize)> {
        let mut message = Vec::new();
        let mut covered = 0;
        for id in &self.unsent {
            if message.len() == MAX_BATCH * Request::LEN {
                break;
            }
            if let Some(request) = self.pending.get(id) {
                message.extend_from_slice(&request.encode());
            }
            covered += 1;
        }
        (!message.is_empty()).then_some((message, covered))
    }

    /// Takes in one message from the broker.
    fn take(&mut self, message: &[u8], received: Received) -> Result<(), Garbage> {
        let replies = Reply::decode_all(message)?;
        let granted = replies.iter().filter(|reply| reply.status == Status::Granted).count();
        let descriptors = received.descriptors.len();
        if received.cut
            || descriptors > granted
            || (descriptors < granted && !received.descriptors_lost)
        {
            return Err(Garbage);
        }
        let mut sockets = received.descriptors.into_iter();
        for Reply { id, status } in replies {
            let socket = match status {
                // What the kernel dropped is missing at the end.
                Status::Granted => sockets.next().ok_or(EgressError::NoRoom),
                Status::Failed(errno) => Err(EgressError::Failed(errno)),
                Status::Refused(refusal) => Err(EgressError::Refused(refusal)),
                Status::RateLimited => Err(EgressError::RateLimited),
            };
            // No longer wanted: closed by being dropped.
            if self.pending.remove(&id).is_some() {
                self.delivered.push_back(Delivered { id, socket });
            }
        }
        Ok(())
    }

    /// Sends all it can, then waits for one message from the broker.
    async fn turn(&mut self, channel: &AsyncFd<OwnedFd>) -> Result<(), Broken> {
        let mut buffer = [0; MAX_MESSAGE];
        let mut sending = true;
        loop {
            // A channel that takes no more may still hold replies: read on until it ends.
            let full = sending
                && !self.flush(channel).unwrap_or_else(|_| {
                    sending = false;
                    true
                });
            tokio::select! {
                biased;
                guard = channel.readable() => {
                    let mut guard = guard?;
                    match guard.try_io(|fd| Ok(descriptors::receive(fd.as_fd(), &mut buffer)?)) {
                        Err(_) => {}
                        Ok(Err(error)) if is(&error, Errno::ECONNRESET) => sending = false,
                        Ok(Err(error)) => return Err(error.into()),
                        Ok(Ok(Received { len: 0, .. })) => return Err(Broken::Closed),
                        Ok(Ok(received)) => {
                            let message = buffer.get(..received.len).ok_or(Garbage)?;
                            return Ok(self.take(message, received)?);
                        }
                    }
                }
                guard = channel.writable(), if full => guard?.clear_ready(),
            }
        }
    }

    /// Sends until everything is sent (`true`) or the channel is full (`false`).
    fn flush(&mut self, channel: &AsyncFd<OwnedFd>) -> nix::Result<bool> {
        while let Some((message, covered)) = self.message() {
            match descriptors::send(channel.as_fd(), &message, &[]) {
                Ok(()) => drop(self.unsent.drain(..covered)),
                Err(Errno::EAGAIN) => return Ok(false),
                Err(errno) => return Err(errno),
            }
        }
        self.unsent.clear();
        Ok(true)
    }
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno as i32)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::*;
    use crate::egress::descriptors::{channel, receive, send};

    fn to(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    fn granted(id: u64) -> Reply {
        Reply { id, status: Status::Granted }
    }

    fn reply(replies: &[Reply]) -> Vec<u8> {
        replies.iter().flat_map(Reply::encode).collect()
    }

    fn some_descriptor() -> OwnedFd {
        channel().unwrap().0
    }

    fn received(descriptors: usize) -> Received {
        let descriptors = (0..descriptors).map(|_| some_descriptor()).collect();
        Received { descriptors, ..Received::default() }
    }

    /// What has been sent to the other end, without waiting.
    fn ids(message: &[u8]) -> Vec<u64> {
        Request::decode_all(message).unwrap().iter().map(|request| request.id).collect()
    }

    #[test]
    fn a_message_takes_as_many_as_fit_and_skips_the_canceled() {
        let mut queue = Queue::default();
        for id in 0..100 {
            queue.push(Request { id, transport: Transport::Udp, to: to(53) });
        }
        queue.cancel(3);
        let (message, covered) = queue.message().unwrap();
        assert_eq!(covered, 65);
        assert_eq!(ids(&message), (0..65).filter(|&id| id != 3).collect::<Vec<_>>());
        queue.unsent.drain(..covered);
        assert_eq!(ids(&queue.message().unwrap().0), (65..100).collect::<Vec<_>>());
    }

    #[test]
    fn replies_are_matched_with_descriptors_in_order() {
        let mut queue = Queue::default();
        for id in 1..=5 {
            queue.push(Request { id, transport: Transport::Udp, to: to(53) });
        }
        queue.cancel(4);
        let no_route = Reply { id: 2, status: Status::Failed(Errno::ENETUNREACH) };
        let refused = Reply { id: 5, status: Status::Refused(Refusal::Port) };
        let message = reply(&[granted(1), no_route, granted(4), granted(3), refused]);
        queue.take(&message, Received { descriptors_lost: true, ..received(2) }).unwrap();

        let got: Vec<_> =
            queue.delivered.iter().map(|d| (d.id, d.socket.as_ref().err().copied())).collect();
        let expected = [
            (1, None),
            (2, Some(EgressError::Failed(Errno::ENETUNREACH))),
            // 4 was canceled: its socket was taken out of the row and closed.
            (3, Some(EgressError::NoRoom)),
            (5, Some(EgressError::Refused(Refusal::Port))),
        ];
        assert_eq!(got, expected);
        assert!(queue.pending.is_empty());
    }

    #[test]
    fn a_message_that_does_not_add_up_is_garbage() {
        let one = reply(&[granted(1)]);
        for (why, message, received) in [
            ("no frame", vec![], received(0)),
            ("half a frame", one[..8].to_vec(), received(0)),
            ("a descriptor missing", one.clone(), received(0)),
            ("one too many", one.clone(), received(2)),
            ("cut", one.clone(), Received { cut: true, ..received(1) }),
        ] {
            assert_eq!(Queue::default().take(&message, received), Err(Garbage), "{why}");
        }
    }

    #[test]
    fn pauses_grow_from_none_to_a_second() {
        let millis = |failures| pause(failures).as_millis();
        assert_eq!([0, 1, 2, 7, 8, u32::MAX].map(millis), [0, 10, 20, 640, 1000, 1000]);
    }

    /// Waits for the next channel at the broker's end of the rendezvous.
    fn accept(rendezvous: &UnixDatagram) -> OwnedFd {
        wait(rendezvous.as_fd());
        let mut buffer = [0; 64];
        let mut received = receive(rendezvous.as_fd(), &mut buffer).unwrap();
        assert_eq!(Hello::decode(&buffer[..received.len]), Ok(Hello));
        received.descriptors.pop().unwrap()
    }

    fn requests(channel: &OwnedFd) -> Vec<u64> {
        wait(channel.as_fd());
        let mut buffer = [0; MAX_MESSAGE];
        let received = receive(channel.as_fd(), &mut buffer).unwrap();
        ids(&buffer[..received.len])
    }

    fn wait(fd: std::os::fd::BorrowedFd<'_>) {
        poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], PollTimeout::NONE).unwrap();
    }

    #[tokio::test]
    async fn what_a_dead_broker_did_not_answer_is_asked_again() {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        let mut egress = Egress::through(ours.into());
        for id in 1..=3 {
            egress.request(id, Transport::Udp, to(53));
        }
        let broker = std::thread::spawn(move || {
            let first = accept(&theirs);
            let all_at_once = requests(&first);
            send(first.as_fd(), &reply(&[granted(2)]), &[some_descriptor()]).unwrap();
            drop(first);
            let second = accept(&theirs);
            let repeated = requests(&second);
            let descriptors = [some_descriptor(), some_descriptor()];
            send(second.as_fd(), &reply(&[granted(3), granted(1)]), &descriptors).unwrap();
            (all_at_once, repeated, second)
        });
        let mut delivered = Vec::new();
        for _ in 0..3 {
            let one = egress.recv().await;
            assert!(one.socket.is_ok());
            delivered.push(one.id);
        }
        assert_eq!(delivered, [2, 3, 1]);
        assert_eq!(egress.waiting(), 0);
        let (all_at_once, repeated, _open) = broker.join().unwrap();
        assert_eq!(all_at_once, [1, 2, 3], "in one message");
        assert_eq!(repeated, [1, 3]);
    }

    #[tokio::test]
    async fn a_broker_that_talks_nonsense_is_left() {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        let mut egress = Egress::through(ours.into());
        egress.request(7, Transport::Tcp, to(53));
        let broker = std::thread::spawn(move || {
            let first = accept(&theirs);
            send(first.as_fd(), b"nonsense", &[]).unwrap();
            let second = accept(&theirs);
            let repeated = requests(&second);
            let limited = Reply { id: 7, status: Status::RateLimited };
            send(second.as_fd(), &reply(&[limited]), &[]).unwrap();
            (repeated, second)
        });
        let one = egress.recv().await;
        assert_eq!((one.id, one.socket.unwrap_err()), (7, EgressError::RateLimited));
        assert_eq!(broker.join().unwrap().0, [7]);
    }

    #[tokio::test]
    async fn a_full_channel_loses_nothing() {
        let (ours, theirs) = channel().unwrap();
        let mut egress = Egress::over(ours).unwrap();
        const MANY: u64 = 100_000; // 1563 messages: more than the socket's buffer takes
        for id in 0..MANY {
            egress.request(id, Transport::Udp, to(53));
        }
        let broker = std::thread::spawn(move || {
            let mut seen = 0;
            while seen < MANY {
                let ids = requests(&theirs);
                seen += ids.len() as u64;
                let failed = |id| Reply { id, status: Status::RateLimited };
                let message = reply(&ids.into_iter().map(failed).collect::<Vec<_>>());
                while send(theirs.as_fd(), &message, &[]).is_err() {
                    let mut room = [PollFd::new(theirs.as_fd(), PollFlags::POLLOUT)];
                    poll(&mut room, PollTimeout::NONE).unwrap();
                }
            }
            theirs
        });
        for id in 0..MANY {
            assert_eq!(egress.recv().await.id, id);
        }
        drop(broker.join().unwrap());
        egress.request(MANY, Transport::Udp, to(53));
        assert_eq!(egress.recv().await.socket.unwrap_err(), EgressError::Gone);
    }
}
