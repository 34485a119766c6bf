//! Canonical text of flow formats (HTML, DOCX): blocks one under another, a blank line between them, rows and list
//! items on neighbouring lines, cells apart by tabs.

use base::ByteSpan;

use super::{Block, BlockKind, ExtractError, Limits};

/// Builds text and blocks; every push is checked against the text limit.
pub struct Flow<'a> {
    limits: &'a Limits,
    text: String,
    blocks: Vec<Block>,
    kind: BlockKind,
    /// Where the open block's text starts, once it has any.
    start: Option<usize>,
    /// Collapsed white space waiting for the next character.
    space: bool,
}

impl<'a> Flow<'a> {
    pub fn new(limits: &'a Limits) -> Self {
        let kind = BlockKind::Paragraph;
        Self { limits, text: String::new(), blocks: Vec::new(), kind, start: None, space: false }
    }

    /// Ends the open block and says what the next one is.
    pub fn begin(&mut self, kind: BlockKind) {
        if let Some(start) = self.start.take() {
            let bytes = ByteSpan::new(start as u64, self.text.len() as u64);
            self.blocks.push(Block { kind: self.kind, bytes });
        }
        self.space = false;
        self.kind = kind;
    }

    /// Whether the open block has no text yet.
    pub fn is_at_start(&self) -> bool {
        self.start.is_none()
    }

    /// Kind of the open block.
    pub fn kind(&self) -> BlockKind {
        self.kind
    }

    /// Writes the line ends before the block's first character.
    fn open(&mut self) {
        if self.start.is_some() {
            return;
        }
        if let Some(last) = self.blocks.last() {
            let rows = matches!(self.kind, BlockKind::TableRow | BlockKind::ListItem);
            self.text.push_str(if rows && last.kind == self.kind { "\n" } else { "\n\n" });
        }
        self.start = Some(self.text.len());
    }

    /// Adds text with runs of white space collapsed to one space; the no-break space stays.
    pub fn collapsed(&mut self, text: &str) -> Result<(), ExtractError> {
        for c in text.chars() {
            if matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{c}') {
                self.space = true;
                continue;
            }
            if self.space && !self.is_at_start() && !self.text.ends_with(['\n', '\t']) {
                self.text.push(' ');
            }
            self.space = false;
            self.open();
            self.text.push(if c == '\0' { char::REPLACEMENT_CHARACTER } else { c });
        }
        self.check()
    }

    /// Adds text as it is.
    pub fn verbatim(&mut self, text: &str) -> Result<(), ExtractError> {
        self.space = false;
        if text.is_empty() {
            return Ok(());
        }
        self.open();
        self.text.push_str(text);
        self.check()
    }

    /// Adds text as it is, after a space that [`Self::collapsed`] left waiting.
    pub fn verbatim_after_space(&mut self, text: &str) -> Result<(), ExtractError> {
        if self.space && !self.is_at_start() && !self.text.ends_with([' ', '\n', '\t']) {
            self.text.push(' ');
        }
        self.verbatim(text)
    }

    /// Ends the block and gives text and blocks.
    pub fn finish(mut self) -> (String, Vec<Block>) {
        self.begin(BlockKind::Paragraph);
        (self.text, self.blocks)
    }

    fn check(&self) -> Result<(), ExtractError> {
        if self.text.len() as u64 > self.limits.text_bytes {
            return Err(ExtractError::limit("text_bytes", self.limits.text_bytes));
        }
        Ok(())
    }
}
