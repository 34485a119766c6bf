//! One question at a time, one in the line: the next is told to come back, and nobody waits for what was taken away.

use super::{
    client::{answers, babble},
    events::Event,
    server::{Server, configure, eventually, key, notes},
};
use crate::{documents::HONEY_QUESTION, program::Bench};
use serde_json::{Value, json};
use std::thread;

const LINE_OF_ONE: &str = "[service]\nconcurrent_questions = 1\nqueued_questions = 1\n";

#[test]
fn a_full_line_says_when_to_come_back() {
    let Some(bench) = Bench::new() else { return };
    configure(&bench, LINE_OF_ONE);
    let (server, corpus) = Server::with_notes(&bench);
    let api = &server.api;
    let running = api.ask_later(&corpus, &babble(HONEY_QUESTION, 1_000));
    let waiting = api.ask_later(&corpus, &json!({ "question": HONEY_QUESTION }));
    let refused = api.post(&answers(&corpus), &json!({ "question": HONEY_QUESTION }));
    assert!(refused.refused(429, "queue_full").contains("queued_questions = 1"));
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 0, "{refused:?}");
    assert_eq!(refused.json()["retry_after_s"].to_string(), refused.header("retry-after"));
    let chat =
        json!({ "model": format!("corpus:{corpus}"), "messages": [{ "role": "user", "content": "Why?" }] });
    let chat = api.post("/v1/chat/completions", &chat);
    assert_eq!((chat.status, &chat.json()["error"]["type"]), (429, &json!("rate_limit_error")));

    let cancel = |id: &str| api.post(&format!("/v1/answers/{id}/cancel"), &json!({})).ok();
    assert_eq!(cancel(&waiting)["status"], "cancelled");
    let next = api.ask_later(&corpus, &json!({ "question": HONEY_QUESTION }));
    assert_eq!(cancel(&running)["status"], "cancelled");
    eventually("the next one is answered", || {
        api.get(&format!("/v1/answers/{next}")).ok()["status"] == "completed"
    });
    let listed = api.get(&answers(&corpus)).ok();
    assert_eq!(listed["data"].as_array().unwrap().len(), 3, "what was refused was never accepted");
}

#[test]
fn owners_take_turns() {
    let Some(bench) = Bench::new() else { return };
    configure(&bench, "[service]\nconcurrent_questions = 1\n");
    let server = Server::start(&bench);
    let [ann, bob] = ["ann", "bob"].map(|owner| server.api.with_key(&key(&bench, owner, &[])));
    let [anns, bobs] = [&ann, &bob].map(|api| {
        let corpus = api.create("notes");
        api.add(&corpus, &notes());
        corpus
    });
    let mine: Vec<String> = (0..4).map(|_| ann.ask_later(&anns, &babble(HONEY_QUESTION, 12))).collect();
    let his = bob.ask_later(&bobs, &json!({ "question": HONEY_QUESTION }));
    assert_eq!(bob.listen(&format!("/v1/answers/{his}/events")).last().unwrap().kind, "answer.completed");
    let last = ann.get(&format!("/v1/answers/{}", mine[3])).ok();
    assert_ne!(last["status"], "completed", "one owner's line went ahead of another's single question");
    for id in mine {
        assert_eq!(ann.listen(&format!("/v1/answers/{id}/events")).last().unwrap().kind, "answer.completed");
    }
}

#[test]
fn questions_about_a_corpus_that_goes_away_end() {
    let Some(bench) = Bench::new() else { return };
    configure(&bench, LINE_OF_ONE);
    let (server, corpus) = Server::with_notes(&bench);
    let api = &server.api;
    let mut running = api.stream(&corpus, &babble(HONEY_QUESTION, 1_000));
    assert!(running.by_ref().any(|event| event.kind == "text.delta"));
    let waiting = api.ask_later(&corpus, &json!({ "question": HONEY_QUESTION }));
    let listener = thread::spawn({
        let (api, path) = (api.clone(), format!("/v1/answers/{waiting}/events"));
        move || api.listen(&path).collect::<Vec<Event>>()
    });
    eventually("somebody listens to the one that waits", || {
        !listener.is_finished() && api.get(&format!("/v1/answers/{waiting}")).ok()["status"] == "queued"
    });
    api.delete(&format!("/v1/corpora/{corpus}")).ok();
    let last = running.last().expect("a last event");
    assert!(last.kind == "error" || last.data["status"] == "cancelled", "{last:?}");
    let heard = listener.join().unwrap();
    let ended = |event: &Event| event.kind == "error" || event.data["status"] == "cancelled";
    assert!(heard.last().is_none_or(ended), "{heard:?}");
    api.get(&format!("/v1/answers/{waiting}")).refused(404, "not_found");

    // The place in the line is free again.
    let corpus = api.create("again");
    api.add(&corpus, &notes());
    let answer: Value = api.ask(&corpus, HONEY_QUESTION);
    assert_eq!(answer["status"], "completed");
}
