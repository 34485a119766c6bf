//! Files that are not what they say, and names that want to be more than names.

use super::{
    client::documents,
    server::{Server, configure},
};
use crate::{
    documents::BEES,
    pdf_writer::{Pdf, document, line},
    program::Bench,
};
use serde_json::{Value, json};

/// The warnings of a document, by code.
fn warnings(document: &Value) -> Vec<&str> {
    document["warnings"].as_array().unwrap().iter().map(|warning| warning["code"].as_str().unwrap()).collect()
}

fn lighthouse() -> Vec<u8> {
    document(&[&line(72, 700, "The lighthouse keeper earns 84 marks.")], "", "").bytes()
}

#[test]
fn the_content_of_a_file_says_what_it_is_and_not_its_name() {
    let Some(bench) = Bench::new() else { return };
    let server = Server::start(&bench);
    let (api, corpus) = (&server.api, server.api.create("notes"));
    let pdf = lighthouse();
    let page = [pdf.as_slice(), b"<!doctype html><script>alert(1)</script>"].concat();
    let archive = [pdf.as_slice(), b"PK\x03\x04\x14\0\0\0"].concat();
    let files: [(&str, &[u8]); 4] =
        [("pdf.txt", &pdf), ("text.pdf", BEES.as_bytes()), ("page.html", &page), ("archive.zip", &archive)];
    for (id, (name, bytes)) in api.add(&corpus, &files).iter().zip(files) {
        let document = api.get(&format!("/v1/documents/{id}")).ok();
        let expected = if name == "text.pdf" { "text/plain" } else { "application/pdf" };
        assert_eq!(document["media_type"], expected, "{document:#}");
        assert_eq!(document["state"], "ready", "{document:#}");
        let promised = name != "archive.zip";
        assert_eq!(warnings(&document).contains(&"type_mismatch"), promised, "{document:#}");
        let content = api.get(&format!("/v1/files/{}/content", document["file_id"].as_str().unwrap()));
        assert!(content.body == bytes, "{name}");
        assert_eq!(content.header("content-type"), "application/octet-stream", "{name}");
        assert!(content.header("content-disposition").starts_with("attachment;"), "{name}");
    }
}

#[test]
fn what_is_empty_or_no_document_is_refused_before_it_is_kept() {
    let Some(bench) = Bench::new() else { return };
    configure(&bench, "[limits]\ninput_bytes = 1000000\n");
    let server = Server::start(&bench);
    let (api, corpus) = (&server.api, server.api.create("notes"));
    api.upload(&corpus, &[("empty.pdf", b"")]).refused(422, "empty_file");
    let zeros = vec![0; 8_000_000];
    api.upload(&corpus, &[("zeros.pdf", &zeros)]).refused(415, "unsupported_type");
    let long = "a".repeat(1_000_001);
    let refused = api.upload(&corpus, &[("long.txt", long.as_bytes())]).refused(413, "input_too_long");
    assert!(refused.contains("input_bytes = 1000000"), "{refused}");
    let among: [(&str, &[u8]); 3] =
        [("zeros.pdf", &zeros), ("long.txt", long.as_bytes()), ("bees.txt", BEES.as_bytes())];
    let upload = api.upload(&corpus, &among).ok();
    let codes: Vec<&Value> =
        upload["results"].as_array().unwrap().iter().map(|result| &result["error"]["code"]).collect();
    assert_eq!(codes, [&json!("unsupported_type"), &json!("input_too_long"), &Value::Null]);
    let kept: u64 = bench.data_files().iter().map(|path| path.metadata().unwrap().len()).max().unwrap();
    assert!(kept < 1_000_000, "a file of {kept} bytes was kept");
}

#[test]
fn a_font_that_attacks_a_viewer_in_the_browser_finds_none() {
    let Some(bench) = Bench::new() else { return };
    let server = Server::start(&bench);
    let (api, corpus) = (&server.api, server.api.create("notes"));
    // CVE-2024-4367: a viewer of PDF in JavaScript took the font matrix for code.
    let mut pdf = Pdf::default();
    pdf.add("<</Type/Catalog/Pages 2 0 R/OpenAction<</S/JavaScript/JS(app.alert\\(1\\))>>>>");
    pdf.add("<</Type/Pages/Count 1/Kids[4 0 R]/MediaBox[0 0 612 792]>>");
    pdf.add(
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding\
         /FontMatrix[1 2 3 4 5 (0\\); alert\\('foobar')]>>",
    );
    pdf.add("<</Type/Page/Parent 2 0 R/Contents 5 0 R/Resources<</Font<</F1 3 0 R>>>>>>");
    pdf.stream("", line(72, 700, "The lighthouse keeper earns 84 marks.").as_bytes());
    let id = &api.add(&corpus, &[("fonts.pdf", &pdf.bytes())])[0];
    let image = api.get(&format!("/v1/documents/{id}/pages/1.png"));
    assert_eq!((image.status, image.header("content-type")), (200, "image/png"));
    let text = api.get(&format!("/v1/documents/{id}/text")).ok()["text"].as_str().unwrap().to_owned();
    assert!(text.contains("84 marks") && !text.contains("alert"), "{text}");
    let policy = api.get("/").header("content-security-policy").to_owned();
    assert!(policy.contains("script-src 'self';") && !policy.contains("unsafe"), "{policy}");
}

