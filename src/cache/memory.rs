//! Memory that can outlive the process: words in a mapping.
//!
//! All access is atomic, a word at a time, so that threads, and another process that has the same
//! file, may read and write it at the same time without undefined behavior. The words mean
//! nothing here.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::slice;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};
use nix::sys::stat::fstat;
use nix::unistd::ftruncate;

use super::atomic::AtomicU64;

/// `MFD_NOEXEC_SEAL`, which nix does not have: some systems insist on it, older ones do not know it.
const NOEXEC: MFdFlags = MFdFlags::from_bits_retain(libc::MFD_NOEXEC_SEAL);

/// Words in a mapping that is theirs alone, and perhaps the file in memory behind it.
#[derive(Debug)]
pub(super) struct Memory {
    first: NonNull<AtomicU64>,
    words: usize,
    file: Option<OwnedFd>,
}

// SAFETY: nothing in it belongs to a thread; the words are atomic.
unsafe impl Send for Memory {}
// SAFETY: through a shared reference there is only access to atomic words, and to a descriptor.
unsafe impl Sync for Memory {}

/// Readable and writable, never executable.
const READ_WRITE: ProtFlags = ProtFlags::PROT_READ.union(ProtFlags::PROT_WRITE);

impl Memory {
    /// Zeroed memory that ends with the process.
    ///
    /// # Errors
    ///
    /// When there is not enough.
    pub(super) fn anonymous(octets: usize) -> nix::Result<Self> {
        let (words, len) = measures(octets)?;
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE;
        // SAFETY: a new mapping where the kernel likes it; no other one is touched.
        let first = unsafe { mmap_anonymous(None, len, READ_WRITE, flags) }?;
        Ok(Self { first: first.cast(), words, file: None })
    }

    /// Zeroed memory in a file without a name, which lives as long as somebody has it open. Its
    /// size cannot be changed any more, so that reading it never fails.
    ///
    /// # Errors
    ///
    /// When there is not enough, or files cannot be made.
    pub(super) fn file(octets: usize) -> nix::Result<Self> {
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let file = match memfd_create(c"prebound-cache", flags | NOEXEC) {
            Err(Errno::EINVAL) => memfd_create(c"prebound-cache", flags)?,
            other => other?,
        };
        let size = libc::off_t::try_from(octets).map_err(|_| Errno::EFBIG)?;
        ftruncate(&file, size)?;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals() | SealFlag::F_SEAL_SEAL))?;
        Self::of(file)
    }

    /// The memory in a file that another process made.
    ///
    /// # Errors
    ///
    /// `EPERM` when its size could change: reading what is not there any more would end the
    /// process. `EAGAIN` or `EACCES` when a process has it already. Others are the kernel's.
    pub(super) fn of(file: OwnedFd) -> nix::Result<Self> {
        let found = SealFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GET_SEALS)?);
        if !found.contains(seals()) {
            return Err(Errno::EPERM);
        }
        only_we(&file)?;
        let octets = usize::try_from(fstat(&file)?.st_size).map_err(|_| Errno::EFBIG)?;
        let (words, len) = measures(octets)?;
        // SAFETY: a new mapping where the kernel likes it, as long as the file is, which does not
        // become shorter (see above); no other mapping is touched.
        let first = unsafe { mmap(None, len, READ_WRITE, MapFlags::MAP_SHARED, &file, 0) }?;
        Ok(Self { first: first.cast(), words, file: Some(file) })
    }

    /// All of it.
    pub(super) fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping has so many words, begins at a page, which is aligned well enough,
        // and stays until `self` is dropped; any bits are a word. Other references to it are to
        // atomic words, as this one is, and another process can at most write it, as if it were a
        // thread.
        unsafe { slice::from_raw_parts(self.first.as_ptr(), self.words) }
    }

    /// The file behind it.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_ref().map(AsFd::as_fd)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours alone, and every reference into it borrowed `self`. That it
        // fails would mean that it is not there.
        let _ = unsafe { munmap(self.first.cast(), 8 * self.words) };
    }
}

/// Whole words, one at least, and the octets they take.
fn measures(octets: usize) -> nix::Result<(usize, NonZeroUsize)> {
    let words = octets / 8;
    NonZeroUsize::new(8 * words).map(|len| (words, len)).ok_or(Errno::EINVAL)
}

/// The file keeps its size.
fn seals() -> SealFlag {
    SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW
}

/// Makes sure that no other process uses the file, as long as this one lives: writers exclude each
/// other by locks of their process.
fn only_we(file: &OwnedFd) -> nix::Result<()> {
    let whole = libc::flock {
        l_type: i16::try_from(libc::F_WRLCK).unwrap_or_default(),
        l_whence: i16::try_from(libc::SEEK_SET).unwrap_or_default(),
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(file, FcntlArg::F_SETLK(&whole)).map(drop)
}

/// Ends the process as the allocator does when there is no memory.
pub(super) fn exhausted(octets: usize, errno: Errno) -> ! {
    panic!("no memory for a cache of {octets} octets: {}", io::Error::from(errno))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;

    #[test]
    fn what_is_written_is_there_when_the_file_is_mapped_again() {
        let memory = Memory::file(8_192).unwrap();
        assert_eq!(memory.words().len(), 1_024);
        assert!(memory.words().iter().all(|word| word.load(Relaxed) == 0));
        memory.words()[1_023].store(7, Relaxed);
        let file = memory.descriptor().unwrap().try_clone_to_owned().unwrap();
        drop(memory);
        let memory = Memory::of(file).unwrap();
        assert_eq!(memory.words()[1_023].load(Relaxed), 7);
    }

    #[test]
    fn a_file_whose_size_can_change_is_refused_and_ours_cannot() {
        let open = memfd_create(c"test", MFdFlags::MFD_ALLOW_SEALING).unwrap();
        ftruncate(&open, 8_192).unwrap();
        assert_eq!(Memory::of(open).err(), Some(Errno::EPERM));
        let memory = Memory::file(8_192).unwrap();
        assert_eq!(ftruncate(memory.descriptor().unwrap(), 4_096), Err(Errno::EPERM));
        assert_eq!(ftruncate(memory.descriptor().unwrap(), 16_384), Err(Errno::EPERM));
    }

    #[test]
    fn no_memory_is_an_error() {
        for octets in [0, 7, usize::MAX] {
            assert!(Memory::anonymous(octets).is_err(), "{octets}");
            assert!(Memory::file(octets).is_err(), "{octets}");
        }
    }
}
