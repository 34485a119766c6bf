//! `/v1/corpora`: made, listed page by page, shown and deleted.

use super::server::Server;
use crate::program::Bench;
use serde_json::{Value, json};

fn names(list: &Value) -> Vec<&str> {
    list["data"].as_array().unwrap().iter().map(|corpus| corpus["name"].as_str().unwrap()).collect()
}

#[test]
fn corpora_are_made_listed_shown_and_deleted() {
    let Some(bench) = Bench::new() else { return };
    let Server { api, .. } = &Server::start(&bench);
    let ids: Vec<String> = ["first", "second", "third"].iter().map(|name| api.create(name)).collect();

    let corpus = api.get(&format!("/v1/corpora/{}", ids[0])).ok();
    assert_eq!((&corpus["object"], &corpus["name"]), (&json!("corpus"), &json!("first")));
    assert_eq!((&corpus["state"], &corpus["version"]), (&json!("empty"), &json!(0)), "{corpus:#}");
    assert!(corpus["created_at"].as_str().unwrap().ends_with('Z'), "{corpus:#}");

    let newest = api.get("/v1/corpora?limit=2").ok();
    assert_eq!((names(&newest), &newest["has_more"]), (vec!["third", "second"], &json!(true)));
    let last = newest["last_id"].as_str().unwrap();
    let rest = api.get(&format!("/v1/corpora?limit=2&after={last}")).ok();
    assert_eq!((names(&rest), &rest["has_more"]), (vec!["first"], &json!(false)));
    let before = api.get(&format!("/v1/corpora?limit=1&before={}", ids[0])).ok();
    assert_eq!((names(&before), &before["has_more"]), (vec!["second"], &json!(true)));
    assert_eq!(names(&api.get("/v1/corpora?order=asc").ok()), ["first", "second", "third"]);

    let deleted = api.delete(&format!("/v1/corpora/{}", ids[1])).ok();
    let expected = (&json!("corpus.deleted"), &json!(true), &json!(ids[1]));
    assert_eq!((&deleted["object"], &deleted["deleted"], &deleted["id"]), expected);
    for reply in [api.get(&format!("/v1/corpora/{}", ids[1])), api.delete(&format!("/v1/corpora/{}", ids[1]))]
    {
        reply.refused(404, "not_found");
    }
    assert_eq!(names(&api.get("/v1/corpora").ok()), ["third", "first"]);
}

#[test]
fn what_is_no_corpus_and_no_list_is_refused_by_name() {
    let Some(bench) = Bench::new() else { return };
    let Server { api, .. } = &Server::start(&bench);
    api.create("notes");
    let make = |body: Value| api.post("/v1/corpora", &body);
    assert!(make(json!({ "name": "notes" })).refused(409, "name_taken").contains("notes"));
    for name in ["", "  ", "a\nb", "corp_01K6ZJ8Q4T9GZC3N5W2V7XHRME", &"n".repeat(201)] {
        make(json!({ "name": name })).refused(422, "bad_name");
    }
    assert!(make(json!({ "name": "x", "colour": "red" })).refused(422, "bad_field").contains("colour"));
    make(json!({})).refused(422, "bad_field");
    for query in ["limit=0", "limit=1001"] {
        api.get(&format!("/v1/corpora?{query}")).refused(422, "bad_limit");
    }
    for query in ["limit=many", "order=up", "colour=red"] {
        api.get(&format!("/v1/corpora?{query}")).refused(422, "bad_query");
    }
    for cursor in ["corp_01K6ZJ8Q4T9GZC3N5W2V7XHRME", "notes", "%27%20OR%201=1", "%00", ""] {
        api.get(&format!("/v1/corpora?after={cursor}")).refused(404, "not_found");
    }
    for (method, path) in [("PUT", "/v1/corpora"), ("PATCH", "/v1/corpora/x"), ("POST", "/v1/usage")] {
        let reply = api.send(method, path, Some(("application/json", b"{}")));
        assert!(reply.refused(405, "method_not_allowed").contains(method));
    }
    api.get("/v1/nothing").refused(404, "not_found");
    api.post("/v1/nothing", &json!({})).refused(404, "not_found");
    let listed = api.get("/v1/corpora").ok();
    assert_eq!(listed["data"].as_array().unwrap().len(), 1, "{listed:#}");
}
