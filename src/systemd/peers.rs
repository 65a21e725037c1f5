//! What is passed to a broker: ways to the daemon.

use std::os::fd::OwnedFd;

use super::claim::{ClaimError, Expected, Label};
use super::found::{Address, Found, Kind};

/// One way to the daemon.
#[derive(Debug)]
pub enum Peer {
    /// A datagram socket through which channels are sent. systemd's own is bound and has no peer,
    /// that of the launcher is one end of a pair.
    Rendezvous(OwnedFd),
    /// One end of a seqpacket pair.
    Channel(OwnedFd),
}

impl Peer {
    /// Sorts one passed descriptor.
    ///
    /// # Errors
    ///
    /// When it is something else; says what.
    pub fn claim((label, descriptor): (Label, OwnedFd)) -> Result<Self, ClaimError> {
        let found = match Found::look(&descriptor) {
            Ok(found) => found,
            Err(errno) => return Err(ClaimError::System { label, errno }),
        };
        let kind = match &found {
            Found::Socket(socket) if matches!(socket.address, Address::Unix(_)) => {
                Some((socket.kind, socket.connected))
            }
            _ => None,
        };
        match kind {
            Some((Kind::Datagram, _)) => Ok(Self::Rendezvous(descriptor)),
            Some((Kind::Seqpacket, true)) => Ok(Self::Channel(descriptor)),
            _ => Err(ClaimError::Refused { label, found, expected: Expected::Daemon }),
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test makes what it passes")]
mod tests {
    use std::os::unix::net::{UnixDatagram, UnixStream};

    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket, socketpair};

    use super::*;

    #[test]
    fn datagrams_are_rendezvous_and_connected_seqpackets_are_channels() {
        let unix = AddressFamily::Unix;
        let none = SockFlag::empty();
        let pair = socketpair(unix, SockType::SeqPacket, None, none).unwrap().0;
        let alone = socket(unix, SockType::SeqPacket, none, None).unwrap();
        let bound = socket(unix, SockType::Datagram, none, None).unwrap();
        #[rustfmt::skip]
        let cases: [(&str, OwnedFd, &str); 5] = [
            ("one of a pair",  UnixDatagram::pair().unwrap().0.into(), "rendezvous"),
            ("without a peer", bound,                                  "rendezvous"),
            ("a channel",      pair,                                   "channel"),
            ("not connected",  alone,                                  "refused"),
            ("a stream",       UnixStream::pair().unwrap().0.into(),   "refused"),
        ];
        for (case, descriptor, expected) in cases {
            let label = Label { number: 3, name: "egress".to_owned() };
            let is = match Peer::claim((label, descriptor)) {
                Ok(Peer::Rendezvous(_)) => "rendezvous",
                Ok(Peer::Channel(_)) => "channel",
                Err(_) => "refused",
            };
            assert_eq!(is, expected, "{case}");
        }
    }
}
