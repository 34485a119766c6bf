//! The rows of a product in parts, and the second terms of each part group by group: terms that meet the same weights run
//! together, as first terms do.

use std::ops::Range;

use super::acts::{Int8Acts, Term};

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
        let rows = (0..acts.n_rows).step_by(per_part);
        rows.map(|first| Self::new(acts, first..(first + per_part).min(acts.n_rows))).collect()
    }

    fn new(acts: &'a Int8Acts, rows: Range<usize>) -> Self {
        let of_row =
            |row| acts.seconds(row).iter().map(move |second| (second.group, row - rows.start, &second.term));
        let mut seconds: Vec<(usize, usize, &Term)> = rows.clone().flat_map(of_row).collect();
        seconds.sort_unstable_by_key(|&(group, row, _)| (group, row));
        let mut runs: Vec<(usize, Range<usize>)> = Vec::new();
        for (at, &(group, ..)) in seconds.iter().enumerate() {
            match runs.last_mut() {
                Some((of, run)) if *of == group => run.end = at + 1,
                _ => runs.push((group, at..at + 1)),
            }
        }
        Self { rows, seconds: seconds.into_iter().map(|(_, row, term)| (row, term)).collect(), runs }
    }

    /// Groups with the rows and terms of each, in the order of the groups.
    pub(super) fn seconds(&self) -> impl Iterator<Item = (usize, &[(usize, &'a Term)])> {
        self.runs.iter().map(|(group, run)| (*group, &self.seconds[run.clone()]))
    }
}
