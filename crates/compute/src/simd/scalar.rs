//! The lanes in plain Rust: the oracle of the other instruction sets, and what runs where there is none.

use super::{Kernel, LANES, Lanes};

/// No instruction set needed.
#[derive(Clone, Copy)]
pub(crate) struct Scalar;

#[inline]
fn each(f: impl Fn(usize) -> f32) -> [f32; LANES] {
    std::array::from_fn(f)
}

/// Adds to each lane the dot product of its four codes with `other`.
#[inline]
fn dot_fours(mut sums: [i32; LANES], codes: [i32; 64], other: [i32; 4]) -> [i32; LANES] {
    for (sum, codes) in sums.iter_mut().zip(codes.as_chunks::<4>().0) {
        *sum += codes.iter().zip(other).map(|(code, other)| code * other).sum::<i32>();
    }
    sums
}

/// Four i8 codes of a word.
#[inline]
fn signed(word: i32) -> [i32; 4] {
    word.to_le_bytes().map(|code| i32::from(code as i8))
}

impl Lanes for Scalar {
    type F = [f32; LANES];
    type D = [i32; LANES];
    type B = [u8; 64];
    type S = [i32; LANES];
    type W = [i32; LANES];
    type K = [i8; 64];
    const WIDE: bool = false;
    const SHORT_DOTS: bool = false;

    fn run<K: Kernel>(self, kernel: K) -> K::Out {
        kernel.run(self)
    }
    #[inline]
    fn splat(self, x: f32) -> Self::F {
        [x; LANES]
    }
    #[inline]
    fn load(self, from: &[f32; LANES]) -> Self::F {
        *from
    }
    #[inline]
    fn store(self, x: Self::F, to: &mut [f32; LANES]) {
        *to = x;
    }
    #[inline]
    fn load_f16(self, from: &[u16; LANES]) -> Self::F {
        each(|i| half::f16::from_bits(from[i]).to_f32())
    }
    #[inline]
    fn load_i8(self, from: &[i8; LANES]) -> Self::F {
        each(|i| f32::from(from[i]))
    }
    #[inline]
    fn store_i8(self, x: Self::F, to: &mut [i8; LANES]) {
        *to = std::array::from_fn(|i| x[i].round_ties_even() as i8);
    }
    #[inline]
    fn store_u8(self, x: Self::F, to: &mut [u8; LANES]) {
        *to = std::array::from_fn(|i| x[i].round_ties_even() as u8);
    }
    #[inline]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        each(|i| a[i] + b[i])
    }
    #[inline]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        each(|i| a[i] - b[i])
    }
    #[inline]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        each(|i| a[i] * b[i])
    }
    #[inline]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        each(|i| a[i] / b[i])
    }
    #[inline]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        each(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }
    #[inline]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        each(|i| if a[i] < b[i] { a[i] } else { b[i] })
    }
    #[inline]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        each(|i| a[i].mul_add(b[i], c[i]))
    }
    #[inline]
    fn fnma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        each(|i| (-a[i]).mul_add(b[i], c[i]))
    }
    #[inline]
    fn pow2(self, magic: Self::F) -> Self::F {
        each(|i| f32::from_bits((magic[i].to_bits() << 23).wrapping_add(0x3f80_0000)))
    }
    #[inline]
    fn zero_dots(self) -> Self::D {
        [0; LANES]
    }
    #[inline]
    fn add_dots(self, a: Self::D, b: Self::D) -> Self::D {
        std::array::from_fn(|i| a[i] + b[i])
    }
    #[inline]
    fn dots_to_f32<const NIBBLE: bool>(self, dots: Self::D) -> Self::F {
        each(|i| dots[i] as f32)
    }
    #[inline]
    fn load_bytes(self, from: &[u8; 64]) -> Self::B {
        *from
    }
    #[inline]
    fn store_bytes(self, x: Self::B, to: &mut [u8; 64]) {
        *to = x;
    }
    #[inline]
    fn load_nibbles(self, from: &[u8; 64]) -> (Self::B, Self::B) {
        (from.map(|b| b & 15), from.map(|b| b >> 4))
    }
    // A call, lest the unrolled blocks of the product become enormous.
    #[inline(never)]
    fn dot<const NIBBLE: bool>(self, dots: Self::D, codes: Self::B, acts: i32) -> Self::D {
        dot_fours(dots, codes.map(i32::from), signed(acts))
    }
    #[inline]
    fn load_signed(self, from: &[i8; 64]) -> Self::K {
        *from
    }
    #[inline]
    fn signed_start(self, _: i32) -> Self::S {
        [0; LANES]
    }
    // Calls, for the same reason.
    #[inline(never)]
    fn dot_signed(self, sums: Self::S, codes: Self::K, other: i32) -> Self::S {
        dot_fours(sums, codes.map(i32::from), signed(other))
    }
    #[inline]
    fn signed_to_f32(self, sums: Self::S) -> Self::F {
        self.weighted_to_f32(sums)
    }
    #[inline]
    fn zero_weighted(self) -> Self::W {
        [0; LANES]
    }
    #[inline]
    fn load_codes(self, from: &[i8; 64]) -> Self::B {
        from.map(|code| code as u8)
    }
    #[inline(never)]
    fn dot_weights(self, sums: Self::W, codes: Self::B, weights: i32) -> Self::W {
        dot_fours(sums, codes.map(|code| i32::from(code as i8)), weights.to_le_bytes().map(i32::from))
    }
    #[inline]
    fn weighted_to_f32(self, sums: Self::W) -> Self::F {
        each(|i| sums[i] as f32)
    }
}
