//! Segment identity: what must be the same for stored rows to be the rows that prefill would compute now.
//!
//! The hash has two levels. A [`Context`] covers all that surrounds a part (model, tokenizer, header, document
//! header, numerics); a [`SegmentId`] covers the context's digest, the dtype, the row kind and the token ids. A
//! segment file holds the digest and everything below it, so that opening a file can recompute its id.
//!
//! Every field is preceded by its length, so no two sets of fields encode to the same bytes. Nothing that does
//! not change the numbers (file order, paths, dates) is in the key.

use std::fmt;
use std::str::FromStr;

use crate::error::KvError;
use crate::header::FORMAT_VERSION;
use crate::page::Dtype;

/// Everything around a part that its rows depend on.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// BLAKE3 over the weights and the config.
    pub weights: [u8; 32],
    /// BLAKE3 over the tokenizer.
    pub tokenizer: [u8; 32],
    /// The fixed opening that every part is computed behind.
    pub header: &'a str,
    /// The document's own first lines: title and date.
    pub document_header: &'a str,
    /// Name and version of the arithmetic; changes only when golden bits change.
    pub numerics: &'a str,
}

/// Digest of a [`Context`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContextId(pub [u8; 32]);

/// Name of a segment: equal ids mean equal rows, bit for bit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SegmentId(pub [u8; 32]);

/// What the rows of a segment saw when they were computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RowKind {
    /// The header and the part itself: rows that compose in any order.
    Isolated,
    /// One exact prefix too: rows that are valid only after it.
    Exact { prefix: SegmentId },
}

impl Context<'_> {
    pub fn id(&self) -> ContextId {
        self.id_under(FORMAT_VERSION)
    }

    fn id_under(&self, format_version: u32) -> ContextId {
        let mut encoding = Encoding::new("ibid kv context");
        encoding.field(&self.weights);
        encoding.field(&self.tokenizer);
        encoding.field(self.header.as_bytes());
        encoding.field(self.document_header.as_bytes());
        encoding.field(self.numerics.as_bytes());
        encoding.field(&format_version.to_le_bytes());
        ContextId(encoding.finish())
    }
}

impl SegmentId {
    /// The id of the rows of `tokens` (the part's own, without the header's) in this context.
    pub fn of(context: ContextId, dtype: Dtype, row_kind: RowKind, tokens: &[u32]) -> Self {
        let mut encoding = Encoding::new("ibid kv segment");
        encoding.field(&context.0);
        encoding.field(dtype.name().as_bytes());
        match row_kind {
            RowKind::Isolated => encoding.field(b"isolated"),
            RowKind::Exact { prefix } => {
                encoding.field(b"exact");
                encoding.field(&prefix.0);
            }
        }
        encoding.length(tokens.len() as u64 * 4);
        for token in tokens {
            encoding.hasher.update(&token.to_le_bytes());
        }
        Self(encoding.finish())
    }
}

/// A run of length-prefixed fields, hashed as it is built.
struct Encoding {
    hasher: blake3::Hasher,
}

impl Encoding {
    /// `domain` keeps the two kinds of digest apart whatever their fields hold.
    fn new(domain: &str) -> Self {
        Self { hasher: blake3::Hasher::new_derive_key(domain) }
    }

    fn length(&mut self, length: u64) {
        self.hasher.update(&length.to_le_bytes());
    }

    fn field(&mut self, bytes: &[u8]) {
        self.length(bytes.len() as u64);
        self.hasher.update(bytes);
    }

    fn finish(self) -> [u8; 32] {
        *self.hasher.finalize().as_bytes()
    }
}

