//! Compares PDF backends on real files: `pdf-bench compare FILE...` prints one table; README.md says how to read it.
//!
//! Every backend reads every file in a process of its own (`pdf-bench dump`), so that a crash or a loop costs one
//! cell of the table. The layout modules are those of crates/corpus, so the table measures what ships.

mod dump;
mod layout;
mod measure;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use measure::{Boxes, Score};

pub const BACKENDS: [&str; 4] = ["pdf-extract", "pdf-extract+layout", "pdf_oxide", "pdf_oxide+layout"];
const TIME_LIMIT: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["dump", backend, file, out] => dump::dump(backend, Path::new(file), Path::new(out)),
        ["compare", files @ ..] if !files.is_empty() => compare(files),
        _ => {
            eprintln!("usage: pdf-bench compare FILE... | dump BACKEND FILE OUT");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

#[derive(Default)]
struct Total {
    score: Score,
    boxes: Boxes,
    files: usize,
    failed: Vec<String>,
    pages: usize,
    seconds: f64,
}

fn compare(files: &[&str]) {
    let work = std::env::temp_dir().join(format!("pdf-bench-{}", std::process::id()));
    std::fs::create_dir_all(&work).expect("a folder for results");
    let mut totals: [Total; 4] = Default::default();
    println!("| file | pages | {} |", BACKENDS.join(" | "));
    println!("|---|---|---|---|---|---|");
    for file in files {
        let file = Path::new(file);
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let reference = measure::reference_text(file);
        let boxes = measure::reference_boxes(file);
        let mut cells = Vec::new();
        for (backend, total) in BACKENDS.iter().zip(&mut totals) {
            total.files += 1;
            match dump_in_child(backend, file, &work) {
                Err(why) => {
                    cells.push(why.clone());
                    total.failed.push(format!("{name}: {why}"));
                }
                Ok((out, seconds)) => {
                    let text = std::fs::read_to_string(out.with_extension("txt")).unwrap_or_default();
                    let score = measure::score(&reference, &text);
                    let share = measure::boxes(&boxes, &out.with_extension("box"));
                    let n_pages = reference.matches('\u{c}').count();
                    cells.push(format!(
                        "{:.2} / {:.1} / {}",
                        score.error() * 100.0,
                        score.order() * 100.0,
                        share
                    ));
                    total.score.add(&score);
                    total.boxes.add(&share);
                    total.pages += n_pages;
                    total.seconds += seconds;
                }
            }
        }
        println!("| {name} | {} | {} |", reference.matches('\u{c}').count(), cells.join(" | "));
    }
    println!("\n| | {} |\n|---|---|---|---|---|", BACKENDS.join(" | "));
    let row = |name: &str, cell: &dyn Fn(&Total) -> String| {
        println!("| {name} | {} |", totals.iter().map(cell).collect::<Vec<_>>().join(" | "));
    };
    row("files read", &|t| format!("{} of {}", t.files - t.failed.len(), t.files));
    row("character error, % of reference", &|t| format!("{:.2}", t.score.error() * 100.0));
    row("median file's character error, %", &|t| format!("{:.2}", t.score.median_error() * 100.0));
    row("words found in any order, %", &|t| format!("{:.2}", t.score.recall() * 100.0));
    row("reading order, %", &|t| format!("{:.2}", t.score.order() * 100.0));
    row("word boxes with IoU ≥ 0.5, %", &|t| t.boxes.to_string());
    row("pages per CPU second", &|t| format!("{:.0}", t.pages as f64 / t.seconds.max(1e-9)));
    for (backend, total) in BACKENDS.iter().zip(&totals) {
        for failure in &total.failed {
            println!("\nfailed, {backend}: {failure}");
        }
    }
    std::fs::remove_dir_all(&work).expect("results can be removed");
}

/// Path stem of the results and CPU seconds, or what went wrong in a few words.
fn dump_in_child(backend: &str, file: &Path, work: &Path) -> Result<(PathBuf, f64), String> {
    let out = work.join("out");
    for end in ["txt", "box"] {
        let _ = std::fs::remove_file(out.with_extension(end));
    }
    let start = Instant::now();
    let mut child = Command::new(std::env::current_exe().map_err(|e| e.to_string())?)
        .args(["dump", backend])
        .args([file, &out])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| e.to_string())?;
    loop {
        match child.try_wait().map_err(|e| e.to_string())? {
            Some(status) if status.success() => {
                let seconds = std::fs::read_to_string(out.with_extension("cpu")).map_err(|e| e.to_string())?;
                return Ok((out, seconds.parse().map_err(|_| "no time".to_owned())?));
            }
            Some(status) => return Err(format!("crash ({status})")),
            None if start.elapsed() > TIME_LIMIT => {
                let _ = child.kill();
                let _ = child.wait();
                return Err("over 120 s".to_owned());
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}
