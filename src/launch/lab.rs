//! `--lab`: the built-in miniature Internet in the place of the real one.
//!
//! Its servers and a broker that leads to them run in a process of their own, this program again;
//! the daemon is the usual one, with a configuration that trusts the keys of that Internet.

use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::error::LaunchError;
use crate::lab::{self, INTERNET, World};
use crate::logging;
use crate::systemd::descriptors::passed;
use crate::systemd::exit;
use crate::systemd::peers::Peer;

/// The only argument of the process with the servers.
pub(super) const FLAG: &str = "--lab-broker";

/// The configuration for the daemon, in a directory that is gone at the end.
pub(super) struct Configuration(PathBuf);

impl Configuration {
    /// Writes it. `served` is where DNS is served, which the daemon compares with what it is passed.
    pub(super) fn write(served: &[SocketAddr]) -> Result<Self, LaunchError> {
        let world = World::new(INTERNET).map_err(|error| LaunchError::Lab(error.into()))?;
        let number: u64 = rand::random();
        let directory = std::env::temp_dir().join(format!("prebound-lab-{number:016x}"));
        let failed = |source| LaunchError::Write { path: directory.clone(), source };
        // Fails if there is something of that name, which would not be ours.
        DirBuilder::new().mode(0o700).create(&directory).map_err(failed)?;
        let this = Self(directory.clone());
        let hints = directory.join("root.hints");
        // It is there to show things, so every answer says what is noteworthy about it.
        let mut text = format!("{}ede: yes\nroot-hints: \"{}\"\n", world.trust(), hints.display());
        for at in served {
            text.push_str(&format!("interface: {}@{}\n", at.ip(), at.port()));
        }
        let written: io::Result<()> =
            fs::write(&hints, world.hints_file()).and_then(|()| fs::write(this.path(), text));
        written.map_err(failed).map(|()| this)
    }

    /// The file for `-c`.
    pub(super) fn path(&self) -> PathBuf {
        self.0.join("prebound.conf")
    }
}

impl Drop for Configuration {
    fn drop(&mut self) {
        // What is left in a directory for temporary files does no harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Whether this process is to be the lab.
pub(super) fn is_lab(arguments: &[OsString]) -> bool {
    matches!(arguments, [_, flag] if flag == FLAG)
}

/// Serves the lab until this process is killed.
pub(super) fn serve() -> Result<u8, LaunchError> {
    // Fails only when called twice.
    let _ = logging::init(super::NAME, 1);
    // The launcher passes one rendezvous.
    for peer in passed()?.into_iter().map(Peer::claim) {
        if let Peer::Rendezvous(socket) = peer? {
            lab::serve(INTERNET, socket).map_err(LaunchError::Lab)?;
        }
    }
    Ok(exit::OK)
}

/// How the daemon is told, unless it was told of a configuration already.
pub(super) fn arguments(
    configured: Option<&Path>,
    lab: &Configuration,
) -> Result<[OsString; 2], LaunchError> {
    match configured {
        Some(_) => Err(LaunchError::LabWithConfiguration),
        None => Ok(["-c".into(), lab.path().into()]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn the_configuration_trusts_the_lab_and_nothing_else() {
        let served = ["127.0.0.1:5335", "[::1]:5335"].map(|at| at.parse().unwrap());
        let lab = Configuration::write(&served).unwrap();
        let loaded = config::load(Some(&lab.path())).unwrap();
        let world = World::new(INTERNET).unwrap();
        assert_eq!(loaded.config.trust_anchors, world.anchors());
        assert_eq!(loaded.config.root_hints, world.hints());
        assert_eq!(loaded.config.interfaces, served);
        let directory = lab.path().parent().unwrap().to_owned();
        drop(lab);
        assert!(!directory.exists());
    }

    #[test]
    fn the_lab_comes_with_its_own_configuration() {
        let lab = Configuration::write(&[]).unwrap();
        let told = arguments(None, &lab).unwrap();
        assert_eq!(told, [OsString::from("-c"), lab.path().into()]);
        let both = arguments(Some(Path::new("/etc/unbound/unbound.conf")), &lab);
        assert!(matches!(both, Err(LaunchError::LabWithConfiguration)));
    }
}
