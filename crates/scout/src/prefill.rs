//! Prefill: a part's tokens behind the header become KV pages, computed as if the part stood alone.

use crate::{
    Engine, Error, Result,
    forward::{Batch, Reached},
    sequence::Sequence,
};
use kv::PageBuf;
use std::ops::ControlFlow;

/// Tokens of one tile: what runs through all layers at a time.
pub(crate) const TILE: usize = 512;

/// Tokens of the part already prefilled, out of `total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub done: u64,
    pub total: u64,
}

/// A part's own rows, `[layers that are kept][pages]`; slot `i` of page `p` holds token `64 p + i` of the part.
pub struct PartPages {
    pub pages: Vec<Vec<PageBuf>>,
    pub n_tokens: u64,
}

/// Told how far a prefill is; `Break` stops it.
pub type Control<'a> = dyn FnMut(Progress) -> ControlFlow<()> + 'a;

impl Engine {
    /// Prefills one part behind the header. Gives way to questions after every layer; `control` is called after every
    /// layer and within it, with the tokens of the finished tiles, and after every tile, and may stop the work
    /// (`Error::Cancelled`).
    pub fn prefill_part(&self, ids: &[u32], control: &mut Control<'_>) -> Result<PartPages> {
        let total = ids.len() as u64;
        // Nothing of the part is done while the header is read.
        let mut sequence = self.sequence_reading(&mut |sequence, header| {
            self.prefill_behind(sequence, header, &mut |_| control(Progress { done: 0, total }))
        })?;
        self.prefill_behind(&mut sequence, ids, control)?;
        let (pages, n_tokens) = sequence.into_tail();
        Ok(PartPages { pages, n_tokens })
    }

    /// Prefills `ids` behind all that `sequence` holds; otherwise like [`Engine::prefill_part`].
    pub fn prefill_behind(
        &self,
        sequence: &mut Sequence,
        ids: &[u32],
        control: &mut Control<'_>,
    ) -> Result<()> {
        let mut done = 0;
        let total = ids.len() as u64;
        let mut go_on = |done| match control(Progress { done, total }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Cancelled),
        };
        for tile in ids.chunks(TILE) {
            let batch = Batch { sequence: &mut *sequence, ids: tile, logits: 0..0, mass: None, cancel: None };
            self.run().forward(&mut [batch], &mut |reached| {
                if reached == Reached::Layer {
                    self.scheduler().give_way();
                }
                go_on(done)
            })?;
            sequence.close_chunks();
            done += tile.len() as u64;
            go_on(done)?;
        }
        Ok(())
    }
}
