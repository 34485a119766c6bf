//! Hostile and ordinary PDFs, each made here byte by byte, with the result it must have.

use std::io::Write as _;

use super::*;

/// A PDF writer for tests: objects in order, a cross-reference table, a trailer.
#[derive(Default)]
struct Pdf {
    objects: Vec<Vec<u8>>,
    trailer: String,
}

impl Pdf {
    /// Adds an object and gives its number (from 1).
    fn add(&mut self, body: impl AsRef<[u8]>) -> usize {
        self.objects.push(body.as_ref().to_vec());
        self.objects.len()
    }

    fn stream(&mut self, dict: &str, data: &[u8]) -> usize {
        let mut body = format!("<<{dict}/Length {}>>\nstream\n", data.len()).into_bytes();
        body.extend_from_slice(data);
        body.extend_from_slice(b"\nendstream");
        self.add(body)
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = b"%PDF-1.7\n".to_vec();
        let mut offsets = Vec::new();
        for (at, object) in self.objects.iter().enumerate() {
            offsets.push(out.len());
            out.extend_from_slice(format!("{} 0 obj\n", at + 1).as_bytes());
            out.extend_from_slice(object);
            out.extend_from_slice(b"\nendobj\n");
        }
        let xref = out.len();
        out.extend_from_slice(format!("xref\n0 {}\n0000000000 65535 f \n", offsets.len() + 1).as_bytes());
        for offset in &offsets {
            out.extend_from_slice(format!("{offset:010} 00000 n \n").as_bytes());
        }
        let trailer = format!(
            "trailer\n<</Size {}/Root 1 0 R{}>>\nstartxref\n{xref}\n%%EOF\n",
            offsets.len() + 1,
            self.trailer
        );
        out.extend_from_slice(trailer.as_bytes());
        out
    }
}

const FONT: &str = "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>";

/// One page of US Letter per content stream; `catalog` goes into the catalog, `page` into every page.
fn document(contents: &[&str], catalog: &str, page: &str) -> Pdf {
    let mut pdf = Pdf::default();
    let kids: String = (0..contents.len()).map(|at| format!("{} 0 R ", 4 + 2 * at)).collect();
    pdf.add(format!("<</Type/Catalog/Pages 2 0 R{catalog}>>"));
    pdf.add(format!("<</Type/Pages/Count {}/Kids[{kids}]/MediaBox[0 0 612 792]>>", contents.len()));
    pdf.add(FONT);
    for (at, content) in contents.iter().enumerate() {
        let stream = 5 + 2 * at;
        pdf.add(format!(
            "<</Type/Page/Parent 2 0 R/Contents {stream} 0 R/Resources<</Font<</F1 3 0 R>>>>{page}>>"
        ));
        pdf.stream("", content.as_bytes());
    }
    pdf
}

fn line(x: u32, y: u32, text: &str) -> String {
    format!("BT /F1 10 Tf 1 0 0 1 {x} {y} Tm ({text}) Tj ET\n")
}

fn read(pdf: &Pdf) -> Extracted {
    extract_pdf(&pdf.bytes(), &Limits::default()).unwrap()
}

fn codes(out: &Extracted) -> Vec<WarningCode> {
    out.warnings.iter().map(|w| w.code).collect()
}

fn slice(out: &Extracted, span: ByteSpan) -> &str {
    &out.text[span.start as usize..span.end as usize]
}

