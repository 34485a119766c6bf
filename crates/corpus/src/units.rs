//! Quotable units: whole sentences, table rows, list items, headings and code lines.

use base::ByteSpan;

use crate::BlockKind;

/// The least that is quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unit {
    /// Trimmed of white space; never empty.
    pub bytes: ByteSpan,
    /// Kind of the block it lies in.
    pub kind: BlockKind,
    /// Number of the block it lies in, from 0.
    pub block: u64,
    /// A stretch of an over-long unit, cut at a token border.
    pub cut: bool,
}
