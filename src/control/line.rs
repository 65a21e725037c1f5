//! What a control connection carries: one line that is the command, for some commands lines of data
//! behind it.

use std::io;
use std::time::Duration;

use thiserror::Error;
use tokio::net::UnixStream;
use tokio::time::timeout;

/// What every command begins with: the protocol and its version.
pub(super) const MAGIC: &[u8] = b"UBCT";
const VERSION: u8 = b'1';
/// Octets a command may have.
const LONGEST_COMMAND: usize = 16 << 10;
/// Octets a line of data may have: a record of the greatest length in any spelling.
const LONGEST_LINE: usize = 512 << 10;
/// Octets read at once.
const READ: usize = 16 << 10;
/// How long a client may be silent, and how long it may take none of the answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Why there is no command or no more data.
#[derive(Debug, Error)]
pub(super) enum LineError {
    #[error("not the control protocol")]
    NoMagic,
    #[error("another version of the control protocol")]
    Version,
    #[error("a line is longer than {0} octets")]
    TooLong(usize),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The lines that come in, in however many pieces.
pub(super) struct Lines<'a> {
    stream: &'a UnixStream,
    buffer: Vec<u8>,
    /// Octets of the buffer that were given out.
    taken: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(stream: &'a UnixStream) -> Self {
        Self { stream, buffer: Vec::new(), taken: 0 }
    }

    /// The command: what follows magic and version on the first line.
    pub(super) async fn command(&mut self) -> Result<String, LineError> {
        while !self.buffer.contains(&b'\n') {
            if self.buffer.len() >= MAGIC.len() && !self.buffer.starts_with(MAGIC) {
                return Err(LineError::NoMagic);
            }
            if self.buffer.len() > LONGEST_COMMAND {
                return Err(LineError::TooLong(LONGEST_COMMAND));
            }
            if !self.more().await? {
                break;
            }
        }
        let line = self.take_line().unwrap_or_else(|| std::mem::take(&mut self.buffer));
        parse(&line)
    }

    /// The next line of data, without its end; `None` when the client has sent all it wants to.
    pub(super) async fn data(&mut self) -> Result<Option<String>, LineError> {
        let text = |line: Vec<u8>| String::from_utf8_lossy(&line).into_owned();
        loop {
            if let Some(line) = self.take_line() {
                return Ok(Some(text(line)));
            }
            if self.buffer.len() - self.taken > LONGEST_LINE {
                return Err(LineError::TooLong(LONGEST_LINE));
            }
            if !self.more().await? {
                let rest = self.buffer.split_off(self.taken);
                self.buffer.clear();
                self.taken = 0;
                return Ok(Some(text(rest)).filter(|rest| !rest.is_empty()));
            }
        }
    }

    /// Reads and forgets what the client still sends: closing before that would reset the
    /// connection, and the client would not see the answer.
    pub(super) async fn drain(&mut self, most: usize) {
        let mut seen = 0;
        while seen < most {
            seen += self.buffer.len();
            self.buffer.clear();
            self.taken = 0;
            if !matches!(self.more().await, Ok(true)) {
                return;
            }
        }
    }

    fn take_line(&mut self) -> Option<Vec<u8>> {
        let rest = self.buffer.get(self.taken..).unwrap_or_default();
        let end = rest.iter().position(|octet| *octet == b'\n')?;
        let line = rest.get(..end).unwrap_or_default().to_vec();
        self.taken += end + 1;
        Some(line)
    }

    /// Reads more; false at the end.
    async fn more(&mut self) -> Result<bool, LineError> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        let mut piece = [0; READ];
        loop {
            timeout(PATIENCE, self.stream.readable()).await.map_err(io::Error::from)??;
            match self.stream.try_read(&mut piece) {
                Ok(len) => {
                    self.buffer.extend_from_slice(piece.get(..len).unwrap_or_default());
                    return Ok(len > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// What follows magic and version.
fn parse(line: &[u8]) -> Result<String, LineError> {
    let rest = line.strip_prefix(MAGIC).ok_or(LineError::NoMagic)?;
    let (&version, rest) = rest.split_first().ok_or(LineError::NoMagic)?;
    match (version, rest.first()) {
        (VERSION, None | Some(b' ' | b'\t')) => {}
        _ => return Err(LineError::Version),
    }
    // A carriage return is part of its word, as in Unbound.
    Ok(String::from_utf8_lossy(rest).trim_matches([' ', '\t']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_magic_version_and_words() {
        #[rustfmt::skip]
        let cases: [(&[u8], &str); 9] = [
            (b"UBCT1  status",          "status"),
            (b"UBCT1 flush_type a.b A", "flush_type a.b A"),
            (b"UBCT1\tstatus  ",        "status"),
            (b"UBCT1 status\r",         "status\r"),
            (b"UBCT1",                  ""),
            (b"UBCT2 status",           "another version of the control protocol"),
            (b"UBCT12 status",          "another version of the control protocol"),
            (b"GET / HTTP/1.1",         "not the control protocol"),
            (b"UBC",                    "not the control protocol"),
        ];
        for (line, want) in cases {
            let got = parse(line).unwrap_or_else(|error| error.to_string());
            assert_eq!(got, want, "{}", String::from_utf8_lossy(line));
        }
    }
}
