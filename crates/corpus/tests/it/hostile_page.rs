//! Page images of hostile PDFs: an image within the limits or a typed failure, and always an end.

use std::io::Write as _;

use corpus::{ExtractError, Limits};

use crate::encrypted_pdf::encrypted;
use crate::pdf_writer::{Pdf, document, line};
use crate::picture::{Picture, paint};
use crate::program::worker;

fn failure(bytes: &[u8], page: u32, scale: u32, limits: &Limits) -> ExtractError {
    match paint(bytes, page, scale, limits) {
        Ok(picture) => panic!("an image of {} by {}", picture.image.width_px, picture.image.height_px),
        Err(error) => error,
    }
}

fn limit(name: &str, allowed: u64) -> ExtractError {
    ExtractError::ParserLimit { limit: name.to_owned(), allowed }
}

/// What a hostile page may cost in a test.
fn tight() -> Limits {
    Limits { render_ms: 5_000, address_space: 512 << 20, render_pixels: 1 << 20, ..Limits::default() }
}

/// An image or a failure of this one page.
fn ends(what: &str, bytes: &[u8]) -> Option<Picture> {
    match paint(bytes, 1, 1, &tight()) {
        Ok(picture) => Some(picture),
        Err(error) => {
            assert!(
                matches!(error.code(), "malformed" | "parser_limit" | "parser_crashed"),
                "{what}: {error}"
            );
            None
        }
    }
}

/// A page whose resources hold these, and its own font.
fn with_resources(content: &str, resources: &str) -> Pdf {
    let mut pdf = document(&[content], "", "");
    pdf.objects[3] =
        format!("<</Type/Page/Parent 2 0 R/Contents 5 0 R/Resources<</Font<</F1 3 0 R>>{resources}>>>>")
            .into_bytes();
    pdf
}

fn deflated(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).expect("memory");
    encoder.finish().expect("memory")
}

#[test]
fn a_password_is_asked_for_and_an_empty_one_opens() {
    for owner in ["secret", ""] {
        let error = failure(&encrypted("secret", owner), 1, 1, &Limits::default());
        assert_eq!(error.code(), "needs_password", "{error}");
        let open = paint(&encrypted("", owner), 1, 1, &Limits::default()).expect("an image");
        assert!(open.ink(open.whole()) > 0);
    }
}

#[test]
fn a_page_that_is_not_there_names_how_many_are() {
    let bytes = document(&["BT ET", "BT ET"], "", "").bytes();
    for page in [0, 3, u32::MAX] {
        let error = failure(&bytes, page, 1, &Limits::default());
        assert_eq!(error, ExtractError::NoSuchPage { page, pages: 2 });
        assert!(error.to_string().contains("has 2"), "{error}");
    }
}

#[test]
fn a_scale_out_of_range_names_the_limit() {
    let bytes = document(&["BT ET"], "", "").bytes();
    for scale in [0, 5, u32::MAX] {
        assert_eq!(failure(&bytes, 1, scale, &Limits::default()), limit("render_scale", 4));
    }
}

#[test]
fn other_formats_have_no_page_images() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("a.txt");
    for (content, code) in [
        (&b"plain text"[..], "not_paged"),
        (b"<!doctype html><p>text</p>", "not_paged"),
        (b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0", "unsupported_type"),
        (b"", "empty_file"),
    ] {
        std::fs::write(&path, content).expect("a temporary file");
        let error = worker(None).render_page(&path, 1, 1, &Limits::default()).expect_err("no page");
        assert_eq!(error.code(), code, "{error}");
    }
}

#[test]
fn absurd_page_sizes_give_an_image_within_the_limits_or_none() {
    let limits = Limits { render_pixels: 1 << 20, ..Limits::default() };
    for media in [
        "[0 0 14400 14400]",
        "[0 0 200000 200000]",
        "[0 0 0 0]",
        "[612 792 0 0]",
        "[]",
        "null",
        "(text)",
        "[0 0 99999999999 792]",
        "[0 0 612 0.001]",
        "[-99999999 -99999999 99999999 99999999]",
    ] {
        let bytes = document(&[&line(72, 700, "somewhere")], "", &format!("/MediaBox {media}")).bytes();
        let image = match paint(&bytes, 1, 4, &limits) {
            Ok(picture) => picture.image,
            Err(error) => {
                assert!(error.to_string().contains("boxes contradict"), "{media}: {error}");
                continue;
            }
        };
        assert!(
            image.width_px * image.height_px <= 1 << 20,
            "{media}: {} by {}",
            image.width_px,
            image.height_px
        );
        assert!(image.width_points > 0.0 && image.height_points > 0.0, "{media}");
    }
    for media in ["[0 0 nan inf]".to_owned(), format!("[0 0 {} 9]", "9".repeat(40))] {
        ends(&media, &document(&[&line(72, 700, "somewhere")], "", &format!("/MediaBox {media}")).bytes());
    }
    for (key, value) in
        [("CropBox", "[9 9 9 9]"), ("CropBox", "[1e9 1e9 2e9 2e9]"), ("Rotate", "9e99"), ("UserUnit", "1e9")]
    {
        ends(value, &document(&[&line(72, 700, "somewhere")], "", &format!("/{key} {value}")).bytes());
    }
}

