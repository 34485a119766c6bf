//! The seam between the Scout engine and the hardware: one trait of stage-sized calls.
//!
//! A forward pass is: embed · per layer { norm · matmul (qkv) · rope (keys) · append to KV · attend · activations ·
//! matmul_add · norm · matmul (gate, up) · swiglu · matmul_add } · norm · matmul (logits).

use std::ops::Range;

use crate::{Pairing, Result, RopeTable, Rows};

/// Token positions in one KV page.
pub const PAGE_LEN: usize = kv::PAGE_TOKENS;

/// One KV page as an attending sequence sees it. Slot `s` stands at position
/// `first_pos + s - visible.start` and is seen by a query at `q_pos` iff `visible` contains `s`, the
/// position is at most `q_pos`, and both positions lie in the same attention chunk when there is one.
#[derive(Clone, Debug)]
pub struct KvBlock<'a> {
    /// Keys and values of [`PAGE_LEN`] positions of one layer.
    pub page: &'a kv::PageBuf,
    /// Slots that hold tokens of the context; the others are never seen.
    pub visible: Range<usize>,
    /// Position of slot `visible.start`.
    pub first_pos: u64,
    /// Position at which the key of slot `visible.start` was turned when it was stored; those of the other slots follow.
    pub stored_pos: u64,
}

impl KvBlock<'_> {
    /// How far the page stands behind where its keys were turned, in positions. Both lie within 2⁶².
    #[inline]
    pub(crate) fn moved(&self) -> i64 {
        self.first_pos as i64 - self.stored_pos as i64
    }

    /// The slots a query at `q_pos` sees, possibly none. Positions rise with slots, so it is one range.
    #[inline]
    pub fn seen_by(&self, q_pos: u64, chunk: Option<u64>) -> Range<usize> {
        let (start, end) = (self.visible.start, self.visible.end.max(self.visible.start));
        // Slots from `start` until position `limit`, clamped to the page.
        let until =
            |limit: u64| start + limit.saturating_sub(self.first_pos).min((end - start) as u64) as usize;
        let hi = until(q_pos.saturating_add(1));
        let lo = chunk.map_or(start, |chunk| until(q_pos - q_pos % chunk));
        lo.min(hi)..hi
    }
}

/// The query rows of one sequence and the pages they attend to.
#[derive(Debug)]
pub struct AttendGroup<'a> {
    /// Rows of `q` and `out` that belong to this sequence.
    pub rows: Range<usize>,
    /// Pages in canonical order: they are reduced in this order, whatever the threads do.
    pub blocks: &'a [KvBlock<'a>],
    /// Where to add the attention mass, `[blocks.len() * PAGE_LEN]`: softmax weight per slot,
    /// mean over the rows of `mass_rows` and all heads.
    pub mass: Option<&'a mut [f32]>,
    /// The rows of `q` (a part of `rows`) whose mass is wanted; ignored without `mass`.
    pub mass_rows: Range<usize>,
}

/// What is common to all groups of one attend call.
#[derive(Clone, Debug)]
pub struct AttendSpec<'a> {
    /// Query heads; a multiple of `n_kv_heads`. Query head `h` reads KV head `h / (n_heads / n_kv_heads)`.
    pub n_heads: usize,
    /// KV heads.
    pub n_kv_heads: usize,
    /// Components per head, even.
    pub head_dim: usize,
    /// Factor on every score, usually `1 / sqrt(head_dim)`.
    pub scale: f32,
    /// How queries are rotated to their position, as stored keys were to theirs; `None` for a layer without rotation.
    pub rope: Option<(&'a RopeTable, Pairing)>,
    /// Attention chunk in positions: queries see only their own chunk; `None` sees everything.
    pub chunk: Option<u64>,
    /// Position of every row of `q`.
    pub q_pos: &'a [u64],
}

