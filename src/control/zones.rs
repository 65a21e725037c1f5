//! Commands about what other parts of the process keep: copies of zones, policy zones, rates.

use thiserror::Error;

use super::Control;
use super::change::name;
use super::table::Args;
use crate::wire::Name;

/// Why nothing was done about a zone.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum ZoneError {
    /// There is no such zone.
    #[error("no auth-zone")]
    Unknown,
    /// It has no file.
    #[error("no zonefile is configured for zone")]
    NoFile,
    /// It has no primaries.
    #[error("zone xfr task not found")]
    NoPrimaries,
    /// Its file cannot be used.
    #[error("cannot read zonefile: {0}; zone")]
    File(std::sync::Arc<str>),
}

fn said(args: &Args<'_>, command: impl FnOnce(&Name) -> Result<(), ZoneError>) -> String {
    let zone = match name(args.word(0)) {
        Ok(zone) => zone,
        Err(error) => return error,
    };
    match command(&zone) {
        Ok(()) => "ok\n".to_owned(),
        Err(error) => format!("error {error} {zone}\n"),
    }
}

/// `list_auth_zones`
pub(super) fn list(control: &Control) -> String {
    control.running.auth_zones().iter().map(|line| format!("{line}\n")).collect()
}

/// `auth_zone_reload ZONE`
pub(super) fn reload(control: &Control, args: &Args<'_>) -> String {
    said(args, |zone| control.running.reload_zone(zone))
}

/// `auth_zone_transfer ZONE`
pub(super) fn transfer(control: &Control, args: &Args<'_>) -> String {
    said(args, |zone| control.running.transfer_zone(zone))
}

/// `rpz_enable ZONE`, `rpz_disable ZONE`
pub(super) fn enable(control: &Control, args: &Args<'_>, enabled: bool) -> String {
    said(args, |zone| control.running.enable_policy_zone(zone, enabled))
}

/// `ratelimit_list [+a]`, `ip_ratelimit_list [+a]`
pub(super) fn rates(control: &Control, args: &Args<'_>, of_clients: bool) -> String {
    match args.flags("a") {
        Err(error) => error,
        Ok((flags, [])) => {
            let rates = control.running.rates(of_clients, flags.contains('a'));
            rates.iter().map(|line| format!("{line}\n")).collect()
        }
        Ok((_, [extra, ..])) => format!("error: unknown argument '{extra}', expected +a\n"),
    }
}
