//! Documents that cannot be asked about: each is refused by itself, with its state, a code and what to do, and the
//! others are read.

use crate::{
    documents::{BEES, HONEY_QUESTION},
    pdf_writer::{document, line},
    program::Bench,
};
use std::fs;

#[test]
fn hostile_and_unreadable_pdfs_are_refused_one_by_one_with_their_reason() {
    let Some(bench) = Bench::new() else { return };
    let mut locked = document(&["BT ET"], "", "");
    let filler = "00".repeat(32);
    let encrypt = locked.add(format!("<</Filter/Standard/V 2/R 3/Length 128/P -4/O<{filler}>/U<{filler}>>>"));
    locked.trailer = format!("/Encrypt {encrypt} 0 R/ID[<{0}><{0}>]", "00".repeat(16));
    let mut nested = document(&["BT ET"], "", "");
    nested.add(["[".repeat(10_380), "]".repeat(10_380)].concat());
    let scan = document(&["0 0 1 rg 10 10 100 100 re f"], "", "");
    let files = [
        ("locked.pdf", locked.bytes(), "needs_password", "needs_password", "without a password"),
        ("nested.pdf", nested.bytes(), "failed", "parser_limit", "pdf_depth = 100"),
        ("scan.pdf", scan.bytes(), "needs_ocr", "needs_ocr", "text recognition"),
    ];
    for (name, bytes, ..) in &files {
        fs::write(bench.files().join(name), bytes).unwrap();
    }
    fs::write(bench.files().join("good.pdf"), document(&[&line(72, 700, "The pump hums.")], "", "").bytes())
        .unwrap();
    bench.write("bees.txt", BEES);

    let report = bench.add("notes");
    let refused = report["refused"].as_array().unwrap();
    assert_eq!(refused.len(), files.len(), "{report:#}");
    for (refused, (name, _, state, code, word)) in refused.iter().zip(&files) {
        assert_eq!(refused["path"], format!("files/{name}"), "{report:#}");
        assert_eq!(
            (&refused["state"], &refused["error"]["code"]),
            (&(*state).into(), &(*code).into()),
            "{report:#}"
        );
        assert!(refused["error"]["message"].as_str().unwrap().contains(word), "{report:#}");
        assert_eq!(bench.json(["show", "notes", &format!("files/{name}")])["state"], *state);
    }
    assert_eq!(bench.text("notes", "files/good.pdf"), "The pump hums.");
    assert_eq!(bench.ask("notes", HONEY_QUESTION)["grounding"], "supported");
}
