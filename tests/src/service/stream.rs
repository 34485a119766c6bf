//! An answer as it is made: its events in order and in time, taken up again, lost by nobody, stopped at once.

use super::{
    client::{Client, answers, babble, kept},
    events::{Event, said},
    server::{Server, eventually},
};
use crate::{
    documents::{HONEY_ANSWER, HONEY_QUESTION},
    program::Bench,
};
use serde_json::{Value, json};
use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

fn kinds(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.kind.as_str()).collect()
}

/// Numbers and contents, without the times of arrival.
fn told(events: &[Event]) -> Vec<(Option<u64>, &str, &Value)> {
    events.iter().map(|event| (event.id, event.kind.as_str(), &event.data)).collect()
}

fn show(api: &Client, answer: &str) -> Value {
    api.get(&format!("/v1/answers/{answer}")).ok()
}

fn id_of(first: &Event) -> String {
    assert_eq!(first.kind, "answer.created", "{first:?}");
    first.data["answer_id"].as_str().unwrap().to_owned()
}

#[test]
fn events_come_in_order_and_can_be_taken_up_again_anywhere() {
    let Some(bench) = Bench::new() else { return };
    let (server, corpus) = Server::with_notes(&bench);
    let api = &server.api;
    let events: Vec<Event> = api.stream(&corpus, &json!({ "question": HONEY_QUESTION })).collect();
    let loading = kinds(&events).iter().filter(|kind| **kind == "corpus.loading").count();
    let mut expected = vec!["answer.created"];
    expected.extend(vec!["corpus.loading"; loading]);
    expected.extend(["text.delta", "citation.added", "citation.verified", "answer.completed"]);
    assert_eq!(kinds(&events), expected);
    assert!(loading >= 2, "{events:?}");
    let numbers: Vec<u64> = events.iter().map(|event| event.id.unwrap()).collect();
    assert_eq!(numbers, (0..events.len() as u64).collect::<Vec<_>>());

    let answer = &events.last().unwrap().data;
    assert!(answer["text"].as_str().unwrap().contains(HONEY_ANSWER), "{answer:#}");
    assert_eq!(said(&events), answer["text"].as_str().unwrap());
    let of = |kind: &str| &events.iter().find(|event| event.kind == kind).unwrap().data;
    assert_eq!(of("citation.added")["citation"], answer["citations"][0]);
    assert_eq!(of("citation.verified")["verification"], answer["citations"][0]["verification"]);
    let bytes =
        |event: &Event| event.data["kv_bytes_done"].as_u64().zip(event.data["kv_bytes_total"].as_u64());
    let (done, total) = bytes(&events[loading]).unwrap();
    assert!(done == total && total > 0, "{events:?}");
    assert_eq!(&show(api, &id_of(&events[0])), answer);

    let path = format!("/v1/answers/{}/events", id_of(&events[0]));
    let again: Vec<Event> = api.listen(&path).collect();
    assert_eq!(told(&again), told(&events));
    for last in 0..events.len() {
        let rest: Vec<Event> = api.with("last-event-id", &last.to_string()).listen(&path).collect();
        assert_eq!(told(&rest), told(&events[last + 1..]), "behind {last}");
    }
    for number in ["-1", "first", "1.5"] {
        api.with("last-event-id", number).get(&path).refused(422, "bad_event_id");
    }
}

#[test]
fn tokens_arrive_one_by_one_while_the_answer_is_made() {
    let Some(bench) = Bench::new() else { return };
    let (server, corpus) = Server::with_notes(&bench);
    let api = &server.api;
    let events: Vec<Event> = api.stream(&corpus, &babble(HONEY_QUESTION, 60)).collect();
    let deltas: Vec<&Event> = events.iter().filter(|event| event.kind == "text.delta").collect();
    let completed = events.last().unwrap();
    assert_eq!(completed.kind, "answer.completed", "{completed:?}");
    let tokens = completed.data["usage"]["output_tokens"].as_u64().unwrap();
    assert!(deltas.len() > 20 && deltas.len() as u64 <= tokens, "{} pieces of {tokens} tokens", deltas.len());
    // A millisecond is far below one decode step; what was held back and sent at once arrives in less.
    let apart = deltas.windows(2).filter(|two| two[1].at - two[0].at > Duration::from_millis(1)).count();
    assert!(apart > deltas.len() / 2, "{apart} of {} pieces came on their own", deltas.len());
    let rate = completed.data["usage"]["output_tokens_per_s"].as_f64().unwrap();
    let step = Duration::from_secs_f64(1.0 / rate);
    assert!(completed.at - deltas[0].at > 10 * step, "all text came within ten decode steps");
    assert_eq!(said(&events), completed.data["text"].as_str().unwrap());
}

