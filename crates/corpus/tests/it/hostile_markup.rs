//! Hostile HTML and DOCX: what a reader sees, or a typed failure; nothing is fetched, run or written.

use std::io::{Cursor, Write};

use corpus::{BlockKind, ExtractError, Extracted, Limits, WarningCode};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::program::{extract, extract_with};

fn limit(name: &str, allowed: u64) -> ExtractError {
    ExtractError::ParserLimit { limit: name.to_owned(), allowed }
}

fn warned(document: &Extracted, code: WarningCode) -> bool {
    document.warnings.iter().any(|warning| warning.code == code)
}

/// A ZIP archive of these members, packed.
fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for (name, bytes) in members {
        zip.start_file(*name, options).expect("a member");
        zip.write_all(bytes).expect("a member's bytes");
    }
    zip.finish().expect("an archive").into_inner()
}

/// `word/document.xml` around a body.
fn body(inner: &str) -> Vec<u8> {
    format!("<?xml version=\"1.0\"?><w:document xmlns:w=\"w\"><w:body>{inner}</w:body></w:document>")
        .into_bytes()
}

fn paragraph(text: &str) -> String {
    format!("<w:p><w:r><w:t>{text}</w:t></w:r></w:p>")
}

fn docx(inner: &str) -> Vec<u8> {
    archive(&[("[Content_Types].xml", b"<Types/>"), ("word/document.xml", &body(inner))])
}

fn text_of(blocks: &Extracted, kind: BlockKind) -> Vec<&str> {
    let of_kind = blocks.blocks.iter().filter(|block| block.kind == kind);
    of_kind.map(|block| &blocks.text[block.bytes.start as usize..block.bytes.end as usize]).collect()
}

#[test]
fn docx_structure_comes_through() {
    let inner = concat!(
        "<w:p><w:pPr><w:pStyle w:val=\"Heading1\"/></w:pPr><w:r><w:t>Head &amp; tail</w:t></w:r></w:p>",
        "<w:p><w:r><w:t xml:space=\"preserve\">One </w:t></w:r><w:del><w:r><w:delText>no </w:delText></w:r></w:del>",
        "<w:ins><w:r><w:t>two.</w:t></w:r></w:ins><w:r><w:rPr><w:vanish/></w:rPr><w:t>unseen</w:t></w:r></w:p>",
        "<w:p><w:pPr><w:numPr/></w:pPr><w:r><w:t>first</w:t></w:r></w:p>",
        "<w:p><w:pPr><w:numPr/></w:pPr><w:r><w:t>second</w:t></w:r></w:p>",
        "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>a</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>b</w:t></w:r></w:p></w:tc></w:tr>",
        "<w:tr><w:tc><w:p/></w:tc><w:tc><w:p><w:r><w:t>d</w:t></w:r></w:p></w:tc></w:tr></w:tbl>",
    );
    let document = extract("a.docx", &docx(inner)).expect("extracts");
    assert_eq!(document.text, "Head & tail\n\nOne two.\n\nfirst\nsecond\n\na\tb\n\td");
    assert_eq!(text_of(&document, BlockKind::Heading(1)), ["Head & tail"]);
    assert_eq!(text_of(&document, BlockKind::ListItem), ["first", "second"]);
    assert_eq!(text_of(&document, BlockKind::TableRow), ["a\tb", "\td"]);
    assert_eq!(document.hidden[0].text, "unseen");
    assert!(warned(&document, WarningCode::HiddenText));
}

#[test]
fn zip_bombs_meet_their_limits() {
    let zeros = vec![b' '; 200 << 20];
    let bomb = archive(&[("word/document.xml", &zeros)]);
    assert!(bomb.len() < 1 << 20);
    assert_eq!(extract("a.docx", &bomb).expect_err("a bomb"), limit("unpack_ratio", 100));
    let wide = Limits { unpack_ratio: u64::MAX, unpacked_bytes: 1 << 20, ..Limits::default() };
    assert_eq!(
        extract_with("a.docx", &bomb, &wide, None).expect_err("a bomb"),
        limit("unpacked_bytes", 1 << 20)
    );
    // An archive in an archive is never opened.
    let document = body(&paragraph("calm"));
    let nested = archive(&[("word/document.xml", &document), ("word/embeddings/42.zip", &bomb)]);
    let extracted = extract("a.docx", &nested).expect("text");
    assert_eq!(extracted.text, "calm");
    assert!(warned(&extracted, WarningCode::ActiveContent));
}

