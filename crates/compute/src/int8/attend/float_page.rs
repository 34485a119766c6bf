//! One head of a page of floats (bf16, f32): scores, weights and weighted values, all in f32.
//!
//! Both products are one kernel, `C[q, 64] = Σₖ A[q, k] · B[k, 64]` with k in order: 6 queries × 4 vectors in registers
//! (24 accumulators with AVX-512), or 6 × 1 (12 with AVX2). Keys lie as `[head_dim, 64]`, so that nothing is shuffled.

use std::ops::Range;

use half::bf16;

use super::PAGE_VECTORS;
use super::partial::Partial;
use super::softmax;
use crate::simd::{Kernel, LANES, Lanes};
use crate::{KvBlock, PAGE_LEN};

type Vector = [f32; LANES];

/// One head of a page as f32: reused from page to page.
#[derive(Default)]
pub(super) struct FloatScratch {
    /// `[head_dim, 64]`
    keys: Vec<Vector>,
    /// `[64, padded_dim]`; the padding stays zero.
    values: Vec<Vector>,
}

/// Computes a page's [`Partial`] for some queries.
pub(super) struct ReduceFloat<'a> {
    pub(super) block: &'a KvBlock<'a>,
    pub(super) kv_head: usize,
    /// Turned queries `[n_queries, head_dim]`, `per_row` for each row.
    pub(super) queries: &'a [f32],
    pub(super) head_dim: usize,
    /// Factor on every score.
    pub(super) scale: f32,
    /// Slots that each row sees.
    pub(super) seen: &'a [Range<usize>],
    pub(super) per_row: usize,
    pub(super) scratch: &'a mut FloatScratch,
    pub(super) partial: Partial<'a>,
}

impl Kernel for ReduceFloat<'_> {
    type Out = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let FloatScratch { keys, values } = self.scratch;
        keys.resize(self.head_dim * PAGE_VECTORS, [0.0; LANES]);
        values.resize(PAGE_LEN * self.head_dim.div_ceil(LANES), [0.0; LANES]);
        load_keys(self.block, self.kv_head, keys);
        load_values(self.block, self.kv_head, self.head_dim, values);
        let Partial { max, sum, out, unit, weights } = self.partial;
        unit.fill(1.0);
        let queries: Vec<&[f32]> = self.queries.chunks_exact(self.head_dim).collect();
        product(l, &queries, keys, PAGE_VECTORS, weights);
        for (at, weights) in weights.as_chunks_mut::<PAGE_LEN>().0.iter_mut().enumerate() {
            for score in weights.as_chunks_mut::<LANES>().0 {
                l.store(l.mul(l.load(score), l.splat(self.scale)), score);
            }
            let seen = &self.seen[at / self.per_row];
            max[at] = softmax::highest(l, weights, seen);
            sum[at] = softmax::weights(l, weights, max[at], seen);
        }
        let weights: Vec<&[f32]> = weights.chunks_exact(PAGE_LEN).collect();
        product(l, &weights, values, values.len() / PAGE_LEN, out);
    }
}

fn load_keys(block: &KvBlock<'_>, head: usize, keys: &mut [Vector]) {
    match block.page.dtype() {
        kv::Dtype::Bf16 => widen(block.page.k_bf16(head), keys.as_flattened_mut()),
        kv::Dtype::F32 => keys.as_flattened_mut().copy_from_slice(block.page.k_f32(head)),
        kv::Dtype::Int8 | kv::Dtype::K6V4 => unreachable!("coded pages have their own kernel"),
    }
}

fn load_values(block: &KvBlock<'_>, head: usize, head_dim: usize, values: &mut [Vector]) {
    let per_slot = values.len() / PAGE_LEN;
    for (slot, values) in values.chunks_exact_mut(per_slot).enumerate() {
        let (of_slot, to) = (slot * head_dim..(slot + 1) * head_dim, values.as_flattened_mut());
        match block.page.dtype() {
            kv::Dtype::F32 => to[..head_dim].copy_from_slice(&block.page.v_f32(head)[of_slot]),
            kv::Dtype::Bf16 => widen(&block.page.v_bf16(head)[of_slot], to),
            kv::Dtype::Int8 | kv::Dtype::K6V4 => unreachable!("coded pages have their own kernel"),
        }
    }
}

#[inline(always)]
fn widen(from: &[bf16], to: &mut [f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = from.to_f32();
    }
}

/// `out[q, n] = Σₖ a[q][k] · b[k, n]` with k from 0 up; `b` has `n_vectors` vectors per k.
#[inline(always)]
fn product<L: Lanes>(l: L, a: &[&[f32]], b: &[Vector], n_vectors: usize, out: &mut [f32]) {
    let out = out.as_chunks_mut::<LANES>().0;
    let mut v = 0;
    while v < n_vectors {
        let four = L::WIDE && v + 4 <= n_vectors;
        let mut q = 0;
        while q < a.len() {
            let left = a.len() - q;
            let at = (q, v);
            q += match (four, left) {
                (true, 6..) => block::<L, 6, 4>(l, a, b, n_vectors, at, out),
                (true, 3..) => block::<L, 3, 4>(l, a, b, n_vectors, at, out),
                (true, _) => block::<L, 1, 4>(l, a, b, n_vectors, at, out),
                (false, 6..) => block::<L, 6, 1>(l, a, b, n_vectors, at, out),
                (false, 3..) => block::<L, 3, 1>(l, a, b, n_vectors, at, out),
                (false, _) => block::<L, 1, 1>(l, a, b, n_vectors, at, out),
            };
        }
        v += if four { 4 } else { 1 };
    }
}

/// `Q` queries by `V` vectors from `(query, vector)` on; gives back `Q`.
#[inline(always)]
fn block<L: Lanes, const Q: usize, const V: usize>(
    l: L,
    a: &[&[f32]],
    b: &[Vector],
    n_vectors: usize,
    (q, v): (usize, usize),
    out: &mut [Vector],
) -> usize {
    let depth = b.len() / n_vectors;
    let rows: [&[f32]; Q] = std::array::from_fn(|i| &a[q + i][..depth]);
    let mut acc = [[l.splat(0.0); V]; Q];
    for (k, line) in b.chunks_exact(n_vectors).enumerate() {
        let line = &line[v..v + V];
        for j in 0..V {
            let x = l.load(&line[j]);
            for i in 0..Q {
                acc[i][j] = l.fma(l.splat(rows[i][k]), x, acc[i][j]);
            }
        }
    }
    for i in 0..Q {
        for j in 0..V {
            l.store(acc[i][j], &mut out[(q + i) * n_vectors + v + j]);
        }
    }
    Q
}
