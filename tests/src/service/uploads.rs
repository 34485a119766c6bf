//! Uploads: every file of a request has an outcome of its own, and what is accepted becomes a job that can be followed.

use super::{
    client::documents,
    server::{Server, notes},
};
use crate::{documents::BEES, program::Bench};
use serde_json::{Value, json};

fn statuses(upload: &Value) -> Vec<&str> {
    upload["results"].as_array().unwrap().iter().map(|result| result["status"].as_str().unwrap()).collect()
}

#[test]
fn one_bad_file_fails_alone_and_the_others_are_read() {
    let Some(bench) = Bench::new() else { return };
    let Server { api, .. } = &Server::start(&bench);
    let corpus = api.create("notes");
    let [harbour, bees, _] = notes();
    let reply = api.upload(&corpus, &[harbour, ("empty.txt", b""), ("picture.txt", b"GIF89a\x01\x02"), bees]);
    let upload = reply.ok();
    assert_eq!(reply.status, 202);
    assert_eq!(statuses(&upload), ["accepted", "refused", "refused", "accepted"]);
    let results = upload["results"].as_array().unwrap();
    assert_eq!(results[0]["bytes"], harbour.1.len());
    assert_eq!(results[1]["error"]["code"], "empty_file");
    assert_eq!(results[2]["error"]["code"], "unsupported_type");
    assert!(results[1]["document_id"].is_null() && results[2]["document_id"].is_null(), "{upload:#}");
    assert!(results.iter().all(|result| result["deduplicated"] == false), "{upload:#}");

    let job = upload["job_id"].as_str().unwrap();
    assert_eq!(reply.header("location"), format!("/v1/jobs/{job}"));
    let events: Vec<_> = api.listen(&format!("/v1/jobs/{job}/events")).collect();
    let (last, earlier) = events.split_last().unwrap();
    assert!(earlier.iter().all(|event| event.kind == "job.progress"), "{events:?}");
    assert_eq!((last.kind.as_str(), &last.data["state"]), ("job.finished", &json!("succeeded")));
    assert_eq!(api.get(&format!("/v1/jobs/{job}")).ok(), last.data);
    assert_eq!(api.get("/v1/jobs").ok()["data"], json!([last.data]));
    api.post(&format!("/v1/jobs/{job}/cancel"), &json!({})).refused(409, "job_finished");
    api.post(&format!("/v1/jobs/{job}/retry"), &json!({})).refused(409, "not_retryable");

    let listed = api.get(&documents(&corpus)).ok();
    let shown = listed["data"].as_array().unwrap().iter();
    let mut shown: Vec<_> =
        shown.map(|document| (document["path"].as_str(), document["state"].as_str())).collect();
    shown.sort_unstable();
    let ready = Some("ready");
    assert_eq!(shown, [(Some("bees.txt"), ready), (Some("harbour.md"), ready)]);
}

#[test]
fn the_same_bytes_are_known_again_and_one_bad_file_is_the_whole_refusal() {
    let Some(bench) = Bench::new() else { return };
    let Server { api, .. } = &Server::start(&bench);
    let corpus = api.create("notes");
    let bees = ("bees.txt", BEES.as_bytes());
    let id = api.add(&corpus, &[bees]).remove(0);

    let reply = api.upload(&corpus, &[bees]);
    let again = reply.ok();
    assert_eq!((reply.status, statuses(&again)), (200, vec!["unchanged"]));
    assert!(again["job_id"].is_null() && reply.header("location").is_empty(), "{again:#}");
    assert_eq!(
        (&again["results"][0]["document_id"], &again["results"][0]["deduplicated"]),
        (&json!(id), &json!(true))
    );

    let twice =
        [("copy.txt", BEES.as_bytes()), ("copy.txt", b"Another text.\n"), ("other.txt", b"Another text.\n")];
    let upload = api.upload(&corpus, &twice).ok();
    assert_eq!(statuses(&upload), ["accepted", "refused", "accepted"]);
    assert_eq!(upload["results"][1]["error"]["code"], "same_path");
    let deduplicated: Vec<&Value> =
        upload["results"].as_array().unwrap().iter().map(|result| &result["deduplicated"]).collect();
    assert_eq!(deduplicated, [&json!(true), &json!(false), &json!(false)]);
    api.wait_for(upload["job_id"].as_str().unwrap());

    api.upload(&corpus, &[("empty.txt", b"")]).refused(422, "empty_file");
    api.upload(&corpus, &[("clip.ogg", b"OggS\0\x02")]).refused(415, "unsupported_type");
    let changed = api.add(&corpus, &[("bees.txt", b"The hives were sold.\n")]);
    assert_eq!(changed, std::slice::from_ref(&id), "a document keeps its id when its bytes change");
    let document = api.get(&format!("/v1/documents/{id}")).ok();
    assert_eq!((&document["version"], &document["state"]), (&json!(2), &json!("ready")), "{document:#}");
    assert_eq!(api.get(&documents(&corpus)).ok()["data"].as_array().unwrap().len(), 3);
}
