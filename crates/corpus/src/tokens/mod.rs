//! Canonical text → token ids with the bytes each stands for.
//!
//! `source` reads a tokenizer's parts from a model's files, `tokenizer.rs` runs it, `cuts.rs` bounds its memory on long
//! texts, `align.rs` finds each token's bytes, `decoder.rs` goes back to text, `char_index.rs` converts units.

mod align;
mod byte_level;
mod char_index;
mod cuts;
mod decoder;
mod error;
mod source;
mod tokenizer;

pub use char_index::CharIndex;
pub use decoder::Decoder;
pub use error::TokenizerError;
pub use tokenizer::Tokenizer;

use base::{ByteSpan, TokenSpan};

/// A document's tokens. Spans are in order, touch, and together are exactly the text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenStream {
    pub ids: Vec<u32>,
    /// Bytes of each token; a token that holds part of a character has the part's bytes.
    pub spans: Vec<ByteSpan>,
}

impl TokenStream {
    /// The fewest tokens that cover `bytes`; empty for an empty span.
    pub fn covering(&self, bytes: ByteSpan) -> TokenSpan {
        let start = self.spans.partition_point(|span| span.end <= bytes.start);
        let end = self.spans.partition_point(|span| span.start < bytes.end);
        TokenSpan::new(start as u64, end.max(start) as u64)
    }

    /// Bytes of tokens `start..end`. Panics when the span is not one of this stream.
    pub fn bytes_of(&self, tokens: TokenSpan) -> ByteSpan {
        if tokens.is_empty() {
            let at = self.spans.get(tokens.start as usize).map_or_else(|| self.byte_len(), |span| span.start);
            return ByteSpan::new(at, at);
        }
        let (first, last) = (tokens.start as usize, tokens.end as usize - 1);
        match (self.spans.get(first), self.spans.get(last)) {
            (Some(first), Some(last)) => ByteSpan::new(first.start, last.end),
            _ => unreachable!("tokens {tokens} of a stream of {}", self.spans.len()),
        }
    }

    /// Bytes of the text.
    pub fn byte_len(&self) -> u64 {
        self.spans.last().map_or(0, |span| span.end)
    }
}

#[cfg(test)]
mod tests;
