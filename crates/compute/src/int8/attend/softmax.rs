//! Scores of one page to weights.

use std::ops::Range;

use crate::PAGE_LEN;
use crate::int8::exp::exp_below;
use crate::simd::{LANES, Lanes};

/// The largest score that is seen; −∞ where none is. Scores outside `seen` become −∞.
#[inline(always)]
pub(super) fn highest<L: Lanes>(l: L, scores: &mut [f32; PAGE_LEN], seen: &Range<usize>) -> f32 {
    if seen.is_empty() {
        return f32::NEG_INFINITY;
    }
    if *seen != (0..PAGE_LEN) {
        scores[..seen.start].fill(f32::NEG_INFINITY);
        scores[seen.end..].fill(f32::NEG_INFINITY);
    }
    let vectors = scores.as_chunks::<LANES>().0;
    let mut largest = l.load(&vectors[0]);
    for vector in &vectors[1..] {
        largest = l.max(largest, l.load(vector));
    }
    l.largest(largest)
}

/// Scores to weights `exp(score − max)`, zero outside `seen`; gives their sum. `max` is that of [`highest`].
#[inline(always)]
pub(super) fn weights<L: Lanes>(l: L, scores: &mut [f32; PAGE_LEN], max: f32, seen: &Range<usize>) -> f32 {
    if seen.is_empty() {
        scores.fill(0.0);
        return 0.0;
    }
    let whole = *seen == (0..PAGE_LEN);
    let mut sum = l.splat(0.0);
    for (v, vector) in scores.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
        let weights = exp_below(l, l.sub(l.load(vector), l.splat(max)));
        l.store(weights, vector);
        sum = if v == 0 { weights } else { l.add(sum, weights) };
    }
    if whole {
        return l.sum(sum);
    }
    scores[..seen.start].fill(0.0);
    scores[seen.end..].fill(0.0);
    let vectors = scores.as_chunks::<LANES>().0;
    let mut sum = l.load(&vectors[0]);
    for vector in &vectors[1..] {
        sum = l.add(sum, l.load(vector));
    }
    l.sum(sum)
}
