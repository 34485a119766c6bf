//! `word/styles.xml`: which paragraph styles are headings. Style ids are localised, names and outline levels are not.

use std::collections::HashMap;

use crate::extract::xml::{Step, Xml};
use crate::extract::{ExtractError, Limits};

/// Heading level (from 1) of a style id.
#[derive(Debug, Default)]
pub struct HeadingLevels(HashMap<String, u8>);

impl HeadingLevels {
    pub fn level(&self, style: &str) -> Option<u8> {
        self.0.get(style).copied().or_else(|| by_name(style))
    }
}

pub fn heading_levels(text: &str, limits: &Limits) -> Result<HeadingLevels, ExtractError> {
    let mut xml = Xml::new(text, limits);
    let mut levels = HashMap::new();
    let mut style = String::new();
    while let Some(step) = xml.next()? {
        let Step::Open(element) = step else { continue };
        let value = || element.attribute("val").unwrap_or_default();
        let level = match element.name.as_str() {
            "style" => {
                style = element.attribute("styleId").unwrap_or_default();
                None
            }
            "name" => by_name(&value()),
            "outlineLvl" => outline_level(&value()),
            _ => None,
        };
        if let Some(level) = level
            && !style.is_empty()
        {
            levels.entry(style.clone()).or_insert(level);
        }
    }
    Ok(HeadingLevels(levels))
}

/// Level of a `w:outlineLvl` value, which counts from 0; 9 means body text.
pub fn outline_level(value: &str) -> Option<u8> {
    value.parse::<u8>().ok().filter(|level| *level < 9).map(|level| level + 1)
}

fn by_name(name: &str) -> Option<u8> {
    let name = name.to_ascii_lowercase();
    if name == "title" {
        return Some(1);
    }
    let level: u8 = name.strip_prefix("heading")?.trim().parse().ok()?;
    (1..=9).contains(&level).then_some(level)
}
