//! The command line `transload`.

use std::process::ExitCode;

fn main() -> ExitCode {
    transload::cli::main()
}
