//! A sequence: the KV pages composed for it, each at the place it was given, and the pages of its own tail.
//!
//! Positions run on without gaps: header, composed stretches in the order given, then the tail. Layers that see their
//! attention chunk alone count from where the sequence's own tokens begin: every composed stretch closes its chunks,
//! so that nothing of it is kept for those layers.

use crate::{Engine, Error, Result, Stream, plan::Reach};
use compute::{KvBlock, Rows};
use kv::{Dtype, PAGE_TOKENS, PageBuf, PageShape, RowKind, Segment, SegmentId, StoredLayer};
use rayon::prelude::*;
use std::{ops::Range, sync::Arc};

/// Fewer rows than this are written by the thread that has them.
const SERIAL_ROWS: usize = 32;

/// One page of every layer that sees everything, put at `first_pos`.
#[derive(Clone)]
pub struct Composed {
    /// `[layers that see everything]`
    pub pages: Vec<Arc<PageBuf>>,
    /// Slots of the page that are visible; the others are masked and take no position.
    pub visible: Range<usize>,
    /// Position of slot `visible.start`.
    pub first_pos: u64,
    /// The position it had when the rows were computed, which keys stay turned to.
    pub stored_pos: u64,
}

impl Composed {
    /// The page of one layer; `kept`: which of those that see everything.
    pub(crate) fn block(&self, kept: usize) -> KvBlock<'_> {
        let Self { pages, visible, first_pos, stored_pos } = self;
        KvBlock {
            page: &pages[kept],
            visible: visible.clone(),
            first_pos: *first_pos,
            stored_pos: *stored_pos,
        }
    }
}

/// Pages of one layer's own rows, from page `first_page` of the tail on: earlier ones were of closed chunks.
#[derive(Clone, Default)]
struct Tail {
    first_page: usize,
    pages: Vec<PageBuf>,
}

pub struct Sequence {
    /// `[n_layers]`
    reaches: Arc<[Reach]>,
    composed: Vec<Composed>,
    /// Stored context that layers walk from disk, behind what it was made with in front.
    stream: Option<Arc<Stream>>,
    /// `[n_layers]`; slot `i` of page `p` holds position `tail_start + 64 p + i`.
    tail: Vec<Tail>,
    tail_start: u64,
    tail_len: u64,
    shape: PageShape,
    dtype: Dtype,
}

impl Sequence {
    pub(crate) fn new(reaches: Arc<[Reach]>, shape: PageShape, dtype: Dtype) -> Self {
        Self {
            composed: Vec::new(),
            stream: None,
            tail: vec![Tail::default(); reaches.len()],
            reaches,
            tail_start: 0,
            tail_len: 0,
            shape,
            dtype,
        }
    }

    /// Layers that see everything: those whose rows are kept, composed and stored.
    fn kept(&self) -> impl Iterator<Item = usize> {
        (0..self.reaches.len()).filter(|&l| self.reaches[l] == Reach::Everything)
    }

    /// Puts one page (of every layer that sees everything) behind what is already composed; `computed_at`: where its first
    /// slot stood when the rows were computed. Only before the tail has begun.
    pub fn compose(&mut self, pages: Vec<Arc<PageBuf>>, visible: Range<usize>, computed_at: u64) {
        assert!(self.tail_len == 0 && self.stream.is_none(), "pages are composed before stream and tail");
        assert!(pages.len() == self.kept().count(), "one page per layer that sees everything");
        assert!(visible.end <= PAGE_TOKENS);
        if visible.is_empty() {
            return;
        }
        let len = visible.len() as u64;
        let stored_pos = computed_at + visible.start as u64;
        self.composed.push(Composed { pages, visible, first_pos: self.tail_start, stored_pos });
        self.tail_start += len;
    }

    /// Puts whole segments behind what is composed so far, to be read from disk whenever they are attended to. Nothing
    /// more is composed behind them. `hidden`: tokens of segments that stay out of sight. Copies of the sequence share
    /// the stream, and walk its pages together.
    ///
    /// Errors: [`Error::ExactRows`] for rows that are valid elsewhere.
    pub fn stream(
        &mut self,
        segments: Vec<Segment>,
        hidden: &[(SegmentId, Range<u64>)],
    ) -> Result<Arc<Stream>> {
        assert!(self.tail_len == 0 && self.stream.is_none(), "one stream, before the tail begins");
        segments.iter().try_for_each(isolated)?;
        let mut stream = Stream::new(std::mem::take(&mut self.composed), segments);
        hidden.iter().for_each(|(segment, tokens)| stream.hide(segment, tokens.clone()));
        let stream = Arc::new(stream);
        self.tail_start += stream.n_tokens();
        self.stream = Some(stream.clone());
        Ok(stream)
    }

