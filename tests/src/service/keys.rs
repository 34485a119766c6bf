//! Keys: who has none is asked for one, what a key allows, and when it ends.

use super::{
    client::{answers, documents},
    server::{Server, key, key_object, notes},
};
use crate::{
    documents::HONEY_QUESTION,
    program::{Bench, Run},
};
use serde_json::json;

#[test]
fn as_soon_as_there_is_a_key_the_service_asks_for_one() {
    let Some(bench) = Bench::new() else { return };
    let server = Server::start(&bench);
    let open = server.api.get("/v1/session").ok();
    assert_eq!((&open["owner"], &open["open"]), (&json!("local"), &json!(true)), "{open:#}");
    let secret = key(&bench, "ann", &[]);

    let reply = server.api.get("/v1/corpora");
    assert!(reply.refused(401, "unauthenticated").contains("Authorization"));
    assert_eq!(reply.header("www-authenticate"), "Bearer");
    for (name, value) in [
        ("authorization", "Bearer ibid_0000".to_owned()),
        ("authorization", format!("Basic {secret}")),
        ("authorization", "Bearer".to_owned()),
        ("authorization", String::new()),
        ("x-api-key", "ibid_0000".to_owned()),
        ("x-api-key", String::new()),
        ("cookie", format!("ibid_session={secret}")),
    ] {
        server.api.with(name, &value).get("/v1/corpora").refused(401, "unauthenticated");
    }
    let both = server.api.with("authorization", "Bearer ibid_0000").with("x-api-key", &secret);
    both.get("/v1/corpora").refused(401, "unauthenticated");
    for accepted in [
        server.api.with_key(&secret),
        server.api.with("authorization", &format!("bearer  {secret}")),
        server.api.with("x-api-key", &secret),
    ] {
        assert_eq!(accepted.get("/v1/corpora").ok()["data"], json!([]));
        let session = accepted.get("/v1/session").ok();
        assert_eq!((&session["owner"], &session["open"]), (&json!("ann"), &json!(false)));
    }
    for path in ["/healthz", "/readyz", "/", "/v1/openapi.json"] {
        assert_eq!(server.api.get(path).status, 200, "{path} needs no key");
    }
    let chat = server.api.post("/v1/chat/completions", &json!({ "model": "x", "messages": [] }));
    assert_eq!((chat.status, &chat.json()["error"]["type"]), (401, &json!("authentication_error")));
    let files = bench.data_files();
    let holds = |path: &std::path::PathBuf| {
        std::fs::read(path)
            .unwrap_or_default()
            .windows(secret.len())
            .any(|window| window == secret.as_bytes())
    };
    assert!(!files.iter().any(holds), "the secret of a key lies in the data folder");
}

#[test]
fn a_scope_allows_what_it_says_and_nothing_else() {
    let Some(bench) = Bench::new() else { return };
    let server = Server::start(&bench);
    let api = server.api.with_key(&key(&bench, "ann", &[]));
    let corpus = api.create("notes");
    let document = api.add(&corpus, &notes()).remove(0);
    let answer = api.ask(&corpus, HONEY_QUESTION);
    let answer = format!("/v1/answers/{}", answer["id"].as_str().unwrap());
    let [read, ask, write] =
        ["read", "ask", "write"].map(|scope| server.api.with_key(&key(&bench, "ann", &["--scope", scope])));
    let question = json!({ "question": HONEY_QUESTION });

    for path in ["/v1/corpora", "/v1/jobs", "/v1/usage", "/v1/models", &answer, &documents(&corpus)] {
        read.get(path).ok();
        ask.get(path).refused(403, "forbidden");
        write.get(path).refused(403, "forbidden");
    }
    assert!(write.get(&format!("/v1/documents/{document}/text")).refused(403, "forbidden").contains("read"));
    assert_eq!(ask.post(&answers(&corpus), &question).ok()["status"], "completed");
    assert!(read.post(&answers(&corpus), &question).refused(403, "forbidden").contains("ask"));
    write.post(&format!("{answer}/replay"), &json!({})).refused(403, "forbidden");
    read.delete(&answer).refused(403, "forbidden");
    read.post("/v1/conversations", &json!({ "corpus_id": corpus })).refused(403, "forbidden");
    for other in [&read, &ask] {
        other.post("/v1/corpora", &json!({ "name": "x" })).refused(403, "forbidden");
        other.upload(&corpus, &notes()).refused(403, "forbidden");
        other.delete(&format!("/v1/documents/{document}")).refused(403, "forbidden");
        other.delete(&format!("/v1/corpora/{corpus}")).refused(403, "forbidden");
        other.post("/v1/corpora/sample", &json!({})).refused(403, "forbidden");
    }
    assert_eq!(write.delete(&format!("/v1/documents/{document}")).ok()["deleted"], true);
}

#[test]
fn a_revoked_key_opens_nothing_any_more() {
    let Some(bench) = Bench::new() else { return };
    let server = Server::start(&bench);
    let made = key_object(&bench, "ann", &["--days", "1"]);
    let api = server.api.with_key(made["secret"].as_str().unwrap());
    let session = api.get("/v1/session").ok();
    assert_eq!(session["expires_at"], made["expires_at"], "{session:#}");
    let reply = server.api.post("/v1/session", &json!({ "key": made["secret"] }));
    let cookie = reply.header("set-cookie").split(';').next().unwrap().to_owned();
    let browser = server.api.with("cookie", &cookie);
    assert_eq!(browser.get("/v1/session").ok()["owner"], "ann");

    let listed = bench.json(["key", "list", "--owner", "ann"]);
    assert!(listed["data"][0]["last_used_at"].is_string() && listed["data"][0]["secret"].is_null());
    bench.json(["key", "revoke", "--owner", "ann", made["id"].as_str().unwrap()]);
    for caller in [&api, &browser] {
        caller.get("/v1/corpora").refused(401, "unauthenticated");
    }
    server.api.post("/v1/session", &json!({ "key": made["secret"] })).refused(401, "unauthenticated");
    server.api.get("/v1/corpora").refused(401, "unauthenticated");
    drop(server);
    // The end of the last key must not open the service to everybody.
    Server::start(&bench).api.get("/v1/corpora").refused(401, "unauthenticated");
}

#[test]
fn what_others_can_reach_is_not_served_without_a_key() {
    let bench = Bench::without_model();
    for address in ["0.0.0.0:0", "[::]:0"] {
        let run = Run::of(bench.command().args(["serve", "--address", address]));
        run.fails(1, &["no key", "ibid key create"]);
    }
}