#[test]
fn pages_words_and_boxes_point_at_their_text() {
    let first = line(72, 700, "Revenue rose to 42 million.") + &line(72, 688, "Costs fell.");
    let out =
        read(&document(&[&first, &line(72, 700, "Second page.")], "/PageLabels<</Nums[0<</S/r>>]>>", ""));
    assert_eq!(out.text, "Revenue rose to 42 million. Costs fell.\n\nSecond page.");
    assert_eq!(out.state, State::Ready);
    assert_eq!(
        out.pages.iter().map(|p| (p.index, p.label.as_deref())).collect::<Vec<_>>(),
        [(1, Some("i")), (2, Some("ii"))]
    );
    assert_eq!(slice(&out, out.pages[1].bytes), "Second page.");
    let words: Vec<&str> = out.boxes.iter().map(|b| slice(&out, b.bytes)).collect();
    assert_eq!(words, ["Revenue", "rose", "to", "42", "million.", "Costs", "fell.", "Second", "page."]);
    let b = &out.boxes[0];
    // Baseline 700 of 792 points, 72 of 612 from the left; Helvetica's R is 0.722 wide.
    assert!(
        (b.area.x0 - 72.0 / 612.0).abs() < 1e-3 && b.area.y0 < 92.0 / 792.0 && b.area.y1 > 92.0 / 792.0,
        "{b:?}"
    );
    assert_eq!(b.edges.len(), "Revenue".len() + 1);
    assert!((b.edges[1] - b.edges[0] - 7.22 / 612.0).abs() < 1e-3, "{:?}", b.edges);
}

#[test]
fn two_columns_are_read_one_after_the_other() {
    let mut content = line(200, 740, "A heading over both columns");
    for row in 0..12 {
        content += &line(72, 700 - 12 * row, &format!("left {row} aaaa bbbb cccc dddd eeee ffff"));
        content += &line(330, 700 - 12 * row, &format!("right {row} aaaa bbbb cccc dddd eeee ffff"));
    }
    let out = read(&document(&[&content], "", ""));
    let at = |word: &str| out.text.find(word).unwrap();
    assert!(
        at("heading") < at("left 0") && at("left 11") < at("right 0") && at("right 0") < at("right 11"),
        "{}",
        out.text
    );
}

#[test]
fn a_table_is_read_row_by_row() {
    let mut content = String::new();
    for row in 0..8 {
        content += &(line(72, 700 - 14 * row, &format!("item{row}"))
            + &line(200, 700 - 14 * row, &format!("{row}00")));
    }
    let out = read(&document(&[&content], "", ""));
    assert!(out.text.starts_with("item0\t000\nitem1\t100\n"), "{}", out.text);
    assert!(out.blocks.iter().all(|b| b.kind == BlockKind::TableRow) && out.blocks.len() == 8);
}

#[test]
fn a_hyphen_at_a_line_end_is_dropped_and_a_compound_keeps_it() {
    let content = line(72, 700, "The exam-")
        + &line(72, 688, "ple is well-known to Anglo-")
        + &line(72, 676, "Saxons.");
    let out = read(&document(&[&content], "", ""));
    assert_eq!(out.text, "The example is well-known to Anglo- Saxons.");
    let exam = out.boxes.iter().find(|b| slice(&out, b.bytes) == "exam").unwrap();
    assert_eq!(exam.edges.len(), 5);
}

#[test]
fn text_turned_sideways_keeps_its_words() {
    let content = line(72, 700, "upright") + "BT /F1 10 Tf 0 1 -1 0 300 300 Tm (turned left) Tj ET";
    let out = read(&document(&[&content], "", ""));
    assert!(out.text.contains("turned left"), "{}", out.text);
    let rotated = read(&document(&[&line(72, 700, "a rotated page")], "", "/Rotate 90"));
    assert_eq!(rotated.text, "a rotated page");
    assert_eq!((rotated.pages[0].width, rotated.pages[0].height), (792.0, 612.0));
}

