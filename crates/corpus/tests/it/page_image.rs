//! The image of a page and the boxes of its text lie on each other.

use corpus::{BoxRun, CharBox, Extracted, Limits};

use crate::pdf_writer::{document, line};
use crate::picture::{Picture, paint};
use crate::program::{extract, sample, worker};

const WORDS: &str = "Highlight me";

/// Boxes of the characters of a run, of the whole run where it is turned.
fn boxes(run: &BoxRun) -> Vec<CharBox> {
    if run.edges.is_empty() {
        return vec![run.area];
    }
    run.edges.windows(2).map(|edge| CharBox { x0: edge[0], x1: edge[1], ..run.area }).collect()
}

/// A box with two pixels more on every side.
fn widened(area: CharBox, picture: &Picture) -> CharBox {
    let (x, y) = (2.0 / picture.image.width_px as f32, 2.0 / picture.image.height_px as f32);
    let inside = |v: f32| v.clamp(0.0, 1.0);
    CharBox {
        x0: inside(area.x0 - x),
        y0: inside(area.y0 - y),
        x1: inside(area.x1 + x),
        y1: inside(area.y1 + y),
    }
}

/// Every box has ink under it and no ink is outside of them.
fn lie_on_each_other(what: &str, bytes: &[u8], size: (f32, f32), scales: impl IntoIterator<Item = u32>) {
    let text = extract("a.pdf", bytes).expect(what);
    assert_eq!(text.text, WORDS, "{what}");
    assert_eq!((text.pages[0].width, text.pages[0].height), size, "{what}");
    for scale in scales {
        let picture = paint(bytes, 1, scale, &Limits::default()).expect(what);
        let image = &picture.image;
        assert_eq!((image.width_points, image.height_points), size, "{what}");
        assert_eq!(
            (image.width_px, image.height_px),
            (size.0 as u32 * scale, size.1 as u32 * scale),
            "{what}"
        );
        let mut under = 0;
        for run in &text.boxes {
            for area in boxes(run) {
                assert!(picture.ink(area) > 0, "{what}, scale {scale}: nothing under {area:?}");
            }
            under += picture.ink(widened(run.area, &picture));
        }
        assert_eq!(picture.ink(picture.whole()), under, "{what}, scale {scale}: ink outside of the boxes");
    }
}

#[test]
fn the_boxes_of_a_page_lie_on_its_ink() {
    let content = line(310, 520, WORDS);
    lie_on_each_other("plain", &document(&[&content], "", "").bytes(), (612.0, 792.0), 1..=4);
}

#[test]
fn turned_and_cropped_pages_agree_with_their_boxes() {
    let content = line(310, 520, WORDS);
    for degrees in [0, 90, 180, 270, -90, 450, 45] {
        let turned = degrees % 180 == 90 || degrees % 180 == -90;
        for (media, crop, width, height) in [
            ("[0 0 612 792]", "", 612.0, 792.0),
            ("[0 0 612 792]", "/CropBox[250 400 550 600]", 300.0, 200.0),
            ("[0 0 612 792]", "/CropBox[550 600 250 400]", 300.0, 200.0),
            ("[100 200 612 792]", "/CropBox[0 0 500 2000]", 400.0, 592.0),
            ("[-50 -20 612 792]", "", 662.0, 812.0),
        ] {
            let page = format!("/MediaBox{media}{crop}/Rotate {degrees}");
            let size = if turned { (height, width) } else { (width, height) };
            lie_on_each_other(&page, &document(&[&content], "", &page).bytes(), size, [2]);
        }
    }
}

#[test]
fn a_crop_box_beside_the_page_is_no_blank_image() {
    let bytes = document(&[&line(310, 520, WORDS)], "", "/CropBox[700 800 900 900]").bytes();
    let error =
        paint(&bytes, 1, 1, &Limits::default()).map(|picture| picture.image).expect_err("a contradiction");
    assert_eq!(error.code(), "malformed");
    assert!(error.to_string().contains("boxes contradict"), "{error}");
}

