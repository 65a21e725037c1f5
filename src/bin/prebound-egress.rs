//! The `prebound-egress` program.

fn main() {}
