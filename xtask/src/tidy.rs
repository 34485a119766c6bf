//! House rules that a program can check. A rule that is not checked here or by clippy is not a rule.
//!
//! - a module opens with `//!`;
//! - a file has at most 500 lines before its tests, a function at most 70;
//! - no markers of unfinished work, no ignored tests, no `allow` without a reason beside it;
//! - the README's table of crates lists exactly the folders of `crates/`.

use anyhow::{Context, Result};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const MAX_FILE_LINES: usize = 500;
const MAX_FUNCTION_LINES: usize = 70;
/// Folders with our own sources.
const SOURCES: [&str; 4] = ["crates", "tests", "xtask", "bench"];

/// Every broken rule, as `path:line: what`.
pub fn check(root: &Path) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for folder in SOURCES {
        for path in rust_files(&root.join(folder))? {
            let text =
                fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            problems.extend(
                check_file(&text, is_test_file(&path))
                    .into_iter()
                    .map(|(line, what)| format!("{name}:{line}: {what}")),
            );
        }
    }
    problems.extend(check_readme(root)?);
    Ok(problems)
}

fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return Ok(files) };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("target") {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// A module of tests or benches explains itself by the module it stands beside.
fn is_test_file(path: &Path) -> bool {
    path.ends_with("tests.rs") || path.parent().is_some_and(|folder| folder.ends_with("benches"))
}

/// Problems of one source text with their line, from 1.
fn check_file(text: &str, is_test: bool) -> Vec<(usize, String)> {
    let mut problems = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    if !is_test && !lines.first().is_some_and(|line| line.starts_with("//!") || line.starts_with("#![doc")) {
        problems
            .push((1, "a module opens with `//!`: what lives here, and its place on the data path".into()));
    }
    let tests_at = lines.iter().position(|line| line.trim() == "#[cfg(test)]").unwrap_or(lines.len());
    let before_tests = if is_test { 0 } else { tests_at };
    if before_tests > MAX_FILE_LINES {
        problems
            .push((before_tests, format!("{before_tests} lines before the tests, at most {MAX_FILE_LINES}")));
    }
    problems.extend(long_functions(&lines[..before_tests]));
    // Written apart, so that this file does not break its own rule.
    let markers = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:"), concat!("HA", "CK:")];
    for (number, line) in (1..).zip(&lines) {
        if let Some(marker) = markers.iter().find(|marker| line.contains(**marker)) {
            problems.push((number, format!("{marker} marks unfinished work: finish it or leave it out")));
        }
        if line.contains(concat!("#[ign", "ore")) {
            problems.push((number, "an ignored test proves nothing: run it or delete it".into()));
        }
        if line.contains(concat!("[all", "ow(")) && !line.contains("reason") {
            let explained = number >= 2 && lines[number - 2].trim_start().starts_with("//");
            if !explained {
                let what = "`allow` needs a reason: `reason = \"…\"` in it, or a comment right above it";
                problems.push((number, what.into()));
            }
        }
    }
    problems
}

/// Relies on rustfmt: a function's closing brace stands at the indentation of its first line.
fn long_functions(lines: &[&str]) -> Vec<(usize, String)> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut problems = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let words = line.trim_start();
        let is_function = [
            "fn ",
            "pub fn ",
            "pub(crate) fn ",
            "pub(super) fn ",
            "async fn ",
            "pub async fn ",
            "pub(crate) async fn ",
            "unsafe fn ",
            "pub unsafe fn ",
            "pub(crate) unsafe fn ",
        ]
        .iter()
        .any(|start| words.starts_with(start));
        if !is_function || line.trim_end().ends_with(['}', ';']) {
            continue;
        }
        let close = lines[at..].iter().position(|end| end.trim() == "}" && indent(end) == indent(line));
        let length = close.map_or(0, |offset| offset + 1);
        if length > MAX_FUNCTION_LINES {
            problems.push((at + 1, format!("a function of {length} lines, at most {MAX_FUNCTION_LINES}")));
        }
    }
    problems
}

fn check_readme(root: &Path) -> Result<Vec<String>> {
    let readme = fs::read_to_string(root.join("README.md")).context("cannot read README.md")?;
    let listed: BTreeSet<String> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("| `crates/")?.split_once('`').map(|(name, _)| name.to_owned()))
        .collect();
    let mut present = BTreeSet::new();
    for entry in fs::read_dir(root.join("crates")).context("cannot read crates/")? {
        present.insert(entry?.file_name().to_string_lossy().into_owned());
    }
    let missing =
        present.difference(&listed).map(|name| format!("README.md: crates/{name} is not in the table"));
    let gone = listed.difference(&present).map(|name| format!("README.md: crates/{name} does not exist"));
    Ok(missing.chain(gone).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_keeps_its_own_rules() {
        let problems = check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).unwrap();
        assert!(problems.is_empty(), "\n{}", problems.join("\n"));
    }

    #[test]
    fn each_rule_finds_its_breach() {
        let long_function = format!("//! x\nfn f() {{\n{}}}\n", "    a();\n".repeat(70));
        let long_file = format!("//! x\n{}", "const A: u8 = 0;\n".repeat(500));
        for (text, line, part) in [
            ("fn f() {}\n".to_owned(), 1, "opens with"),
            (long_function, 2, "72 lines"),
            (long_file, 501, "501 lines"),
            (concat!("//! x\n// TO", "DO later\n").to_owned(), 2, "unfinished"),
            (concat!("//! x\n#[ign", "ore]\nfn t() {}\n").to_owned(), 2, "ignored"),
            (concat!("//! x\n\n#[all", "ow(dead_code)]\nfn t() {}\n").to_owned(), 3, "reason"),
        ] {
            let found = check_file(&text, false);
            assert!(found.iter().any(|(at, what)| *at == line && what.contains(part)), "{part}: {found:?}");
        }
        assert_eq!(check_file("//! x\nfn f() {\n    a();\n}\n", false), []);
    }
}
