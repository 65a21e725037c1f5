//! The one line that a control connection begins with.

use std::io;

use thiserror::Error;
use tokio::net::UnixStream;

/// What every command begins with: the protocol and its version.
const MAGIC: &[u8] = b"UBCT";
const VERSION: u8 = b'1';
/// Octets a command may have.
const LONGEST: usize = 4096;

/// Why there is no command.
#[derive(Debug, Error)]
pub(super) enum LineError {
    #[error("not the control protocol")]
    NoMagic,
    #[error("another version of the control protocol")]
    Version,
    #[error("command is longer than {LONGEST} octets")]
    TooLong,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads up to the end of the line, or of what the client sends, in however many pieces it comes.
pub(super) async fn read(stream: &UnixStream) -> Result<Vec<String>, LineError> {
    let mut line = Vec::new();
    let mut buffer = [0; 512];
    loop {
        stream.readable().await?;
        match stream.try_read(&mut buffer) {
            Ok(0) => return parse(&line),
            Ok(len) => {
                line.extend_from_slice(buffer.get(..len).unwrap_or_default());
                if let Some(end) = line.iter().position(|octet| *octet == b'\n') {
                    return parse(line.get(..end).unwrap_or_default());
                }
                if !line.starts_with(MAGIC) && line.len() >= MAGIC.len() {
                    return Err(LineError::NoMagic);
                }
                if line.len() > LONGEST {
                    return Err(LineError::TooLong);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The words of a command line.
fn parse(line: &[u8]) -> Result<Vec<String>, LineError> {
    let rest = line.strip_prefix(MAGIC).ok_or(LineError::NoMagic)?;
    let (&version, rest) = rest.split_first().ok_or(LineError::NoMagic)?;
    match (version, rest.first()) {
        (VERSION, None | Some(b' ' | b'\t')) => {}
        _ => return Err(LineError::Version),
    }
    // A carriage return is part of its word, as in Unbound.
    let words = rest.split(|octet| matches!(octet, b' ' | b'\t')).filter(|word| !word.is_empty());
    Ok(words.map(|word| String::from_utf8_lossy(word).into_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_magic_version_and_words() {
        #[rustfmt::skip]
        let cases: [(&[u8], &str); 9] = [
            (b"UBCT1  status",          "status"),
            (b"UBCT1 flush_type a.b A", "flush_type|a.b|A"),
            (b"UBCT1\tstatus  ",        "status"),
            (b"UBCT1 status\r",         "status\r"),
            (b"UBCT1",                  ""),
            (b"UBCT2 status",           "another version of the control protocol"),
            (b"UBCT12 status",          "another version of the control protocol"),
            (b"GET / HTTP/1.1",         "not the control protocol"),
            (b"UBC",                    "not the control protocol"),
        ];
        for (line, want) in cases {
            let got = parse(line).map_or_else(|error| error.to_string(), |words| words.join("|"));
            assert_eq!(got, want, "{}", String::from_utf8_lossy(line));
        }
    }
}
