//! The way into a world: a broker that connects every address to the mock server that has it.

use std::os::fd::OwnedFd;

use nix::errno::Errno;

use super::{Network, World};
use crate::egress::broker::{Broker, BrokerError, End};
use crate::egress::dial::{By, Denied, open_plain};
use crate::egress::protocol::Request;

/// The Internet of `prebound-launch --lab`. Its keys follow from the names of its zones, so that
/// every process that reads it has the same.
pub const INTERNET: &str = include_str!("world/internet.zone");

/// Names to try in [`INTERNET`], and what they show.
pub const SAMPLES: &[(&str, &str)] = &[
    ("secure: AD is set", "www.secure.example A"),
    ("insecure: an answer without AD", "www.insecure.example A"),
    ("bogus: SERVFAIL, and why", "www.bogus.example A"),
    ("no such name: NXDOMAIN, proven", "nothing.secure.example A"),
];

/// Makes the socket for a request: to the mock server of that address, whatever the port.
///
/// # Errors
///
/// `ECONNREFUSED` when the server cannot be reached, `ENETUNREACH` when the world has none there.
pub fn dial(network: &Network, request: &Request) -> Result<OwnedFd, Denied> {
    let to = request.to.ip();
    match network.route(to, request.transport) {
        Some(real) => Ok(open_plain(request.transport, real)?),
        None if network.knows(to) => Err(Errno::ECONNREFUSED.into()),
        None => Err(Errno::ENETUNREACH.into()),
    }
}

/// Why the lab does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The text of the world is wrong.
    #[error("bad world: {0}")]
    World(#[from] super::LabError),
    /// The system has no sockets or threads.
    #[error("cannot start the servers: {0}")]
    Network(#[from] std::io::Error),
    /// The broker stopped.
    #[error(transparent)]
    Broker(#[from] BrokerError),
}

/// Serves a world to the daemons that dial in at `rendezvous`, in the place of `prebound-egress`.
/// Does not come back as long as the rendezvous is open.
///
/// # Errors
///
/// [`ServeError`].
pub fn serve(text: &str, rendezvous: OwnedFd) -> Result<End, ServeError> {
    let network = Network::new(World::new(text)?)?;
    let mut broker = Broker::new(By(|request: &Request| dial(&network, request)));
    broker.set_rendezvous(rendezvous);
    Ok(broker.run(None)?)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::unix::net::UnixDatagram;

    use super::*;
    use crate::egress::client::{Egress, EgressError};
    use crate::egress::protocol::Transport;
    use crate::wire::{Builder, Edns, Header, Message, Question, RecordType};

    #[tokio::test]
    async fn every_address_of_the_world_can_be_reached_through_the_broker() {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        World::new(INTERNET).unwrap();
        // Ends with the test's process: the rendezvous stays open as long as it lives.
        std::thread::spawn(move || serve(INTERNET, theirs.into()));
        let mut egress = Egress::through(ours.into());
        egress.request(1, Transport::Udp, "192.0.2.10:53".parse().unwrap());
        egress.request(2, Transport::Udp, "[2001:db8::2]:53".parse().unwrap());
        egress.request(3, Transport::Udp, "198.51.100.1:53".parse().unwrap());
        for (id, error) in
            [(1, None), (2, None), (3, Some(EgressError::Failed(Errno::ENETUNREACH)))]
        {
            let delivered = egress.recv().await;
            assert_eq!(delivered.id, id);
            assert_eq!(delivered.socket.as_ref().err().copied(), error);
            let Ok(socket) = delivered.socket else { continue };
            let socket = UdpSocket::from(socket);
            socket.set_nonblocking(false).unwrap();
            let mut builder = Builder::new(Header { id: 9, ..Header::default() }, 512);
            builder.question(&Question::new("www.secure.example.".parse().unwrap(), RecordType::A));
            socket.send(&builder.finish(Some(&Edns::new(1232, true)))).unwrap();
            let mut buffer = [0; 1232];
            let len = socket.recv(&mut buffer).unwrap();
            let message = Message::parse(&buffer[..len]).unwrap();
            assert_eq!(message.header.aa(), id == 1, "an answer, or a referral");
        }
    }

    #[test]
    fn the_built_in_world_has_what_it_promises() {
        let world = World::new(INTERNET).unwrap();
        assert_eq!(world.hints()[0].addrs.len(), 2);
        assert_eq!(world.trust(), World::new(INTERNET).unwrap().trust(), "the same keys again");
    }
}
