//! A passage's tokens as composing gives them, to be computed anew.

use crate::{Result, gather::Candidate};
use ingest::Ingest;
use scout::{Question, Sequence, Step};

/// Document header and passage, of each part that the passage lies in; the engine's header is in every sequence already.
/// `None` when a segment is not stored any more.
pub(super) fn ids(ingest: &Ingest, candidate: &Candidate) -> Result<Option<Vec<u32>>> {
    let mut ids = Vec::new();
    for part in &candidate.source.parts {
        let Some(tokens) = part.tokens.intersect(candidate.passage.tokens) else { continue };
        let Some(segment) = ingest.stores.kv.open_segment(&kv::SegmentId(part.segment.0))? else {
            return Ok(None);
        };
        let header = segment.n_tokens().saturating_sub(part.tokens.len());
        let first = header + tokens.start - part.tokens.start;
        for span in [0..header, first..first + tokens.len()] {
            ids.extend_from_slice(&segment.tokens()[span.start as usize..span.end as usize]);
        }
    }
    Ok(Some(ids).filter(|ids| !ids.is_empty()))
}

/// A sequence that has read them.
pub(super) fn sequence(asking: &Question<'_>, ids: &[u32]) -> Result<Sequence> {
    let mut sequence = asking.sequence()?;
    asking.step(&mut [Step { sequence: &mut sequence, ids, logits: 0..0, mass: None }])?;
    Ok(sequence)
}
