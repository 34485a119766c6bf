//! Attention over pages that come in several calls: each goes on from what the calls before have gathered, with the same
//! merges in the same order as one call over all pages.

use rayon::prelude::*;

use super::{Attend, Task, partial::Partials};
use crate::simd::Isa;
use crate::{AttendGroup, AttendSpec, PAGE_LEN, PageWeights, Rows, Walk};

pub(crate) fn walk_on(
    isa: Isa,
    spec: &AttendSpec<'_>,
    q: &Rows,
    groups: &[AttendGroup<'_>],
    walk: &mut Walk,
) {
    spec.check(q, groups);
    let attend = Attend::new(isa, spec, q, groups);
    if groups.iter().any(|group| !group.blocks.is_empty()) {
        assert_eq!(*walk.dtype.get_or_insert(attend.dtype), attend.dtype, "pages of two kinds");
    }
    let tasks = attend.tasks();
    let before = &*walk;
    let run = |task: &Task| attend.walk(task, before);
    let results: Vec<(Partials, Vec<PageWeights>)> = tasks.par_iter().map(run).collect();
    for (task, (mut total, pages)) in tasks.iter().zip(results) {
        let total = total.at(0);
        for (i, at) in attend.places(task).enumerate() {
            walk.max[at] = total.max[i];
            walk.sum[at] = total.sum[i];
            let padded = attend.padded_dim;
            walk.out[at * padded..(at + 1) * padded]
                .copy_from_slice(&total.out[i * padded..(i + 1) * padded]);
        }
        walk.pages.extend(pages);
    }
}

impl Attend<'_> {
    /// Query vectors of the task, in its order, as `row * n_heads + head`.
    fn places(&self, task: &Task) -> impl Iterator<Item = usize> {
        let (n_heads, per_kv) = (self.spec.n_heads, self.spec.heads_per_kv());
        let first = task.kv_head * per_kv;
        task.rows.clone().flat_map(move |row| (first..first + per_kv).map(move |head| row * n_heads + head))
    }

    fn walk(&self, task: &Task, walk: &Walk) -> (Partials, Vec<PageWeights>) {
        let places: Vec<usize> = self.places(task).collect();
        let padded = self.padded_dim;
        let mut totals = Partials::new(1, places.len(), padded, false);
        let mut total = totals.at(0);
        for (i, &at) in places.iter().enumerate() {
            total.max[i] = walk.max[at];
            total.sum[i] = walk.sum[at];
            total.out[i * padded..(i + 1) * padded]
                .copy_from_slice(&walk.out[at * padded..(at + 1) * padded]);
        }
        let n_heads = self.spec.n_heads;
        let mut pages = Vec::new();
        self.merge_pages(task, true, &mut total, &mut |block, partial, total| {
            for (i, &at) in places.iter().enumerate() {
                let so_far = (total.max[i], total.sum[i]);
                if walk.lists(at, n_heads, partial.max[i], partial.sum[i], so_far) {
                    let weights = partial.weights.as_chunks::<PAGE_LEN>().0[i];
                    let (row, head) = (at / n_heads, at % n_heads);
                    pages.push(PageWeights { row, head, block, max: partial.max[i], weights });
                }
            }
        });
        (totals, pages)
    }
}
