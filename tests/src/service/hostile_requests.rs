//! Bodies and requests that are wrong, too long or too deep: each is told what is wrong, and the service goes on.

use super::{
    client::{BOUNDARY, answers, documents},
    server::Server,
};
use crate::program::Bench;
use serde_json::json;

#[test]
fn a_body_that_is_no_json_of_ours_is_refused() {
    let Some(bench) = Bench::new() else { return };
    let server = Server::start(&bench);
    let api = &server.api;
    let corpus = api.create("notes");
    let send = |media_type: &str, body: &[u8]| api.send("POST", "/v1/corpora", Some((media_type, body)));
    for body in [&b""[..], b"{", b"{\"name\":", b"{\"name\":\"\xff\"}", b"{\"name\":\"x\"}}", b"\0\0\0\0"] {
        send("application/json", body).refused(400, "bad_json");
    }
    let nested = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    send("application/json", nested.as_bytes()).refused(422, "bad_field");
    send("application/json", format!("{{\"name\":{nested}}}").as_bytes()).refused(422, "bad_field");
    // A field that may hold anything.
    let chat = format!("{{\"model\":\"x\",\"messages\":[{{\"role\":\"user\",\"content\":{nested}}}]}}");
    let deep = api.send("POST", "/v1/chat/completions", Some(("application/json", chat.as_bytes())));
    assert_eq!((deep.status, &deep.json()["error"]["code"]), (400, &json!("invalid_value")));
    for body in [
        &b"[]"[..],
        b"null",
        b"7",
        b"{\"name\":null}",
        b"{\"name\":[\"x\"]}",
        b"{\"name\":\"x\",\"name\":\"y\"}",
    ] {
        send("application/json", body).refused(422, "bad_field");
    }
    let long = format!("{{\"name\":\"{}\"}}", "x".repeat(2 << 20));
    let reply = server.raw_post("/v1/corpora", "application/json", long.as_bytes());
    assert!(reply.starts_with("HTTP/1.1 413") && reply.contains("request_bytes = 1048576"), "{reply}");
    for media_type in
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
    {
        send(media_type, b"{\"name\":\"x\"}").refused(415, "not_json");
    }
    let upload = format!("multipart/form-data; boundary={BOUNDARY}");
    api.send("POST", &answers(&corpus), Some((&upload, b"x"))).refused(415, "not_json");
    api.send("POST", &documents(&corpus), Some(("application/json", b"{}"))).refused(415, "not_multipart");
    assert_eq!(api.get("/v1/corpora").ok()["data"].as_array().unwrap().len(), 1);
}

#[test]
fn a_request_that_is_no_http_or_breaks_off_harms_nobody_else() {
    let Some(bench) = Bench::new() else { return };
    let server = Server::start(&bench);
    for request in [
        &b"\x16\x03\x01\x02\x00\x01\x00"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /v1/corpora HTTP/1.1\r\nHost: localhost\r\nBroken header\r\n\r\n",
        b"POST /v1/corpora HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/corpora HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        b"GET /v1/corpora/\xff\xfe HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    ] {
        let reply = server.broken_off(request);
        assert!(reply.is_empty() || reply.starts_with("HTTP/1.1 4"), "{request:?}: {reply}");
    }
    for path in ["/v1/corpora/%ff", "/v1/corpora/%00", "/v1/documents/%2e%2e%2f/text", "/v1/corpora/%zz"] {
        let status = server
            .raw(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes());
        assert!(status.starts_with("HTTP/1.1 404") || status.starts_with("HTTP/1.1 400"), "{path}: {status}");
    }
    let long = format!("GET /v1/corpora HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    assert!(server.raw(long.as_bytes()).starts_with("HTTP/1.1 431"));
    for length in [5, 1 << 20] {
        let broken = format!(
            "POST /v1/corpora HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{{\"na"
        );
        let reply = server.broken_off(broken.as_bytes());
        assert!(!reply.starts_with("HTTP/1.1 2"), "{reply}");
    }
    let smuggled = b"POST /v1/corpora HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
        Content-Length: 50\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\nDELETE /v1/corpora/x HTTP/1.1\r\n\r\n";
    let reply = server.raw(smuggled);
    assert_eq!(reply.matches("HTTP/1.1 ").count(), 1, "{reply}");
    assert!(!reply.starts_with("HTTP/1.1 2"), "{reply}");
    assert_eq!(server.api.get("/v1/corpora").ok()["data"], json!([]));
}
