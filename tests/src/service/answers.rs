//! `/v1/answers`: a question asked with JSON, its citations, its attention map, and the same answer later and again.

use super::{client::answers, server::Server};
use crate::{
    documents::{FERRY_ANSWER, FERRY_QUESTION, HONEY_ANSWER, HONEY_QUESTION},
    program::{Bench, prefilled, said},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

/// 256 f32 whose sum is 1; what has weight was composed; the axis is that of the documents.
fn check_attention(map: &Value) {
    let bytes = BASE64_STANDARD.decode(map["values_b64"].as_str().unwrap()).unwrap();
    let values: Vec<f32> = bytes.chunks(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
    assert_eq!((values.len(), map["buckets"].as_u64()), (256, Some(256)));
    assert!((values.iter().sum::<f32>() - 1.0).abs() < 1e-3, "{values:?}");
    let composed = BASE64_STANDARD.decode(map["composed_b64"].as_str().unwrap()).unwrap();
    assert_eq!(composed.len(), 32);
    for (at, value) in values.iter().enumerate() {
        assert!(*value == 0.0 || composed[at / 8] >> (at % 8) & 1 == 1, "bucket {at} was not composed");
        assert!(*value >= 0.0, "bucket {at} is {value}");
    }
    let mut end = 0;
    for document in map["documents"].as_array().unwrap() {
        assert_eq!(document["token_start"].as_u64(), Some(end), "{map:#}");
        end = document["token_end"].as_u64().unwrap();
    }
    assert_eq!(map["tokens_total"].as_u64(), Some(end));
}

#[test]
fn an_answer_points_at_its_source_and_is_kept() {
    let Some(bench) = Bench::new() else { return };
    let (server, corpus) = Server::with_notes(&bench);
    let api = &server.api;
    let answer = api.ask(&corpus, HONEY_QUESTION);
    assert_eq!((&answer["object"], &answer["status"]), (&json!("answer"), &json!("completed")));
    let version = &api.get(&format!("/v1/corpora/{corpus}")).ok()["version"];
    assert_eq!((&answer["grounding"], &answer["corpus_version"]), (&json!("supported"), version));
    assert!(answer["text"].as_str().unwrap().contains(HONEY_ANSWER), "{answer:#}");
    assert_eq!(prefilled(&answer), 0);
    let citation = &answer["citations"][0];
    let source = &citation["source"];
    let place = format!("start={}&end={}", source["start_char"], source["end_char"]);
    let document = source["document_id"].as_str().unwrap();
    let stretch = api.get(&format!("/v1/documents/{document}/text?{place}")).ok();
    assert_eq!((&stretch["text"], &source["path"]), (&citation["quote"], &json!("bees.txt")));
    assert_eq!(citation["verification"]["status"], "exact");
    check_attention(&answer["attention_map"]);

    let path = format!("/v1/answers/{}", answer["id"].as_str().unwrap());
    assert_eq!(api.get(&path).ok(), answer);
    let replayed = api.post(&format!("{path}/replay"), &json!({})).ok();
    assert_eq!((&replayed["object"], &replayed["identical"]), (&json!("replay"), &json!(true)));
    assert_eq!(said(&replayed["answer"]), said(&answer));
    let other = api.ask(&corpus, FERRY_QUESTION);
    assert!(other["text"].as_str().unwrap().contains(FERRY_ANSWER), "{other:#}");
    assert_eq!(api.get(&answers(&corpus)).ok()["data"], json!([other, answer]));
    assert!(api.get(&format!("/v1/corpora/{corpus}")).ok()["last_asked_at"].is_string());

    api.post(&format!("{path}/cancel"), &json!({})).refused(409, "answer_finished");
    let deleted = api.delete(&path).ok();
    assert_eq!((&deleted["object"], &deleted["deleted"]), (&json!("answer.deleted"), &json!(true)));
    api.get(&path).refused(404, "not_found");
    api.get(&format!("{path}/events")).refused(404, "not_found");
}

#[test]
fn only_the_documents_named_are_asked_and_what_they_do_not_hold_is_not_answered() {
    let Some(bench) = Bench::new() else { return };
    let (server, corpus) = Server::with_notes(&bench);
    let api = &server.api;
    let listed = api.get(&super::client::documents(&corpus)).ok();
    let kiln = listed["data"].as_array().unwrap().iter().find(|found| found["path"] == "kiln.txt").unwrap();
    let ask = |more: Value| {
        let mut question = json!({ "question": HONEY_QUESTION });
        question.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        api.post(&answers(&corpus), &question)
    };
    let answer = ask(json!({ "documents": [kiln["id"]] })).ok();
    assert!(!answer["text"].as_str().unwrap().contains(HONEY_ANSWER), "{answer:#}");
    let cited = answer["citations"].as_array().unwrap();
    assert!(cited.iter().all(|citation| citation["source"]["path"] == "kiln.txt"), "{answer:#}");

    let nothing = api.ask(&corpus, "Which composer wrote symphonies about Jupiter?");
    assert_eq!((&nothing["grounding"], &nothing["citations"]), (&json!("not_in_corpus"), &json!([])));
    assert_eq!((&nothing["text"], &nothing["status"]), (&json!(""), &json!("completed")));

    for document in ["kiln.txt", "doc_01K6ZJ8Q4T9GZC3N5W2V7XHRME", "", "../x"] {
        ask(json!({ "documents": [document] })).refused(404, "not_found");
    }
    for wrong in [json!({ "temperature": -1 }), json!({ "top_p": 0 }), json!({ "max_output_tokens": 0 })] {
        ask(wrong).refused(422, "bad_field");
    }
    for wrong in [json!({ "mode": "poem" }), json!({ "colour": "red" }), json!({ "question": 7 })] {
        ask(wrong).refused(422, "bad_field");
    }
    ask(json!({ "max_output_tokens": 1_000_000_000 })).refused(413, "too_long");
    let empty = api.create("empty");
    api.post(&answers(&empty), &json!({ "question": HONEY_QUESTION })).refused(409, "nothing_to_ask");
}
