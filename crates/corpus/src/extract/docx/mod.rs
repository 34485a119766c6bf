//! DOCX → text: paragraphs, headings, lists, tables and notes of the current revision.
//!
//! The archive is read in memory; member names are only looked up, never used as paths.

mod archive;
mod body;
mod styles;

use super::flow::Flow;
use super::xml::{Step, Xml};
use super::{ExtractError, Extracted, Limits, Warning, WarningCode, encoding};
use archive::Archive;

pub(super) const MEDIA_TYPE: &str = super::sniff::Format::Docx.media_type();

pub fn extract_docx(bytes: &[u8], limits: &Limits) -> Result<Extracted, ExtractError> {
    let mut archive = Archive::open(bytes, limits)?;
    let Some(main) = archive.member("word/document.xml")? else {
        let found = if archive.has_prefix("xl/") {
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
        } else if archive.has_prefix("ppt/") {
            "application/vnd.openxmlformats-officedocument.presentationml.presentation"
        } else {
            "application/zip"
        };
        return Err(ExtractError::UnsupportedType { found: found.to_owned() });
    };
    let mut warnings = Vec::new();
    let styles = match archive.member("word/styles.xml")? {
        Some(part) => styles::heading_levels(&text_of(&part, limits)?, limits)?,
        None => styles::HeadingLevels::default(),
    };
    let mut flow = Flow::new(limits);
    let mut hidden = Vec::new();
    body::walk(&text_of(&main, limits)?, &styles, limits, &mut flow, &mut hidden)?;
    for notes in ["word/footnotes.xml", "word/endnotes.xml"] {
        if let Some(part) = archive.member(notes)? {
            body::walk(&text_of(&part, limits)?, &styles, limits, &mut flow, &mut hidden)?;
        }
    }
    if archive.has_prefix("word/vbaProject") || archive.has_prefix("word/embeddings/") {
        warnings.push(Warning::new(WarningCode::ActiveContent, "macros or embedded files were ignored"));
    }
    let title = match archive.member("docProps/core.xml")? {
        Some(part) => title(&text_of(&part, limits)?, limits)?,
        None => String::new(),
    };
    let (text, blocks) = flow.finish();
    Ok(Extracted { text, blocks, title, hidden, warnings, ..Extracted::default() })
}

/// An XML part is UTF-8 or UTF-16; nothing is guessed.
fn text_of(part: &[u8], limits: &Limits) -> Result<String, ExtractError> {
    let raised = Limits { text_bytes: limits.unpacked_bytes, ..limits.clone() };
    encoding::decode(part, None, &raised, &mut Vec::new())
}

fn title(core: &str, limits: &Limits) -> Result<String, ExtractError> {
    let mut xml = Xml::new(core, limits);
    let (mut inside, mut title) = (false, String::new());
    while let Some(step) = xml.next()? {
        match step {
            Step::Open(element) => inside = element.name == "title",
            Step::Close(_) => inside = false,
            Step::Text(text) if inside => title.push_str(&text),
            Step::Text(_) => {}
        }
    }
    Ok(title.split_whitespace().collect::<Vec<_>>().join(" "))
}
