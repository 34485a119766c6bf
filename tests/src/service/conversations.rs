//! `/v1/conversations`: questions that follow from each other. Earlier answers help, and are never a source.

use super::{
    client::{answers, kept},
    server::Server,
};
use crate::{
    documents::{self, HONEY_QUESTION},
    program::{Bench, said},
};
use serde_json::{Value, json};

/// Every quote stands in one of the documents.
fn check_sources(answer: &Value) {
    for citation in answer["citations"].as_array().unwrap() {
        let quote = citation["quote"].as_str().unwrap();
        let texts = [documents::HARBOUR, documents::BEES, documents::KILN];
        assert!(texts.iter().any(|text| text.contains(quote)), "{answer:#}");
    }
}

#[test]
fn a_conversation_keeps_its_answers_and_none_of_them_is_cited() {
    let Some(bench) = Bench::new() else { return };
    let (server, corpus) = Server::with_notes(&bench);
    let api = &server.api;
    let new = json!({ "corpus_id": corpus, "title": "Bees" });
    let id = api.post("/v1/conversations", &new).created();
    let path = format!("/v1/conversations/{id}");
    let ask = |question: &str| {
        let body = json!({ "question": question, "conversation_id": id });
        api.post(&answers(&corpus), &body).ok()
    };
    let first = ask(HONEY_QUESTION);
    assert_eq!((&first["conversation_id"], first["citations"].as_array().unwrap().len()), (&json!(id), 1));
    let second = ask("And when are its hives wrapped?");
    for answer in [&first, &second] {
        check_sources(answer);
    }
    // The turns before it stand in the prompt.
    let alone = api.ask(&corpus, "And when are its hives wrapped?");
    let tokens = |answer: &Value| answer["usage"]["question_tokens"].as_u64().unwrap();
    assert!(tokens(&second) > tokens(&alone), "{second:#}");
    let replayed = api.post(&format!("/v1/answers/{}/replay", second["id"].as_str().unwrap()), &json!({}));
    let replayed = replayed.ok();
    assert_eq!((&replayed["identical"], said(&replayed["answer"])), (&json!(true), said(&second)));

    let shown = api.get(&path).ok();
    assert_eq!((&shown["title"], &shown["answers"]), (&json!("Bees"), &json!([kept(&first), kept(&second)])));
    let other = api.post("/v1/conversations", &json!({ "corpus_id": corpus })).created();
    let listed = api.get("/v1/conversations").ok();
    let ids: Vec<&Value> = listed["data"].as_array().unwrap().iter().map(|found| &found["id"]).collect();
    assert_eq!(ids, [&json!(other), &json!(id)]);
    assert_eq!(api.get(&format!("/v1/conversations?corpus_id={corpus}&limit=1")).ok()["has_more"], true);

    let elsewhere = api.create("elsewhere");
    assert_eq!(api.get(&format!("/v1/conversations?corpus_id={elsewhere}")).ok()["data"], json!([]));
    let deleted = api.delete(&path).ok();
    assert_eq!(deleted["object"], "conversation.deleted");
    api.get(&path).refused(404, "not_found");
    api.get(&format!("/v1/answers/{}", first["id"].as_str().unwrap())).refused(404, "not_found");
    assert_eq!(api.get(&answers(&corpus)).ok()["data"], json!([kept(&alone)]));
    let body = json!({ "question": HONEY_QUESTION, "conversation_id": id });
    api.post(&answers(&corpus), &body).refused(404, "not_found");
}

#[test]
fn a_conversation_belongs_to_one_corpus() {
    let Some(bench) = Bench::new() else { return };
    let (server, corpus) = Server::with_notes(&bench);
    let api = &server.api;
    let elsewhere = api.create("elsewhere");
    let id = api.post("/v1/conversations", &json!({ "corpus_id": elsewhere })).created();
    let body = json!({ "question": HONEY_QUESTION, "conversation_id": id });
    api.post(&answers(&corpus), &body).refused(404, "not_found");
    assert_eq!(api.get(&format!("/v1/conversations/{id}")).ok()["answers"], json!([]));
    for title in ["a\nb", &"t".repeat(201)] {
        let new = json!({ "corpus_id": corpus, "title": title });
        api.post("/v1/conversations", &new).refused(422, "bad_title");
    }
    api.post("/v1/conversations", &json!({ "corpus_id": "notes" })).refused(404, "not_found");
    api.delete(&format!("/v1/corpora/{elsewhere}")).ok();
    api.get(&format!("/v1/conversations/{id}")).refused(404, "not_found");
}

#[test]
fn an_earlier_turn_does_not_hide_what_the_documents_say() {
    let Some(bench) = Bench::new() else { return };
    let (server, corpus) = Server::with_notes(&bench);
    let api = &server.api;
    let id = api.post("/v1/conversations", &json!({ "corpus_id": corpus })).created();
    let body = json!({ "question": HONEY_QUESTION, "conversation_id": id });
    let first = api.post(&answers(&corpus), &body).ok();
    let again = api.post(&answers(&corpus), &body).ok();
    assert_eq!((&first["grounding"], &again["grounding"]), (&json!("supported"), &json!("supported")));
    assert_eq!(
        (&again["text"], &again["citations"][0]["source"]),
        (&first["text"], &first["citations"][0]["source"])
    );
}
