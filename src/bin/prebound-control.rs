//! The `prebound-control` program.

fn main() -> std::process::ExitCode {
    prebound::control::client::main()
}
