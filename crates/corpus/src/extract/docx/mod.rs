//! DOCX → text: paragraphs, headings, lists, tables and notes of the current revision.
//!
//! The archive is read in memory; member names are only looked up, never used as paths.

mod archive;
mod body;
mod relations;
mod styles;

use super::flow::Flow;
use super::xml::{Step, Xml};
use super::{ExtractError, Extracted, Limits, Warning, WarningCode, encoding};
use archive::Archive;
use relations::Relations;

pub(super) const MEDIA_TYPE: &str = super::sniff::Format::Docx.media_type();

pub fn extract_docx(bytes: &[u8], limits: &Limits) -> Result<Extracted, ExtractError> {
    let mut archive = Archive::open(bytes, limits)?;
    let package = Relations::of(&mut archive, "", limits)?;
    let main_name = package.part("officeDocument").unwrap_or("word/document.xml").to_owned();
    let Some(main) = archive.member(&main_name)? else { return Err(unsupported(&archive)) };
    let main = text_of(&main, limits)?;
    if !is_document(&main, limits)? {
        return Err(unsupported(&archive));
    }
    let parts = Relations::of(&mut archive, &main_name, limits)?;
    let styles = match archive.member(parts.part("styles").unwrap_or("word/styles.xml"))? {
        Some(part) => styles::heading_levels(&text_of(&part, limits)?, limits)?,
        None => styles::HeadingLevels::default(),
    };
    let mut flow = Flow::new(limits);
    let mut hidden = Vec::new();
    body::walk(&main, &styles, limits, &mut flow, &mut hidden)?;
    for (kind, usual) in [("footnotes", "word/footnotes.xml"), ("endnotes", "word/endnotes.xml")] {
        if let Some(part) = archive.member(parts.part(kind).unwrap_or(usual))? {
            body::walk(&text_of(&part, limits)?, &styles, limits, &mut flow, &mut hidden)?;
        }
    }
    let mut warnings = Vec::new();
    if archive.has_prefix("word/vbaProject") || archive.has_prefix("word/embeddings/") {
        warnings.push(Warning::new(WarningCode::ActiveContent, "macros or embedded files were ignored"));
    }
    let title = match archive.member(package.part("core-properties").unwrap_or("docProps/core.xml"))? {
        Some(part) => title(&text_of(&part, limits)?, limits)?,
        None => String::new(),
    };
    let (text, blocks) = flow.finish();
    Ok(Extracted { text, blocks, title, hidden, warnings, ..Extracted::default() })
}

/// Names a package that is no text document by what lies in it.
fn unsupported(archive: &Archive<'_>) -> ExtractError {
    let found = if archive.has_prefix("xl/") {
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    } else if archive.has_prefix("ppt/") {
        "application/vnd.openxmlformats-officedocument.presentationml.presentation"
    } else {
        "application/zip"
    };
    ExtractError::UnsupportedType { found: found.to_owned() }
}

/// The main part of a workbook or a presentation is named in the same way, but its root is another.
fn is_document(part: &str, limits: &Limits) -> Result<bool, ExtractError> {
    let mut xml = Xml::new(part, limits);
    while let Some(step) = xml.next()? {
        if let Step::Open(root) = step {
            return Ok(root.name == "document");
        }
    }
    Err(ExtractError::malformed(MEDIA_TYPE, 0, "the main part is no XML document"))
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
