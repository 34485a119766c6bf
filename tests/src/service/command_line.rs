//! The command line while the service runs: its commands are carried out there, on the same corpora.

use super::server::{Server, eventually};
use crate::{
    documents::{self, HONEY_ANSWER, HONEY_QUESTION},
    program::{Bench, Run, prefilled, said},
};
use serde_json::json;
use std::time::Duration;
use xtask::recall::write_documents;

#[test]
fn commands_go_through_the_process_that_serves() {
    let Some(bench) = Bench::new() else { return };
    documents::write_all(&bench);
    let server = Server::start(&bench);
    let api = &server.api;
    let report = bench.add("notes");
    assert_eq!(report["added"], 3, "{report:#}");
    let listed = api.get("/v1/corpora").ok();
    let corpus = listed["data"][0]["id"].as_str().unwrap();
    assert_eq!(bench.json(["list"])["data"], listed["data"]);
    assert_eq!(bench.json(["show", "notes"])["id"], corpus);
    assert_eq!(bench.text("notes", "files/bees.txt"), documents::BEES);

    let typed = bench.ask("notes", HONEY_QUESTION);
    let asked = api.ask(corpus, HONEY_QUESTION);
    assert!(typed["text"].as_str().unwrap().contains(HONEY_ANSWER), "{typed:#}");
    assert_eq!((said(&typed), prefilled(&typed)), (said(&asked), 0));
    let id = typed["id"].as_str().unwrap();
    assert_eq!(api.get(&format!("/v1/answers/{id}")).ok()["text"], typed["text"]);
    assert_eq!(said(&bench.json(["replay", asked["id"].as_str().unwrap()])), said(&asked));
    let nothing = bench.run(["ask", "notes", "Which composer wrote symphonies about Jupiter?"]);
    assert_eq!(nothing.code, Some(3), "{nothing:?}");
    bench.run(["ask", "nowhere", HONEY_QUESTION]).fails(1, &["nowhere"]);

    bench.write("mill.txt", "The mill grinds rye on Fridays.\n");
    assert_eq!(bench.add("notes")["added"], 1);
    assert_eq!(api.get(&format!("/v1/corpora/{corpus}")).ok()["counts"]["ready"], 4);
    let jobs = bench.json(["jobs"]);
    assert_eq!(jobs["data"].as_array().unwrap().len(), 2, "{jobs:#}");
    assert_eq!(bench.json(["remove", "notes"])["object"], "corpus.deleted");
    assert_eq!(api.get("/v1/corpora").ok()["data"], json!([]));
    assert_eq!(bench.json(["verify"])["object"], "verification");
}

#[test]
fn commands_that_name_no_model_take_that_of_the_service() {
    let bench = Bench::with_recall_model();
    let folder = bench.path("documents");
    let (_, records) = write_documents(&folder, 2_048, 1, 5).unwrap();
    let server = Server::start(&bench);
    let run = |arguments: &[&str]| {
        let run = Run::of(bench.bare_command().arg("--json").arg("--data").arg(bench.data()).args(arguments));
        assert_eq!(run.code, Some(0), "{arguments:?}: {run:?}");
        run.object()
    };
    assert_eq!(run(&["add", "records", "documents"])["tokens_prefilled"], 2_048);
    let record = &records[records.len() / 2];
    assert_eq!(run(&["ask", "records", &record.question()])["text"], format!("{:06x}", record.value));
    for arguments in
        [&["list"][..], &["show", "records"], &["jobs"], &["verify"], &["export", "records", "r.ibid"]]
    {
        run(arguments);
    }
    assert_eq!(run(&["import", "r.ibid", "--as", "copy"])["tokens_prefilled"], 0);
    run(&["remove", "records"]);
    assert_eq!(server.api.get("/v1/corpora").ok()["data"][0]["name"], "copy");
}

#[test]
fn a_second_service_on_the_same_folder_is_refused() {
    let Some(bench) = Bench::new() else { return };
    let server = Server::start(&bench);
    let second = bench.run(["serve", "--address", "127.0.0.1:0"]);
    second.fails(1, &["serves", bench.data().to_str().unwrap()]);
    assert_eq!(server.api.get("/healthz").status, 200);
    // Another folder on the same port: the one that listens stays.
    let other = Bench::new().expect("a model");
    let taken = other.run(["serve", "--address", &server.api.address]);
    taken.fails(1, &["cannot listen on", "--address"]);
    assert_eq!(server.api.get("/healthz").status, 200);
    server.ask_to_end();
    assert_eq!(server.ended(Duration::from_secs(20)).code(), Some(0));
    let again = Server::start(&bench);
    eventually("it serves again", || again.api.get("/readyz").status == 200);
}
