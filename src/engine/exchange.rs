//! One query to one server over a socket the broker gave, and whatever comes back.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tracing::trace;

use super::{Engine, Errand};
use crate::iterator::{ExchangeError, Transport};
use crate::mesh::{Event, Token};
use crate::metrics::{Counters, Stat};

/// Largest datagram read: more than any server should send after we announced 1232 octets, so
/// that one that ignores it is seen whole.
const DATAGRAM: usize = 4096;

/// Sends the query and delivers every message until the mesh closes the exchange, which drops
/// this. Errors of the socket end it.
pub(super) async fn run(engine: Engine, token: Token, errand: Errand, socket: OwnedFd) {
    let tell = |bytes: Vec<u8>| {
        engine.event(Event::Datagram { token, bytes: &bytes });
        std::future::ready(())
    };
    let ended = match errand.transport {
        Transport::Tls => tls(&engine, socket, &errand, tell).await,
        clear => talk(clear, socket, &errand.query, engine.counters(), tell).await,
    };
    if let Err(error) = ended {
        trace!(%error, "exchange ended");
        let error = match error.kind() {
            io::ErrorKind::ConnectionRefused => ExchangeError::Refused,
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
                ExchangeError::Unreachable
            }
            // That is how errors of TLS come.
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => ExchangeError::Untrusted,
            _ => ExchangeError::Closed,
        };
        engine.event(Event::Failed { token, error });
    }
}

/// Sends the query in the clear, counts that, and hands over every message that comes back, until
/// the socket ends.
///
/// # Errors
///
/// How it ended.
pub(super) async fn talk<F: Future<Output = ()>>(
    transport: Transport,
    socket: OwnedFd,
    query: &[u8],
    counters: &Counters,
    tell: impl Fn(Vec<u8>) -> F,
) -> io::Result<()> {
    match transport {
        Transport::Udp => udp(socket, query, counters, tell).await,
        Transport::Tcp => stream(connected(socket).await?, query, counters, tell).await,
        // What is to be secret does not go out in the clear.
        Transport::Tls => Err(io::ErrorKind::InvalidInput.into()),
    }
}

async fn udp<F: Future<Output = ()>>(
    socket: OwnedFd,
    query: &[u8],
    counters: &Counters,
    tell: impl Fn(Vec<u8>) -> F,
) -> io::Result<()> {
    let socket = UdpSocket::from_std(std::net::UdpSocket::from(socket))?;
    socket.send(query).await?;
    counters.add(Stat::UdpOut);
    let mut buffer = vec![0; DATAGRAM];
    loop {
        let len = socket.recv(&mut buffer).await?;
        tell(buffer.get(..len).unwrap_or_default().to_vec()).await;
    }
}

async fn tls<F: Future<Output = ()>>(
    engine: &Engine,
    socket: OwnedFd,
    errand: &Errand,
    tell: impl Fn(Vec<u8>) -> F,
) -> io::Result<()> {
    let tls = engine.tls().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let name = errand.tls_name.as_deref();
    let session = tls.connect(connected(socket).await?, errand.server, name).await?;
    stream(session, &errand.query, engine.counters(), tell).await
}

/// The stream that the broker began to connect, once it is.
async fn connected(socket: OwnedFd) -> io::Result<TcpStream> {
    let stream = TcpStream::from_std(std::net::TcpStream::from(socket))?;
    stream.writable().await?;
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    Ok(stream)
}

async fn stream<F: Future<Output = ()>>(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    query: &[u8],
    counters: &Counters,
    tell: impl Fn(Vec<u8>) -> F,
) -> io::Result<()> {
    let len = u16::try_from(query.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut message = Vec::with_capacity(2 + query.len());
    message.extend_from_slice(&len.to_be_bytes());
    message.extend_from_slice(query);
    stream.write_all(&message).await?;
    stream.flush().await?;
    counters.add(Stat::TcpOut);
    loop {
        let len = usize::from(stream.read_u16().await?);
        let mut response = vec![0; len];
        stream.read_exact(&mut response).await?;
        tell(response).await;
    }
}