impl AttendSpec<'_> {
    /// Query heads that share one KV head.
    pub fn heads_per_kv(&self) -> usize {
        self.n_heads / self.n_kv_heads
    }

    /// Panics when the inputs of an attend call do not belong together: a broken invariant of the caller.
    pub(crate) fn check(&self, q: &Rows, groups: &[AttendGroup<'_>]) {
        assert!(
            self.n_heads.is_multiple_of(self.n_kv_heads) && self.head_dim.is_multiple_of(2),
            "head shape"
        );
        assert_eq!(q.width(), self.n_heads * self.head_dim, "query width");
        assert_eq!(q.n_rows(), self.q_pos.len(), "one position per query row");
        if let Some((table, _)) = self.rope {
            assert_eq!(table.n_freqs() * 2, self.head_dim, "rope table of another head size");
        }
        let shape = kv::PageShape { n_kv_heads: self.n_kv_heads, head_dim: self.head_dim };
        let mut next_row = 0;
        for group in groups {
            assert!(
                next_row <= group.rows.start && group.rows.end <= q.n_rows(),
                "groups ascend and are disjoint"
            );
            next_row = group.rows.end;
            for block in group.blocks {
                assert_eq!(block.page.shape(), shape, "page shape");
                assert!(block.visible.end <= PAGE_LEN, "visible slots {:?}", block.visible);
                let fixed = self.rope.is_some_and(|(table, _)| table.is_periodic());
                assert!(!fixed || block.moved() == 0, "keys of an attention chunk stay where they are");
            }
            if let Some(mass) = &group.mass {
                assert_eq!(mass.len(), group.blocks.len() * PAGE_LEN, "mass per slot");
                let (rows, of) = (&group.mass_rows, &group.rows);
                assert!(
                    rows.is_empty() || (of.start <= rows.start && rows.end <= of.end),
                    "mass rows {rows:?} of {of:?}"
                );
            }
        }
    }
}

/// Softmax weights of one page for one query vector, relative to `exp(max)`.
#[derive(Clone, Debug)]
pub struct PageWeights {
    /// Row of `q`.
    pub row: usize,
    /// Query head.
    pub head: usize,
    /// Index into the blocks of the call.
    pub block: usize,
    /// Largest score of the page.
    pub max: f32,
    pub weights: [f32; PAGE_LEN],
}

/// What queries have gathered of the pages seen so far, when these come in several calls: more of them than memory
/// holds. Per query vector the largest score, the sum of weights and the weighted values relative to it.
#[derive(Clone, Debug)]
pub struct Walk {
    /// −∞ where nothing was seen, `[n_rows * n_heads]`.
    pub(crate) max: Vec<f32>,
    /// `[n_rows * n_heads]`
    pub(crate) sum: Vec<f32>,
    /// `[n_rows * n_heads, padded_dim]`
    pub(crate) out: Vec<f32>,
    /// Of the pages so far: `out` is in their basis.
    pub(crate) dtype: Option<kv::Dtype>,
    /// Pages whose share of the weight gathered until then is smaller are not listed.
    pub least_share: f32,
    /// Rows whose pages are listed, one flag a row.
    pub listed: Vec<bool>,
    /// Pages of listed rows since they were last taken out.
    pub pages: Vec<PageWeights>,
}

impl Walk {
    pub(crate) fn new(n_rows: usize, n_heads: usize, padded_dim: usize) -> Self {
        let n = n_rows * n_heads;
        Self {
            max: vec![f32::NEG_INFINITY; n],
            sum: vec![0.0; n],
            out: vec![0.0; n * padded_dim],
            dtype: None,
            least_share: 0.0,
            listed: vec![false; n_rows],
            pages: Vec::new(),
        }
    }

    /// Factor that turns a listed page's weights into shares of all weight gathered so far.
    pub fn share(&self, page: &PageWeights, n_heads: usize) -> f32 {
        let at = page.row * n_heads + page.head;
        (page.max - self.max[at]).exp() / self.sum[at]
    }

    /// Whether a page that has just been merged is to be listed.
    pub(crate) fn lists(&self, at: usize, n_heads: usize, max: f32, sum: f32, total: (f32, f32)) -> bool {
        self.listed[at / n_heads]
            && max > f32::NEG_INFINITY
            && (max - total.0).exp() * sum >= self.least_share * total.1
    }
}

/// The maths of a forward pass. Every call reads its inputs, overwrites its output, and gives the same bits
/// for a row whatever other rows are in the call and however many threads run it.
pub trait Ops: Send + Sync {
    /// A weight matrix `[out, in]`, packed once when the model is loaded.
    type Matrix: Send + Sync;
    /// The input of a matrix product, `[n_rows, in]`; quantised on the fast path.
    type Acts: Default + Send + Sync;

