//! The entry point: everything is in `inkpass::cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    inkpass::cli::main()
}
