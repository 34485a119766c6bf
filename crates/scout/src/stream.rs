//! A stream: the stored context of a sequence that is larger than memory. Layers that see everything walk its pages
//! from disk, window by window, the next being read while one is attended to.

use crate::{Result, sequence::Composed};
use compute::KvBlock;
use kv::{PAGE_TOKENS, PageBuf, Segment, SegmentId};
use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, mpsc},
};

/// Pages of one layer that are attended to at a time. As many wait, and as many are being read.
const WINDOW: usize = 512;

/// Shares of attention, per page of a stream and slot; pages that got next to nothing are left out.
pub type StreamMass = BTreeMap<u64, [f32; PAGE_TOKENS]>;

/// Segments in canonical order, behind what was composed before them.
pub struct Stream {
    /// The header.
    before: Vec<Composed>,
    segments: Vec<Segment>,
    /// Pages in front of each segment.
    first_pages: Vec<u64>,
    n_tokens: u64,
    /// Slots of pages that nothing sees, ascending.
    hidden: BTreeMap<u64, Vec<Range<usize>>>,
}

/// Takes the blocks of a window, and the stream's page that each is of.
pub(crate) type AttendWindow<'a> = dyn FnMut(&[u64], &[KvBlock<'_>]) -> Result<()> + 'a;

/// Consecutive pages of one layer.
struct Window {
    first_page: u64,
    pages: Vec<(Arc<PageBuf>, usize)>,
}

impl Stream {
    /// Rows see a set of earlier rows; the order of their sums must not depend on how the set was listed: segments are
    /// walked in order of identity.
    pub(crate) fn new(before: Vec<Composed>, mut segments: Vec<Segment>) -> Self {
        segments.sort_by_key(Segment::id);
        let (mut first_pages, mut n_pages, mut n_tokens) = (Vec::new(), 0, 0);
        for segment in &segments {
            first_pages.push(n_pages);
            n_pages += segment.n_pages();
            n_tokens += segment.n_tokens();
        }
        Self { before, segments, first_pages, n_tokens, hidden: BTreeMap::new() }
    }

    /// Takes tokens of a segment out of sight: what an answer is worth that does not need them. Their positions stay
    /// taken.
    pub(crate) fn hide(&mut self, segment: &SegmentId, tokens: Range<u64>) {
        let Some(at) = self.segments.iter().position(|known| known.id() == *segment) else { return };
        let page_len = PAGE_TOKENS as u64;
        for page in tokens.start / page_len..tokens.end.div_ceil(page_len) {
            let first = page * page_len;
            let slots = tokens.start.saturating_sub(first)..(tokens.end - first).min(page_len);
            let hidden = self.hidden.entry(self.first_pages[at] + page).or_default();
            hidden.push(slots.start as usize..slots.end as usize);
            hidden.sort_by_key(|slots| slots.start);
        }
    }

    /// Slots of a page that are seen, `used` of them holding tokens.
    fn visible(&self, page: u64, used: usize) -> Vec<Range<usize>> {
        let (mut visible, mut at) = (Vec::new(), 0);
        for slots in self.hidden.get(&page).into_iter().flatten() {
            visible.push(at..slots.start.max(at));
            at = at.max(slots.end);
        }
        visible.push(at.min(used)..used);
        visible
    }

    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    pub fn n_tokens(&self) -> u64 {
        self.n_tokens
    }

    /// The segment that a page of the stream belongs to, and the page within it.
    pub fn locate(&self, page: u64) -> (usize, u64) {
        let at = self.first_pages.partition_point(|first| *first <= page) - 1;
        (at, page - self.first_pages[at])
    }

    /// Bytes that this stream's segments were read from disk, the cache's hits left out.
    pub fn bytes_read(&self) -> u64 {
        self.segments.iter().map(Segment::bytes_read).sum()
    }

    /// The blocks of what stands in front; `kept`: which of the layers that see everything.
    pub(crate) fn before(&self, kept: usize) -> Vec<KvBlock<'_>> {
        self.before.iter().map(|composed| composed.block(kept)).collect()
    }

    /// Calls `attend` with the blocks of every window of `layer` in order, and the stream's page that each of them is of.
    /// Every row of the stream lies in front of all that attend to it, whatever its own position was.
    pub(crate) fn walk(&self, layer: u32, attend: &mut AttendWindow<'_>) -> Result<()> {
        std::thread::scope(|scope| {
            let (sender, windows) = mpsc::sync_channel::<Result<Window>>(1);
            scope.spawn(move || {
                for window in self.windows(layer) {
                    // A walk that has ended early wants no more.
                    if sender.send(window).is_err() {
                        break;
                    }
                }
            });
            for window in windows {
                let Window { first_page, pages } = window?;
                let (mut numbers, mut blocks) = (Vec::new(), Vec::new());
                for (number, (page, used)) in (first_page..).zip(&pages) {
                    for visible in self.visible(number, *used) {
                        numbers.push(number);
                        blocks.push(KvBlock { page, visible, first_pos: 0, stored_pos: 0 });
                    }
                }
                attend(&numbers, &blocks)?;
            }
            Ok(())
        })
    }

    fn windows(&self, layer: u32) -> impl Iterator<Item = Result<Window>> {
        self.runs().into_iter().map(move |runs| {
            let first_page =
                runs.first().map_or(0, |(segment, pages)| self.first_pages[*segment] + pages.start);
            let mut window = Window { first_page, pages: Vec::new() };
            for (segment, pages) in runs {
                let segment = &self.segments[segment];
                let numbers: Vec<u64> = pages.collect();
                let read = segment.pages(&[layer], &numbers)?;
                window
                    .pages
                    .extend(read.into_iter().zip(numbers.iter().map(|page| segment.used_slots(*page))));
            }
            Ok(window)
        })
    }

    /// Runs of pages by segment, at most [`WINDOW`] together.
    fn runs(&self) -> Vec<Vec<(usize, Range<u64>)>> {
        let (mut windows, mut window, mut room) = (Vec::new(), Vec::new(), WINDOW as u64);
        for (at, segment) in self.segments.iter().enumerate() {
            let mut page = 0;
            while page < segment.n_pages() {
                let end = segment.n_pages().min(page + room);
                window.push((at, page..end));
                room -= end - page;
                page = end;
                if room == 0 {
                    windows.push(std::mem::take(&mut window));
                    room = WINDOW as u64;
                }
            }
        }
        if !window.is_empty() {
            windows.push(window);
        }
        windows
    }
}
