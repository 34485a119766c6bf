//! Attention of the fast path, one page at a time, merged in the order of the pages: coded pages in integer dot products
//! (`int8_page`), pages of floats in f32 (`float_page`).
//!
//! Per page and query head: `s = scale · (q · k)`, `m = max s`, `p = exp(s − m)`, `l = Σ p`, `o = Σ p · v`, each sum in a
//! fixed order. Pages merge into the running `(m, l, o)` in canonical order, whether one task walked all pages or
//! many tasks took a page each. So a row's bits depend on its query, its position and the pages alone.

mod ahead;
mod codes;
mod float_page;
mod int8_page;
mod partial;
mod queries;
mod softmax;
mod walk;

pub(super) use walk::walk_on;

use std::ops::Range;

use rayon::prelude::*;

use self::codes::CodeScratch;
use self::float_page::{FloatScratch, ReduceFloat};
use self::int8_page::ReduceInt8;
use self::partial::{MergePage, Partial, Partials};
use self::queries::Queries;
use crate::simd::{Isa, LANES, Scatter, prefetch};
use crate::{AttendGroup, AttendSpec, PAGE_LEN, Rows};

/// Query rows that go through the pages together: twice as many where mass is wanted, which is added tile by tile, so that
/// its bits hang on their size.
const TILE_ROWS: usize = 16;
const MASS_TILE_ROWS: usize = 32;
/// Vectors in one line of 64 positions.
const PAGE_VECTORS: usize = PAGE_LEN / LANES;
/// With fewer query rows than this, pages are shared out to threads instead of rows.
const SPLIT_ROWS: usize = 8;
/// Pages that a task walks itself, whatever the number of threads.
const TASK_PAGES: usize = 4;
/// Tasks for each thread that pages are shared out for, about.
const THREAD_TASKS: usize = 8;

/// Some rows of a group and the query heads of one KV head.
#[derive(Clone)]
struct Task {
    group: usize,
    kv_head: usize,
    rows: Range<usize>,
}

/// Room for one page, made when it is first needed.
#[derive(Default)]
struct PageScratch {
    float: FloatScratch,
    codes: CodeScratch,
    /// Slots of the page that each row sees.
    seen: Vec<Range<usize>>,
}

/// Weights kept of one page, to be turned into mass when the final maximum is known.
struct PageWeights {
    page: usize,
    max: Vec<f32>,
    weights: Vec<f32>,
}

/// The inputs of a call, and what its tasks are.
struct Attend<'a> {
    isa: Isa,
    spec: &'a AttendSpec<'a>,
    q: &'a Rows,
    groups: &'a [AttendGroup<'a>],
    padded_dim: usize,
    /// Of all pages.
    dtype: kv::Dtype,
    /// Pages that a task of few rows walks itself; more of them are shared out.
    share: usize,
}

