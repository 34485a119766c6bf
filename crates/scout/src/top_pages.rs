//! The pages of a walk that count for most of each query's weight: what a mass is made of.
//!
//! Memory is bounded however flat attention is: [`PAGES`] pages for each listed row and head, 300 bytes each (0.75 MB for
//! a row of 40 heads), and [`LIST_BYTES`] beside them while pages are attended to. A page with more than a 64th of a
//! head's weight is always among them. Which pages are kept does not depend on how the walk was cut: a page is held
//! against the others of its head by its own weight, which is known when it has been seen.

use compute::{AttendGroup, AttendSpec, KvBlock, Ops, PageWeights, Rows, Walk};
use std::ops::Range;

/// Pages kept for each row and head.
const PAGES: usize = 64;
/// What the list of pages that were just attended to may take.
const LIST_BYTES: usize = 32 << 20;

/// A page of the stream with a head's weights on it.
struct Weighed {
    page: u64,
    /// Logarithm of the head's weight on the whole page.
    log_weight: f32,
    weights: PageWeights,
}

/// Of every row and head, the pages with most of its weight, most first, then in order of the stream.
pub(crate) struct TopPages {
    n_heads: usize,
    /// `[n_rows * n_heads]`
    heads: Vec<Vec<Weighed>>,
    /// Blocks attended to at a time.
    stretch: usize,
}

impl TopPages {
    /// For a walk of `n_rows`, some of which are listed.
    pub fn new(walk: &Walk, n_rows: usize, n_heads: usize) -> Self {
        let listed = walk.listed.iter().filter(|listed| **listed).count();
        let of_block = listed * n_heads * size_of::<PageWeights>();
        let heads = (0..n_rows * n_heads).map(|_| Vec::new()).collect();
        Self { n_heads, heads, stretch: (LIST_BYTES / of_block.max(1)).max(1) }
    }

