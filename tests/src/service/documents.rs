//! `/v1/documents/{id}`: the text in three units of offsets, and the original.

use super::server::Server;
use crate::program::Bench;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Code points of one to four bytes, of one and of two UTF-16 units, combining marks and a sequence of joined emoji.
const TEXT: &str =
    "Cafe\u{301} am Øresund 😀, Žižkov — 𝄞.\n\nA family: 👩\u{200d}👩\u{200d}👧, a flag: 🇳🇴; שלום, 日本語.\n";

/// The length of `text` in a unit.
fn length(text: &str, unit: &str) -> usize {
    match unit {
        "code_point" => text.chars().count(),
        "utf16" => text.encode_utf16().count(),
        _ => text.len(),
    }
}

#[test]
fn a_stretch_of_text_is_the_same_in_every_unit() {
    let Some(bench) = Bench::new() else { return };
    let Server { api, .. } = &Server::start(&bench);
    let corpus = api.create("notes");
    let path = format!("/v1/documents/{}/text", api.add(&corpus, &[("scripts.txt", TEXT.as_bytes())])[0]);
    let places: Vec<usize> = TEXT.char_indices().map(|(at, _)| at).chain([TEXT.len()]).collect();
    for unit in ["code_point", "utf16", "utf8"] {
        let whole = api.get(&format!("{path}?offsets={unit}")).ok();
        assert_eq!((&whole["text"], &whole["start"]), (&json!(TEXT), &json!(0)), "{unit}");
        assert_eq!((&whole["total"], &whole["end"]), (&json!(length(TEXT, unit)), &whole["total"]), "{unit}");
        for pair in places.windows(4).step_by(3) {
            let (from, to) = (pair[0], pair[3]);
            let (start, end) = (length(&TEXT[..from], unit), length(&TEXT[..to], unit));
            let stretch = api.get(&format!("{path}?start={start}&end={end}&offsets={unit}")).ok();
            assert_eq!(stretch["text"], TEXT[from..to], "{unit} {start}..{end}");
            assert_eq!((&stretch["start"], &stretch["end"]), (&json!(start), &json!(end)), "{unit}");
            assert_eq!(stretch["offsets"], unit);
        }
    }
    let default = api.get(&format!("{path}?start=3&end=5")).ok();
    assert_eq!((&default["text"], &default["offsets"]), (&json!("e\u{301}"), &json!("code_point")));

    let inside = TEXT.find('😀').unwrap();
    let between_surrogates = length(&TEXT[..inside], "utf16") + 1;
    for query in [
        format!("start={between_surrogates}&offsets=utf16"),
        format!("end={}&offsets=utf8", inside + 2),
        format!("start={}", length(TEXT, "code_point") + 1),
        "start=5&end=4".to_owned(),
    ] {
        api.get(&format!("{path}?{query}")).refused(422, "bad_offsets");
    }
    for query in ["start=-1", "offsets=runes", "from=1"] {
        api.get(&format!("{path}?{query}")).refused(422, "bad_query");
    }
}

#[test]
fn an_original_comes_back_to_the_byte_and_only_as_an_attachment() {
    let Some(bench) = Bench::new() else { return };
    let Server { api, .. } = &Server::start(&bench);
    let corpus = api.create("notes");
    let page =
        "<!doctype html><title>Mill</title><script>alert(1)</script><p>The mill grinds rye on Fridays.";
    let id = &api.add(&corpus, &[("site/mühle.html", page.as_bytes())])[0];
    let document = api.get(&format!("/v1/documents/{id}")).ok();
    let expected = json!({
        "object": "document", "id": id, "corpus_id": corpus, "path": "site/mühle.html", "title": "Mill",
        "media_type": "text/html", "bytes": page.len(), "state": "ready", "version": 1, "error": null,
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&document[name], value, "{name}: {document:#}");
    }
    let digest: String = Sha256::digest(page).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(document["sha256"], digest);

    let file = document["file_id"].as_str().unwrap();
    let content = api.get(&format!("/v1/files/{file}/content"));
    assert_eq!((content.status, content.body.as_slice()), (200, page.as_bytes()));
    assert_eq!(content.header("content-type"), "application/octet-stream");
    assert_eq!(content.header("x-content-type-options"), "nosniff");
    assert_eq!(content.header("content-security-policy"), "default-src 'none'; sandbox");
    let named = content.header("content-disposition");
    assert!(named.starts_with("attachment; ") && named.ends_with("UTF-8''m%C3%BChle.html"), "{named}");

    let listed = api.get(&super::client::documents(&corpus)).ok();
    let ids: Vec<&Value> = listed["data"].as_array().unwrap().iter().map(|found| &found["id"]).collect();
    assert_eq!(ids, [&json!(id)]);
    let text = api.get(&format!("/v1/documents/{id}/text")).ok()["text"].as_str().unwrap().to_owned();
    assert!(text.contains("grinds rye") && !text.contains("alert"), "{text}");
}
