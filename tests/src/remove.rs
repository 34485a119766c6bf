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
fn stored_answers_of_every_mode_lose_what_a_removed_document_said() {
    let Some(bench) = Bench::new() else { return };
    let text =
        "The old mill\n\nThe mill at Quorvexham grinds rye on Fridays. Its miller is called Zandrubel.\n";
    bench.write("mill.txt", text);
    bench.write("bees.txt", documents::BEES);
    bench.add("notes");
    let words = ["quorvexham", "zandrubel"];
    let mut said = 0;
    for mode in ["quote", "free"] {
        for question in ["What does the mill grind on Fridays?", "How is the miller called?"] {
            let answer = bench.run(["--json", "ask", "notes", question, "--mode", mode]).object();
            let text = answer["text"].as_str().unwrap().to_lowercase();
            said += u32::from(words.iter().any(|word| text.contains(word)));
        }
    }
    assert!(said > 0, "no answer said a word to look for");
    let in_catalog = |bench: &Bench| {
        let found = holding(bench, &words);
        found.iter().any(|path| path.to_string_lossy().contains("catalog.sqlite"))
    };
    assert!(in_catalog(&bench), "no stored answer holds a word to look for");
    bench.json(["remove", "notes", "files/mill.txt"]);
    assert_eq!(holding(&bench, &words), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_pruned_file_and_its_answers_leave_no_trace_either() {
    let Some(bench) = Bench::new() else { return };
    bench.write("mill.txt", "The mill at Quorvexham grinds rye on Fridays.\n");
    bench.write("bees.txt", documents::BEES);
    bench.add("notes");
    bench.ask("notes", "What does the mill grind on Fridays?");
    assert!(!holding(&bench, &["quorvexham"]).is_empty());
    fs::remove_file(bench.files().join("mill.txt")).unwrap();
    bench.json(["add", "notes", "files", "--prune"]);
    assert_eq!(holding(&bench, &["quorvexham"]), Vec::<std::path::PathBuf>::new());
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
