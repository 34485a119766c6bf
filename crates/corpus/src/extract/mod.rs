//! One file's bytes → canonical text, page marks, blocks and warnings. First half of this crate's path.
//!
//! [`extract`] is what the pipeline calls: it runs [`extract_bytes`] in a child process. A failure is an
//! [`ExtractError`] of that document and touches nothing else.

mod docx;
mod encoding;
mod error;
mod extracted;
mod flow;
mod html;
mod limits;
pub mod pdf;
mod sniff;
mod source_text;
mod spans;
mod xml;

pub use error::ExtractError;
pub use extracted::{
    Block, BlockKind, BoxRun, CharBox, Extracted, HiddenText, PageMark, State, Warning, WarningCode,
};
pub use limits::Limits;
pub use sniff::Format;

use std::io::Read;
use std::path::Path;

use crate::worker::Worker;

/// Extracts one file in a child process under `limits`.
///
/// A passed limit, a crash, a loop or damage is an error of this document alone.
pub fn extract(path: &Path, limits: &Limits, worker: &Worker) -> Result<Extracted, ExtractError> {
    worker.extract(path, limits)
}

/// What can be told of a file before it is read whole or kept: [`ExtractError::UnsupportedType`] when its first bytes
/// are those of no format read here, [`ExtractError::Limit`] when it is too long. A file that passes may still fail.
/// `name` is a label: its extension is looked at.
pub fn look(path: &Path, name: &str, limits: &Limits) -> Result<(), ExtractError> {
    let unreadable =
        |error: std::io::Error| ExtractError::Unreadable { path: name.to_owned(), detail: error.to_string() };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.len() > limits.input_bytes {
        return Err(ExtractError::limit("input_bytes", limits.input_bytes));
    }
    let mut head = Vec::new();
    file.take(sniff::HEAD as u64).read_to_end(&mut head).map_err(unreadable)?;
    match sniff::sniff(&head, &split_name(name).1) {
        // An Office file under a password is one, and is told so; an empty file is a document in a state of its own.
        Err(ExtractError::UnsupportedType { found }) if found != sniff::OLE => {
            Err(ExtractError::UnsupportedType { found })
        }
        _ => Ok(()),
    }
}

/// Extracts in this process: the child's work. `name` is a label only: its extension and stem are looked at.
pub fn extract_bytes(mut file: impl Read, name: &str, limits: &Limits) -> Result<Extracted, ExtractError> {
    let mut bytes = read_head(&mut file, name)?;
    let (stem, extension) = split_name(name);
    let sniffed = sniff::sniff(&bytes, &extension);
    // Whether a password is what is missing stands anywhere in such a container.
    let ole = matches!(&sniffed, Err(ExtractError::UnsupportedType { found }) if found == sniff::OLE);
    if sniffed.is_ok() || ole {
        read_rest(file, &mut bytes, name, limits)?;
    }
    if ole && sniff::is_locked_office_file(&bytes) {
        return Ok(Extracted { state: State::NeedsPassword, title: label(stem), ..Extracted::default() });
    }
    let (format, mismatch) = sniffed?;
    let mut extracted = match format {
        Format::Pdf => pdf::extract_pdf(&bytes, limits)?,
        Format::Docx => docx::extract_docx(&bytes, limits)?,
        Format::Html => html::extract_html(&bytes, limits)?,
        text => source(&bytes, text, limits)?,
    };
    drop(bytes);
    finish(&mut extracted, format, stem, mismatch);
    if extracted.state == State::Ready && extracted.text.trim().is_empty() {
        return Err(ExtractError::EmptyFile);
    }
    Ok(extracted)
}

/// The bytes of a PDF, for a look at one of its pages. Of any other file no more than the head is read.
pub(crate) fn read_pdf(mut file: impl Read, name: &str, limits: &Limits) -> Result<Vec<u8>, ExtractError> {
    let mut bytes = read_head(&mut file, name)?;
    let (format, _) = sniff::sniff(&bytes, &split_name(name).1)?;
    if format != Format::Pdf {
        return Err(ExtractError::NotPaged { media_type: format.media_type().to_owned() });
    }
    read_rest(file, &mut bytes, name, limits)?;
    Ok(bytes)
}

fn read_head(file: &mut impl Read, name: &str) -> Result<Vec<u8>, ExtractError> {
    let mut bytes = Vec::new();
    let read = file.take(sniff::HEAD as u64).read_to_end(&mut bytes);
    read.map_err(|error| unreadable(name, &error))?;
    Ok(bytes)
}

fn read_rest(file: impl Read, bytes: &mut Vec<u8>, name: &str, limits: &Limits) -> Result<(), ExtractError> {
    let more = limits.input_bytes.saturating_add(1).saturating_sub(bytes.len() as u64);
    file.take(more).read_to_end(bytes).map_err(|error| unreadable(name, &error))?;
    if bytes.len() as u64 > limits.input_bytes {
        return Err(ExtractError::limit("input_bytes", limits.input_bytes));
    }
    Ok(())
}

fn unreadable(name: &str, error: &std::io::Error) -> ExtractError {
    ExtractError::Unreadable { path: name.to_owned(), detail: error.to_string() }
}

fn source(bytes: &[u8], format: Format, limits: &Limits) -> Result<Extracted, ExtractError> {
    let mut warnings = Vec::new();
    let text = encoding::decode(bytes, None, limits, &mut warnings)?;
    let blocks = source_text::blocks(&text, format, limits)?;
    Ok(Extracted { text, blocks, warnings, ..Extracted::default() })
}

/// What every format gets: type, title, blocks, and the warnings that depend on the text alone.
fn finish(extracted: &mut Extracted, format: Format, stem: &str, mismatch: Option<Warning>) {
    extracted.media_type = format.media_type().to_owned();
    if extracted.blocks.is_empty() {
        extracted.blocks = source_text::paragraphs(&extracted.text);
    }
    extracted.warnings.extend(mismatch);
    if format != Format::Pdf && !extracted.hidden.is_empty() {
        let characters = extracted.hidden.iter().map(|hidden| hidden.text.chars().count() as u64).sum();
        let warning = Warning::new(WarningCode::HiddenText, "text that a reader does not see was kept apart");
        extracted.warnings.push(Warning { characters: Some(characters), ..warning });
    }
    encoding::note_invisible(&extracted.text, &mut extracted.warnings);
    if extracted.title.trim().is_empty() {
        extracted.title = first_heading(extracted).unwrap_or_else(|| stem.to_owned());
    }
    extracted.title = label(&extracted.title);
}

fn first_heading(extracted: &Extracted) -> Option<String> {
    let heading = extracted.blocks.iter().find(|block| block.kind == BlockKind::Heading(1))?;
    let range = heading.bytes.start as usize..heading.bytes.end as usize;
    let text =
        extracted.text.get(range)?.trim_matches(|c: char| matches!(c, '#' | '=' | '-') || c.is_whitespace());
    (!text.is_empty()).then(|| text.to_owned())
}

/// A title on one line, at most 200 characters, without controls and bidi overrides.
fn label(title: &str) -> String {
    let unseen =
        |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}' | '\u{feff}');
    let words = title.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let line: String = words.collect::<Vec<_>>().join(" ");
    line.chars().filter(|&c| !unseen(c)).take(200).collect()
}

fn split_name(name: &str) -> (&str, String) {
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
    match file.rsplit_once('.') {
        Some((stem, extension)) if !stem.trim_matches('.').is_empty() => {
            (stem, extension.to_ascii_lowercase())
        }
        _ => (file, String::new()),
    }
}
