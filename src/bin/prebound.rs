//! The `prebound` program.

fn main() {}
