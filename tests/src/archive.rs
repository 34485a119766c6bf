//! A corpus leaves one data folder as a file and comes into another: asked there, it answers the same, with nothing
//! read again.

use crate::{
    documents::{self, FERRY_QUESTION, HONEY_QUESTION},
    program::{Bench, prefilled, said},
};
use std::fs;

#[test]
fn an_exported_corpus_answers_the_same_elsewhere_with_nothing_read_again() {
    let (Some(here), Some(there)) = (Bench::new(), Bench::new()) else { return };
    documents::write_all(&here);
    here.add("notes");
    let before = [FERRY_QUESTION, HONEY_QUESTION].map(|question| said(&here.ask("notes", question)));
    let archive = here.path("notes.ibid");
    let archive = archive.to_str().unwrap();

    let exported = here.json(["export", "notes", archive]);
    assert_eq!(
        (&exported["documents"], &exported["segments_left_out"]),
        (&3.into(), &0.into()),
        "{exported:#}"
    );
    assert_eq!(exported["bytes"], fs::metadata(archive).unwrap().len());

    let imported = there.json(["import", archive]);
    assert_eq!((&imported["corpus"], &imported["documents"]), (&"notes".into(), &3.into()), "{imported:#}");
    assert_eq!(
        (&imported["tokens_prefilled"], &imported["other_model"]),
        (&0.into(), &serde_json::Value::Null)
    );
    assert_eq!(imported["segments_taken"], exported["segments"]);
    fs::remove_file(archive).unwrap();
    let after = [FERRY_QUESTION, HONEY_QUESTION].map(|question| {
        let answer = there.ask("notes", question);
        assert_eq!(prefilled(&answer), 0, "{answer:#}");
        said(&answer)
    });
    assert_eq!(after, before);
    assert_eq!(there.text("notes", "files/harbour.md"), documents::HARBOUR);
    assert_eq!(there.run(["verify"]).code, Some(0));
    let jobs = there.json(["jobs"]);
    assert_eq!(
        (&jobs["data"][0]["kind"], &jobs["data"][0]["state"]),
        (&"import".into(), &"succeeded".into())
    );
    let progress = &jobs["data"][0]["progress"];
    assert_eq!(progress["done"], progress["total"], "{jobs:#}");
}

#[test]
fn names_and_files_that_are_taken_are_refused_with_what_to_do() {
    let Some(bench) = Bench::new() else { return };
    documents::write_all(&bench);
    bench.add("notes");
    let archive = bench.path("notes.ibid");
    let archive = archive.to_str().unwrap();
    bench.json(["export", "notes", archive]);
    bench.run(["export", "notes", archive]).fails(1, &[archive, "already exists", "--force"]);
    bench.json(["export", "notes", archive, "--force"]);
    bench.run(["import", archive]).fails(1, &["notes", "already exists", "--as"]);
    bench.json(["import", archive, "--as", "copy"]);
    let answer = bench.ask("copy", HONEY_QUESTION);
    assert_eq!((prefilled(&answer), &answer["grounding"]), (0, &"supported".into()), "{answer:#}");
    bench.json(["remove", "notes"]);
    assert_eq!(prefilled(&bench.ask("copy", HONEY_QUESTION)), 0, "the copy keeps what it shares");

    bench.run(["import", "nowhere.ibid"]).fails(1, &["nowhere.ibid", "does not exist"]);
    bench.run(["export", "nowhere", archive]).fails(1, &["nowhere"]);
    bench.run(["export", "copy", "no/such/n.ibid"]).fails(1, &["no folder", "mkdir -p", "no/such"]);
    bench.run(["export", "copy", "files"]).fails(1, &["is a folder", "files/copy.ibid"]);
    let text = bench.write("bees.txt", documents::BEES);
    bench
        .run(["import", text.to_str().unwrap()])
        .fails(1, &["bees.txt", "no archive", "name a file that ibid export wrote"]);
}
