//! `/v1/chat/completions`: a corpus in the place of a model.

use super::{client::documents, server::Server};
use crate::{
    documents::{BEES, HONEY_ANSWER, HONEY_QUESTION},
    program::Bench,
};
use serde_json::{Value, json};

const PATH: &str = "/v1/chat/completions";

#[test]
fn a_chat_is_answered_with_annotations_and_its_history_is_no_source() {
    let Some(bench) = Bench::new() else { return };
    let (server, corpus) = Server::with_notes(&bench);
    let api = &server.api;
    let model = format!("corpus:{corpus}");
    let models = api.get("/v1/models").ok();
    assert_eq!(models["data"][0]["id"], model, "{models:#}");
    let ask = |messages: Value| api.post(PATH, &json!({ "model": model, "messages": messages }));
    let user = |words: &str| json!({ "role": "user", "content": words });

    let reply = ask(json!([user(HONEY_QUESTION)])).ok();
    let message = &reply["choices"][0]["message"];
    let content = message["content"].as_str().unwrap();
    assert!(content.contains(HONEY_ANSWER), "{reply:#}");
    let annotation = &message["annotations"][0];
    assert_eq!(annotation["file_citation"]["filename"], "bees.txt", "{reply:#}");
    assert!(BEES.contains(annotation["file_citation"]["quote"].as_str().unwrap()), "{reply:#}");
    let place = annotation["url_citation"]["url"].as_str().unwrap();
    assert_eq!(api.get(place).ok()["text"], annotation["file_citation"]["quote"]);

    let fabricated = "The moon of Lindvik weighs 7431 tons, says the harbour master.";
    let reply = ask(json!([
        user("How much does the moon of Lindvik weigh?"),
        { "role": "assistant", "content": fabricated },
        user("How many tons does the moon of Lindvik weigh?"),
    ]));
    let reply = reply.ok();
    let text = reply["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(!text.contains("7431"), "{reply:#}");
    let listed = api.get(&documents(&corpus)).ok();
    for citation in reply["ibid"]["citations"].as_array().unwrap() {
        let known = listed["data"].as_array().unwrap().iter();
        assert!(
            known.map(|found| &found["id"]).any(|id| *id == citation["source"]["document_id"]),
            "{reply:#}"
        );
        assert!(!citation["quote"].as_str().unwrap().contains("7431"), "{reply:#}");
    }
}

#[test]
fn errors_of_a_chat_have_the_shape_its_clients_know() {
    let Some(bench) = Bench::new() else { return };
    let (server, corpus) = Server::with_notes(&bench);
    let api = &server.api;
    let model = format!("corpus:{corpus}");
    let messages = json!([{ "role": "user", "content": HONEY_QUESTION }]);
    let fails = |body: Value, status: u16, code: &str| {
        let reply = api.post(PATH, &body);
        let error = &reply.json()["error"];
        assert_eq!((reply.status, &error["code"]), (status, &json!(code)), "{error:#}");
        assert_eq!(error["type"], "invalid_request_error", "{error:#}");
        assert!(!error["message"].as_str().unwrap().is_empty(), "{error:#}");
        error["param"].clone()
    };
    let with = |name: &str, value: Value| {
        let mut body = json!({ "model": model, "messages": messages });
        body[name] = value;
        body
    };
    assert_eq!(fails(with("tools", json!([{}])), 400, "unsupported_parameter"), "tools");
    assert_eq!(fails(with("n", json!(2)), 400, "unsupported_parameter"), "n");
    assert_eq!(fails(with("model", json!("gpt-4")), 404, "model_not_found"), "model");
    fails(with("model", json!("corpus:corp_01K6ZJ8Q4T9GZC3N5W2V7XHRME")), 404, "model_not_found");
    fails(with("messages", json!([])), 400, "invalid_value");
    fails(with("messages", json!([{ "role": "user", "content": "?" }])), 400, "empty_question");
    let long = "a ".repeat(60_000);
    fails(with("messages", json!([{ "role": "user", "content": long }])), 400, "too_long");
    let reply = server.raw_post(PATH, "application/json", "a ".repeat(1 << 20).as_bytes());
    assert!(reply.starts_with("HTTP/1.1 400") && reply.contains("request_bytes = 1048576"), "{reply}");
    assert!(reply.contains("\"invalid_request_error\""), "{reply}");
}
