//! The rows of a product in parts, and the second terms of each part group by group: terms that meet the same weights run
//! together, as first terms do.

use std::ops::Range;

use rayon::prelude::*;

use super::acts::{Int8Acts, Term};
use super::matrix::{GROUP, LINES};

/// Holds a place until a term is put there.
static NO_TERM: Term = Term { words: [0; LINES], scale: 0.0, scaled_sum: 0.0 };

/// Rows of the activations that go over all tiles of a task before the next ones do.
pub(super) struct Part<'a> {
    pub(super) rows: Range<usize>,
    /// `(row within the part, term)` in the order of the groups, then of the rows.
    seconds: Vec<(usize, &'a Term)>,
    /// Groups that have second terms, and which of `seconds` those are.
    runs: Vec<(usize, Range<usize>)>,
}

impl<'a> Part<'a> {
    /// All rows of `acts`, no more than `at_most` to a part; every part but the last has a multiple of four.
    pub(super) fn all(acts: &'a Int8Acts, at_most: usize) -> Vec<Self> {
        let n_parts = acts.n_rows.div_ceil(at_most).max(1);
        let per_part = acts.n_rows.div_ceil(n_parts).next_multiple_of(4).max(4);
        let part = |at: usize| Self::new(acts, at * per_part..((at + 1) * per_part).min(acts.n_rows));
        // One part is no work for other threads.
        if n_parts == 1 {
            return (0..acts.n_rows.min(1)).map(part).collect();
        }
        (0..acts.n_rows.div_ceil(per_part)).into_par_iter().map(part).collect()
    }

    /// Second terms of rows lie in the order of the rows: they are counted by group, then put where each group begins.
    fn new(acts: &'a Int8Acts, rows: Range<usize>) -> Self {
        let mut ends = vec![0; acts.width / GROUP];
        for second in rows.clone().flat_map(|row| acts.seconds(row)) {
            ends[second.group] += 1;
        }
        let (mut runs, mut n) = (Vec::new(), 0);
        for (group, end) in ends.iter_mut().enumerate() {
            let count = std::mem::replace(end, n);
            if count > 0 {
                runs.push((group, n..n + count));
            }
            n += count;
        }
        let mut seconds = vec![(0, &NO_TERM); n];
        for row in rows.clone() {
            for second in acts.seconds(row) {
                let at = &mut ends[second.group];
                seconds[*at] = (row - rows.start, &second.term);
                *at += 1;
            }
        }
        Self { rows, seconds, runs }
    }

    /// Groups with the rows and terms of each, in the order of the groups.
    pub(super) fn seconds(&self) -> impl Iterator<Item = (usize, &[(usize, &'a Term)])> {
        self.runs.iter().map(|(group, run)| (*group, &self.seconds[run.clone()]))
    }
}
