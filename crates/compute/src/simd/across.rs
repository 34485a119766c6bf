//! Sums and maxima across the lanes of all x86 instruction sets, in the order that [`Lanes`](super::Lanes) writes down.

use std::arch::x86_64::*;

/// Lane i + lane i + 4, then i + 2, i + 1.
#[inline(always)]
pub(super) fn sum(x: __m256) -> f32 {
    // SAFETY: only called where AVX is at hand, as the argument shows.
    unsafe {
        let x = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
        let x = _mm_add_ps(x, _mm_movehl_ps(x, x));
        _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)))
    }
}

/// The largest lane, compared in the order of [`sum`].
#[inline(always)]
pub(super) fn largest(x: __m256) -> f32 {
    // SAFETY: only called where AVX is at hand, as the argument shows.
    unsafe {
        let x = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
        let x = _mm_max_ps(x, _mm_movehl_ps(x, x));
        _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)))
    }
}
