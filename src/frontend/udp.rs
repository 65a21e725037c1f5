//! DNS over UDP (RFC 1035 §4.2.1): one loop per passed socket.

use std::io;
use std::net::{self, IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::rc::Rc;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::{spawn_local, yield_now};
use tracing::debug;

use super::batch::{Batch, Datagram, send_one};
use super::waiting::Place;
use super::{Outcome, Pending, Resolver, Source, Worker};
use crate::clock::Now;

/// Batches served in a row before other sockets and tasks of this worker get their turn.
const TURN: usize = 4;

/// Serves one passed socket until `stop` changes. Must be called within a tokio `LocalSet`.
///
/// # Errors
///
/// When the socket cannot be used at all. Errors of single datagrams are none.
pub async fn serve<R: Resolver>(
    worker: Rc<Worker<R>>,
    socket: net::UdpSocket,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let echo = prepare(&socket)?;
    let socket = Rc::new(UdpSocket::from_std(socket)?);
    let mut batch = Batch::new(echo);
    let bound = socket.local_addr()?;
    loop {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
            ready = socket.readable() => ready?,
        }
        for _ in 0..TURN {
            match socket.try_io(Interest::READABLE, || batch.receive(&*socket)) {
                Ok(0) => break,
                Ok(received) => serve_batch(&worker, &socket, bound, &mut batch, received).await,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // Errors of datagrams sent earlier are reported here, too.
                Err(error) => {
                    debug!(%error, "receiving");
                    break;
                }
            }
        }
        yield_now().await;
    }
}

/// Whether answers have to say which of several addresses they come from. Asks for that to be
/// known of queries, as `PassPacketInfo=` does.
fn prepare(socket: &net::UdpSocket) -> io::Result<bool> {
    socket.set_nonblocking(true)?;
    let local = socket.local_addr()?.ip();
    if !local.is_unspecified() {
        return Ok(false);
    }
    match local {
        IpAddr::V4(_) => setsockopt(socket, sockopt::Ipv4PacketInfo, &true)?,
        IpAddr::V6(_) => setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?,
    }
    Ok(true)
}

async fn serve_batch<R: Resolver>(
    worker: &Rc<Worker<R>>,
    socket: &Rc<UdpSocket>,
    bound: SocketAddr,
    batch: &mut Batch,
    received: usize,
) {
    let now = Now::system();
    for index in 0..received {
        let Some((datagram, query, answer)) = batch.slot(index) else { continue };
        let local = datagram.local.map_or(bound, |ip| SocketAddr::new(ip, bound.port()));
        let client = datagram.peer;
        let source = Source { client, stream: false, keepalive: false, local: Some(local) };
        match worker.handle(query, source, now, answer) {
            Outcome::Silence => {}
            Outcome::Answered(len) => batch.answered(index, len),
            Outcome::Resolve(pending) => spawn(worker, socket, pending, datagram),
        }
    }
    let mut from = 0;
    let mut send = || match batch.send(&**socket, from) {
        None => Ok(()),
        Some(rest) => {
            from = rest;
            Err(io::ErrorKind::WouldBlock.into())
        }
    };
    // Usually there is room. When there is none, waiting for it is what slows clients down.
    while socket.try_io(Interest::WRITABLE, &mut send).is_err() {
        if socket.writable().await.is_err() {
            return;
        }
    }
}

/// Answers one client later.
fn spawn<R: Resolver>(
    worker: &Rc<Worker<R>>,
    socket: &Rc<UdpSocket>,
    pending: Box<Pending>,
    datagram: Datagram,
) {
    let (server, socket, place) = (Rc::clone(worker), Rc::clone(socket), pending.place());
    let task = spawn_local(async move {
        let answer = server.resolve(pending).await;
        send(&socket, &answer, datagram).await;
    });
    Place::served_by(worker.waiting(), place, task.abort_handle());
}

async fn send(socket: &UdpSocket, answer: &[u8], to: Datagram) {
    if answer.is_empty() {
        return;
    }
    let send = || send_one(socket.as_raw_fd(), answer, to.peer, to.local).map_err(io::Error::from);
    if let Err(error) = socket.async_io(Interest::WRITABLE, send).await {
        debug!(%error, client = %to.peer, "sending");
    }
}
