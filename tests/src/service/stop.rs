//! SIGTERM: the service ends by itself, soon, and what it left goes on the next time.

use super::{
    client::{babble, kept},
    events::{Event, said},
    server::{Server, ledger},
};
use crate::{documents::HONEY_QUESTION, program::Bench};
use std::{io::Write, net::TcpStream, thread, time::Duration};

/// Generous: a part of a document may have to be read to its end.
const SOON: Duration = Duration::from_secs(20);

#[test]
fn a_job_at_work_stops_at_a_safe_point_and_goes_on_the_next_time() {
    let Some(bench) = Bench::new() else { return };
    let server = Server::start(&bench);
    let corpus = server.api.create("notes");
    let text = ledger(1_500);
    let upload = server.api.upload(&corpus, &[("ledger.txt", text.as_bytes())]).ok();
    let id = upload["job_id"].as_str().unwrap().to_owned();
    let mut events = server.api.listen(&format!("/v1/jobs/{id}/events"));
    assert!(events.any(|event| event.data["progress"]["stage"] == "prefill"), "no prefill");
    // Neither somebody who listens nor a connection that says nothing or not enough keeps it alive.
    let _silent = TcpStream::connect(&server.api.address).unwrap();
    let mut half_a_request = TcpStream::connect(&server.api.address).unwrap();
    half_a_request.write_all(b"GET /v1/corpora HTTP/1.1\r\nHost: loc").unwrap();
    let address = server.api.address.clone();
    server.ask_to_end();
    assert_eq!(server.ended(SOON).code(), Some(0));
    assert!(events.all(|event| event.kind == "job.progress"), "it was not finished");
    assert!(TcpStream::connect(address).is_err());

    let server = Server::start(&bench);
    let job = server.api.get(&format!("/v1/jobs/{id}")).ok();
    assert!(["queued", "running"].contains(&job["state"].as_str().unwrap()), "{job:#}");
    let mut events = server.api.listen(&format!("/v1/jobs/{id}/events"));
    assert!(events.any(|event| event.data["progress"]["stage"] == "prefill"), "it does not go on");
    server.api.post(&format!("/v1/jobs/{id}/cancel"), &serde_json::json!({})).ok();
    assert_eq!(server.api.wait_for(&id)["state"], "cancelled");
}

#[test]
fn a_question_that_is_being_answered_is_answered_first() {
    let Some(bench) = Bench::new() else { return };
    let (server, corpus) = Server::with_notes(&bench);
    let mut stream = server.api.stream(&corpus, &babble(HONEY_QUESTION, 40));
    let mut events: Vec<Event> = stream.by_ref().take(6).collect();
    let ending = thread::spawn(move || {
        server.ask_to_end();
        server.ended(SOON)
    });
    events.extend(stream);
    assert_eq!(ending.join().unwrap().code(), Some(0));
    let answer = &events.last().unwrap().data;
    assert_eq!(answer["status"], "completed", "{answer:#}");
    assert_eq!(said(&events), answer["text"].as_str().unwrap());

    let server = Server::start(&bench);
    let stored = server.api.get(&format!("/v1/answers/{}", answer["id"].as_str().unwrap())).ok();
    assert_eq!(stored, kept(answer));
}
