//! The daemon's own sandbox: what it needs of the file system, and what is said about it.

use std::io;
use std::path::PathBuf;

use tracing::{info, warn};

use crate::config::{Config, ErrorKind, Errors};
use crate::sandbox::{Files, Program, Sandbox, readable};
use crate::state;

/// Gives up everything but reading the configuration again and writing state, unless that is
/// switched `off`, and says so.
pub(super) fn enter(config: &Config, configuration: &[PathBuf], off: bool) -> Sandbox {
    if off {
        warn!("no sandbox, as --no-sandbox says: this is for debugging only");
        return Sandbox::default();
    }
    let mut read = readable(configuration);
    read.push(super::reload::HOST_NAME.into());
    let sandbox = Sandbox::enter(Program::Daemon, &Files { read, write: state(config) });
    announce(&sandbox);
    sandbox
}

/// Where files may be made and replaced: what the service manager gave us for that, and the
/// directories of the files that the configuration has us maintain. The latter alone do not make
/// anything writable that the unit, the owner or the mount forbid.
fn state(config: &Config) -> Vec<PathBuf> {
    let copied = config.copied_zones();
    let copied = copied.iter().map(|zone| &zone.source);
    let copied = copied.filter(|source| !source.primaries.is_empty());
    let files = copied.filter_map(|source| source.zonefile.as_ref());
    let files = files.chain(&config.auto_trust_anchor_file);
    let maintained = files.filter_map(|file| file.parent());
    let maintained =
        maintained.filter(|directory| directory.parent().is_some() && directory.is_dir());
    let mut directories = state::directories();
    directories.extend(maintained.map(Into::into));
    directories
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
