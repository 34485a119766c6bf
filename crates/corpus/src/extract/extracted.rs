//! What extraction gives: canonical text and everything that points into it.

use base::ByteSpan;
use serde::{Deserialize, Serialize};

use super::spans;

/// One document as text. All spans are bytes of `text`, on character borders.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Extracted {
    /// Canonical text: the characters as they are, never normalised.
    pub text: String,
    /// Type found from the content (`application/pdf`).
    pub media_type: String,
    /// Metadata title, first heading of level 1 or file name. A backend leaves it empty when it finds none.
    pub title: String,
    /// Pages in order; empty where the format has none.
    pub pages: Vec<PageMark>,
    /// Character boxes of paged formats, in text order.
    pub boxes: Vec<BoxRun>,
    /// Structure in text order, not overlapping. A backend may leave it empty: paragraphs are then found by line.
    pub blocks: Vec<Block>,
    /// Text that a reader of the page does not see; never part of `text`.
    pub hidden: Vec<HiddenText>,
    pub warnings: Vec<Warning>,
    pub state: State,
}

impl Extracted {
    /// Holds every span against the text, for an `Extracted` that came from elsewhere. The error says what is wrong.
    pub fn check(&self) -> Result<(), String> {
        let spans = self.pages.iter().map(|page| page.bytes);
        let spans = spans.chain(self.boxes.iter().map(|run| run.bytes));
        for span in spans.chain(self.blocks.iter().map(|block| block.bytes)) {
            let inside = usize::try_from(span.end).is_ok_and(|end| {
                self.text.is_char_boundary(end) && self.text.is_char_boundary(span.start as usize)
            });
            if !inside || span.start > span.end {
                return Err(format!("span {span} is not in the text of {} bytes", self.text.len()));
            }
        }
        let ordered = self.blocks.is_sorted_by(|a, b| a.bytes.end <= b.bytes.start);
        if !ordered || !self.pages.is_sorted_by_key(|page| page.bytes.start) {
            return Err("blocks or pages are out of order".into());
        }
        Ok(())
    }
}

/// Whether the text can be used. A failed document is an [`super::ExtractError`] instead.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    #[default]
    Ready,
    /// Pages without a text layer.
    NeedsOcr,
    /// Encrypted, and the empty password does not open it.
    NeedsPassword,
}

impl State {
    /// Name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::NeedsOcr => "needs_ocr",
            Self::NeedsPassword => "needs_password",
        }
    }
}

/// One page's stretch of the text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PageMark {
    /// From 1.
    pub index: u32,
    /// The label printed in the document, where it names one.
    pub label: Option<String>,
    #[serde(with = "spans")]
    pub bytes: ByteSpan,
    /// Width and height in points; 0 where unknown.
    pub width: f32,
    pub height: f32,
}

/// A rectangle in fractions of the page, origin top left, y downwards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct CharBox {
    pub x0: f32,
    pub y0: f32,
    pub x1: f32,
    pub y1: f32,
}

/// Neighbouring characters on one line of one page (usually a word).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BoxRun {
    /// Page index, from 1.
    pub page: u32,
    #[serde(with = "spans")]
    pub bytes: ByteSpan,
    /// Around the whole run.
    pub area: CharBox,
    /// Vertical borders of the characters (fractions of the page width): character i lies between edges i and
    /// i + 1. Empty where only `area` is known.
    pub edges: Vec<f32>,
}

/// Kind of a [`Block`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BlockKind {
    /// Level from 1 (topmost).
    Heading(u8),
    /// Sentences.
    Paragraph,
    ListItem,
    /// One row; quoted whole.
    TableRow,
    /// Lines; each is quoted whole.
    Code,
}

/// One stretch of structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    pub kind: BlockKind,
    #[serde(with = "spans")]
    pub bytes: ByteSpan,
}

/// Text kept apart because nobody looking at the document would see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HiddenText {
    /// Page index from 1, 0 where the format has no pages.
    pub page: u32,
    pub text: String,
}

/// Something the user should know about a document that still became text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    pub code: WarningCode,
    /// Page index from 1, where the warning belongs to one page.
    pub page: Option<u32>,
    /// Characters concerned, where it can be counted.
    pub characters: Option<u64>,
    /// What was found, in words; empty when the code says it all.
    pub detail: String,
}

impl Warning {
    pub fn new(code: WarningCode, detail: impl Into<String>) -> Self {
        Self { code, page: None, characters: None, detail: detail.into() }
    }
}

/// Stable names of warnings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WarningCode {
    /// The file name promises another type than the content has.
    TypeMismatch,
    /// The encoding was guessed.
    GuessedEncoding,
    /// Bytes that do not decode became U+FFFD.
    ReplacedBytes,
    /// NUL characters became U+FFFD.
    NulCharacters,
    /// Bidi overrides or zero-width characters: show the text escaped.
    InvisibleCharacters,
    /// Hidden text was kept apart.
    HiddenText,
    /// Characters whose meaning the document does not give.
    LowTextQuality,
    /// Scripts, attachments, forms or launch actions were ignored.
    ActiveContent,
    /// The file is cut short; what could be read was kept.
    Truncated,
    /// Parts were left out for another reason.
    Skipped,
    /// The parser process could not take away a right it does not need.
    WeakSandbox,
}
