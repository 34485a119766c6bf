//! Removing: the bytes that are said to be freed are gone, and the text is in no file of the data folder any more.

use crate::{
    documents::{self, FERRY_QUESTION, HONEY_QUESTION},
    program::Bench,
};
use std::fs;

/// Bytes of originals, texts and segments.
fn stored_bytes(bench: &Bench) -> u64 {
    let stored = |path: &std::path::Path| {
        ["objects", "kv"].iter().any(|name| path.starts_with(bench.data().join(name)))
    };
    bench.data_files().iter().filter(|path| stored(path)).map(|path| path.metadata().unwrap().len()).sum()
}

/// Files of the data folder that hold one of the words, in any letter case.
fn holding(bench: &Bench, words: &[&str]) -> Vec<std::path::PathBuf> {
    let holds = |bytes: &[u8]| {
        let bytes = bytes.to_ascii_lowercase();
        words.iter().any(|word| bytes.windows(word.len()).any(|window| window == word.as_bytes()))
    };
    bench.data_files().into_iter().filter(|path| holds(&fs::read(path).unwrap())).collect()
}

#[test]
fn a_removed_document_frees_its_bytes_and_leaves_no_trace_of_its_text() {
    let Some(bench) = Bench::new() else { return };
    documents::write_all(&bench);
    bench.add("notes");
    let answer = bench.ask("notes", FERRY_QUESTION);
    assert_eq!(answer["citations"][0]["source"]["path"], "files/harbour.md", "{answer:#}");
    // Words of the text alone: neither the question nor a path has them.
    let words = ["gothenburg", "kroner", "lindvik", "mooring"];
    assert!(!holding(&bench, &words).is_empty());

    let before = stored_bytes(&bench);
    let removed = bench.json(["remove", "notes", "files/harbour.md"]);
    let freed = removed["freed_bytes"].as_u64().unwrap();
    assert_eq!(before - stored_bytes(&bench), freed, "{removed:#}");
    assert!(freed > documents::HARBOUR.len() as u64, "{removed:#}");
    assert_eq!(holding(&bench, &words), Vec::<std::path::PathBuf>::new());

    bench.run(["show", "notes", "files/harbour.md"]).fails(1, &["harbour.md"]);
    let answer = bench.ask("notes", HONEY_QUESTION);
    assert_eq!(answer["grounding"], "supported", "{answer:#}");
}

#[test]
fn a_removed_corpus_takes_everything_with_it_that_no_other_needs() {
    let Some(bench) = Bench::new() else { return };
    documents::write_all(&bench);
    bench.add("first");
    bench.add("second");
    let removed = bench.json(["remove", "first"]);
    assert_eq!(removed["freed_bytes"], 0, "the second corpus holds the same documents: {removed:#}");
    assert_eq!(bench.ask("second", HONEY_QUESTION)["usage"]["prefilled_corpus_tokens"], 0);

    let before = stored_bytes(&bench);
    let removed = bench.json(["remove", "second"]);
    assert_eq!(removed["freed_bytes"].as_u64().unwrap(), before);
    assert_eq!(stored_bytes(&bench), 0);
    assert_eq!(
        holding(&bench, &["gothenburg", "eighteen kilograms", "stoneware glaze melts"]),
        Vec::<std::path::PathBuf>::new()
    );
    assert_eq!(bench.json(["list"])["data"], serde_json::json!([]));
}