    pub(crate) fn streamed(&self) -> Option<&Arc<Stream>> {
        self.stream.as_ref()
    }

    /// The position the next token takes; also the number of tokens the sequence sees.
    pub fn next_pos(&self) -> u64 {
        self.tail_start + self.tail_len
    }

    /// Position of `pos` among the sequence's own tokens, what attention chunks are counted in.
    pub(crate) fn own_pos(&self, pos: u64) -> u64 {
        pos - self.tail_start
    }

    pub fn composed(&self) -> &[Composed] {
        &self.composed
    }

    /// Composed pages plus tail pages: the blocks that layers attend to which see everything.
    pub fn n_blocks(&self) -> usize {
        self.composed.len() + (self.tail_len as usize).div_ceil(PAGE_TOKENS)
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
            let missing = pages - layer.first_page;
            layer.pages.resize_with(missing, || PageBuf::new(self.shape, self.dtype));
        }
        first
    }

    /// Takes back the tail's tokens from `pos` on: what a failed pass wrote. Their slots keep what they hold, unseen,
    /// until they are written again. Not before the last [`Sequence::close_chunks`].
    pub fn truncate(&mut self, pos: u64) {
        self.tail_len = self.tail_len.min(pos - self.tail_start);
        let pages = (self.tail_len as usize).div_ceil(PAGE_TOKENS);
        for layer in &mut self.tail {
            layer.pages.truncate(pages.saturating_sub(layer.first_page));
        }
    }

    /// Drops the rows of closed attention chunks: no later token sees them. What was written since the call before
    /// could be taken back until now.
    pub fn close_chunks(&mut self) {
        for (layer, reach) in self.tail.iter_mut().zip(&*self.reaches) {
            let Some(chunk) = reach.chunk() else { continue };
            let open = (self.tail_len - self.tail_len % chunk) as usize / PAGE_TOKENS;
            let closed = open.saturating_sub(layer.first_page).min(layer.pages.len());
            layer.pages.drain(..closed);
            layer.first_page += closed;
        }
    }

    /// Moves the sequence out and leaves a spent one.
    pub(crate) fn take(&mut self) -> Self {
        let left = Self::new(Arc::new([]), self.shape, self.dtype);
        std::mem::replace(self, left)
    }

    /// Whether nothing is left of the sequence: its question was cancelled, or the engine ended, while a pass had it. It is
    /// of no use but to be dropped.
    pub fn is_spent(&self) -> bool {
        self.reaches.is_empty()
    }

    /// Writes the K (turned to their positions) and V of consecutive tokens from `pos` on at `layer`: rows `rows` of `k`, and
    /// of `v` from column `v_from` on.
    ///
    /// Errors: [`Error::Kv`] for a value that cannot be stored; other rows may have been written.
    pub(crate) fn write(
        &mut self,
        layer: usize,
        pos: u64,
        rows: Range<usize>,
        k: &Rows,
        (v, v_from): (&Rows, usize),
    ) -> Result<()> {
        let start = (pos - self.tail_start) as usize;
        let end = start + rows.len();
        let tail = &mut self.tail[layer];
        let first_page = start / PAGE_TOKENS;
        let pages = first_page - tail.first_page..end.div_ceil(PAGE_TOKENS) - tail.first_page;
        let write = |(at, page): (usize, &mut PageBuf)| {
            let page_start = (first_page + at) * PAGE_TOKENS;
            (start.max(page_start)..end.min(page_start + PAGE_TOKENS)).try_for_each(|slot| {
                let row = rows.start + slot - start;
                page.write_row(slot - page_start, k.row(row), &v.row(row)[v_from..])
            })
        };
        if rows.len() < SERIAL_ROWS {
            return Ok(tail.pages[pages].iter_mut().enumerate().try_for_each(write)?);
        }
        let written: Vec<kv::Result<()>> = tail.pages[pages].par_iter_mut().enumerate().map(write).collect();
        Ok(written.into_iter().collect::<kv::Result<()>>()?)
    }

    /// The blocks of `layer` in position order: composed pages first, or where the layer is chunked the tail alone,
    /// its positions counted from the tail's start.
    pub fn blocks(&self, layer: usize) -> Vec<KvBlock<'_>> {
        let chunked = self.reaches[layer].chunk().is_some();
        let kept = self.kept().take_while(|&l| l < layer).count();
        let tail = &self.tail[layer];
        let start = if chunked { 0 } else { self.tail_start };
        let own = tail.pages.iter().enumerate().map(|(i, page)| {
            let slot = (tail.first_page + i) * PAGE_TOKENS;
            let pos = start + slot as u64;
            let visible = 0..PAGE_TOKENS.min(self.tail_len as usize - slot);
            KvBlock { page, visible, first_pos: pos, stored_pos: pos }
        });
        let composed = self.composed.iter().filter(|_| !chunked).map(|composed| composed.block(kept));
        composed.chain(own).collect()
    }

    /// Takes the tail's pages of the layers that see everything, `[layers][pages]`, and their token count: what a KV
    /// segment stores.
    pub fn into_tail(mut self) -> (Vec<Vec<PageBuf>>, u64) {
        let kept: Vec<usize> = self.kept().collect();
        let pages = kept.into_iter().map(|l| std::mem::take(&mut self.tail[l].pages)).collect();
        (pages, self.tail_len)
    }

    /// Puts a segment's rows behind the tail, bit for bit.
    pub(crate) fn restore(&mut self, segment: &Segment) -> Result<()> {
        let first = self.tail_len as usize;
        self.grow(segment.n_tokens() as usize);
        for stored in segment.layers() {
            let tail = &mut self.tail[stored.layer as usize];
            let numbers: Vec<u64> = (stored.first_page..segment.n_pages()).collect();
            for (number, page) in numbers.iter().zip(segment.pages(&[stored.layer], &numbers)?) {
                for slot in 0..segment.used_slots(*number) {
                    let at = first + *number as usize * PAGE_TOKENS + slot;
                    tail.pages[at / PAGE_TOKENS - tail.first_page].copy_row(at % PAGE_TOKENS, &page, slot);
                }
            }
        }
        self.close_chunks();
        Ok(())
    }

    /// The rows of the tail's last `n` tokens as a segment keeps them: all of layers that see everything, and of others
    /// those of the open attention chunk. A chunk that ends with the tail keeps none.
    pub(crate) fn last_rows(&self, n: u64) -> Vec<(StoredLayer, Vec<PageBuf>)> {
        let from = self.tail_len - n;
        let mut rows = Vec::new();
        for (layer, (tail, reach)) in (0u32..).zip(self.tail.iter().zip(&*self.reaches)) {
            let open = reach.chunk().map_or(0, |chunk| self.tail_len - self.tail_len % chunk).max(from);
            if open == self.tail_len {
                continue;
            }
            let first_page = (open - from) / PAGE_TOKENS as u64;
            let mut pages = Vec::new();
            for at in open..self.tail_len {
                let (own, at) = ((at - from) as usize, at as usize);
                let page = own / PAGE_TOKENS - first_page as usize;
                if page == pages.len() {
                    pages.push(PageBuf::new(self.shape, self.dtype));
                }
                let source = &tail.pages[at / PAGE_TOKENS - tail.first_page];
                pages[page].copy_row(own % PAGE_TOKENS, source, at % PAGE_TOKENS);
            }
            rows.push((StoredLayer { layer, shape: self.shape, first_page }, pages));
        }
        rows
    }

    /// A copy that shares the composed pages and owns a copy of the tail: the question is read once, then branches.
    pub fn fork(&self) -> Self {
        Self {
            reaches: self.reaches.clone(),
            composed: self.composed.clone(),
            stream: self.stream.clone(),
            tail: self.tail.clone(),
            ..*self
        }
    }
}

