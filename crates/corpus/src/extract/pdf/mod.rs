//! PDF bytes → canonical text with page marks, character boxes, blocks and warnings.
//!
//! Path of a page: [`backend`] places its characters and keeps hidden ones apart → [`words`] → [`columns`] →
//! [`assemble`] writes the text. The backend's parser is not trusted: this runs in the child process only, which
//! survives a stack overflow, a loop or an exhausted memory; the limits here stop what can be stopped earlier.

mod assemble;
mod backend;
mod bidi;
mod columns;
mod glyph;
mod page_place;
mod quality;
mod render_mode;
mod sheet;
mod unpacked;
mod words;

use base::ByteSpan;

use super::{
    Block, BlockKind, BoxRun, CharBox, ExtractError, Extracted, HiddenText, Limits, PageMark, State, Warning,
    WarningCode,
};
use assemble::{Kind, PageText};
pub(crate) use page_place::{PagePlace, page_place};
pub(crate) use sheet::Sheet;

/// Media type this module reads.
pub const MEDIA_TYPE: &str = "application/pdf";
/// Variable of the process in which the backend looks for the most mebibytes one stream may unpack to. It takes no
/// other setting, so that whoever starts the process sets it.
pub(crate) const UNPACK_VARIABLE: &str = "PDF_OXIDE_MAX_DECOMPRESS_MB";
/// A hostile file could have every page warn; past this many the rest is counted in one line.
const MAX_PAGE_WARNINGS: usize = 100;

/// Reads a PDF. Encrypted files open with the empty password or give [`State::NeedsPassword`]; files whose pages
/// hold no characters give [`State::NeedsOcr`]. Damaged pages become warnings as long as one page can be read.
pub fn extract_pdf(bytes: &[u8], limits: &Limits) -> Result<Extracted, ExtractError> {
    let mut out = Extracted { media_type: MEDIA_TYPE.to_owned(), ..Extracted::default() };
    let document = open(bytes, limits)?;
    if document.locked() {
        out.state = State::NeedsPassword;
        return Ok(out);
    }
    let n_pages = n_pages(&document, limits)?;
    out.title = document.title().unwrap_or_default();
    let mut failed = Vec::new();
    for at in 0..n_pages {
        let index = u32::try_from(at + 1).map_err(|_| ExtractError::limit("pages", limits.pages))?;
        let page = match document.page(at) {
            Ok(page) => page,
            Err(error) if passes_stream_limit(&error) => {
                return Err(ExtractError::limit("unpacked_bytes", limits.unpacked_bytes));
            }
            Err(error) => {
                failed.push((index, error.to_string()));
                backend::Page::default()
            }
        };
        append_page(&mut out, index, document.label(at), page);
        if out.text.len() as u64 > limits.text_bytes {
            return Err(ExtractError::limit("text_bytes", limits.text_bytes));
        }
    }
    finish(&mut out, n_pages, failed, &document, bytes)?;
    Ok(out)
}

/// What can be refused without a parser is refused first.
fn open(bytes: &[u8], limits: &Limits) -> Result<backend::Document, ExtractError> {
    check_nesting(bytes, limits)?;
    unpacked::check_unpacked(bytes, limits)?;
    backend::Document::open(bytes.to_vec()).map_err(malformed)
}

fn n_pages(document: &backend::Document, limits: &Limits) -> Result<usize, ExtractError> {
    let n_pages = document.n_pages().map_err(malformed)?;
    if n_pages as u64 > limits.pages {
        return Err(ExtractError::limit("pages", limits.pages));
    }
    Ok(n_pages)
}

fn malformed(error: pdf_oxide::Error) -> ExtractError {
    ExtractError::malformed(MEDIA_TYPE, 0, error)
}

/// Value of [`UNPACK_VARIABLE`]: the backend refuses a stream that reaches it.
pub(crate) fn unpack_mebibytes(limits: &Limits) -> String {
    (limits.unpacked_bytes / (1 << 20)).saturating_add(1).min(u64::MAX >> 20).to_string()
}

/// The backend names a passed bound only in words.
fn passes_stream_limit(error: &pdf_oxide::Error) -> bool {
    matches!(error, pdf_oxide::Error::Decode(words) if words.contains("safety limit") || words.contains("bomb"))
}

/// Brackets nested deeper than a document needs are refused before any parser recurses over them. Strings are not
/// skipped: a string full of brackets is as rare as it is suspicious, and closing brackets undo it.
fn check_nesting(bytes: &[u8], limits: &Limits) -> Result<(), ExtractError> {
    let mut depth = 0_u64;
    let mut rest = bytes;
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        match first {
            b'[' => depth += 1,
            b']' => depth = depth.saturating_sub(1),
            b'<' if rest.first() == Some(&b'<') => {
                (depth, rest) = (depth + 1, rest.get(1..).unwrap_or_default())
            }
            b'>' if rest.first() == Some(&b'>') => {
                (depth, rest) = (depth.saturating_sub(1), rest.get(1..).unwrap_or_default());
            }
            b'e' if rest.starts_with(b"ndobj") => depth = 0,
            // Packed bytes are no structure.
            b's' if rest.starts_with(b"tream") => {
                rest = rest
                    .windows(9)
                    .position(|w| w == b"endstream")
                    .and_then(|at| rest.get(at + 9..))
                    .unwrap_or_default();
            }
            _ => {}
        }
        if depth > limits.pdf_depth {
            return Err(ExtractError::limit("pdf_depth", limits.pdf_depth));
        }
    }
    Ok(())
}

