//! The lanes in AVX2 with FMA and F16C: two registers per vector. With `VNNI` the dot product is AVX-VNNI's.

use std::arch::x86_64::*;

use super::{Kernel, LANES, Lanes, across, avxvnni};

/// Proof of AVX2, FMA and F16C, and with `VNNI` of AVX-VNNI.
#[derive(Clone, Copy)]
pub(crate) struct Ymm<const VNNI: bool>(());

impl<const VNNI: bool> Ymm<VNNI> {
    pub(super) fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c")
            && (!VNNI || is_x86_feature_detected!("avxvnni"));
        has.then_some(Self(()))
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn enabled<K: Kernel, const VNNI: bool>(lanes: Ymm<VNNI>, kernel: K) -> K::Out {
    kernel.run(lanes)
}

/// Adds to sixteen lanes of 16 bits the products of codes below 16 with activations, two by two.
#[inline(always)]
fn add_pairs(sums: __m256i, codes: __m256i, acts: __m256i) -> __m256i {
    // SAFETY: only called with a `Ymm` in hand.
    unsafe { _mm256_add_epi16(sums, _mm256_maddubs_epi16(codes, acts)) }
}

/// Low nibbles and high nibbles of 32 bytes.
#[inline(always)]
fn split(bytes: __m256i) -> (__m256i, __m256i) {
    // SAFETY: only called with a `Ymm` in hand.
    unsafe {
        let mask = _mm256_set1_epi8(15);
        (_mm256_and_si256(bytes, mask), _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), mask))
    }
}

/// Sums of dot products in two registers of eight lanes each. With AVX-VNNI `low` holds them in 32 bits. Without it they
/// are sums of pairs in 16 bits, `low + 16 · high`: codes of 8 bits are split into nibbles, because pairs of whole
/// bytes would saturate.
#[derive(Clone, Copy)]
pub(crate) struct Dots {
    low: [__m256i; 2],
    high: [__m256i; 2],
}

/// Adds to eight lanes of 32 bits the products of four codes without sign with four signed ones. Exact where no pair of
/// products oversteps 16 bits.
#[inline(always)]
fn dot_bytes(sums: __m256i, unsigned: __m256i, signed: __m256i) -> __m256i {
    // SAFETY: only called with a `Ymm` in hand.
    unsafe {
        let pairs = _mm256_maddubs_epi16(unsigned, signed);
        _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
    }
}

/// Signed codes, and what of them goes in where the dot product takes no sign: their magnitudes, or with AVX-VNNI the
/// codes plus 128.
#[derive(Clone, Copy)]
pub(crate) struct SignedCodes {
    codes: [__m256i; 2],
    unsigned: [__m256i; 2],
}

impl<const VNNI: bool> Lanes for Ymm<VNNI> {
    type F = [__m256; 2];
    type D = Dots;
    type B = [__m256i; 2];
    type S = [__m256i; 2];
    type W = [__m256i; 4];
    type K = SignedCodes;
    const WIDE: bool = false;
    const SHORT_DOTS: bool = !VNNI;