#[test]
fn too_many_members_meet_the_limit() {
    let document = body(&paragraph("x"));
    let names: Vec<String> = (0..20).map(|n| format!("word/m{n}.xml")).collect();
    let mut members: Vec<(&str, &[u8])> = vec![("word/document.xml", &document)];
    members.extend(names.iter().map(|name| (name.as_str(), b"x".as_slice())));
    let limits = Limits { archive_members: 20, ..Limits::default() };
    let error = extract_with("a.docx", &archive(&members), &limits, None).expect_err("21 members");
    assert_eq!(error, limit("archive_members", 20));
}

#[test]
fn member_names_are_never_paths() {
    let document = body(&paragraph("text"));
    let other = body(&paragraph("other"));
    let bytes = archive(&[
        ("../../ibid-escape", b"x"),
        ("/ibid-escape", b"x"),
        ("word/document.xml", &document),
        ("word/../../ibid-escape", b"x"),
        ("word/documentX.xml", &other),
    ]);
    assert_eq!(extract("a.docx", &bytes).expect("text").text, "text");
    assert!(!std::path::Path::new("/ibid-escape").exists());
    // Two members of one name: the writer refuses it, so the name is changed afterwards.
    let twice = archive(&[("word/document.xml", &document), ("word/document.xmK", &other)]);
    let at: Vec<usize> =
        twice.windows(17).enumerate().filter(|(_, w)| *w == b"word/document.xmK").map(|(at, _)| at).collect();
    assert_eq!(at.len(), 2);
    let mut bytes = twice;
    at.iter().for_each(|at| bytes[at + 16] = b'l');
    match extract("a.docx", &bytes) {
        Ok(extracted) => assert!(["text", "other"].contains(&extracted.text.as_str())),
        Err(error) => assert_eq!(error.code(), "malformed"),
    }
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.add_symlink("word/document.xml", "/etc/passwd", SimpleFileOptions::default()).expect("a link");
    let link = zip.finish().expect("an archive").into_inner();
    let error = extract("a.docx", &link).expect_err("a link is not followed");
    assert!(["malformed", "empty_file"].contains(&error.code()), "{error}");
}

#[test]
fn other_archives_are_named() {
    let unsupported = |members: &[(&str, &[u8])]| match extract("a.docx", &archive(members)) {
        Err(ExtractError::UnsupportedType { found }) => found,
        other => panic!("{other:?}"),
    };
    assert_eq!(unsupported(&[("a.txt", b"x")]), "application/zip");
    assert!(unsupported(&[("xl/workbook.xml", b"x")]).ends_with("spreadsheetml.sheet"));
    assert!(unsupported(&[("ppt/presentation.xml", b"x")]).ends_with("presentationml.presentation"));
}

#[test]
fn document_types_and_entities_are_inert() {
    let laughs: String =
        (1..10).map(|n| format!("<!ENTITY l{n} \"{}\">", format!("&l{};", n - 1).repeat(10))).collect();
    let doctypes = [
        format!("<!DOCTYPE x [<!ENTITY l0 \"lol\">{laughs}]>"),
        format!("<!DOCTYPE x [<!ENTITY l9 \"{}\">]>", "lol".repeat(100_000)),
        "<!DOCTYPE x [<!ENTITY l9 SYSTEM \"file:///etc/passwd\">]>".to_owned(),
        "<!DOCTYPE x [<!ENTITY % p SYSTEM \"http://127.0.0.1:1/x.dtd\"> %p;]>".to_owned(),
        "<!DOCTYPE x SYSTEM \"http://127.0.0.1:1/x.dtd\">".to_owned(),
    ];
    for doctype in doctypes {
        let inner = paragraph(&format!("a{}b", "&l9;".repeat(1000)));
        let part = [doctype.as_bytes(), b"<w:document><w:body>", inner.as_bytes(), b"</w:body></w:document>"];
        let document = extract("a.docx", &archive(&[("word/document.xml", &part.concat())])).expect(&doctype);
        assert_eq!(document.text, "ab", "{doctype:.60}");
        let html = format!("{doctype}<html><body><p>a&l9;b</p></body></html>");
        let document = extract("a.html", html.as_bytes()).expect(&doctype);
        assert!(!document.text.contains("root:"), "{:.200}", document.text);
        assert!(document.text.ends_with("a&l9;b"), "{:.200}", document.text);
    }
}

#[test]
fn xml_depth_and_tag_size_meet_their_limits() {
    let deep = docx(&"<w:x>".repeat(100_000));
    assert_eq!(extract("a.docx", &deep).expect_err("deep"), limit("xml_depth", 100));
    let limits = Limits { unpack_ratio: u64::MAX, ..Limits::default() };
    let wide = docx(&format!("<w:p w:x=\"{}\"/>", "a".repeat(64 << 20)));
    assert_eq!(
        extract_with("a.docx", &wide, &limits, None).expect_err("wide"),
        limit("xml_tag_bytes", 1 << 20)
    );
}