#[test]
fn text_set_sideways_on_a_turned_page_is_upright_and_has_a_box_for_every_character() {
    let content = format!("BT /F1 10 Tf 0 1 -1 0 300 400 Tm ({WORDS}) Tj ET");
    let bytes = document(&[&content], "", "/Rotate 90").bytes();
    assert!(extract("a.pdf", &bytes).expect("text").boxes.iter().all(|run| !run.edges.is_empty()));
    lie_on_each_other("sideways", &bytes, (792.0, 612.0), [2]);
}

#[test]
fn a_page_listed_twice_is_the_same_page_twice() {
    let mut pdf = document(&[&line(310, 520, "first"), &line(100, 100, "second")], "", "");
    pdf.objects[1] = b"<</Type/Pages/Count 4/Kids[4 0 R 4 0 R 6 0 R 4 0 R]/MediaBox[0 0 612 792]>>".to_vec();
    let text = extract("a.pdf", &pdf.bytes()).expect("four pages");
    assert_eq!(text.pages.len(), 4);
    for run in &text.boxes {
        let picture = paint(&pdf.bytes(), run.page, 1, &Limits::default()).expect("a page");
        assert_eq!(
            picture.ink(picture.whole()),
            picture.ink(widened(run.area, &picture)),
            "page {}",
            run.page
        );
        assert!(picture.ink(run.area) > 0, "page {}", run.page);
    }
}

#[test]
fn colour_stays_and_grey_pages_are_small() {
    let grey = paint(&document(&[&line(72, 700, WORDS)], "", "").bytes(), 1, 2, &Limits::default());
    let blue = document(&["0 0 1 rg 0 0 612 792 re f"], "", "").bytes();
    let blue = paint(&blue, 1, 1, &Limits::default()).expect("a blue page").image;
    let reader = png::Decoder::new(std::io::Cursor::new(&blue.png)).read_info().expect("a PNG");
    assert_eq!(reader.info().color_type, png::ColorType::Rgb);
    let bytes = grey.expect("a page").image.png.len();
    assert!(bytes < 20_000, "{bytes} bytes");
}

/// Words of a page of the sample corpus that show nothing under their box, of all its words.
fn unseen(name: &str, text: &Extracted, page: u32) -> (Vec<String>, usize) {
    let image = worker(None).render_page(&sample(name), page, 2, &Limits::default()).expect(name);
    let mark = &text.pages[page as usize - 1];
    assert_eq!((image.width_points, image.height_points), (mark.width, mark.height), "{name}");
    let picture = Picture::new(image);
    let runs = text.boxes.iter().filter(|run| run.page == page);
    let words: Vec<(&str, CharBox)> = runs
        .map(|run| (&text.text[run.bytes.start as usize..run.bytes.end as usize], run.area))
        .filter(|(word, _)| word.chars().any(char::is_alphanumeric))
        .collect();
    let unseen = words.iter().filter(|(_, area)| !picture.shows_something(*area));
    (unseen.map(|(word, area)| format!("{word} {area:?}")).collect(), words.len())
}

#[test]
fn words_of_the_sample_documents_are_seen_where_their_boxes_are() {
    for name in ["asme-paper.pdf", "book-design.pdf", "tex-overview.pdf"] {
        let text = corpus::extract::extract(&sample(name), &Limits::default(), &worker(None)).expect(name);
        let last = text.pages.len() as u32;
        let mut n_words = 0;
        for page in [1, 2, last.div_ceil(2), last] {
            let (missing, of) = unseen(name, &text, page);
            assert!(missing.is_empty(), "{name}, page {page}: nothing under {missing:?}, of {of} words");
            n_words += of;
        }
        assert!(n_words > 200, "{name}: {n_words} words on four pages");
    }
}
