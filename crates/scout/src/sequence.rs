//! A sequence: the KV pages composed for it, each at the place it was given, and the pages of its own tail.
//!
//! Positions run on without gaps: header, composed stretches in the order given, then the tail.

use crate::{Engine, Error, Result};
use compute::KvBlock;
use kv::{Dtype, PAGE_TOKENS, PageBuf, PageShape, Segment};
use std::{ops::Range, sync::Arc};

/// One page of every layer, put at `first_pos`.
#[derive(Clone)]
pub struct Composed {
    /// `[n_layers]`
    pub pages: Vec<Arc<PageBuf>>,
    /// Slots of the page that are visible; the others are masked and take no position.
    pub visible: Range<usize>,
    /// Position of slot `visible.start`.
    pub first_pos: u64,
}

pub struct Sequence {
    composed: Vec<Composed>,
    /// `[n_layers][pages]`; slot `i` of page `p` holds position `tail_start + 64 p + i`.
    tail: Vec<Vec<PageBuf>>,
    tail_start: u64,
    tail_len: u64,
    shape: PageShape,
    dtype: Dtype,
}

impl Sequence {
    pub fn new(n_layers: usize, shape: PageShape, dtype: Dtype) -> Self {
        Self {
            composed: Vec::new(),
            tail: (0..n_layers).map(|_| Vec::new()).collect(),
            tail_start: 0,
            tail_len: 0,
            shape,
            dtype,
        }
    }

    /// Puts one page (of every layer) behind what is already composed. Only before the tail has begun.
    pub fn compose(&mut self, pages: Vec<Arc<PageBuf>>, visible: Range<usize>) {
        assert!(self.tail_len == 0, "pages are composed before the tail begins");
        assert!(pages.len() == self.tail.len(), "one page per layer");
        assert!(visible.end <= PAGE_TOKENS);
        if visible.is_empty() {
            return;
        }
        let len = visible.len() as u64;
        self.composed.push(Composed { pages, visible, first_pos: self.tail_start });
        self.tail_start += len;
    }

    /// The position the next token takes; also the number of tokens the sequence sees.
    pub fn next_pos(&self) -> u64 {
        self.tail_start + self.tail_len
    }

    pub fn composed(&self) -> &[Composed] {
        &self.composed
    }

    /// Composed pages plus tail pages, the blocks every layer attends to.
    pub fn n_blocks(&self) -> usize {
        self.composed.len() + self.tail.first().map_or(0, Vec::len)
    }

    /// Whether `n` more tokens fit a window.
    pub fn check_room(&self, n: usize, window: u64) -> Result<()> {
        let asked = self.next_pos().saturating_add(n as u64);
        if asked > window { Err(Error::WindowExceeded { asked, window }) } else { Ok(()) }
    }

    /// Makes room for `n` more tail tokens in all layers and gives their first position.
    pub fn grow(&mut self, n: usize) -> u64 {
        let first = self.next_pos();
        self.tail_len += n as u64;
        let pages = (self.tail_len as usize).div_ceil(PAGE_TOKENS);
        for layer in &mut self.tail {
            layer.resize_with(pages, || PageBuf::new(self.shape, self.dtype));
        }
        first
    }

    /// Takes back the tail's tokens from `pos` on: what a failed pass wrote. Their slots keep what they hold, unseen,
    /// until they are written again.
    pub(crate) fn truncate(&mut self, pos: u64) {
        self.tail_len = self.tail_len.min(pos - self.tail_start);
        let pages = (self.tail_len as usize).div_ceil(PAGE_TOKENS);
        self.tail.iter_mut().for_each(|layer| layer.truncate(pages));
    }

    /// Moves the sequence out and leaves one of no layers, of no use but to be replaced.
    pub(crate) fn take(&mut self) -> Self {
        let left = Self::new(0, self.shape, self.dtype);
        std::mem::replace(self, left)
    }

    /// Writes one token's K and V, each `[n_kv_heads * head_dim]`, at `pos` of `layer`.
    pub fn write(&mut self, layer: usize, pos: u64, k: &[f32], v: &[f32]) -> Result<()> {
        let slot = (pos - self.tail_start) as usize;
        self.tail[layer][slot / PAGE_TOKENS].write_row(slot % PAGE_TOKENS, k, v)?;
        Ok(())
    }

    /// The blocks of `layer`, composed pages first, in position order.
    pub fn blocks(&self, layer: usize) -> Vec<KvBlock<'_>> {
        let composed = self.composed.iter().map(|c| KvBlock {
            page: &c.pages[layer],
            visible: c.visible.clone(),
            first_pos: c.first_pos,
        });
        let tail = self.tail[layer].iter().enumerate().map(|(i, page)| {
            let start = i * PAGE_TOKENS;
            KvBlock {
                page,
                visible: 0..PAGE_TOKENS.min(self.tail_len as usize - start),
                first_pos: self.tail_start + start as u64,
            }
        });
        composed.chain(tail).collect()
    }

    /// Takes the tail's pages, `[n_layers][pages]`, and their token count: what a KV segment stores.
    pub fn into_tail(self) -> (Vec<Vec<PageBuf>>, u64) {
        (self.tail, self.tail_len)
    }

    /// A copy that shares the composed pages and owns a copy of the tail: the question is read once, then branches.
    pub fn fork(&self) -> Self {
        Self {
            composed: self.composed.clone(),
            tail: self.tail.iter().map(|pages| pages.to_vec()).collect(),
            ..*self
        }
    }
}

impl Engine {
    /// Composes slots `visible` of page `page` of a segment behind what the sequence already holds; the other slots
    /// of the page are masked.
    pub fn compose(
        &self,
        sequence: &mut Sequence,
        segment: &Segment,
        page: u64,
        visible: Range<usize>,
    ) -> Result<()> {
        let layers: Vec<u32> = (0..self.config().n_layers as u32).collect();
        sequence.compose(segment.pages(&layers, &[page])?, visible);
        Ok(())
    }
}