// Item 20: hidden text is kept apart and counted.
#[test]
fn white_tiny_invisible_and_off_page_text_is_hidden() {
    let cases = [
        ("white", "1 1 1 rg BT /F1 10 Tf 72 600 Td (secret) Tj ET".to_owned()),
        ("one point", "BT /F1 1 Tf 72 600 Td (secret) Tj ET".to_owned()),
        ("scaled to one point", "BT /F1 100 Tf 0.01 0 0 0.01 72 600 Tm (secret) Tj ET".to_owned()),
        ("off page", "BT /F1 10 Tf 900 600 Td (secret) Tj ET".to_owned()),
        ("render mode 3", "BT /F1 10 Tf 3 Tr 72 600 Td (secret) Tj ET".to_owned()),
        ("render mode 7", "q 7 Tr BT /F1 10 Tf 72 600 Td [(sec) -20 (ret)] TJ ET Q".to_owned()),
    ];
    for (name, hidden) in cases {
        let out = read(&document(&[&(line(72, 700, "seen") + &hidden)], "", ""));
        assert_eq!(out.text, "seen", "{name}");
        assert_eq!(out.hidden, [HiddenText { page: 1, text: "secret".to_owned() }], "{name}");
        let warning = out.warnings.iter().find(|w| w.code == WarningCode::HiddenText).unwrap();
        assert_eq!((warning.page, warning.characters), (Some(1), Some(6)), "{name}");
    }
}

#[test]
fn white_text_on_a_dark_bar_is_seen() {
    let content = "0 0 0.5 rg 60 590 200 30 re f 1 1 1 rg BT /F1 10 Tf 72 600 Td (table head) Tj ET";
    let out = read(&document(&[content], "", ""));
    assert_eq!(out.text, "table head");
    assert!(out.hidden.is_empty());
}

#[test]
fn a_form_that_shows_only_invisible_text_is_hidden() {
    let mut pdf = document(&[&(line(72, 700, "seen") + "/Fm Do")], "", "");
    pdf.objects[3] =
        b"<</Type/Page/Parent 2 0 R/Contents 5 0 R/Resources<</Font<</F1 3 0 R>>/XObject<</Fm 6 0 R>>>>>>"
            .to_vec();
    pdf.stream(
        "/Type/XObject/Subtype/Form/BBox[0 0 612 792]/Resources<</Font<</F1 3 0 R>>>>",
        b"BT /F1 10 Tf 3 Tr 72 600 Td (secret) Tj ET",
    );
    let out = read(&pdf);
    assert_eq!((out.text.as_str(), out.hidden.len()), ("seen", 1));
}

// Item 1 and the tail of item 12: nothing, and a good file cut at many places.
#[test]
fn an_empty_or_cut_file_gives_a_typed_failure_or_a_warning() {
    assert_eq!(extract_pdf(b"", &Limits::default()).unwrap_err().code(), "malformed");
    let long: String =
        (0..40).map(|row| line(72, 740 - 12 * row, "a line of a good document, again and again")).collect();
    let whole = document(&[&long, &long, &long], "", "").bytes();
    for cut in (0..whole.len() - 1024).step_by(1024) {
        match extract_pdf(&whole[..cut], &Limits::default()) {
            Ok(out) => assert!(codes(&out).contains(&WarningCode::Truncated), "cut at {cut}"),
            Err(error) => assert_eq!(error.code(), "malformed", "cut at {cut}"),
        }
    }
}

// Item 5.
#[test]
fn deep_nesting_is_refused_before_it_is_parsed() {
    let mut pdf = document(&["BT ET"], "", "");
    pdf.add(["[".repeat(10_380), "]".repeat(10_380)].concat());
    let error = extract_pdf(&pdf.bytes(), &Limits::default()).unwrap_err();
    assert_eq!(error, ExtractError::limit("pdf_depth", 100));
}

// Item 7.
#[test]
fn a_page_tree_that_is_its_own_parent_ends() {
    let mut pdf = Pdf::default();
    pdf.add("<</Type/Catalog/Pages 2 0 R>>");
    pdf.add("<</Type/Pages/Count 1/Kids[2 0 R]/Parent 2 0 R>>");
    match extract_pdf(&pdf.bytes(), &Limits::default()) {
        Ok(out) => assert_eq!((out.text.as_str(), out.state), ("", State::NeedsOcr)),
        Err(error) => assert!(matches!(error.code(), "malformed" | "parser_limit")),
    }
}

