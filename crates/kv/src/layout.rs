//! Where everything lies in a segment file: arithmetic on u64 alone, no data, no I/O.
//!
//! Writer and reader both place pages by this file; the directory on disk must agree with it.

use crate::checksum::CHECKSUM_BYTES;
use crate::error::{KvError, Result};
use crate::page::{Dtype, PAGE_TOKENS, PageShape};

/// The order in which a file's pages follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PageOrder {
    /// All layers of page 0, then all of page 1: one page of every layer is one read (full-reach RoPE plans).
    PageMajor,
    /// All pages of the first layer, then of the next: one layer is one read (NoPE layers).
    LayerMajor,
}

/// One layer kept in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StoredLayer {
    /// Index of the layer in the model.
    pub layer: u32,
    pub shape: PageShape,
    /// First page kept. Not 0 only for a local layer, of which just the open last chunk is kept.
    pub first_page: u64,
}

pub(crate) const MAX_LAYERS: usize = 1024;
pub(crate) const MAX_KV_HEADS: usize = 1024;
pub(crate) const MAX_HEAD_DIM: usize = 4096;

/// Bytes of the header before its list of layers.
pub(crate) const HEADER_FIXED_BYTES: usize = 136;
pub(crate) const LAYER_BYTES: usize = 24;
/// Offset, length, checksum.
pub(crate) const ENTRY_BYTES: usize = 16 + CHECKSUM_BYTES;
/// Pages start at a multiple of a cache line. Every page is a multiple of it too, so pages lie without gaps
/// and a run of them is one read; aligning to 4,096 would add up to 4,095 bytes to a page of 26,880.
const PAGE_ALIGN: u64 = 64;

/// A page's place: its number in the directory and its bytes in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageSpan {
    pub entry: u64,
    pub offset: u64,
    pub length: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Layout {
    dtype: Dtype,
    order: PageOrder,
    layers: Vec<StoredLayer>,
    n_tokens: u64,
    n_entries: u64,
    tokens_at: u64,
    directory_at: u64,
    directory_end: u64,
    pages_at: u64,
    file_len: u64,
}

impl Layout {
    /// Checks all that a header or a caller may have made up: the result's arithmetic cannot overflow.
    pub fn new(dtype: Dtype, order: PageOrder, layers: &[StoredLayer], n_tokens: u64) -> Result<Self> {
        check_layers(layers, n_tokens)?;
        let n_pages = n_tokens.div_ceil(PAGE_TOKENS as u64);
        let sizes = || {
            let tokens_at = (HEADER_FIXED_BYTES + layers.len() * LAYER_BYTES + CHECKSUM_BYTES) as u64;
            let directory_at =
                n_tokens.checked_mul(4)?.checked_add(CHECKSUM_BYTES as u64)?.checked_add(tokens_at)?;
            let (mut n_entries, mut bytes) = (0u64, 0u64);
            for layer in layers {
                let kept = n_pages.checked_sub(layer.first_page)?;
                n_entries = n_entries.checked_add(kept)?;
                bytes = bytes.checked_add(kept.checked_mul(layer.shape.page_bytes(dtype) as u64)?)?;
            }
            let directory_end = n_entries
                .checked_mul(ENTRY_BYTES as u64)?
                .checked_add(CHECKSUM_BYTES as u64)?
                .checked_add(directory_at)?;
            let pages_at = directory_end.checked_next_multiple_of(PAGE_ALIGN)?;
            let file_len = pages_at.checked_add(bytes)?;
            // Offsets given to the operating system are signed.
            i64::try_from(file_len).ok()?;
            Some((n_entries, tokens_at, directory_at, directory_end, pages_at, file_len))
        };
        let (n_entries, tokens_at, directory_at, directory_end, pages_at, file_len) =
            sizes().ok_or(KvError::Spec {
                field: "number of tokens",
                got: n_tokens,
                want: "a file shorter than 2^63 bytes",
            })?;
        let layers = layers.to_vec();
        Ok(Self {
            dtype,
            order,
            layers,
            n_tokens,
            n_entries,
            tokens_at,
            directory_at,
            directory_end,
            pages_at,
            file_len,
        })
    }

    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    pub fn order(&self) -> PageOrder {
        self.order
    }

    pub fn layers(&self) -> &[StoredLayer] {
        &self.layers
    }

    pub fn n_tokens(&self) -> u64 {
        self.n_tokens
    }

    /// Pages that the part's tokens fill, the last perhaps in part.
    pub fn n_pages(&self) -> u64 {
        self.n_tokens.div_ceil(PAGE_TOKENS as u64)
    }

