//! Exit codes of the programs, as in sysexits(3), so that a unit file can tell them apart
//! (`RestartPreventExitStatus=`, `SuccessExitStatus=`).

use std::process::ExitCode;

/// Everything went well.
pub const OK: u8 = 0;
/// The configuration does not parse or makes no sense, on a command line that Unbound would also
/// understand: Unbound's own code for it.
pub const FAILURE: u8 = 1;
/// The command line is wrong.
pub const USAGE: u8 = 64;
/// Descriptors that are needed were not passed, or are not what they should be
/// (`EX_UNAVAILABLE`).
pub const NOFDS: u8 = 69;
/// A defect of ours (`EX_SOFTWARE`).
pub const SOFTWARE: u8 = 70;
/// The operating system refused something it should not (`EX_OSERR`).
pub const OSERR: u8 = 71;
/// A program or file of ours is not where it should be (`EX_OSFILE`).
pub const OSFILE: u8 = 72;
/// Another process of ours does not speak our protocol (`EX_PROTOCOL`).
pub const PROTOCOL: u8 = 76;
/// Not permitted, for instance to listen on port 53 (`EX_NOPERM`).
pub const NOPERM: u8 = 77;
/// The configuration does not parse or makes no sense (`EX_CONFIG`).
pub const CONFIG: u8 = 78;

/// Prints what clap has to say, help or a mistake, and gives the code to exit with.
pub fn command_line(error: &clap::Error) -> ExitCode {
    // Standard output may be closed; then nobody wants to know.
    let _ = error.print();
    ExitCode::from(if error.use_stderr() { USAGE } else { OK })
}
