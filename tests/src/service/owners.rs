//! Two owners on one service: what belongs to one does not exist for the other, in no path, no body and no cursor.

use super::{
    client::{BOUNDARY, Client, answers, documents, multipart},
    reply::Reply,
    server::{Server, key, notes},
};
use crate::{
    documents::{BEES, HONEY_QUESTION},
    program::{Bench, files_below},
};
use serde_json::{Value, json};
use std::path::PathBuf;

/// An id of every kind, by the name it has in paths.
struct Ids(Vec<(&'static str, String)>);

impl Ids {
    /// Makes one of everything.
    fn make(api: &Client) -> Self {
        let corpus = api.create("notes");
        let document = api.add(&corpus, &notes()).remove(0);
        let file = api.get(&format!("/v1/documents/{document}")).ok()["file_id"].as_str().unwrap().to_owned();
        let conversation = api.post("/v1/conversations", &json!({ "corpus_id": corpus })).created();
        let question = json!({ "question": HONEY_QUESTION, "conversation_id": conversation });
        let answer = api.post(&answers(&corpus), &question).ok()["id"].as_str().unwrap().to_owned();
        let job = api.get("/v1/jobs").ok()["data"][0]["id"].as_str().unwrap().to_owned();
        Self(vec![
            ("corpus_id", corpus),
            ("document_id", document),
            ("file_id", file),
            ("answer_id", answer),
            ("conversation_id", conversation),
            ("job_id", job),
            ("image", "1.png".to_owned()),
        ])
    }

    fn get(&self, name: &str) -> &str {
        &self.0.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no {name}")).1
    }

    /// A path of the description with these ids in it; `None` when it takes none.
    fn fill(&self, template: &str) -> Option<String> {
        let mut path = template.to_owned();
        for (name, id) in &self.0 {
            path = path.replace(&format!("{{{name}}}"), id);
        }
        assert!(!path.contains('{'), "an id of another kind: {path}");
        (path != template).then_some(path)
    }
}

/// A request with a body that would be accepted.
fn send(api: &Client, method: &str, path: &str) -> Reply {
    let upload = format!("multipart/form-data; boundary={BOUNDARY}");
    let question = json!({ "question": HONEY_QUESTION }).to_string();
    let content = match method {
        "POST" if path.ends_with("/documents") => Some((upload.as_str(), multipart(&notes()))),
        "POST" => Some(("application/json", question.into_bytes())),
        _ => None,
    };
    let content = content.as_ref().map(|(media_type, body)| (*media_type, body.as_slice()));
    api.send(method, path, content)
}

/// Everything an owner can list.
fn everything(api: &Client, ids: &Ids) -> Vec<Value> {
    let corpus = ids.get("corpus_id");
    ["/v1/corpora", "/v1/jobs", "/v1/conversations", "/v1/usage", &documents(corpus), &answers(corpus)]
        .map(|path| api.get(path).ok())
        .into()
}

fn two_owners(bench: &Bench) -> (Server, [(Client, Ids); 2]) {
    let server = Server::start(bench);
    let owners = ["ann", "bob"].map(|owner| {
        let api = server.api.with_key(&key(bench, owner, &[]));
        let ids = Ids::make(&api);
        (api, ids)
    });
    (server, owners)
}

#[test]
fn no_path_with_an_id_of_another_owner_leads_anywhere() {
    let Some(bench) = Bench::new() else { return };
    let (server, [(ann, _), (bob, bobs)]) = two_owners(&bench);
    let before = everything(&bob, &bobs);
    let description = server.api.get("/v1/openapi.json").ok();
    let mut tried = 0;
    for (template, operations) in description["paths"].as_object().unwrap() {
        let Some(path) = bobs.fill(template) else { continue };
        for method in operations.as_object().unwrap().keys().map(|method| method.to_uppercase()) {
            let reply = send(&ann, &method, &path);
            let words = reply.refused(404, "not_found");
            // Word for word what is said of an id that nobody has.
            let nobody = |text: &str| {
                bobs.0.iter().fold(text.to_owned(), |text, (_, id)| text.replace(id, &forged(id)))
            };
            let missing = send(&ann, &method, &nobody(&path)).refused(404, "not_found");
            assert_eq!(nobody(&words), missing, "{method} {path}");
            tried += 1;
        }
    }
    assert!(tried >= 20, "only {tried} operations take an id");
    assert_eq!(everything(&bob, &bobs), before);
    for template in
        ["/v1/documents/{document_id}/text", "/v1/files/{file_id}/content", "/v1/answers/{answer_id}"]
    {
        assert_eq!(bob.get(&bobs.fill(template).unwrap()).status, 200, "{template}");
    }
}

/// An id of the same kind that was never given.
fn forged(id: &str) -> String {
    match id.split_once('_') {
        Some((kind, random)) => format!("{kind}_{}", "0".repeat(random.len())),
        None => id.to_owned(),
    }
}

#[test]
fn no_body_and_no_cursor_with_an_id_of_another_owner_is_accepted() {
    let Some(bench) = Bench::new() else { return };
    let (_server, [(ann, anns), (bob, bobs)]) = two_owners(&bench);
    let before = [everything(&ann, &anns), everything(&bob, &bobs)];
    let (mine, other) = (anns.get("corpus_id"), bobs.get("corpus_id"));
    let ask = |more: Value| {
        let mut question = json!({ "question": HONEY_QUESTION });
        question.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ann.post(&answers(mine), &question)
    };
    ask(json!({ "documents": [bobs.get("document_id")] })).refused(404, "not_found");
    ask(json!({ "documents": [anns.get("document_id"), bobs.get("document_id")] })).refused(404, "not_found");
    ask(json!({ "conversation_id": bobs.get("conversation_id") })).refused(404, "not_found");
    ann.post("/v1/conversations", &json!({ "corpus_id": other })).refused(404, "not_found");
    ann.get(&format!("/v1/conversations?corpus_id={other}")).refused(404, "not_found");
    let chat =
        json!({ "model": format!("corpus:{other}"), "messages": [{ "role": "user", "content": "Why?" }] });
    assert_eq!(ann.post("/v1/chat/completions", &chat).status, 404);

    for (list, id) in [
        ("/v1/corpora".to_owned(), other),
        ("/v1/jobs".to_owned(), bobs.get("job_id")),
        ("/v1/conversations".to_owned(), bobs.get("conversation_id")),
        (documents(mine), bobs.get("document_id")),
        (answers(mine), bobs.get("answer_id")),
    ] {
        for cursor in ["after", "before"] {
            ann.get(&format!("{list}?{cursor}={id}")).refused(404, "not_found");
            ann.get(&format!("{list}?{cursor}={}", forged(id))).refused(404, "not_found");
        }
    }
    assert_eq!([everything(&ann, &anns), everything(&bob, &bobs)], before);
}

fn stored(bench: &Bench) -> Vec<PathBuf> {
    files_below(&bench.data().join("objects"))
}

#[test]
fn bytes_are_shared_on_disk_and_nobody_is_told() {
    let Some(bench) = Bench::new() else { return };
    let server = Server::start(&bench);
    let [ann, bob] = ["ann", "bob"].map(|owner| server.api.with_key(&key(&bench, owner, &[])));
    let bees = [("bees.txt", BEES.as_bytes())];
    let upload = |api: &Client, corpus: &str| {
        let upload = api.upload(corpus, &bees).ok();
        api.wait_for(upload["job_id"].as_str().unwrap());
        upload["results"][0].clone()
    };
    let anns = ann.create("notes");
    assert_eq!(upload(&ann, &anns)["deduplicated"], false);
    let (files, segments) = (stored(&bench), bench.segments());
    let bobs = bob.create("notes");
    let result = upload(&bob, &bobs);
    assert_eq!(result["deduplicated"], false, "it tells that somebody has these bytes");
    let second = ann.create("second");
    assert_eq!(upload(&ann, &second)["deduplicated"], true);
    assert_eq!(bench.segments(), segments, "computed twice");
    assert_eq!(stored(&bench), files, "stored twice");

    ann.delete(&format!("/v1/corpora/{second}")).ok();
    let freed = ann.delete(&format!("/v1/corpora/{anns}")).ok();
    assert_eq!(freed["freed_bytes"], 0, "{freed:#}");
    let path = format!("/v1/documents/{}/text", result["document_id"].as_str().unwrap());
    assert_eq!(bob.get(&path).ok()["text"], BEES);
    assert_eq!(bob.ask(&bobs, HONEY_QUESTION)["usage"]["prefilled_corpus_tokens"], 0);
    // A corpus may have a name that another owner uses too; each lists its own.
    assert_eq!(bob.get("/v1/corpora").ok()["data"].as_array().unwrap().len(), 1);
}
