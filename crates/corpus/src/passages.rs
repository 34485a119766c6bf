//! Passages: runs of whole units that fit the retrieval window. Last stop of this crate.

use base::{ByteSpan, TokenSpan};

/// One unit of retrieval: whole units of one document, at most 256 tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// Number within the document, from 0.
    pub index: u64,
    pub bytes: ByteSpan,
    /// The tokens that cover `bytes`: a border token may reach past it on either side.
    pub tokens: TokenSpan,
    /// Page indexes from 1; `None` where the format has no pages.
    pub page_start: Option<u32>,
    pub page_end: Option<u32>,
    /// Headings above, outermost first, joined by ` › `; empty where there are none.
    pub heading: String,
}
