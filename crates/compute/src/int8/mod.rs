//! `Int8`: the fast path. Weights of 4 or 8 bits times int8 activations, attention over int8 KV pages.
//!
//! A token's numbers are bit-identical in any batch, split, number of threads and on any instruction set: integer dot
//! products are exact, and every f32 sum has one written order that no tiling changes.

mod acts;
mod attend;
mod exp;
mod group;
mod matrix;
mod product;
mod rotate;
mod second_terms;
#[cfg(test)]
mod tests;

pub use acts::Int8Acts;
pub use matrix::Int8Matrix;

use acts::Stage;
use rayon::prelude::*;
use rotate::RotateRow;

use crate::simd::{Isa, LANES};
use crate::{AttendGroup, AttendSpec, Ops, Pairing, Result, RopeTable, Rows, Walk};

/// The fast path on one instruction set.
#[derive(Clone, Copy, Debug)]
pub struct Int8 {
    isa: Isa,
}

impl Int8 {
    /// On the fastest instruction set of this CPU.
    pub fn new() -> Self {
        Self::with_isa(Isa::best())
    }

    /// On a given one, for tests and measurements; the numbers are the same.
    pub fn with_isa(isa: Isa) -> Self {
        Self { isa }
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        self.isa
    }
}

impl Default for Int8 {
    fn default() -> Self {
        Self::new()
    }
}

/// Rows per task of `embed`.
const EMBED_ROWS: usize = 64;
/// Rows per task of `rope`.
const ROPE_ROWS: usize = 8;

impl Ops for Int8 {
    type Matrix = Int8Matrix;
    type Acts = Int8Acts;

    fn numerics(&self) -> &'static str {
        "int8-3"
    }

    fn kv_dtype(&self) -> kv::Dtype {
        kv::Dtype::Int8
    }

    fn matrix(&self, parts: &[&weights::Tensor<'_>]) -> Result<Int8Matrix> {
        Int8Matrix::pack(parts)
    }

    fn matrix_bytes(&self, matrix: &Int8Matrix) -> u64 {
        matrix.bytes()
    }

    fn embed(&self, table: &Int8Matrix, ids: &[u32], x: &mut Rows) {
        x.resize(ids.len(), table.width);
        let row = |(out, &id): (&mut [f32], &u32)| table.dequantise_row(id as usize, out);
        let rows = x.as_mut_slice().par_chunks_exact_mut(table.width).zip(ids);
        rows.with_min_len(EMBED_ROWS).for_each(row);
    }

    fn norm(&self, x: &Rows, weight: &[f32], eps: f32, acts: &mut Int8Acts) {
        assert_eq!(x.width(), weight.len(), "norm weight");
        acts.fill(self.isa, x, x.width(), Stage::Norm { weight, eps });
    }

    fn activations(&self, x: &Rows, acts: &mut Int8Acts) {
        acts.fill(self.isa, x, x.width(), Stage::Copy);
    }

    fn matmul(&self, acts: &Int8Acts, w: &Int8Matrix, out: &mut Rows) {
        out.resize(acts.n_rows, w.n_out);
        product::product(self.isa, acts, w, out, false);
    }

    fn matmul_add(&self, acts: &Int8Acts, w: &Int8Matrix, x: &mut Rows) {
        product::product(self.isa, acts, w, x, true);
    }

    fn swiglu(&self, gate_up: &Rows, acts: &mut Int8Acts) {
        assert!(gate_up.width().is_multiple_of(2), "gate and up of one width");
        acts.fill(self.isa, gate_up, gate_up.width() / 2, Stage::SwiGlu);
    }

    fn rope(&self, x: &mut Rows, head_dim: usize, table: &RopeTable, pairing: Pairing, pos: &[u64]) {
        assert_eq!(x.n_rows(), pos.len(), "one position per row");
        assert_eq!(table.n_freqs() * 2, head_dim, "rope table of another head size");
        let (isa, width) = (self.isa, x.width());
        let rotate = |row: &mut [f32], pos: u64| {
            isa.run(RotateRow { row, head_dim, angles: table.angles(pos), pairing });
        };
        if x.n_rows() <= ROPE_ROWS {
            x.as_mut_slice().chunks_exact_mut(width).zip(pos).for_each(|(row, &pos)| rotate(row, pos));
        } else {
            let rows = x.as_mut_slice().par_chunks_exact_mut(width).zip(pos).with_min_len(ROPE_ROWS);
            rows.for_each(|(row, &pos)| rotate(row, pos));
        }
    }

    fn attend(&self, spec: &AttendSpec<'_>, q: &Rows, groups: &mut [AttendGroup<'_>], out: &mut Rows) {
        attend::attend(self.isa, spec, q, groups, out);
    }

    fn walk(&self, spec: &AttendSpec<'_>, n_rows: usize) -> Walk {
        Walk::new(n_rows, spec.n_heads, spec.head_dim.next_multiple_of(LANES))
    }

    fn walk_on(&self, spec: &AttendSpec<'_>, q: &Rows, groups: &[AttendGroup<'_>], walk: &mut Walk) {
        attend::walk_on(self.isa, spec, q, groups, walk);
    }
}
