//! Queries against one head of a coded page: scores, weights and weighted values in exact integer dot products, over int8
//! codes as they lie on disk or are unpacked (`codes`).
//!
//! Scores: `s = Σ_g (dot_g · k_scale_g) · q_scale_g` over groups of 32 dimensions in order, the factor of the scores being
//! part of `q_scale`. Weights: `p = exp(s − max)`; what multiplies the value codes is `p · v_scale` in 255 steps of the
//! query's largest.
//!
//! Blocks are 6 queries × 4 lines with AVX-512 (24 sums in registers), else 3 × 1 (6 sums). A page of 64 slots and 64
//! dimensions takes 128 dot products of 64 codes and about 140 other operations a query; `cargo bench -p compute`
//! measures it.

use std::hint::black_box;
use std::ops::Range;

use super::PAGE_VECTORS;
use super::ahead::Ahead;
use super::codes::{CodeScratch, Head, Line, QUADS};
use super::partial::Partial;
use super::queries::Int8Queries;
use super::softmax;
use crate::int8::matrix::LINES;
use crate::simd::{Kernel, LANES, Lanes};
use crate::{KvBlock, PAGE_LEN};

/// Queries that go through all steps before the next ones do: what they need lies in the first cache.
const AT_A_TIME: usize = 24;

/// Computes a page's [`Partial`] for some queries.
pub(super) struct ReduceInt8<'a> {
    pub(super) block: &'a KvBlock<'a>,
    pub(super) kv_head: usize,
    pub(super) head_dim: usize,
    pub(super) queries: &'a Int8Queries,
    /// Slots that each row of queries sees.
    pub(super) seen: &'a [Range<usize>],
    /// Queries of a row.
    pub(super) per_row: usize,
    pub(super) scratch: &'a mut CodeScratch,
    pub(super) partial: Partial<'a>,
    /// What the next page holds of the head, to be asked for meanwhile.
    pub(super) next: [&'a [u8]; 4],
}

impl Kernel for ReduceInt8<'_> {
    type Out = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let Self { block, kv_head, head_dim, queries, seen, per_row, scratch, partial, next } = self;
        let Partial { max, sum, out, unit, weights } = partial;
        let weights = weights.as_chunks_mut::<PAGE_LEN>().0;
        // The first queries bring in what the others find there: five pieces around their steps, and one after each step of
        // a query.
        let first_queries = weights.len().min(AT_A_TIME);
        let mut ahead = Ahead::new(next, 5 + 3 * first_queries);
        ahead.ask();
        let head = Head::of(block.page, kv_head, head_dim, scratch);
        let out = out.as_chunks_mut::<LANES>().0;
        let per_query = head.values.len() / QUADS;
        let mut codes = [[0i32; QUADS]; AT_A_TIME];
        for first in (0..weights.len()).step_by(AT_A_TIME) {
            let of = first..(first + AT_A_TIME).min(weights.len());
            let codes = &mut codes[..of.len()];
            let weights = &mut weights[of.clone()];
            ahead.ask();
            scores(l, queries, &head, first, weights);
            ahead.ask();
            // Step by step, each over all queries: a query's own steps wait for one another, those of several do not.
            for (i, at) in of.clone().enumerate() {
                max[at] = softmax::highest(l, &mut weights[i], &seen[at / per_row]);
                ahead.ask();
            }
            for (i, at) in of.clone().enumerate() {
                sum[at] = softmax::weights(l, &mut weights[i], max[at], &seen[at / per_row]);
                ahead.ask();
            }
            for (i, at) in of.clone().enumerate() {
                unit[at] = quantise(l, &weights[i], head.value_scales, &mut codes[i]);
                ahead.ask();
            }
            ahead.ask();
            let out = &mut out[of.start * per_query..of.end * per_query];
            weighted(l, codes, head.values, out);
            ahead.ask();
            debug_assert!(ahead.is_done(), "a piece that nobody asked for");
        }
    }
}

/// `scores[i, 64]` of query `first + i`.
#[inline(always)]
fn scores<L: Lanes>(
    l: L,
    queries: &Int8Queries,
    head: &Head<'_>,
    first: usize,
    scores: &mut [[f32; PAGE_LEN]],
) {
    let mut at = 0;
    while at < scores.len() {
        let left = scores.len() - at;
        if L::WIDE {
            at += match left {
                6.. => score_block::<L, 6, PAGE_VECTORS>(l, queries, head, first, (at, 0), scores),
                3.. => score_block::<L, 3, PAGE_VECTORS>(l, queries, head, first, (at, 0), scores),
                _ => score_block::<L, 1, PAGE_VECTORS>(l, queries, head, first, (at, 0), scores),
            };
        } else {
            let mut done = 0;
            for v in 0..PAGE_VECTORS {
                done = match left {
                    3.. => score_block::<L, 3, 1>(l, queries, head, first, (at, v), scores),
                    _ => score_block::<L, 1, 1>(l, queries, head, first, (at, v), scores),
                };
            }
            at += done;
        }
    }
}

