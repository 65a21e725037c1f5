//! News of the network, by a netlink socket that was passed: links, addresses, routes.
//!
//! What was learned of servers was learned over the network as it was. When that changes, round-trip
//! times, pauses and remembered failures are forgotten, so that a host that was offline answers as
//! soon as it is online.
//!
//! Messages come in bursts and in repetition: a router's advertisement renews an address every few
//! minutes. So what is known already is no news, and a burst counts once.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net;
use std::time::Duration;

use nix::libc;
use tokio::net::UnixDatagram;
use tokio::time::sleep;

use crate::clock::{Mono, Now};

/// A burst is over when so much time has passed since its first message.
const BURST: Duration = Duration::from_millis(250);
/// A network that changes all the time does not have us forget all the time.
const SELDOM: Duration = Duration::from_secs(5);
/// Bytes read at once; the kernel's messages are smaller than a page.
const BUFFER: usize = 32 << 10;
/// Links and addresses remembered; beyond that all of them are forgotten, which is news once more.
const MOST: usize = 4096;

/// Waits for changes.
pub(super) struct Watch {
    /// Not a Unix socket, but one of datagrams, too: reading is the same call.
    socket: Option<UnixDatagram>,
    known: Known,
    /// When the burst under way is over.
    due: Option<Mono>,
    /// Before this there is no next one.
    not_before: Mono,
}

impl Watch {
    /// Watches through `socket`; without one nothing ever changes. Within a tokio runtime.
    ///
    /// # Errors
    ///
    /// When the event loop does not take it.
    pub(super) fn new(socket: Option<OwnedFd>) -> io::Result<Self> {
        let datagrams = socket.map(net::UnixDatagram::from);
        let socket = datagrams.map(UnixDatagram::from_std).transpose()?;
        Ok(Self { socket, ..Self::deaf() })
    }

    /// Hears of no change.
    pub(super) fn deaf() -> Self {
        Self { socket: None, known: Known::default(), due: None, not_before: Mono::ZERO }
    }

    /// Returns after the network has changed. Loses nothing when it is dropped before.
    pub(super) async fn changed(&mut self) {
        loop {
            let Some(socket) = &self.socket else { return std::future::pending().await };
            let now = Now::system().mono;
            let due = self.due;
            tokio::select! {
                biased;
                () = sleep(due.unwrap_or(now).since(now)), if due.is_some() => {
                    self.due = None;
                    self.not_before = Now::system().mono + SELDOM;
                    return;
                }
                // A mistake shows when it is read.
                _ = socket.readable() => match read(socket, &mut self.known) {
                    Ok(false) => {}
                    Ok(true) => {
                        let burst = (Now::system().mono + BURST).max(self.not_before);
                        self.due.get_or_insert(burst);
                    }
                    Err(error) => {
                        tracing::warn!(%error, "no more news of the network");
                        self.socket = None;
                    }
                },
            }
        }
    }
}

/// Reads one datagram, if there is one; whether it has news.
fn read(socket: &UnixDatagram, known: &mut Known) -> io::Result<bool> {
    let mut buffer = [0; BUFFER];
    match socket.try_recv(&mut buffer) {
        Ok(len) => Ok(known.is_news(buffer.get(..len).unwrap_or_default())),
        // There was more than fits: something has changed, whatever it was.
        Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => Ok(true),
        Err(error) => match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(false),
            _ => Err(error),
        },
    }
}

/// Links and addresses as they were last told.
#[derive(Debug, Default)]
struct Known {
    /// By number, whether there is a way through.
    links: HashMap<i32, bool>,
    /// Number of the link and address.
    addresses: HashSet<(u32, Vec<u8>)>,
}

impl Known {
    /// Whether a datagram of messages tells something new.
    fn is_news(&mut self, mut datagram: &[u8]) -> bool {
        let mut news = false;
        while let Some((kind, body, rest)) = message(datagram) {
            news |= self.one(kind, body);
            datagram = rest;
        }
        news
    }

    fn one(&mut self, kind: u16, body: &[u8]) -> bool {
        if self.links.len() > MOST || self.addresses.len() > MOST {
            *self = Self::default();
        }
        match kind {
            // struct ifinfomsg: family, padding, type, index, flags.
            libc::RTM_NEWLINK | libc::RTM_DELLINK => {
                let (Some(index), Some(flags)) = (number(body, 4), number(body, 8)) else {
                    return false;
                };
                let [index, flags] = [index, flags].map(u32::cast_signed);
                let through = kind == libc::RTM_NEWLINK && flags & WAY == WAY;
                self.links.insert(index, through) != Some(through)
            }
            // struct ifaddrmsg: family, length of prefix, flags, scope, index; then attributes.
            libc::RTM_NEWADDR | libc::RTM_DELADDR => {
                let Some(index) = number(body, 4) else { return false };
                let attributes = body.get(8..).unwrap_or_default();
                let Some(address) = attribute(attributes, libc::IFA_ADDRESS) else { return false };
                let key = (index, address.to_vec());
                if kind == libc::RTM_NEWADDR {
                    self.addresses.insert(key)
                } else {
                    self.addresses.remove(&key);
                    true
                }
            }
            libc::RTM_NEWROUTE | libc::RTM_DELROUTE => true,
            _ => false,
        }
    }
}

