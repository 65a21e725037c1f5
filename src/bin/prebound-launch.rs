//! The `prebound-launch` program.

fn main() -> std::process::ExitCode {
    prebound::launch::main()
}
