//! What AVX-VNNI adds to the AVX2 lanes: `vpdpbusd` on 256 bits.

use std::arch::x86_64::{__m256i, _mm256_dpbusd_avx_epi32};

use super::Kernel;
use super::avx2::Ymm;

#[target_feature(enable = "avx2,fma,f16c,avxvnni")]
pub(super) fn enabled<K: Kernel, const VNNI: bool>(lanes: Ymm<VNNI>, kernel: K) -> K::Out {
    kernel.run(lanes)
}

/// Sums of four u8 × i8 products per 32-bit lane; exact, it does not saturate.
#[inline(always)]
pub(super) fn dot(sums: __m256i, codes: __m256i, acts: __m256i) -> __m256i {
    // SAFETY: only called with a `Ymm<true>` in hand.
    unsafe { _mm256_dpbusd_avx_epi32(sums, codes, acts) }
}
