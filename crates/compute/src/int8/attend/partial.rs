//! What queries have of one page, or of all pages merged so far, and the merge.

use crate::PAGE_LEN;
use crate::int8::exp::exp;
use crate::simd::{Kernel, LANES, Lanes};

/// Of a set of query vectors.
pub(super) struct Partial<'a> {
    /// Largest score, −∞ where nothing is seen, `[n_queries]`.
    pub(super) max: &'a mut [f32],
    /// Sum of weights relative to `max`, `[n_queries]`.
    pub(super) sum: &'a mut [f32],
    /// Weighted values `[n_queries, padded_dim]`, in units of `unit`.
    pub(super) out: &'a mut [f32],
    /// `[n_queries]`
    pub(super) unit: &'a mut [f32],
    /// Weights relative to `max`, `[n_queries, PAGE_LEN]`; of one page.
    pub(super) weights: &'a mut [f32],
}

/// Room for the [`Partial`]s of some pages in one piece: an allocation for each vector of each page would show in the time
/// of decoding.
pub(super) struct Partials {
    values: Vec<f32>,
    /// Those of all pages, or of the page that was last asked for.
    weights: Vec<f32>,
    keep_weights: bool,
    per_page: usize,
    n_queries: usize,
    padded_dim: usize,
}

impl Partials {
    /// Of `n_pages` that have seen nothing. Without `keep_weights` a page's weights last until the next page is asked for.
    pub(super) fn new(n_pages: usize, n_queries: usize, padded_dim: usize, keep_weights: bool) -> Self {
        let per_page = n_queries * (3 + padded_dim);
        let kept = if keep_weights { n_pages } else { 1 };
        let weights = vec![0.0; kept * n_queries * PAGE_LEN];
        let values = vec![0.0; n_pages * per_page];
        let mut partials = Self { values, weights, keep_weights, per_page, n_queries, padded_dim };
        for page in 0..n_pages {
            let Partial { max, unit, .. } = partials.at(page);
            max.fill(f32::NEG_INFINITY);
            unit.fill(1.0);
        }
        partials
    }

    pub(super) fn at(&mut self, page: usize) -> Partial<'_> {
        let (n, padded_dim) = (self.n_queries, self.padded_dim);
        let values = &mut self.values[page * self.per_page..(page + 1) * self.per_page];
        let (max, values) = values.split_at_mut(n);
        let (sum, values) = values.split_at_mut(n);
        let (unit, out) = values.split_at_mut(n);
        debug_assert_eq!(out.len(), n * padded_dim);
        let at = if self.keep_weights { page } else { 0 };
        Partial {
            max,
            sum,
            out,
            unit,
            weights: &mut self.weights[at * n * PAGE_LEN..(at + 1) * n * PAGE_LEN],
        }
    }
}

/// Merges a page into the total, whose unit is 1: both are brought to the larger maximum, then added.
pub(super) struct MergePage<'a, 't, 'p> {
    pub(super) total: &'a mut Partial<'t>,
    pub(super) page: &'a Partial<'p>,
    pub(super) padded_dim: usize,
}

impl Kernel for MergePage<'_, '_, '_> {
    type Out = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let Self { total, page, padded_dim } = self;
        let n_queries = page.max.len();
        for first in (0..n_queries).step_by(LANES) {
            let of = first..(first + LANES).min(n_queries);
            let (old, new) = (padded(&total.max[of.clone()]), padded(&page.max[of.clone()]));
            let max = l.max(l.load(&old), l.load(&new));
            // Where both are −∞ the factors have no meaning: the page has nothing for such a query, which is passed
            // over. Where the total has seen nothing it is all zero, whatever it is multiplied with.
            let finite = l.max(max, l.splat(f32::MIN));
            let (mut maxima, mut keep, mut add) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
            l.store(max, &mut maxima);
            l.store(exp(l, l.sub(l.load(&old), finite)), &mut keep);
            l.store(exp(l, l.sub(l.load(&new), finite)), &mut add);
            for (lane, at) in of.enumerate() {
                if page.max[at] == f32::NEG_INFINITY {
                    continue;
                }
                let (keep, add) = (keep[lane], add[lane]);
                total.max[at] = maxima[lane];
                total.sum[at] = total.sum[at].mul_add(keep, page.sum[at] * add);
                let (keep, add) = (l.splat(keep), l.splat(page.unit[at] * add));
                let range = at * padded_dim..(at + 1) * padded_dim;
                let total = total.out[range.clone()].as_chunks_mut::<LANES>().0;
                for (total, page) in total.iter_mut().zip(page.out[range].as_chunks::<LANES>().0) {
                    l.store(l.fma(l.load(total), keep, l.mul(l.load(page), add)), total);
                }
            }
        }
    }
}

/// Up to 16 values; −∞ in the lanes that are left.
#[inline(always)]
fn padded(values: &[f32]) -> [f32; LANES] {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    lanes[..values.len()].copy_from_slice(values);
    lanes
}