fn isolated(segment: &Segment) -> Result<()> {
    match segment.row_kind() {
        RowKind::Isolated => Ok(()),
        RowKind::Exact { .. } => Err(Error::ExactRows { segment: segment.id() }),
    }
}

impl Engine {
    /// Composes slots of a segment's pages, `(page, visible)` in order, behind what the sequence already holds; the other
    /// slots of a page are masked. Pages are read and checked on all threads.
    ///
    /// Errors: [`Error::ExactRows`] for rows that are valid elsewhere, [`Error::Kv`].
    pub fn compose(
        &self,
        sequence: &mut Sequence,
        segment: &Segment,
        pages: &[(u64, Range<usize>)],
    ) -> Result<()> {
        isolated(segment)?;
        let read = |(page, _): &(u64, Range<usize>)| segment.pages(self.stored_layers(), &[*page]);
        let read: Vec<kv::Result<Vec<Arc<PageBuf>>>> = pages.par_iter().map(read).collect();
        for ((page, visible), rows) in pages.iter().zip(read) {
            // Isolated rows are computed right behind the header.
            let computed_at = (self.header().ids.len() + *page as usize * PAGE_TOKENS) as u64;
            sequence.compose(rows?, visible.clone(), computed_at);
        }
        Ok(())
    }
}
