//! `kill -9`: nothing that was acknowledged is lost, and what was begun is finished by the next process.

use super::{
    client::{answers, babble, documents, kept},
    events::{Event, said},
    server::{Server, eventually, ledger, notes},
};
use crate::{
    documents::{HONEY_ANSWER, HONEY_QUESTION},
    program::Bench,
};
use serde_json::json;

#[test]
fn an_acknowledged_upload_survives_and_is_read_to_its_end() {
    let Some(bench) = Bench::new() else { return };
    let server = Server::start(&bench);
    let corpus = server.api.create("notes");
    let ledger = ledger(15);
    let [harbour, bees, kiln] = notes();
    let upload = server.api.upload(&corpus, &[harbour, ("ledger.txt", ledger.as_bytes()), bees, kiln]).ok();
    server.kill();

    let server = Server::start(&bench);
    let api = &server.api;
    let id = upload["job_id"].as_str().unwrap();
    let job = api.wait_for(id);
    assert_eq!((&job["state"], &job["error"]), (&json!("succeeded"), &json!(null)), "{job:#}");
    assert_eq!(api.get("/v1/jobs").ok()["data"].as_array().unwrap().len(), 1);
    for result in upload["results"].as_array().unwrap() {
        let document = api.get(&format!("/v1/documents/{}", result["document_id"].as_str().unwrap())).ok();
        assert_eq!(
            (&document["state"], &document["sha256"]),
            (&json!("ready"), &result["sha256"]),
            "{document:#}"
        );
    }
    assert!(api.ask(&corpus, HONEY_QUESTION)["text"].as_str().unwrap().contains(HONEY_ANSWER));
}

#[test]
fn a_job_killed_in_the_middle_of_reading_goes_on_by_itself() {
    let Some(bench) = Bench::new() else { return };
    let server = Server::start(&bench);
    let corpus = server.api.create("notes");
    let (one, two) = (ledger(30), ledger(31));
    let files = [("one.txt", one.as_bytes()), ("two.txt", two.as_bytes()), notes()[1]];
    let upload = server.api.upload(&corpus, &files).ok();
    let id = upload["job_id"].as_str().unwrap();
    let mut events = server.api.listen(&format!("/v1/jobs/{id}/events"));
    let reading =
        |event: &Event| event.data["progress"]["stage"] == "prefill" && event.data["progress"]["done"] != 0;
    let reached = events.find(reading).expect("progress of prefill");
    assert_eq!(reached.kind, "job.progress", "it was finished before the kill: {reached:?}");
    server.kill();

    let server = Server::start(&bench);
    let job = server.api.wait_for(id);
    assert_eq!(job["state"], "succeeded", "{job:#}");
    let listed = server.api.get(&documents(&corpus)).ok();
    assert!(listed["data"].as_array().unwrap().iter().all(|found| found["state"] == "ready"), "{listed:#}");
    assert_eq!(server.api.ask(&corpus, HONEY_QUESTION)["usage"]["prefilled_corpus_tokens"], 0);
    let corpus = server.api.get(&format!("/v1/corpora/{corpus}")).ok();
    assert_eq!((&corpus["state"], &corpus["counts"]["ready"]), (&json!("ready"), &json!(3)));
    drop(server);
    assert_eq!(bench.run(["verify"]).code, Some(0));
}

#[test]
fn an_answer_killed_in_mid_sentence_is_given_again_under_its_id() {
    let Some(bench) = Bench::new() else { return };
    let (server, corpus) = Server::with_notes(&bench);
    let question = babble(HONEY_QUESTION, 40);
    let mut stream = server.api.stream(&corpus, &question);
    let mut heard: Vec<Event> = Vec::new();
    while heard.iter().filter(|event| event.kind == "text.delta").count() < 8 {
        heard.push(stream.next().expect("more text"));
    }
    let waiting = server.api.ask_later(&corpus, &json!({ "question": HONEY_QUESTION }));
    server.kill();
    let id = heard[0].data["answer_id"].as_str().unwrap();

    let server = Server::start(&bench);
    let api = &server.api;
    let path = format!("/v1/answers/{id}");
    let events: Vec<Event> = api.listen(&format!("{path}/events")).collect();
    let answer = &events.last().unwrap().data;
    assert_eq!((&answer["id"], &answer["status"]), (&json!(id), &json!("completed")), "{answer:#}");
    let numbers: Vec<u64> = events.iter().map(|event| event.id.unwrap()).collect();
    assert_eq!(numbers, (0..events.len() as u64).collect::<Vec<_>>());
    let text = answer["text"].as_str().unwrap();
    assert_eq!(said(&events), text);
    assert!(text.starts_with(&said(&heard)), "{:?} is not how {text:?} begins", said(&heard));
    assert_eq!(api.get(&path).ok(), kept(answer));
    // The same seed says the same, crash or not.
    assert_eq!(api.post(&answers(&corpus), &question).ok()["text"], answer["text"]);
    let place = format!("/v1/answers/{waiting}");
    eventually("the question behind it is answered", || api.get(&place).ok()["status"] == "completed");
    assert!(api.get(&place).ok()["text"].as_str().unwrap().contains(HONEY_ANSWER));
}

#[test]
fn what_was_cancelled_before_a_crash_stays_cancelled() {
    let Some(bench) = Bench::new() else { return };
    let (server, corpus) = Server::with_notes(&bench);
    let id = server.api.ask_later(&corpus, &babble(HONEY_QUESTION, 1_000));
    server.api.post(&format!("/v1/answers/{id}/cancel"), &json!({})).ok();
    let text = ledger(200);
    let upload = server.api.upload(&corpus, &[("ledger.txt", text.as_bytes())]).ok();
    let job = upload["job_id"].as_str().unwrap();
    server.api.post(&format!("/v1/jobs/{job}/cancel"), &json!({})).ok();
    server.kill();
    let server = Server::start(&bench);
    assert_eq!(server.api.get(&format!("/v1/answers/{id}")).ok()["status"], "cancelled");
    assert_eq!(server.api.wait_for(job)["state"], "cancelled");
    let listed = server.api.get(&documents(&corpus)).ok();
    assert_eq!(listed["data"].as_array().unwrap().len(), 3, "{listed:#}");
    assert_eq!(server.api.ask(&corpus, HONEY_QUESTION)["status"], "completed");
}
