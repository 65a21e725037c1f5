//! A world behind real sockets: every server on a loopback port of its own, all in one thread.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::oneshot;

use super::scenario::Asked;
use super::{Reply, Transport, World};
use crate::clock::Now;
use crate::wire::Message;

/// A connection is closed when nothing was asked for so long.
const IDLE: Duration = Duration::from_secs(10);
/// How long to wait after a connection could not be accepted.
const PAUSE: Duration = Duration::from_millis(10);

/// A world that can be asked over sockets, until it is dropped.
#[derive(Debug)]
pub struct Network {
    shared: Arc<Shared>,
    /// Where each server really is: over UDP, over TCP.
    routes: BTreeMap<IpAddr, (SocketAddr, SocketAddr)>,
    /// Dropped first, which ends the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    world: RwLock<World>,
    asked: Mutex<Vec<Asked>>,
}

impl Network {
    /// Binds a UDP and a TCP port for every server of the world, and serves them in a thread.
    ///
    /// # Errors
    ///
    /// When there are no sockets or threads to be had.
    pub fn new(world: World) -> io::Result<Self> {
        let mut routes = BTreeMap::new();
        let mut sockets = Vec::new();
        for address in world.addresses() {
            let (udp, tcp) = bind()?;
            routes.insert(address, (udp.local_addr()?, tcp.local_addr()?));
            sockets.push((address, udp, tcp));
        }
        let shared = Arc::new(Shared { world: world.into(), asked: Mutex::default() });
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let (stop, stopped) = oneshot::channel();
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("lab".to_owned()).spawn(move || {
            runtime.block_on(async {
                for (address, udp, tcp) in sockets {
                    // Inside the runtime, which registering needs.
                    let (Ok(udp), Ok(tcp)) = (UdpSocket::from_std(udp), TcpListener::from_std(tcp))
                    else {
                        continue;
                    };
                    tokio::spawn(serve_udp(udp, address, Arc::clone(&theirs)));
                    tokio::spawn(serve_tcp(tcp, address, Arc::clone(&theirs)));
                }
                // An error means that the other end is gone, which is what we wait for.
                let _ = stopped.await;
            });
        })?;
        Ok(Self { shared, routes, stop: Some(stop), thread: Some(thread) })
    }

    /// Where a server of the world really is; `None` when it cannot be reached.
    pub fn route(&self, to: IpAddr, transport: Transport) -> Option<SocketAddr> {
        let reachable = read(&self.shared.world).reaches(to);
        let (udp, tcp) = self.routes.get(&to).filter(|_| reachable)?;
        Some(match transport {
            Transport::Udp => *udp,
            Transport::Tcp => *tcp,
        })
    }

    /// Whether the world has a server at that address, reachable or not.
    pub fn knows(&self, to: IpAddr) -> bool {
        self.routes.contains_key(&to)
    }

    /// Looks at the world.
    pub fn with<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        look(&read(&self.shared.world))
    }

    /// Changes the world.
    pub fn change(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.shared.world.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Takes the list of queries that have arrived since the last time.
    pub fn take_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic over there was shown already.
            let _ = thread.join();
        }
    }
}

fn read(world: &RwLock<World>) -> std::sync::RwLockReadGuard<'_, World> {
    world.read().unwrap_or_else(PoisonError::into_inner)
}

#[expect(clippy::disallowed_methods, reason = "these servers are not the daemon")]
fn bind() -> io::Result<(std::net::UdpSocket, std::net::TcpListener)> {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let udp = std::net::UdpSocket::bind(any)?;
    let tcp = std::net::TcpListener::bind(any)?;
    udp.set_nonblocking(true)?;
    tcp.set_nonblocking(true)?;
    Ok((udp, tcp))
}

impl Shared {
    fn respond(&self, to: IpAddr, query: &[u8], transport: Transport) -> Vec<Reply> {
        if let Some(question) = Message::parse(query).ok().and_then(|query| query.question) {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            asked.push(Asked { server: to, question, transport });
        }
        read(&self.world).respond(to, query, transport, Now::system().unix)
    }
}