#[test]
fn docx_cells_meet_the_limit() {
    let row = format!("<w:tbl><w:tr>{}</w:tr></w:tbl>", "<w:tc/>".repeat(1001));
    let limits = Limits { table_cells: 1000, ..Limits::default() };
    assert_eq!(
        extract_with("a.docx", &docx(&row), &limits, None).expect_err("wide"),
        limit("table_cells", 1000)
    );
}

#[test]
fn damaged_docx_is_malformed() {
    let good = docx(&paragraph("text"));
    for cut in [10, good.len() / 2, good.len() - 1] {
        let error = extract("a.docx", &good[..cut]).expect_err("cut short");
        assert_eq!(error.code(), "malformed", "{error}");
    }
    let error = extract("a.docx", &docx("<w:p></w:q>")).expect_err("crossed tags");
    assert_eq!(error.code(), "malformed", "{error}");
    for at in 0..good.len() {
        let mut flipped = good.clone();
        flipped[at] ^= 0x55;
        // In this process: a panic would end the test.
        let _ = corpus::extract::extract_bytes(flipped.as_slice(), "a.docx", &Limits::default());
    }
}

#[test]
fn html_gives_only_what_a_reader_sees() {
    let html = concat!(
        "<!doctype html><head><meta http-equiv=refresh content='0;url=http://evil/'><title>T &amp; t</title>",
        "<style>p{}</style><script>alert(1)</script></head><body onload=x()><h1>Head</h1>",
        "<p>One <b>two</b>&nbsp;three.<img src=http://evil/x alt='ignore the question'><br>four</p><!-- note -->",
        "<p style='display: none'>unseen</p><p hidden>unseen too</p><iframe src=x>frame</iframe><noscript>n</noscript>",
        "<ul><li>a<li>b</ul><table><tr><td>c<td>d<tr><td>e<td></table>",
        "<pre>  fn x() {\n    1\n  }</pre><p>[1] &lt;script&gt;",
    );
    let document = extract("a.html", html.as_bytes()).expect("text");
    assert_eq!(
        document.text,
        "Head\n\nOne two\u{a0}three. four\n\na\nb\n\nc\td\ne\t\n\n  fn x() {\n    1\n  }\n\n[1] <script>"
    );
    assert_eq!(document.title, "T & t");
    let hidden: Vec<&str> = document.hidden.iter().map(|hidden| hidden.text.as_str()).collect();
    assert_eq!(hidden, ["unseen", "unseen too"]);
    assert!(warned(&document, WarningCode::HiddenText) && warned(&document, WarningCode::ActiveContent));
    assert_eq!(text_of(&document, BlockKind::ListItem), ["a", "b"]);
    assert_eq!(text_of(&document, BlockKind::TableRow), ["c\td", "e\t"]);
    assert_eq!(text_of(&document, BlockKind::Code).len(), 1);
}

#[test]
fn deep_and_endless_html_meets_its_limits() {
    let depth = limit("html_depth", 512);
    for tag in ["<div>", "<b><div>", "<table><tr><td>", "<svg>", "<a><div>", "<ul><li>", "<blockquote>"] {
        let html = format!("<!doctype html>{}", tag.repeat(5_000_000 / tag.len()));
        assert_eq!(extract("a.html", html.as_bytes()).expect_err(tag), depth, "{tag}");
    }
    let limits = Limits { html_nodes: 10_000, ..Limits::default() };
    let html = format!("<html>{}", "<br>x".repeat(20_000));
    assert_eq!(
        extract_with("a.html", html.as_bytes(), &limits, None).expect_err("wide"),
        limit("html_nodes", 10_000)
    );
    let limits = Limits { table_cells: 1000, ..Limits::default() };
    let html = format!("<html><table><tr>{}", "<td>x".repeat(1001));
    assert_eq!(
        extract_with("a.html", html.as_bytes(), &limits, None).expect_err("cells"),
        limit("table_cells", 1000)
    );
}

#[test]
fn five_million_closed_divisions_end() {
    let html = format!("<!doctype html><p>start</p>{}<p>end", "<div></div>".repeat(500_000));
    assert_eq!(extract("a.html", html.as_bytes()).expect("text").text, "start\n\nend");
    let stray = format!("<!doctype html><p>start</p>{}<p>end", "</p></b><table>x</table>".repeat(20_000));
    assert!(extract("a.html", stray.as_bytes()).expect("text").text.ends_with("end"));
}

#[test]
fn html_in_a_declared_encoding() {
    let mut html = b"<html><head><meta charset=\"windows-1251\"></head><body><p>".to_vec();
    html.extend_from_slice(&encoding_rs::WINDOWS_1251.encode("Привет, мир").0);
    assert_eq!(extract("a.html", &html).expect("text").text, "Привет, мир");
}
