//! Exact rows: what sequential prefill computes, every token seeing all before it. A segment of them is valid behind one
//! prefix alone, and holds the rows of layers that see their attention chunk alone as far as that chunk is still open, so
//! that reading can go on from disk as if it had never stopped. Isolated rows, which compose in any order, are the rule;
//! the two are never mixed.

use crate::{Engine, Error, Result, sequence::Sequence};
use kv::{ContextId, PageBuf, RowKind, Segment, SegmentId, SegmentSpec, StoredLayer};

/// What a segment of exact rows holds.
pub struct ExactPart {
    pub spec: SegmentSpec,
    /// `[spec.layers]`, pages from the layer's `first_page` on.
    pub pages: Vec<Vec<PageBuf>>,
}

impl Engine {
    /// Stands for the header, with nothing behind it.
    fn exact_root(&self) -> SegmentId {
        SegmentId::of(self.part_context(""), self.kv_dtype(), RowKind::Isolated, &[])
    }

    /// The sequence behind a chain of segments, bit for bit as it was when the last of them had been read. The rows are
    /// copied into memory.
    ///
    /// Errors: [`Error::OtherPrefix`] when one of them was not computed behind those before it, or holds other layers.
    pub fn exact_sequence(&self, chain: &[Segment]) -> Result<Sequence> {
        let (mut sequence, mut prefix) = (self.sequence()?, self.exact_root());
        for segment in chain {
            if segment.row_kind() != (RowKind::Exact { prefix }) || !self.can_hold(segment) {
                return Err(Error::OtherPrefix { segment: segment.id(), prefix });
            }
            sequence.restore(segment)?;
            prefix = segment.id();
        }
        Ok(sequence)
    }

    /// Whether a segment's pages are of this model's layers and KV type.
    fn can_hold(&self, segment: &Segment) -> bool {
        let of_model = |stored: &StoredLayer| {
            (stored.layer as usize) < self.config().n_layers && stored.shape == self.page_shape()
        };
        segment.dtype() == self.kv_dtype() && segment.layers().iter().all(of_model)
    }

    /// The last `tokens` of an exact sequence as a segment. `prefix`: the segment in front of them; `None` behind the
    /// header.
    pub fn exact_part(
        &self,
        sequence: &Sequence,
        prefix: Option<SegmentId>,
        context: ContextId,
        tokens: Vec<u32>,
    ) -> ExactPart {
        let prefix = prefix.unwrap_or_else(|| self.exact_root());
        let (layers, pages): (Vec<StoredLayer>, _) =
            sequence.last_rows(tokens.len() as u64).into_iter().unzip();
        let row_kind = RowKind::Exact { prefix };
        ExactPart { spec: SegmentSpec { row_kind, layers, ..self.segment_spec(context, tokens) }, pages }
    }
}
