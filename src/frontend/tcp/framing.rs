//! Messages in a stream: two octets of length, then the message (RFC 1035 §4.2.2), split across
//! reads and writes as it pleases the network.

/// Octets read and not yet taken.
#[derive(Default)]
pub(super) struct Incoming {
    buffer: Vec<u8>,
    taken: usize,
}

/// Octets waiting to be written.
#[derive(Default)]
pub(super) struct Outgoing {
    buffer: Vec<u8>,
    written: usize,
}

impl Incoming {
    /// Adds what was read.
    pub(super) fn extend(&mut self, octets: &[u8]) {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        self.buffer.extend_from_slice(octets);
    }

    /// The next whole message.
    pub(super) fn next(&mut self) -> Option<&[u8]> {
        let rest = self.buffer.get(self.taken..)?;
        let (len, rest) = rest.split_first_chunk()?;
        let message = rest.get(..u16::from_be_bytes(*len).into())?;
        self.taken += 2 + message.len();
        Some(message)
    }
}

impl Outgoing {
    /// Adds a message of at most 65,535 octets.
    pub(super) fn push(&mut self, message: &[u8]) {
        let Ok(len) = u16::try_from(message.len()) else { return };
        self.buffer.drain(..self.written);
        self.written = 0;
        self.buffer.extend_from_slice(&len.to_be_bytes());
        self.buffer.extend_from_slice(message);
    }

    /// What is to be written next.
    pub(super) fn rest(&self) -> &[u8] {
        self.buffer.get(self.written..).unwrap_or_default()
    }

    /// So many octets of [`Outgoing::rest`] were written.
    pub(super) fn advance(&mut self, octets: usize) {
        self.written += octets;
        if self.written >= self.buffer.len() {
            self.buffer.clear();
            self.written = 0;
        }
    }

    /// Octets that wait.
    pub(super) fn len(&self) -> usize {
        self.rest().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_whole_however_they_were_split() {
        let mut stream = Vec::new();
        let messages: [&[u8]; 4] = [b"one", b"", b"three", &[7; 300]];
        for message in messages {
            let mut outgoing = Outgoing::default();
            outgoing.push(message);
            stream.extend_from_slice(outgoing.rest());
        }
        for size in [1, 2, 3, 5, 8, 1000] {
            let mut incoming = Incoming::default();
            let mut got = Vec::new();
            for chunk in stream.chunks(size) {
                incoming.extend(chunk);
                while let Some(message) = incoming.next() {
                    got.push(message.to_vec());
                }
            }
            assert_eq!(got, messages, "{size}");
            assert_eq!(incoming.taken, incoming.buffer.len());
        }
    }

    #[test]
    fn what_was_written_is_not_written_again() {
        let mut outgoing = Outgoing::default();
        outgoing.push(b"abc");
        outgoing.advance(3);
        outgoing.push(b"d");
        assert_eq!(outgoing.rest(), b"bc\x00\x01d");
        assert_eq!(outgoing.len(), 5);
        outgoing.advance(5);
        assert_eq!(outgoing.len(), 0);
        outgoing.push(&vec![0; 65_536]);
        assert_eq!(outgoing.len(), 0, "what is no message is not sent");
    }
}