async fn serve_udp(socket: UdpSocket, address: IpAddr, shared: Arc<Shared>) {
    let socket = Arc::new(socket);
    let mut buffer = [0; 4096];
    loop {
        // Errors are those of earlier datagrams (ECONNREFUSED): nobody waits for them any more.
        let Ok((len, client)) = socket.recv_from(&mut buffer).await else { continue };
        for reply in shared.respond(address, &buffer[..len], Transport::Udp) {
            let Reply::Message(after, bytes) = reply else { continue };
            if after.is_zero() {
                let _ = socket.send_to(&bytes, client).await;
                continue;
            }
            let socket = Arc::clone(&socket);
            tokio::spawn(async move {
                tokio::time::sleep(after).await;
                let _ = socket.send_to(&bytes, client).await;
            });
        }
    }
}

async fn serve_tcp(listener: TcpListener, address: IpAddr, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // No descriptor left, or the client is gone already: the next one may have more luck.
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            // A client that breaks off is its own business.
            let _ = serve_stream(stream, address, &shared).await;
        });
    }
}

/// Queries one after the other until the client or the server's behavior ends it.
async fn serve_stream(mut stream: TcpStream, address: IpAddr, shared: &Shared) -> io::Result<()> {
    loop {
        let len = tokio::time::timeout(IDLE, stream.read_u16()).await??;
        let mut query = vec![0; len.into()];
        stream.read_exact(&mut query).await?;
        for reply in shared.respond(address, &query, Transport::Tcp) {
            match reply {
                Reply::Close => return Ok(()),
                Reply::Message(after, bytes) => {
                    tokio::time::sleep(after).await;
                    let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
                    stream.write_all(&[&len.to_be_bytes(), &bytes[..]].concat()).await?;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;
    use crate::wire::{Builder, Header, Question, RecordType};

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a client of the mock servers")]
    fn servers_answer_over_both_transports_until_the_end() {
        let text =
            "$ZONE . 192.0.2.1\nx. A 192.0.2.9\n$ZONE y. 192.0.2.2\n$SERVER 192.0.2.2 unreachable";
        let network = Network::new(World::new(text).unwrap()).unwrap();
        let to = "192.0.2.1".parse().unwrap();
        let mut builder = Builder::new(Header { id: 7, ..Header::default() }, 512);
        builder.question(&Question::new("x.".parse().unwrap(), RecordType::A));
        let query = builder.finish(None);
        let mut buffer = [0; 512];

        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        udp.connect(network.route(to, Transport::Udp).unwrap()).unwrap();
        udp.send(&query).unwrap();
        let len = udp.recv(&mut buffer).unwrap();
        assert_eq!(Message::parse(&buffer[..len]).unwrap().answer.len(), 1);

        let mut tcp =
            std::net::TcpStream::connect(network.route(to, Transport::Tcp).unwrap()).unwrap();
        let len = u16::try_from(query.len()).unwrap().to_be_bytes();
        tcp.write_all(&[&len, &query[..], &len, &query[..]].concat()).unwrap();
        for _ in 0..2 {
            let mut len = [0; 2];
            tcp.read_exact(&mut len).unwrap();
            let mut message = vec![0; u16::from_be_bytes(len).into()];
            tcp.read_exact(&mut message).unwrap();
            assert_eq!(Message::parse(&message).unwrap().answer.len(), 1);
        }
        assert_eq!(network.take_asked().len(), 3);
        assert_eq!(network.route("192.0.2.2".parse().unwrap(), Transport::Udp), None);
        assert_eq!(network.route("192.0.2.3".parse().unwrap(), Transport::Udp), None);
        drop(network);
        assert_eq!(tcp.read(&mut buffer).unwrap(), 0, "the end of the world");
    }
}