pub(super) fn attend(
    isa: Isa,
    spec: &AttendSpec<'_>,
    q: &Rows,
    groups: &mut [AttendGroup<'_>],
    out: &mut Rows,
) {
    spec.check(q, groups);
    out.resize(q.n_rows(), q.width());
    out.as_mut_slice().fill(0.0);
    let masses = {
        let (groups, out) = (&*groups, Scatter::new(out));
        let attend = Attend::new(isa, spec, q, groups);
        let tasks = attend.tasks();
        let run = |task: &Task| (task.group, attend.run(task, &out));
        // Tasks come back in order, so mass is added in one order too.
        tasks.par_iter().map(run).collect::<Vec<_>>()
    };
    for (group, task_mass) in masses {
        let Some(mass) = groups[group].mass.as_deref_mut() else { continue };
        for (mass, add) in mass.iter_mut().zip(&task_mass) {
            *mass += add;
        }
    }
}

fn tile_rows(group: &AttendGroup<'_>) -> usize {
    if group.mass.is_some() { MASS_TILE_ROWS } else { TILE_ROWS }
}

impl<'a> Attend<'a> {
    fn new(isa: Isa, spec: &'a AttendSpec<'a>, q: &'a Rows, groups: &'a [AttendGroup<'a>]) -> Self {
        // Without pages there is nothing that has a type.
        let page = groups.iter().find_map(|group| group.blocks.first());
        let dtype = page.map_or(kv::Dtype::Int8, |block| block.page.dtype());
        let n_pages =
            |group: &AttendGroup<'_>| group.blocks.len() * group.rows.len().div_ceil(tile_rows(group));
        let n_pages = groups.iter().map(n_pages).sum::<usize>() * spec.n_kv_heads;
        let share = n_pages.div_ceil(THREAD_TASKS * rayon::current_num_threads()).max(TASK_PAGES);
        Self { isa, spec, q, groups, padded_dim: spec.head_dim.next_multiple_of(LANES), dtype, share }
    }

    fn tasks(&self) -> Vec<Task> {
        let mut tasks = Vec::new();
        for (group, of) in self.groups.iter().enumerate() {
            for first in of.rows.clone().step_by(tile_rows(of)) {
                let rows = first..(first + tile_rows(of)).min(of.rows.end);
                let task = |kv_head| Task { group, kv_head, rows: rows.clone() };
                tasks.extend((0..self.spec.n_kv_heads).map(task));
            }
        }
        tasks
    }

    /// Attends the task's queries to all pages, writes their output, and gives their mass per slot (empty if unwanted).
    fn run(&self, task: &Task, out: &Scatter<'_>) -> Vec<f32> {
        let group = &self.groups[task.group];
        let n_queries = task.rows.len() * self.spec.heads_per_kv();
        let wants_mass = group.mass.is_some() && task.rows.clone().any(|row| group.mass_rows.contains(&row));
        let mut total = Partials::new(1, n_queries, self.padded_dim, false);
        let mut total = total.at(0);
        let mut kept = Vec::new();
        self.merge_pages(task, wants_mass, &mut total, &mut |page, partial, _| {
            if wants_mass {
                kept.push(PageWeights { page, max: partial.max.to_vec(), weights: partial.weights.to_vec() });
            }
        });
        self.write(task, &total, out);
        if wants_mass { self.mass(task, &total, &kept) } else { Vec::new() }
    }

    /// Merges all pages of the task's group into `total`, in order; `merged` hears each page's share and the total, with
    /// the page's weights where they are wanted.
    fn merge_pages(
        &self,
        task: &Task,
        wants_weights: bool,
        total: &mut Partial<'_>,
        merged: &mut dyn FnMut(usize, &Partial<'_>, &Partial<'_>),
    ) {
        let n_queries = task.rows.len() * self.spec.heads_per_kv();
        let mut merge = |number: usize, page: &Partial<'_>| {
            self.isa.run(MergePage { total: &mut *total, page, padded_dim: self.padded_dim });
            merged(number, page, total);
        };
        let n_pages = self.groups[task.group].blocks.len();
        if task.rows.len() < SPLIT_ROWS && n_pages > self.share {
            let per_task = n_pages.div_ceil(n_pages.div_ceil(self.share));
            let starts: Vec<usize> = (0..n_pages).step_by(per_task).collect();
            let reduce = |&start: &usize| {
                let (mut queries, mut scratch) = (self.queries(task), PageScratch::default());
                let pages = start..(start + per_task).min(n_pages);
                let mut partials = Partials::new(pages.len(), n_queries, self.padded_dim, wants_weights);
                let mut reduce = |&page: &usize| {
                    self.reduce(task, page, &mut queries, &mut scratch, partials.at(page - start))
                };
                let seen: Vec<usize> = pages.filter(&mut reduce).collect();
                (start, seen, partials)
            };
            let reduced: Vec<(usize, Vec<usize>, Partials)> = starts.par_iter().map(reduce).collect();
            for (start, seen, mut partials) in reduced {
                seen.into_iter().for_each(|page| merge(page, &partials.at(page - start)));
            }
        } else {
            let (mut queries, mut scratch) = (self.queries(task), PageScratch::default());
            let mut partial = Partials::new(1, n_queries, self.padded_dim, wants_weights);
            for page in 0..n_pages {
                if self.reduce(task, page, &mut queries, &mut scratch, partial.at(0)) {
                    merge(page, &partial.at(0));
                }
            }
        }
    }

    /// Fills `partial` with the page's share, or gives false when no row of the task sees any of it.
    fn reduce(
        &self,
        task: &Task,
        page: usize,
        queries: &mut Queries<'_>,
        scratch: &mut PageScratch,
        partial: Partial<'_>,
    ) -> bool {
        let block = &self.groups[task.group].blocks[page];
        let PageScratch { float, codes, seen } = scratch;
        seen.clear();
        seen.extend(task.rows.clone().map(|row| block.seen_by(self.spec.q_pos[row], self.spec.chunk)));
        if seen.iter().all(|seen| seen.is_empty()) {
            return false;
        }
        assert_eq!(block.page.dtype(), self.dtype, "pages of two kinds");
        queries.turn_for(self.isa, block);
        let (kv_head, head_dim, per_row) = (task.kv_head, self.spec.head_dim, self.spec.heads_per_kv());
        match block.page.dtype() {
            kv::Dtype::Int8 | kv::Dtype::K6V4 => {
                let (queries, scratch) = (&queries.int8, codes);
                self.isa.run(ReduceInt8 {
                    block,
                    kv_head,
                    head_dim,
                    queries,
                    seen,
                    per_row,
                    scratch,
                    partial,
                    next: self.next(task, page + 1),
                });
            }
            kv::Dtype::Bf16 | kv::Dtype::F32 => {
                self.next(task, page + 1).into_iter().for_each(prefetch);
                let (queries, scale) = (&*queries.floats, self.spec.scale);
                let scratch = float;
                self.isa.run(ReduceFloat {
                    block,
                    kv_head,
                    queries,
                    head_dim,
                    scale,
                    seen,
                    per_row,
                    scratch,
                    partial,
                });
            }
        }
        true
    }

    /// What a page holds of the task's head, to be asked for while the page before is worked on: pages lie anywhere in
    /// memory, and a head of one is too short for the CPU to see where reading will go on. Nothing of a page that the
    /// task's last row does not see.
    fn next(&self, task: &Task, page: usize) -> [&[u8]; 4] {
        let last = self.spec.q_pos[task.rows.end - 1];
        let next = self.groups[task.group].blocks.get(page);
        let next = next.filter(|block| !block.seen_by(last, self.spec.chunk).is_empty());
        next.map_or([&[]; 4], |block| block.page.head_bytes(task.kv_head))
    }

    fn write(&self, task: &Task, total: &Partial<'_>, out: &Scatter<'_>) {
        let (head_dim, n) = (self.spec.head_dim, self.spec.heads_per_kv());
        for (i, row) in task.rows.clone().enumerate() {
            for h in 0..n {
                let at = i * n + h;
                if total.sum[at] == 0.0 {
                    continue;
                }
                let out = out.segment(row, (task.kv_head * n + h) * head_dim, head_dim);
                let inverse = 1.0 / total.sum[at];
                for (out, o) in out.iter_mut().zip(&total.out[at * self.padded_dim..]) {
                    *out = o * inverse;
                }
                if self.dtype == kv::Dtype::K6V4 {
                    kv::hadamard(out);
                }
            }
        }
    }

    fn mass(&self, task: &Task, total: &Partial<'_>, kept: &[PageWeights]) -> Vec<f32> {
        let group = &self.groups[task.group];
        let n = self.spec.heads_per_kv();
        let mean = 1.0 / (group.mass_rows.len() * self.spec.n_heads) as f32;
        let mut mass = vec![0.0; group.blocks.len() * PAGE_LEN];
        for page in kept {
            let mass = &mut mass[page.page * PAGE_LEN..][..PAGE_LEN];
            for (i, row) in task.rows.clone().enumerate() {
                for at in i * n..(i + 1) * n {
                    if !group.mass_rows.contains(&row) || page.max[at] == f32::NEG_INFINITY {
                        continue;
                    }
                    let factor = (page.max[at] - total.max[at]).exp() / total.sum[at] * mean;
                    for (mass, weight) in mass.iter_mut().zip(&page.weights[at * PAGE_LEN..]) {
                        *mass += weight * factor;
                    }
                }
            }
        }
        mass
    }
}
