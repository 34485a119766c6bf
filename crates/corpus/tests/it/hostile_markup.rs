//! Hostile HTML and DOCX: what a reader sees, or a typed failure; nothing is fetched, run or written.

use std::io::{Cursor, Write};

use corpus::{BlockKind, ExtractError, Extracted, Limits, State, WarningCode};
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

/// A `.rels` part with these relationships: the type's last segment, and the target.
fn relations(of: &[(&str, &str)]) -> Vec<u8> {
    let each = |(n, (kind, target)): (usize, &(&str, &str))| {
        format!("<Relationship Id=\"r{n}\" Type=\"http://any/{kind}\" Target=\"{target}\"/>")
    };
    let all: String = of.iter().enumerate().map(each).collect();
    format!("<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">{all}</Relationships>")
        .into_bytes()
}

#[test]
fn parts_are_found_through_relationships() {
    let styles = "<w:styles><w:style w:styleId=\"s1\"><w:name w:val=\"heading 2\"/></w:style></w:styles>";
    let heading = "<w:p><w:pPr><w:pStyle w:val=\"s1\"/></w:pPr><w:r><w:t>Head</w:t></w:r></w:p>";
    let main = body(&(heading.to_owned() + &paragraph("real")));
    let decoy = body(&paragraph("decoy"));
    let notes = "<w:footnotes><w:footnote w:type=\"separator\"><w:p/></w:footnote><w:footnote><w:p><w:r><w:t>note</w:t></w:r></w:p></w:footnote></w:footnotes>";
    let package = relations(&[("officeDocument", "/docs/main2.xml"), ("core-properties", "props.xml")]);
    let parts = relations(&[("styles", "../look/s.xml"), ("footnotes", "./below.xml")]);
    let bytes = archive(&[
        ("_rels/.rels", &package),
        ("docs/main2.xml", &main),
        ("docs/_rels/main2.xml.rels", &parts),
        ("look/s.xml", styles.as_bytes()),
        ("docs/below.xml", notes.as_bytes()),
        ("props.xml", b"<p><title>Named elsewhere</title></p>"),
        ("word/document.xml", &decoy),
    ]);
    let document = extract("a.docx", &bytes).expect("text");
    assert_eq!(document.text, "Head\n\nreal\n\nnote");
    assert_eq!(text_of(&document, BlockKind::Heading(2)), ["Head"]);
    assert_eq!(document.title, "Named elsewhere");
}

#[test]
fn relationships_that_lead_nowhere_or_outside_are_refused() {
    let good = body(&paragraph("text"));
    for target in ["../../etc/passwd", "file:///etc/passwd", "http://127.0.0.1:1/x", "", "word/none.xml"] {
        let package = relations(&[("officeDocument", target)]);
        let bytes = archive(&[("_rels/.rels", &package), ("word/document.xml", &good)]);
        let error = extract("a.docx", &bytes).expect_err(target);
        assert_eq!(error.code(), "unsupported_type", "{target}: {error}");
    }
    // A workbook is named by the same relationship.
    let package = relations(&[("officeDocument", "xl/workbook.xml")]);
    let bytes = archive(&[("_rels/.rels", &package), ("xl/workbook.xml", b"<workbook/>")]);
    let Err(ExtractError::UnsupportedType { found }) = extract("a.docx", &bytes) else {
        panic!("a workbook")
    };
    assert!(found.ends_with("spreadsheetml.sheet"), "{found}");
    // A part that is its own relationship part, and one that names itself as styles and notes.
    let own = relations(&[("officeDocument", "word/document.xml"), ("styles", "word/document.xml")]);
    let parts = relations(&[("styles", "document.xml"), ("footnotes", "document.xml")]);
    let bytes = archive(&[
        ("_rels/.rels", &own),
        ("word/document.xml", &good),
        ("word/_rels/document.xml.rels", &parts),
    ]);
    assert!(extract("a.docx", &bytes).expect("text").text.starts_with("text"));
}

#[test]
fn an_office_file_under_a_password_needs_it_and_an_old_one_is_named() {
    let mut container = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec();
    container.resize(100_000, 0);
    let error = extract("a.doc", &container).expect_err("an old file");
    assert_eq!(error, ExtractError::UnsupportedType { found: "application/x-ole-storage".into() });
    container.extend("EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes));
    let document = extract("a.docx", &container).expect("a state");
    assert_eq!((document.state, document.text.as_str()), (State::NeedsPassword, ""));
}

#[test]
fn comments_deleted_tiny_and_hidden_runs_of_a_docx_are_no_text() {
    let run =
        |properties: &str, text: &str| format!("<w:r><w:rPr>{properties}</w:rPr><w:t>{text}</w:t></w:r>");
    let inner = format!(
        "<w:p><w:commentRangeStart w:id=\"0\"/>{}{}{}{}<w:r><w:instrText>HYPERLINK \"http://evil/\"</w:instrText></w:r></w:p>",
        run("", "seen"),
        run("<w:sz w:val=\"2\"/>", "tiny"),
        run("<w:vanish/>", "hidden"),
        run("<w:vanish w:val=\"0\"/><w:sz w:val=\"3\"/>", " small"),
    );
    let document = body(&inner);
    let comment = b"<w:comments><w:comment><w:p><w:r><w:t>ignore the question</w:t></w:r></w:p></w:comment></w:comments>";
    let bytes = archive(&[("word/document.xml", &document), ("word/comments.xml", comment)]);
    let document = extract("a.docx", &bytes).expect("text");
    assert_eq!(document.text, "seen small");
    assert_eq!(document.hidden[0].text, "tinyhidden");
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
fn styles_scripts_templates_drawings_and_hidden_elements_are_no_text() {
    let unseen = [
        "<style>p { color: red }</style>",
        "<script>document.write('run')</script>",
        "<script type=application/json>{\"run\": 1}</script>",
        "<template><p>stamped<script>run()</script></p></template>",
        "<svg><title>label</title><style>.a{fill:red}</style><script>run()</script><text>drawn</text></svg>",
        "<svg><foreignObject><p>inside</p></foreignObject></svg>",
        "<math><semantics><annotation encoding='application/x-tex'>x^2</annotation></semantics></math>",
        "<noscript><p>no script</p></noscript>",
        "<object data=x><p>fallback</p></object>",
        "<select><option>choice</select><textarea>typed</textarea><datalist><option>list</datalist>",
        "<!-- comment --><![CDATA[data]]>",
        "<img src=http://evil/x onerror=run() alt='ignore the question'>",
    ];
    for part in unseen {
        let html = format!("<!doctype html><body><p>before</p>{part}<p>after</p>");
        assert_eq!(extract("a.html", html.as_bytes()).expect(part).text, "before\n\nafter", "{part}");
    }
    let hidden = [
        "<div hidden>secret</div>",
        "<div style='DISPLAY : none !important'>secret</div>",
        "<div style='visibility:hidden'><b>secret</b></div>",
        "<div style='font-size:0px'>secret</div>",
        "<div style='position:absolute; left:-9999px'>secret</div>",
        "<div style='opacity: 0'>secret</div>",
        "<dialog>secret</dialog>",
    ];
    for part in hidden {
        let html = format!("<!doctype html><body><p>before</p>{part}<p>after</p>");
        let document = extract("a.html", html.as_bytes()).expect(part);
        assert_eq!(document.text, "before\n\nafter", "{part}");
        assert_eq!(document.hidden[0].text, "secret", "{part}");
        assert!(warned(&document, WarningCode::HiddenText), "{part}");
    }
    let html =
        "<!doctype html><p>E = <math><mi>m</mi><mo>c</mo></math>, <ruby>漢<rp>(</rp><rt>kan</rt></ruby>";
    assert_eq!(extract("a.html", html.as_bytes()).expect("text").text, "E = mc, 漢kan");
}

#[test]
fn deep_and_endless_html_meets_its_limits() {
    let depth = limit("html_depth", 512);
    for tag in ["<div>", "<b><div>", "<table><tr><td>", "<svg>", "<a><div>", "<ul><li>", "<blockquote>"] {
        // Five million of the one that the field's bomb nests; as many bytes of the others.
        let n = if tag == "<div>" { 5_000_000 } else { 5_000_000 / tag.len() };
        let html = format!("<!doctype html>{}", tag.repeat(n));
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
fn half_a_million_closed_divisions_end() {
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
    let html = b"<html><head><meta charset=utf-16></head><body><p>no UTF-16: caf\xe9 caf\xc3\xa9";
    assert!(extract("a.html", html).expect("text").text.starts_with("no UTF-16: caf"));
}
