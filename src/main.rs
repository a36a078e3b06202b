//! The `callscoot` program; everything is in the library.

fn main() -> std::process::ExitCode {
    callscoot::app::cli::main()
}
