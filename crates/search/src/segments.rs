//! How passages are spread over segments. A removal writes a whole segment again, so a segment is bounded: what removing
//! a document costs then depends on the document and not on the corpus. Small segments are joined, so that a question
//! has few to look into.

use tantivy::index::{SegmentId, SegmentMeta};

/// Most passages of a segment.
pub(crate) const MAX_PASSAGES: u32 = 2_048;
/// Segments are joined when at least so many fit into one.
const JOINED: usize = 8;

/// Segments to be written again, each group as one: the smallest ones when enough of them fit together, and each with
/// removed passages.
pub(crate) fn rewrites(segments: &[SegmentMeta]) -> Vec<Vec<SegmentId>> {
    let mut by_size: Vec<&SegmentMeta> = segments.iter().collect();
    by_size.sort_by_key(|segment| (segment.num_docs(), segment.id()));
    let mut passages = 0;
    let fitting = by_size.iter().take_while(|segment| {
        passages += segment.num_docs();
        passages <= MAX_PASSAGES
    });
    let fitting = fitting.count();
    let joined = if fitting >= JOINED { fitting } else { 0 };
    let (joined, others) = by_size.split_at(joined);
    let touched = others.iter().filter(|segment| segment.has_deletes()).map(|segment| vec![segment.id()]);
    let joined: Vec<SegmentId> = joined.iter().map(|segment| segment.id()).collect();
    touched.chain((!joined.is_empty()).then_some(joined)).collect()
}
