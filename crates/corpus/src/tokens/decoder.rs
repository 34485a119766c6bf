//! Token ids → text as they come: a character is given out once all its bytes are there.

use super::{Tokenizer, TokenizerError};

/// Streaming decoder of one answer.
#[derive(Debug)]
pub struct Decoder<'a> {
    tokenizer: &'a Tokenizer,
    pending: Vec<u8>,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(tokenizer: &'a Tokenizer) -> Self {
        Self { tokenizer, pending: Vec::new() }
    }

    /// Text completed by this token; bytes that can start no character become U+FFFD.
    pub fn push(&mut self, id: u32) -> Result<String, TokenizerError> {
        self.pending.extend_from_slice(self.tokenizer.token_bytes(id)?);
        Ok(self.take(false))
    }

    /// What is left at the end of the answer; an unfinished character becomes U+FFFD.
    pub fn finish(mut self) -> String {
        self.take(true)
    }

    fn take(&mut self, last: bool) -> String {
        let mut text = String::new();
        let mut consumed = 0;
        for chunk in self.pending.utf8_chunks() {
            text.push_str(chunk.valid());
            consumed += chunk.valid().len();
            let invalid = chunk.invalid();
            let at_end = consumed + invalid.len() == self.pending.len();
            if invalid.is_empty() || (at_end && !last && may_continue(invalid)) {
                break;
            }
            text.push(char::REPLACEMENT_CHARACTER);
            consumed += invalid.len();
        }
        self.pending.drain(..consumed);
        text
    }
}

/// Whether more bytes could still complete `start`, a maximal invalid prefix.
fn may_continue(start: &[u8]) -> bool {
    matches!(std::str::from_utf8(start), Err(error) if error.error_len().is_none())
}
