//! Where a long text may be cut so that the pieces' tokens are the tokens of the whole.
//!
//! The pre-tokenizers here split text by one regular expression, left to right, with no look-behind; their only
//! look-ahead is one character past a run of white space. So a place that ends a match whatever precedes it is a
//! free cut. For [`Boundary::Gpt2`] (and digit splitting before it) every alternative but white space stops at
//! white space, so `non-space | space` is free. For [`Boundary::Llama3`] punctuation may take line ends after it, so
//! `non-space | space or tab` is free; and after a line end, `\s*[\r\n]+` has stopped at a character that is not space
//! (nor a slash, which Llama 4 lets punctuation take along with line ends).
//!
//! A text without such a place for [`FORCED`] bytes (one giant word) is cut at a character border anyway: its tokens
//! then differ from one go at that border, always in the same way.

/// Rule for free cuts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boundary {
    Gpt2,
    Llama3,
    /// An unknown pre-tokenizer: forced cuts only.
    Unknown,
}

/// A piece ends at the first free cut past this many bytes.
pub const PIECE: usize = 64 << 10;
/// Bytes after which a piece without a free cut is cut by force.
pub const FORCED: usize = 256 << 10;

/// Length of the first piece of `text`.
pub fn piece_len(text: &str, rule: Boundary, piece: usize, forced: usize) -> usize {
    if text.len() <= piece {
        return text.len();
    }
    let from = text.floor_char_boundary(piece);
    let (head, tail) = text.split_at(from);
    let mut before = head.chars().next_back();
    for (index, c) in tail.char_indices() {
        let at = from + index;
        if before.is_some_and(|before| free(before, c, rule)) {
            return at;
        }
        if at >= forced && at > 0 {
            return at;
        }
        before = Some(c);
    }
    text.len()
}

fn free(before: char, after: char, rule: Boundary) -> bool {
    match rule {
        Boundary::Gpt2 => !before.is_whitespace() && after.is_whitespace(),
        Boundary::Llama3 => {
            (!before.is_whitespace() && matches!(after, ' ' | '\t'))
                || (matches!(before, '\n' | '\r') && !after.is_whitespace() && after != '/')
        }
        Boundary::Unknown => false,
    }
}
