//! The `prebound-generator` program.

fn main() -> std::process::ExitCode {
    prebound::units::generator::main()
}
