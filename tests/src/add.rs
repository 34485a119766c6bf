//! Adding again: unchanged files are skipped, changed ones become a new version, missing ones stay until `--prune`.

use crate::{
    documents::{self, BEES, HARBOUR, HONEY_QUESTION},
    program::Bench,
};
use serde_json::{Value, json};
use std::fs;

/// added, changed, removed, unchanged, missing
fn counts(report: &Value) -> [u64; 5] {
    let count = |name: &str| match &report[name] {
        Value::Array(items) => items.len() as u64,
        number => number.as_u64().unwrap_or_else(|| panic!("no {name} in {report:#}")),
    };
    ["added", "changed", "removed", "unchanged", "missing"].map(count)
}

#[test]
fn unchanged_files_are_skipped_and_a_changed_one_becomes_a_new_version() {
    let Some(bench) = Bench::new() else { return };
    documents::write_all(&bench);
    let first = bench.add("notes");
    assert_eq!(counts(&first), [3, 0, 0, 0, 0]);
    assert!(first["tokens_prefilled"].as_u64().unwrap() > 0);
    let before = bench.json(["show", "notes"]);

    let again = bench.add("notes");
    assert_eq!(counts(&again), [0, 0, 0, 3, 0]);
    assert_eq!(again["tokens_prefilled"], 0);
    assert_eq!(again["corpus_version"], first["corpus_version"]);

    bench.write("bees.txt", &BEES.replace("eighteen", "twenty-two"));
    let changed = bench.add("notes");
    assert_eq!(counts(&changed), [0, 1, 0, 2, 0]);
    assert_eq!(changed["corpus_version"].as_u64(), first["corpus_version"].as_u64().map(|v| v + 1));
    let after = bench.json(["show", "notes"]);
    for (old, new) in
        before["documents"].as_array().unwrap().iter().zip(after["documents"].as_array().unwrap())
    {
        assert_eq!((&old["path"], &old["id"]), (&new["path"], &new["id"]));
        let is_bees = old["path"] == "files/bees.txt";
        assert_eq!(old["sha256"] != new["sha256"], is_bees);
        assert_eq!(new["version"].as_u64().unwrap() - old["version"].as_u64().unwrap(), u64::from(is_bees));
    }
    let answer = bench.ask("notes", HONEY_QUESTION);
    assert!(answer["text"].as_str().unwrap().contains("twenty-two"), "{answer:#}");
    assert_eq!(bench.text("notes", "files/bees.txt"), BEES.replace("eighteen", "twenty-two"));
}

#[test]
fn missing_files_are_kept_until_they_are_pruned() {
    let Some(bench) = Bench::new() else { return };
    documents::write_all(&bench);
    bench.add("notes");
    fs::remove_file(bench.files().join("harbour.md")).unwrap();

    let kept = bench.add("notes");
    assert_eq!(counts(&kept), [0, 0, 0, 2, 1]);
    assert_eq!(kept["missing"], json!(["files/harbour.md"]));
    assert_eq!(bench.text("notes", "files/harbour.md"), HARBOUR);

    let pruned = bench.json(["add", "notes", "files", "--prune"]);
    assert_eq!(counts(&pruned), [0, 0, 1, 2, 0]);
    assert!(pruned["freed_bytes"].as_u64().unwrap() > 0, "{pruned:#}");
    bench.run(["show", "notes", "files/harbour.md"]).fails(1, &["harbour.md"]);
    assert_eq!(bench.json(["show", "notes"])["counts"]["documents"], 2);
}

#[test]
fn a_document_that_cannot_be_read_fails_alone_and_says_why() {
    let Some(bench) = Bench::new() else { return };
    bench.write("bees.txt", BEES);
    bench.write("empty.txt", "");
    bench.write("broken.pdf", "%PDF-1.7\nthis is no PDF");
    let report = bench.add("notes");
    let refused = report["refused"].as_array().unwrap();
    let paths: Vec<&str> = refused.iter().map(|r| r["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["files/broken.pdf", "files/empty.txt"]);
    assert_eq!(refused[1]["error"]["code"], "empty_file", "{report:#}");
    for refused in refused {
        assert!(!refused["error"]["message"].as_str().unwrap().is_empty(), "{report:#}");
    }
    let answer = bench.ask("notes", HONEY_QUESTION);
    assert_eq!(answer["grounding"], "supported", "{answer:#}");
    bench.run(["show", "notes", "files/empty.txt", "--text"]).fails(1, &["files/empty.txt"]);
}

#[test]
fn ignored_and_hidden_files_are_passed_over() {
    let Some(bench) = Bench::new() else { return };
    bench.write("bees.txt", BEES);
    bench.write(".secret.txt", "a hidden note");
    bench.write("drafts/kiln.txt", "an ignored note");
    bench.write(".gitignore", "drafts/\n");
    assert_eq!(counts(&bench.add("notes")), [1, 0, 0, 0, 0]);
}