#[test]
fn a_client_that_leaves_loses_nothing_and_one_that_comes_back_misses_nothing() {
    let Some(bench) = Bench::new() else { return };
    let (server, corpus) = Server::with_notes(&bench);
    let api = &server.api;
    let mut stream = api.stream(&corpus, &babble(HONEY_QUESTION, 60));
    let mut seen: Vec<Event> = stream.by_ref().take(6).collect();
    drop(stream);
    let id = id_of(&seen[0]);
    assert_ne!(show(api, &id)["status"], "completed", "it ended before its client left");

    let last = seen.last().unwrap().id.unwrap().to_string();
    let resumed = api.with("last-event-id", &last).listen(&format!("/v1/answers/{id}/events"));
    seen.extend(resumed);
    let numbers: Vec<u64> = seen.iter().map(|event| event.id.unwrap()).collect();
    assert_eq!(numbers, (0..seen.len() as u64).collect::<Vec<_>>());
    let answer = show(api, &id);
    assert_eq!((&answer["status"], &answer), (&json!("completed"), &kept(&seen.last().unwrap().data)));
    assert_eq!(said(&seen), answer["text"].as_str().unwrap());
}

#[test]
fn an_answer_that_nobody_waits_for_is_found_where_the_reply_says() {
    let Some(bench) = Bench::new() else { return };
    let (server, corpus) = Server::with_notes(&bench);
    let api = &server.api;
    let later = api.with("prefer", "wait=1, respond-async");
    let reply = later.post(&answers(&corpus), &json!({ "question": HONEY_QUESTION }));
    let accepted = reply.ok();
    assert_eq!(reply.status, 202);
    let place = reply.header("location").to_owned();
    assert_eq!(place, format!("/v1/answers/{}", accepted["id"].as_str().unwrap()));
    assert!(["queued", "running"].contains(&accepted["status"].as_str().unwrap()), "{accepted:#}");
    assert_eq!((&accepted["text"], &accepted["grounding"]), (&json!(""), &Value::Null));
    eventually("the answer is complete", || api.get(&place).ok()["status"] == "completed");
    let answer = api.get(&place).ok();
    assert!(answer["text"].as_str().unwrap().contains(HONEY_ANSWER), "{answer:#}");

    let ids: HashSet<String> =
        (0..4).map(|_| api.ask_later(&corpus, &json!({ "question": HONEY_QUESTION }))).collect();
    assert_eq!(ids.len(), 4);
    for id in ids {
        let events: Vec<Event> = api.listen(&format!("/v1/answers/{id}/events")).collect();
        assert_eq!(events.last().unwrap().data["text"], answer["text"]);
    }
}

#[test]
fn cancel_acts_within_two_seconds_and_the_events_end() {
    let Some(bench) = Bench::new() else { return };
    let (server, corpus) = Server::with_notes(&bench);
    let api = &server.api;
    for stop in ["cancel", "delete"] {
        let mut stream = api.stream(&corpus, &babble(HONEY_QUESTION, 1_000));
        let id = id_of(&stream.next().unwrap());
        assert!(stream.by_ref().any(|event| event.kind == "text.delta"), "nothing was said");
        let (path, asked) = (format!("/v1/answers/{id}"), Instant::now());
        let reply = match stop {
            "cancel" => api.post(&format!("{path}/cancel"), &json!({})),
            _ => api.delete(&path),
        };
        let rest: Vec<Event> = stream.collect();
        let took = asked.elapsed();
        assert!(took < Duration::from_secs(2), "{stop} took {took:?}");
        assert_eq!(rest.last().unwrap().kind, "answer.completed", "{rest:?}");
        assert_eq!(rest.last().unwrap().data["status"], "cancelled");
        if stop == "cancel" {
            assert_eq!(reply.ok()["status"], "cancelled");
            assert_eq!(show(api, &id)["status"], "cancelled");
            api.post(&format!("{path}/cancel"), &json!({})).refused(409, "answer_finished");
            api.post(&format!("{path}/replay"), &json!({})).refused(409, "cannot_replay");
        } else {
            assert_eq!(reply.ok()["deleted"], true);
            api.get(&path).refused(404, "not_found");
        }
    }
}
