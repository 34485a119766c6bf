//! Damage on the disk is found, set aside and repaired; it never changes an answer.

use crate::{
    documents::{BEES, HARBOUR, HONEY_QUESTION},
    program::{Bench, Run, files_below, prefilled, said},
};
use serde_json::{Value, json};
use std::{fs, path::Path};

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

fn set_aside(bench: &Bench) -> usize {
    files_below(&bench.data().join("kv/quarantine")).len()
}

/// A corpus of one document whose KV is one segment.
fn one_segment() -> Option<Bench> {
    let bench = Bench::new()?;
    bench.write("bees.txt", BEES);
    bench.add("notes");
    assert_eq!(bench.segments().len(), 1);
    Some(bench)
}

#[test]
fn a_damaged_segment_is_set_aside_and_computed_again_for_the_same_answer() {
    let Some(bench) = one_segment() else { return };
    let before = bench.ask("notes", HONEY_QUESTION);
    let segment = bench.segments().remove(0);
    let whole = fs::read(&segment).unwrap();

    type Damage = fn(&Path, usize);
    let kinds: [(&str, Damage); 4] = [
        ("a flipped bit in the last page", |path, len| flip(path, len - 1)),
        ("a flipped bit in the header", |path, _| flip(path, 9)),
        ("half the file", |path, len| {
            fs::OpenOptions::new().write(true).open(path).unwrap().set_len(len as u64 / 2).unwrap()
        }),
        ("no file", |path, _| fs::remove_file(path).unwrap()),
    ];
    for (kind, damage) in kinds {
        damage(&segment, whole.len());
        let quarantined = set_aside(&bench);
        let repaired = bench.ask("notes", HONEY_QUESTION);
        assert!(prefilled(&repaired) > 0, "{kind}: {repaired:#}");
        assert_eq!(said(&repaired), said(&before), "{kind}");
        assert!(
            fs::read(&segment).unwrap() == whole,
            "{kind}: the segment was not computed to the same bytes"
        );
        if kind != "no file" {
            assert!(set_aside(&bench) > 0 && set_aside(&bench) >= quarantined, "{kind}");
        }
        let after = bench.ask("notes", HONEY_QUESTION);
        assert_eq!((prefilled(&after), said(&after)), (0, said(&before)), "{kind}");
    }
}

#[test]
fn a_valid_segment_under_another_name_is_not_believed() {
    let Some(bench) = one_segment() else { return };
    let before = bench.ask("notes", HONEY_QUESTION);
    let segment = bench.segments().remove(0);
    let whole = fs::read(&segment).unwrap();
    bench.write("bees.txt", &BEES.replace("eighteen", "twenty-two"));
    bench.add("other");
    let other = bench.segments().into_iter().find(|path| *path != segment).unwrap();
    fs::copy(other, &segment).unwrap();
    let repaired = bench.ask("notes", HONEY_QUESTION);
    assert!(prefilled(&repaired) > 0, "{repaired:#}");
    assert_eq!(said(&repaired), said(&before));
    assert!(fs::read(&segment).unwrap() == whole);
}

#[test]
fn verify_finds_damage_and_adding_again_repairs_it() {
    let Some(bench) = one_segment() else { return };
    let before = bench.ask("notes", HONEY_QUESTION);
    assert_eq!(bench.run(["verify"]).code, Some(0));
    let segment = bench.segments().remove(0);
    let middle = fs::metadata(&segment).unwrap().len() as usize / 2;
    flip(&segment, middle);

    let run = bench.run(["verify"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.out.contains(segment.file_stem().unwrap().to_str().unwrap()), "{run:?}");
    assert!(!segment.exists() && set_aside(&bench) == 1);

    let report = bench.add("notes");
    assert!(report["tokens_prefilled"].as_u64().unwrap() > 0, "{report:#}");
    assert_eq!(bench.run(["verify"]).code, Some(0));
    let after = bench.ask("notes", HONEY_QUESTION);
    assert_eq!((prefilled(&after), said(&after)), (0, said(&before)));
}

/// The result of a `verify` that finds something.
fn damage_found(bench: &Bench) -> Value {
    let run = Run::of(bench.command().args(["--json", "verify"]));
    assert_eq!(run.code, Some(1), "{run:?}");
    run.object()
}

#[test]
fn verify_names_the_documents_until_adding_has_repaired_them() {
    let bench = Bench::with_recall_model();
    bench.write("bees.txt", BEES);
    bench.write("harbour.md", HARBOUR);
    bench.add("notes");
    let objects = files_below(&bench.data().join("objects"));
    let bees: Vec<_> = objects.iter().filter(|path| fs::read(path).unwrap() == BEES.as_bytes()).collect();
    assert_eq!(bees.len(), 2, "original and text");
    bees.iter().for_each(|path| flip(path, 3));
    let found = damage_found(&bench);
    let lacks = json!([{ "corpus": "notes", "path": "files/bees.txt", "lacks": ["original", "text"] }]);
    assert_eq!((&found["damaged"], &found["documents"]), (&json!(2), &lacks), "{found:#}");
    let report = bench.add("notes");
    assert_eq!(report["restored"], json!(["files/bees.txt"]), "{report:#}");
    assert_eq!(bench.run(["verify"]).code, Some(0));
    assert_eq!(bench.text("notes", "files/bees.txt"), BEES);

    for segment in bench.segments() {
        flip(&segment, fs::metadata(&segment).unwrap().len() as usize / 2);
    }
    let lacks = ["files/bees.txt", "files/harbour.md"]
        .map(|path| json!({ "corpus": "notes", "path": path, "lacks": ["kv"] }));
    for damaged in [true, false] {
        let found = damage_found(&bench);
        assert_eq!(found["documents"], json!(lacks), "{found:#}");
        assert_eq!(found["damaged"].as_u64() > Some(0), damaged, "{found:#}");
    }
    let run = bench.run(["verify"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.out.contains("files/bees.txt of notes lacks: kv") && run.err.contains("lack KV"), "{run:?}");
    assert_eq!(bench.add("notes")["repaired"].as_array().unwrap().len(), 2);
    assert_eq!(bench.run(["verify"]).code, Some(0));
}

#[test]
fn a_lost_passage_index_is_built_again() {
    let Some(bench) = one_segment() else { return };
    let before = bench.ask("notes", HONEY_QUESTION);
    fs::remove_dir_all(bench.data().join("index")).unwrap();
    let after = bench.ask("notes", HONEY_QUESTION);
    assert_eq!((prefilled(&after), said(&after)), (0, said(&before)));
}
