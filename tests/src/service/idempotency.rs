//! `Idempotency-Key`: a POST that is sent again does nothing twice.

use super::{
    client::{BOUNDARY, answers, documents, multipart},
    reply::Reply,
    server::{Server, key, notes},
};
use crate::{documents::HONEY_QUESTION, program::Bench};
use serde_json::{Value, json};
use std::{collections::HashSet, thread};

const REPLAYED: &str = "idempotent-replayed";

fn count(list: &Value) -> usize {
    list["data"].as_array().unwrap().len()
}

#[test]
fn the_same_request_again_gets_the_same_reply_and_does_nothing() {
    let Some(bench) = Bench::new() else { return };
    let server = Server::start(&bench);
    let (api, once) = (&server.api, server.api.with("idempotency-key", "8e03978e-40d5"));
    let body = json!({ "name": "notes" });
    let first = once.post("/v1/corpora", &body);
    let again = once.post("/v1/corpora", &body);
    assert_eq!((first.status, first.header(REPLAYED)), (201, ""));
    assert_eq!((again.status, again.header(REPLAYED)), (201, "true"));
    assert_eq!((again.json(), again.header("location")), (first.json(), first.header("location")));
    once.post("/v1/corpora", &json!({ "name": "other" })).refused(422, "idempotency_key_reused");
    once.post("/v1/models/plan", &body).refused(422, "idempotency_key_reused");
    assert_eq!(count(&api.get("/v1/corpora").ok()), 1);
    // What is refused for good is refused again.
    let taken = api.with("idempotency-key", "second");
    taken.post("/v1/corpora", &body).refused(409, "name_taken");
    let replayed = taken.post("/v1/corpora", &body);
    assert_eq!((replayed.status, replayed.header(REPLAYED)), (409, "true"));
    for key in ["", "two words", "\u{e9}", &"k".repeat(256)] {
        api.with("idempotency-key", key).post("/v1/corpora", &body).refused(422, "bad_idempotency_key");
    }

    let corpus = first.json()["id"].as_str().unwrap().to_owned();
    let upload = api.with("idempotency-key", "upload");
    let (one, two) = (upload.upload(&corpus, &notes()).ok(), upload.upload(&corpus, &notes()).ok());
    assert_eq!(one, two);
    api.wait_for(one["job_id"].as_str().unwrap());
    assert_eq!((count(&api.get("/v1/jobs").ok()), count(&api.get(&documents(&corpus)).ok())), (1, 3));
    upload.upload(&corpus, &notes()[..1]).refused(422, "idempotency_key_reused");
    let files = String::from_utf8(multipart(&notes())).unwrap();
    let other = files.replacen("stoneware", "Stoneware", 1);
    assert_ne!(other, files);
    upload.send_upload(&corpus, BOUNDARY, other.as_bytes()).refused(422, "idempotency_key_reused");
    let elsewhere = upload.send_upload(&corpus, "another", files.replace(BOUNDARY, "another").as_bytes());
    assert_eq!((elsewhere.ok(), elsewhere.header(REPLAYED)), (one, "true"));

    let ask = api.with("idempotency-key", "ask");
    let question = json!({ "question": HONEY_QUESTION });
    let (one, two) = (ask.post(&answers(&corpus), &question), ask.post(&answers(&corpus), &question));
    assert_eq!((one.ok(), two.header(REPLAYED)), (two.ok(), "true"));
    assert_eq!(count(&api.get(&answers(&corpus)).ok()), 1);

    let streamed = json!({ "question": HONEY_QUESTION, "stream": true });
    let chat = json!({ "model": format!("corpus:{corpus}"), "stream": true,
        "messages": [{ "role": "user", "content": HONEY_QUESTION }] });
    for (key, path, body) in
        [("stream", &answers(&corpus)[..], streamed), ("chat", "/v1/chat/completions", chat)]
    {
        let ask = api.with("idempotency-key", key);
        let before = count(&api.get(&answers(&corpus)).ok());
        let (one, two) = (ask.post(path, &body), ask.post(path, &body));
        assert_eq!((one.status, one.header(REPLAYED), two.header(REPLAYED)), (200, "", "true"));
        // Said in other pieces or not, it is the same answer.
        let last = |reply: &Reply| reply.text().lines().rev().find(|line| line.len() > 20).map(str::to_owned);
        assert_eq!(last(&one), last(&two));
        assert!(two.text().contains(&said_id(&one)), "{}", two.text());
        assert_eq!(count(&api.get(&answers(&corpus)).ok()), before + 1);
    }

    server.kill();
    let server = Server::start(&bench);
    let once = server.api.with("idempotency-key", "8e03978e-40d5");
    let after = once.post("/v1/corpora", &body);
    assert_eq!((after.json(), after.header(REPLAYED)), (first.json(), "true"), "forgotten in a crash");
    server.api.delete(&format!("/v1/corpora/{corpus}")).ok();
    let anew = once.post("/v1/corpora", &body);
    assert_eq!((anew.status, anew.header(REPLAYED)), (201, ""), "told of a corpus that is gone");
    assert_ne!(anew.json()["id"], corpus);
}

/// The id that the events of an answer tell first.
fn said_id(stream: &Reply) -> String {
    let text = stream.text();
    let at = text.find("ans_").unwrap_or_else(|| panic!("{text}"));
    text[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

#[test]
fn of_many_at_once_one_is_carried_out() {
    let Some(bench) = Bench::new() else { return };
    let server = Server::start(&bench);
    let once = server.api.with("idempotency-key", "all-at-once");
    let body = json!({ "name": "notes" });
    let callers: Vec<_> = (0..100)
        .map(|_| {
            let (once, body) = (once.clone(), body.clone());
            thread::spawn(move || once.post("/v1/corpora", &body))
        })
        .collect();
    let mut made = HashSet::new();
    for reply in callers.into_iter().map(|caller| caller.join().unwrap()) {
        match reply.status {
            201 => drop(made.insert(reply.json()["id"].to_string())),
            _ => assert!(reply.refused(409, "in_progress").contains("again")),
        }
    }
    assert_eq!(made.len(), 1, "{made:?}");
    assert_eq!(count(&server.api.get("/v1/corpora").ok()), 1);
}

#[test]
fn a_key_of_one_caller_says_nothing_to_another() {
    let Some(bench) = Bench::new() else { return };
    let server = Server::start(&bench);
    let caller = |owner: &str, more: &[&str]| {
        server.api.with_key(&key(&bench, owner, more)).with("idempotency-key", "the-same")
    };
    let (ann, bob) = (caller("ann", &[]), caller("bob", &[]));
    let body = json!({ "name": "notes" });
    let anns = ann.post("/v1/corpora", &body).created();
    let bobs = bob.post("/v1/corpora", &body);
    assert_eq!((bobs.status, bobs.header(REPLAYED)), (201, ""));
    assert_ne!(bobs.created(), anns);
    let reader = caller("ann", &["--scope", "read"]);
    let reply = reader.post("/v1/corpora", &body);
    assert!(reply.status >= 400 && !reply.text().contains(&anns), "{}", reply.text());
    let nobody = server.api.with("idempotency-key", "the-same");
    nobody.post("/v1/corpora", &body).refused(401, "unauthenticated");
}
