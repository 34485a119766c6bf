//! Scores of one page to weights.

use std::ops::Range;

use crate::PAGE_LEN;
use crate::int8::exp::exp;
use crate::simd::{LANES, Lanes};

/// Scores to weights `exp(score − max)`, zero outside `seen`; gives the maximum and the sum of the weights.
#[inline(always)]
pub(super) fn softmax<L: Lanes>(l: L, scores: &mut [f32; PAGE_LEN], seen: &Range<usize>) -> (f32, f32) {
    if seen.is_empty() {
        scores.fill(0.0);
        return (f32::NEG_INFINITY, 0.0);
    }
    let whole = *seen == (0..PAGE_LEN);
    if !whole {
        scores[..seen.start].fill(f32::NEG_INFINITY);
        scores[seen.end..].fill(f32::NEG_INFINITY);
    }
    let vectors = scores.as_chunks_mut::<LANES>().0;
    let mut largest = l.load(&vectors[0]);
    for vector in &vectors[1..] {
        largest = l.max(largest, l.load(vector));
    }
    let max = l.largest(largest);
    for vector in &mut *vectors {
        l.store(exp(l, l.sub(l.load(vector), l.splat(max))), vector);
    }
    if !whole {
        let flat = vectors.as_flattened_mut();
        flat[..seen.start].fill(0.0);
        flat[seen.end..].fill(0.0);
    }
    let vectors = scores.as_chunks::<LANES>().0;
    let mut sum = l.load(&vectors[0]);
    for vector in &vectors[1..] {
        sum = l.add(sum, l.load(vector));
    }
    (max, l.sum(sum))
}