    /// Slots of `page` that hold a token.
    pub fn used_slots(&self, page: u64) -> usize {
        self.n_tokens.saturating_sub(page.saturating_mul(PAGE_TOKENS as u64)).min(PAGE_TOKENS as u64) as usize
    }

    /// Entries of the directory, which are the pages in the file.
    pub fn n_entries(&self) -> u64 {
        self.n_entries
    }

    pub fn tokens_at(&self) -> u64 {
        self.tokens_at
    }

    pub fn directory_at(&self) -> u64 {
        self.directory_at
    }

    pub fn directory_end(&self) -> u64 {
        self.directory_end
    }

    /// Where the first page starts; all before it is read when a segment is opened.
    pub fn pages_at(&self) -> u64 {
        self.pages_at
    }

    pub fn file_len(&self) -> u64 {
        self.file_len
    }

    pub fn stored_layer(&self, layer: u32) -> Option<&StoredLayer> {
        Some(&self.layers[self.layer_idx(layer)?])
    }

    /// The place of a page; `None` when the segment does not keep it.
    pub fn page(&self, layer: u32, page: u64) -> Option<PageSpan> {
        let idx = self.layer_idx(layer)?;
        let stored = &self.layers[idx];
        let kept_idx = page.checked_sub(stored.first_page).filter(|_| page < self.n_pages())?;
        let kept = |stored: &StoredLayer| self.n_pages() - stored.first_page;
        let bytes = |stored: &StoredLayer| stored.shape.page_bytes(self.dtype) as u64;
        let before = &self.layers[..idx];
        let entry = before.iter().map(kept).sum::<u64>() + kept_idx;
        let pages_before = match self.order {
            PageOrder::LayerMajor => {
                before.iter().map(|stored| kept(stored) * bytes(stored)).sum::<u64>()
                    + kept_idx * bytes(stored)
            }
            PageOrder::PageMajor => {
                let earlier_pages =
                    |stored: &StoredLayer| page.saturating_sub(stored.first_page) * bytes(stored);
                let same_page = before.iter().filter(|stored| stored.first_page <= page).map(bytes);
                self.layers.iter().map(earlier_pages).sum::<u64>() + same_page.sum::<u64>()
            }
        };
        Some(PageSpan { entry, offset: self.pages_at + pages_before, length: bytes(stored) })
    }

    /// Every (layer, page) of the file in directory order.
    pub fn entries(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        let n_pages = self.n_pages();
        self.layers
            .iter()
            .flat_map(move |stored| (stored.first_page..n_pages).map(|page| (stored.layer, page)))
    }

    fn layer_idx(&self, layer: u32) -> Option<usize> {
        self.layers.binary_search_by_key(&layer, |stored| stored.layer).ok()
    }
}

