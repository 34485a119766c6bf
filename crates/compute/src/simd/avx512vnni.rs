//! The lanes in AVX-512 with VNNI: one register per vector, `vpdpbusd` for the dot products.

use std::arch::x86_64::*;

use super::{Kernel, LANES, Lanes, across};

/// Proof of AVX-512 F, BW, DQ, VL and VNNI, and of FMA and F16C.
#[derive(Clone, Copy)]
pub(crate) struct Avx512Vnni(());

impl Avx512Vnni {
    pub(super) fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        has.then_some(Self(()))
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c")]
fn enabled<K: Kernel>(lanes: Avx512Vnni, kernel: K) -> K::Out {
    kernel.run(lanes)
}

impl Lanes for Avx512Vnni {
    type F = __m512;
    type D = __m512i;
    type B = __m512i;
    type S = __m512i;
    type W = __m512i;
    type K = __m512i;
    const WIDE: bool = true;
    const SHORT_DOTS: bool = false;

    fn run<K: Kernel>(self, kernel: K) -> K::Out {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe { enabled(self, kernel) }
    }
    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Self::F {
        // SAFETY: a value of this type is proof of the instructions, and the reference is as long as the access.
        unsafe { _mm512_loadu_ps(from.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, x: Self::F, to: &mut [f32; LANES]) {
        // SAFETY: a value of this type is proof of the instructions, and the reference is as long as the access.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), x) }
    }
    #[inline(always)]
    fn load_f16(self, from: &[u16; LANES]) -> Self::F {
        // SAFETY: a value of this type is proof of the instructions, and the reference is as long as the access.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.as_ptr().cast())) }
    }
    #[inline(always)]
    fn load_i8(self, from: &[i8; LANES]) -> Self::F {
        // SAFETY: a value of this type is proof of the instructions, and the reference is as long as the access.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(from.as_ptr().cast()))) }
    }
    #[inline(always)]
    fn store_i8(self, x: Self::F, to: &mut [i8; LANES]) {
        // SAFETY: a value of this type is proof of the instructions, and the reference is as long as the access.
        unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x))) }
    }
    #[inline(always)]
    fn store_u8(self, x: Self::F, to: &mut [u8; LANES]) {
        // SAFETY: a value of this type is proof of the instructions, and the reference is as long as the access.
        unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x))) }
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe { _mm512_div_ps(a, b) }
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe { _mm512_max_ps(a, b) }
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe { _mm512_min_ps(a, b) }
    }
    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn fnma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe { _mm512_fnmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn pow2(self, magic: Self::F) -> Self::F {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe {
            let exponent = _mm512_slli_epi32::<23>(_mm512_castps_si512(magic));
            _mm512_castsi512_ps(_mm512_add_epi32(exponent, _mm512_set1_epi32(0x3f80_0000)))
        }
    }
    #[inline(always)]
    fn zero_dots(self) -> Self::D {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe { _mm512_setzero_si512() }
    }
    #[inline(always)]
    fn add_dots(self, a: Self::D, b: Self::D) -> Self::D {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe { _mm512_add_epi32(a, b) }
    }
    #[inline(always)]
    fn dots_to_f32<const NIBBLE: bool>(self, dots: Self::D) -> Self::F {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe { _mm512_cvtepi32_ps(dots) }
    }
    #[inline(always)]
    fn load_bytes(self, from: &[u8; 64]) -> Self::B {
        // SAFETY: a value of this type is proof of the instructions, and the reference is as long as the access.
        unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
    }
    #[inline(always)]
    fn store_bytes(self, x: Self::B, to: &mut [u8; 64]) {
        // SAFETY: a value of this type is proof of the instructions, and the reference is as long as the access.
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), x) }
    }
    #[inline(always)]
    fn load_nibbles(self, from: &[u8; 64]) -> (Self::B, Self::B) {
        // SAFETY: a value of this type is proof of the instructions, and the reference is as long as the access.
        unsafe {
            let (bytes, mask) = (_mm512_loadu_si512(from.as_ptr().cast()), _mm512_set1_epi8(15));
            (_mm512_and_si512(bytes, mask), _mm512_and_si512(_mm512_srli_epi16::<4>(bytes), mask))
        }
    }
    #[inline(always)]
    fn dot<const NIBBLE: bool>(self, dots: Self::D, codes: Self::B, acts: i32) -> Self::D {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe { _mm512_dpbusd_epi32(dots, codes, _mm512_set1_epi32(acts)) }
    }
    // One operand of `vpdpbusd` has no sign: codes go in plus 128, which flips their highest bit.
    #[inline(always)]
    fn load_signed(self, from: &[i8; 64]) -> Self::K {
        // SAFETY: a value of this type is proof of the instructions, and the reference is as long as the access.
        unsafe { _mm512_xor_si512(_mm512_loadu_si512(from.as_ptr().cast()), _mm512_set1_epi8(i8::MIN)) }
    }
    #[inline(always)]
    fn signed_start(self, sum: i32) -> Self::S {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe { _mm512_set1_epi32(-128 * sum) }
    }
    #[inline(always)]
    fn dot_signed(self, sums: Self::S, codes: Self::K, other: i32) -> Self::S {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe { _mm512_dpbusd_epi32(sums, codes, _mm512_set1_epi32(other)) }
    }
    #[inline(always)]
    fn signed_to_f32(self, sums: Self::S) -> Self::F {
        self.weighted_to_f32(sums)
    }
    #[inline(always)]
    fn zero_weighted(self) -> Self::W {
        self.zero_dots()
    }
    #[inline(always)]
    fn load_codes(self, from: &[i8; 64]) -> Self::B {
        // SAFETY: a value of this type is proof of the instructions, and the reference is as long as the access.
        unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
    }
    #[inline(always)]
    fn dot_weights(self, sums: Self::W, codes: Self::B, weights: i32) -> Self::W {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe { _mm512_dpbusd_epi32(sums, _mm512_set1_epi32(weights), codes) }
    }
    #[inline(always)]
    fn weighted_to_f32(self, sums: Self::W) -> Self::F {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe { _mm512_cvtepi32_ps(sums) }
    }
    #[inline(always)]
    fn sum(self, x: Self::F) -> f32 {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe { across::sum(_mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps::<1>(x))) }
    }
    #[inline(always)]
    fn largest(self, x: Self::F) -> f32 {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe { across::largest(_mm256_max_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps::<1>(x))) }
    }
}
