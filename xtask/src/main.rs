//! Chores of the repository: `cargo run -p xtask -- tidy`.

mod tidy;

use anyhow::{Result, bail};
use std::path::Path;

fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("tidy") => {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
            let found = tidy::check(&root)?;
            for problem in &found {
                eprintln!("{problem}");
            }
            if !found.is_empty() {
                bail!("{} problems", found.len());
            }
            Ok(())
        }
        _ => bail!("usage: cargo run -p xtask -- tidy"),
    }
}