    /// Attends rows `rows` to the stream's `pages`, block by block, and takes in what they weigh. `between` is asked
    /// after every stretch of them.
    pub fn attend<O: Ops>(
        &mut self,
        (ops, spec, q, rows): (&O, &AttendSpec<'_>, &Rows, Range<usize>),
        (pages, blocks): (&[u64], &[KvBlock<'_>]),
        walk: &mut Walk,
        between: &mut dyn FnMut() -> crate::Result<()>,
    ) -> crate::Result<()> {
        for (pages, blocks) in pages.chunks(self.stretch).zip(blocks.chunks(self.stretch)) {
            let group = AttendGroup { rows: rows.clone(), blocks, mass: None, mass_rows: 0..0 };
            ops.walk_on(spec, q, &[group], walk);
            walk.pages.drain(..).for_each(|weights| self.take(pages[weights.block], weights));
            between()?;
        }
        Ok(())
    }

    /// Pages come in the order of the stream.
    fn take(&mut self, page: u64, weights: PageWeights) {
        let head = &mut self.heads[weights.row * self.n_heads + weights.head];
        let log_weight = weights.max + weights.weights.iter().sum::<f32>().ln();
        let at = head.partition_point(|known| known.log_weight >= log_weight);
        if at < PAGES {
            head.truncate(PAGES - 1);
            head.insert(at, Weighed { page, log_weight, weights });
        }
    }

    /// All that were kept, by row and head.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &PageWeights)> {
        self.heads.iter().flatten().map(|known| (known.page, &known.weights))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use compute::Reference;
    use kv::{Dtype, PAGE_TOKENS, PageBuf, PageShape};
    use std::collections::BTreeMap;

    const HEADS: usize = 2;
    const DIM: usize = 4;
    const N_PAGES: usize = 150;

    /// Keys that differ a little, so that every page has about the same weight.
    fn flat_pages() -> Vec<PageBuf> {
        let mut state = 7u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 40) as f32 / (1 << 24) as f32 - 0.5
        };
        let page = |_| {
            let mut page = PageBuf::new(PageShape { n_kv_heads: 1, head_dim: DIM }, Dtype::F32);
            for slot in 0..PAGE_TOKENS {
                let (k, v): ([f32; DIM], [f32; DIM]) =
                    (std::array::from_fn(|_| random() * 0.1), std::array::from_fn(|_| random()));
                page.write_row(slot, &k, &v).unwrap();
            }
            page
        };
        (0..N_PAGES).map(page).collect()
    }

    /// Row, head and page, with the bits of the weights.
    type Kept = BTreeMap<(usize, usize, u64), Vec<u32>>;

    /// Three rows, of which the last two are listed, over pages that come `window` at a time and are attended to in
    /// stretches.
    fn kept(pages: &[PageBuf], window: usize, stretch: usize) -> Kept {
        let q_pos = [100_000; 3];
        let spec = AttendSpec {
            n_heads: HEADS,
            n_kv_heads: 1,
            head_dim: DIM,
            scale: 0.5,
            rope: None,
            chunk: None,
            q_pos: &q_pos,
        };
        let q = Rows::from_vec((0..3 * HEADS * DIM).map(|i| (i % 5) as f32 - 2.0).collect(), HEADS * DIM);
        let mut walk = Reference.walk(&spec, 3);
        walk.least_share = 1e-4;
        walk.listed = vec![false, true, true];
        let mut top = TopPages::new(&walk, 3, HEADS);
        top.stretch = stretch;
        let (mut asked, mut first) = (0, 0);
        for window in pages.chunks(window) {
            let numbers: Vec<u64> = (first..first + window.len() as u64).collect();
            first += window.len() as u64;
            let block = |page| KvBlock { page, visible: 0..PAGE_TOKENS, first_pos: 0, stored_pos: 0 };
            let blocks: Vec<_> = window.iter().map(block).collect();
            let of = (&Reference, &spec, &q, 0..3);
            let mut between = || {
                asked += 1;
                Ok(())
            };
            top.attend(of, (&numbers, &blocks), &mut walk, &mut between).unwrap();
            assert!(top.heads.iter().all(|head| head.len() <= PAGES) && walk.pages.is_empty());
        }
        assert_eq!(asked, pages.chunks(window).map(|window| window.len().div_ceil(stretch)).sum::<usize>());
        let bits = |weights: &PageWeights| weights.weights.iter().map(|weight| weight.to_bits()).collect();
        top.iter().map(|(page, weights)| ((weights.row, weights.head, page), bits(weights))).collect()
    }

    #[test]
    fn flat_attention_keeps_so_many_pages_whatever_the_windows() {
        let pages = flat_pages();
        let whole = kept(&pages, N_PAGES, N_PAGES);
        assert_eq!(whole.len(), 2 * HEADS * PAGES);
        assert!(whole.keys().all(|(row, ..)| *row > 0), "the first row is not listed");
        for (window, stretch) in [(1, 1), (7, 3), (N_PAGES, 11), (64, 64)] {
            assert!(kept(&pages, window, stretch) == whole, "windows of {window}, stretches of {stretch}");
        }
    }

    #[test]
    fn the_pages_kept_are_those_with_most_weight() {
        let mut top = TopPages::new(&Reference.walk(&no_rows(), 0), 1, 1);
        let weights = |page: u64| {
            let mut weights = [0.0; PAGE_TOKENS];
            weights[..2].fill(1.0);
            PageWeights { row: 0, head: 0, block: 0, max: (page * 37 % 1009) as f32, weights }
        };
        (0..1000).for_each(|page| top.take(page, weights(page)));
        let mut expected: Vec<u64> = (0..1000).collect();
        expected.sort_by_key(|page| std::cmp::Reverse(page * 37 % 1009));
        assert!(top.iter().map(|(page, _)| page).eq(expected[..PAGES].iter().copied()));
    }

    fn no_rows() -> AttendSpec<'static> {
        AttendSpec { n_heads: 1, n_kv_heads: 1, head_dim: 1, scale: 1.0, rope: None, chunk: None, q_pos: &[] }
    }
}
