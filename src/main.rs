//! The entry point: everything is in `inkpass::cli`.

use std::process::ExitCode;

/// The system's allocator takes a tenth of a call's time: docs/performance.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    inkpass::cli::main()
}