    /// Version of the numbers this implementation produces; part of a KV segment's identity.
    fn numerics(&self) -> &'static str;

    /// What KV pages hold under these numerics.
    fn kv_dtype(&self) -> kv::Dtype;

    /// Packs tensors `[out_i, in]`, stacked by rows, into one matrix `[sum of out_i, in]`.
    ///
    /// # Errors
    /// When a tensor is not a matrix, the widths differ, or the width does not suit the implementation.
    fn matrix(&self, parts: &[&weights::Tensor<'_>]) -> Result<Self::Matrix>;

    /// Memory that a packed matrix takes.
    fn matrix_bytes(&self, matrix: &Self::Matrix) -> u64;

    /// Rows `ids` of `table` into `x` `[ids.len(), in]`.
    ///
    /// # Panics
    /// When an id is outside the table.
    fn embed(&self, table: &Self::Matrix, ids: &[u32], x: &mut Rows);

    /// RMSNorm: `x · weight / sqrt(mean(x²) + eps)` per row.
    fn norm(&self, x: &Rows, weight: &[f32], eps: f32, acts: &mut Self::Acts);

    /// `x` as the input of a matrix product.
    fn activations(&self, x: &Rows, acts: &mut Self::Acts);

    /// `out = acts · wᵀ`, `[n_rows, out]`; `out` is resized.
    fn matmul(&self, acts: &Self::Acts, w: &Self::Matrix, out: &mut Rows);

    /// `x += acts · wᵀ`, the residual add.
    fn matmul_add(&self, acts: &Self::Acts, w: &Self::Matrix, x: &mut Rows);

    /// `silu(gate) · up` per row of `gate_up` `[n_rows, 2 F]` (gate first) as the input `[n_rows, F]` of a product.
    fn swiglu(&self, gate_up: &Rows, acts: &mut Self::Acts);

    /// Rotates every head of `x` `[n_rows, n_heads * head_dim]` to its row's position: keys before they are stored.
    fn rope(&self, x: &mut Rows, head_dim: usize, table: &RopeTable, pairing: Pairing, pos: &[u64]);

    /// Softmax attention of `q` (not rotated) over each group's pages into the group's rows of `out`, both
    /// `[n_rows, n_heads * head_dim]`; `out` is resized. A row that sees nothing gives zeros.
    ///
    /// # Panics
    /// When shapes, pages and `spec` do not belong together, or groups are not ascending and disjoint in rows.
    fn attend(&self, spec: &AttendSpec<'_>, q: &Rows, groups: &mut [AttendGroup<'_>], out: &mut Rows);

    /// Begins attention of `n_rows` queries over pages that come in several calls.
    fn walk(&self, spec: &AttendSpec<'_>, n_rows: usize) -> Walk;

    /// Attends to further pages, which follow those before in canonical order: the same bits as [`Ops::attend`] over
    /// all pages at once. Masses of `groups` are ignored; `walk` lists pages instead.
    ///
    /// # Panics
    /// As [`Ops::attend`].
    fn walk_on(&self, spec: &AttendSpec<'_>, q: &Rows, groups: &[AttendGroup<'_>], walk: &mut Walk);

    /// The attended values `[n_rows, n_heads * head_dim]`; `out` is resized.
    fn walk_end(&self, spec: &AttendSpec<'_>, walk: &Walk, out: &mut Rows) {
        let n_rows = walk.listed.len();
        out.resize(n_rows, spec.n_heads * spec.head_dim);
        let padded = walk.out.len() / walk.sum.len().max(1);
        for (at, out) in out.as_mut_slice().chunks_exact_mut(spec.head_dim).enumerate() {
            let inverse = 1.0 / walk.sum[at];
            let seen = walk.sum[at] != 0.0;
            for (out, o) in out.iter_mut().zip(&walk.out[at * padded..]) {
                *out = if seen { o * inverse } else { 0.0 };
            }
            if walk.dtype == Some(kv::Dtype::K6V4) {
                kv::hadamard(out);
            }
        }
    }
}
