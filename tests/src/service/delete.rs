//! A deleted document: the bytes that are said to be freed are gone, and its text can be neither shown, found nor
//! cited.

use super::{
    client::{answers, documents},
    server::Server,
};
use crate::{
    documents::{HONEY_ANSWER, HONEY_QUESTION},
    program::{Bench, files_below},
};
use serde_json::{Value, json};

/// Bytes of originals, texts and segments.
fn stored_bytes(bench: &Bench) -> u64 {
    let below = |folder: &str| files_below(&bench.data().join(folder));
    let files = ["objects", "kv"].iter().flat_map(|folder| below(folder));
    files.map(|path| path.metadata().unwrap().len()).sum()
}

/// Whether any file of the data folder holds the word.
fn holds(bench: &Bench, word: &str) -> bool {
    let held = |path: &std::path::PathBuf| {
        let bytes = std::fs::read(path).unwrap_or_default();
        bytes.windows(word.len()).any(|window| window == word.as_bytes())
    };
    bench.data_files().iter().any(held)
}

#[test]
fn a_deleted_document_is_gone_at_once_and_for_good() {
    let Some(bench) = Bench::new() else { return };
    let (server, corpus) = Server::with_notes(&bench);
    let api = &server.api;
    let conversation = api.post("/v1/conversations", &json!({ "corpus_id": corpus })).created();
    let question = json!({ "question": HONEY_QUESTION, "conversation_id": conversation });
    let once = api.with("idempotency-key", "once");
    let answer = once.post(&answers(&corpus), &question).ok();
    assert!(answer["text"].as_str().unwrap().contains(HONEY_ANSWER), "{answer:#}");
    let source = &answer["citations"][0]["source"];
    let [document, file] = ["document_id", "file_id"].map(|name| source[name].as_str().unwrap().to_owned());

    let before = stored_bytes(&bench);
    let deleted = api.delete(&format!("/v1/documents/{document}")).ok();
    assert_eq!(deleted["freed_bytes"], before - stored_bytes(&bench), "{deleted:#}");
    assert!(deleted["freed_bytes"].as_u64() > Some(0), "{deleted:#}");
    assert!(!holds(&bench, HONEY_ANSWER), "a file of the data folder still holds {HONEY_ANSWER:?}");

    for path in [
        format!("/v1/documents/{document}"),
        format!("/v1/documents/{document}/text"),
        format!("/v1/documents/{document}/pages"),
        format!("/v1/files/{file}/content"),
    ] {
        api.get(&path).refused(404, "not_found");
    }
    assert_eq!(api.get(&documents(&corpus)).ok()["data"].as_array().unwrap().len(), 2);
    let again = api.ask(&corpus, HONEY_QUESTION);
    assert_eq!(again["citations"].as_array().unwrap().len(), 0, "{again:#}");
    assert_eq!(again["grounding"], "not_in_corpus", "{again:#}");

    let path = format!("/v1/answers/{}", answer["id"].as_str().unwrap());
    let events: Vec<Value> = api.listen(&format!("{path}/events")).map(|event| event.data).collect();
    let shown = api.get(&format!("/v1/conversations/{conversation}")).ok();
    let told_again = once.post(&answers(&corpus), &question).ok();
    assert_ne!(told_again["id"], answer["id"], "the kept reply is gone");
    let old = api.get(&path).ok();
    assert_eq!((&old["status"], &old["source_removed"]), (&json!("completed"), &json!(true)), "{old:#}");
    let cited = &old["citations"][0];
    assert_eq!((&cited["number"], &cited["source_removed"]), (&json!(1), &json!(true)), "{old:#}");
    assert!(cited["quote"].is_null() && cited["source"].is_null(), "{old:#}");
    for told in [&old, &shown, &json!(events), &told_again, &api.get(&answers(&corpus)).ok()] {
        assert!(!told.to_string().contains(HONEY_ANSWER), "{told:#}");
    }
    api.post(&format!("{path}/replay"), &json!({})).refused(409, "cannot_replay");
}

#[test]
fn a_deleted_corpus_frees_what_no_other_needs() {
    let Some(bench) = Bench::new() else { return };
    let (server, corpus) = Server::with_notes(&bench);
    let api = &server.api;
    let other = api.create("copy");
    api.add(&other, &super::server::notes());
    let answer = api.ask(&corpus, HONEY_QUESTION);
    let freed = api.delete(&format!("/v1/corpora/{corpus}")).ok();
    assert_eq!((&freed["freed_bytes"], &freed["freed_files"]), (&json!(0), &json!(0)), "{freed:#}");
    api.get(&format!("/v1/answers/{}", answer["id"].as_str().unwrap())).refused(404, "not_found");
    api.get(&documents(&corpus)).refused(404, "not_found");
    let before = stored_bytes(&bench);
    let freed = api.delete(&format!("/v1/corpora/{other}")).ok();
    assert_eq!((&freed["freed_bytes"], stored_bytes(&bench)), (&json!(before), 0), "{freed:#}");
    let usage = api.get("/v1/usage").ok();
    assert_eq!((&usage["documents"], &usage["storage"]["kv_bytes"]), (&json!(0), &json!(0)), "{usage:#}");
}
