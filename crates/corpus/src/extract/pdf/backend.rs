//! The PDF backend (`pdf_oxide`) behind one type: pages of placed characters, visible and hidden apart.
//! bench/pdf says why this backend.

use pdf_oxide::document::PdfDocument;
use pdf_oxide::extractors::{PageLabelExtractor, PageLabelRange, TextExtractor};
use pdf_oxide::layout::TextChar;
use pdf_oxide::object::Object;

use super::glyph::{Area, Glyph, turned};
use super::render_mode::{INVISIBLE, mark, sets_render_mode};
use super::sheet::Sheet;

/// Text of this size or smaller (points on the page) is hidden.
const HIDDEN_SIZE: f32 = 1.0;
/// Least value of each colour part that counts as white.
const WHITE: f32 = 0.97;
/// Content streams longer than this are not searched for invisible forms.
const MAX_FORM_BYTES: usize = 16 << 20;

/// An opened document.
pub struct Document {
    pdf: PdfDocument,
    labels: Vec<PageLabelRange>,
}

/// One page's characters; sizes in points, as shown.
#[derive(Debug, Default)]
pub struct Page {
    pub width: f32,
    pub height: f32,
    pub glyphs: Vec<Glyph>,
    /// Characters nobody sees: white on white, tiny, off the page, or drawn invisibly.
    pub hidden: Vec<Glyph>,
    /// The page shows only images; its characters are the invisible layer that text recognition left.
    pub ocr_layer: bool,
}

impl Document {
    pub fn open(bytes: Vec<u8>) -> Result<Self, pdf_oxide::Error> {
        let pdf = PdfDocument::from_bytes(bytes)?;
        let labels = PageLabelExtractor::extract(&pdf).unwrap_or_default();
        Ok(Self { pdf, labels })
    }

    /// Encrypted, and the empty password does not open it.
    pub fn locked(&self) -> bool {
        self.pdf.is_encrypted()
            && !self.pdf.is_authenticated()
            && !matches!(self.pdf.authenticate(b""), Ok(true))
    }

    pub fn n_pages(&self) -> Result<usize, pdf_oxide::Error> {
        self.pdf.page_count()
    }

    /// Printed label of a page, where the document names any.
    pub fn label(&self, at: usize) -> Option<String> {
        if self.labels.is_empty() {
            return None;
        }
        Some(PageLabelExtractor::get_label(&self.labels, at)).filter(|label| !label.is_empty())
    }

    /// `Title` of the document information.
    pub fn title(&self) -> Option<String> {
        let info = self.get(self.pdf.trailer().as_dict()?.get("Info")?)?;
        let title = self.get(info.as_dict()?.get("Title")?)?;
        let text = pdf_oxide::optional_content::decode_pdf_text_string(title.as_string()?);
        Some(text.trim().to_owned()).filter(|t| !t.is_empty())
    }

    fn get(&self, object: &Object) -> Option<Object> {
        self.pdf.resolve_object(object).ok()
    }

    /// Entry of a dictionary, references followed.
    fn entry(&self, dict: &Object, key: &str) -> Option<Object> {
        self.get(dict.as_dict()?.get(key)?)
    }

