//! Reading a zone from a file (RFC 1035 §5).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::master::{MasterFile, RecordError};
use crate::wire::{Name, Record};

/// TTL of records where no TTL is written and no `$TTL` before them, in seconds.
const DEFAULT_TTL: u32 = 3_600;
/// How deep files may include others.
const MAX_DEPTH: usize = 8;
/// Files that one zone may be read from, the same counted again.
const MAX_FILES: usize = 1_000;

/// Why a file is not a zone.
#[derive(Debug, Error)]
#[error("{}{}: {kind}", path.display(), line.map(|line| format!(":{line}")).unwrap_or_default())]
pub struct ZoneFileError {
    /// The file.
    pub path: PathBuf,
    /// Line of the mistake, counted from 1; none when the file as a whole is of no use.
    pub line: Option<usize>,
    /// The mistake.
    pub kind: ZoneFileErrorKind,
}

/// What is wrong with a file of records.
#[derive(Debug, Error)]
pub enum ZoneFileErrorKind {
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(#[from] io::Error),
    /// Something that should be a record and is not.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Files include each other in a circle, or too many.
    #[error("too many files included")]
    Includes,
    /// The record is one, and of no use for the zone.
    #[error("{0}")]
    Refused(String),
}

/// Reads the records of a zone from a file and those it includes, in order, and hands each to `take`.
/// Names without a dot at the end are below `origin`; `$ORIGIN`, `$TTL` and `$INCLUDE` are followed.
/// A file that is included is looked for beside the one that names it.
///
/// # Errors
///
/// The first mistake. `take` refuses a record by an error of its own, which is shown with the place.
pub fn read_zone<E: std::fmt::Display>(
    path: &Path,
    origin: &Name,
    mut take: impl FnMut(Record) -> Result<(), E>,
) -> Result<(), ZoneFileError> {
    let mut reader = Reader {
        take: &mut |record| take(record).map_err(|error| error.to_string()),
        files: 0,
        depth: 0,
    };
    reader.file(path, origin, DEFAULT_TTL)
}

struct Reader<'t> {
    take: &'t mut dyn FnMut(Record) -> Result<(), String>,
    files: usize,
    depth: usize,
}

impl Reader<'_> {
    fn file(&mut self, path: &Path, origin: &Name, ttl: u32) -> Result<(), ZoneFileError> {
        let whole = |kind| ZoneFileError { path: path.to_owned(), line: None, kind };
        self.files += 1;
        if self.depth >= MAX_DEPTH || self.files > MAX_FILES {
            return Err(whole(ZoneFileErrorKind::Includes));
        }
        let text = fs::read(path).map_err(|error| whole(error.into()))?;
        let mut file = MasterFile::of_zone(&text, origin.clone(), ttl);
        while let Some(entry) = file.next() {
            let range = entry.range;
            let error = |kind| {
                let before = text.get(..range.start).unwrap_or_default();
                let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
                ZoneFileError { path: path.to_owned(), line: Some(line), kind }
            };
            match entry.record {
                Ok(record) => (self.take)(record)
                    .map_err(|refused| error(ZoneFileErrorKind::Refused(refused)))?,
                Err(RecordError::Directive { found }) if found.eq_ignore_ascii_case("$INCLUDE") => {
                    let line = text.get(range.clone()).unwrap_or_default();
                    let (origin, ttl) = file.state();
                    let include = include(line, origin).map_err(|wrong| error(wrong.into()))?;
                    let beside = path.parent().unwrap_or_else(|| Path::new("")).join(include.path);
                    self.depth += 1;
                    self.file(&beside, &include.origin, ttl)?;
                    self.depth -= 1;
                }
                Err(wrong) => return Err(error(wrong.into())),
            }
        }
        Ok(())
    }
}

struct Include {
    path: PathBuf,
    origin: Name,
}

/// `$INCLUDE FILE [ORIGIN]`.
fn include(line: &[u8], origin: &Name) -> Result<Include, RecordError> {
    let line = std::str::from_utf8(line).map_err(|_| RecordError::NotUtf8)?;
    let mut words = line.split_ascii_whitespace().skip(1);
    let path = words.next().ok_or(RecordError::Incomplete { expected: "a file" })?;
    let origin = match words.next() {
        Some(word) => super::fields::name(word, origin)?,
        None => origin.clone(),
    };
    match words.next() {
        Some(word) => Err(RecordError::Extra { found: word.to_owned() }),
        None => Ok(Include { path: path.trim_matches('"').into(), origin }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory that is gone when the test is.
    struct Directory(PathBuf);

    impl Directory {
        fn new(test: &str) -> Self {
            let name = format!("prebound-zone-file-{test}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn file(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.join(name);
            fs::write(&path, text).unwrap();
            path
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn read(path: &Path) -> Result<Vec<String>, String> {
        let mut records = Vec::new();
        let take = |record: Record| {
            let Record { owner, rtype, ttl, .. } = record;
            if rtype == crate::wire::RecordType::NULL {
                return Err("no such thing");
            }
            records.push(format!("{owner} {ttl} {rtype}"));
            Ok(())
        };
        let done = read_zone(path, &"example.".parse().unwrap(), take);
        let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
        done.map(|()| records).map_err(|error| {
            let ZoneFileError { path, line, kind } = error;
            format!("{}:{} {kind}", name(&path), line.unwrap_or(0))
        })
    }

    #[test]
    fn names_are_below_the_zone_and_files_include_others() {
        let directory = Directory::new("include");
        directory
            .file("inner", "a A 192.0.2.1\n$ORIGIN elsewhere.example.\n$TTL 9\nb A 192.0.2.2\n");
        let main =
            "@ 60 A 192.0.2.3\n$TTL 5m\n$INCLUDE inner sub\nc A 192.0.2.4\n$include \"inner\"\n";
        assert_eq!(
            read(&directory.file("main", main)).unwrap(),
            [
                "example. 60 A",
                "a.sub.example. 300 A",
                "b.elsewhere.example. 9 A",
                "c.example. 300 A",
                "a.example. 300 A",
                "b.elsewhere.example. 9 A",
            ]
        );
    }

    #[test]
    fn mistakes_have_a_place() {
        let directory = Directory::new("mistakes");
        directory.file("circle", "\n$INCLUDE circle\n");
        directory.file("bad", "a A 192.0.2.1\nb A\n");
        for (text, want) in [
            ("a A 192.0.2.1\n\n b c d\n", "main:3 unknown record type 'b'"),
            ("a A (\n192.0.2.1\n", "main:1 missing closing )"),
            ("a TXT x\na NULL \\# 0\n", "main:2 no such thing"),
            ("$INCLUDE bad\n", "bad:2 record ends where an IPv4 address should stand"),
            ("$INCLUDE circle\n", "circle:0 too many files included"),
            ("a A 192.0.2.1\n$INCLUDE\n", "main:2 record ends where a file should stand"),
            ("$INCLUDE bad . x\n", "main:1 'x' is left over at the end of the record"),
            (
                "$GENERATE 1-3 a$ A 192.0.2.$\n",
                "main:1 directive '$GENERATE' is not supported here",
            ),
        ] {
            assert_eq!(read(&directory.file("main", text)), Err(want.to_owned()), "{text}");
        }
        assert!(read(Path::new("/nonexistent/zone")).is_err());
    }
}
