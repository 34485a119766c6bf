//! The queries of a task, turned to where the keys of a page were stored, as floats and in int8.
//!
//! A page's keys keep the turn of the position they were computed at. Rotation is relative: where the page has moved by
//! `d`, a query at `p` scores it from `p − d`. All pages that have moved alike share the turned queries.

use super::{Attend, Task};
use crate::int8::acts::{Term, quantise_group};
use crate::int8::matrix::GROUP;
use crate::int8::rotate::RotateRow;
use crate::simd::{Kernel, Lanes};
use crate::{AttendSpec, KvBlock};

/// Query vectors `[n_queries]`, row by row and head by head.
pub(super) struct Queries<'a> {
    spec: &'a AttendSpec<'a>,
    /// As they were given, each `[head_dim]`.
    given: Vec<&'a [f32]>,
    /// Position of each.
    pos: Vec<u64>,
    /// Of the pages: those of `K6V4` ask for another basis.
    dtype: kv::Dtype,
    /// How far the keys have moved that they are turned for; `None` before the first page.
    moved: Option<i64>,
    /// Turned, `[n_queries, head_dim]`.
    pub(super) floats: Vec<f32>,
    pub(super) int8: Int8Queries,
}

/// Query vectors in int8, a scale for every group of 32 dimensions.
#[derive(Default)]
pub(super) struct Int8Queries {
    /// Codes, four to a word, `[n_queries, groups · 8]`; those past the head's dimensions are zero.
    pub(super) words: Vec<i32>,
    /// With the factor of the scores in it, `[n_queries, groups]`.
    pub(super) scales: Vec<f32>,
    /// Sum of a group's codes, `[n_queries, groups]`.
    pub(super) sums: Vec<i32>,
    pub(super) groups: usize,
}

impl<'a> Attend<'a> {
    pub(super) fn queries(&self, task: &Task) -> Queries<'a> {
        let (spec, q) = (self.spec, self.q);
        let (head_dim, n) = (spec.head_dim, spec.heads_per_kv());
        let heads = task.kv_head * n..(task.kv_head + 1) * n;
        let of_row = |row| heads.clone().map(move |head| &q.row(row)[head * head_dim..(head + 1) * head_dim]);
        Queries {
            spec,
            given: task.rows.clone().flat_map(of_row).collect(),
            pos: task.rows.clone().flat_map(|row| std::iter::repeat_n(spec.q_pos[row], n)).collect(),
            dtype: self.dtype,
            moved: None,
            floats: Vec::new(),
            int8: Int8Queries::default(),
        }
    }
}

impl Queries<'_> {
    /// Makes the queries ready for a page.
    pub(super) fn turn_for(&mut self, isa: crate::Isa, block: &KvBlock<'_>) {
        let moved = self.spec.rope.map_or(0, |_| block.moved());
        if self.moved != Some(moved) {
            self.moved = Some(moved);
            isa.run(Turn { queries: self, moved });
        }
    }
}

struct Turn<'t, 'q> {
    queries: &'t mut Queries<'q>,
    moved: i64,
}

impl Kernel for Turn<'_, '_> {
    type Out = ();

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) {
        let Queries { spec, given, pos, dtype, floats, int8, .. } = self.queries;
        floats.clear();
        int8.words.clear();
        int8.scales.clear();
        int8.sums.clear();
        int8.groups = spec.head_dim.div_ceil(GROUP);
        for (given, &pos) in given.iter().zip(&*pos) {
            let first = floats.len();
            floats.extend_from_slice(given);
            let turned = &mut floats[first..];
            if let Some((table, pairing)) = spec.rope {
                // Before position 0 nothing of the page is seen.
                let angles = table.angles(pos.saturating_add_signed(-self.moved));
                RotateRow { row: turned, head_dim: spec.head_dim, angles, pairing }.run(l);
            }
            if *dtype == kv::Dtype::K6V4 {
                kv::hadamard(turned);
            }
            for part in turned.chunks(GROUP) {
                let mut group = [0.0; GROUP];
                group[..part.len()].copy_from_slice(part);
                let (Term { words, scale, .. }, sum) = quantise_group(l, &group);
                int8.words.extend(words);
                int8.scales.push(scale * spec.scale);
                int8.sums.push(sum);
            }
        }
    }
}
