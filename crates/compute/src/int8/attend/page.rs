//! One KV page of one head: dequantise, rotate keys, scores, weights, weighted values; and the merge of pages.
//!
//! Both products are one kernel, `C[q, 64] = Σₖ A[q, k] · B[k, 64]` with k in order: 6 queries × 4 vectors in registers
//! (24 accumulators with AVX-512), or 6 × 1 (12 with AVX2). Keys lie as `[head_dim, 64]`, so neither rotation nor
//! scores shuffle anything. `cargo bench -p compute` measures it.

use std::ops::Range;

use half::bf16;

use super::Partial;
use crate::int8::exp::exp;
use crate::simd::{Kernel, LANES, Lanes};
use crate::{AttendSpec, KvBlock, PAGE_LEN, Pairing, RopeTable};

type Vector = [f32; LANES];
/// Vectors in one line of 64 positions.
const PAGE_VECTORS: usize = PAGE_LEN / LANES;

/// One head of a page as f32: reused from page to page.
pub(super) struct PageScratch {
    /// Rotated keys `[head_dim, 64]`.
    keys: Vec<Vector>,
    /// Values `[64, padded_dim]`; the padding stays zero.
    values: Vec<Vector>,
    /// Cosines and sines `[head_dim / 2, 64]` where the table has no contiguous run for the page.
    angles: Vec<[f32; PAGE_LEN]>,
}

impl PageScratch {
    pub(super) fn new(head_dim: usize, padded_dim: usize) -> Self {
        Self {
            keys: vec![[0.0; LANES]; head_dim * PAGE_VECTORS],
            values: vec![[0.0; LANES]; PAGE_LEN * padded_dim / LANES],
            angles: Vec::new(),
        }
    }
}

/// Computes a page's [`Partial`] for some queries.
pub(super) struct ReducePage<'a> {
    pub(super) spec: &'a AttendSpec<'a>,
    pub(super) block: &'a KvBlock<'a>,
    pub(super) kv_head: usize,
    /// Query vectors, `heads_per_kv` for each row.
    pub(super) queries: &'a [&'a [f32]],
    /// Slots that each row sees.
    pub(super) seen: &'a [Range<usize>],
    pub(super) scratch: &'a mut PageScratch,
    pub(super) partial: &'a mut Partial,
}

impl Kernel for ReducePage<'_> {
    type Out = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let PageScratch { keys, values, angles } = self.scratch;
        load_keys(l, self.block, self.kv_head, keys);
        if let Some((table, pairing)) = self.spec.rope {
            rotate_keys(l, self.spec, table, pairing, self.block, angles, keys);
        }
        load_values(l, self.block, self.kv_head, self.spec.head_dim, values);
        let Partial { max, sum, out, weights } = self.partial;
        product(l, self.queries, keys, PAGE_VECTORS, weights);
        let per_row = self.spec.heads_per_kv();
        for (at, weights) in weights.as_chunks_mut::<PAGE_LEN>().0.iter_mut().enumerate() {
            (max[at], sum[at]) = softmax(l, weights, self.spec.scale, &self.seen[at / per_row]);
        }
        let weights: Vec<&[f32]> = weights.chunks_exact(PAGE_LEN).collect();
        product(l, &weights, values, values.len() / PAGE_LEN, out);
    }
}

/// `code · scale` per position and key group (or the stored float).
#[inline(always)]
fn load_keys<L: Lanes>(l: L, block: &KvBlock<'_>, head: usize, keys: &mut [Vector]) {
    match block.page.dtype() {
        kv::Dtype::Int8 => {
            let scales = block.page.k_scales(head).as_chunks::<LANES>().0;
            let codes = block.page.k_codes(head).as_chunks::<LANES>().0;
            let columns = codes.chunks_exact(PAGE_VECTORS).zip(keys.chunks_exact_mut(PAGE_VECTORS));
            for (dim, (codes, keys)) in columns.enumerate() {
                let scales = &scales[dim / kv::KEY_GROUP * PAGE_VECTORS..][..PAGE_VECTORS];
                for v in 0..PAGE_VECTORS {
                    l.store(l.mul(l.load_i8(&codes[v]), l.load(&scales[v])), &mut keys[v]);
                }
            }
        }
        kv::Dtype::Bf16 => widen(block.page.k_bf16(head), keys.as_flattened_mut()),
        kv::Dtype::F32 => keys.as_flattened_mut().copy_from_slice(block.page.k_f32(head)),
    }
}

