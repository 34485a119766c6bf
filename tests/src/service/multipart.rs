//! Uploads that are malformed, endless or cut short: refused, and nothing of them is kept.

use super::{
    client::{BOUNDARY, documents, multipart},
    server::{Server, configure, eventually, notes},
};
use crate::{
    documents::BEES,
    program::{Bench, files_below},
};
use serde_json::json;
use std::path::PathBuf;

/// An upload by hand; `length` is what it says of its length.
fn raw_upload(corpus: &str, length: usize, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n",
        documents(corpus)
    );
    [head.as_bytes(), body].concat()
}

/// Originals, and files that are being received.
fn received(bench: &Bench) -> Vec<PathBuf> {
    ["objects", "tmp"].iter().flat_map(|folder| files_below(&bench.data().join(folder))).collect()
}

/// Waits until the server has cleaned up, and checks that nothing was taken in.
#[track_caller]
fn nothing_kept(bench: &Bench, server: &Server, corpus: &str) {
    eventually("nothing is left", || received(bench).is_empty());
    assert_eq!(server.api.get(&documents(corpus)).ok()["data"], json!([]));
    assert_eq!(server.api.get("/v1/jobs").ok()["data"], json!([]));
}

#[test]
fn a_malformed_upload_is_refused_whole() {
    let Some(bench) = Bench::new() else { return };
    let server = Server::start(&bench);
    let (api, corpus) = (&server.api, server.api.create("notes"));
    let media_type = format!("multipart/form-data; boundary={BOUNDARY}");
    let send =
        |media_type: &str, body: &[u8]| api.send("POST", &documents(&corpus), Some((media_type, body)));
    let whole = multipart(&notes());
    let end = format!("--{BOUNDARY}--\r\n").len();
    for cut in [whole.len() - end, whole.len() / 2, 40, 1] {
        send(&media_type, &whole[..cut]).refused(400, "bad_multipart");
    }
    send("multipart/form-data", &whole).refused(400, "bad_multipart");
    send("multipart/form-data; boundary=another", &whole).refused(400, "bad_multipart");
    send(&media_type, b"").refused(400, "bad_multipart");
    let endless = "x".repeat(3 << 20);
    for body in [endless.clone(), format!("--{BOUNDARY}\r\nX: {endless}\r\n\r\n")] {
        let reply = server.raw_post(&documents(&corpus), &media_type, body.as_bytes());
        assert!(reply.starts_with("HTTP/1.1 400") && reply.contains("bad_multipart"), "{reply}");
    }
    send(&media_type, format!("--{BOUNDARY}--\r\n").as_bytes()).refused(422, "no_files");
    let other = String::from_utf8(whole.clone()).unwrap().replace("name=\"files\"", "name=\"file\"");
    assert!(send(&media_type, other.as_bytes()).refused(422, "unknown_part").contains("files"));
    nothing_kept(&bench, &server, &corpus);
    let twice = multipart(&[("one.txt\"; filename=\"two.txt", BEES.as_bytes())]);
    let upload = send(&media_type, &twice).ok();
    assert_eq!(upload["results"].as_array().unwrap().len(), 1, "two names make no second file: {upload:#}");
}

#[test]
fn an_upload_that_breaks_off_leaves_nothing() {
    let Some(bench) = Bench::new() else { return };
    let server = Server::start(&bench);
    let corpus = server.api.create("notes");
    let whole = multipart(&notes());
    for sent in [0, 10, whole.len() / 3, whole.len() - 30] {
        let reply = server.broken_off(&raw_upload(&corpus, whole.len() + 1, &whole[..sent]));
        assert!(!reply.starts_with("HTTP/1.1 2"), "{sent} bytes: {reply}");
    }
    // It says that less will come than does.
    let reply = server.raw(&raw_upload(&corpus, whole.len() / 2, &whole));
    assert!(reply.starts_with("HTTP/1.1 400") && reply.contains("bad_multipart"), "{reply}");
    let chunked = format!(
        "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n\
         Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        documents(&corpus)
    );
    server.broken_off(chunked.as_bytes());
    nothing_kept(&bench, &server, &corpus);
    server.api.add(&corpus, &notes());
}

#[test]
fn an_upload_with_too_many_parts_or_bytes_is_given_up() {
    let Some(bench) = Bench::new() else { return };
    configure(&bench, "[service]\nupload_files = 20\nupload_bytes = 1000000\n");
    let server = Server::start(&bench);
    let (api, corpus) = (&server.api, server.api.create("notes"));
    let names: Vec<String> = (0..10_000).map(|n| format!("{n}.txt")).collect();
    let many: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), BEES.as_bytes())).collect();
    let refused = api.upload(&corpus, &many[..21]).refused(413, "too_many_files");
    assert!(refused.contains("upload_files = 20"), "{refused}");
    let body = multipart(&many);
    let reply = server.raw(&raw_upload(&corpus, body.len(), &body));
    assert!(reply.starts_with("HTTP/1.1 413") && reply.contains("upload_bytes = 1000000"), "{reply}");
    // Without a length it is found out on the way.
    let chunk = format!("{:x}\r\n", body.len());
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n\
         Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n{chunk}",
        documents(&corpus)
    );
    let reply = server.broken_off(&[head.as_bytes(), &body, b"\r\n0\r\n\r\n"].concat());
    assert!(reply.is_empty() || reply.starts_with("HTTP/1.1 413"), "{reply}");
    let one = "x".repeat(1_100_000);
    let reply = server.raw(&raw_upload(&corpus, one.len(), &multipart(&[("long.txt", one.as_bytes())])));
    assert!(reply.starts_with("HTTP/1.1 413"), "{reply}");
    nothing_kept(&bench, &server, &corpus);
    assert_eq!(api.upload(&corpus, &many[..20]).ok()["results"].as_array().unwrap().len(), 20);
}
