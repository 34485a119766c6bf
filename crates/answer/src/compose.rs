//! Compose: a passage's KV pages behind the header, from disk. No corpus token is prefilled again; a damaged page is
//! reported so that the caller rebuilds its segment, never served.

use crate::{Error, Result, gather::Candidate};
use base::TokenSpan;
use catalog::{Part, VersionId};
use kv::{PAGE_TOKENS, SegmentId};
use scout::{Engine, Question, Sequence};
use std::ops::Range;

/// A part whose segment must be computed again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedPart {
    pub version: VersionId,
    pub idx: u64,
    pub tokens: u64,
    pub reason: String,
}

/// A sequence that sees the header and one passage.
pub struct ComposedPassage {
    pub sequence: Sequence,
    /// For each block of the sequence behind the header's: which document tokens its visible slots hold.
    pub blocks: Vec<BlockTokens>,
    /// Blocks of the header, in front.
    pub header_blocks: usize,
    pub reused_tokens: u64,
    /// From disk; pages of the cache are not among them.
    pub bytes_read: u64,
}

pub struct BlockTokens {
    pub visible: Range<usize>,
    /// Document token of slot `visible.start`; `None` for the document header's slots, which are never cited.
    pub first_token: Option<u64>,
}

/// Composes the pages that cover the candidate's passage. `Ok(Err(part))`: that part's segment is damaged or gone.
///
/// Errors: [`Error::OtherRows`] for rows that this engine would not compute.
pub fn compose(
    question: &Question<'_>,
    store: &kv::Store,
    candidate: &Candidate,
) -> Result<std::result::Result<ComposedPassage, DamagedPart>> {
    let (engine, sequence) = (question.engine(), question.sequence()?);
    let header_blocks = sequence.n_blocks();
    let mut composed =
        ComposedPassage { sequence, blocks: Vec::new(), header_blocks, reused_tokens: 0, bytes_read: 0 };
    for part in &candidate.source.parts {
        let Some(tokens) = part.tokens.intersect(candidate.passage.tokens) else { continue };
        match composed.add_part(engine, store, part, tokens) {
            Ok(()) => {}
            Err(Error::Kv(error) | Error::Engine(scout::Error::Kv(error))) if error.is_damage() => {
                return Ok(Err(damaged(candidate, part, error.to_string())));
            }
            Err(Error::SegmentMissing { .. }) => {
                return Ok(Err(damaged(candidate, part, "missing".to_owned())));
            }
            Err(Error::OtherRows { .. }) => {
                let document = candidate.source.document.path.clone();
                return Err(Error::OtherRows { document });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Ok(composed))
}

fn damaged(candidate: &Candidate, part: &Part, reason: String) -> DamagedPart {
    DamagedPart {
        version: candidate.source.document.version.id,
        idx: part.idx,
        tokens: part.tokens.len(),
        reason,
    }
}

impl ComposedPassage {
    /// Slots of the part's segment: first its document header, then its own tokens in order.
    fn add_part(&mut self, engine: &Engine, store: &kv::Store, part: &Part, tokens: TokenSpan) -> Result<()> {
        let id = SegmentId(part.segment.0);
        let Some(segment) = store.open_segment(&id)? else {
            return Err(Error::SegmentMissing {
                document: String::new(),
                segment: format!("{:?}", part.segment),
            });
        };
        if !engine.computes(&segment, part.tokens.len()) {
            return Err(Error::OtherRows { document: String::new() });
        }
        let header_len = segment.n_tokens().saturating_sub(part.tokens.len());
        self.add_slots(engine, &segment, 0..header_len, None)?;
        let first = header_len + (tokens.start - part.tokens.start);
        self.add_slots(engine, &segment, first..first + tokens.len(), Some(tokens.start))?;
        self.bytes_read += segment.bytes_read();
        Ok(())
    }

    fn add_slots(
        &mut self,
        engine: &Engine,
        segment: &kv::Segment,
        slots: Range<u64>,
        mut token: Option<u64>,
    ) -> Result<()> {
        let page_len = PAGE_TOKENS as u64;
        let (mut at, mut pages) = (slots.start, Vec::new());
        while at < slots.end {
            let page = at / page_len;
            let end = slots.end.min((page + 1) * page_len);
            let visible = (at % page_len) as usize..(end - page * page_len) as usize;
            pages.push((page, visible.clone()));
            self.blocks.push(BlockTokens { visible, first_token: token });
            self.reused_tokens += end - at;
            token = token.map(|t| t + end - at);
            at = end;
        }
        Ok(engine.compose(&mut self.sequence, segment, &pages)?)
    }

    /// Attention mass per document token from mass per slot `[n_blocks * 64]`: (token, mass).
    pub fn token_mass(&self, mass: &[f32]) -> Vec<(u64, f64)> {
        let mut by_token = Vec::new();
        for (i, block) in self.blocks.iter().enumerate() {
            let Some(first) = block.first_token else { continue };
            let base = (self.header_blocks + i) * PAGE_TOKENS;
            for (offset, slot) in block.visible.clone().enumerate() {
                let value = mass.get(base + slot).copied().unwrap_or(0.0);
                by_token.push((first + offset as u64, f64::from(value)));
            }
        }
        by_token
    }
}
