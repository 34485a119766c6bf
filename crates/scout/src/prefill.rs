//! Prefill: a part's tokens behind the header become KV pages, computed as if the part stood alone.

use crate::{Engine, Error, Result, forward::Batch};
use kv::PageBuf;
use std::ops::ControlFlow;

/// Tokens of one tile: what runs through all layers at a time.
const TILE: usize = 512;

/// Tokens of the part already prefilled, out of `total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub done: u64,
    pub total: u64,
}

/// A part's own rows, `[n_layers][pages]`; slot `i` of page `p` holds token `64 p + i` of the part.
pub struct PartPages {
    pub pages: Vec<Vec<PageBuf>>,
    pub n_tokens: u64,
}

impl Engine {
    /// Prefills one part behind the header. Gives way to questions after every layer; `control` is called after every
    /// tile and may stop the work (`Error::Cancelled`).
    pub fn prefill_part(
        &self,
        ids: &[u32],
        control: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<PartPages> {
        let mut sequence = self.sequence();
        let mut done = 0;
        for tile in ids.chunks(TILE) {
            self.run().forward(
                &mut [Batch { sequence: &mut sequence, ids: tile, logits: 0..0, mass: None }],
                &mut || {
                    self.gate().give_way();
                    Ok(())
                },
            )?;
            done += tile.len() as u64;
            if control(Progress { done, total: ids.len() as u64 }).is_break() {
                return Err(Error::Cancelled);
            }
        }
        let (pages, n_tokens) = sequence.into_tail();
        Ok(PartPages { pages, n_tokens })
    }
}
