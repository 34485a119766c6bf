//! `cargo xtask tidy` checks the house rules; `cargo xtask recall …` measures how well the
//! model of `models/recall` finds one record among millions of tokens; `scout-slice` writes two layers of Llama 4 Scout at
//! full width; `instructions` counts those of every kernel.

use anyhow::{Result, bail};
use std::path::Path;

const USAGE: &str = "usage: cargo xtask tidy
       cargo xtask instructions
       cargo xtask scout-slice FOLDER
       cargo xtask recall --tokens N [--questions N] [--ibid PROGRAM] [--work FOLDER] [--out FILE]
                          [--exact] [--whole-chunks]";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    match arguments.split_first() {
        Some((task, [])) if task == "tidy" => {
            let found = xtask::tidy::check(&root)?;
            for problem in &found {
                eprintln!("{problem}");
            }
            if !found.is_empty() {
                bail!("{} problems", found.len());
            }
            Ok(())
        }
        Some((task, [])) if task == "instructions" => xtask::instructions::report(&root),
        Some((task, [folder])) if task == "scout-slice" => xtask::slice::write(Path::new(folder)),
        Some((task, options)) if task == "recall" => xtask::recall::run(&root, options, USAGE),
        _ => bail!(USAGE),
    }
}