// Item 8.
#[test]
fn a_loop_of_previous_tables_ends() {
    let mut pdf = document(&[&line(72, 700, "found")], "", "");
    let xref = String::from_utf8(pdf.bytes()).unwrap().find("xref\n0").unwrap();
    pdf.trailer = format!("/Prev {xref}");
    let out = read(&pdf);
    assert_eq!(out.text, "found");
}

// Item 10.
#[test]
fn an_absurd_length_allocates_nothing() {
    let mut pdf = document(&["BT ET"], "", "");
    pdf.objects[4] =
        b"<</Length 66000000000000>>\nstream\nBT /F1 10 Tf 72 700 Td (kept) Tj ET\nendstream".to_vec();
    match extract_pdf(&pdf.bytes(), &Limits::default()) {
        Ok(out) => assert!(matches!(out.text.as_str(), "kept" | "")),
        Err(error) => assert_eq!(error.code(), "malformed"),
    }
}

// Item 11.
#[test]
fn an_inline_image_without_a_colour_space_is_passed_over() {
    let content = "BI /W 2 /H 2 /BPC 8 ID abcd EI\n".to_owned() + &line(72, 700, "after the image");
    assert_eq!(read(&document(&[&content], "", "")).text, "after the image");
}

// Item 13: standard encryption, revision 3, user password "secret"; key material as in ISO 32000-1, 7.6.3.
#[test]
fn a_locked_file_needs_its_password() {
    let mut pdf = document(&["BT ET"], "", "");
    let filler = "00".repeat(32);
    let encrypt = pdf.add(format!("<</Filter/Standard/V 2/R 3/Length 128/P -4/O<{filler}>/U<{filler}>>>"));
    pdf.trailer = format!(
        "/Encrypt {encrypt} 0 R/ID[<00112233445566778899aabbccddeeff><00112233445566778899aabbccddeeff>]"
    );
    let out = read(&pdf);
    assert_eq!(out.state, State::NeedsPassword);
    assert!(out.text.is_empty());
}

// Item 14.
#[test]
fn a_page_without_text_needs_ocr() {
    let out = read(&document(&["0 0 1 rg 10 10 100 100 re f"], "", ""));
    assert_eq!((out.state, out.pages.len()), (State::NeedsOcr, 1));
}

// Item 15.
#[test]
fn a_broken_character_map_is_warned_of() {
    let mut pdf = document(&[&line(72, 700, "these characters have lost their meaning")], "", "");
    pdf.objects[2] =
        b"<</Type/Font/Subtype/Type1/BaseFont/Lost/ToUnicode 6 0 R/FirstChar 32/LastChar 126>>".to_vec();
    let cmap = "begincmap 1 begincodespacerange <00> <FF> endcodespacerange 1 beginbfrange <21> <7E> <E021> endbfrange endcmap";
    pdf.stream("", cmap.as_bytes());
    let out = read(&pdf);
    assert!(codes(&out).contains(&WarningCode::LowTextQuality), "{:?}: {}", out.warnings, out.text);
}

// Item 16.
#[test]
fn too_many_pages_name_the_limit() {
    let contents = vec!["BT ET"; 12];
    let limits = Limits { pages: 10, ..Limits::default() };
    let error = extract_pdf(&document(&contents, "", "").bytes(), &limits).unwrap_err();
    assert_eq!(error, ExtractError::limit("pages", 10));
}

// Item 17.
#[test]
fn absurd_page_sizes_keep_boxes_on_the_page() {
    for media in ["[0 0 14400 14400]", "[0 0 0 0]", "[612 792 0 0]", "[]", "null", "[0 0 99999999999 792]"] {
        let out = read(&document(&[&line(72, 700, "somewhere")], "", &format!("/MediaBox {media}")));
        assert_eq!(out.text, "somewhere", "{media}");
        for b in &out.boxes {
            let area = [b.area.x0, b.area.y0, b.area.x1, b.area.y1];
            assert!(area.iter().all(|v| (0.0..=1.0).contains(v)), "{media}: {b:?}");
        }
    }
}