#[test]
fn the_bytes_of_an_image_are_limited() {
    let bytes = document(&[&line(72, 700, "some ink")], "", "").bytes();
    let limits = Limits { png_bytes: 100, ..Limits::default() };
    assert_eq!(failure(&bytes, 1, 1, &limits), limit("png_bytes", 100));
    let limits = Limits { reply_bytes: 100, ..Limits::default() };
    assert_eq!(failure(&bytes, 1, 1, &limits), limit("reply_bytes", 100));
}

#[test]
fn a_form_that_draws_itself_ends() {
    let form = |content: &str| {
        let mut pdf = with_resources(&(line(72, 700, "seen") + "/Fm Do"), "/XObject<</Fm 6 0 R>>");
        let dict = "/Type/XObject/Subtype/Form/BBox[0 0 612 792]/Resources<</XObject<</Fm 6 0 R>>>>";
        pdf.stream(dict, content.as_bytes());
        pdf.bytes()
    };
    let once = ends("once", &form("/Fm Do")).expect("an image");
    assert!(once.ink(once.whole()) > 0);
    ends("twice", &form("/Fm Do /Fm Do"));
    ends("a group", &form("q /Fm Do Q q /Fm Do Q"));
}

#[test]
fn work_without_end_names_the_time_a_viewer_waits() {
    // Each form draws the next one eight times: 8^30 drawings.
    let mut pdf = with_resources("/F Do", "/XObject<</F 6 0 R>>");
    for next in 7..37 {
        let resources = format!("/Resources<</XObject<</F {next} 0 R>>>>");
        pdf.stream(
            &format!("/Type/XObject/Subtype/Form/BBox[0 0 612 792]{resources}"),
            "/F Do ".repeat(8).as_bytes(),
        );
    }
    pdf.stream("/Type/XObject/Subtype/Form/BBox[0 0 612 792]", b"0 0 9 9 re f");
    let limits = Limits { render_ms: 1_000, ..Limits::default() };
    assert_eq!(failure(&pdf.bytes(), 1, 1, &limits), limit("render_ms", 1_000));
    let limits = Limits { cpu_seconds: 1, ..Limits::default() };
    assert_eq!(failure(&pdf.bytes(), 1, 1, &limits), limit("cpu_seconds", 1));
}

#[test]
fn patterns_shadings_and_masks_that_hold_themselves_end() {
    let tile = "/Type/Pattern/PatternType 1/PaintType 1/TilingType 1";
    for (bbox, step, matrix) in [
        ("[0 0 10 10]", "10", "[1 0 0 1 0 0]"),
        ("[0 0 1e9 1e9]", "0.0001", "[1 0 0 1 0 0]"),
        ("[0 0 1000 1000]", "0.01", "[1e-6 0 0 1e-6 0 0]"),
        ("[0 0 10 10]", "1e9", "[1e6 0 0 1e6 0 0]"),
    ] {
        let mut pdf = with_resources("/Pattern cs /P scn 0 0 612 792 re f", "/Pattern<</P 6 0 R>>");
        let resources = "/Resources<</Pattern<</P 6 0 R>>>>";
        pdf.stream(
            &format!("{tile}/BBox{bbox}/XStep {step}/YStep {step}/Matrix{matrix}{resources}"),
            b"/Pattern cs /P scn 0 0 9 9 re f",
        );
        ends(&format!("tiles of {bbox} every {step}"), &pdf.bytes());
    }
    let mut pdf = with_resources("/G gs 0 0 612 792 re f", "/ExtGState<</G 6 0 R>>");
    pdf.add("<</SMask<</S/Luminosity/G 7 0 R>>>>");
    let group = "/Group<</S/Transparency>>/Resources<</ExtGState<</G 6 0 R>>>>";
    pdf.stream(&format!("/Type/XObject/Subtype/Form/BBox[0 0 612 792]{group}"), b"/G gs 0 0 612 792 re f");
    ends("a soft mask", &pdf.bytes());
    let mut pdf = with_resources("/S sh", "/Shading<</S 6 0 R>>");
    pdf.add(
        "<</ShadingType 2/ColorSpace/DeviceGray/Coords[0 0 1e-9 1e-9]/Function 7 0 R/Extend[true true]>>",
    );
    pdf.add("<</FunctionType 3/Domain[0 1]/Functions[7 0 R 7 0 R]/Bounds[0.5]/Encode[0 1 0 1]>>");
    ends("a function", &pdf.bytes());
}

