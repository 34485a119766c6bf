//! Attention of sequences over their streams: all rows that share one walk its pages together, whoever they belong to.

use crate::{
    Result,
    forward::{Batch, Model},
    stream::Stream,
};
use compute::{AttendGroup, AttendSpec, KvBlock, Ops, PAGE_LEN, Rows};
use std::{ops::Range, sync::Arc};

/// Pages whose share of a query's weight is smaller are not listed in its mass.
const LEAST_SHARE: f32 = 1e-4;

/// The rows of one walk, packed: row `i` is row `rows[i]` of the pass.
struct Packed {
    rows: Vec<usize>,
    q: Rows,
    q_pos: Vec<u64>,
    /// Per batch that takes part, its index and its packed rows.
    batches: Vec<(usize, Range<usize>)>,
}

impl<O: Ops> Model<O> {
    /// Attends the rows of all batches that have a stream; `rows[i]`: the rows of batch `i`, `spec` as for the whole
    /// pass. Writes those rows of `mixed`.
    pub(crate) fn walk(
        &self,
        l: usize,
        spec: &AttendSpec<'_>,
        q: &Rows,
        rows: &[Range<usize>],
        batches: &mut [Batch<'_>],
        mixed: &mut Rows,
    ) -> Result<()> {
        for stream in streams(batches) {
            let packed = pack(&stream, spec, q, rows, batches);
            let spec = AttendSpec { q_pos: &packed.q_pos, ..spec.clone() };
            let mut walk = self.ops.walk(&spec, packed.rows.len());
            walk.least_share = LEAST_SHARE;
            for (at, own) in &packed.batches {
                let asked = batches[*at].mass.as_ref().filter(|mass| mass.layers.contains(&l));
                for row in asked.map_or(0..0, |mass| mass.rows.clone()) {
                    walk.listed[own.start + row] = true;
                }
            }
            let all = packed.rows.len();
            let before = stream.before(self.kept(l));
            self.ops.walk_on(&spec, &packed.q, &[group(0..all, &before)], &mut walk);
            walk.pages.clear();
            let mut listed = Vec::new();
            stream.walk(l as u32, &mut |pages, blocks| {
                self.ops.walk_on(&spec, &packed.q, &[group(0..all, blocks)], &mut walk);
                listed.extend(walk.pages.drain(..).map(|page| (pages[page.block], page)));
                Ok(())
            })?;
            let own: Vec<_> = packed.batches.iter().map(|(at, _)| batches[*at].sequence.blocks(l)).collect();
            let groups: Vec<AttendGroup<'_>> = packed
                .batches
                .iter()
                .zip(&own)
                .map(|((_, rows), blocks)| group(rows.clone(), blocks))
                .collect();
            self.ops.walk_on(&spec, &packed.q, &groups, &mut walk);
            drop(groups);
            drop(own);
            let mut out = Rows::default();
            self.ops.walk_end(&spec, &walk, &mut out);
            for (at, row) in packed.rows.iter().enumerate() {
                mixed.row_mut(*row).copy_from_slice(out.row(at));
            }
            for (page, weights) in &listed {
                let of_row = |(_, rows): &&(usize, Range<usize>)| rows.contains(&weights.row);
                let Some((at, _)) = packed.batches.iter().find(of_row) else { continue };
                let Some(mass) = &mut batches[*at].mass else { continue };
                let share = walk.share(weights, spec.n_heads) / (spec.n_heads * mass.rows.len()) as f32;
                let slots = mass.stream.entry(*page).or_insert([0.0; PAGE_LEN]);
                slots.iter_mut().zip(&weights.weights).for_each(|(slot, weight)| *slot += weight * share);
            }
        }
        Ok(())
    }
}

/// Rows that attend to blocks; their mass is listed by the walk.
fn group<'a>(rows: Range<usize>, blocks: &'a [KvBlock<'a>]) -> AttendGroup<'a> {
    AttendGroup { rows, blocks, mass: None, mass_rows: 0..0 }
}

/// The streams of a pass, each once.
fn streams(batches: &[Batch<'_>]) -> Vec<Arc<Stream>> {
    let mut streams: Vec<Arc<Stream>> = Vec::new();
    for stream in batches.iter().filter_map(|batch| batch.sequence.streamed()) {
        if !streams.iter().any(|known| Arc::ptr_eq(known, stream)) {
            streams.push(stream.clone());
        }
    }
    streams
}

fn pack(
    stream: &Arc<Stream>,
    spec: &AttendSpec<'_>,
    q: &Rows,
    rows: &[Range<usize>],
    batches: &[Batch<'_>],
) -> Packed {
    let mut packed = Packed { rows: Vec::new(), q: Rows::default(), q_pos: Vec::new(), batches: Vec::new() };
    for (at, batch) in batches.iter().enumerate() {
        if batch.sequence.streamed().is_some_and(|own| Arc::ptr_eq(own, stream)) {
            let first = packed.rows.len();
            packed.rows.extend(rows[at].clone());
            packed.batches.push((at, first..packed.rows.len()));
        }
    }
    packed.q.resize(packed.rows.len(), q.width());
    for (at, row) in packed.rows.iter().enumerate() {
        packed.q.row_mut(at).copy_from_slice(q.row(*row));
        packed.q_pos.push(spec.q_pos[*row]);
    }
    packed
}