#[test]
fn names_are_labels_and_lead_nowhere() {
    let Some(bench) = Bench::new() else { return };
    let server = Server::start(&bench);
    let (api, corpus) = (&server.api, server.api.create("notes"));
    let names = [
        ("../../etc/cron.d/x.txt", "etc/cron.d/x.txt"),
        ("..\\\\..\\\\evil.txt", "evil.txt"),
        ("/etc/passwd", "etc/passwd"),
        ("CON", "CON"),
        ("%2e%2e%2fup.txt", "%2e%2e%2fup.txt"),
        ("fdp.\u{202e}txt", "fdp.\\u{202e}txt"),
        ("zero\u{200b}width\u{feff}.txt", "zero\\u{200b}width\\u{feff}.txt"),
        ("<img src=x onerror=alert(1)>.txt", "<img src=x onerror=alert(1)>.txt"),
        ("Z\u{301}\u{301}\u{301}\u{301}algo.txt", "Z\u{301}\u{301}\u{301}\u{301}algo.txt"),
        ("раypal.txt", "раypal.txt"),
        ("", "document"),
    ];
    let texts: Vec<String> =
        (1..=names.len()).map(|n| format!("Cabinet number {n} is made of oak.\n")).collect();
    let files: Vec<(&str, &[u8])> =
        names.iter().zip(&texts).map(|((name, _), text)| (*name, text.as_bytes())).collect();
    for ((id, (_, path)), text) in api.add(&corpus, &files).iter().zip(names).zip(&texts) {
        let document = api.get(&format!("/v1/documents/{id}")).ok();
        assert_eq!(document["path"], path, "{document:#}");
        assert_eq!(api.get(&format!("/v1/documents/{id}/text")).ok()["text"], *text, "{path}");
        let content = api.get(&format!("/v1/files/{}/content", document["file_id"].as_str().unwrap()));
        let named = content.header("content-disposition");
        assert!(named.is_ascii() && !named.contains("..") && !named.contains('/'), "{named}");
    }
    for file in bench.data_files() {
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(!["x.txt", "evil.txt", "passwd", "CON", "up.txt"].contains(&name), "{}", file.display());
    }
    let listed = api.get(&documents(&corpus));
    assert_eq!(listed.header("content-type"), "application/json");
    assert_eq!(listed.header("x-content-type-options"), "nosniff");
}

#[test]
fn long_names_are_shortened_and_stay_apart() {
    let Some(bench) = Bench::new() else { return };
    let server = Server::start(&bench);
    let (api, corpus) = (&server.api, server.api.create("notes"));
    let names = ["1", "2"].map(|last| format!("{}{last}.txt", "é".repeat(2_046)));
    let files = [0, 1].map(|n| (names[n].as_str(), if n == 0 { &b"Oak.\n"[..] } else { b"Elm.\n" }));
    let paths: Vec<String> = api
        .add(&corpus, &files)
        .iter()
        .map(|id| api.get(&format!("/v1/documents/{id}")).ok()["path"].as_str().unwrap().to_owned())
        .collect();
    assert_ne!(paths[0], paths[1]);
    for path in paths {
        assert!(path.len() <= 1_000 && path.starts_with("éé") && path.ends_with(".txt"), "{path}");
    }
}

#[test]
fn signs_that_steer_or_pile_up_stay_text_and_are_warned_of() {
    let Some(bench) = Bench::new() else { return };
    let server = Server::start(&bench);
    let (api, corpus) = (&server.api, server.api.create("notes"));
    let storm =
        format!("The key hangs \u{202e}behind\u{202c} the d\u{200b}oor, o{}ak.\n", "\u{301}".repeat(500));
    let id = &api.add(&corpus, &[("storm.txt", storm.as_bytes())])[0];
    let document = api.get(&format!("/v1/documents/{id}")).ok();
    assert!(!warnings(&document).is_empty(), "{document:#}");
    assert_eq!(api.get(&format!("/v1/documents/{id}/text")).ok()["text"], storm);
    let answer = api.ask(&corpus, "Where does the key hang?");
    for citation in answer["citations"].as_array().unwrap() {
        let place = |name: &str| citation["source"][name].as_u64().unwrap() as usize;
        let (start, end) = (place("start_char"), place("end_char"));
        let stands: String = storm.chars().skip(start).take(end - start).collect();
        assert_eq!(citation["quote"], stands);
    }
}
