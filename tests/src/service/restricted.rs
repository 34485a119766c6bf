//! A key restricted to a corpus: the owner's other corpora, and all that hangs on them, do not exist for it.

use super::{
    client::{answers, documents},
    server::{Server, key, notes},
};
use crate::{documents::HONEY_QUESTION, program::Bench};
use serde_json::{Value, json};

fn ids(list: &Value) -> Vec<&str> {
    list["data"].as_array().unwrap().iter().map(|object| object["id"].as_str().unwrap()).collect()
}

#[test]
fn a_key_for_one_corpus_sees_that_one_alone() {
    let Some(bench) = Bench::new() else { return };
    let server = Server::start(&bench);
    let whole = server.api.with_key(&key(&bench, "ann", &[]));
    let [allowed, secret] = ["allowed", "secret"].map(|name| {
        let corpus = whole.create(name);
        whole.add(&corpus, &notes());
        corpus
    });
    let document = ids(&whole.get(&documents(&secret)).ok())[0].to_owned();
    let file = whole.get(&format!("/v1/documents/{document}")).ok()["file_id"].as_str().unwrap().to_owned();
    let answer = whole.ask(&secret, HONEY_QUESTION)["id"].as_str().unwrap().to_owned();
    let conversation = whole.post("/v1/conversations", &json!({ "corpus_id": secret })).created();
    let jobs = whole.get("/v1/jobs").ok();
    let [job, shown_job] = ids(&jobs)[..] else { panic!("{jobs:#}") };
    let api = server.api.with_key(&key(&bench, "ann", &["--corpus", "allowed"]));

    for path in [
        format!("/v1/corpora/{secret}"),
        documents(&secret),
        answers(&secret),
        format!("/v1/documents/{document}"),
        format!("/v1/documents/{document}/text"),
        format!("/v1/documents/{document}/pages"),
        format!("/v1/answers/{answer}"),
        format!("/v1/answers/{answer}/events"),
        format!("/v1/jobs/{job}"),
        format!("/v1/jobs/{job}/events"),
        format!("/v1/conversations/{conversation}"),
        format!("/v1/conversations?corpus_id={secret}"),
        format!("/v1/corpora?after={secret}"),
        format!("/v1/jobs?after={job}"),
        format!("/v1/conversations?before={conversation}"),
    ] {
        assert_eq!(whole.get(&path).status, 200, "{path}");
        api.get(&path).refused(404, "not_found");
    }
    let question = json!({ "question": HONEY_QUESTION });
    api.post(&answers(&secret), &question).refused(404, "not_found");
    api.upload(&secret, &notes()).refused(404, "not_found");
    api.post(&format!("/v1/answers/{answer}/replay"), &json!({})).refused(404, "not_found");
    api.delete(&format!("/v1/documents/{document}")).refused(404, "not_found");
    api.delete(&format!("/v1/corpora/{secret}")).refused(404, "not_found");
    api.post("/v1/conversations", &json!({ "corpus_id": secret })).refused(404, "not_found");
    for (path, body) in [("/v1/corpora", json!({ "name": "x" })), ("/v1/corpora/sample", json!({}))] {
        api.post(path, &body).refused(403, "forbidden");
    }
    api.get("/v1/usage").refused(403, "forbidden");

    assert_eq!(ids(&api.get("/v1/corpora?limit=1").ok()), [&allowed]);
    assert_eq!(ids(&api.get("/v1/jobs").ok()), [shown_job]);
    assert_eq!(api.get("/v1/conversations").ok()["data"], json!([]));
    assert_eq!(ids(&api.get("/v1/models").ok())[0], format!("corpus:{allowed}"));
    assert_eq!(api.get("/v1/session").ok()["corpora"], json!([allowed]));
    assert_eq!(api.post(&answers(&allowed), &question).ok()["status"], "completed");
    // The same bytes in a corpus that it sees are one file of the owner.
    assert_eq!(api.get(&format!("/v1/files/{file}/content")).status, 200);
    whole.delete(&format!("/v1/corpora/{allowed}")).ok();
    api.get(&format!("/v1/files/{file}/content")).refused(404, "not_found");
    assert_eq!(api.get("/v1/jobs").ok()["data"], json!([]));
    whole.get(&format!("/v1/documents/{document}")).ok();
}
