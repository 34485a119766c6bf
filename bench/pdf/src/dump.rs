//! One backend over one file: text (pages ended by form feeds) and, with our layout, word boxes.

use std::fmt::Write as _;
use std::path::Path;

use pdf_extract::{Document, MediaBox, OutputDev, OutputError, Transform};

use crate::layout::assemble::{PageText, assemble};
use crate::layout::backend;
use crate::layout::glyph::{Glyph, turned};

/// Panics where the backend fails: the parent counts that as a crash.
pub fn dump(backend: &str, file: &Path, out: &Path) {
    let bytes = std::fs::read(file).expect("a readable file");
    let (mut text, mut boxes) = (String::new(), String::new());
    match backend {
        "pdf-extract" => {
            for page in pdf_extract::extract_text_from_mem_by_pages(&bytes).expect("text") {
                text.push_str(&page);
                text.push('\u{c}');
            }
        }
        "pdf_oxide" => {
            let pdf = pdf_oxide::PdfDocument::from_bytes(bytes).expect("a document");
            for at in 0..pdf.page_count().expect("pages") {
                text.push_str(&pdf.extract_text(at).expect("text"));
                text.push('\u{c}');
            }
        }
        "pdf-extract+layout" => {
            let document = Document::load_mem(&bytes).expect("a document");
            let mut pages = Pages::default();
            pdf_extract::output_doc(&document, &mut pages).expect("pages");
            for page in pages.done {
                write_page(&mut text, &mut boxes, assemble(page));
            }
        }
        _ => {
            let document = backend::Document::open(bytes).expect("a document");
            for at in 0..document.n_pages().expect("pages") {
                write_page(&mut text, &mut boxes, assemble(document.page(at).expect("a page").glyphs));
            }
        }
    }
    std::fs::write(out.with_extension("cpu"), cpu_seconds().to_string()).expect("space for the time");
    std::fs::write(out.with_extension("txt"), text).expect("space for the text");
    std::fs::write(out.with_extension("box"), boxes).expect("space for the boxes");
}

/// Processor time of this thread: the machine's other work must not decide which backend is fast.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/schedstat").expect("Linux with scheduler statistics");
    let nanoseconds = stat.split(' ').next().and_then(|n| n.parse::<u64>().ok()).expect("a number");
    nanoseconds as f64 / 1e9
}

fn write_page(text: &mut String, boxes: &mut String, page: PageText) {
    for run in &page.runs {
        let [x0, y0, x1, y1] = run.area;
        writeln!(boxes, "{x0} {y0} {x1} {y1}").expect("strings grow");
    }
    boxes.push_str("-\n");
    text.push_str(&page.text);
    text.push('\u{c}');
}

/// `pdf-extract`'s characters as glyphs. It gives no ascent, so a usual one is taken.
#[derive(Default)]
struct Pages {
    done: Vec<Vec<Glyph>>,
    left: f64,
    top: f64,
}

impl OutputDev for Pages {
    fn begin_page(
        &mut self,
        _: u32,
        media: &MediaBox,
        _: Option<(f64, f64, f64, f64)>,
    ) -> Result<(), OutputError> {
        (self.left, self.top) = (media.llx, media.ury);
        self.done.push(Vec::new());
        Ok(())
    }

    fn end_page(&mut self) -> Result<(), OutputError> {
        Ok(())
    }

    fn output_character(
        &mut self,
        trm: &Transform,
        width: f64,
        _: f64,
        font_size: f64,
        text: &str,
    ) -> Result<(), OutputError> {
        let n_chars = text.chars().count().max(1);
        let size = (trm.m21.hypot(trm.m22) * font_size) as f32;
        for (at, text) in text.chars().enumerate() {
            let corner = |along: f64, up: f64| {
                let (along, up) = (along * font_size, up * font_size);
                let x = trm.m31 + trm.m11 * along + trm.m21 * up - self.left;
                let y = self.top - (trm.m32 + trm.m12 * along + trm.m22 * up);
                (x as f32, y as f32)
            };
            let (start, end) = (width * at as f64 / n_chars as f64, width * (at + 1) as f64 / n_chars as f64);
            let ((ax, ay), (bx, by)) = (corner(start, 0.9), corner(end, -0.25));
            let (x, y) = corner(start, 0.0);
            let (ahead_x, ahead_y) = corner(start + 1.0, 0.0);
            let turn = ((ahead_y - y).atan2(ahead_x - x) / std::f32::consts::FRAC_PI_2)
                .round()
                .rem_euclid(4.0) as u8;
            let area = [ax.min(bx), ay.min(by), ax.max(bx), ay.max(by)];
            let base = turned([x, y, x, y], turn)[1];
            if area.iter().chain([&size]).all(|v| v.is_finite())
                && let Some(page) = self.done.last_mut()
            {
                page.push(Glyph { text, area, turn, base, size, mono: false });
            }
        }
        Ok(())
    }

    fn begin_word(&mut self) -> Result<(), OutputError> {
        Ok(())
    }

    fn end_word(&mut self) -> Result<(), OutputError> {
        Ok(())
    }

    fn end_line(&mut self) -> Result<(), OutputError> {
        Ok(())
    }
}
