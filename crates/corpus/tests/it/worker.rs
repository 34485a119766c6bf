//! Every way a parser can misbehave is a typed failure of that one document.

use std::path::Path;

use corpus::{ExtractError, Limits, WarningCode};

use crate::program::{extract, extract_with, worker};

fn misbehaves(how: &str, limits: &Limits) -> ExtractError {
    extract_with("a.txt", b"text", limits, Some(how)).expect_err(how)
}

fn limit(name: &str, allowed: u64) -> ExtractError {
    ExtractError::ParserLimit { limit: name.to_owned(), allowed }
}

#[test]
fn a_good_document_comes_through() {
    let document = extract("a.txt", "Eins. Zwei.\n\nDrei.\n".as_bytes()).expect("extracts");
    assert_eq!(document.text, "Eins. Zwei.\n\nDrei.\n");
    assert_eq!(document.media_type, "text/plain");
    assert_eq!(document.title, "a");
    assert_eq!(document.blocks.len(), 2);
}

#[test]
fn stack_overflow_names_the_stack() {
    let limits = Limits { stack_bytes: 1 << 20, ..Limits::default() };
    assert_eq!(misbehaves("overflow", &limits), limit("stack", 1 << 20));
}

#[test]
fn memory_hog_names_the_address_space() {
    let limits = Limits { address_space: 512 << 20, ..Limits::default() };
    assert_eq!(misbehaves("memory", &limits), limit("address_space", 512 << 20));
}

#[test]
fn endless_loop_names_the_cpu_time() {
    let limits = Limits { cpu_seconds: 1, ..Limits::default() };
    assert_eq!(misbehaves("loop", &limits), limit("cpu_seconds", 1));
}

#[test]
fn endless_wait_names_the_wall_clock() {
    let limits = Limits { wall_ms: 500, ..Limits::default() };
    assert_eq!(misbehaves("sleep", &limits), limit("wall_ms", 500));
}

#[test]
fn oversized_reply_names_its_limit() {
    let limits = Limits { reply_bytes: 1 << 20, ..Limits::default() };
    assert_eq!(misbehaves("long reply", &limits), limit("reply_bytes", 1 << 20));
}

#[test]
fn panic_abort_exit_chatter_and_lies_are_crashes() {
    let limits = Limits { wall_ms: 30_000, ..Limits::default() };
    for (how, why) in [
        ("panic", "xref table at 17 is odd"),
        ("abort", "signal 6"),
        ("exit", "7"),
        ("chatter", "standard output"),
        ("lie", "not in the text"),
    ] {
        let error = misbehaves(how, &limits);
        let ExtractError::ParserCrashed { reason } = &error else { panic!("{how}: {error:?}") };
        assert!(reason.contains(why), "{how}: {reason}");
        assert_eq!(error.code(), "parser_crashed");
    }
}

#[test]
fn the_child_has_no_files_network_or_programs() {
    let document = extract_with("a.txt", b"text", &Limits::default(), Some("rights")).expect("replies");
    let weak: Vec<&str> = document
        .warnings
        .iter()
        .filter(|warning| warning.code == WarningCode::WeakSandbox)
        .map(|warning| warning.detail.as_str())
        .collect();
    for right in ["files", "network"] {
        let kept = document.text.contains(right);
        let said = weak.iter().any(|detail| detail.starts_with(right));
        assert_eq!(kept, said, "{right}: {:?}, warnings {weak:?}", document.text);
    }
    assert!(!document.text.contains("programs") || weak.iter().any(|detail| detail.starts_with("network")));
}

#[test]
fn paths_that_are_no_files_are_unreadable() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let limits = Limits::default();
    for path in [folder.path(), &folder.path().join("none"), Path::new("/dev/zero")] {
        let error = corpus::extract::extract(path, &limits, &worker(None)).expect_err("unreadable");
        assert_eq!(error.code(), "unreadable", "{error}");
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }
}

#[test]
fn a_program_that_is_no_worker_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("a.txt");
    std::fs::write(&path, "text").expect("a temporary file");
    let missing = corpus::worker::Worker { program: folder.path().join("none"), args: Vec::new() };
    let error = corpus::extract::extract(&path, &Limits::default(), &missing).expect_err("no program");
    assert_eq!(error.code(), "worker_unavailable");
    assert!(error.to_string().contains("none"), "{error}");
}