    /// Names of active parts the catalog holds: they are never run, only listed.
    pub fn active_content(&self) -> Vec<&'static str> {
        let mut found = Vec::new();
        let Ok(catalog) = self.pdf.catalog() else { return found };
        let names = self.entry(&catalog, "Names").unwrap_or(Object::Null);
        let form = self.entry(&catalog, "AcroForm").unwrap_or(Object::Null);
        let action = self.entry(&catalog, "OpenAction").and_then(|a| self.entry(&a, "S"));
        let action = action.as_ref().and_then(Object::as_name).unwrap_or_default();
        let mut note = |is: bool, name| {
            if is {
                found.push(name)
            }
        };
        note(self.entry(&names, "JavaScript").is_some() || action == "JavaScript", "JavaScript");
        note(action == "Launch", "Launch");
        note(self.entry(&names, "EmbeddedFiles").is_some(), "embedded files");
        note(self.entry(&form, "XFA").is_some(), "XFA");
        found
    }

    /// Characters of page `at` (from 0).
    pub fn page(&self, at: usize) -> Result<Page, pdf_oxide::Error> {
        let sheet = self.sheet(at)?;
        let (width, height) = sheet.shown();
        let mut page = Page { width, height, ..Page::default() };
        let chars = self.characters(at)?;
        let mut invisible = Vec::new();
        let mut white = Vec::new();
        for char in &chars {
            for glyph in place(char, sheet) {
                let off = glyph.area[2] <= 0.0
                    || glyph.area[3] <= 0.0
                    || glyph.area[0] >= width
                    || glyph.area[1] >= height;
                if char.mcid == Some(INVISIBLE) {
                    invisible.push(glyph);
                } else if off || glyph.size <= HIDDEN_SIZE {
                    page.hidden.push(glyph);
                } else if char.color.r >= WHITE && char.color.g >= WHITE && char.color.b >= WHITE {
                    white.push(glyph);
                } else {
                    page.glyphs.push(glyph);
                }
            }
        }
        self.sort_white(at, sheet, white, &mut page);
        let blank = page.glyphs.iter().all(|g| g.text.is_whitespace());
        if blank && invisible.iter().any(|g| !g.text.is_whitespace()) && self.image_share(at, sheet) >= 0.5 {
            page.ocr_layer = true;
            page.glyphs.append(&mut invisible);
        }
        page.hidden.append(&mut invisible);
        widen_turned(&mut page.glyphs, sheet.quarter);
        Ok(page)
    }

    /// Box and rotation of page `at` (from 0).
    pub fn sheet(&self, at: usize) -> Result<Sheet, pdf_oxide::Error> {
        let (x0, y0, x1, y1) = self.pdf.get_page_visible_box(at).unwrap_or_default();
        let degrees = self.pdf.get_page_rotation(at).unwrap_or_default();
        Ok(Sheet::new([x0, y0, x1, y1], degrees))
    }

    /// Object number and generation of the content of page `at`, of its first part where it has several: how another
    /// parser knows the page again.
    pub fn contents(&self, at: usize) -> Result<Option<(u32, u32)>, pdf_oxide::Error> {
        let page = self.pdf.get_page(at)?;
        let contents = page.as_dict().and_then(|dict| dict.get("Contents"));
        let reference = contents.and_then(|contents| match contents.as_array() {
            Some(parts) => parts.first()?.as_reference(),
            None => contents.as_reference(),
        });
        Ok(reference.map(|reference| (reference.id, u32::from(reference.r#gen))))
    }

    fn characters(&self, at: usize) -> Result<Vec<TextChar>, pdf_oxide::Error> {
        let page = self.pdf.get_page(at)?;
        let mut content = self.pdf.get_page_content_data(at)?;
        let mut extractor = TextExtractor::new();
        extractor.set_page_index(u32::try_from(at).unwrap_or(u32::MAX));
        if let Some(resources) = self.entry(&page, "Resources") {
            let forms = self.invisible_forms(&resources);
            if sets_render_mode(&content) || !forms.is_empty() {
                content = mark(&content, |name| forms.iter().any(|form| form.as_bytes() == name)).stream;
            }
            extractor.set_resources(resources.clone());
            extractor.set_document(&self.pdf);
            self.pdf.load_fonts_public(&resources, &mut extractor)?;
        }
        extractor.extract_owned(&content)
    }

    /// Names of the form XObjects that show text, and all of it in an invisible mode.
    fn invisible_forms(&self, resources: &Object) -> Vec<String> {
        let Some(xobjects) = self.entry(resources, "XObject") else { return Vec::new() };
        let Some(dict) = xobjects.as_dict() else { return Vec::new() };
        let invisible = |object: &Object| {
            let form = self.get(object)?;
            if self.entry(&form, "Subtype")?.as_name()? != "Form" {
                return None;
            }
            let stream = form
                .decode_stream_data()
                .ok()
                .filter(|s| s.len() <= MAX_FORM_BYTES && sets_render_mode(s))?;
            let found = mark(&stream, |_| false);
            (found.n_visible == 0 && found.n_invisible > 0).then_some(())
        };
        dict.iter().filter(|(_, object)| invisible(object).is_some()).map(|(name, _)| name.clone()).collect()
    }

    /// White text over a coloured shape or an image can be read; on bare paper it cannot.
    fn sort_white(&self, at: usize, sheet: Sheet, white: Vec<Glyph>, page: &mut Page) {
        if white.is_empty() {
            return;
        }
        let mut painted: Vec<Area> = Vec::new();
        for path in self.pdf.extract_paths(at).unwrap_or_default() {
            if path.fill_color.is_some_and(|c| c.r.min(c.g).min(c.b) < WHITE) {
                painted.push(area_of(path.bbox.x, path.bbox.y, path.bbox.width, path.bbox.height, sheet));
            }
        }
        for image in self.pdf.page_image_handles(at).unwrap_or_default() {
            painted.push(area_of(image.bbox.x, image.bbox.y, image.bbox.width, image.bbox.height, sheet));
        }
        for glyph in white {
            let (x, y) = ((glyph.area[0] + glyph.area[2]) / 2.0, (glyph.area[1] + glyph.area[3]) / 2.0);
            let seen = painted.iter().any(|p| p[0] <= x && x <= p[2] && p[1] <= y && y <= p[3]);
            if seen { page.glyphs.push(glyph) } else { page.hidden.push(glyph) }
        }
    }

    /// Share of the page under its largest image.
    fn image_share(&self, at: usize, sheet: Sheet) -> f32 {
        let images = self.pdf.page_image_handles(at).unwrap_or_default();
        let share = |b: &pdf_oxide::geometry::Rect| (b.width * b.height).abs() / (sheet.width * sheet.height);
        images.iter().map(|image| share(&image.bbox)).fold(0.0, f32::max)
    }
}

fn area_of(x: f32, y: f32, width: f32, height: f32, sheet: Sheet) -> Area {
    bounds([(x, y), (x + width, y + height)].map(|(x, y)| sheet.place(x, y)))
}

fn bounds<const N: usize>(points: [(f32, f32); N]) -> Area {
    points.iter().fold([f32::INFINITY, f32::INFINITY, f32::NEG_INFINITY, f32::NEG_INFINITY], |a, &(x, y)| {
        [a[0].min(x), a[1].min(y), a[2].max(x), a[3].max(y)]
    })
}

/// One character of the backend → glyphs; a ligature gives one glyph per letter. None for places that are no numbers.
fn place(char: &TextChar, sheet: Sheet) -> Vec<Glyph> {
    let [a, b, ..] = char.matrix.unwrap_or([1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
    let norm = a.hypot(b);
    let along = if norm > 0.0 { (a / norm, b / norm) } else { (1.0, 0.0) };
    // The backend scales the advance by |a| alone, which loses it for turned text.
    let advance = if a.abs() > 1e-3 * norm { char.advance_width * norm / a.abs() } else { 0.0 };
    let size = char.font_size.abs();
    let letters = letters(char.char);
    let width = advance / letters.len() as f32;
    let mut glyphs = Vec::with_capacity(letters.len());
    for (at, &text) in letters.iter().enumerate() {
        let corner = |along_by: f32, up: f32| {
            sheet.place(
                char.origin_x + along.0 * along_by - along.1 * up,
                char.origin_y + along.1 * along_by + along.0 * up,
            )
        };
        let (start, end) = (width * at as f32, width * (at + 1) as f32);
        let (top, bottom) = (ascent(char, size), descent(char, size));
        let area = bounds([corner(start, top), corner(end, bottom)]);
        if !area.iter().chain(&[size]).all(|v| v.is_finite() && v.abs() < 1e6) {
            continue;
        }
        let (x, y) = corner(start, 0.0);
        let (ahead_x, ahead_y) = corner(start + 1.0, 0.0);
        let turn =
            ((ahead_y - y).atan2(ahead_x - x) / std::f32::consts::FRAC_PI_2).round().rem_euclid(4.0) as u8;
        let base = turned([x, y, x, y], turn)[1];
        glyphs.push(Glyph { text, area, turn, base, size, mono: is_mono(&char.font_name) });
    }
    glyphs
}

fn ascent(char: &TextChar, size: f32) -> f32 {
    if char.ascent > 0.2 * size && char.ascent < 1.5 * size { char.ascent } else { 0.95 * size }
}

fn descent(char: &TextChar, size: f32) -> f32 {
    if char.descent <= 0.0 && char.descent > -size { char.descent } else { -0.35 * size }
}

/// Letters of a Latin ligature (Unicode block "Alphabetic Presentation Forms"); any other character is itself.
fn letters(c: char) -> Vec<char> {
    match c {
        '\u{FB00}' => vec!['f', 'f'],
        '\u{FB01}' => vec!['f', 'i'],
        '\u{FB02}' => vec!['f', 'l'],
        '\u{FB03}' => vec!['f', 'f', 'i'],
        '\u{FB04}' => vec!['f', 'f', 'l'],
        '\u{FB05}' | '\u{FB06}' => vec!['s', 't'],
        // Line feeds and other controls would break lines and marks; they separate words like a blank.
        c if c.is_control() => vec![' '],
        c => vec![c],
    }
}

fn is_mono(font: &str) -> bool {
    let font = font.to_ascii_lowercase();
    ["mono", "courier", "cmtt", "ectt", "sftt", "lmtt", "consol", "typewriter"]
        .iter()
        .any(|part| font.contains(part))
}

/// Gives characters that are turned in user space, whose advance is unknown, the way to their neighbour. On a turned
/// page these are the upright ones.
fn widen_turned(glyphs: &mut [Glyph], quarter: u8) {
    glyphs.sort_by(|a, b| {
        (a.turn, a.base)
            .partial_cmp(&(b.turn, b.base))
            .unwrap_or(std::cmp::Ordering::Equal)
            .then(a.frame()[0].total_cmp(&b.frame()[0]))
    });
    for at in 0..glyphs.len() {
        let next = glyphs
            .get(at + 1)
            .filter(|n| glyphs.get(at).is_some_and(|g| g.turn == n.turn && g.base == n.base));
        let next_start = next.map(|n| n.frame()[0]);
        let Some(glyph) = glyphs.get_mut(at) else { break };
        let frame = glyph.frame();
        if (glyph.turn + quarter).is_multiple_of(2) || frame[2] - frame[0] > 0.0 {
            continue;
        }
        let gap = next_start.map_or(f32::INFINITY, |start| start - frame[0]);
        let width = if gap > 0.0 && gap < 1.2 * glyph.size { gap } else { 0.5 * glyph.size };
        // Back to the page: turning by the rest of a full circle.
        glyph.area = turned([frame[0], frame[1], frame[0] + width, frame[3]], 4 - glyph.turn % 4);
    }
}
