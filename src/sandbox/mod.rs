//! What a process of ours gives up for good once it has everything it needs.
//!
//! Four layers, none of which needs a service manager, rights or a configuration: no new
//! privileges by execve(2), memory that no other process of the user can read, files by Landlock,
//! system calls by seccomp. A kernel that lacks one still gets the others, and [`Sandbox::gaps`]
//! says what is missing.
//!
//! Layers are for the thread that enters and those it starts, so a program enters before it starts
//! any.

mod calls;
mod files;
mod filter;

use std::fmt;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::sys::prctl;
use thiserror::Error;

pub use calls::{ALLOWED, Allowed, KILLED, Killed, Only};
pub use files::readable;

/// Which program enters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Program {
    /// May make only the calls of [`ALLOWED`].
    Daemon,
    /// May make any call but those of [`KILLED`] that it does not need. Landlock is left out.
    Broker,
}

/// Files and directories, with everything below them.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// What may be read; see [`readable`]. Paths that do not exist are left out.
    pub read: Vec<PathBuf>,
    /// Where files may be made, changed and removed, too. When there is no such place, opening a
    /// file for writing is denied even by a kernel without Landlock.
    pub write: Vec<PathBuf>,
}

/// One way of giving things up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Layer {
    /// Executing a program grants nothing (`PR_SET_NO_NEW_PRIVS`).
    NoNewPrivs,
    /// No core dump, no ptrace(2) by processes of the same user (`PR_SET_DUMPABLE`).
    NotDumpable,
    /// Only [`Files`] can be opened, no TCP socket be bound or connected, no other process be sent
    /// a signal.
    Landlock,
    /// System calls that are not needed fail, or end the process.
    Seccomp,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoNewPrivs => "no new privileges",
            Self::NotDumpable => "not dumpable",
            Self::Landlock => "Landlock",
            Self::Seccomp => "seccomp",
        })
    }
}

/// Why a layer is not what it should be.
#[derive(Debug, Error)]
pub enum Gap {
    /// The kernel refused.
    #[error("refused: {0}")]
    Refused(#[from] Errno),
    /// The kernel was built without Landlock or started without it (`lsm=`).
    #[error("this kernel does not have it, or it was not enabled at boot")]
    Missing,
    /// What an older kernel cannot do is not restricted.
    #[error("this kernel has version {0} of it only, and denies less")]
    Old(i32),
    /// The rules for files were not accepted.
    #[error("not accepted: {0}")]
    Files(#[from] landlock::RulesetError),
    /// The filter cannot be built for this machine.
    #[error("no filter for this machine: {0}")]
    Build(#[from] seccompiler::BackendError),
    /// The filter was not accepted.
    #[error("not accepted: {0}")]
    Filter(#[from] seccompiler::Error),
}

/// The layers around this process. They stay when this is dropped: there is no way back.
#[derive(Debug, Default)]
pub struct Sandbox {
    active: Vec<Layer>,
    gaps: Vec<(Layer, Gap)>,
}

impl Sandbox {
    /// Enters every layer that the kernel has. Descriptors that are open stay of full use.
    pub fn enter(program: Program, files: &Files) -> Self {
        let mut this = Self::default();
        this.note(Layer::NoNewPrivs, prctl::set_no_new_privs().map_err(Gap::from));
        this.note(Layer::NotDumpable, prctl::set_dumpable(false).map_err(Gap::from));
        // The broker is there to connect, which this denies.
        if program == Program::Daemon {
            let restricted = files::restrict(files);
            if let Ok(Some(version)) = restricted {
                this.gaps.push((Layer::Landlock, Gap::Old(version)));
            }
            this.note(Layer::Landlock, restricted.map(drop));
        }
        // Last: what entered the layers above is not among the calls allowed.
        this.note(Layer::Seccomp, filter::apply(program, !files.write.is_empty()));
        this
    }

    fn note(&mut self, layer: Layer, entered: Result<(), Gap>) {
        match entered {
            Ok(()) => self.active.push(layer),
            Err(gap) => self.gaps.push((layer, gap)),
        }
    }

    /// The layers that are in force.
    pub fn active(&self) -> &[Layer] {
        &self.active
    }

    /// The layers that are not in force, or not wholly, and why.
    pub fn gaps(&self) -> &[(Layer, Gap)] {
        &self.gaps
    }
}

/// A list of the layers in force, or `off`.
impl fmt::Display for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.active.is_empty() {
            return f.write_str("off");
        }
        for (number, layer) in self.active.iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            write!(f, "{comma}{layer}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_in_force_are_listed() {
        let mut sandbox = Sandbox::default();
        assert_eq!(sandbox.to_string(), "off");
        sandbox.note(Layer::NoNewPrivs, Ok(()));
        sandbox.note(Layer::Landlock, Err(Gap::Missing));
        sandbox.note(Layer::Seccomp, Ok(()));
        assert_eq!(sandbox.to_string(), "no new privileges, seccomp");
        assert_eq!(sandbox.active(), [Layer::NoNewPrivs, Layer::Seccomp]);
        assert!(matches!(sandbox.gaps(), [(Layer::Landlock, Gap::Missing)]));
    }
}
