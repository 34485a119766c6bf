//! Attention of the reference: gather keys and values, each key turned by what it has moved since it was stored; turn the
//! queries; then a two-pass softmax per row and head.

use std::ops::Range;

use rayon::prelude::*;

use super::{Reference, rotate};
use crate::experts::dot;
use crate::{AttendGroup, AttendSpec, Ops, PAGE_LEN, PageWeights, Rows, Walk};

/// One group's keys (rotated) and values, `[n_slots, n_kv_heads * head_dim]`.
struct Context {
    keys: Vec<f32>,
    values: Vec<f32>,
}

pub(super) fn attend(spec: &AttendSpec<'_>, q: &Rows, groups: &mut [AttendGroup<'_>], out: &mut Rows) {
    spec.check(q, groups);
    let q = &turned(spec, q);
    out.resize(q.n_rows(), q.width());
    out.as_mut_slice().fill(0.0);
    for group in groups {
        let context = gather(spec, group);
        let rows: Vec<(Vec<f32>, Vec<f32>)> = group
            .rows
            .clone()
            .into_par_iter()
            .map(|row| attend_row(spec, q.row(row), row, group, &context))
            .collect();
        for (row, (attended, _)) in group.rows.clone().zip(&rows) {
            out.row_mut(row).copy_from_slice(attended);
        }
        let Some(mass) = group.mass.as_deref_mut() else { continue };
        let factor = 1.0 / (group.mass_rows.len() * spec.n_heads) as f32;
        for row in group.mass_rows.clone() {
            for (mass, weight) in mass.iter_mut().zip(&rows[row - group.rows.start].1) {
                *mass += weight * factor;
            }
        }
    }
}

fn turned(spec: &AttendSpec<'_>, q: &Rows) -> Rows {
    let mut q = q.clone();
    if let Some((table, pairing)) = spec.rope {
        Reference.rope(&mut q, spec.head_dim, table, pairing, spec.q_pos);
    }
    q
}

/// Page by page with a running maximum: pages that are seen once cannot wait for the largest score.
pub(super) fn walk_on(spec: &AttendSpec<'_>, q: &Rows, groups: &[AttendGroup<'_>], walk: &mut Walk) {
    spec.check(q, groups);
    let q = &turned(spec, q);
    for group in groups {
        let context = gather(spec, group);
        for row in group.rows.clone() {
            for head in 0..spec.n_heads {
                walk_head(spec, q.row(row), (row, head), group, &context, walk);
            }
        }
    }
}

fn walk_head(
    spec: &AttendSpec<'_>,
    q: &[f32],
    (row, head): (usize, usize),
    group: &AttendGroup<'_>,
    context: &Context,
    walk: &mut Walk,
) {
    let (head_dim, width) = (spec.head_dim, spec.n_kv_heads * spec.head_dim);
    let first = head / spec.heads_per_kv() * head_dim;
    let query = &q[head * head_dim..(head + 1) * head_dim];
    let at = row * spec.n_heads + head;
    for (page, block) in group.blocks.iter().enumerate() {
        let seen = block.seen_by(spec.q_pos[row], spec.chunk);
        if seen.is_empty() {
            continue;
        }
        let mut weights = [0.0f32; PAGE_LEN];
        let mut max = f32::NEG_INFINITY;
        for slot in seen.clone() {
            let key = &context.keys[(page * PAGE_LEN + slot) * width + first..][..head_dim];
            weights[slot] = dot(query, key) * spec.scale;
            max = max.max(weights[slot]);
        }
        let new_max = walk.max[at].max(max);
        let before = (walk.max[at] - new_max).exp();
        walk.sum[at] *= before;
        let out = &mut walk.out[at * head_dim..(at + 1) * head_dim];
        out.iter_mut().for_each(|o| *o *= before);
        let mut sum = 0.0;
        for slot in seen {
            let relative = (weights[slot] - max).exp();
            let weight = (weights[slot] - new_max).exp();
            weights[slot] = relative;
            sum += relative;
            walk.sum[at] += weight;
            let values = &context.values[(page * PAGE_LEN + slot) * width + first..];
            out.iter_mut().zip(values).for_each(|(o, v)| *o += weight * v);
        }
        walk.max[at] = new_max;
        if walk.lists(at, spec.n_heads, max, sum, (new_max, walk.sum[at])) {
            walk.pages.push(PageWeights { row, head, block: page, max, weights });
        }
    }
}

fn gather(spec: &AttendSpec<'_>, group: &AttendGroup<'_>) -> Context {
    let width = spec.n_kv_heads * spec.head_dim;
    let n_slots = group.blocks.len() * PAGE_LEN;
    let (mut keys, mut values) = (vec![0.0; n_slots * width], vec![0.0; n_slots * width]);
    let slots = keys.par_chunks_exact_mut(width).zip(values.par_chunks_exact_mut(width)).enumerate();
    slots.for_each(|(at, (key, value))| {
        let (block, slot) = (&group.blocks[at / PAGE_LEN], at % PAGE_LEN);
        if !block.visible.contains(&slot) {
            return;
        }
        block.page.read_row(slot, key, value);
        let Some((table, pairing)) = spec.rope.filter(|_| block.moved() != 0) else { return };
        key.chunks_exact_mut(spec.head_dim).for_each(|head| rotate(head, table, pairing, block.moved()));
    });
    Context { keys, values }
}

/// Output `[n_heads * head_dim]` of one row, and its softmax weight per slot summed over heads (empty if not wanted).
fn attend_row(
    spec: &AttendSpec<'_>,
    q: &[f32],
    row: usize,
    group: &AttendGroup<'_>,
    context: &Context,
) -> (Vec<f32>, Vec<f32>) {
    let (head_dim, width) = (spec.head_dim, spec.n_kv_heads * spec.head_dim);
    let seen: Vec<Range<usize>> =
        group.blocks.iter().map(|b| b.seen_by(spec.q_pos[row], spec.chunk)).collect();
    let slots: Vec<usize> = seen
        .iter()
        .enumerate()
        .flat_map(|(page, seen)| seen.clone().map(move |s| page * PAGE_LEN + s))
        .collect();
    let mut out = vec![0.0; q.len()];
    let mut mass = Vec::new();
    if group.mass.is_some() && group.mass_rows.contains(&row) {
        mass.resize(group.blocks.len() * PAGE_LEN, 0.0);
    }
    for head in 0..spec.n_heads {
        let at = head / (spec.n_heads / spec.n_kv_heads) * head_dim;
        let query = &q[head * head_dim..(head + 1) * head_dim];
        let score = |&slot: &usize| dot(query, &context.keys[slot * width + at..][..head_dim]) * spec.scale;
        let scores: Vec<f32> = slots.iter().map(score).collect();
        let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let weights: Vec<f32> = scores.iter().map(|score| (score - max).exp()).collect();
        let sum: f32 = weights.iter().sum();
        let out = &mut out[head * head_dim..(head + 1) * head_dim];
        for (&slot, weight) in slots.iter().zip(&weights) {
            let weight = weight / sum;
            for (o, v) in out.iter_mut().zip(&context.values[slot * width + at..]) {
                *o += weight * v;
            }
            if let Some(mass) = mass.get_mut(slot) {
                *mass += weight;
            }
        }
    }
    (out, mass)
}
