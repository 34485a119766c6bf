//! `/v1/session`: a browser exchanges a key for a cookie.

use super::server::{Server, key};
use crate::program::Bench;
use serde_json::json;

#[test]
fn a_key_becomes_a_cookie_that_ends_with_a_log_out() {
    let Some(bench) = Bench::new() else { return };
    let server = Server::start(&bench);
    let api = &server.api;
    let secret = key(&bench, "ann", &["--scope", "read"]);
    let reply = api.post("/v1/session", &json!({ "key": secret }));
    assert_eq!((reply.status, reply.body.len()), (204, 0), "{reply:?}");
    let set = reply.header("set-cookie").to_owned();
    for attribute in ["; HttpOnly", "; SameSite=Strict", "; Path=/"] {
        assert!(set.contains(attribute), "{set}");
    }
    let cookie = set.split(';').next().unwrap();
    assert!(cookie.starts_with("ibid_session=") && !set.contains(&secret), "{set}");

    let browser = api.with("cookie", &format!("theme=dark; {cookie}"));
    let session = browser.get("/v1/session").ok();
    assert_eq!((&session["owner"], &session["scopes"]), (&json!("ann"), &json!(["read"])), "{session:#}");
    assert!(session["expires_at"].is_string(), "{session:#}");
    browser.post("/v1/corpora", &json!({ "name": "x" })).refused(403, "forbidden");
    // A key that is given speaks for itself, even a wrong one.
    browser.with_key("ibid_0000").get("/v1/corpora").refused(401, "unauthenticated");

    let ended = browser.delete("/v1/session");
    assert_eq!(ended.status, 204);
    assert!(ended.header("set-cookie").contains("Max-Age=0"), "{ended:?}");
    browser.get("/v1/corpora").refused(401, "unauthenticated");
    assert_eq!(browser.delete("/v1/session").status, 204, "a dead cookie can be got rid of");
    api.with_key(&secret).get("/v1/corpora").ok();
    for key in ["", "ibid_0000", cookie] {
        api.post("/v1/session", &json!({ "key": key })).refused(401, "unauthenticated");
    }
}

#[test]
fn a_session_outlives_a_restart_and_is_useless_on_other_sites() {
    let Some(bench) = Bench::new() else { return };
    let server = Server::start(&bench);
    let secret = key(&bench, "ann", &[]);
    let reply = server.api.post("/v1/session", &json!({ "key": secret }));
    let cookie = reply.header("set-cookie").split(';').next().unwrap().to_owned();
    server.kill();
    let server = Server::start(&bench);
    let browser = server.api.with("cookie", &cookie);
    assert_eq!(browser.get("/v1/session").ok()["owner"], "ann");
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "http://evil.example"),
        ("origin", "null"),
    ] {
        let foreign = browser.with(name, value);
        foreign.get("/v1/corpora").refused(403, "cross_site");
        foreign.post("/v1/corpora", &json!({ "name": "x" })).refused(403, "cross_site");
        foreign.delete("/v1/session").refused(403, "cross_site");
    }
    let ours = browser.with("origin", &format!("http://{}", server.api.address));
    assert_eq!(ours.with("sec-fetch-site", "same-origin").get("/v1/corpora").ok()["data"], json!([]));
}