#[test]
fn a_page_box_that_is_no_number_is_a_typed_failure() {
    for media in ["[0 0 nan inf]".to_owned(), format!("[0 0 {} 9]", "9".repeat(40))] {
        let pdf = document(&[&line(72, 700, "somewhere")], "", &format!("/MediaBox {media}"));
        assert_eq!(extract_pdf(&pdf.bytes(), &Limits::default()).unwrap_err().code(), "malformed");
    }
}

// Item 18.
#[test]
fn active_content_is_listed_and_ignored() {
    let catalog = "/OpenAction<</S/Launch/F(calc.exe)>>/Names<</JavaScript<</Names[]>>/EmbeddedFiles<</Names[]>>>>/AcroForm<</XFA[]>>";
    let out = read(&document(&[&line(72, 700, "text")], catalog, ""));
    let warning = out.warnings.iter().find(|w| w.code == WarningCode::ActiveContent).unwrap();
    assert_eq!(warning.detail, "ignored: JavaScript, Launch, embedded files, XFA");
    assert_eq!(out.text, "text");
}

/// A PDF whose cross-reference is a stream object with the given dictionary entries and data; object 3 is the stream.
fn with_xref_stream(entries: &str, data: &[u8]) -> Vec<u8> {
    let mut out = b"%PDF-1.7\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n2 0 obj\n<</Type/Pages/Count 0/Kids[]>>\nendobj\n".to_vec();
    let xref = out.len();
    out.extend_from_slice(
        format!("3 0 obj\n<</Type/XRef/Size 4/Root 1 0 R{entries}/Length {}>>\nstream\n", data.len())
            .as_bytes(),
    );
    out.extend_from_slice(data);
    out.extend_from_slice(format!("\nendstream\nendobj\nstartxref\n{xref}\n%%EOF\n").as_bytes());
    out
}

fn ends_without_text(bytes: &[u8]) {
    match extract_pdf(bytes, &Limits::default()) {
        Ok(out) => assert_eq!((out.text.as_str(), out.state), ("", State::NeedsOcr)),
        Err(error) => assert!(matches!(error.code(), "malformed" | "parser_limit"), "{error}"),
    }
}

// Item 6.
#[test]
fn a_cross_reference_stream_of_empty_entries_ends() {
    ends_without_text(&with_xref_stream("/W[0 0 0]/Index[0 9223372036854775807]", b""));
    ends_without_text(&with_xref_stream("/W[1 8 8]/Index[9223372036854775807 3]", &[255; 51]));
}

// Item 8.
#[test]
fn an_object_stream_that_extends_itself_ends() {
    let mut pdf = document(&[&line(72, 700, "found")], "", "");
    pdf.stream("/Type/ObjStm/N 1/First 4/Extends 6 0 R", b"6 0 6 0 R");
    assert_eq!(read(&pdf).text, "found");
    // An object that lies in an object stream that is that very object.
    let entry = [2_u8, 0, 3, 0, 0];
    ends_without_text(&with_xref_stream("/W[1 2 2]/Index[0 4]", &entry.repeat(4)));
}

fn deflated(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

// Item 9: 600 MB in one filter, and in two.
#[test]
fn a_stream_that_unpacks_without_end_names_the_limit() {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![b' '; 1 << 20];
    for _ in 0..600 {
        encoder.write_all(&zeros).unwrap();
    }
    let once = encoder.finish().unwrap();
    let twice = deflated(&once);
    for (filter, data) in [("/FlateDecode", once), ("[/FlateDecode/FlateDecode]", twice)] {
        let mut pdf = document(&["BT ET"], "", "");
        pdf.objects.pop();
        pdf.stream(&format!("/Filter{filter}"), &data);
        let error = extract_pdf(&pdf.bytes(), &Limits::default()).unwrap_err();
        assert_eq!(error.code(), "parser_limit", "{filter}: {error}");
    }
}
