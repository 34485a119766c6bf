//! A bounded XML reader: no document type is processed, no entity is expanded but the five built in, depth and tag
//! size are limited. External entities, parameter entities and entity bombs are therefore inert text that is dropped.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::{ExtractError, Limits};

/// One step of a document, names without prefix.
#[derive(Debug)]
pub enum Step<'a> {
    Open(Element<'a>),
    Close(String),
    Text(String),
}

/// An opening tag.
#[derive(Debug)]
pub struct Element<'a> {
    start: BytesStart<'a>,
    pub name: String,
}

impl Element<'_> {
    /// Value of the attribute with this local name, built-in entities resolved.
    pub fn attribute(&self, wanted: &str) -> Option<String> {
        let mut attributes = self.start.attributes();
        let found =
            attributes.with_checks(false).flatten().find(|a| a.key.local_name().as_ref() == wanted)?;
        let raw = found.value.into_owned();
        Some(quick_xml::escape::unescape(&raw).map(|value| value.into_owned()).unwrap_or(raw))
    }
}

/// Pull reader over one XML text.
pub struct Xml<'a> {
    reader: Reader<&'a [u8]>,
    limits: &'a Limits,
    depth: u64,
}

impl<'a> Xml<'a> {
    pub fn new(text: &'a str, limits: &'a Limits) -> Self {
        let mut reader = Reader::from_reader(text.as_bytes());
        reader.config_mut().expand_empty_elements = true;
        Self { reader, limits, depth: 0 }
    }

    /// The next step; `None` at the end.
    pub fn next(&mut self) -> Result<Option<Step<'a>>, ExtractError> {
        loop {
            let event = self.reader.read_event().map_err(|error| {
                ExtractError::malformed("application/xml", self.reader.error_position(), error)
            })?;
            return Ok(Some(match event {
                Event::Start(start) => {
                    self.depth += 1;
                    if self.depth > self.limits.xml_depth {
                        return Err(ExtractError::limit("xml_depth", self.limits.xml_depth));
                    }
                    if start.len() as u64 > self.limits.xml_tag_bytes {
                        return Err(ExtractError::limit("xml_tag_bytes", self.limits.xml_tag_bytes));
                    }
                    let name = start.local_name().as_ref().to_owned();
                    Step::Open(Element { start, name })
                }
                Event::End(end) => {
                    self.depth = self.depth.saturating_sub(1);
                    Step::Close(end.local_name().as_ref().to_owned())
                }
                Event::Text(text) => Step::Text(text.to_string()),
                Event::CData(text) => Step::Text(text.to_string()),
                Event::GeneralRef(reference) => {
                    let name = reference.to_string();
                    match resolve(&name) {
                        Some(c) => Step::Text(c.to_string()),
                        None => continue,
                    }
                }
                Event::Eof => return Ok(None),
                _ => continue,
            }));
        }
    }
}

/// A character reference or one of the five built-in entities.
fn resolve(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code).filter(|&c| c != '\0');
    }
    Some(match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        "apos" => '\'',
        _ => return None,
    })
}