fn write_hex(bytes: &[u8; 32], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for ContextId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl FromStr for SegmentId {
    type Err = KvError;

    /// Exactly the form that `Display` writes, so that a segment has one file name.
    fn from_str(text: &str) -> Result<Self, KvError> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let parse = || {
            let (pairs, rest) = text.as_bytes().as_chunks::<2>();
            let mut id = [0; 32];
            if pairs.len() != id.len() || !rest.is_empty() {
                return None;
            }
            for (byte, [high, low]) in id.iter_mut().zip(pairs) {
                *byte = digit(*high)? << 4 | digit(*low)?;
            }
            Some(Self(id))
        };
        parse().ok_or_else(|| KvError::SegmentName { text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const CONTEXT: Context<'static> = Context {
        weights: [1; 32],
        tokenizer: [2; 32],
        header: "Answer from the documents.",
        document_header: "Report, 2023",
        numerics: "int8-2",
    };

    #[test]
    fn every_field_changes_the_id() {
        let id = |context: ContextId| SegmentId::of(context, Dtype::Int8, RowKind::Isolated, &[5, 6, 7]);
        let exact = |prefix| RowKind::Exact { prefix: SegmentId([prefix; 32]) };
        let ids = [
            id(CONTEXT.id()),
            id(Context { weights: [9; 32], ..CONTEXT }.id()),
            id(Context { tokenizer: [9; 32], ..CONTEXT }.id()),
            id(Context { header: "Answer from the document.", ..CONTEXT }.id()),
            id(Context { document_header: "Report, 2024", ..CONTEXT }.id()),
            id(Context { numerics: "int8-3", ..CONTEXT }.id()),
            id(CONTEXT.id_under(FORMAT_VERSION + 1)),
            SegmentId::of(CONTEXT.id(), Dtype::Bf16, RowKind::Isolated, &[5, 6, 7]),
            SegmentId::of(CONTEXT.id(), Dtype::F32, RowKind::Isolated, &[5, 6, 7]),
            SegmentId::of(CONTEXT.id(), Dtype::Int8, exact(0), &[5, 6, 7]),
            SegmentId::of(CONTEXT.id(), Dtype::Int8, exact(1), &[5, 6, 7]),
            SegmentId::of(CONTEXT.id(), Dtype::Int8, RowKind::Isolated, &[5, 6]),
            SegmentId::of(CONTEXT.id(), Dtype::Int8, RowKind::Isolated, &[5, 7, 6]),
            SegmentId::of(CONTEXT.id(), Dtype::Int8, RowKind::Isolated, &[5, 6, 7, 0]),
            SegmentId::of(CONTEXT.id(), Dtype::Int8, RowKind::Isolated, &[]),
        ];
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
        assert_eq!(CONTEXT.id(), CONTEXT.id_under(FORMAT_VERSION));
    }

    #[test]
    fn text_moved_from_one_field_to_the_next_changes_the_id() {
        let a = Context { header: "ab", document_header: "c", ..CONTEXT };
        let b = Context { header: "a", document_header: "bc", ..CONTEXT };
        assert_ne!(a.id(), b.id());
    }

    #[test]
    fn the_encoding_is_pinned() {
        // A change of these voids every stored segment: it needs a new format version and a reason.
        assert_eq!(format!("{:?}", CONTEXT.id()), CONTEXT_HEX);
        let id = SegmentId::of(CONTEXT.id(), Dtype::Int8, RowKind::Isolated, &[5, 6, 7]);
        assert_eq!(id.to_string(), SEGMENT_HEX);
    }
    const CONTEXT_HEX: &str = "da587fbbaecf36d55c3b464b2c7b7de67442dc0e2c29a8c81c7b66c1d21d16e9";
    const SEGMENT_HEX: &str = "12d5ebceafe8fce4a87d3568df08abf772673e07bb6ea6c168728bc1ec3f28fe";

    #[test]
    fn text_form_round_trips_and_has_one_spelling() {
        let id = SegmentId::of(CONTEXT.id(), Dtype::Int8, RowKind::Isolated, &[1]);
        let text = id.to_string();
        assert_eq!(text.parse::<SegmentId>().unwrap(), id);
        let long = format!("{text}0");
        for bad in ["", "é", &text[1..], &long, &text.to_uppercase(), &text.replace(&text[..2], "+1")] {
            assert!(matches!(bad.parse::<SegmentId>(), Err(KvError::SegmentName { .. })), "{bad}");
        }
    }
}
