//! The `prebound-checkconf` program.

fn main() -> std::process::ExitCode {
    prebound::checkconf::main()
}