#[test]
fn huge_and_broken_images_end() {
    let draw = "q 600 0 0 700 0 0 cm /Im Do Q";
    let image = |dict: &str, data: &[u8]| {
        let mut pdf = with_resources(&(line(72, 700, "seen") + draw), "/XObject<</Im 6 0 R>>");
        pdf.stream(
            &format!("/Type/XObject/Subtype/Image/BitsPerComponent 8/ColorSpace/DeviceRGB{dict}"),
            data,
        );
        pdf.bytes()
    };
    let size = |side: u64| format!("/Width {side}/Height {side}");
    ends("a claim", &image(&size(66_000_000_000_000), b"abc"));
    ends("4 G pixels", &image(&size(65_535), b"abc"));
    ends("no pixels", &image(&size(0), b"abc"));
    let noise: Vec<u8> = (0..5_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for filter in ["DCTDecode", "JPXDecode", "JBIG2Decode", "CCITTFaxDecode", "LZWDecode", "RunLengthDecode"]
    {
        let filters = format!("/Filter/{filter}/DecodeParms<</K -1/Columns 2000000000/Rows 2000000000>>");
        ends(filter, &image(&(size(3_000) + &filters), &noise));
    }
    let predicted = "/Filter/FlateDecode/DecodeParms<</Predictor 15/Colors 2000000000/Columns 2000000000>>";
    ends("a predictor", &image(&(size(100) + predicted), &deflated(&noise)));
}

#[test]
fn streams_that_unpack_without_end_name_a_limit() {
    let bomb = deflated(&vec![b' '; 64 << 20]);
    let mut pdf = document(&["BT ET"], "", "");
    pdf.objects.pop();
    pdf.stream("/Filter/FlateDecode", &bomb);
    assert_eq!(failure(&pdf.bytes(), 1, 1, &Limits::default()), limit("unpack_ratio", 100));
    // Of images only the memory of the child is a bound, since blank scans pack as well as bombs do.
    let twice = deflated(&deflated(&vec![0; 256 << 20]));
    let mut pdf = with_resources("q 600 0 0 700 0 0 cm /Im Do Q", "/XObject<</Im 6 0 R>>");
    let image =
        "/Type/XObject/Subtype/Image/BitsPerComponent 8/ColorSpace/DeviceGray/Width 16384/Height 16384";
    pdf.stream(&format!("{image}/Filter[/FlateDecode/FlateDecode]"), &twice);
    ends("an image", &pdf.bytes());
}

#[test]
fn deep_nesting_and_odd_operators_end() {
    for piece in [
        "[",
        "<<",
        "q ",
        "BT ",
        "( ",
        "/a<</b BDC ",
        "0 0 m ",
        "0 0 9 9 re W n ",
        "1e38 0 0 1e38 0 0 cm ",
        "9 w 0 0 m 1e30 1e30 l S ",
    ] {
        let content = piece.repeat(20_000) + &line(72, 700, "deep");
        ends(piece, &document(&[&content], "", "").bytes());
    }
    let mut pdf = document(&["BT ET"], "", "");
    pdf.add(["[".repeat(10_380), "]".repeat(10_380)].concat());
    assert_eq!(failure(&pdf.bytes(), 1, 1, &Limits::default()), limit("pdf_depth", 100));
}

#[test]
fn a_font_that_is_its_own_descendant_or_glyph_ends() {
    for font in [
        "<</Type/Font/Subtype/Type0/BaseFont/X/Encoding/Identity-H/DescendantFonts[3 0 R]/ToUnicode 3 0 R>>",
        "<</Type/Font/Subtype/Type3/FontBBox[0 0 1 1]/FontMatrix[1 0 0 1 0 0]/FirstChar 0/LastChar 255/Widths 9 0 R\
         /Encoding<</Differences[97/a]>>/CharProcs<</a 6 0 R>>/Resources<</Font<</F1 3 0 R>>>>>>",
        "<</Type/Font/Subtype/Type1/BaseFont/X/FontDescriptor<</FontFile 6 0 R/FontFile3 6 0 R>>>>",
    ] {
        let mut pdf = document(&[&line(72, 700, "aaaa")], "", "");
        pdf.objects[2] = font.as_bytes().to_vec();
        pdf.stream("", b"1 0 d0 BT /F1 1 Tf (aa) Tj ET");
        ends(font, &pdf.bytes());
    }
}

#[test]
fn a_file_cut_at_any_place_gives_an_image_or_a_typed_failure() {
    let long: String =
        (0..40).map(|row| line(72, 740 - 12 * row, "a line of a good document, again and again")).collect();
    let whole = document(&[&long, &long, &long], "", "").bytes();
    for cut in (1024..whole.len()).step_by(1024) {
        ends(&format!("cut at {cut}"), &whole[..cut]);
    }
}
