//! The `prebound-egress` program.

fn main() -> std::process::ExitCode {
    prebound::egress::program::main()
}
