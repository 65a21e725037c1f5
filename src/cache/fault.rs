//! Noting in the cache that its owner dies of a memory fault, so that the next one does not trust
//! it.

use std::sync::{Arc, OnceLock};

use nix::errno::Errno;
use nix::libc::{SI_USER, SIGABRT, c_int, c_void, siginfo_t};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};

use super::atomic::Ordering::Relaxed;
use super::header::AT_FAULT;
use super::memory::Memory;

/// What is sent for damage: by the processor, and by the C library that finds its lists broken.
const SIGNALS: [Signal; 4] = [Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGILL, Signal::SIGABRT];

/// The memory of the one cache, and what was to happen on each signal.
static WATCHED: OnceLock<Arc<Memory>> = OnceLock::new();
static FORMER: [OnceLock<SigAction>; SIGNALS.len()] = [const { OnceLock::new() }; SIGNALS.len()];

/// Notes memory faults in that memory from now on.
pub(super) fn watch(memory: Arc<Memory>) -> Result<(), Errno> {
    if WATCHED.set(memory).is_err() {
        return Err(Errno::EALREADY);
    }
    // On the stack for signals: there may be no room on the other, which is the fault then.
    let flags = SaFlags::SA_ONSTACK | SaFlags::SA_SIGINFO;
    let action = SigAction::new(SigHandler::SigAction(note), flags, SigSet::empty());
    for (signal, former) in SIGNALS.into_iter().zip(&FORMER) {
        // SAFETY: the handler may run at any moment, and does only what may be done then: it
        // stores a word, and calls sigaction(2) and raise(3).
        let before = unsafe { sigaction(signal, &action) }?;
        // Set once, as this runs once.
        let _ = former.set(before);
    }
    Ok(())
}

extern "C" fn note(number: c_int, info: *mut siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel has put this there for the handler to read.
    let code = unsafe { info.as_ref() }.map_or(SI_USER, |info| info.si_code);
    // A service manager that has lost patience sends SIGABRT, which is no damage.
    let damage = number != SIGABRT || code != SI_USER;
    if let Some(word) = WATCHED.get().and_then(|memory| memory.words().get(AT_FAULT))
        && damage
    {
        word.store(u64::from(number.unsigned_abs()), Relaxed);
    }
    let known = SIGNALS.into_iter().zip(&FORMER).find(|(signal, _)| *signal as c_int == number);
    let Some((signal, former)) = known else { return };
    // What the processor did is done again when this returns, and then means what it meant before:
    // the standard library looks whether the stack overflowed. What was sent is sent again.
    let sent = code <= 0;
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    let next = former.get().filter(|_| !sent).unwrap_or(&default);
    // SAFETY: the default, or what was there before, which was in force until then.
    let _ = unsafe { sigaction(signal, next) };
    if sent {
        let _ = raise(signal);
    }
}
