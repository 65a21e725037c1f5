//! Files that outlive the process: read whole, replaced whole.
//!
//! Whoever reads a file while it is replaced, or after the machine lost power, sees the old content
//! or the new one, never a part of either: the new content is written to a file of its own, brought
//! to the disk, and only then given the name.
//!
//! The sandbox lets the daemon write below [`directories`] and nowhere else; see
//! [`sandbox::Files::write`](crate::sandbox::Files::write).

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use nix::fcntl::OFlag;
use thiserror::Error;

/// Who may read a new file, before the umask has its say.
const MODE: u32 = 0o644;

/// One writer at a time, or two would write to the same new file.
static WRITING: Mutex<()> = Mutex::new(());

/// Why a file cannot be read or replaced. The messages name the file.
#[derive(Debug, Error)]
pub enum StateError {
    /// It is there, and cannot be read.
    #[error("cannot read {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is larger than anything we would have written.
    #[error("{} is larger than {limit} bytes", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What the reader takes, in bytes.
        limit: u64,
    },
    /// It still has the old content, if any.
    #[error("cannot write {}: {source}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Where the service manager lets us keep files (`StateDirectory=`); none without one.
///
/// Absolute paths from `STATE_DIRECTORY`, which systemd divides by colons.
pub fn directories() -> Vec<PathBuf> {
    env::var_os("STATE_DIRECTORY").map(|paths| absolute(&paths)).unwrap_or_default()
}

fn absolute(paths: &OsStr) -> Vec<PathBuf> {
    env::split_paths(paths).filter(|path| path.is_absolute()).collect()
}

/// The content of a file of at most `limit` bytes; `None` when there is no such file.
///
/// # Errors
///
/// When it is there and cannot be read, or is larger.
pub fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, StateError> {
    let failed = |source| StateError::Read { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut content = Vec::new();
    // One byte more tells a file that fits from one that does not.
    let read = file.take(limit.saturating_add(1)).read_to_end(&mut content).map_err(failed)?;
    if u64::try_from(read).is_ok_and(|read| read <= limit) {
        Ok(Some(content))
    } else {
        Err(StateError::TooLarge { path: path.to_owned(), limit })
    }
}

/// Makes `content` the content of a file, whether or not it was there before.
///
/// Blocks until it is on the disk, which may take a while: not for a thread that serves clients.
/// A file of the same name with a dot before and `.new` behind lies beside it meanwhile; what a
/// killed process left of one is overwritten.
///
/// # Errors
///
/// The first step that failed; the file is then as it was.
pub fn replace(path: &Path, content: &[u8]) -> Result<(), StateError> {
    let failed = |source| StateError::Write { path: path.to_owned(), source };
    let _alone = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let new = beside(path).ok_or_else(|| failed(io::ErrorKind::InvalidFilename.into()))?;
    let written = write(&new, content).and_then(|()| fs::rename(&new, path));
    if let Err(error) = written {
        // It may never have been made; what counts is why.
        let _ = fs::remove_file(&new);
        return Err(failed(error));
    }
    // The name is in the directory, so that must reach the disk as well.
    sync_directory(path).map_err(failed)
}

/// Where the new content lies until it gets its name: `.root.key.new` for `root.key`.
fn beside(path: &Path) -> Option<PathBuf> {
    let mut name = OsString::from(".");
    name.push(path.file_name()?);
    name.push(".new");
    Some(path.with_file_name(name))
}

fn write(new: &Path, content: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(MODE);
    // A link that somebody put there would have us write anywhere.
    let mut file = options.custom_flags(OFlag::O_NOFOLLOW.bits()).open(new)?;
    file.write_all(content)?;
    file.sync_all()
}

fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A directory for one test, gone at the end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let name = format!("prebound-state-{name}-{}", std::process::id());
            let path = env::temp_dir().join(name);
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn names(&self) -> Vec<OsString> {
            fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name()).collect()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_file_is_made_and_replaced_whole() {
        let scratch = Scratch::new("replace");
        let file = scratch.0.join("root.key");
        assert_eq!(read(&file, 100).unwrap(), None);
        for content in ["old and long", "new", ""] {
            // What a killed writer left.
            fs::write(scratch.0.join(".root.key.new"), "half of something").unwrap();
            replace(&file, content.as_bytes()).unwrap();
            assert_eq!(read(&file, 100).unwrap().unwrap(), content.as_bytes());
            assert_eq!(scratch.names(), ["root.key"], "nothing else stays");
        }
    }

    #[test]
    fn a_reader_sees_the_old_file_until_it_has_the_new_one() {
        let scratch = Scratch::new("reader");
        let file = scratch.0.join("zone");
        replace(&file, b"old").unwrap();
        let mut open = File::open(&file).unwrap();
        replace(&file, b"new").unwrap();
        let mut content = String::new();
        open.read_to_string(&mut content).unwrap();
        assert_eq!(content, "old");
    }

    #[test]
    fn what_cannot_be_written_is_named_and_stays_as_it_was() {
        let scratch = Scratch::new("errors");
        let nowhere = scratch.0.join("none/file");
        let error = replace(&nowhere, b"x").unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot write {}: ", nowhere.display())), "{error}");

        // A directory cannot be replaced by a file.
        let directory = scratch.0.join("directory");
        fs::create_dir_all(directory.join("full")).unwrap();
        assert!(matches!(replace(&directory, b"x"), Err(StateError::Write { .. })));
        assert_eq!(scratch.names(), ["directory"], "the new file is gone");
        assert!(matches!(replace(Path::new("/"), b"x"), Err(StateError::Write { .. })));
    }

    #[test]
    fn a_link_in_the_place_of_the_new_file_is_not_followed() {
        let scratch = Scratch::new("link");
        let victim = scratch.0.join("victim");
        fs::write(&victim, "untouched").unwrap();
        symlink(&victim, scratch.0.join(".file.new")).unwrap();
        assert!(replace(&scratch.0.join("file"), b"x").is_err());
        assert_eq!(fs::read(&victim).unwrap(), b"untouched");
        // Away with the link: the next one works.
        replace(&scratch.0.join("file"), b"x").unwrap();
    }

    #[test]
    fn reading_is_bounded() {
        let scratch = Scratch::new("bounded");
        let file = scratch.0.join("file");
        replace(&file, b"12345").unwrap();
        assert_eq!(read(&file, 5).unwrap().unwrap(), b"12345");
        assert!(matches!(read(&file, 4), Err(StateError::TooLarge { limit: 4, .. })));
        assert!(matches!(read(&scratch.0, 4), Err(StateError::Read { .. })), "a directory");
    }

    #[test]
    fn state_directories_are_absolute() {
        let cases: [(&str, &[&str]); 4] = [
            ("", &[]),
            ("/var/lib/private/prebound", &["/var/lib/private/prebound"]),
            ("/var/lib/a:/var/lib/b", &["/var/lib/a", "/var/lib/b"]),
            ("here:/there", &["/there"]),
        ];
        for (value, expected) in cases {
            let expected: Vec<PathBuf> = expected.iter().map(Into::into).collect();
            assert_eq!(absolute(OsStr::new(value)), expected, "{value:?}");
        }
    }
}
