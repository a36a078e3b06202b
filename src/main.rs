//! The `callscoot` program; everything is in the library.

fn main() {}