#[inline(always)]
fn widen(from: &[bf16], to: &mut [f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = from.to_f32();
    }
}

#[inline(always)]
fn load_values<L: Lanes>(l: L, block: &KvBlock<'_>, head: usize, head_dim: usize, values: &mut [Vector]) {
    let per_slot = values.len() / PAGE_LEN;
    let slots = values.chunks_exact_mut(per_slot).enumerate();
    match block.page.dtype() {
        kv::Dtype::Int8 => {
            let (codes, scales) = (block.page.v_codes(head), block.page.v_scales(head));
            for (slot, values) in slots {
                let (vectors, tail) = codes[slot * head_dim..(slot + 1) * head_dim].as_chunks::<LANES>();
                for (codes, value) in vectors.iter().zip(&mut *values) {
                    l.store(l.mul(l.load_i8(codes), l.splat(scales[slot])), value);
                }
                for (i, &code) in tail.iter().enumerate() {
                    values[vectors.len()][i] = f32::from(code) * scales[slot];
                }
            }
        }
        kv::Dtype::Bf16 => {
            for (slot, values) in slots {
                widen(&block.page.v_bf16(head)[slot * head_dim..][..head_dim], values.as_flattened_mut());
            }
        }
        kv::Dtype::F32 => {
            for (slot, values) in slots {
                let value = &block.page.v_f32(head)[slot * head_dim..][..head_dim];
                values.as_flattened_mut()[..head_dim].copy_from_slice(value);
            }
        }
    }
}

/// `(a, b) → (a·cos − b·sin, b·cos + a·sin)`, the second product rounded once with the sum, as for queries.
#[inline(always)]
fn rotate_keys<L: Lanes>(
    l: L,
    spec: &AttendSpec<'_>,
    table: &RopeTable,
    pairing: Pairing,
    block: &KvBlock<'_>,
    angles: &mut Vec<[f32; PAGE_LEN]>,
    keys: &mut [Vector],
) {
    let run = contiguous_run(table, block);
    if run.is_none() {
        gather_angles(table, block, angles);
    }
    for i in 0..table.n_freqs() {
        let (cos, sin): (&[f32], &[f32]) = match run {
            Some(first) => {
                let at = i * table.n_pos() + first;
                (&table.cos()[at..at + PAGE_LEN], &table.sin()[at..at + PAGE_LEN])
            }
            None => (&angles[2 * i], &angles[2 * i + 1]),
        };
        let (cos, sin) = (cos.as_chunks::<LANES>().0, sin.as_chunks::<LANES>().0);
        let (a, b) = pairing.pair(i, spec.head_dim);
        for v in 0..PAGE_VECTORS {
            let (at_a, at_b) = (a * PAGE_VECTORS + v, b * PAGE_VECTORS + v);
            let (a, b) = (l.load(&keys[at_a]), l.load(&keys[at_b]));
            let (cos, sin) = (l.load(&cos[v]), l.load(&sin[v]));
            l.store(l.fnma(b, sin, l.mul(a, cos)), &mut keys[at_a]);
            l.store(l.fma(a, sin, l.mul(b, cos)), &mut keys[at_b]);
        }
    }
}

/// Table column of slot 0 when all 64 slots have consecutive columns.
fn contiguous_run(table: &RopeTable, block: &KvBlock<'_>) -> Option<usize> {
    let first = block.first_pos.checked_sub(block.visible.start as u64)?;
    let column = table.column(first)?;
    (column + PAGE_LEN <= table.n_pos()).then_some(column)
}

