//! The exponential of softmax and SiLU.

use crate::simd::Lanes;

/// Below this the result is held at exp(−87) ≈ 1.6e-38, the smallest that stays a normal float.
const LOWEST: f32 = -87.0;
const HIGHEST: f32 = 88.0;
/// 1.5 · 2²³: adding it rounds to an integer, ties to even.
pub(super) const MAGIC: f32 = 12_582_912.0;
/// ln 2 in two parts; the first has few enough bits for `n · LN2_HIGH` to be exact.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;
/// Taylor coefficients 1/7! … 1/2!. On |r| ≤ ln 2 / 2 the next term is 5e-9.
const COEFFICIENTS: [f32; 6] = [1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5];

/// `exp(x)`. Relative error below 3e-7.
#[inline(always)]
pub(super) fn exp<L: Lanes>(l: L, x: L::F) -> L::F {
    within_range(l, l.min(l.max(x, l.splat(LOWEST)), l.splat(HIGHEST)))
}

/// The same of x ≤ [`HIGHEST`].
#[inline(always)]
pub(super) fn exp_below<L: Lanes>(l: L, x: L::F) -> L::F {
    within_range(l, l.max(x, l.splat(LOWEST)))
}

/// x = n·ln 2 + r, exp(x) = 2ⁿ·exp(r).
#[inline(always)]
fn within_range<L: Lanes>(l: L, x: L::F) -> L::F {
    let magic = l.fma(x, l.splat(std::f32::consts::LOG2_E), l.splat(MAGIC));
    let n = l.sub(magic, l.splat(MAGIC));
    let r = l.fnma(n, l.splat(LN2_LOW), l.fnma(n, l.splat(LN2_HIGH), x));
    let one = l.splat(1.0);
    let mut p = l.splat(COEFFICIENTS[0]);
    p = l.fma(p, r, l.splat(COEFFICIENTS[1]));
    p = l.fma(p, r, l.splat(COEFFICIENTS[2]));
    p = l.fma(p, r, l.splat(COEFFICIENTS[3]));
    p = l.fma(p, r, l.splat(COEFFICIENTS[4]));
    p = l.fma(p, r, l.splat(COEFFICIENTS[5]));
    p = l.fma(p, r, one);
    p = l.fma(p, r, one);
    l.mul(p, l.pow2(magic))
}