fn check_layers(layers: &[StoredLayer], n_tokens: u64) -> Result<()> {
    let check = |field, got: u64, good: bool, want| match good {
        true => Ok(()),
        false => Err(KvError::Spec { field, got, want }),
    };
    check("number of tokens", n_tokens, n_tokens > 0, "at least 1")?;
    let n_layers = layers.len();
    check("number of layers", n_layers as u64, (1..=MAX_LAYERS).contains(&n_layers), "1 to 1024")?;
    let mut last = None;
    for stored in layers {
        let PageShape { n_kv_heads, head_dim } = stored.shape;
        let ascending = last.is_none_or(|last| last < stored.layer);
        check("layer", stored.layer.into(), ascending, "layers in ascending order")?;
        check(
            "number of KV heads",
            n_kv_heads as u64,
            (1..=MAX_KV_HEADS).contains(&n_kv_heads),
            "1 to 1024",
        )?;
        check("head dimension", head_dim as u64, (1..=MAX_HEAD_DIM).contains(&head_dim), "1 to 4096")?;
        let starts_inside = stored.first_page < n_tokens.div_ceil(PAGE_TOKENS as u64);
        check("first page", stored.first_page, starts_inside, "a page that the tokens reach")?;
        last = Some(stored.layer);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn layer(layer: u32, first_page: u64) -> StoredLayer {
        StoredLayer {
            layer,
            shape: PageShape { n_kv_heads: 1 + layer as usize % 3, head_dim: 8 },
            first_page,
        }
    }

    proptest! {
        /// The closed forms against the obvious loop: pages tile the file without gap or overlap.
        #[test]
        fn pages_tile_the_file_in_the_recorded_order(
            n_tokens in 1u64..1_000, firsts in prop::collection::vec(0u64..20, 1..6), page_major: bool,
        ) {
            let n_pages = n_tokens.div_ceil(64);
            let layers: Vec<_> =
                firsts.iter().zip(0..).map(|(first, idx)| layer(3 * idx + 1, first % n_pages)).collect();
            let order = if page_major { PageOrder::PageMajor } else { PageOrder::LayerMajor };
            let layout = Layout::new(Dtype::Int8, order, &layers, n_tokens).unwrap();
            let mut places: Vec<_> = layout.entries().collect();
            prop_assert_eq!(places.len() as u64, layout.n_entries());
            for (entry, (layer, page)) in places.iter().enumerate() {
                prop_assert_eq!(layout.page(*layer, *page).unwrap().entry, entry as u64);
            }
            if page_major {
                places.sort_by_key(|(layer, page)| (*page, *layer));
            }
            let mut at = layout.pages_at();
            for (layer, page) in places {
                let span = layout.page(layer, page).unwrap();
                prop_assert_eq!(span.offset, at);
                prop_assert_eq!(at % 64, 0);
                at += span.length;
            }
            prop_assert_eq!(at, layout.file_len());
            prop_assert!(layout.page(1, n_pages).is_none() && layout.page(2, 0).is_none());
        }
    }

    /// Scout's 12 NoPE layers and a corpus that passes 2^31 and 2^32 tokens in one segment.
    #[test]
    fn positions_past_32_bits_have_exact_offsets() {
        let shape = PageShape { n_kv_heads: 8, head_dim: 128 };
        let layers: Vec<_> =
            (0..12).map(|idx| StoredLayer { layer: 4 * idx + 3, shape, first_page: 0 }).collect();
        let page_bytes = shape.page_bytes(Dtype::Int8) as u128;
        for n_tokens in [(1u64 << 31) - 1, 1 << 31, (1 << 31) + 1, (1 << 32) - 1, 1 << 32, (1 << 32) + 65] {
            let n_pages = n_tokens.div_ceil(64);
            for order in [PageOrder::PageMajor, PageOrder::LayerMajor] {
                let layout = Layout::new(Dtype::Int8, order, &layers, n_tokens).unwrap();
                for page in [0, (1 << 25) - 1, n_pages - 1] {
                    for idx in [0u128, 7, 11] {
                        let nth = match order {
                            PageOrder::PageMajor => u128::from(page) * 12 + idx,
                            PageOrder::LayerMajor => idx * u128::from(n_pages) + u128::from(page),
                        };
                        let span = layout.page(4 * idx as u32 + 3, page).unwrap();
                        assert_eq!(u128::from(span.offset), u128::from(layout.pages_at()) + nth * page_bytes);
                    }
                }
                let last_slots = layout.used_slots(n_pages - 1) as u64;
                assert_eq!((n_pages - 1) * 64 + last_slots, n_tokens);
            }
        }
    }

    #[test]
    fn sizes_that_do_not_fit_a_file_are_refused() {
        for n_tokens in [u64::MAX, u64::MAX / 4, 1 << 61, 1 << 56] {
            let error = Layout::new(Dtype::F32, PageOrder::PageMajor, &[layer(5, 0)], n_tokens).unwrap_err();
            assert!(matches!(error, KvError::Spec { field: "number of tokens", .. }), "{error}");
        }
    }

    #[test]
    fn every_limit_is_named() {
        let with =
            |n_kv_heads, head_dim| StoredLayer { shape: PageShape { n_kv_heads, head_dim }, ..layer(0, 0) };
        let many: Vec<_> = (0..1025).map(|idx| layer(idx, 0)).collect();
        let cases: [(&str, &[StoredLayer], u64); 10] = [
            ("number of tokens", &[layer(0, 0)], 0),
            ("number of layers", &[], 5),
            ("number of layers", &many, 5),
            ("layer", &[layer(2, 0), layer(2, 0)], 5),
            ("layer", &[layer(2, 0), layer(1, 0)], 5),
            ("number of KV heads", &[with(0, 4)], 5),
            ("number of KV heads", &[with(1025, 4)], 5),
            ("head dimension", &[with(1, 0)], 5),
            ("head dimension", &[with(1, 4097)], 5),
            ("first page", &[layer(0, 1)], 64),
        ];
        for (expected, layers, n_tokens) in cases {
            match Layout::new(Dtype::Int8, PageOrder::PageMajor, layers, n_tokens) {
                Err(KvError::Spec { field, .. }) => assert_eq!(field, expected),
                other => panic!("{expected}: {other:?}"),
            }
        }
    }
}