/// `Q` queries by `V` vectors of slots from `(query, vector)` on; gives back `Q`.
#[inline(always)]
fn score_block<L: Lanes, const Q: usize, const V: usize>(
    l: L,
    queries: &Int8Queries,
    head: &Head<'_>,
    first: usize,
    (at, v): (usize, usize),
    scores: &mut [[f32; PAGE_LEN]],
) -> usize {
    let groups = queries.groups;
    let first = first + at;
    let scores: &mut [[f32; PAGE_LEN]] = &mut scores[at..at + Q];
    for scores in &mut *scores {
        scores[v * LANES..(v + V) * LANES].fill(0.0);
    }
    let lines = head.keys.chunks(LINES * PAGE_VECTORS);
    for (g, (lines, scales)) in lines.zip(head.key_scales.chunks_exact(PAGE_VECTORS)).enumerate() {
        let mut words = [&[0; LINES]; Q];
        let mut dots = [[l.signed_start(0); V]; Q];
        for i in 0..Q {
            let of_query = (first + i) * groups + g;
            words[i] = &queries.words.as_chunks().0[of_query];
            dots[i] = [l.signed_start(queries.sums[of_query]); V];
        }
        // No bounds are left to check in the loop: a way out of it would keep all sums in memory.
        let quads = &lines.as_chunks::<PAGE_VECTORS>().0[..black_box(lines.len() / PAGE_VECTORS)];
        for (j, quad) in (0..LINES).zip(quads) {
            let quad: &[Line] = &quad[v..v + V];
            for k in 0..V {
                let line = l.load_signed(&quad[k]);
                for i in 0..Q {
                    dots[i][k] = l.dot_signed(dots[i][k], line, words[i][j]);
                }
            }
        }
        for i in 0..Q {
            let scale = l.splat(queries.scales[(first + i) * groups + g]);
            let scores = &mut scores[i].as_chunks_mut::<LANES>().0[v..v + V];
            for k in 0..V {
                let part = l.mul(l.signed_to_f32(dots[i][k]), l.load(&scales[v + k]));
                l.store(l.fma(part, scale, l.load(&scores[k])), &mut scores[k]);
            }
        }
    }
    Q
}

/// `code = round(p · v_scale · (255 / largest))`, four to a word; gives the size of a step.
#[inline(always)]
fn quantise<L: Lanes>(
    l: L,
    weights: &[f32; PAGE_LEN],
    value_scales: &[[f32; LANES]],
    words: &mut [i32; QUADS],
) -> f32 {
    let weights = weights.as_chunks::<LANES>().0;
    let mut scaled = [l.splat(0.0); PAGE_VECTORS];
    let mut largest = l.splat(0.0);
    for v in 0..PAGE_VECTORS {
        scaled[v] = l.mul(l.load(&weights[v]), l.load(&value_scales[v]));
        largest = l.max(largest, scaled[v]);
    }
    // Values of all zero, or so small that their codes would be.
    let largest = l.largest(largest);
    let largest = if largest > 1e-30 { largest } else { 1e-30 };
    let inverse = l.splat(255.0 / largest);
    let mut codes = [[0u8; LANES]; PAGE_VECTORS];
    for v in 0..PAGE_VECTORS {
        l.store_u8(l.mul(scaled[v], inverse), &mut codes[v]);
    }
    for (word, codes) in words.iter_mut().zip(codes.as_flattened().as_chunks::<4>().0) {
        *word = i32::from_le_bytes(*codes);
    }
    largest / 255.0
}

/// Exact sums of codes, `out[i, padded_dim]`: at most 64 · 255 · 127, which an f32 holds.
#[inline(always)]
fn weighted<L: Lanes>(l: L, codes: &[[i32; QUADS]], values: &[Line], out: &mut [[f32; LANES]]) {
    let n_vectors = values.len() / QUADS;
    let mut v = 0;
    while v < n_vectors {
        let four = L::WIDE && v + 4 <= n_vectors;
        let mut at = 0;
        while at < codes.len() {
            at += match (four, codes.len() - at) {
                (true, 6..) => weigh_block::<L, 6, 4>(l, codes, values, (at, v), out),
                (true, 3..) => weigh_block::<L, 3, 4>(l, codes, values, (at, v), out),
                (true, _) => weigh_block::<L, 1, 4>(l, codes, values, (at, v), out),
                (false, 3..) => weigh_block::<L, 3, 1>(l, codes, values, (at, v), out),
                (false, _) => weigh_block::<L, 1, 1>(l, codes, values, (at, v), out),
            };
        }
        v += if four { 4 } else { 1 };
    }
}

/// `Q` queries by `V` lines from `(query, line)` on; gives back `Q`.
#[inline(always)]
fn weigh_block<L: Lanes, const Q: usize, const V: usize>(
    l: L,
    codes: &[[i32; QUADS]],
    values: &[Line],
    (at, v): (usize, usize),
    out: &mut [[f32; LANES]],
) -> usize {
    let n_vectors = values.len() / QUADS;
    let codes: &[[i32; QUADS]] = &codes[at..at + Q];
    let mut dots = [[l.zero_weighted(); V]; Q];
    let n_quads = black_box(QUADS).min(QUADS);
    for quad in 0..n_quads {
        let lines: &[Line] = &values[quad * n_vectors + v..][..V];
        for j in 0..V {
            let line = l.load_codes(&lines[j]);
            for i in 0..Q {
                dots[i][j] = l.dot_weights(dots[i][j], line, codes[i][quad]);
            }
        }
    }
    for i in 0..Q {
        for j in 0..V {
            l.store(l.weighted_to_f32(dots[i][j]), &mut out[(at + i) * n_vectors + v + j]);
        }
    }
    Q
}
