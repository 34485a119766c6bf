//! Byte ↔ code point ↔ UTF-16 positions of one text, by checkpoints every [`STEP`] bytes.

use base::{ByteSpan, CharSpan};

const STEP: usize = 1 << 10;

/// Answers position questions in at most [`STEP`] bytes of scanning. Holds 24 bytes per checkpoint.
#[derive(Debug)]
pub struct CharIndex<'a> {
    text: &'a str,
    checkpoints: Vec<Counts>,
}

/// Units before one place of the text.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    bytes: usize,
    chars: u64,
    utf16: u64,
}

impl Counts {
    fn add(&mut self, c: char) {
        self.bytes += c.len_utf8();
        self.chars += 1;
        self.utf16 += c.len_utf16() as u64;
    }
}

impl<'a> CharIndex<'a> {
    pub fn new(text: &'a str) -> Self {
        let mut checkpoints = vec![Counts::default()];
        let mut here = Counts::default();
        let mut next = STEP;
        for c in text.chars() {
            here.add(c);
            if here.bytes >= next {
                checkpoints.push(here);
                next = here.bytes + STEP;
            }
        }
        Self { text, checkpoints }
    }

    /// Code points before a byte, a byte inside a character counting as its start. Past the end: all of them.
    pub fn chars_before(&self, byte: u64) -> u64 {
        self.at_byte(byte).chars
    }

    /// UTF-16 units before a byte, rounded down as in [`Self::chars_before`].
    pub fn utf16_before(&self, byte: u64) -> u64 {
        self.at_byte(byte).utf16
    }

    /// The byte where code point `index` starts; past the end: the length.
    pub fn byte_of_char(&self, index: u64) -> u64 {
        let after = self.checkpoints.partition_point(|c| c.chars <= index);
        self.scan(after, |here, _| here.chars < index).bytes as u64
    }

    /// The byte where the character that holds UTF-16 unit `index` starts; past the end: the length.
    pub fn byte_of_utf16(&self, index: u64) -> u64 {
        let after = self.checkpoints.partition_point(|c| c.utf16 <= index);
        self.scan(after, |here, c| here.utf16 + c.len_utf16() as u64 <= index).bytes as u64
    }

    /// Code points that cover a byte span, rounded outwards.
    pub fn char_span(&self, bytes: ByteSpan) -> CharSpan {
        let start = self.chars_before(bytes.start);
        let end = self.at_byte(bytes.end);
        let inside = (end.bytes as u64) < bytes.end && end.bytes < self.text.len();
        CharSpan::new(start, (end.chars + u64::from(inside)).max(start))
    }

    /// Bytes of a code-point span.
    pub fn byte_span(&self, chars: CharSpan) -> ByteSpan {
        ByteSpan::new(self.byte_of_char(chars.start), self.byte_of_char(chars.end))
    }

    fn at_byte(&self, byte: u64) -> Counts {
        let byte = usize::try_from(byte).unwrap_or(usize::MAX);
        let after = self.checkpoints.partition_point(|c| c.bytes <= byte);
        self.scan(after, |here, c| here.bytes.saturating_add(c.len_utf8()) <= byte)
    }

    /// Walks on from the checkpoint before number `after` while `go_on` allows the next character.
    fn scan(&self, after: usize, go_on: impl Fn(&Counts, char) -> bool) -> Counts {
        let last = after.checked_sub(1).and_then(|last| self.checkpoints.get(last));
        let mut here = last.copied().unwrap_or_default();
        for c in self.text.get(here.bytes..).unwrap_or_default().chars() {
            if !go_on(&here, c) {
                break;
            }
            here.add(c);
        }
        here
    }
}