fn append_page(out: &mut Extracted, index: u32, label: Option<String>, page: backend::Page) {
    let n_hidden = page.hidden.iter().filter(|g| !g.text.is_whitespace()).count();
    if n_hidden > 0 {
        out.hidden.push(HiddenText { page: index, text: assemble::assemble(page.hidden).text });
        let mut warning = Warning::new(WarningCode::HiddenText, "");
        (warning.page, warning.characters) = (Some(index), Some(n_hidden as u64));
        out.warnings.push(warning);
    }
    if page.ocr_layer {
        let mut warning =
            Warning::new(WarningCode::LowTextQuality, "text recognition left this text behind an image");
        (warning.page, warning.characters) = (Some(index), Some(page.glyphs.len() as u64));
        out.warnings.push(warning);
    }
    let (width, height) = (page.width, page.height);
    let text = assemble::assemble(page.glyphs);
    let unclear = quality::unclear(&text.text);
    if unclear > 0 {
        let mut warning =
            Warning::new(WarningCode::LowTextQuality, "the fonts do not say what their characters mean");
        (warning.page, warning.characters) = (Some(index), Some(unclear));
        out.warnings.push(warning);
    }
    if !out.text.is_empty() && !text.text.is_empty() {
        out.text.push_str("\n\n");
    }
    let start = out.text.len() as u64;
    out.text.push_str(&text.text);
    let bytes = ByteSpan::new(start, out.text.len() as u64);
    out.pages.push(PageMark { index, label, bytes, width, height });
    append_boxes(out, index, start, text, width, height);
}

/// Points → fractions of the page; the parts of a box that leave the page are cut off.
fn append_boxes(out: &mut Extracted, page: u32, start: u64, text: PageText, width: f32, height: f32) {
    let x = |v: f32| (v / width).clamp(0.0, 1.0);
    let y = |v: f32| (v / height).clamp(0.0, 1.0);
    for run in text.runs {
        let [x0, y0, x1, y1] = run.area;
        let bytes = ByteSpan::new(start + run.start as u64, start + run.end as u64);
        let area = CharBox { x0: x(x0), y0: y(y0), x1: x(x1), y1: y(y1) };
        out.boxes.push(BoxRun { page, bytes, area, edges: run.edges.into_iter().map(x).collect() });
    }
    for (kind, from, to) in text.blocks {
        let kind = match kind {
            Kind::Heading(level) => BlockKind::Heading(level),
            Kind::Paragraph => BlockKind::Paragraph,
            Kind::TableRow => BlockKind::TableRow,
            Kind::Code => BlockKind::Code,
        };
        out.blocks.push(Block { kind, bytes: ByteSpan::new(start + from as u64, start + to as u64) });
    }
}

fn finish(
    out: &mut Extracted,
    n_pages: usize,
    failed: Vec<(u32, String)>,
    document: &backend::Document,
    bytes: &[u8],
) -> Result<(), ExtractError> {
    if let Some((page, error)) = failed.first()
        && failed.len() == n_pages
    {
        return Err(ExtractError::malformed(
            MEDIA_TYPE,
            0,
            format!("no page can be read; page {page}: {error}"),
        ));
    }
    for (page, error) in failed {
        let mut warning = Warning::new(WarningCode::Skipped, format!("the page cannot be read: {error}"));
        warning.page = Some(page);
        out.warnings.push(warning);
    }
    if out.warnings.len() > MAX_PAGE_WARNINGS {
        let more = out.warnings.len() - MAX_PAGE_WARNINGS;
        out.warnings.truncate(MAX_PAGE_WARNINGS);
        out.warnings.push(Warning::new(WarningCode::Skipped, format!("{more} more warnings about pages")));
    }
    let mut active = document.active_content();
    // Actions of pages and annotations stand outside the catalog; where they are not packed, their names show.
    for (name, key) in
        [("JavaScript", &b"/JavaScript"[..]), ("Launch", b"/Launch"), ("embedded files", b"/EmbeddedFile")]
    {
        if !active.contains(&name) && bytes.windows(key.len()).any(|w| w == key) {
            active.push(name);
        }
    }
    if !active.is_empty() {
        out.warnings
            .push(Warning::new(WarningCode::ActiveContent, format!("ignored: {}", active.join(", "))));
    }
    let tail = bytes.get(bytes.len().saturating_sub(1024)..).unwrap_or_default();
    if !tail.windows(5).any(|w| w == b"%%EOF") {
        out.warnings.push(Warning::new(WarningCode::Truncated, "the end of the file is missing"));
    }
    if out.text.trim().is_empty() {
        out.state = State::NeedsOcr;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
