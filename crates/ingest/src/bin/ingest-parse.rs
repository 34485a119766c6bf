//! The parser child by itself, so that this crate's tests need no other program.

use std::process::ExitCode;

fn main() -> ExitCode {
    corpus::worker::serve()
}
