//! The `prebound-launch` program.

fn main() {}
