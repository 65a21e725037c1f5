//! The daemon's own sandbox: what it needs of the file system, and what is said about it.

use std::env;
use std::io;
use std::path::PathBuf;

use tracing::{info, warn};

use crate::config::{ErrorKind, Errors};
use crate::sandbox::{Files, Program, Sandbox, readable};

/// Gives up everything but reading the configuration again and writing state, unless that is
/// switched `off`, and says so.
pub(super) fn enter(configuration: &[PathBuf], off: bool) -> Sandbox {
    if off {
        warn!("no sandbox, as --no-sandbox says: this is for debugging only");
        return Sandbox::default();
    }
    let mut read = readable(configuration);
    read.push(super::reload::HOST_NAME.into());
    // The service manager's word for where state may be kept: absolute paths, divided by colons.
    let write = env::var_os("STATE_DIRECTORY")
        .map(|paths| env::split_paths(&paths).filter(|path| path.is_absolute()).collect())
        .unwrap_or_default();
    let sandbox = Sandbox::enter(Program::Daemon, &Files { read, write });
    announce(&sandbox);
    sandbox
}

/// Says which layers are in force, and loudly what is not.
fn announce(sandbox: &Sandbox) {
    for (layer, gap) in sandbox.gaps() {
        warn!("sandbox: {layer}: {gap}");
    }
    info!(layers = %sandbox, "sandbox");
}

/// Says why a file may be unreadable for us although others can read it.
pub(super) fn hint(errors: &Errors) {
    let denied = |kind: &ErrorKind| match kind {
        ErrorKind::Unreadable { source, .. } => source.kind() == io::ErrorKind::PermissionDenied,
        _ => false,
    };
    if errors.list().iter().any(|error| denied(&error.kind)) {
        warn!(
            "a running daemon reads only below the directories of the files it was started with; \
             a restart reads others"
        );
    }
}
