//! Sockets that the launcher itself was passed: it may stand under a service manager, too.
//!
//! A socket bound to an address that the command line names is used in place of one of our own,
//! which could not be bound beside it.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use super::NAME;
use super::error::LaunchError;
use crate::logging::say;
use crate::systemd::descriptors::{self, ClaimError};
use crate::systemd::found::{Address, Found, Kind};

/// What was passed and is not used yet.
#[derive(Debug, Default)]
pub(super) struct Inherited(Vec<(Kind, SocketAddr, OwnedFd)>);

impl Inherited {
    /// Takes what was passed to this process; nothing when nothing was.
    ///
    /// To be called before there are threads.
    ///
    /// # Errors
    ///
    /// When `LISTEN_FDS` is for this process and wrong.
    pub(super) fn take() -> Result<Self, LaunchError> {
        let passed = match descriptors::passed() {
            Ok(passed) => passed,
            Err(ClaimError::NonePassed | ClaimError::OtherProcess { .. }) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let mut sockets = Vec::new();
        for (label, socket) in passed {
            match Found::look(&socket) {
                Ok(Found::Socket(found)) => match found.address {
                    Address::Internet { local, .. } => sockets.push((found.kind, local, socket)),
                    _ => say(NAME, format_args!("{label}: passed, but of no use here")),
                },
                _ => say(NAME, format_args!("{label}: passed, but not a socket")),
            }
        }
        Ok(Self(sockets))
    }

    /// The UDP sockets bound to `address`.
    pub(super) fn datagrams(&mut self, address: SocketAddr) -> Vec<OwnedFd> {
        self.extract(Kind::Datagram, address)
    }

    /// The listening TCP socket bound to `address`.
    pub(super) fn stream(&mut self, address: SocketAddr) -> Option<OwnedFd> {
        self.extract(Kind::Stream, address).into_iter().next()
    }

    fn extract(&mut self, kind: Kind, address: SocketAddr) -> Vec<OwnedFd> {
        self.0
            .extract_if(.., |(found, local, _)| *found == kind && *local == address)
            .map(|(_, _, socket)| socket)
            .collect()
    }

    /// Says what nobody asked for; it is closed.
    pub(super) fn finish(self) {
        for (_, address, _) in self.0 {
            say(NAME, format_args!("a socket for {address} was passed, which no option names"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "stands in for a service manager")]
    fn a_socket_is_given_out_once_and_only_for_its_address() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let mut inherited = Inherited(vec![(Kind::Datagram, address, socket.into())]);
        assert!(inherited.stream(address).is_none());
        assert!(inherited.datagrams("127.0.0.1:1".parse().unwrap()).is_empty());
        assert_eq!(inherited.datagrams(address).len(), 1);
        assert!(inherited.datagrams(address).is_empty());
    }
}
