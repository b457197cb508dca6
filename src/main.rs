//! The `neurod` program.

fn main() {}
