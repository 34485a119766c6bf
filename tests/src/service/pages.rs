//! `/v1/documents/{id}/pages`: marks and pictures of a PDF's pages.

use super::server::Server;
use crate::{
    pdf_writer::{document, line},
    program::Bench,
};
use serde_json::{Value, json};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

#[test]
fn the_pages_of_a_pdf_are_listed_and_painted() {
    let Some(bench) = Bench::new() else { return };
    let Server { api, .. } = &Server::start(&bench);
    let corpus = api.create("notes");
    let (first, second) = (
        line(72, 700, "The lighthouse was built of grey stone."),
        line(72, 700, "The lighthouse keeper earns 84 marks."),
    );
    let pdf = document(&[&first, &second], "/PageLabels<</Nums[0<</S/r/St 4>>]>>", "").bytes();
    let files: [(&str, &[u8]); 2] = [("lighthouse.pdf", &pdf), ("note.txt", b"No pages here.\n")];
    let ids = api.add(&corpus, &files);
    let [pdf, note] = [&ids[0], &ids[1]].map(|id| format!("/v1/documents/{id}"));

    let pages = api.get(&format!("{pdf}/pages")).ok();
    let [one, two] = pages["data"].as_array().unwrap().as_slice() else { panic!("{pages:#}") };
    assert_eq!((&one["page"], &one["label"], &two["label"]), (&json!(1), &json!("iv"), &json!("v")));
    assert_eq!((one["width"].as_f64(), one["height"].as_f64()), (Some(612.0), Some(792.0)));
    let (start, end) = (&two["start_char"], &two["end_char"]);
    let text: Value = api.get(&format!("{pdf}/text?start={start}&end={end}")).ok();
    assert_eq!(text["text"].as_str().unwrap().trim(), "The lighthouse keeper earns 84 marks.");
    let behind = api.get(&format!("{pdf}/pages?after=1")).ok();
    assert_eq!(behind["data"], json!([two]));
    assert_eq!(api.get(&format!("{note}/pages")).ok()["data"], json!([]));

    let image = api.get(&format!("{pdf}/pages/1.png"));
    assert_eq!((image.status, image.header("content-type")), (200, "image/png"));
    assert!(image.body.starts_with(PNG) && image.body.len() > 500, "{} bytes", image.body.len());
    let etag = image.header("etag");
    let known = api.with("if-none-match", etag).get(&format!("{pdf}/pages/1.png"));
    assert_eq!((known.status, known.body.len(), known.header("etag")), (304, 0, etag));
    let small = api.with("if-none-match", etag).get(&format!("{pdf}/pages/1.png?scale=1"));
    assert!(small.status == 200 && small.header("etag") != etag, "{}", small.status);
    let size = |png: &[u8]| u32::from_be_bytes(png[16..20].try_into().unwrap());
    assert_eq!((size(&small.body), size(&image.body)), (612, 1_224));

    for image in ["0.png", "-1.png", "1.jpg", "1", "..%2f1.png"] {
        api.get(&format!("{pdf}/pages/{image}")).refused(404, "not_found");
    }
    assert!(api.get(&format!("{pdf}/pages/3.png")).refused(404, "no_such_page").contains('2'));
    api.get(&format!("{pdf}/pages/1.png?scale=5")).refused(422, "parser_limit");
    api.get(&format!("{note}/pages/1.png")).refused(409, "not_paged");
}
