//! Limits of the configuration: each is kept, and named where it is met.

use super::{
    client::{answers, documents},
    server::{Server, configure, notes},
};
use crate::{documents::HONEY_QUESTION, program::Bench};
use serde_json::json;

#[test]
fn every_limit_is_named_where_it_is_met() {
    let Some(bench) = Bench::new() else { return };
    let table =
        "[service]\nquestion_characters = 80\nfiles_per_corpus = 4\nupload_files = 3\nrequest_bytes = 2000\n";
    configure(&bench, table);
    let (server, corpus) = Server::with_notes(&bench);
    let api = &server.api;
    let ask = |question: &str| api.post(&answers(&corpus), &json!({ "question": question }));
    assert!(ask(&"é".repeat(81)).refused(413, "too_long").contains("question_characters = 80"));
    assert_eq!(ask(HONEY_QUESTION).ok()["status"], "completed");

    let file = |name: &'static str| (name, &b"The mill grinds rye on Fridays.\n"[..]);
    let four = [file("1.txt"), file("2.txt"), file("3.txt"), file("4.txt")];
    assert!(api.upload(&corpus, &four).refused(413, "too_many_files").contains("upload_files = 3"));
    assert!(
        api.upload(&corpus, &four[..2]).refused(422, "too_many_documents").contains("files_per_corpus = 4")
    );
    assert_eq!(api.get(&documents(&corpus)).ok()["data"].as_array().unwrap().len(), 3);
    api.add(&corpus, &four[..1]);
    // What takes the place of a document makes no more of them.
    api.add(&corpus, &[("1.txt", b"The mill was sold.\n")]);
    assert_eq!(api.upload(&corpus, &notes()).status, 200);

    let long = json!({ "name": "n".repeat(2_000) });
    assert!(api.post("/v1/corpora", &long).refused(413, "too_long").contains("request_bytes = 2000"));
    let keyed = api.with("idempotency-key", "k").post("/v1/corpora", &long);
    assert!(keyed.refused(413, "too_long").contains("request_bytes = 2000"));
    let limits = &api.get("/v1/usage").ok()["limits"];
    for (name, value) in
        [("question_characters", 80), ("files_per_corpus", 4), ("upload_files", 3), ("request_bytes", 2_000)]
    {
        assert_eq!(limits[name], value, "{limits:#}");
    }
}

#[test]
fn a_job_that_would_take_too_much_kv_fails_before_anything_is_computed() {
    let Some(bench) = Bench::new() else { return };
    configure(&bench, "[service]\nkv_bytes_per_owner = 1000000\n");
    let server = Server::start(&bench);
    let api = &server.api;
    let corpus = api.create("notes");
    let small = [("mill.txt", &b"The mill grinds rye on Fridays.\n"[..])];
    api.add(&corpus, &small);
    let segments = bench.segments();
    let upload = api.upload(&corpus, &notes()).ok();
    let id = upload["job_id"].as_str().unwrap();
    let job = api.wait_for(id);
    assert_eq!((&job["state"], &job["error"]["code"]), (&json!("failed"), &json!("kv_quota")), "{job:#}");
    assert!(job["error"]["message"].as_str().unwrap().contains("kv_bytes_per_owner = 1000000"), "{job:#}");
    assert_eq!(bench.segments(), segments);
    let shown = api.get(&format!("/v1/corpora/{corpus}")).ok();
    assert_eq!((&shown["state"], &shown["counts"]["ready"]), (&json!("failed"), &json!(1)), "{shown:#}");
    assert_eq!(api.ask(&corpus, "When does the mill grind rye?")["grounding"], "supported");

    drop(server);
    configure(&bench, "");
    let server = Server::start(&bench);
    let retried = server.api.post(&format!("/v1/jobs/{id}/retry"), &json!({}));
    assert_eq!((retried.status, &retried.json()["state"]), (202, &json!("queued")));
    assert_eq!(server.api.wait_for(id)["state"], "succeeded");
    assert_eq!(server.api.ask(&corpus, HONEY_QUESTION)["grounding"], "supported");
}

#[test]
fn a_limit_that_nobody_knows_is_an_error_of_the_configuration() {
    let bench = Bench::without_model();
    configure(&bench, "[service]\nquestion_caracters = 80\n");
    bench.run(["serve", "--address", "127.0.0.1:0"]).fails(1, &["config.toml", "question_caracters"]);
}