    fn run<K: Kernel>(self, kernel: K) -> K::Out {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe { if VNNI { avxvnni::enabled(self, kernel) } else { enabled(self, kernel) } }
    }
    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe { [_mm256_set1_ps(x); 2] }
    }
    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Self::F {
        // SAFETY: a value of this type is proof of the instructions, and the reference is as long as the access.
        unsafe { [_mm256_loadu_ps(from.as_ptr()), _mm256_loadu_ps(from.as_ptr().add(8))] }
    }
    #[inline(always)]
    fn store(self, x: Self::F, to: &mut [f32; LANES]) {
        // SAFETY: a value of this type is proof of the instructions, and the reference is as long as the access.
        unsafe {
            _mm256_storeu_ps(to.as_mut_ptr(), x[0]);
            _mm256_storeu_ps(to.as_mut_ptr().add(8), x[1]);
        }
    }
    #[inline(always)]
    fn load_f16(self, from: &[u16; LANES]) -> Self::F {
        // SAFETY: a value of this type is proof of the instructions, and the reference is as long as the access.
        unsafe {
            let at = from.as_ptr().cast::<__m128i>();
            [_mm256_cvtph_ps(_mm_loadu_si128(at)), _mm256_cvtph_ps(_mm_loadu_si128(at.add(1)))]
        }
    }
    #[inline(always)]
    fn load_i8(self, from: &[i8; LANES]) -> Self::F {
        // SAFETY: a value of this type is proof of the instructions, and the reference is as long as the access.
        unsafe {
            let bytes = _mm_loadu_si128(from.as_ptr().cast());
            let (low, high) = (_mm256_cvtepi8_epi32(bytes), _mm256_cvtepi8_epi32(_mm_srli_si128::<8>(bytes)));
            [_mm256_cvtepi32_ps(low), _mm256_cvtepi32_ps(high)]
        }
    }
    #[inline(always)]
    fn store_i8(self, x: Self::F, to: &mut [i8; LANES]) {
        // SAFETY: a value of this type is proof of the instructions, and the reference is as long as the access.
        unsafe {
            let words = _mm256_packs_epi32(_mm256_cvtps_epi32(x[0]), _mm256_cvtps_epi32(x[1]));
            let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(words);
            let (low, high) = (_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
            _mm_storeu_si128(to.as_mut_ptr().cast(), _mm_packs_epi16(low, high));
        }
    }
    #[inline(always)]
    fn store_u8(self, x: Self::F, to: &mut [u8; LANES]) {
        // SAFETY: a value of this type is proof of the instructions, and the reference is as long as the access.
        unsafe {
            let words = _mm256_packs_epi32(_mm256_cvtps_epi32(x[0]), _mm256_cvtps_epi32(x[1]));
            let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(words);
            let (low, high) = (_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
            _mm_storeu_si128(to.as_mut_ptr().cast(), _mm_packus_epi16(low, high));
        }
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe { [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])] }
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe { [_mm256_sub_ps(a[0], b[0]), _mm256_sub_ps(a[1], b[1])] }
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe { [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])] }
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe { [_mm256_div_ps(a[0], b[0]), _mm256_div_ps(a[1], b[1])] }
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe { [_mm256_max_ps(a[0], b[0]), _mm256_max_ps(a[1], b[1])] }
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe { [_mm256_min_ps(a[0], b[0]), _mm256_min_ps(a[1], b[1])] }
    }
    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
    }
    #[inline(always)]
    fn fnma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe { [_mm256_fnmadd_ps(a[0], b[0], c[0]), _mm256_fnmadd_ps(a[1], b[1], c[1])] }
    }
    #[inline(always)]
    fn pow2(self, magic: Self::F) -> Self::F {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe {
            let one = _mm256_set1_epi32(0x3f80_0000);
            let low = _mm256_slli_epi32::<23>(_mm256_castps_si256(magic[0]));
            let high = _mm256_slli_epi32::<23>(_mm256_castps_si256(magic[1]));
            let (low, high) = (_mm256_add_epi32(low, one), _mm256_add_epi32(high, one));
            [_mm256_castsi256_ps(low), _mm256_castsi256_ps(high)]
        }
    }
    #[inline(always)]
    fn zero_dots(self) -> Self::D {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe { Dots { low: [_mm256_setzero_si256(); 2], high: [_mm256_setzero_si256(); 2] } }
    }
    #[inline(always)]
    fn add_dots(self, mut a: Self::D, b: Self::D) -> Self::D {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe {
            if VNNI {
                a.low = [_mm256_add_epi32(a.low[0], b.low[0]), _mm256_add_epi32(a.low[1], b.low[1])];
            } else {
                a.low = [_mm256_add_epi16(a.low[0], b.low[0]), _mm256_add_epi16(a.low[1], b.low[1])];
                a.high = [_mm256_add_epi16(a.high[0], b.high[0]), _mm256_add_epi16(a.high[1], b.high[1])];
            }
        }
        a
    }
    #[inline(always)]
    fn dots_to_f32<const NIBBLE: bool>(self, dots: Self::D) -> Self::F {
        let mut lanes = self.splat(0.0);
        for (half, lanes) in lanes.iter_mut().enumerate() {
            // SAFETY: a value of this type is proof of the instructions.
            unsafe {
                let mut sums = dots.low[half];
                if !VNNI {
                    sums = _mm256_madd_epi16(sums, _mm256_set1_epi16(1));
                    if !NIBBLE {
                        sums =
                            _mm256_add_epi32(sums, _mm256_madd_epi16(dots.high[half], _mm256_set1_epi16(16)));
                    }
                }
                *lanes = _mm256_cvtepi32_ps(sums);
            }
        }
        lanes
    }
    #[inline(always)]
    fn load_bytes(self, from: &[u8; 64]) -> Self::B {
        // SAFETY: a value of this type is proof of the instructions, and the reference is as long as the access.
        unsafe {
            let at = from.as_ptr().cast::<__m256i>();
            [_mm256_loadu_si256(at), _mm256_loadu_si256(at.add(1))]
        }
    }
    #[inline(always)]
    fn store_bytes(self, x: Self::B, to: &mut [u8; 64]) {
        // SAFETY: a value of this type is proof of the instructions, and the reference is as long as the access.
        unsafe {
            let at = to.as_mut_ptr().cast::<__m256i>();
            _mm256_storeu_si256(at, x[0]);
            _mm256_storeu_si256(at.add(1), x[1]);
        }
    }
    #[inline(always)]
    fn load_nibbles(self, from: &[u8; 64]) -> (Self::B, Self::B) {
        // No `map`: a closure does not end up where the instructions are.
        let bytes = self.load_bytes(from);
        let (a, b) = (split(bytes[0]), split(bytes[1]));
        ([a.0, b.0], [a.1, b.1])
    }
    #[inline(always)]
    fn dot<const NIBBLE: bool>(self, mut dots: Self::D, codes: Self::B, acts: i32) -> Self::D {
        // SAFETY: a value of this type is proof of the instructions.
        let acts = unsafe { _mm256_set1_epi32(acts) };
        for (half, codes) in codes.into_iter().enumerate() {
            if VNNI {
                dots.low[half] = avxvnni::dot(dots.low[half], codes, acts);
            } else if NIBBLE {
                dots.low[half] = add_pairs(dots.low[half], codes, acts);
            } else {
                let (low, high) = split(codes);
                dots.low[half] = add_pairs(dots.low[half], low, acts);
                dots.high[half] = add_pairs(dots.high[half], high, acts);
            }
        }
        dots
    }
    #[inline(always)]
    fn load_signed(self, from: &[i8; 64]) -> Self::K {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe {
            let codes = self.load_codes(from);
            if VNNI {
                let flip = _mm256_set1_epi8(i8::MIN);
                let flipped = [_mm256_xor_si256(codes[0], flip), _mm256_xor_si256(codes[1], flip)];
                SignedCodes { codes, unsigned: flipped }
            } else {
                SignedCodes { codes, unsigned: [_mm256_abs_epi8(codes[0]), _mm256_abs_epi8(codes[1])] }
            }
        }
    }
    #[inline(always)]
    fn signed_start(self, sum: i32) -> Self::S {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe { [_mm256_set1_epi32(if VNNI { -128 * sum } else { 0 }); 2] }
    }
    #[inline(always)]
    fn dot_signed(self, mut sums: Self::S, codes: Self::K, other: i32) -> Self::S {
        for (half, sums) in sums.iter_mut().enumerate() {
            // SAFETY: a value of this type is proof of the instructions.
            unsafe {
                let other = _mm256_set1_epi32(other);
                *sums = if VNNI {
                    avxvnni::dot(*sums, codes.unsigned[half], other)
                } else {
                    // |code| · (other · sign of code), which no 16-bit pair oversteps: 2 · 127 · 127.
                    dot_bytes(*sums, codes.unsigned[half], _mm256_sign_epi8(other, codes.codes[half]))
                };
            }
        }
        sums
    }
    #[inline(always)]
    fn signed_to_f32(self, sums: Self::S) -> Self::F {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe { [_mm256_cvtepi32_ps(sums[0]), _mm256_cvtepi32_ps(sums[1])] }
    }
    #[inline(always)]
    fn zero_weighted(self) -> Self::W {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe { [_mm256_setzero_si256(); 4] }
    }
    #[inline(always)]
    fn load_codes(self, from: &[i8; 64]) -> Self::B {
        // SAFETY: bytes are of one size and alignment, whatever their sign.
        self.load_bytes(unsafe { &*from.as_ptr().cast() })
    }
    // With AVX-VNNI the first two registers hold the sums. Without it a lane has two, of a product pair each: bytes would
    // saturate, words of 16 bits do not.
    #[inline(always)]
    fn dot_weights(self, mut sums: Self::W, codes: Self::B, weights: i32) -> Self::W {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe {
            if VNNI {
                let weights = _mm256_set1_epi32(weights);
                sums[0] = avxvnni::dot(sums[0], weights, codes[0]);
                sums[1] = avxvnni::dot(sums[1], weights, codes[1]);
                return sums;
            }
            let weights = _mm256_cvtepu8_epi16(_mm_set1_epi32(weights));
            for (half, codes) in codes.into_iter().enumerate() {
                let low = _mm256_cvtepi8_epi16(_mm256_castsi256_si128(codes));
                let high = _mm256_cvtepi8_epi16(_mm256_extracti128_si256::<1>(codes));
                let (at_low, at_high) = (2 * half, 2 * half + 1);
                sums[at_low] = _mm256_add_epi32(sums[at_low], _mm256_madd_epi16(low, weights));
                sums[at_high] = _mm256_add_epi32(sums[at_high], _mm256_madd_epi16(high, weights));
            }
        }
        sums
    }
    #[inline(always)]
    fn weighted_to_f32(self, sums: Self::W) -> Self::F {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe {
            if VNNI {
                return [_mm256_cvtepi32_ps(sums[0]), _mm256_cvtepi32_ps(sums[1])];
            }
            let low = _mm256_hadd_epi32(sums[0], sums[1]);
            let high = _mm256_hadd_epi32(sums[2], sums[3]);
            // Sums of two registers come out two by two, by turns.
            let low = _mm256_permute4x64_epi64::<0b11_01_10_00>(low);
            let high = _mm256_permute4x64_epi64::<0b11_01_10_00>(high);
            [_mm256_cvtepi32_ps(low), _mm256_cvtepi32_ps(high)]
        }
    }
    #[inline(always)]
    fn sum(self, x: Self::F) -> f32 {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe { across::sum(_mm256_add_ps(x[0], x[1])) }
    }
    #[inline(always)]
    fn largest(self, x: Self::F) -> f32 {
        // SAFETY: a value of this type is proof of the instructions.
        unsafe { across::largest(_mm256_max_ps(x[0], x[1])) }
    }
}
