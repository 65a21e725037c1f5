//! The `prebound` program.

fn main() -> std::process::ExitCode {
    prebound::daemon::main()
}
