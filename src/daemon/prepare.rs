//! The first steps of a start: what was passed, and what is configured, each checked against the
//! other. Nothing is served yet, and nothing given up.

use std::path::PathBuf;

use tracing::{info, warn};

use super::args::Args;
use super::{compare, reload};
use crate::config::{self, Config, Loaded, Settings};
use crate::logging;
use crate::systemd::claim::{ClaimError, Claimed, Ports};
use crate::systemd::descriptors;
use crate::systemd::exit;

/// What the daemon starts with.
pub(super) struct Prepared {
    pub(super) config: Config,
    pub(super) settings: Settings,
    /// The configuration files, for the sandbox.
    pub(super) files: Vec<PathBuf>,
    pub(super) claimed: Claimed,
}

/// Why there is no start: the code to exit with, and a sentence or more for the operator.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) code: u8,
    pub(super) text: String,
}

impl From<ClaimError> for Refusal {
    fn from(error: ClaimError) -> Self {
        Self { code: error.exit_code(), text: error.to_string() }
    }
}

impl From<config::Errors> for Refusal {
    fn from(errors: config::Errors) -> Self {
        Self { code: exit::FAILURE, text: errors.to_string() }
    }
}

/// Takes what was passed, reads the configuration, sets up the log, and says where the two differ.
///
/// # Errors
///
/// When one of them is of no use, or they do not fit together.
pub(super) fn prepare(args: &Args) -> Result<Prepared, Refusal> {
    // Descriptors first: until they are claimed they are not close-on-exec. What is wrong with
    // them is said after what is wrong with the configuration.
    let passed = descriptors::passed();
    let Loaded { config, settings, notices, path, files, .. } =
        config::load(args.config.as_deref())?;
    let config = reload::completed(config);
    let ports = Ports { tls: compare::tls_ports(&config), https: config.https_port };
    let claimed = Claimed::sort(passed?, &ports)?.complete()?;
    served(&claimed)?;
    // Fails only when called twice.
    let _ = logging::init("prebound", config.verbosity.saturating_add(args.verbose));
    reload::announce(&notices);
    for mismatch in mismatches(&config, &settings, &claimed) {
        warn!("{mismatch}");
    }
    let from = path.map_or_else(|| "built-in defaults".into(), |path| path.display().to_string());
    info!(configuration = from, "starting");
    Ok(Prepared { config, settings, files, claimed })
}

/// Every difference between what is configured and what was passed.
fn mismatches(config: &Config, settings: &Settings, claimed: &Claimed) -> Vec<String> {
    let passer = compare::Passer::from_env();
    let given = |option: &&str| settings.is_given(option);
    let mut found = if compare::LISTENERS.iter().any(given) {
        compare::mismatches(config, claimed, passer)
    } else {
        Vec::new()
    };
    let buffers = (given(&"so-rcvbuf"), given(&"so-sndbuf"));
    found.extend(compare::buffer_mismatches(config, buffers, &claimed.udp, passer));
    found.extend(compare::control_mismatches(config, &claimed.control, passer));
    found
}

/// Whether we can serve every socket that was passed.
fn served(claimed: &Claimed) -> Result<(), Refusal> {
    let Some(listener) = claimed.tls.first().or_else(|| claimed.https.first()) else {
        return Ok(());
    };
    let text = format!(
        "{} at {}: DNS over TLS and over HTTPS are not served by this version; pass no socket for \
         them",
        listener.label, listener.local
    );
    Err(Refusal { code: exit::NOFDS, text })
}