/// A link that is up and has a carrier.
const WAY: i32 = libc::IFF_UP | libc::IFF_RUNNING;

/// The first message of a datagram: its type, what is behind the header, and the other messages.
/// None when there is no whole one.
fn message(datagram: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    // struct nlmsghdr: length, type, flags, sequence, port.
    const HEADER: usize = 16;
    let len = usize::try_from(number(datagram, 0)?).ok()?;
    let kind = short(datagram, 4)?;
    let body = datagram.get(HEADER..len)?;
    Some((kind, body, datagram.get(aligned(len)..).unwrap_or_default()))
}

/// The content of the first attribute of that type.
fn attribute(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    // struct rtattr: length, type.
    const HEADER: usize = 4;
    loop {
        let len = usize::from(short(attributes, 0)?);
        let content = attributes.get(HEADER..len)?;
        if short(attributes, 2)? == wanted {
            return Some(content);
        }
        attributes = attributes.get(aligned(len)..)?;
    }
}

/// Messages and attributes begin at multiples of four bytes.
fn aligned(len: usize) -> usize {
    len.next_multiple_of(4)
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_ne_bytes(bytes.try_into().ok()?))
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message as the kernel lays it out.
    fn made(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&u32::try_from(16 + body.len()).unwrap().to_ne_bytes());
        out.extend_from_slice(&kind.to_ne_bytes());
        out.extend_from_slice(&[0; 10]);
        out.extend_from_slice(body);
        out.resize(aligned(out.len()), 0);
        out
    }

    fn link(kind: u16, index: u32, flags: i32) -> Vec<u8> {
        let mut body = vec![0; 4];
        body.extend_from_slice(&index.to_ne_bytes());
        body.extend_from_slice(&flags.to_ne_bytes());
        body.extend_from_slice(&[0; 4]);
        made(kind, &body)
    }

    fn address(kind: u16, index: u32, address: &[u8]) -> Vec<u8> {
        let mut body = vec![2, 24, 0, 0];
        body.extend_from_slice(&index.to_ne_bytes());
        // An attribute of odd length before it.
        for (wanted, content) in [(3, &b"eth"[..]), (libc::IFA_ADDRESS, address)] {
            body.extend_from_slice(&u16::try_from(4 + content.len()).unwrap().to_ne_bytes());
            body.extend_from_slice(&wanted.to_ne_bytes());
            body.extend_from_slice(content);
            body.resize(aligned(body.len()), 0);
        }
        made(kind, &body)
    }

    #[test]
    fn only_what_is_not_known_is_news() {
        use libc::{
            RTM_DELADDR, RTM_DELLINK, RTM_DELROUTE, RTM_NEWADDR, RTM_NEWLINK, RTM_NEWROUTE,
        };
        let ip = [192, 0, 2, 1];
        let both = [link(RTM_NEWLINK, 2, 0), made(RTM_NEWROUTE, &[0; 12])].concat();
        #[rustfmt::skip]
        let steps = [
            ("first word of a link",   link(RTM_NEWLINK, 2, WAY), true),
            ("the same",               link(RTM_NEWLINK, 2, WAY | libc::IFF_PROMISC), false),
            ("no carrier",             link(RTM_NEWLINK, 2, libc::IFF_UP), true),
            ("another link",           link(RTM_NEWLINK, 3, WAY), true),
            ("carrier",                link(RTM_NEWLINK, 2, WAY), true),
            ("gone",                   link(RTM_DELLINK, 2, WAY), true),
            ("new address",            address(RTM_NEWADDR, 2, &ip), true),
            ("renewed",                address(RTM_NEWADDR, 2, &ip), false),
            ("of another link",        address(RTM_NEWADDR, 3, &ip), true),
            ("away",                   address(RTM_DELADDR, 2, &ip), true),
            ("and again",              address(RTM_NEWADDR, 2, &ip), true),
            ("route",                  made(RTM_NEWROUTE, &[0; 12]), true),
            ("no route",               made(RTM_DELROUTE, &[0; 12]), true),
            ("neighbor",               made(libc::RTM_NEWNEIGH, &[0; 12]), false),
            ("two in one",             both, true),
        ];
        let mut known = Known::default();
        for (what, datagram, news) in steps {
            assert_eq!(known.is_news(&datagram), news, "{what}");
        }
    }

    #[test]
    fn what_is_cut_short_or_lies_about_its_length_is_not_read() {
        let whole = address(libc::RTM_NEWADDR, 2, &[192, 0, 2, 1]);
        for len in 0..whole.len() {
            assert!(!Known::default().is_news(&whole[..len]), "{len}");
        }
        for lie in [0u32, 1, 15, 17, u32::MAX] {
            let mut datagram = whole.clone();
            datagram[..4].copy_from_slice(&lie.to_ne_bytes());
            assert!(!Known::default().is_news(&datagram), "{lie}");
        }
        assert!(attribute(&[0; 16], libc::IFA_ADDRESS).is_none(), "attributes without length end");
        assert!(Known::default().is_news(&whole));
    }
}
