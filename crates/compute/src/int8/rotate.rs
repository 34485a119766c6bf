//! Rotation of queries, and of keys before they are stored.

use crate::Pairing;
use crate::rope::Angles;
use crate::simd::{Kernel, Lanes};

/// Turns the heads of a row.
pub(super) struct RotateRow<'a> {
    /// `[n_heads * head_dim]`
    pub(super) row: &'a mut [f32],
    pub(super) head_dim: usize,
    pub(super) angles: Angles<'a>,
    pub(super) pairing: Pairing,
}

impl Kernel for RotateRow<'_> {
    type Out = ();

    #[inline(always)]
    fn run<L: Lanes>(self, _: L) {
        let angles = || self.angles.cos.iter().zip(&*self.angles.sin);
        for head in self.row.chunks_exact_mut(self.head_dim) {
            match self.pairing {
                Pairing::Half => {
                    let (a, b) = head.split_at_mut(self.head_dim / 2);
                    a.iter_mut().zip(b).zip(angles()).for_each(|((a, b), angle)| turn(a, b, angle));
                }
                Pairing::Interleaved => {
                    let pairs = head.as_chunks_mut::<2>().0;
                    pairs.iter_mut().zip(angles()).for_each(|([a, b], angle)| turn(a, b, angle));
                }
            }
        }
    }
}

/// `(a, b) → (a·cos − b·sin, b·cos + a·sin)`, the second product rounded once with the sum.
#[inline(always)]
fn turn(a: &mut f32, b: &mut f32, (cos, sin): (&f32, &f32)) {
    (*a, *b) = ((-*b).mul_add(*sin, *a * cos), a.mul_add(*sin, *b * cos));
}
