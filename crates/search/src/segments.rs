//! How passages are spread over segments. A removal writes a whole segment again, so a segment is bounded: what removing
//! a document costs then depends on the document and not on the corpus. Small segments are joined, so that a question
//! has few to look into.

use tantivy::index::{SegmentId, SegmentMeta};

/// Most passages of a segment.
pub(crate) const MAX_PASSAGES: u32 = 2_048;
/// Segments more than twice those that the passages would fill, before they are joined.
const SPARE: u64 = 8;

/// Segments to be written again, each group as one: each with removed passages, and when there are too many, all that
/// fit together. Joined ones of neighbouring size make more than half a segment each, so that there are never more than
/// twice those that the passages would fill, and the spare ones.
pub(crate) fn rewrites(segments: &[SegmentMeta]) -> Vec<Vec<SegmentId>> {
    let mut by_size: Vec<&SegmentMeta> = segments.iter().collect();
    by_size.sort_by_key(|segment| (segment.num_docs(), segment.id()));
    let passages: u64 = segments.iter().map(|segment| u64::from(segment.num_docs())).sum();
    let too_many = segments.len() as u64 > 2 * passages / u64::from(MAX_PASSAGES) + SPARE;
    let mut groups: Vec<(u32, Vec<&SegmentMeta>)> = Vec::new();
    for segment in by_size {
        match groups.last_mut() {
            Some((passages, group)) if too_many && *passages + segment.num_docs() <= MAX_PASSAGES => {
                *passages += segment.num_docs();
                group.push(segment);
            }
            _ => groups.push((segment.num_docs(), vec![segment])),
        }
    }
    let rewritten = |group: &&Vec<&SegmentMeta>| group.len() > 1 || group[0].has_deletes();
    let ids = |group: &Vec<&SegmentMeta>| group.iter().map(|segment| segment.id()).collect();
    groups.iter().map(|(_, group)| group).filter(rewritten).map(ids).collect()
}