/// Angles of the visible slots one by one; the others, which nothing sees, get none.
fn gather_angles(table: &RopeTable, block: &KvBlock<'_>, angles: &mut Vec<[f32; PAGE_LEN]>) {
    angles.clear();
    angles.resize(2 * table.n_freqs(), [0.0; PAGE_LEN]);
    for slot in block.visible.clone() {
        let pos = block.first_pos + (slot - block.visible.start) as u64;
        let Some(column) = table.column(pos) else { continue };
        for i in 0..table.n_freqs() {
            (angles[2 * i][slot], angles[2 * i + 1][slot]) = table.angle(i, column);
        }
    }
}

/// Scores to weights `exp(scale · score − max)`, zero outside `seen`; gives the maximum and the sum of the weights.
#[inline(always)]
fn softmax<L: Lanes>(l: L, scores: &mut [f32; PAGE_LEN], scale: f32, seen: &Range<usize>) -> (f32, f32) {
    if seen.is_empty() {
        scores.fill(0.0);
        return (f32::NEG_INFINITY, 0.0);
    }
    let vectors = scores.as_chunks_mut::<LANES>().0;
    for v in &mut *vectors {
        l.store(l.mul(l.load(v), l.splat(scale)), v);
    }
    let flat = vectors.as_flattened_mut();
    flat[..seen.start].fill(f32::NEG_INFINITY);
    flat[seen.end..].fill(f32::NEG_INFINITY);
    let mut largest = l.splat(f32::NEG_INFINITY);
    for v in &*vectors {
        largest = l.max(largest, l.load(v));
    }
    let max = l.largest(largest);
    for v in &mut *vectors {
        l.store(exp(l, l.sub(l.load(v), l.splat(max))), v);
    }
    let flat = vectors.as_flattened_mut();
    flat[..seen.start].fill(0.0);
    flat[seen.end..].fill(0.0);
    let mut sum = l.splat(0.0);
    for v in &*vectors {
        sum = l.add(sum, l.load(v));
    }
    (max, l.sum(sum))
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

/// Merges a page into the total: both are brought to the larger maximum, then added.
pub(super) struct MergePage<'a> {
    pub(super) total: &'a mut Partial,
    pub(super) partial: &'a Partial,
    pub(super) padded_dim: usize,
}

impl Kernel for MergePage<'_> {
    type Out = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let Self { total, partial, padded_dim } = self;
        let n_queries = partial.max.len();
        for first in (0..n_queries).step_by(LANES) {
            let of = first..(first + LANES).min(n_queries);
            let (old, new) = (lanes_of(&total.max[of.clone()]), lanes_of(&partial.max[of.clone()]));
            let max = l.max(l.load(&old), l.load(&new));
            // Where both are −∞ the factors have no meaning: the page has nothing for such a query, which is passed over.
            let finite = l.max(max, l.splat(f32::MIN));
            let (mut maxima, mut keep, mut add) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
            l.store(max, &mut maxima);
            l.store(exp(l, l.sub(l.load(&old), finite)), &mut keep);
            l.store(exp(l, l.sub(l.load(&new), finite)), &mut add);
            for (lane, at) in of.enumerate() {
                if partial.max[at] == f32::NEG_INFINITY {
                    continue;
                }
                // The first page merges into nothing: exp(−∞) is written out as zero.
                let keep = if old[lane] == f32::NEG_INFINITY { 0.0 } else { keep[lane] };
                let add = add[lane];
                total.max[at] = maxima[lane];
                total.sum[at] = total.sum[at].mul_add(keep, partial.sum[at] * add);
                let range = at * padded_dim..(at + 1) * padded_dim;
                let total = total.out[range.clone()].as_chunks_mut::<LANES>().0;
                for (total, page) in total.iter_mut().zip(partial.out[range].as_chunks::<LANES>().0) {
                    let page = l.mul(l.load(page), l.splat(add));
                    l.store(l.fma(l.load(total), l.splat(keep), page), total);
                }
            }
        }
    }
}

/// Up to 16 values; −∞ in the lanes that are left.
#[inline(always)]
fn lanes_of(values: &[f32]) -> [f32; LANES] {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    lanes[..values.len()].copy_from_slice(values);
    lanes
}
