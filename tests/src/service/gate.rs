//! What every request passes first: names of the service, pages of other sites, and the request's own name.

use super::server::{Server, configure};
use crate::program::Bench;
use serde_json::json;

/// A request by hand, with a host of choice; gives status line, headers and body.
fn request(server: &Server, method: &str, path: &str, headers: &[&str]) -> String {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    server.raw(format!("{method} {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n").as_bytes())
}

#[test]
fn a_name_that_could_be_rebound_is_refused_for_everything() {
    let Some(bench) = Bench::new() else { return };
    configure(&bench, "[service]\nhost_names = ['ibid.example']\n");
    let server = Server::start(&bench);
    let refused = |reply: &str| reply.starts_with("HTTP/1.1 403") && reply.contains("\"foreign_host\"");
    for host in ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example", ""] {
        let host = format!("Host: {host}");
        for (method, path) in
            [("GET", "/v1/corpora"), ("GET", "/"), ("GET", "/metrics"), ("DELETE", "/v1/corpora/x")]
        {
            let reply = request(&server, method, path, &[&host]);
            assert!(refused(&reply), "{host} {method} {path}: {reply}");
        }
    }
    for host in ["localhost:1", "127.0.0.1", "[::1]:8080", "IBID.example"] {
        let reply = request(&server, "GET", "/v1/corpora", &[&format!("Host: {host}")]);
        assert!(reply.starts_with("HTTP/1.1 200"), "{host}: {reply}");
    }
    let twice = request(&server, "GET", "/v1/corpora", &["Host: localhost", "Host: evil.example"]);
    assert!(!twice.starts_with("HTTP/1.1 200"), "two names: {twice}");
    let absolute = request(&server, "GET", "http://evil.example/v1/corpora", &["Host: localhost"]);
    assert!(!absolute.starts_with("HTTP/1.1 200"), "another name in the request line: {absolute}");
    let without = request(&server, "GET", "/v1/corpora", &[]);
    assert!(without.starts_with("HTTP/1.1 4"), "{without}");
}

#[test]
fn pages_of_other_sites_can_neither_read_nor_change_anything() {
    let Some(bench) = Bench::new() else { return };
    let server = Server::start(&bench);
    let api = &server.api;
    for (name, value) in [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("origin", "http://localhost:1"),
        ("origin", "https://127.0.0.1"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        let foreign = api.with(name, value);
        foreign.get("/v1/corpora").refused(403, "cross_site");
        foreign.post("/v1/corpora", &json!({ "name": "x" })).refused(403, "cross_site");
        // What a form of a page sends without asking first.
        foreign.send("POST", "/v1/corpora", Some(("text/plain", b"{}"))).refused(403, "cross_site");
        let asked =
            foreign.with("access-control-request-method", "DELETE").send("OPTIONS", "/v1/corpora/x", None);
        asked.refused(403, "cross_site");
        assert_eq!(asked.header("access-control-allow-origin"), "");
    }
    let link = api.with("sec-fetch-site", "cross-site").with("sec-fetch-mode", "navigate");
    assert_eq!(link.get("/").status, 200, "a link opens the page");
    link.get("/v1/corpora").refused(403, "cross_site");
    assert_eq!(api.with("sec-fetch-site", "none").get("/v1/corpora").ok()["data"], json!([]));
}

#[test]
fn every_reply_names_its_request() {
    let Some(bench) = Bench::new() else { return };
    let server = Server::start(&bench);
    let api = &server.api;
    let (one, other) = (api.get("/v1/corpora"), api.get("/v1/corpora"));
    assert_ne!(one.header("x-request-id"), other.header("x-request-id"));
    let named = api.with("x-request-id", "order-7431");
    assert_eq!(named.get("/v1/corpora").header("x-request-id"), "order-7431");
    named.get("/v1/corpora/x").refused(404, "not_found");
    assert_eq!(named.get("/v1/corpora/x").json()["request_id"], "order-7431");
    for id in ["two words", &"x".repeat(129)] {
        let reply = api.with("x-request-id", id).get("/v1/corpora");
        assert!(reply.header("x-request-id").starts_with("req_"), "{id}: {reply:?}");
    }
    for (header, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(one.header(header), value);
    }
}
