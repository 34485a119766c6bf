//! Hostile and ordinary PDFs, each made here byte by byte, with the result it must have.

use super::*;

#[path = "../../../tests/it/pdf_writer.rs"]
mod pdf_writer;
use pdf_writer::{Pdf, document, line};

fn read(pdf: &Pdf) -> Extracted {
    extract_pdf(&pdf.bytes(), &Limits::default()).unwrap()
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
fn text_set_sideways_on_a_turned_page_is_words() {
    let content = "BT /F1 10 Tf 0 1 -1 0 300 400 Tm (a wide table) Tj ET";
    let out = read(&document(&[content], "", "/Rotate 90"));
    assert_eq!(out.text, "a wide table");
    let words: Vec<&str> = out.boxes.iter().map(|b| slice(&out, b.bytes)).collect();
    assert_eq!(words, ["a", "wide", "table"]);
    assert!(out.boxes.iter().all(|b| b.area.x1 > b.area.x0), "{:?}", out.boxes);
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
fn columns_less_than_a_font_size_apart_are_read_one_after_the_other() {
    // Lines of 164 points in a size of 10: the white strip between the columns is 8 points wide.
    let mut content = String::new();
    for row in 10..24 {
        content += &line(72, 820 - 12 * row, &format!("left {row} aaaa bbbb cccc dddd eeee ffff"));
        content += &line(244, 820 - 12 * row, &format!("right {row} aaaa bbbb cccc dddd eeee ffff"));
    }
    let out = read(&document(&[&content], "", ""));
    let at = |word: &str| out.text.find(word).unwrap();
    assert!(at("left 23") < at("right 10") && at("right 10") < at("right 23"), "{}", out.text);
}

#[test]
fn short_cells_less_than_a_font_size_apart_stay_in_their_rows() {
    let mut content = String::new();
    for row in 10..24 {
        content += &line(72, 820 - 12 * row, &format!("item{row}"));
        content += &line(110, 820 - 12 * row, &format!("{row}00"));
    }
    let out = read(&document(&[&content], "", ""));
    let at = |word: &str| out.text.find(word).unwrap();
    assert!(at("item10") < at("1000") && at("1000") < at("item11"), "{}", out.text);
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
