//! `Reference`: every stage in plain f32, written for being obviously right. It is the oracle of the fast path's
//! error and agrees with Hugging Face f32; it shares no arithmetic with the fast path.

mod attend;
#[cfg(test)]
mod tests;

use rayon::prelude::*;

use crate::experts::dot;
use crate::stack::stacked_shape;
use crate::{AttendGroup, AttendSpec, Error, Ops, Pairing, Result, RopeTable, Rows, Walk};

/// Plain f32 on the CPU; KV pages hold f32.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reference;

/// A dequantised matrix `[out, in]`.
pub struct ReferenceMatrix {
    data: Vec<f32>,
    width: usize,
}

impl ReferenceMatrix {
    fn row(&self, i: usize) -> &[f32] {
        &self.data[i * self.width..(i + 1) * self.width]
    }

    fn n_rows(&self) -> usize {
        self.data.len() / self.width
    }
}

/// Calls `store(row, output index, value)` for every element of `acts · wᵀ`; rows of `out` are shared out to threads.
fn product(acts: &Rows, w: &ReferenceMatrix, out: &mut Rows, store: fn(&mut f32, f32)) {
    assert_eq!(acts.width(), w.width, "matrix input width");
    assert_eq!((out.n_rows(), out.width()), (acts.n_rows(), w.n_rows()), "product shape");
    let n_out = w.n_rows();
    // A block of outputs at a time, so that its weights are read once for all tokens.
    const BLOCK: usize = 16;
    let blocks: Vec<Vec<f32>> = (0..n_out.div_ceil(BLOCK))
        .into_par_iter()
        .map(|block| {
            let outputs = block * BLOCK..((block + 1) * BLOCK).min(n_out);
            (0..acts.n_rows())
                .flat_map(|t| outputs.clone().map(move |o| (t, o)))
                .map(|(t, o)| dot(acts.row(t), w.row(o)))
                .collect()
        })
        .collect();
    for (block, values) in blocks.iter().enumerate() {
        let first = block * BLOCK;
        let len = BLOCK.min(n_out - first);
        for (t, values) in values.chunks_exact(len).enumerate() {
            for (slot, &value) in out.row_mut(t)[first..first + len].iter_mut().zip(values) {
                store(slot, value);
            }
        }
    }
}

impl Ops for Reference {
    type Matrix = ReferenceMatrix;
    type Acts = Rows;

    fn numerics(&self) -> &'static str {
        "f32-2"
    }

    fn kv_dtype(&self) -> kv::Dtype {
        kv::Dtype::F32
    }

    fn matrix(&self, parts: &[&weights::Tensor<'_>]) -> Result<ReferenceMatrix> {
        let (n_out, width) = stacked_shape(parts)?;
        let mut data = vec![0.0; n_out * width];
        let mut rows = data.chunks_exact_mut(width);
        for part in parts {
            for (i, out) in (0..part.rows()).zip(&mut rows) {
                part.dequantise_row(i, out)?;
                if !out.iter().all(|w| w.is_finite()) {
                    return Err(Error::NotFinite { name: part.name.to_string(), row: i as usize });
                }
            }
        }
        Ok(ReferenceMatrix { data, width })
    }

    fn matrix_bytes(&self, matrix: &ReferenceMatrix) -> u64 {
        size_of_val(&*matrix.data) as u64
    }

    fn embed(&self, table: &ReferenceMatrix, ids: &[u32], x: &mut Rows) {
        x.resize(ids.len(), table.width);
        for (t, &id) in ids.iter().enumerate() {
            x.row_mut(t).copy_from_slice(table.row(id as usize));
        }
    }

    fn norm(&self, x: &Rows, weight: &[f32], eps: f32, acts: &mut Rows) {
        assert_eq!(x.width(), weight.len(), "norm weight");
        acts.resize(x.n_rows(), x.width());
        for t in 0..x.n_rows() {
            let row = x.row(t);
            let mean = dot(row, row) / row.len() as f32;
            let factor = 1.0 / (mean + eps).sqrt();
            for ((y, &x), &w) in acts.row_mut(t).iter_mut().zip(row).zip(weight) {
                *y = w * (x * factor);
            }
        }
    }

    fn activations(&self, x: &Rows, acts: &mut Rows) {
        acts.clone_from(x);
    }

    fn matmul(&self, acts: &Rows, w: &ReferenceMatrix, out: &mut Rows) {
        out.resize(acts.n_rows(), w.n_rows());
        product(acts, w, out, |slot, value| *slot = value);
    }

    fn matmul_add(&self, acts: &Rows, w: &ReferenceMatrix, x: &mut Rows) {
        product(acts, w, x, |slot, value| *slot += value);
    }

    fn swiglu(&self, gate_up: &Rows, acts: &mut Rows) {
        let width = gate_up.width() / 2;
        acts.resize(gate_up.n_rows(), width);
        for t in 0..gate_up.n_rows() {
            let (gate, up) = gate_up.row(t).split_at(width);
            for ((y, &g), &u) in acts.row_mut(t).iter_mut().zip(gate).zip(up) {
                *y = g / (1.0 + (-g).exp()) * u;
            }
        }
    }

    fn rope(&self, x: &mut Rows, head_dim: usize, table: &RopeTable, pairing: Pairing, pos: &[u64]) {
        assert_eq!(x.n_rows(), pos.len(), "one position per row");
        for (t, &pos) in pos.iter().enumerate() {
            for head in x.row_mut(t).chunks_exact_mut(head_dim) {
                rotate(head, table, pairing, pos as i64);
            }
        }
    }

    fn attend(&self, spec: &AttendSpec<'_>, q: &Rows, groups: &mut [AttendGroup<'_>], out: &mut Rows) {
        attend::attend(spec, q, groups, out);
    }

    fn walk(&self, spec: &AttendSpec<'_>, n_rows: usize) -> Walk {
        Walk::new(n_rows, spec.n_heads, spec.head_dim)
    }

    fn walk_on(&self, spec: &AttendSpec<'_>, q: &Rows, groups: &[AttendGroup<'_>], walk: &mut Walk) {
        attend::walk_on(spec, q, groups, walk);
    }
}

/// Turns one head by some positions, forwards or back: `(a, b) → (a·cos − b·sin, b·cos + a·sin)`.
fn rotate(head: &mut [f32], table: &RopeTable, pairing: Pairing, by: i64) {
    let angles = table.angles(by.unsigned_abs());
    for (i, (&cos, &sin)) in angles.cos.iter().zip(&*angles.sin).enumerate() {
        let (a, b) = pairing.pair(i, head.len());
        let sin = if by < 0 { -sin } else { sin };
        (head[a], head[b]) = (head[a] * cos - head[b] * sin, head[b] * cos + head[a] * sin);
    }
}
