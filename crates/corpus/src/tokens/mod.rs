//! Canonical text → token ids with the bytes each stands for.

use base::ByteSpan;

/// A document's tokens. Spans are in order, touch, and together are the text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenStream {
    pub ids: Vec<u32>,
    /// Bytes of each token; a token that holds part of a character has the part's bytes.
    pub spans: Vec<ByteSpan>,
}
